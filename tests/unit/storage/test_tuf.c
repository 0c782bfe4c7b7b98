#include "tests/unit/storage/fixture.h"

static struct tuf_file file_of(const char *role, uint64_t version, const char *text)
{
	return (struct tuf_file){ .repo = TUF_IMAGE,
				  .role = role,
				  .version = version,
				  .expires_at = NOW + 100,
				  .text = text,
				  .n = strlen(text) };
}

static bool put(struct store *s, const char *role, uint64_t version, const char *text,
		struct err *e)
{
	struct tuf_file f = file_of(role, version, text);

	return tuf_put(s, &f, 1, "token:k1", e);
}

static uint64_t newest(struct store *s, const char *role)
{
	CLEANUP(tuf_text_done) struct tuf_text t = { 0 };
	struct err e;

	assert_ok(tuf_get(s, TUF_IMAGE, role, 0, &t, &e), &e);
	return t.version;
}

static void texts_come_back_byte_for_byte(void **state)
{
	FIXTURE(f, state);
	CLEANUP(tuf_text_done) struct tuf_text t = { 0 };
	static const char odd[] = "{\"a\":\"\0\xff\xfe b\"}";
	struct tuf_file file = file_of("root", 1, "");
	struct err e;

	file.text = odd;
	file.n = sizeof(odd) - 1;
	assert_ok(tuf_put(f.s, &file, 1, "console", &e), &e);
	assert_ok(tuf_get(f.s, TUF_IMAGE, "root", 1, &t, &e), &e);
	assert_int_equal(t.n, file.n);
	assert_memory_equal(t.text, odd, t.n);
	assert_int_equal(t.expires_at, NOW + 100);
}

static void versions_rise_one_by_one(void **state)
{
	FIXTURE(f, state);
	struct err e;

	assert_ok(put(f.s, "targets", 5, "five", &e), &e);
	assert_fails(put(f.s, "targets", 7, "seven", &e), &e, E_CONFLICT);
	assert_fails(put(f.s, "targets", 4, "four", &e), &e, E_CONFLICT);
	assert_fails(put(f.s, "targets", 5, "other", &e), &e, E_CONFLICT);
	assert_non_null(strstr(e.text, "image targets"));
	assert_ok(put(f.s, "targets", 5, "five", &e), &e);
	assert_ok(put(f.s, "targets", 6, "six", &e), &e);
	assert_int_equal(newest(f.s, "targets"), 6);
}

static void a_gap_is_allowed_behind_the_newest_only(void **state)
{
	FIXTURE(f, state);
	struct tuf_file file = file_of("timestamp", 9, "nine");
	struct err e;

	assert_ok(put(f.s, "timestamp", 5, "five", &e), &e);
	file.after = 4;
	assert_fails(tuf_put(f.s, &file, 1, "console", &e), &e, E_CONFLICT);
	file.after = 5;
	assert_ok(tuf_put(f.s, &file, 1, "console", &e), &e);
	file = file_of("timestamp", 8, "eight");
	file.after = 9;
	assert_fails(tuf_put(f.s, &file, 1, "console", &e), &e, E_CONFLICT);
	assert_int_equal(newest(f.s, "timestamp"), 9);
}

static void all_files_or_none(void **state)
{
	FIXTURE(f, state);
	struct tuf_file files[] = { file_of("snapshot", 1, "s1"),
				    file_of("timestamp", 3, "t3") };
	CLEANUP(tuf_text_done) struct tuf_text t = { 0 };
	struct err e;

	assert_ok(put(f.s, "timestamp", 1, "t1", &e), &e);
	assert_fails(tuf_put(f.s, files, 2, "console", &e), &e, E_CONFLICT);
	assert_fails(tuf_get(f.s, TUF_IMAGE, "snapshot", 0, &t, &e), &e, E_NOT_FOUND);
	files[1].version = 2;
	assert_ok(tuf_put(f.s, files, 2, "console", &e), &e);
	assert_int_equal(newest(f.s, "snapshot"), 1);
}

static void repositories_do_not_mix(void **state)
{
	FIXTURE(f, state);
	struct tuf_file file = file_of("root", 1, "director's");
	CLEANUP(tuf_text_done) struct tuf_text t = { 0 };
	struct err e;

	assert_ok(put(f.s, "root", 1, "image's", &e), &e);
	file.repo = TUF_DIRECTOR;
	assert_ok(tuf_put(f.s, &file, 1, "console", &e), &e);
	assert_ok(tuf_get(f.s, TUF_DIRECTOR, "root", 0, &t, &e), &e);
	assert_string_equal(t.text, "director's");
}

static void newest_lists_each_role_once(void **state)
{
	FIXTURE(f, state);
	CLEANUP(tuf_roles_done) struct tuf_roles roles = { 0 };
	uint8_t sha[SHA256_SIZE];
	struct err e;

	assert_ok(put(f.s, "targets", 1, "t1", &e), &e);
	assert_ok(put(f.s, "targets", 2, "t2 longer", &e), &e);
	assert_ok(put(f.s, "releases.phone", 1, "r1", &e), &e);
	assert_ok(tuf_newest(f.s, TUF_IMAGE, &roles, &e), &e);
	assert_int_equal(roles.n, 2);
	assert_string_equal(roles.items[0].role, "releases.phone");
	assert_string_equal(roles.items[1].role, "targets");
	assert_int_equal(roles.items[1].version, 2);
	assert_int_equal(roles.items[1].size, 9);
	sha256(sha, "t2 longer", 9);
	assert_memory_equal(roles.items[1].sha256, sha, SHA256_SIZE);
}

static void pruning_keeps_roots_and_what_was_newest_lately(void **state)
{
	FIXTURE(f, state);
	CLEANUP(tuf_text_done) struct tuf_text t = { 0 };
	struct err e;
	uint64_t n;

	for (unsigned v = 1; v <= 4; v++) {
		assert_ok(put(f.s, "root", v, "r", &e), &e);
		assert_ok(put(f.s, "snapshot", v, "s", &e), &e);
		clock_fake_advance(&f.clock, 1000 * 1000);
	}
	/* 1 was superseded 3000 s ago, 2 2000 s, 3 1000 s. */
	assert_ok(tuf_prune(f.s, 1500, &n, &e), &e);
	assert_int_equal(n, 2);
	assert_fails(tuf_get(f.s, TUF_IMAGE, "snapshot", 2, &t, &e), &e, E_NOT_FOUND);
	for (unsigned v = 1; v <= 4; v++) {
		assert_ok(tuf_get(f.s, TUF_IMAGE, "root", v, &t, &e), &e);
		tuf_text_done(&t);
	}
	assert_int_equal(newest(f.s, "snapshot"), 4);
}

static void roles_that_are_no_names_are_refused(void **state)
{
	FIXTURE(f, state);
	static const char *const bad[] = { "", "..", "a/b", "Root", "a b", "\xc3\xa9" };
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_fails(put(f.s, bad[i], 1, "x", &e), &e, E_FORMAT);
	assert_fails(put(f.s, "root", 0, "x", &e), &e, E_FORMAT);
}

static void each_file_put_leaves_one_audit_row(void **state)
{
	FIXTURE(f, state);
	CLEANUP(audit_page_done) struct audit_page page = { 0 };
	struct err e;

	assert_ok(put(f.s, "root", 1, "x", &e), &e);
	assert_ok(put(f.s, "root", 1, "x", &e), &e); /* the same: nothing */
	assert_ok(audit_list(f.s, 0, 0, &page, &e), &e);
	assert_int_equal(page.n, 1);
	assert_string_equal(page.items[0].verb, "tuf.put");
	assert_string_equal(page.items[0].subject, "image/root 1");
	assert_string_equal(page.items[0].actor, "token:k1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(texts_come_back_byte_for_byte),
		TMPDIR_TEST(versions_rise_one_by_one),
		TMPDIR_TEST(a_gap_is_allowed_behind_the_newest_only),
		TMPDIR_TEST(all_files_or_none),
		TMPDIR_TEST(repositories_do_not_mix),
		TMPDIR_TEST(newest_lists_each_role_once),
		TMPDIR_TEST(pruning_keeps_roots_and_what_was_newest_lately),
		TMPDIR_TEST(roles_that_are_no_names_are_refused),
		TMPDIR_TEST(each_file_put_leaves_one_audit_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
