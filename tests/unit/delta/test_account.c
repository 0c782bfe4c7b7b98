/* What the bytes of a delta are spent on: every one counted once, by content and by encoder. */
#include "tests/support/unit.h"
#include "tests/support/forge.h"
#include "base/buf.h"
#include "delta/account.h"
#include "delta/recipe.h"

#include <unistd.h>
#include <zlib.h>

enum { MOST = 300000 };

static uint32_t seed = 3;

static uint8_t noise(void)
{
	seed = seed * 1664525 + 1013904223;
	return (uint8_t)(seed >> 24);
}

static void make(uint8_t *p, enum delta_content kind, size_t n)
{
	static const uint8_t code[] = { 0x48, 0x8b, 0x45, 0xf8, 0x48, 0x89, 0xc7, 0xe8,
					0x10, 0x20, 0x00, 0x00, 0x85, 0xc0, 0x74, 0x0a };

	for (size_t i = 0; i < n; i++)
		p[i] = kind == DELTA_TEXT      ? (uint8_t)("a line of text\n"[i % 15])
		       : kind == DELTA_CODE    ? code[i % sizeof(code)]
		       : kind == DELTA_RECORDS ? (uint8_t)(i % 4 ? 0 : noise())
		       : kind == DELTA_PACKED  ? noise()
					       : (uint8_t)(128 + noise() % 64);
}

static void blocks_are_told_by_their_bytes(void **state UNUSED)
{
	static const size_t sizes[] = { 256, 700, 1024, 5000 };
	uint8_t p[5000];

	for (unsigned k = 0; k < DELTA_CONTENTS; k++)
		for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
			make(p, (enum delta_content)k, sizes[i]);
			assert_int_equal(content_of(p, sizes[i]), k);
		}
	/* Too few bytes to tell noise or code. */
	make(p, DELTA_PACKED, 100);
	assert_int_equal(content_of(p, 100), DELTA_OTHER);
	assert_int_equal(content_of(p, 0), DELTA_TEXT);
}

static uint64_t sum_of(const struct delta_account *a)
{
	uint64_t n = a->index_bytes + a->command_bytes + a->recipe_bytes;

	for (unsigned k = 0; k < DELTA_CONTENTS; k++)
		n += a->content[k].spent_bytes;
	return n;
}

static int create(int old, int new, uint64_t mixed_max, struct delta_info *info)
{
	int out = forge_memfile("", 0);
	struct delta_job job = { .old_fd = old,
				 .new_fd = new,
				 .out_fd = out,
				 .scratch_fd = -1,
				 .mixed_max = mixed_max };
	struct err e;

	assert_ok(delta_create(&job, info, &e), &e);
	return out;
}

static bool account_for(int delta, int old, struct delta_account *ret, struct err *e)
{
	CLEANUP(delta_freep) struct delta *d = NULL;

	return delta_open(&d, delta, old, e) && delta_account(d, ret, e);
}

static void each_byte_is_counted_once_where_it_went(void **state UNUSED)
{
	uint8_t *old = malloc(MOST), *new = malloc(MOST);
	struct err e;

	make(old, DELTA_PACKED, MOST);
	memcpy(new, old, MOST);
	make(new + 50000, DELTA_PACKED, 20000);
	make(new + 100000, DELTA_CODE, 10000);
	make(new + 150000, DELTA_TEXT, 70000);
	int old_fd = forge_memfile(old, MOST), new_fd = forge_memfile(new, MOST);
	for (uint64_t bulk = 0; bulk < 2; bulk++) {
		struct delta_account a;
		struct delta_info info;
		int delta = create(old_fd, new_fd, bulk, &info);

		assert_ok(account_for(delta, old_fd, &a, &e), &e);
		assert_int_equal(sum_of(&a), info.delta_size);
		assert_int_equal(a.n_encoders, 0);
		assert_true(a.content[DELTA_PACKED].spent_bytes > 19500);
		assert_true(a.content[DELTA_PACKED].spent_bytes < 22000);
		assert_true(a.content[DELTA_CODE].bytes > 8000);
		assert_true(a.content[DELTA_TEXT].bytes > 69000);
		assert_true(a.content[DELTA_TEXT].spent_bytes < 70000 / 4);
		/* With another image of the same size, an error and no account. */
		struct delta_account b = { .index_bytes = 77 };
		assert_false(account_for(delta, new_fd, &b, &e));
		assert_int_equal(b.index_bytes, 77);
		close(delta);
	}
	struct delta_account a;
	struct delta_info info;
	int none = forge_memfile("", 0), delta = create(old_fd, none, 0, &info);
	assert_ok(account_for(delta, old_fd, &a, &e), &e);
	assert_int_equal(a.index_bytes, info.delta_size);
	close(delta);
	close(none);
	close(old_fd);
	close(new_fd);
	free(old);
	free(new);
}

/* A gzip member of the same text, with other numbers; returns its size. */
static size_t member(uint8_t *p, size_t room, int level, int memory, unsigned from)
{
	char text[60000];
	size_t n = 0;

	for (; n + 60 < sizeof(text); from++)
		n += (size_t)snprintf(text + n, 60, "the %u. line of %u\n", from, from * 7919);
	z_stream z = { .next_in = (uint8_t *)text,
		       .avail_in = (uInt)n,
		       .next_out = p,
		       .avail_out = (uInt)room };
	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 31, memory, 0), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

static uint64_t streams_of(const struct delta_account *a, const char *name)
{
	for (unsigned i = 0; i < a->n_encoders; i++)
		if (strcmp(a->encoders[i].name, name) == 0)
			return a->encoders[i].streams;
	return 0;
}

static void streams_are_told_by_who_packed_them(void **state UNUSED)
{
	uint8_t *old = calloc(1, MOST), *new = calloc(1, MOST);
	struct delta_account a;
	struct delta_info info;
	size_t at = 100;
	struct err e;

	for (unsigned i = 0; i < 5; i++) {
		static const int levels[] = { 6, 6, 1, 6, 6 }, memory[] = { 8, 8, 8, 9, 8 };

		member(old + at, MOST - at, 6, 8, i * 10000);
		at += 500 + member(new + at, MOST - at, levels[i], memory[i], i * 10000 + 1);
	}
	int old_fd = forge_memfile(old, MOST), new_fd = forge_memfile(new, MOST);
	int delta = create(old_fd, new_fd, 0, &info);
	assert_ok(account_for(delta, old_fd, &a, &e), &e);
	assert_int_equal(sum_of(&a), info.delta_size);
	assert_int_equal(info.streams_new, 5);
	/* Levels 6 and 9 may choose alike. */
	assert_int_equal(streams_of(&a, "zlib -6") + streams_of(&a, "zlib -9"), 3);
	assert_int_equal(streams_of(&a, "zlib -1"), 1);
	assert_int_equal(streams_of(&a, "zlib -6 with parameters"), 1);
	for (unsigned i = 0; i < a.n_encoders; i++) {
		const struct delta_encoder *x = &a.encoders[i];

		assert_true(x->plain_bytes > x->streams * 59000);
		assert_true(x->packed_bytes > x->streams * 5000 && x->packed_bytes < at);
		assert_true(x->spent_bytes > 0 && x->spent_bytes < info.delta_size);
	}
	close(delta);
	close(old_fd);
	close(new_fd);
	free(old);
	free(new);
}

static void more_names_than_there_is_room_for_are_counted_together(void **state UNUSED)
{
	static struct delta_account a;
	static const uint8_t nonsense[1];
	uint64_t streams = 0;

	account_stream(&a, nonsense, 0, 10, 20, 5);
	assert_string_equal(a.encoders[0].name, "unknown");
	for (unsigned i = 1; i < DELTA_ENCODERS; i++)
		snprintf(a.encoders[i].name, DELTA_ENCODER_NAME, "one of many %u", i);
	a.n_encoders = DELTA_ENCODERS;
	for (unsigned i = 0; i < 5; i++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(100);
		struct recipe r = { .how = { .is_gzip = true,
					     .level = (uint8_t)(1 + i),
					     .window_bits = 15,
					     .memory = 8 } };
		struct err e;

		assert_ok(recipe_encode(&b, &r, &e), &e);
		account_stream(&a, b.p, b.n, 1, 2, 3);
	}
	assert_int_equal(a.n_encoders, DELTA_ENCODERS);
	assert_int_equal(a.encoders[DELTA_ENCODERS - 1].streams, 5);
	for (unsigned i = 0; i < DELTA_ENCODERS; i++)
		streams += a.encoders[i].streams;
	assert_int_equal(streams, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_told_by_their_bytes),
		cmocka_unit_test(each_byte_is_counted_once_where_it_went),
		cmocka_unit_test(streams_are_told_by_who_packed_them),
		cmocka_unit_test(more_names_than_there_is_room_for_are_counted_together),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
