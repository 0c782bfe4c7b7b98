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

/* ---- signed heads ---- */

struct signer {
	struct secret *secret;
	struct tuf_key key;
	char id[TUF_KEYID_SIZE];
};

static void signer_make(struct signer *s, uint64_t seed)
{
	uint8_t pub[SIG_PUBLIC_SIZE];
	struct rng_fake rng;

	rng_fake_init(&rng, seed);
	assert_ok(sig_new(&s->secret, pub, &rng.base, &e), &e);
	assert_ok(sig_key_ed25519(&s->key.key, pub, &e), &e);
	memset(s->id, seed == 1 ? 'a' : 'b', TUF_KEYID_SIZE - 1);
	s->id[TUF_KEYID_SIZE - 1] = 0;
	s->key.id = s->id;
	s->key.usable = true;
}

static void signer_done(struct signer *s)
{
	sig_key_done(&s->key.key);
	secret_free(s->secret);
}

/* The head of the three rows, and the row that it becomes. */
static struct audit_link head_row(struct audit_signed *h, const struct signer *s,
				  struct audit_walk *before,
				  char detail[static AUDIT_HEAD_DETAIL])
{
	uint8_t hashes[ROWS][SHA256_SIZE], message[AUDIT_HEAD_MESSAGE];

	chain(hashes);
	*before = (struct audit_walk){ .n = ROWS };
	memcpy(before->hash, hashes[ROWS - 1], SHA256_SIZE);
	*h = (struct audit_signed){ .n = ROWS, .at = 1700000100 };
	memcpy(h->hash, before->hash, SHA256_SIZE);
	memcpy(h->keyid, s->id, sizeof(h->keyid));
	audit_head_message(message, h->n, h->at, h->hash);
	assert_ok(sig_sign(h->sig, s->secret, message, sizeof(message), &e), &e);
	audit_head_detail(detail, h);
	return (struct audit_link){ ROWS + 1, 1700000101, "server", "audit.head", "3", detail };
}

static void a_signed_head_comes_back_from_its_row_and_verifies(void **state)
{
	CLEANUP(signer_done) struct signer s = { 0 };
	char detail[AUDIT_HEAD_DETAIL];
	struct audit_signed h, back;
	struct audit_walk before;
	struct audit_link row;

	signer_make(&s, 1);
	row = head_row(&h, &s, &before, detail);
	assert_true(audit_head_is(&row));
	assert_ok(audit_head_read(&back, &row, &before, &e), &e);
	assert_int_equal(back.n, 3);
	assert_int_equal(back.at, 1700000100);
	assert_string_equal(back.keyid, s.id);
	assert_true(audit_head_verify(&back, &s.key));
	row.actor = "token:k1";
	assert_false(audit_head_is(&row));
	row.actor = "server";
	row.verb = "audit.heads";
	assert_false(audit_head_is(&row));
}

static void a_signed_head_is_about_one_row_one_time_and_one_key(void **state)
{
	CLEANUP(signer_done) struct signer s = { 0 };
	CLEANUP(signer_done) struct signer other = { 0 };
	char detail[AUDIT_HEAD_DETAIL];
	struct audit_signed h, x;
	struct audit_walk before;

	signer_make(&s, 1);
	signer_make(&other, 2);
	head_row(&h, &s, &before, detail);
	x = h;
	x.n++;
	assert_false(audit_head_verify(&x, &s.key));
	x = h;
	x.at++;
	assert_false(audit_head_verify(&x, &s.key));
	for (size_t bit = 0; bit < SHA256_SIZE * 8; bit += 13) {
		x = h;
		flip_bit(x.hash, bit);
		assert_false(audit_head_verify(&x, &s.key));
	}
	for (size_t bit = 0; bit < SIG_SIZE * 8; bit++) {
		x = h;
		flip_bit(x.sig, bit);
		assert_false(audit_head_verify(&x, &s.key));
	}
	assert_false(audit_head_verify(&h, &other.key));
	other.key.id = s.id; /* another key under its id */
	assert_false(audit_head_verify(&h, &other.key));
	s.key.usable = false;
	assert_false(audit_head_verify(&h, &s.key));
}

static void a_row_that_is_no_signed_head_is_refused(void **state)
{
	CLEANUP(signer_done) struct signer s = { 0 };
	char good[AUDIT_HEAD_DETAIL], detail[AUDIT_HEAD_DETAIL + 8];
	static const char *const subjects[] = { "", "2", "4", "03x", "-3", "3 " };
	struct audit_signed h, x = { .n = 99 };
	struct audit_walk before;
	struct audit_link row;

	signer_make(&s, 1);
	row = head_row(&h, &s, &before, good);
	for (size_t i = 0; i < ARRAY_SIZE(subjects); i++) {
		row.subject = subjects[i];
		assert_fails(audit_head_read(&x, &row, &before, &e), &e, E_CORRUPT);
	}
	row.subject = "3";
	row.n++;
	assert_fails(audit_head_read(&x, &row, &before, &e), &e, E_CORRUPT);
	row.n--;
	row.detail = detail;
	/* Any length, and any character that is none of its place. */
	for (size_t n = 0; n < strlen(good); n++) {
		snprintf(detail, sizeof(detail), "%.*s", (int)n, good);
		assert_fails(audit_head_read(&x, &row, &before, &e), &e, E_CORRUPT);
	}
	snprintf(detail, sizeof(detail), "%s0", good);
	assert_fails(audit_head_read(&x, &row, &before, &e), &e, E_CORRUPT);
	for (size_t i = 0; i < strlen(good); i++) {
		if (i >= 11 && i < 11 + TUF_KEYID_SIZE - 1)
			continue; /* an id is compared, not read */
		snprintf(detail, sizeof(detail), "%s", good);
		detail[i] = 'x';
		assert_fails(audit_head_read(&x, &row, &before, &e), &e, E_CORRUPT);
	}
	snprintf(detail, sizeof(detail), "99999999999999999999 %s", strchr(good, ' ') + 1);
	assert_false(audit_head_read(&x, &row, &before, &e));
	assert_int_equal(x.n, 99);
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
		cmocka_unit_test(a_signed_head_comes_back_from_its_row_and_verifies),
		cmocka_unit_test(a_signed_head_is_about_one_row_one_time_and_one_key),
		cmocka_unit_test(a_row_that_is_no_signed_head_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
