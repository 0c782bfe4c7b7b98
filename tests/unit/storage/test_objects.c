#include "tests/unit/storage/fixture.h"

#include "storage/objects_priv.h"

#include "base/io.h"

#include <fcntl.h>
#include <sys/stat.h>

static void an_object_is_read_back_as_it_was_written(void **state)
{
	FIXTURE(f, state);
	uint8_t sha[SHA256_SIZE];
	char back[16] = "";
	struct err e;
	uint64_t size;
	struct stat st;
	int fd;

	put_object(f.s, "hello", sha);
	assert_ok(objects_open(f.s, sha, &fd, &size, &e), &e);
	assert_int_equal(size, 5);
	assert_ok(pread_all(fd, back, 5, 0, &e), &e);
	assert_string_equal(back, "hello");
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0444);
	close(fd);
}

static void bytes_with_another_hash_are_refused_and_leave_nothing(void **state)
{
	FIXTURE(f, state);
	uint8_t sha[SHA256_SIZE];
	struct object_writer *w;
	struct object_totals t;
	struct err e;

	sha256(sha, "hello", 5);
	assert_ok(objects_begin(&w, f.s, sha, 5, &e), &e);
	assert_ok(objects_write(w, "hellO", 5, &e), &e);
	assert_fails(objects_commit(&w, &e), &e, E_CORRUPT);
	assert_null(w);
	assert_ok(objects_totals(f.s, &t, &e), &e);
	assert_int_equal(t.count, 0);
	assert_int_equal(count_files_at(f.s->uploads_fd), 0);
}

static void fewer_or_more_bytes_than_announced_are_refused(void **state)
{
	FIXTURE(f, state);
	uint8_t sha[SHA256_SIZE];
	struct object_writer *w;
	struct err e;

	sha256(sha, "hello", 5);
	assert_ok(objects_begin(&w, f.s, sha, 6, &e), &e);
	assert_ok(objects_write(w, "hello", 5, &e), &e);
	assert_fails(objects_commit(&w, &e), &e, E_CORRUPT);
	assert_ok(objects_begin(&w, f.s, sha, 4, &e), &e);
	assert_fails(objects_write(w, "hello", 5, &e), &e, E_CORRUPT);
	objects_abort(w);
	assert_false(has_object(f.s, "hello"));
}

static void missing_tells_what_is_not_there(void **state)
{
	FIXTURE(f, state);
	uint8_t sha[3][SHA256_SIZE] = { { 0 } };
	bool missing[3];
	struct err e;

	put_object(f.s, "a", sha[0]);
	put_object(f.s, "b", sha[2]);
	assert_ok(objects_missing(f.s, sha, 3, missing, &e), &e);
	assert_false(missing[0]);
	assert_true(missing[1]);
	assert_false(missing[2]);
}

static void unreferenced_objects_go_after_the_guard_and_not_before(void **state)
{
	FIXTURE(f, state);
	uint8_t sha[SHA256_SIZE];
	struct objects_gc gc;
	struct err e;

	put_object(f.s, "hello", sha);
	clock_fake_advance(&f.clock, (OBJECTS_GUARD_S - 1) * INT64_C(1000));
	assert_ok(objects_gc(f.s, &gc, &e), &e);
	assert_int_equal(gc.objects, 0);
	assert_true(has_object(f.s, "hello"));
	clock_fake_advance(&f.clock, 2000);
	assert_ok(objects_gc(f.s, &gc, &e), &e);
	assert_int_equal(gc.objects, 1);
	assert_int_equal(gc.bytes, 5);
	assert_false(has_object(f.s, "hello"));
}

static void what_a_publisher_was_told_is_there_stays(void **state)
{
	FIXTURE(f, state);
	uint8_t sha[1][SHA256_SIZE];
	struct objects_gc gc;
	bool missing;
	struct err e;

	put_object(f.s, "hello", sha[0]);
	clock_fake_advance(&f.clock, (OBJECTS_GUARD_S - 1) * INT64_C(1000));
	assert_ok(objects_missing(f.s, sha, 1, &missing, &e), &e);
	assert_false(missing);
	clock_fake_advance(&f.clock, (OBJECTS_GUARD_S - 1) * INT64_C(1000));
	assert_ok(objects_gc(f.s, &gc, &e), &e);
	assert_true(has_object(f.s, "hello"));
}

static void collection_never_takes_what_a_release_needs(void **state)
{
	FIXTURE(f, state);
	struct object_totals t;
	struct objects_gc gc;
	uint8_t sha[SHA256_SIZE];
	struct err e;

	publish(f.s, "phone", "1.0", 1);
	put_object(f.s, "garbage", sha);
	clock_fake_advance(&f.clock, 400 * INT64_C(86400000));
	assert_ok(objects_gc(f.s, &gc, &e), &e);
	assert_int_equal(gc.objects, 1);
	assert_true(has_object(f.s, "1.0 object"));
	assert_true(has_object(f.s, "1.0 tree"));
	assert_ok(objects_check(f.s, &t, &e), &e);
	assert_int_equal(t.count, 3); /* manifest, object, tree */
}

static void collection_never_takes_what_a_bundle_or_an_upload_needs(void **state)
{
	FIXTURE(f, state);
	struct policy_new p = { .name = "base", .version = 1, .text = "{}", .n = 2 };
	uint8_t sha[SHA256_SIZE];
	struct upload_append *a;
	enum policy_put put;
	struct objects_gc gc;
	struct upload u;
	struct err e;

	assert_ok(policies_publish(f.s, &p, "token:k1", &put, &e), &e);
	clock_fake_advance(&f.clock, 2 * OBJECTS_GUARD_S * INT64_C(1000));
	sha256(sha, "sent", 4);
	assert_ok(uploads_create(f.s, sha, 4, 1, &u, &e), &e);
	assert_ok(upload_begin(&a, f.s, u.id, 1, 0, &e), &e);
	assert_ok(upload_write(a, "sent", 4, &e), &e);
	assert_ok(upload_end(&a, NULL, &u, &e), &e);
	clock_fake_advance(&f.clock, (UPLOADS_TTL_S - 1) * INT64_C(1000));
	assert_ok(objects_gc(f.s, &gc, &e), &e);
	assert_int_equal(gc.objects + gc.orphans, 0);
	assert_true(has_object(f.s, "{}"));
	assert_true(has_object(f.s, "sent"));
	/* The upload's row goes, and with it the reason. */
	clock_fake_advance(&f.clock, 2000);
	assert_ok(uploads_expire(f.s, NULL, &e), &e);
	assert_ok(objects_gc(f.s, &gc, &e), &e);
	assert_int_equal(gc.objects, 1);
	assert_true(has_object(f.s, "{}"));
	assert_false(has_object(f.s, "sent"));
}

static void a_withdrawn_release_lets_go_after_its_time(void **state)
{
	FIXTURE(f, state);
	struct objects_gc gc;
	struct err e;

	publish(f.s, "phone", "1.0", 1);
	assert_ok(releases_withdraw(f.s, "phone", "1.0", "bad", "token:k1", &e), &e);
	clock_fake_advance(&f.clock, (OBJECTS_WITHDRAWN_S - 10) * INT64_C(1000));
	assert_ok(objects_gc(f.s, &gc, &e), &e);
	assert_int_equal(gc.objects, 0);
	clock_fake_advance(&f.clock, 20000);
	assert_ok(objects_gc(f.s, &gc, &e), &e);
	assert_int_equal(gc.objects, 3);
	assert_ok(store_check(f.s, &e), &e);
}

static void many_are_collected_in_batches(void **state)
{
	FIXTURE(f, state);
	struct objects_gc gc;
	struct err e;

	for (int i = 0; i < 450; i++) {
		char text[16];
		uint8_t sha[SHA256_SIZE];

		snprintf(text, sizeof(text), "%d", i);
		put_object(f.s, text, sha);
	}
	clock_fake_advance(&f.clock, 2 * OBJECTS_GUARD_S * INT64_C(1000));
	assert_ok(objects_gc(f.s, &gc, &e), &e);
	assert_int_equal(gc.objects, 450);
}

static void a_file_without_a_row_is_collected(void **state)
{
	FIXTURE(f, state);
	uint8_t sha[SHA256_SIZE];
	struct object_path path;
	struct objects_gc gc;
	struct err e;
	int dir;

	sha256(sha, "orphan", 6);
	object_path(&path, sha);
	assert_ok(dir_open_at(&dir, f.s->objects_fd, path.dir, 0750, &e), &e);
	write_file_at(dir, path.name, "orphan", 6);
	write_file_at(dir, "notes.txt", "not ours", 8);
	assert_ok(objects_gc(f.s, &gc, &e), &e);
	assert_int_equal(gc.orphans, 1);
	assert_false(file_exists_at(dir, path.name));
	assert_true(file_exists_at(dir, "notes.txt"));
	close(dir);
}

static void check_finds_one_flipped_bit_and_a_lost_file(void **state)
{
	FIXTURE(f, state);
	uint8_t sha[SHA256_SIZE], raw[5];
	struct object_path path;
	struct object_totals t;
	struct err e;
	int dir;

	put_object(f.s, "hello", sha);
	assert_ok(objects_check(f.s, &t, &e), &e);
	assert_int_equal(t.bytes, 5);
	object_path(&path, sha);
	assert_ok(dir_open_at(&dir, f.s->objects_fd, path.dir, 0750, &e), &e);
	memcpy(raw, "hello", 5);
	flip_bit(raw, 17);
	assert_int_equal(unlinkat(dir, path.name, 0), 0);
	assert_fails(objects_check(f.s, &t, &e), &e, E_CORRUPT);
	write_file_at(dir, path.name, raw, 5);
	assert_fails(objects_check(f.s, &t, &e), &e, E_CORRUPT);
	/* Stored once more, it is whole again. */
	put_object(f.s, "hello", sha);
	assert_ok(objects_check(f.s, &t, &e), &e);
	close(dir);
}

/* The object's file with one bit turned, as a disk may do it. */
static void damage(struct store *s, const uint8_t sha[static SHA256_SIZE])
{
	struct object_path path;
	struct err e;
	uint8_t byte;
	int dir, fd;

	object_path(&path, sha);
	assert_ok(dir_open_at(&dir, s->objects_fd, path.dir, 0750, &e), &e);
	assert_int_equal(fchmodat(dir, path.name, 0600, 0), 0); /* not everybody is root */
	fd = openat(dir, path.name, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, 0), 1);
	close(fd);
	close(dir);
}

static void a_damaged_object_is_dropped_and_then_missing_until_it_comes_again(void **state)
{
	FIXTURE(f, state);
	uint8_t sha[1][SHA256_SIZE];
	bool dropped, missing;
	struct upload u;
	struct err e;
	uint64_t size;
	int fd;

	put_object(f.s, "hello", sha[0]);
	assert_ok(objects_drop_damaged(f.s, sha[0], &dropped, &e), &e);
	assert_false(dropped);
	assert_true(has_object(f.s, "hello"));

	damage(f.s, sha[0]);
	assert_ok(objects_drop_damaged(f.s, sha[0], &dropped, &e), &e);
	assert_true(dropped);
	assert_fails(objects_open(f.s, sha[0], &fd, &size, &e), &e, E_NOT_FOUND);
	assert_ok(objects_missing(f.s, sha, 1, &missing, &e), &e);
	assert_true(missing);
	assert_ok(objects_drop_damaged(f.s, sha[0], &dropped, &e), &e);
	assert_false(dropped);
	assert_ok(uploads_create(f.s, sha[0], 5, 1, &u, &e), &e);

	put_object(f.s, "hello", sha[0]);
	assert_ok(objects_missing(f.s, sha, 1, &missing, &e), &e);
	assert_false(missing);
	assert_fails(uploads_create(f.s, sha[0], 5, 1, &u, &e), &e, E_EXISTS);
}

static void a_damaged_object_of_a_published_release_can_be_dropped_and_healed(void **state)
{
	FIXTURE(f, state);
	struct sample p;
	struct object_totals t;
	bool dropped;
	struct err e;

	publish(f.s, "acme", "1.0.0", 1);
	sample_make(&p, "acme", "1.0.0", 1);
	damage(f.s, p.component.object_sha256);
	assert_ok(objects_drop_damaged(f.s, p.component.object_sha256, &dropped, &e), &e);
	assert_true(dropped);
	sample_upload(f.s, &p);
	assert_ok(objects_check(f.s, &t, &e), &e);
}

static void an_open_descriptor_outlives_collection(void **state)
{
	FIXTURE(f, state);
	uint8_t sha[SHA256_SIZE];
	char back[6] = "";
	struct objects_gc gc;
	struct err e;
	uint64_t size;
	int fd;

	put_object(f.s, "hello", sha);
	assert_ok(objects_open(f.s, sha, &fd, &size, &e), &e);
	clock_fake_advance(&f.clock, 2 * OBJECTS_GUARD_S * INT64_C(1000));
	assert_ok(objects_gc(f.s, &gc, &e), &e);
	assert_int_equal(gc.objects, 1);
	assert_ok(pread_all(fd, back, 5, 0, &e), &e);
	assert_string_equal(back, "hello");
	close(fd);
}

static void lists_come_in_pages_without_gaps(void **state)
{
	FIXTURE(f, state);
	uint8_t after[SHA256_SIZE];
	struct err e;
	size_t total = 0;
	bool more = true;

	for (int i = 0; i < 25; i++) {
		char text[16];
		uint8_t sha[SHA256_SIZE];

		snprintf(text, sizeof(text), "%d", i);
		put_object(f.s, text, sha);
	}
	while (more) {
		CLEANUP(object_page_done) struct object_page page = { 0 };

		assert_ok(objects_list(f.s, total ? after : NULL, 10, &page, &e), &e);
		assert_in_range(page.n, 1, 10);
		if (total)
			assert_true(memcmp(after, page.items[0].sha256, SHA256_SIZE) < 0);
		total += page.n;
		memcpy(after, page.items[page.n - 1].sha256, SHA256_SIZE);
		more = page.more;
	}
	assert_int_equal(total, 25);
}

static void each_failing_step_of_a_put_leaves_a_store_that_works(void **state)
{
	FIXTURE(f, state);
	static const enum fault_kind kinds[] = { FAULT_ALLOC, FAULT_WRITE, FAULT_SYNC,
						 FAULT_RENAME };
	struct object_totals t;
	struct objects_gc gc;
	unsigned rounds = 0;
	struct err e;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		FAULT_EACH(n, kinds[k]) {
			char text[32];
			uint8_t sha[SHA256_SIZE];
			bool ok;

			snprintf(text, sizeof(text), "%zu %u", k, n);
			ok = objects_put(f.s, text, strlen(text), sha, &e);
			rounds += fault_disarm();
			if (ok)
				assert_true(has_object(f.s, text));
			assert_ok(objects_put(f.s, text, strlen(text), sha, &e), &e);
		}
	}
	assert_in_range(rounds, 8,
			1000); /* at least two calls of each kind were there to fail */
	assert_ok(objects_check(f.s, &t, &e), &e);
	assert_ok(objects_gc(f.s, &gc, &e), &e);
	fixture_reopen(&f);
	assert_int_equal(count_files_at(f.s->uploads_fd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(an_object_is_read_back_as_it_was_written),
		TMPDIR_TEST(bytes_with_another_hash_are_refused_and_leave_nothing),
		TMPDIR_TEST(fewer_or_more_bytes_than_announced_are_refused),
		TMPDIR_TEST(missing_tells_what_is_not_there),
		TMPDIR_TEST(unreferenced_objects_go_after_the_guard_and_not_before),
		TMPDIR_TEST(what_a_publisher_was_told_is_there_stays),
		TMPDIR_TEST(collection_never_takes_what_a_release_needs),
		TMPDIR_TEST(collection_never_takes_what_a_bundle_or_an_upload_needs),
		TMPDIR_TEST(a_withdrawn_release_lets_go_after_its_time),
		TMPDIR_TEST(many_are_collected_in_batches),
		TMPDIR_TEST(a_file_without_a_row_is_collected),
		TMPDIR_TEST(check_finds_one_flipped_bit_and_a_lost_file),
		TMPDIR_TEST(a_damaged_object_is_dropped_and_then_missing_until_it_comes_again),
		TMPDIR_TEST(a_damaged_object_of_a_published_release_can_be_dropped_and_healed),
		TMPDIR_TEST(an_open_descriptor_outlives_collection),
		TMPDIR_TEST(lists_come_in_pages_without_gaps),
		TMPDIR_TEST(each_failing_step_of_a_put_leaves_a_store_that_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
