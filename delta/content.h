/* delta/content.h - what kind of content bytes are: told by what they belong to (atlas.h), and where that says nothing by
 * their looks.
 *
 * In this order: tables of file systems; in ELF files what the section headers say; any other bytes by blocks of at
 * most 1024.  Plain bytes of a stream that was seen through count by what packed it, told by the header
 * before it.  Nothing is believed further than a label: a file that lies is counted wrongly, within bounds. */
#ifndef VALISE_DELTA_CONTENT_H
#define VALISE_DELTA_CONTENT_H

#include "delta/atlas.h"
#include "delta/delta.h"

enum {
	CONTENT_SECTIONS = 256, /* of an ELF file, that are looked at */
	CONTENT_SECTION_BYTES = 64,
};

struct contents {
	const struct atlas *atlas;
	/* The ELF file that was asked about last: what of its bytes is what. */
	uint32_t file;
	unsigned n;
	struct content_section {
		uint64_t from, end;
		enum delta_content kind;
	} sections[CONTENT_SECTIONS];
	bool is_elf;
	uint8_t table[CONTENT_SECTIONS * CONTENT_SECTION_BYTES];
};

void contents_init(struct contents *c, const struct atlas *atlas); /* the atlas is borrowed */

/* What byte `at` of the image is, up to *ret_end (at most `end`, which is at most the image's), and whose:
 * *ret_file may be ATLAS_NO_FILE. */
enum delta_content content_at(struct contents *c, uint64_t at, uint64_t end, uint64_t *ret_end,
			      uint32_t *ret_file);

/* What holds the stream whose packed bytes begin at `at` of an image. */
enum delta_content content_of_stream(const uint8_t *image, uint64_t at);

/* By looks alone; of more than 1024 bytes, the first. */
enum delta_content content_of(const uint8_t *p, size_t n);

#endif
