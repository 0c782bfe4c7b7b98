/* Any bytes to any bytes, whatever is cut or damaged on the way. */
#include "tests/support/unit.h"
#include "base/io.h"
#include "base/limits.h"
#include "delta/delta.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

/* ---- generated pairs ---- */

static uint64_t seed;

static uint32_t rnd(void)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33);
}

static uint32_t below(uint32_t n)
{
	return n ? rnd() % n : 0;
}

struct bytes {
	uint8_t *p;
	size_t n, cap;
};

static struct bytes bytes_new(size_t cap)
{
	return (struct bytes){ .p = calloc(1, cap + 1), .cap = cap };
}

static void add(struct bytes *b, const uint8_t *p, size_t n)
{
	if (n > b->cap - b->n)
		n = b->cap - b->n;
	if (n)
		memmove(b->p + b->n, p, n);
	b->n += n;
}

enum { NOISE, TEXT, COUNTERS, CODE, ZEROS, PACKED, INTERLEAVED, CONTENTS };

/* A stream of some encoder: one of a few texts from its beginning, with an edit or two. */
static struct bytes packed(size_t most)
{
	static const int wraps[] = { -15, 15, 31 };
	static const char line[] = "/usr/lib/valise/%04x.so.%u 0644 root\n";
	uint32_t step = 1 + below(4), n = below((uint32_t)most + 1);
	struct bytes plain = bytes_new(n + 64), b = bytes_new(n + n / 2 + 200);

	while (plain.n < n)
		plain.n += (size_t)snprintf((char *)plain.p + plain.n, 64, line,
					    (unsigned)plain.n * step & 0xffff, step);
	plain.n = n;
	for (unsigned edits = below(3); n && edits > 0; edits--)
		plain.p[below(n)]++;
	z_stream z = {
		.next_in = plain.p, .avail_in = n, .next_out = b.p, .avail_out = (uInt)b.cap
	};
	assert_int_equal(deflateInit2(&z, 1 + (int)below(9), Z_DEFLATED, wraps[below(3)],
				      1 + (int)below(9), (int)below(5)),
			 Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	b.n = z.total_out;
	deflateEnd(&z);
	free(plain.p);
	return b;
}

static void add_packed(struct bytes *b, size_t n)
{
	struct bytes one = packed(2 * n);

	add(b, one.p, one.n < n ? one.n : n);
	free(one.p);
}

/* Two streams in turns, as files whose blocks lie between each other's. */
static void add_interleaved(struct bytes *b, size_t n)
{
	struct bytes two[2] = { packed(n), packed(n) };
	size_t at[2] = { 0 }, part = 16 + below(1000);

	while (at[0] < two[0].n || at[1] < two[1].n)
		for (unsigned i = 0; i < 2; i++) {
			size_t left = two[i].n - at[i], k = left < part ? left : part;

			add(b, two[i].p + at[i], k);
			at[i] += k;
		}
	free(two[0].p);
	free(two[1].p);
}

/* Text, noise, zeros, counters, something like code (calls to a few places), and what is packed already. */
static void add_content(struct bytes *b, unsigned kind, size_t n)
{
	static const char words[] = "the of and to valise image agent signed phone slot ";

	if (kind == PACKED)
		add_packed(b, n);
	if (kind == INTERLEAVED)
		add_interleaved(b, n);
	if (kind >= PACKED)
		return;
	for (size_t i = 0; i < n && b->n < b->cap; i++) {
		uint8_t c = 0;

		if (kind == NOISE)
			c = (uint8_t)rnd();
		else if (kind == TEXT)
			c = (uint8_t)words[(i * 7 + (rnd() & 3) + i / 11) % (sizeof(words) - 1)];
		else if (kind == COUNTERS)
			c = (uint8_t)(i % 4 ? 0 : i / 4);
		else if (kind == CODE && i % 16 == 0 && b->cap - b->n >= 5) {
			int32_t to = (int32_t)((below(20) * 512) - (uint32_t)b->n - 5);
			uint8_t call[5] = { 0xe8 };

			memcpy(call + 1, &to, 4);
			add(b, call, 5);
			i += 4;
			continue;
		} else if (kind == CODE)
			c = (uint8_t)(0x40 + rnd() % 5);
		b->p[b->n++] = c;
	}
}

static void add_old(struct bytes *b, const struct bytes *old, size_t from, size_t n)
{
	if (from > old->n)
		from = old->n;
	add(b, old->p + from, n < old->n - from ? n : old->n - from);
}

static struct bytes make_old(size_t max)
{
	struct bytes b = bytes_new(max);
	size_t want = below(8) ? below((uint32_t)max) : below(40);

	while (b.n < want)
		add_content(&b, below(CONTENTS), 1 + below((uint32_t)(want - b.n)));
	return b;
}

/* Copies with edits, moves, insertions, truncations. */
static struct bytes make_new(const struct bytes *old, size_t max)
{
	struct bytes b = bytes_new(max);
	unsigned edits = below(30);

	if (!below(20))
		return b;
	if (!below(20)) {
		add(&b, old->p, old->n);
		return b;
	}
	for (unsigned i = 0; i < edits; i++) {
		size_t from = below((uint32_t)old->n + 1), n = below(below(2) ? 60 : 30000);

		if (below(4))
			add_old(&b, old, below(2) ? b.n : from, n);
		else
			add_content(&b, below(CONTENTS), n / 4);
		for (unsigned k = below(12); b.n && k > 0; k--)
			b.p[below((uint32_t)b.n)] = (uint8_t)rnd();
	}
	return b;
}

static void zero(struct bytes *b)
{
	memset(b->p, 0, b->n);
}

static void cut(struct bytes *b, size_t n)
{
	b->n = b->n < n ? b->n : n;
}

/* One pair in two is left as it is; the others are at an edge. */
static void shape(struct bytes *old, struct bytes *new)
{
	switch (below(20)) {
	case 0:
		old->n = 0;
		break;
	case 1:
		new->n = 0;
		break;
	case 2:
		old->n = new->n = 0;
		break;
	case 3:
		cut(old, 1);
		break;
	case 4:
		cut(new, 1);
		break;
	case 5:
		cut(old, 1), cut(new, 1);
		break;
	case 6:
		zero(old);
		break;
	case 7:
		zero(new);
		break;
	case 8:
		zero(old), zero(new);
		break;
	case 9:
		new->n = 0, add(new, old->p, old->n);
		break; /* identical */
	case 10:
		new->n = 0, add(new, old->p, below((uint32_t)old->n + 1));
		break;
	default:
		break;
	}
}

static int memfile(const void *p, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct err e;

	assert_true(fd >= 0);
	assert_ok(pwrite_all(fd, p, n, 0, &e), &e);
	return fd;
}

/* mixed_max: inserted bytes from which on they come in bulk; 0 for the usual number. */
static int make_delta_mixed(int old, int new, unsigned threads, uint64_t mixed_max,
			    struct delta_info *ret)
{
	int out = memfile("", 0);
	struct delta_job job = { .old_fd = old,
				 .new_fd = new,
				 .out_fd = out,
				 .scratch_fd = -1,
				 .threads = threads,
				 .mixed_max = mixed_max };
	struct err e;

	assert_ok(delta_create(&job, ret, &e), &e);
	return out;
}

static int make_delta(int old, int new, unsigned threads, struct delta_info *ret)
{
	return make_delta_mixed(old, new, threads, 0, ret);
}

/* ---- applying ---- */

struct sink {
	const struct bytes *want;
	uint64_t next; /* all before it arrived */
	uint64_t stop; /* fails when this much arrived: the kill */
};

static bool sink_emit(void *ctx, uint64_t offset, const uint8_t *p, size_t n, struct err *e)
{
	struct sink *s = ctx;

	assert_int_equal(offset, s->next);
	assert_true(n <= s->want->n - offset);
	assert_memory_equal(p, s->want->p + offset, n);
	if (s->next >= s->stop)
		return err_set(e, E_CANCELLED, "killed");
	s->next = offset + n;
	return true;
}

static bool apply(int delta, int old, uint64_t first, struct sink *s, struct err *e)
{
	CLEANUP(delta_freep) struct delta *d = NULL;

	s->next = first;
	usage_start();
	bool ok = delta_open(&d, delta, old, e) && delta_apply(d, first, sink_emit, s, e);
	assert_true(usage_heap_peak() < 32 << 20);
	return ok;
}

static void assert_applies(int delta, int old, const struct bytes *new)
{
	struct sink s = { .want = new, .stop = UINT64_MAX };
	struct err e;

	assert_ok(apply(delta, old, 0, &s, &e), &e);
	assert_int_equal(s.next, new->n);
}

struct pair {
	struct bytes old, new;
	int old_fd, new_fd, delta;
	struct delta_info info;
};

enum { SHAPED = 1 << 20 }; /* from this seed on pairs may be of an odd kind */

static struct pair make_pair(uint64_t with_seed, size_t max)
{
	struct pair p;

	seed = with_seed * 77 + 5;
	p.old = make_old(max);
	p.new = make_new(&p.old, max);
	if (with_seed >= SHAPED)
		shape(&p.old, &p.new);
	p.old_fd = memfile(p.old.p, p.old.n);
	p.new_fd = memfile(p.new.p, p.new.n);
	p.delta = make_delta(p.old_fd, p.new_fd, 1, &p.info);
	return p;
}

static void pair_done(struct pair *p)
{
	close(p->old_fd);
	close(p->new_fd);
	close(p->delta);
	free(p->old.p);
	free(p->new.p);
}

/* ---- tests ---- */

/* A number from the environment. */
static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s ? strtoull(s, NULL, 10) : otherwise;
}

/* Stops at a few reads or allocations, wherever they are, and goes on at the segment that was not
 * whole. */
static void assert_applies_with_kills(const struct pair *p)
{
	struct sink s = { .want = &p->new, .stop = UINT64_MAX };
	uint64_t first = 0;
	struct err e = { 0 };

	for (unsigned kills = 3; kills > 0; kills--) {
		fault_arm(below(2) ? FAULT_READ : FAULT_ALLOC, 1 + below(25));
		bool ok = apply(p->delta, p->old_fd, first, &s, &e);
		bool killed = fault_disarm();

		assert_true(ok || killed);
		if (ok)
			break;
		first = s.next;
	}
	if (first < p->new.n)
		assert_ok(apply(p->delta, p->old_fd, first, &s, &e), &e);
	assert_int_equal(s.next, p->new.n);
}

/* With any one byte changed in either: an error, or the exact bytes (which the sink compares). */
static void assert_damage_is_told(const struct pair *p)
{
	size_t n = (size_t)p->info.delta_size;
	uint8_t *raw = malloc(n), by = (uint8_t)(1 + below(255));
	struct sink s = { .want = &p->new, .stop = UINT64_MAX };
	struct err e;

	assert_ok(pread_all(p->delta, raw, n, 0, &e), &e);
	raw[below((uint32_t)n)] ^= by;
	int fd = memfile(raw, n);
	if (apply(fd, p->old_fd, 0, &s, &e))
		assert_int_equal(s.next, p->new.n);
	close(fd);
	free(raw);
	if (!p->old.n)
		return;
	uint8_t *at = p->old.p + below((uint32_t)p->old.n);
	*at ^= by;
	fd = memfile(p->old.p, p->old.n);
	if (apply(p->delta, fd, 0, &s, &e))
		assert_int_equal(s.next, p->new.n);
	else
		assert_int_equal(e.code, E_CORRUPT);
	close(fd);
	*at ^= by;
}

static const char *pair_told; /* at work on it */

/* DELTA_SEED makes others, DELTA_PAIRS more of them; a failure tells which one it was. */
static void thousands_of_generated_pairs_come_out_exactly_or_not_at_all(void **state UNUSED)
{
	/* With sanitizers each takes ten times as long. */
	uint64_t pairs = setting("DELTA_PAIRS", ADDRESS_SANITIZED ? 200 : 2000);
	uint64_t base = setting("DELTA_SEED", 1), seen_through = 0;
	static char told[80];

	pair_told = told;
	for (uint64_t i = 0; i < pairs; i++) {
		snprintf(told, sizeof(told), "DELTA_SEED=%" PRIu64 ", pair %" PRIu64, base, i);
		struct pair p = make_pair(SHAPED + base * 1000003 + i, i % 200 == 199 ? 3 << 20
								       : i % 50       ? 8000
										      : 200000);

		assert_applies(p.delta, p.old_fd, &p.new);
		assert_int_equal(p.info.old_size, p.old.n);
		assert_int_equal(p.info.new_size, p.new.n);
		seen_through += p.info.streams_new > 0;
		assert_applies_with_kills(&p);
		assert_damage_is_told(&p);
		pair_done(&p);
	}
	assert_true(pairs < 200 || seen_through > pairs / 50);
	pair_told = NULL;
}

static int tell_pair(void **state UNUSED)
{
	if (pair_told)
		print_error("%s\n", pair_told);
	return 0;
}

static void a_kill_at_any_segment_is_resumed_there(void **state UNUSED)
{
	for (unsigned i = 0; i < 6; i++) {
		struct pair p = make_pair(9000 + i, 12 << 20);
		uint64_t segment = p.info.segment_bytes;
		struct err e;

		for (uint64_t at = 0; at < p.new.n; at += segment) {
			struct sink s = { .want = &p.new, .stop = at };

			assert_fails(apply(p.delta, p.old_fd, 0, &s, &e), &e, E_CANCELLED);
			assert_int_equal(s.next, at);
			s.stop = UINT64_MAX;
			assert_ok(apply(p.delta, p.old_fd, at, &s, &e), &e);
			assert_int_equal(s.next, p.new.n);
		}
		pair_done(&p);
	}
}

static void resuming_between_segments_is_refused(void **state UNUSED)
{
	struct pair p = make_pair(1, 8000);
	struct sink s = { .want = &p.new, .stop = UINT64_MAX };
	struct err e;

	assert_fails(apply(p.delta, p.old_fd, 1, &s, &e), &e, E_USAGE);
	assert_fails(apply(p.delta, p.old_fd, UINT64_C(1) << 40, &s, &e), &e, E_USAGE);
	pair_done(&p);
}

static void a_flipped_bit_in_the_delta_gives_an_error_or_the_exact_bytes(void **state UNUSED)
{
	for (unsigned i = 0; i < 12; i++) {
		struct pair p = make_pair(20000 + i, 5000);
		size_t n = (size_t)p.info.delta_size;
		uint8_t *raw = malloc(n);
		struct err e;

		assert_ok(pread_all(p.delta, raw, n, 0, &e), &e);
		for (size_t k = 0; k < 120; k++) {
			size_t bit = k < n * 8 && n < 40 ? k : below((uint32_t)(n * 8));
			struct sink s = { .want = &p.new, .stop = UINT64_MAX };

			flip_bit(raw, bit);
			int fd = memfile(raw, n);
			if (apply(fd, p.old_fd, 0, &s, &e))
				assert_int_equal(s.next, p.new.n);
			close(fd);
			flip_bit(raw, bit);
		}
		free(raw);
		pair_done(&p);
	}
}

static void a_flipped_bit_in_the_old_image_gives_an_error_or_the_exact_bytes(void **state UNUSED)
{
	for (unsigned i = 0; i < 60; i++) {
		struct pair p = make_pair(30000 + i, 9000);
		struct err e;

		for (unsigned k = 0; p.old.n && k < 10; k++) {
			size_t bit = below((uint32_t)(p.old.n * 8));
			struct sink s = { .want = &p.new, .stop = UINT64_MAX };

			flip_bit(p.old.p, bit);
			int fd = memfile(p.old.p, p.old.n);
			if (apply(p.delta, fd, 0, &s, &e))
				assert_int_equal(s.next, p.new.n);
			else
				assert_int_equal(e.code, E_CORRUPT);
			close(fd);
			flip_bit(p.old.p, bit);
		}
		pair_done(&p);
	}
}

static void a_delta_cut_anywhere_is_refused(void **state UNUSED)
{
	struct pair p = make_pair(42, 9000);
	uint8_t raw[20000];
	size_t n = (size_t)p.info.delta_size;
	struct err e;

	assert_true(n < sizeof(raw));
	assert_ok(pread_all(p.delta, raw, n, 0, &e), &e);
	for (size_t cut = 0; cut < n; cut += 1 + cut / 16) {
		struct sink s = { .want = &p.new, .stop = UINT64_MAX };
		int fd = memfile(raw, cut);

		assert_false(apply(fd, p.old_fd, 0, &s, &e));
		close(fd);
	}
	pair_done(&p);
}

static void an_old_image_of_another_size_is_refused(void **state UNUSED)
{
	struct pair p = make_pair(7, 8000);
	struct sink s = { .want = &p.new, .stop = UINT64_MAX };
	int fd = memfile(p.old.p, p.old.n + 1);
	struct err e;

	assert_fails(apply(p.delta, fd, 0, &s, &e), &e, E_CORRUPT);
	close(fd);
	pair_done(&p);
}

/* Old parts in another order, with edits: several chunks, which threads share out by chance. */
static struct pair make_long_pair(size_t n)
{
	struct pair p = { .old = bytes_new(n), .new = bytes_new(n) };

	seed = 9001;
	while (p.old.n < n)
		add_content(&p.old, below(5), 1 + below(3000));
	while (p.new.n < n) {
		add_old(&p.new, &p.old, below((uint32_t)n), below(300));
		p.new.p[p.new.n - 1]++;
	}
	p.old_fd = memfile(p.old.p, p.old.n);
	p.new_fd = memfile(p.new.p, p.new.n);
	p.delta = make_delta(p.old_fd, p.new_fd, 1, &p.info);
	return p;
}

static void the_same_bytes_for_any_number_of_threads(void **state UNUSED)
{
	struct pair p = make_long_pair(9 << 20);
	struct delta_info info;
	int three = make_delta(p.old_fd, p.new_fd, 3, &info);
	uint8_t *a = malloc((size_t)info.delta_size), *b = malloc((size_t)info.delta_size);
	struct err e;

	assert_int_equal(info.delta_size, p.info.delta_size);
	assert_ok(pread_all(three, a, (size_t)info.delta_size, 0, &e), &e);
	assert_ok(pread_all(p.delta, b, (size_t)info.delta_size, 0, &e), &e);
	assert_memory_equal(a, b, (size_t)info.delta_size);
	free(a);
	free(b);
	close(three);
	pair_done(&p);
}

static void special_pairs_are_small(void **state UNUSED)
{
	struct bytes noise = bytes_new(1 << 20);
	struct delta_info info;

	seed = 3;
	add_content(&noise, 0, 1 << 20);
	struct bytes zeros = { .p = calloc(1, 1 << 20), .n = 1 << 20 }, none = { .p = noise.p };
	static uint8_t other[4000];
	const struct bytes text = { .p = noise.p, .n = sizeof(other) };
	const struct bytes edited = { .p = other, .n = sizeof(other) };
	memcpy(other, noise.p, sizeof(other));
	other[2000] ^= 1;
	const struct {
		const struct bytes *old, *new;
		uint64_t most;
	} rows[] = {
		{ &none, &none, 11 },       { &noise, &noise, 34 }, { &noise, &zeros, 34 },
		{ &none, &zeros, 34 },      { &noise, &none, 13 },  { &zeros, &noise, 1090000 },
		{ &none, &noise, 1090000 }, { &text, &edited, 40 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int old = memfile(rows[i].old->p, rows[i].old->n);
		int new = memfile(rows[i].new->p, rows[i].new->n);
		int delta = make_delta(old, new, 1, &info);

		assert_true(info.delta_size <= rows[i].most);
		assert_applies(delta, old, rows[i].new);
		close(old);
		close(new);
		close(delta);
	}
	free(noise.p);
	free(zeros.p);
}

/* How many bytes it takes to make `new`, which is checked. */
static uint64_t bytes_for(const struct bytes *old, const struct bytes *new)
{
	struct delta_info info;
	int old_fd = memfile(old->p, old->n), new_fd = memfile(new->p, new->n);
	int delta = make_delta(old_fd, new_fd, 1, &info);

	assert_applies(delta, old_fd, new);
	close(old_fd);
	close(new_fd);
	close(delta);
	return info.delta_size;
}

static void noise_costs_little_more_than_itself(void **state UNUSED)
{
	enum { N = 4 << 20 };
	struct bytes none = { .p = NULL }, noise = bytes_new(N);

	seed = 2;
	add_content(&noise, NOISE, N);
	assert_in_range(bytes_for(&none, &noise), N, N + 80);
	free(noise.p);
}

static void blocks_in_another_order_cost_little_more_than_their_numbers(void **state UNUSED)
{
	enum { BLOCK = 4096, BLOCKS = 256 };
	struct bytes noise = bytes_new(BLOCKS * BLOCK), mixed = bytes_new(BLOCKS * BLOCK);
	uint32_t order[BLOCKS];

	seed = 4;
	add_content(&noise, NOISE, noise.cap);
	for (uint32_t i = 0; i < BLOCKS; i++)
		order[i] = i;
	for (uint32_t i = BLOCKS - 1; i > 0; i--) {
		uint32_t k = below(i + 1), o = order[i];

		order[i] = order[k];
		order[k] = o;
	}
	for (uint32_t i = 0; i < BLOCKS; i++)
		add(&mixed, noise.p + (size_t)order[i] * BLOCK, BLOCK);
	/* 8 bits each are 256. */
	assert_in_range(bytes_for(&noise, &mixed), 256, 600);
	free(noise.p);
	free(mixed.p);
}

static void edits_at_equal_distances_cost_hardly_more_than_one(void **state UNUSED)
{
	enum { BLOCK = 64, BLOCKS = 4096 };
	struct bytes noise = bytes_new(BLOCKS * BLOCK), more = bytes_new(BLOCKS * (BLOCK + 1));
	struct bytes less = bytes_new(BLOCKS * (BLOCK - 1));

	seed = 6;
	add_content(&noise, NOISE, noise.cap);
	for (size_t i = 0; i < BLOCKS; i++) {
		add(&more, noise.p + i * BLOCK, BLOCK);
		add(&more, (const uint8_t *)"\n", 1);
		add(&less, noise.p + i * BLOCK, BLOCK - 1);
	}
	assert_in_range(bytes_for(&noise, &more), 30, 300);
	assert_in_range(bytes_for(&noise, &less), 30, 100);
	free(noise.p);
	free(more.p);
	free(less.p);
}

/* An image in which old copies of blocks lie about, as one updated in place: they may all be used,
 * and what is needed twice is there twice. */
static void old_ranges_stay_usable(void **state UNUSED)
{
	struct bytes old = bytes_new(200000), new = bytes_new(1 << 20);
	struct delta_info info;

	seed = 8;
	add_content(&old, 0, 200000);
	for (unsigned i = 0; i < 5; i++)
		add_old(&new, &old, 1000 + i, 190000);
	int a = memfile(old.p, old.n), b = memfile(new.p, new.n);
	int delta = make_delta(a, b, 1, &info);

	assert_int_equal(info.inserted_bytes, 0);
	assert_true(info.delta_size < 300);
	assert_applies(delta, a, &new);
	close(a);
	close(b);
	close(delta);
	free(old.p);
	free(new.p);
}

/* Records as many programs have them: a few kinds, some values. */
static struct bytes records(uint64_t from, size_t n)
{
	struct bytes b = bytes_new(n + 16);

	seed = from;
	while (b.n < n) {
		uint32_t kind = below(24);
		const uint8_t r[16] = { 0x48,
					0x8b,
					(uint8_t)kind,
					(uint8_t)(kind * 7),
					(uint8_t)below(8),
					0,
					0,
					(uint8_t)(kind & 3),
					0xe8,
					(uint8_t)(kind * 29),
					(uint8_t)(kind * 3),
					0,
					0x0f,
					(uint8_t)(below(4) * 16),
					0x85,
					0xc0 };

		add(&b, r, sizeof(r));
	}
	return b;
}

/* What is alike by chance has to be named each time, and is foreseen anyhow. */
static void an_old_image_that_does_not_help_costs_little(void **state UNUSED)
{
	struct bytes old = records(1, 600000), new = records(2, 600000);
	struct delta_info with, without;
	int a = memfile(old.p, old.n), none = memfile("", 0), b = memfile(new.p, new.n);

	for (uint64_t bulk = 0; bulk < 2; bulk++) {
		int delta = make_delta_mixed(a, b, 1, bulk, &with);

		close(make_delta_mixed(none, b, 1, bulk, &without));
		assert_applies(delta, a, &new);
		/* In bulk it is reckoned, not tried, what inserting takes. */
		assert_true(with.delta_size <=
			    without.delta_size + without.delta_size / (bulk ? 4 : 10));
		assert_int_equal(with.copied_bytes + with.inserted_bytes + with.zero_bytes,
				 new.n);
		close(delta);
	}
	close(a);
	close(none);
	close(b);
	free(old.p);
	free(new.p);
}

static void long_inserts_in_bulk_come_out_exactly(void **state UNUSED)
{
	struct bytes old = bytes_new(300000), new = bytes_new(5 << 20);
	struct delta_info info;
	struct err e;

	seed = 11;
	add_content(&old, 3, 300000);
	add_content(&new, 0, 70000);
	add_old(&new, &old, 5000, 200000);
	add_content(&new, 1, 3 << 20);
	add_old(&new, &old, 0, 100000);
	add_content(&new, 1, 10000);
	int a = memfile(old.p, old.n), b = memfile(new.p, new.n), out = memfile("", 0);
	struct delta_job job = {
		.old_fd = a, .new_fd = b, .out_fd = out, .scratch_fd = -1, .mixed_max = 1
	};

	assert_ok(delta_create(&job, &info, &e), &e);
	assert_applies(out, a, &new);
	struct sink s = { .want = &new, .stop = UINT64_MAX };
	assert_ok(apply(out, a, 2 << 20, &s, &e), &e);
	close(a);
	close(b);
	close(out);
	free(old.p);
	free(new.p);
}

static bool cancel(void *ctx, uint64_t done, uint64_t total)
{
	unsigned *left = ctx;

	assert_true(done <= total + 4096);
	return (*left)-- > 0;
}

static void making_can_be_cancelled(void **state UNUSED)
{
	struct pair p = make_pair(9002, 12 << 20);
	unsigned left = 1;
	int out = memfile("", 0);
	struct delta_job job = { .old_fd = p.old_fd,
				 .new_fd = p.new_fd,
				 .out_fd = out,
				 .scratch_fd = -1,
				 .progress = cancel,
				 .ctx = &left };
	struct delta_info info;
	struct err e;

	assert_fails(delta_create(&job, &info, &e), &e, E_CANCELLED);
	job.progress = NULL;
	job.output_max = 10;
	assert_fails(delta_create(&job, &info, &e), &e, E_TOO_BIG);
	close(out);
	pair_done(&p);
}

/* In a child, as a peak never falls: what applying uses beyond what the process had. */
static void applying_stays_within_32_mib(void **state UNUSED)
{
	int status;

	if (ADDRESS_SANITIZED)
		skip();
	struct pair p = make_pair(9003, 12 << 20);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rusage before, after;
		struct sink s = { .want = &p.new, .stop = UINT64_MAX };
		struct err e;

		getrusage(RUSAGE_SELF, &before);
		bool ok = apply(p.delta, p.old_fd, 0, &s, &e);
		getrusage(RUSAGE_SELF, &after);
		child_exit(!ok || after.ru_maxrss - before.ru_maxrss > 32 << 10);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	pair_done(&p);
}

static void running_out_of_memory_is_an_error(void **state UNUSED)
{
	struct pair p = make_pair(5, 6000);

	FAULT_EACH(n, FAULT_ALLOC) {
		struct sink s = { .want = &p.new, .stop = UINT64_MAX };
		struct err e = { 0 };

		if (!apply(p.delta, p.old_fd, 0, &s, &e))
			assert_int_equal(e.code, E_NOMEM);
	}
	pair_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
			thousands_of_generated_pairs_come_out_exactly_or_not_at_all, tell_pair),
		cmocka_unit_test(a_kill_at_any_segment_is_resumed_there),
		cmocka_unit_test(resuming_between_segments_is_refused),
		cmocka_unit_test(a_flipped_bit_in_the_delta_gives_an_error_or_the_exact_bytes),
		cmocka_unit_test(
			a_flipped_bit_in_the_old_image_gives_an_error_or_the_exact_bytes),
		cmocka_unit_test(a_delta_cut_anywhere_is_refused),
		cmocka_unit_test(an_old_image_of_another_size_is_refused),
		cmocka_unit_test(the_same_bytes_for_any_number_of_threads),
		cmocka_unit_test(special_pairs_are_small),
		cmocka_unit_test(noise_costs_little_more_than_itself),
		cmocka_unit_test(blocks_in_another_order_cost_little_more_than_their_numbers),
		cmocka_unit_test(edits_at_equal_distances_cost_hardly_more_than_one),
		cmocka_unit_test(old_ranges_stay_usable),
		cmocka_unit_test(an_old_image_that_does_not_help_costs_little),
		cmocka_unit_test(long_inserts_in_bulk_come_out_exactly),
		cmocka_unit_test(making_can_be_cancelled),
		cmocka_unit_test(applying_stays_within_32_mib),
		cmocka_unit_test(running_out_of_memory_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
