/* A delta of any bytes, applied to a small old image, which has a deflate stream: output stays within what the
 * header says, memory within 32 MiB, and resuming at the second segment gives the same bytes.  So that
 * fuzzing gets past the hash of the index, the harness puts the right one there. */
#include "base/io.h"
#include "base/sha256.h"
#include "delta/deflate.h"
#include "delta/delta.h"
#include "delta/format.h"
#include "tests/support/fault.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum { OLD = 65536, STREAM_AT = 40000, TEXT = 20000, NEW_MAX = 1 << 22, HEAP_MAX = 32 << 20 };

static int memfile(const void *p, size_t n)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct err e;

	if (fd < 0 || !pwrite_all(fd, p, n, 0, &e))
		abort();
	return fd;
}

struct place {
	uint8_t *p;
	size_t left;
};

static bool put(void *ctx, const uint8_t *p, size_t n, struct err *e UNUSED)
{
	struct place *to = ctx;

	if (n > to->left)
		abort();
	memcpy(to->p, p, n);
	to->p += n;
	to->left -= n;
	return true;
}

/* Numbers as zlib packs them at level 6. */
static void put_stream(uint8_t *p, size_t room)
{
	static const uint8_t recipe[] = { 0, 6 };
	static uint8_t text[TEXT];
	struct place to = { .p = p, .left = room };
	struct packer packer = { .put = put, .ctx = &to };
	struct plain_memory m;
	struct err e;

	for (unsigned i = 0, v = 1; i < TEXT; i++, v = v * 75 % 65537)
		text[i] = i % 5 ? (uint8_t)('0' + v % 10) : ' ';
	if (!transform_deflate.pack(&packer, recipe, sizeof(recipe), plain_of(&m, text, TEXT),
				    &e))
		abort();
}

static int old_image(uint64_t size)
{
	static uint8_t old[OLD];

	for (unsigned i = 0; i < OLD; i++)
		old[i] = i % 7 ? (uint8_t)(i * i >> 7) : 0xe8;
	put_stream(old + STREAM_AT, OLD - STREAM_AT);
	return memfile(old, size < OLD ? (size_t)size : OLD);
}

struct seen {
	uint64_t next, size;
};

static bool emit(void *ctx, uint64_t offset, const uint8_t *p, size_t n, struct err *e)
{
	struct seen *s = ctx;
	uint8_t sum = 0;

	if (offset != s->next || n == 0 || n > s->size - offset)
		abort();
	for (size_t i = 0; i < n; i++)
		sum ^= p[i];
	s->next += n;
	if (sum == 1 && n == SIZE_MAX)
		abort(); /* never: keeps the reads */
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	CLEANUP(delta_freep) struct delta *d = NULL;
	struct delta_info info;
	uint8_t *copy;
	uint64_t head;
	struct err e;

	if (!format_peek(&head, p, n, n, &e))
		return 0;
	copy = malloc(n);
	memcpy(copy, p, n);
	uint8_t hash[SHA256_SIZE];
	sha256(hash, copy, (size_t)head - FORMAT_CHECK);
	memcpy(copy + head - FORMAT_CHECK, hash, FORMAT_CHECK);
	CLEANUP(fd_closep) int fd = memfile(copy, n);
	free(copy);
	if (!delta_look(&info, fd, &e) || info.new_size > NEW_MAX)
		return 0;
	CLEANUP(fd_closep) int old = old_image(info.old_size);
	usage_start();
	if (!delta_open(&d, fd, old, &e))
		return 0;
	delta_describe(d, &info);
	struct seen s = { .size = info.new_size };
	if (delta_apply(d, 0, emit, &s, &e) && s.next != info.new_size)
		abort();
	s.next = info.segment_bytes;
	if (info.new_size > info.segment_bytes &&
	    delta_apply(d, info.segment_bytes, emit, &s, &e) && s.next != info.new_size)
		abort();
	if (usage_heap_peak() >= HEAP_MAX)
		abort();
	return 0;
}
