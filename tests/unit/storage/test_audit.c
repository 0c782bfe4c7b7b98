#include "tests/unit/storage/fixture.h"

#include "storage/store_priv.h"

static void add(struct store *s, const char *subject)
{
	struct err e;

	assert_ok(audit_add(s, "token:k1", "test.add", subject, "detail", &e), &e);
}

static bool run_sql(struct db *db, void *ctx, struct err *e)
{
	return db_script(db, ctx, e);
}

static void the_chain_verifies_and_tells_its_head(void **state)
{
	FIXTURE(f, state);
	struct audit_head verified, head;
	struct err e;

	assert_ok(audit_verify(f.s, &verified, &e), &e);
	assert_int_equal(verified.n, 0);
	for (int i = 0; i < 5; i++)
		add(f.s, "x");
	assert_ok(audit_verify(f.s, &verified, &e), &e);
	assert_ok(audit_head(f.s, &head, &e), &e);
	assert_int_equal(verified.n, 5);
	assert_memory_equal(&head, &verified, sizeof(head));
}

/* The formula of the header, computed by hand: a change to it breaks every log there is. */
static void the_first_row_has_the_hash_that_the_header_says(void **state)
{
	FIXTURE(f, state);
	uint8_t raw[256] = { 0 }, want[SHA256_SIZE];
	size_t n = 32;
	static const char *const texts[] = { "token:k1", "test.add", "x", "detail" };
	struct audit_head head;
	struct err e;

	add(f.s, "x");
	raw[n] = 1;
	n += 8;
	for (int i = 0; i < 8; i++)
		raw[n++] = (uint8_t)((uint64_t)NOW >> 8 * i);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		raw[n] = (uint8_t)strlen(texts[i]);
		n += 4;
		memcpy(raw + n, texts[i], strlen(texts[i]));
		n += strlen(texts[i]);
	}
	sha256(want, raw, n);
	assert_ok(audit_head(f.s, &head, &e), &e);
	assert_memory_equal(head.hash, want, SHA256_SIZE);
}

static void rows_cannot_be_changed_or_removed_by_our_own_code(void **state)
{
	FIXTURE(f, state);
	char update[] = "UPDATE audit SET actor = 'nobody'", del[] = "DELETE FROM audit";
	struct audit_head head;
	struct err e;

	add(f.s, "x");
	assert_false(store_write(f.s, run_sql, update, &e));
	assert_false(store_write(f.s, run_sql, del, &e));
	assert_ok(audit_verify(f.s, &head, &e), &e);
	assert_int_equal(head.n, 1);
}

static void what_somebody_with_the_file_did_is_found(void **state)
{
	static const char *const tampering[] = {
		"UPDATE audit SET actor = 'nobody' WHERE n = 2",
		"UPDATE audit SET verb = 'other' WHERE n = 2",
		"UPDATE audit SET subject = '' WHERE n = 2",
		"UPDATE audit SET detail = 'd' WHERE n = 2",
		"UPDATE audit SET at = at + 1 WHERE n = 2",
		"UPDATE audit SET hash = zeroblob(32) WHERE n = 2",
		"DELETE FROM audit WHERE n = 2",
		"DELETE FROM audit WHERE n = 1",
		"UPDATE audit SET n = 9 WHERE n = 3",
		/* Text moved from one field to the next. */
		"UPDATE audit SET subject = 'xd', detail = 'etail' WHERE n = 2",
	};

	for (size_t i = 0; i < ARRAY_SIZE(tampering); i++) {
		CLEANUP(fixture_end) struct fixture f;
		struct audit_head head;
		char dir[600], sql[300];
		struct err e;

		snprintf(dir, sizeof(dir), "%s/%zu", tmpdir_path(state), i);
		fixture_start(&f, dir, i + 1);
		for (int k = 0; k < 3; k++)
			add(f.s, "x");
		snprintf(sql, sizeof(sql),
			 "DROP TRIGGER audit_rows_stay; DROP TRIGGER audit_rows_are_final; %s",
			 tampering[i]);
		assert_ok(store_write(f.s, run_sql, sql, &e), &e);
		assert_fails(audit_verify(f.s, &head, &e), &e, E_CORRUPT);
	}
}

static void lists_come_in_pages(void **state)
{
	FIXTURE(f, state);
	CLEANUP(audit_page_done) struct audit_page a = { 0 };
	CLEANUP(audit_page_done) struct audit_page b = { 0 };
	struct err e;

	for (int i = 0; i < 5; i++)
		add(f.s, i == 4 ? "last" : "x");
	assert_ok(audit_list(f.s, 0, 3, &a, &e), &e);
	assert_int_equal(a.n, 3);
	assert_true(a.more);
	assert_ok(audit_list(f.s, a.items[2].n, 3, &b, &e), &e);
	assert_int_equal(b.n, 2);
	assert_false(b.more);
	assert_string_equal(b.items[1].subject, "last");
}

static struct audit_signed head_of(struct store *s)
{
	struct audit_signed h = { .at = NOW };
	struct audit_head head;
	struct err e;

	assert_ok(audit_head(s, &head, &e), &e);
	h.n = head.n;
	memcpy(h.hash, head.hash, SHA256_SIZE);
	memset(h.keyid, 'a', TUF_KEYID_SIZE - 1);
	return h;
}

static bool is_due(struct store *s, int64_t age_s)
{
	struct audit_head head, last;
	struct err e;
	bool due;

	assert_ok(audit_head_due(s, age_s, &due, &head, &e), &e);
	assert_ok(audit_head(s, &last, &e), &e);
	assert_memory_equal(&head, &last, sizeof(head));
	return due;
}

static void a_head_is_due_once_a_day_and_only_after_new_rows(void **state)
{
	FIXTURE(f, state);
	struct audit_signed h;
	struct audit_head head;
	struct err e;

	assert_false(is_due(f.s, 86400)); /* nothing was done */
	add(f.s, "x");
	assert_true(is_due(f.s, 86400)); /* nothing was ever signed */
	h = head_of(f.s);
	assert_ok(audit_add_head(f.s, &h, &e), &e);
	assert_false(is_due(f.s, 0)); /* the signed one is the last row */
	add(f.s, "y");
	assert_false(is_due(f.s, 86400));
	f.clock.now_s += 86399;
	assert_false(is_due(f.s, 86400));
	f.clock.now_s += 1;
	assert_true(is_due(f.s, 86400));
	assert_ok(audit_verify(f.s, &head, &e), &e);
}

static void a_head_that_is_not_the_last_row_any_more_is_not_added(void **state)
{
	FIXTURE(f, state);
	struct audit_signed h;
	struct audit_page page;
	struct err e;

	add(f.s, "x");
	h = head_of(f.s);
	add(f.s, "y");
	assert_fails(audit_add_head(f.s, &h, &e), &e, E_CONFLICT);
	h = head_of(f.s);
	h.hash[0] ^= 1;
	assert_fails(audit_add_head(f.s, &h, &e), &e, E_CONFLICT);
	h.hash[0] ^= 1;
	assert_ok(audit_add_head(f.s, &h, &e), &e);
	assert_ok(audit_list(f.s, 0, 10, &page, &e), &e);
	assert_int_equal(page.n, 3);
	assert_string_equal(page.items[2].actor, "server");
	assert_string_equal(page.items[2].verb, "audit.head");
	assert_string_equal(page.items[2].subject, "2");
	assert_int_equal(strncmp(page.items[2].detail, "1795000000 aaaa", 15), 0);
	audit_page_done(&page);
}

static void nobody_does_nothing(void **state)
{
	FIXTURE(f, state);
	struct err e;

	assert_fails(audit_add(f.s, NULL, "test.add", "x", "", &e), &e, E_FORMAT);
	assert_fails(audit_add(f.s, "", "test.add", "x", "", &e), &e, E_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(nobody_does_nothing),
		TMPDIR_TEST(the_chain_verifies_and_tells_its_head),
		TMPDIR_TEST(the_first_row_has_the_hash_that_the_header_says),
		TMPDIR_TEST(rows_cannot_be_changed_or_removed_by_our_own_code),
		TMPDIR_TEST(what_somebody_with_the_file_did_is_found),
		TMPDIR_TEST(lists_come_in_pages),
		TMPDIR_TEST(a_head_is_due_once_a_day_and_only_after_new_rows),
		TMPDIR_TEST(a_head_that_is_not_the_last_row_any_more_is_not_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
