#include "tests/support/unit.h"

#include "proto/audit.h"

static struct err e;

static const struct audit_link rows[] = {
	{ 1, 1700000000, "console", "token.create", "k1", "bootstrap" },
	{ 2, 1700000001, "token:k1", "release.publish", "acme/1.0", "" },
	{ 3, 1700000001, "token:k1", "release.publish", "acme/1.1", "" },
};
enum { ROWS = 3 };

static void chain(uint8_t hashes[ROWS][SHA256_SIZE])
{
	static const uint8_t zeros[SHA256_SIZE];

	for (size_t i = 0; i < ROWS; i++)
		assert_ok(audit_hash(hashes[i], i > 0 ? hashes[i - 1] : zeros, &rows[i], &e),
			  &e);
}

static void a_chain_is_walked_from_its_first_row(void **state)
{
	uint8_t hashes[ROWS][SHA256_SIZE];
	struct audit_walk w = { .n = 0 };

	chain(hashes);
	for (size_t i = 0; i < ROWS; i++)
		assert_ok(audit_walk_step(&w, &rows[i], hashes[i], &e), &e);
	assert_int_equal(w.n, 3);
	assert_memory_equal(w.hash, hashes[2], SHA256_SIZE);
}

static void every_field_counts(void **state)
{
	uint8_t hashes[ROWS][SHA256_SIZE];

	chain(hashes);
	for (int field = 0; field < 6; field++) {
		struct audit_walk w = { .n = 0 };
		struct audit_link row = rows[0];

		row.n += field == 0;
		row.at += field == 1;
		row.actor = field == 2 ? "token:k9" : row.actor;
		row.verb = field == 3 ? "token.revoke" : row.verb;
		row.subject = field == 4 ? "k2" : row.subject;
		row.detail = field == 5 ? "" : row.detail;
		assert_fails(audit_walk_step(&w, &row, hashes[0], &e), &e, E_CORRUPT);
		assert_int_equal(w.n, 0);
	}
}

/* Lengths are hashed: letters cannot move from one field into the next. */
static void fields_do_not_run_into_each_other(void **state)
{
	struct audit_link a = rows[0], b = rows[0];
	uint8_t ha[SHA256_SIZE], hb[SHA256_SIZE];
	static const uint8_t zeros[SHA256_SIZE];

	a.verb = "ab";
	a.subject = "c";
	b.verb = "a";
	b.subject = "bc";
	assert_ok(audit_hash(ha, zeros, &a, &e), &e);
	assert_ok(audit_hash(hb, zeros, &b, &e), &e);
	assert_memory_not_equal(ha, hb, SHA256_SIZE);
}

static void a_row_left_out_or_moved_does_not_follow(void **state)
{
	uint8_t hashes[ROWS][SHA256_SIZE];
	struct audit_walk w = { .n = 0 };

	chain(hashes);
	assert_fails(audit_walk_step(&w, &rows[1], hashes[1], &e), &e, E_CORRUPT);
	assert_ok(audit_walk_step(&w, &rows[0], hashes[0], &e), &e);
	assert_fails(audit_walk_step(&w, &rows[2], hashes[2], &e), &e, E_CORRUPT);
	assert_string_equal(e.text, "audit row 3 does not follow row 1");
	assert_fails(audit_walk_step(&w, &rows[0], hashes[0], &e), &e, E_CORRUPT);
}

static void a_row_comes_back_from_json(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(4096);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	uint8_t hashes[ROWS][SHA256_SIZE], hash[SHA256_SIZE];
	struct audit_walk w = { .n = 0 };
	struct audit_link row;
	struct jw out;

	chain(hashes);
	jw_init(&out, &b);
	jw_obj(&out, NULL);
	audit_link_write(&out, &rows[0], hashes[0]);
	jw_end(&out);
	assert_ok(jw_finish(&out, &e), &e);
	assert_ok(jdoc_parse(&d, b.p, b.n, &e), &e);
	assert_ok(audit_link_read(&row, hash, jdoc_root(d), &e), &e);
	assert_ok(audit_walk_step(&w, &row, hash, &e), &e);
}

static void a_row_of_another_shape_is_refused(void **state)
{
	static const char *const bad[] = {
		"[]",
		"{}",
		"{\"n\":1}",
		"{\"n\":0,\"at\":\"2026-11-22T15:41:00Z\",\"actor\":\"a\",\"verb\":\"v\","
		"\"subject\":\"s\",\"detail\":\"\",\"hash\":\"00\"}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP(jdoc_freep) struct jdoc *d = NULL;
		uint8_t hash[SHA256_SIZE];
		struct audit_link row;

		assert_ok(jdoc_parse(&d, bad[i], strlen(bad[i]), &e), &e);
		assert_fails(audit_link_read(&row, hash, jdoc_root(d), &e), &e, E_FORMAT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chain_is_walked_from_its_first_row),
		cmocka_unit_test(every_field_counts),
		cmocka_unit_test(fields_do_not_run_into_each_other),
		cmocka_unit_test(a_row_left_out_or_moved_does_not_follow),
		cmocka_unit_test(a_row_comes_back_from_json),
		cmocka_unit_test(a_row_of_another_shape_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
