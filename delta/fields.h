/* delta/fields.h - addresses in x86-64 and arm64 code and in tables: what they become when things
 * move.
 *
 * Where code moved, relative addresses change though nobody changed the source.  The old bytes show
 * where such fields are (by opcode, without disassembling), the frame's commands show how far
 * instruction and target moved, and fields seen before show the rest: targets that no command
 * covers, and absolute addresses.  What results is only ever an expectation: where it is wrong, the
 * coder corrects it byte by byte, and each kind of field is trusted as far as it was right lately.
 *
 * Addresses here are those of the two spaces (transform.h), so files must be contiguous in their
 * images for targets to be found, as they are in erofs and mostly in ext4. */
#ifndef VALISE_DELTA_FIELDS_H
#define VALISE_DELTA_FIELDS_H

#include "base/err.h"

struct op;
struct piece;

enum {
	FIELD_MASK = 7,   /* 1 to 4: which byte of a field; 0: none */
	FIELD_DOUBT = 8,  /* the sources disagree */
	FIELD_START = 16, /* its first byte */
	FIELD_SPILL = 4,  /* bytes of a field behind a block's end */
	FIELD_CLASSES = 10,
	FIELD_REGISTERS = 32,
	FIELD_SOURCES = 4,
	FIELD_GUESSES = 1024 / 4 + 1,
	FIELD_INDEX = 1 << 16,
};

/* Kinds of fields by what tells them. */
enum field_class {
	CLASS_NONE,
	CLASS_CALL,
	CLASS_JUMP,
	CLASS_BRANCH,
	CLASS_DATA,
	CLASS_X86, /* how many are x86-64 instructions' */
	CLASS_SELF = CLASS_X86,
	CLASS_ARM_JUMP,   /* B, BL */
	CLASS_ARM_BRANCH, /* B.cond, CBZ, CBNZ */
	CLASS_ARM_PAGE,   /* ADRP */
	CLASS_ARM_LOW,    /* ADD, LDR, STR: the low 12 bits of an address in that page */
};

/* Which field of an x86-64 instruction follows three bytes (the last one lowest), CLASS_NONE for none, and
 * how many bytes of the instruction come behind it. */
enum field_class fields_x86(uint32_t before, unsigned *ret_behind);

struct field_range {             /* of the old space, used by a command */
	uint64_t from, n, shift; /* new minus old, modulo 2^64 */
};

struct field_seen {
	uint32_t check, shift;
};

/* arm64: the page that an instruction put into a register, and where that instruction is. */
struct field_page {
	uint64_t page, at;
};

/* What each source says a field becomes. */
struct field_guess {
	uint64_t target;
	uint32_t was; /* the old word; on x86-64 and in tables the relative address itself */
	uint32_t value[FIELD_SOURCES];
	uint8_t known; /* a bit per source */
	uint8_t class;
	uint16_t at; /* in its block */
};

struct fields {
	struct field_range *map; /* sorted by from, heap */
	size_t n_map;
	uint32_t *index; /* first range at or behind each 2^index_log-th byte, heap */
	unsigned index_log;
	struct field_guess guesses[FIELD_GUESSES]; /* of the block at hand */
	unsigned n_guesses;
	struct field_seen *seen, *near; /* heap */
	uint16_t score[FIELD_CLASSES][FIELD_SOURCES];
	uint64_t shift; /* of the current command: new minus old */
	uint64_t block; /* address of the old bytes at hand */
	uint16_t arm64; /* of 65536: how many of the last words look like its instructions */
	struct field_page pages[FIELD_REGISTERS]; /* in old bytes, so far */
	uint64_t new_pages[FIELD_REGISTERS];      /* what those became */
	uint8_t spill[FIELD_SPILL], spill_kinds[FIELD_SPILL];
};

bool fields_init(struct fields *f, struct err *e) MUST_USE;
void fields_done(struct fields *f);

/* How the old space moves, from all commands of a frame. */
bool fields_map(struct fields *f, const struct piece *pieces, size_t n_pieces,
		const struct op *ops, size_t n_ops, struct err *e) MUST_USE;

/* Begins a command whose old bytes are `distance` (old minus new) away. */
void fields_start(struct fields *f, uint64_t distance);

/* n old bytes (16 readable before them, 16 behind) to what the new ones are expected to be, and
 * to which part of a field each belongs.  The results have room for n + FIELD_SPILL. */
void fields_expect(struct fields *f, uint8_t *expected, uint8_t *kinds, const uint8_t *old,
		   uint64_t old_address, size_t n);

/* What they are in truth; called once after each fields_expect. */
void fields_learn(struct fields *f, const uint8_t *now, size_t n);

/* Where the bytes of a new piece are in the space of addresses. */
uint64_t fields_address(const struct piece *p, uint64_t streams_before);

#endif
