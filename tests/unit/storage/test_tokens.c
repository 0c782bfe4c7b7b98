#include "tests/unit/storage/fixture.h"

static struct token make(struct store *s, unsigned scopes, int64_t ttl_s,
			 char text[static TOKEN_TEXT_SIZE])
{
	struct token t;
	struct err e;

	assert_ok(tokens_create(s, "ci", scopes, ttl_s, "console", &t, text, &e), &e);
	return t;
}

static void a_token_opens_and_only_its_exact_text(void **state)
{
	FIXTURE(f, state);
	char text[TOKEN_TEXT_SIZE];
	struct token made = make(f.s, SCOPE_PUBLISH, 0, text), got;
	struct err e;

	assert_int_equal(strlen(text), 46);
	assert_ok(tokens_check(f.s, text, 46, &got, &e), &e);
	assert_int_equal(got.number, made.number);
	assert_int_equal(got.scopes, SCOPE_PUBLISH);
	assert_string_equal(got.name, "ci");
	assert_fails(tokens_check(f.s, text, 45, &got, &e), &e, E_AUTH);
	for (size_t i = 0; i < 46; i++) {
		char bad[TOKEN_TEXT_SIZE];

		memcpy(bad, text, sizeof(bad));
		bad[i] = bad[i] == 'A' ? 'B' : 'A';
		assert_fails(tokens_check(f.s, bad, 46, &got, &e), &e, E_AUTH);
	}
}

static void tokens_are_listed_page_by_page(void **state)
{
	FIXTURE(f, state);
	char text[TOKEN_TEXT_SIZE];
	int64_t numbers[3], after = 0;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		numbers[i] = make(f.s, SCOPE_PUBLISH, 0, text).number;
	for (size_t from = 0; from < ARRAY_SIZE(numbers); from += 2) {
		CLEANUP(token_page_done) struct token_page page = { 0 };
		size_t left = ARRAY_SIZE(numbers) - from;

		assert_ok(tokens_list(f.s, after, 2, &page, &e), &e);
		assert_int_equal(page.n, left < 2 ? left : 2);
		assert_int_equal(page.more, left > 2);
		for (size_t i = 0; i < page.n; i++)
			assert_int_equal(page.items[i].number, numbers[from + i]);
		after = page.items[page.n - 1].number;
	}
}

static void tokens_are_unlike_each_other_and_not_in_the_files(void **state)
{
	FIXTURE(f, state);
	char a[TOKEN_TEXT_SIZE], b[TOKEN_TEXT_SIZE], wal[600];
	CLEANUP(buf_done) struct buf bytes = BUF_INIT(64 << 20);
	struct err e;
	FILE *file;
	int c;

	make(f.s, SCOPE_ADMIN, 0, a);
	make(f.s, SCOPE_ADMIN, 0, b);
	assert_string_not_equal(a, b);
	snprintf(wal, sizeof(wal), "%s/valise.db-wal", f.path);
	file = fopen(wal, "r");
	assert_non_null(file);
	while ((c = fgetc(file)) != EOF) {
		uint8_t byte = (uint8_t)c;

		assert_ok(buf_add(&bytes, &byte, 1, &e), &e);
	}
	fclose(file);
	assert_non_null(
		memmem(bytes.p, bytes.n, "token.create", 12)); /* it is the right file */
	assert_null(memmem(bytes.p, bytes.n, a + 3, 43));
}

static void expiry_and_revocation_close_it(void **state)
{
	FIXTURE(f, state);
	char text[TOKEN_TEXT_SIZE], other[TOKEN_TEXT_SIZE];
	struct token t, got;
	struct err e;

	t = make(f.s, SCOPE_ADMIN, 0, other);
	make(f.s, SCOPE_ADMIN, 100, text);
	clock_fake_advance(&f.clock, 99 * 1000);
	assert_ok(tokens_check(f.s, text, 46, &got, &e), &e);
	clock_fake_advance(&f.clock, 1000);
	assert_fails(tokens_check(f.s, text, 46, &got, &e), &e, E_AUTH);
	assert_ok(tokens_check(f.s, other, 46, &got, &e), &e);
	assert_ok(tokens_revoke(f.s, t.number, "console", &e), &e);
	assert_ok(tokens_revoke(f.s, t.number, "console", &e), &e);
	assert_fails(tokens_check(f.s, other, 46, &got, &e), &e, E_AUTH);
	assert_fails(tokens_revoke(f.s, 99, "console", &e), &e, E_NOT_FOUND);
}

static void last_used_is_noted_without_a_write_and_flushed_rarely(void **state)
{
	FIXTURE(f, state);
	CLEANUP(token_page_done) struct token_page page = { 0 };
	char text[TOKEN_TEXT_SIZE];
	struct token got;
	uint64_t changes;
	struct err e;

	make(f.s, SCOPE_ADMIN, 0, text);
	changes = stats_of(f.s).row_changes;
	for (int i = 0; i < 100; i++)
		assert_ok(tokens_check(f.s, text, 46, &got, &e), &e);
	assert_int_equal(stats_of(f.s).row_changes, changes);
	assert_ok(tokens_list(f.s, 0, 0, &page, &e), &e);
	assert_int_equal(page.items[0].last_used_at, NOW);
	token_page_done(&page);
	assert_ok(tokens_flush(f.s, false, &e), &e);
	assert_int_equal(stats_of(f.s).row_changes, changes + 1);
	clock_fake_advance(&f.clock, 1000);
	assert_ok(tokens_check(f.s, text, 46, &got, &e), &e);
	assert_ok(tokens_flush(f.s, false, &e), &e);
	assert_int_equal(stats_of(f.s).row_changes, changes + 1);
	assert_ok(tokens_flush(f.s, true, &e), &e);
	assert_ok(tokens_flush(f.s, true, &e), &e);
	assert_int_equal(stats_of(f.s).row_changes, changes + 2);
	fixture_reopen(&f);
	assert_ok(tokens_list(f.s, 0, 0, &page, &e), &e);
	assert_int_equal(page.items[0].last_used_at, NOW + 1);
}

static void what_is_no_token_is_not_made(void **state)
{
	FIXTURE(f, state);
	char text[TOKEN_TEXT_SIZE] = "";
	struct token t;
	struct err e;

	assert_fails(tokens_create(f.s, "ci", SCOPE_ADMIN, TOKENS_TTL_MAX_S + 1, "console", &t,
				   text, &e),
		     &e, E_FORMAT);
	assert_fails(tokens_create(f.s, "ci", SCOPE_ADMIN, -1, "console", &t, text, &e), &e,
		     E_FORMAT);
	assert_fails(tokens_create(f.s, "ci", 0, 0, "console", &t, text, &e), &e, E_FORMAT);
	assert_fails(tokens_create(f.s, "../ci", SCOPE_ADMIN, 0, "console", &t, text, &e), &e,
		     E_FORMAT);
	assert_fails(tokens_create(f.s, "ci", SCOPE_ADMIN, 0, "", &t, text, &e), &e, E_FORMAT);
	assert_string_equal(text, "");
	make(f.s, SCOPE_ADMIN, TOKENS_TTL_MAX_S, text);
}

static void scopes_open_what_they_say(void **state)
{
	assert_true(scope_allows(SCOPE_PUBLISH, SCOPE_PUBLISH));
	assert_true(scope_allows(SCOPE_PUBLISH, SCOPE_PUBLISH | SCOPE_POLICY));
	assert_true(scope_allows(SCOPE_PUBLISH, 0));
	assert_false(scope_allows(SCOPE_PUBLISH, SCOPE_POLICY));
	assert_false(scope_allows(0, SCOPE_POLICY));
	assert_true(scope_allows(SCOPE_ADMIN, SCOPE_POLICY));
}

static void impossible_tokens_are_refused(void **state)
{
	FIXTURE(f, state);
	char text[TOKEN_TEXT_SIZE];
	struct token t;
	struct err e;

	assert_fails(tokens_create(f.s, "ci", 0, 0, "console", &t, text, &e), &e, E_FORMAT);
	assert_fails(tokens_create(f.s, "ci", 1u << 20, 0, "console", &t, text, &e), &e,
		     E_FORMAT);
	assert_fails(tokens_create(f.s, "a b", 1, 0, "console", &t, text, &e), &e, E_FORMAT);
	assert_fails(tokens_create(f.s, "ci", 1, -1, "console", &t, text, &e), &e, E_FORMAT);
	assert_fails(tokens_create(f.s, "ci", 1, 0, "", &t, text, &e), &e, E_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(a_token_opens_and_only_its_exact_text),
		TMPDIR_TEST(tokens_are_listed_page_by_page),
		TMPDIR_TEST(tokens_are_unlike_each_other_and_not_in_the_files),
		TMPDIR_TEST(expiry_and_revocation_close_it),
		TMPDIR_TEST(last_used_is_noted_without_a_write_and_flushed_rarely),
		TMPDIR_TEST(what_is_no_token_is_not_made),
		cmocka_unit_test(scopes_open_what_they_say),
		TMPDIR_TEST(impossible_tokens_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
