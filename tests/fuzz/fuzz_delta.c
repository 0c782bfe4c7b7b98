/* A delta of any bytes, applied to a small old image, which has a little of all (delta_old.h): output stays within what
 * the header says, memory within 32 MiB, and resuming at the second segment gives the same bytes.  So that
 * fuzzing gets past the hash of the index, the harness puts the right one there.  Seeds: tests/support/delta_seeds.h. */
#include "base/io.h"
#include "base/sha256.h"
#include "tests/support/delta_draft.h"
#include "tests/support/fault.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum { HEAP_MAX = 32 << 20 };

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
	CLEANUP(fd_closep) int fd = forge_memfile(copy, n);
	free(copy);
	if (!delta_look(&info, fd, &e) || info.new_size > DRAFT_IMAGE)
		return 0;
	CLEANUP(fd_closep) int old = delta_old_file(info.old_size);
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
