#include "tests/unit/storage/fixture.h"

#include "storage/store_priv.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char text[] = "The quick brown fox jumps over the lazy dog";
enum { N = sizeof(text) - 1, OWNER = 1 };

static struct upload make(struct fixture *f)
{
	uint8_t sha[SHA256_SIZE];
	struct upload u;
	struct err e;

	sha256(sha, text, N);
	assert_ok(uploads_create(f->s, sha, N, OWNER, &u, &e), &e);
	assert_int_equal(u.offset, 0);
	assert_false(u.done);
	return u;
}

/* One PATCH of bytes from..to. */
static struct upload patch(struct fixture *f, const char *id, size_t from, size_t to)
{
	struct upload_append *a;
	struct upload u;
	struct err e;

	assert_ok(upload_begin(&a, f->s, id, OWNER, from, &e), &e);
	assert_ok(upload_write(a, text + from, to - from, &e), &e);
	assert_ok(upload_end(&a, NULL, &u, &e), &e);
	assert_null(a);
	return u;
}

static struct upload get(struct fixture *f, const char *id)
{
	struct upload u;
	struct err e;

	assert_ok(uploads_get(f->s, id, OWNER, &u, &e), &e);
	return u;
}

static void an_upload_in_parts_becomes_an_object(void **state)
{
	FIXTURE(f, state);
	struct upload u = make(&f);

	u = patch(&f, u.id, 0, 10);
	assert_int_equal(u.offset, 10);
	u = patch(&f, u.id, 10, 30);
	assert_false(has_object(f.s, text));
	u = patch(&f, u.id, 30, N);
	assert_true(u.done);
	assert_true(has_object(f.s, text));
	assert_true(get(&f, u.id).done); /* for a client whose answer was lost */
	assert_int_equal(get(&f, u.id).offset, N);
	assert_int_equal(count_files_at(f.s->uploads_fd), 0);
}

static void an_upload_goes_on_after_a_restart_at_every_byte(void **state)
{
	FIXTURE(f, state);
	struct upload u = make(&f);

	for (size_t at = 0; at < N; at++) {
		u = patch(&f, u.id, at, at + 1);
		fixture_reopen(&f);
		assert_int_equal(get(&f, u.id).offset, at + 1);
	}
	assert_true(u.done);
	assert_true(has_object(f.s, text));
}

static void another_offset_is_refused_and_told(void **state)
{
	FIXTURE(f, state);
	struct upload u = make(&f);
	struct upload_append *a;
	struct err e;

	patch(&f, u.id, 0, 10);
	assert_fails(upload_begin(&a, f.s, u.id, OWNER, 9, &e), &e, E_CONFLICT);
	assert_non_null(strstr(e.text, "at 10, not at 9"));
	assert_fails(upload_begin(&a, f.s, u.id, OWNER, 11, &e), &e, E_CONFLICT);
}

static void only_one_request_writes_at_a_time(void **state)
{
	FIXTURE(f, state);
	struct upload u = make(&f);
	struct upload_append *a, *b;
	struct err e;

	assert_ok(upload_begin(&a, f.s, u.id, OWNER, 0, &e), &e);
	assert_fails(upload_begin(&b, f.s, u.id, OWNER, 0, &e), &e, E_BUSY);
	assert_fails(uploads_delete(f.s, u.id, OWNER, &e), &e, E_BUSY);
	upload_drop(a);
	assert_ok(upload_begin(&b, f.s, u.id, OWNER, 0, &e), &e);
	upload_drop(b);
}

static void wrong_bytes_are_found_and_removed(void **state)
{
	FIXTURE(f, state);
	struct upload u = make(&f);
	struct upload_append *a;
	struct upload got;
	char bad[N];
	struct err e;

	for (size_t bit = 0; bit < N * 8; bit += 37) {
		u = make(&f);
		memcpy(bad, text, N);
		flip_bit(bad, bit);
		assert_ok(upload_begin(&a, f.s, u.id, OWNER, 0, &e), &e);
		assert_ok(upload_write(a, bad, N, &e), &e);
		assert_fails(upload_end(&a, NULL, &got, &e), &e, E_CORRUPT);
		assert_fails(uploads_get(f.s, u.id, OWNER, &got, &e), &e, E_NOT_FOUND);
		assert_false(has_object(f.s, text));
	}
}

static void a_part_with_a_wrong_checksum_is_dropped_alone(void **state)
{
	FIXTURE(f, state);
	struct upload u = make(&f);
	uint8_t sha[SHA256_SIZE];
	struct upload_append *a;
	struct upload got;
	struct err e;

	patch(&f, u.id, 0, 10);
	assert_ok(upload_begin(&a, f.s, u.id, OWNER, 10, &e), &e);
	assert_ok(upload_write(a, "damaged", 7, &e), &e);
	sha256(sha, text + 10, 7);
	assert_fails(upload_end(&a, sha, &got, &e), &e, E_CORRUPT);
	assert_int_equal(get(&f, u.id).offset, 10);

	assert_ok(upload_begin(&a, f.s, u.id, OWNER, 10, &e), &e);
	assert_ok(upload_write(a, text + 10, 7, &e), &e);
	assert_ok(upload_end(&a, sha, &got, &e), &e);
	assert_int_equal(got.offset, 17);
	assert_true(patch(&f, u.id, 17, N).done);
}

static void more_bytes_than_announced_are_refused(void **state)
{
	FIXTURE(f, state);
	struct upload u = make(&f);
	struct upload_append *a;
	struct upload got;
	struct err e;

	assert_ok(upload_begin(&a, f.s, u.id, OWNER, 0, &e), &e);
	assert_ok(upload_write(a, text, N, &e), &e);
	assert_fails(upload_write(a, "!", 1, &e), &e, E_TOO_BIG);
	assert_ok(upload_end(&a, NULL, &got, &e), &e);
	assert_true(got.done);
}

static void an_upload_is_its_owners_alone(void **state)
{
	FIXTURE(f, state);
	struct upload u = make(&f), got;
	struct upload_append *a;
	struct err e;

	assert_fails(uploads_get(f.s, u.id, OWNER + 1, &got, &e), &e, E_NOT_FOUND);
	assert_fails(upload_begin(&a, f.s, u.id, OWNER + 1, 0, &e), &e, E_NOT_FOUND);
	assert_fails(uploads_delete(f.s, u.id, OWNER + 1, &e), &e, E_NOT_FOUND);
}

static void names_that_are_no_ids_never_become_paths(void **state)
{
	FIXTURE(f, state);
	static const char *const bad[] = { "",
					   ".",
					   "..",
					   "../valise.db",
					   "/etc/passwd",
					   "0123456789abcdef0123456789abcde/",
					   "0123456789ABCDEF0123456789ABCDEF",
					   "%2e%2e" };
	struct upload got;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_fails(uploads_get(f.s, bad[i], OWNER, &got, &e), &e, E_NOT_FOUND);
		assert_fails(uploads_delete(f.s, bad[i], OWNER, &e), &e, E_NOT_FOUND);
	}
}

static void abandoned_uploads_expire_and_leave_nothing(void **state)
{
	FIXTURE(f, state);
	struct upload u = make(&f), got;
	uint64_t n;
	struct err e;

	patch(&f, u.id, 0, 10);
	clock_fake_advance(&f.clock, UPLOADS_TTL_S * INT64_C(1000) - 1000);
	assert_ok(uploads_expire(f.s, &n, &e), &e);
	assert_int_equal(n, 0);
	clock_fake_advance(&f.clock, 1000);
	assert_fails(uploads_get(f.s, u.id, OWNER, &got, &e), &e, E_GONE);
	assert_ok(uploads_expire(f.s, &n, &e), &e);
	assert_int_equal(n, 1);
	assert_fails(uploads_get(f.s, u.id, OWNER, &got, &e), &e, E_NOT_FOUND);
	assert_int_equal(count_files_at(f.s->uploads_fd), 0);
}

static void an_upload_that_moves_does_not_expire(void **state)
{
	FIXTURE(f, state);
	struct upload u = make(&f);

	for (size_t at = 0; at < N; at++) {
		patch(&f, u.id, at, at + 1);
		clock_fake_advance(&f.clock, UPLOADS_TTL_S / 2 * INT64_C(1000));
	}
	assert_true(has_object(f.s, text));
}

static void what_is_stored_already_need_not_be_sent(void **state)
{
	FIXTURE(f, state);
	uint8_t sha[SHA256_SIZE];
	struct upload u;
	struct err e;

	put_object(f.s, text, sha);
	assert_fails(uploads_create(f.s, sha, N, OWNER, &u, &e), &e, E_EXISTS);
}

static void two_uploads_of_one_object_both_end_well(void **state)
{
	FIXTURE(f, state);
	struct upload a = make(&f), b = make(&f);

	assert_true(patch(&f, a.id, 0, N).done);
	assert_true(patch(&f, b.id, 0, N).done);
	assert_true(has_object(f.s, text));
}

static void an_empty_object_is_done_at_once(void **state)
{
	FIXTURE(f, state);
	uint8_t sha[SHA256_SIZE];
	struct upload u;
	struct err e;

	sha256(sha, "", 0);
	assert_ok(uploads_create(f.s, sha, 0, OWNER, &u, &e), &e);
	assert_true(u.done);
	assert_true(has_object(f.s, ""));
}

static void one_owner_cannot_open_uploads_without_end(void **state)
{
	FIXTURE(f, state);
	uint8_t sha[SHA256_SIZE];
	struct upload u;
	struct err e;

	sha256(sha, text, N);
	for (int i = 0; i < UPLOADS_PER_OWNER; i++)
		assert_ok(uploads_create(f.s, sha, N, OWNER, &u, &e), &e);
	assert_fails(uploads_create(f.s, sha, N, OWNER, &u, &e), &e, E_RATE);
	assert_ok(uploads_create(f.s, sha, N, OWNER + 1, &u, &e), &e);
	assert_ok(uploads_delete(f.s, u.id, OWNER + 1, &e), &e);
}

static void promised_room_counts_for_the_next(void **state)
{
	FIXTURE(f, state);
	uint64_t free_bytes = stats_of(f.s).free_bytes, base = free_bytes;
	uint8_t sha[SHA256_SIZE];
	struct upload u;
	struct err e;

	/* Two thirds of what is free above the reserve, twice; others use this disk meanwhile. */
	if (base > LIMIT_COMPONENT_SIZE)
		base = LIMIT_COMPONENT_SIZE;
	f.s->o.reserve_bytes = free_bytes - base;
	sha256(sha, text, N);
	assert_ok(uploads_create(f.s, sha, base / 3 * 2, OWNER, &u, &e), &e);
	sha[0] ^= 1;
	assert_fails(uploads_create(f.s, sha, base / 3 * 2, OWNER, &u, &e), &e, E_NO_SPACE);
}

static void a_full_disk_keeps_what_arrived_and_goes_on(void **state)
{
	FIXTURE(f, state);
	struct upload u = make(&f);
	struct upload_append *a;
	struct err e;
	size_t at;

	assert_ok(upload_begin(&a, f.s, u.id, OWNER, 0, &e), &e);
	fault_arm(FAULT_WRITE, 1);
	assert_fails(upload_write(a, text, N, &e), &e, E_NO_SPACE);
	assert_true(fault_disarm());
	assert_ok(upload_end(&a, NULL, &u, &e), &e);
	at = u.offset;
	assert_in_range(at, 1, N - 1);
	assert_true(patch(&f, u.id, at, N).done);
	assert_true(has_object(f.s, text));
}

static void each_failing_step_loses_no_byte(void **state)
{
	FIXTURE(f, state);
	static const enum fault_kind kinds[] = { FAULT_ALLOC, FAULT_WRITE, FAULT_SYNC,
						 FAULT_RENAME };
	struct object_totals t;
	unsigned rounds = 0;
	struct err e;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		FAULT_EACH(n, kinds[k]) {
			char body[64];
			uint8_t sha[SHA256_SIZE];
			struct upload_append *a = NULL;
			struct upload u, got;
			size_t len;

			fault_disarm();
			len = (size_t)snprintf(body, sizeof(body), "%zu %u %s", k, n, text);
			sha256(sha, body, len);
			assert_ok(uploads_create(f.s, sha, len, OWNER, &u, &e), &e);
			fault_arm(kinds[k], n);
			if (upload_begin(&a, f.s, u.id, OWNER, 0, &e) &&
			    upload_write(a, body, len, &e) && upload_end(&a, NULL, &got, &e))
				assert_true(got.done);
			rounds += fault_disarm();
			upload_drop(TAKE(a));

			assert_ok(uploads_get(f.s, u.id, OWNER, &got, &e), &e);
			if (got.done)
				continue;
			assert_ok(upload_begin(&a, f.s, u.id, OWNER, got.offset, &e), &e);
			assert_ok(upload_write(a, body + got.offset, len - got.offset, &e), &e);
			assert_ok(upload_end(&a, NULL, &got, &e), &e);
			assert_true(got.done);
		}
	}
	assert_in_range(rounds, 8, 1000);
	assert_ok(objects_check(f.s, &t, &e), &e);
	assert_int_equal(t.count, rounds + ARRAY_SIZE(kinds));
}

/* Syncs of our own code that n bytes of an upload of len need until it is told that they are there; each of them
 * that fails is told as well. */
static unsigned syncs_needed(struct fixture *f, const char *what, size_t n, size_t len)
{
	unsigned rounds = 0;
	struct err e;

	for (bool met = true; met;) {
		char body[64];
		uint8_t sha[SHA256_SIZE];
		struct upload_append *a = NULL;
		struct upload u;

		snprintf(body, sizeof(body), "%-40.40s%u", what, rounds);
		sha256(sha, body, len);
		assert_ok(uploads_create(f->s, sha, len, OWNER, &u, &e), &e);
		fault_arm(FAULT_SYNC, rounds + 1);
		bool ok = upload_begin(&a, f->s, u.id, OWNER, 0, &e) &&
			  upload_write(a, body, n, &e) && upload_end(&a, NULL, &u, &e);
		met = fault_disarm();
		upload_drop(TAKE(a));
		assert_true(ok != met);
		rounds += met;
	}
	return rounds;
}

static void bytes_that_were_told_to_be_there_are_synced(void **state)
{
	FIXTURE(f, state);

	assert_int_equal(syncs_needed(&f, "the name, the bytes", 20, 41), 2);
	/* Those again with their mode; the folder that the object is the first in: made, filled, named. */
	assert_int_equal(syncs_needed(&f, "all of them", 41, 41), 6);
}

/* A web process that was taken over can leave it there: the next one has to start. */
static void a_pipe_in_the_folder_holds_no_start_up(void **state)
{
	FIXTURE(f, state);
	static const char name[] = "tmp-00000000000000000000000000000000";
	struct stat st;
	int dir = fcntl(f.s->uploads_fd, F_DUPFD_CLOEXEC, 0);

	assert_true(dir >= 0);
	assert_int_equal(mkfifoat(dir, name, 0600), 0);
	alarm(60);
	fixture_reopen(&f);
	alarm(0);
	assert_int_not_equal(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	close(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(an_upload_in_parts_becomes_an_object),
		TMPDIR_TEST(an_upload_goes_on_after_a_restart_at_every_byte),
		TMPDIR_TEST(another_offset_is_refused_and_told),
		TMPDIR_TEST(only_one_request_writes_at_a_time),
		TMPDIR_TEST(wrong_bytes_are_found_and_removed),
		TMPDIR_TEST(a_part_with_a_wrong_checksum_is_dropped_alone),
		TMPDIR_TEST(more_bytes_than_announced_are_refused),
		TMPDIR_TEST(an_upload_is_its_owners_alone),
		TMPDIR_TEST(names_that_are_no_ids_never_become_paths),
		TMPDIR_TEST(abandoned_uploads_expire_and_leave_nothing),
		TMPDIR_TEST(an_upload_that_moves_does_not_expire),
		TMPDIR_TEST(what_is_stored_already_need_not_be_sent),
		TMPDIR_TEST(two_uploads_of_one_object_both_end_well),
		TMPDIR_TEST(an_empty_object_is_done_at_once),
		TMPDIR_TEST(one_owner_cannot_open_uploads_without_end),
		TMPDIR_TEST(promised_room_counts_for_the_next),
		TMPDIR_TEST(a_full_disk_keeps_what_arrived_and_goes_on),
		TMPDIR_TEST(each_failing_step_loses_no_byte),
		TMPDIR_TEST(bytes_that_were_told_to_be_there_are_synced),
		TMPDIR_TEST(a_pipe_in_the_folder_holds_no_start_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
