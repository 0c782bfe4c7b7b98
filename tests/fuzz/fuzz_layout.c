/* An image of any bytes with a file system in it, as a publisher may bring one: where its files go on is
 * inside it, read in parts or at once, in bounded time and memory; streams found by that are there, and
 * a delta from the image to itself turned around gives that. */
#include "base/io.h"
#include "delta/deflate.h"
#include "delta/delta.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/fault.h"

#include <sys/mman.h>

/* The first byte, which no file system uses, says whether deltas are made: that takes a hundred times as long. */
enum { WITH_DELTA = 'd' };

/* A name may become a file or a folder to be read, both in arrays that double. */
enum { HEAP_FREE = 1 << 16, HEAP_PER_BYTE = 2 * 3 * 64 / 8 };

static struct layout layout_of(const uint8_t *p, size_t n, size_t cut)
{
	struct layout l = layout_start(n);
	struct err e;

	fuzz_must(layout_read(&l, p, n, 0, cut, &e) && layout_read(&l, p, n, cut, n, &e),
		  "layout_read fails");
	layout_sort(&l);
	for (size_t i = 0; i < l.n; i++) {
		const struct layout_cut *c = &l.v[i];

		fuzz_must(c->from < c->end && c->end <= n, "a file outside");
		fuzz_must(c->size > 0 && c->to <= n && c->size <= n - c->to, "an end outside");
		fuzz_must(i == 0 || c->from >= l.v[i - 1].end, "files overlap");
	}
	return l;
}

static bool image_copy(void *ctx, uint64_t offset, uint8_t *p, size_t n, struct err *e UNUSED)
{
	const struct image *in = ctx;

	fuzz_must(offset <= in->size && n <= in->size - offset, "a part outside");
	memcpy(p, in->p + offset, n);
	return true;
}

static void unpacks(const struct streams *all, const struct stream *s, struct image *in)
{
	uint8_t *packed = malloc(s->size), *plain = malloc(s->plain_size);
	struct packed_memory m;
	struct err e;

	fuzz_must(stream_gather(all, s, 0, packed, s->size, image_copy, in, &e), "gather");
	fuzz_must(stream_unpack(transforms[s->transform], plain, s->plain_size,
				packed_of(&m, packed, s->size), &e),
		  "what was found does not unpack");
	free(packed);
	free(plain);
}

static int memfile(const uint8_t *p, size_t n)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct err e;

	fuzz_must(fd >= 0 && pwrite_all(fd, p, n, 0, &e), "a file in memory");
	return fd;
}

static bool compare(void *ctx, uint64_t offset, const uint8_t *p, size_t n,
		    struct err *e UNUSED)
{
	const struct image *in = ctx;

	fuzz_must(offset <= in->size && n <= in->size - offset &&
			  memcmp(in->p + offset, p, n) == 0,
		  "another image");
	return true;
}

/* Something else in the middle, so that what lies there is looked at. */
static void round_trip(const uint8_t *p, size_t n, uint8_t *changed)
{
	struct image want = { .p = changed, .size = n };
	CLEANUP(delta_freep) struct delta *d = NULL;
	struct delta_info info;
	struct err e;

	memcpy(changed, p, n);
	changed[n / 2] ^= 1;
	for (unsigned turn = 0; turn < 2; turn++) {
		CLEANUP(fd_closep) int old = memfile(turn ? changed : p, n);
		CLEANUP(fd_closep) int new = memfile(turn ? p : changed, n);
		CLEANUP(fd_closep) int out = memfile(p, 0);
		struct delta_job job = {
			.old_fd = old, .new_fd = new, .out_fd = out, .scratch_fd = -1
		};

		want.p = turn ? p : changed;
		fuzz_must(delta_create(&job, &info, &e), "delta_create");
		fuzz_must(delta_open(&d, out, old, &e), "delta_open");
		fuzz_must(delta_apply(d, 0, compare, &want, &e), "delta_apply");
		delta_free(TAKE(d));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct image in = { .p = p, .size = n };
	struct streams found = { 0 };
	uint8_t *changed;
	struct err e;

	if (n < 4096 || n > 1 << 18 || !(changed = malloc(n)))
		return 0;
	usage_start();
	struct layout l = layout_of(p, n, n);
	struct layout parts = layout_of(p, n, n / 2);
	fuzz_must(usage_heap_peak() <= HEAP_FREE + HEAP_PER_BYTE * n, "memory");
	fuzz_must(l.n == parts.n && l.entries == parts.entries, "read in parts it differs");
	for (size_t i = 0; i < l.n; i++)
		fuzz_must(l.v[i].from == parts.v[i].from && l.v[i].end == parts.v[i].end &&
				  l.v[i].to == parts.v[i].to && l.v[i].size == parts.v[i].size,
			  "read in parts it differs");
	in.layout = &l;
	fuzz_must(transform_deflate.find(&found, &in, 0, n, &e), "find fails");
	for (size_t i = 0; i < found.n; i++)
		unpacks(&found, &found.v[i], &in);
	if (p[0] == WITH_DELTA)
		round_trip(p, n, changed);
	streams_done(&found);
	layout_done(&l);
	layout_done(&parts);
	free(changed);
	return 0;
}
