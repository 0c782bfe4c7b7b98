/* What the bytes of a delta are spent on: every one counted once, by content, file and encoder. */
#include "tests/support/unit.h"
#include "tests/support/erofs.h"
#include "tests/support/forge.h"
#include "base/buf.h"
#include "base/io.h"
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

static void fill_noise(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = noise();
}

static void fill_text(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(noise() % 8 ? 'a' + noise() % 26 : ' ');
}

static uint64_t sum_of(const struct delta_account *a)
{
	uint64_t n = a->index_bytes + a->command_bytes + a->recipe_bytes;

	for (unsigned k = 0; k < DELTA_CONTENTS; k++)
		n += a->content_bytes[k];
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
	CLEANUP(fd_closep) int image = forge_memfile("", 0);

	return delta_open(&d, delta, old, e) && delta_account(d, image, ret, e);
}

static void each_byte_is_counted_once_where_it_went(void **state UNUSED)
{
	uint8_t *old = malloc(MOST), *new = malloc(MOST);
	struct err e;

	fill_noise(old, MOST);
	memcpy(new, old, MOST);
	fill_noise(new + 50000, 20000);
	fill_text(new + 150000, 70000);
	int old_fd = forge_memfile(old, MOST), new_fd = forge_memfile(new, MOST);
	memset(old, 0, MOST); /* nothing of it is left */
	int other_fd = forge_memfile(old, MOST);
	for (uint64_t bulk = 0; bulk < 2; bulk++) {
		CLEANUP(delta_account_done) struct delta_account a = { .n_paths = 0 };
		struct delta_info info;
		int delta = create(old_fd, new_fd, bulk, &info);

		assert_ok(account_for(delta, old_fd, &a, &e), &e);
		assert_int_equal(sum_of(&a), info.delta_size);
		assert_int_equal(a.n_encoders, 0);
		assert_int_equal(a.paths_all, 0); /* one file without a name */
		assert_true(a.content_bytes[DELTA_PACKED] > 19000);
		assert_true(a.content_bytes[DELTA_PACKED] < 22000);
		assert_true(a.content_bytes[DELTA_TEXT] > 30000);
		assert_true(a.content_bytes[DELTA_TEXT] < 50000);
		/* With another image of the same size, an error and no account. */
		struct delta_account b = { .index_bytes = 77 };
		assert_false(account_for(delta, other_fd, &b, &e));
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
	close(other_fd);
	close(new_fd);
	free(old);
	free(new);
}

/* Two erofs images of files of noise; in the second one number 2 and the end of number 5 are new. */
static struct buf files_image(bool is_new)
{
	struct erofs_maker m;
	uint8_t p[20000];

	erofs_begin(&m);
	for (unsigned i = 0; i < 8; i++) {
		seed = 50 + i + (is_new && i == 2 ? 1000 : 0);
		fill_noise(p, sizeof(p));
		if (is_new && i == 5)
			fill_noise(p + 19000, 1000);
		erofs_add(&m, p, sizeof(p), i % EROFS_ORDERS);
	}
	return erofs_end(&m);
}

static void files_are_told_by_what_they_cost(void **state UNUSED)
{
	CLEANUP(delta_account_done) struct delta_account a = { .n_paths = 0 };
	CLEANUP(buf_done) struct buf old = files_image(false), new = files_image(true);
	CLEANUP(fd_closep) int old_fd = forge_memfile(old.p, old.n);
	CLEANUP(fd_closep) int new_fd = forge_memfile(new.p, new.n);
	struct delta_info info;
	struct err e;
	CLEANUP(fd_closep) int delta = create(old_fd, new_fd, 0, &info);

	assert_ok(account_for(delta, old_fd, &a, &e), &e);
	assert_int_equal(sum_of(&a), info.delta_size);
	assert_true(a.n_paths >= 2);
	assert_int_equal(a.paths_all, a.n_paths);
	assert_string_equal(a.paths[0].path, "/2000"); /* names are backwards */
	assert_in_range(a.paths[0].spent_bytes, 19900, 20400);
	assert_string_equal(a.paths[1].path, "/5000");
	assert_in_range(a.paths[1].spent_bytes, 950, 1100);
	for (size_t i = 2; i < a.n_paths; i++)
		assert_true(a.paths[i].spent_bytes <= a.paths[i - 1].spent_bytes &&
			    a.paths[i].spent_bytes < 50);
	assert_true(a.content_bytes[DELTA_PACKED] > 20900);
}

/* Names that would make a terminal or JSON do something. */
static void paths_are_told_as_text(void **state UNUSED)
{
	CLEANUP(delta_account_done) struct delta_account a = { .n_paths = 0 };
	CLEANUP(buf_done) struct buf old = files_image(false), new = files_image(true);
	struct delta_info info;
	struct err e;

	for (size_t i = 0; i + 4 < new.n; i++)
		if (memcmp(new.p + i, "2000", 4) == 0 && memcmp(new.p + i + 4, "3000", 4) == 0)
			memcpy(new.p + i, "\\\x1b\xff\"", 4);
	CLEANUP(fd_closep) int old_fd = forge_memfile(old.p, old.n);
	CLEANUP(fd_closep) int new_fd = forge_memfile(new.p, new.n);
	CLEANUP(fd_closep) int delta = create(old_fd, new_fd, 0, &info);
	assert_ok(account_for(delta, old_fd, &a, &e), &e);
	assert_string_equal(a.paths[0].path, "/\\x5c\\x1b\\xff\"");
}

static void memory_that_runs_out_is_told(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf old = files_image(false), new = files_image(true);
	CLEANUP(fd_closep) int old_fd = forge_memfile(old.p, old.n);
	CLEANUP(fd_closep) int new_fd = forge_memfile(new.p, new.n);
	struct delta_info info;
	CLEANUP(fd_closep) int delta = create(old_fd, new_fd, 0, &info);

	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(delta_account_done) struct delta_account a = { .n_paths = 0 };
		struct err e;

		if (!account_for(delta, old_fd, &a, &e))
			assert_int_equal(e.code, E_NOMEM);
	}
	FAULT_EACH(n, FAULT_WRITE) {
		CLEANUP(delta_account_done) struct delta_account a = { .n_paths = 0 };
		struct err e;

		if (!account_for(delta, old_fd, &a, &e))
			assert_int_equal(e.code, E_NO_SPACE);
	}
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
	CLEANUP(delta_account_done) struct delta_account a = { .n_paths = 0 };
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
	assert_true(a.content_bytes[DELTA_GZIP] > 20);
	assert_int_equal(a.content_bytes[DELTA_DEFLATE] + a.content_bytes[DELTA_ZIP], 0);
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
	struct account account = account_begin(0);
	struct delta_account *a = &account.sums;
	static const uint8_t nonsense[1];
	uint64_t streams = 0;

	account_stream(&account, nonsense, 0, 10, 20, 5);
	assert_string_equal(a->encoders[0].name, "unknown");
	for (unsigned i = 1; i < DELTA_ENCODERS; i++)
		snprintf(a->encoders[i].name, DELTA_ENCODER_NAME, "one of many %u", i);
	a->n_encoders = DELTA_ENCODERS;
	for (unsigned i = 0; i < 5; i++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(100);
		struct recipe r = { .how = { .is_gzip = true,
					     .level = (uint8_t)(1 + i),
					     .window_bits = 15,
					     .memory = 8 } };
		struct err e;

		assert_ok(recipe_encode(&b, &r, &e), &e);
		account_stream(&account, b.p, b.n, 1, 2, 3);
	}
	assert_int_equal(a->n_encoders, DELTA_ENCODERS);
	assert_int_equal(a->encoders[DELTA_ENCODERS - 1].streams, 5);
	for (unsigned i = 0; i < DELTA_ENCODERS; i++)
		streams += a->encoders[i].streams;
	assert_int_equal(streams, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_byte_is_counted_once_where_it_went),
		cmocka_unit_test(files_are_told_by_what_they_cost),
		cmocka_unit_test(paths_are_told_as_text),
		cmocka_unit_test(memory_that_runs_out_is_told),
		cmocka_unit_test(streams_are_told_by_who_packed_them),
		cmocka_unit_test(more_names_than_there_is_room_for_are_counted_together),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
