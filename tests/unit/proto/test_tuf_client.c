/* The client workflow against friendly and hostile repositories: what is asked for, what is
 * accepted, what stays stored. */
#include "tests/support/unit.h"

#include "tests/support/repo.h"

#define EXTRA_KEY 5u /* not one of the four that repo_init gives away */

#define REPO(r)                            \
	CLEANUP(repo_done) struct repo(r); \
	struct err e;                      \
	repo_init(&(r))

static void publish_root_and_all(struct repo *r)
{
	repo_publish(r, "root");
	repo_publish_all(r);
}

static void check_versions(struct repo *r, uint64_t root, uint64_t timestamp, uint64_t snapshot,
			   uint64_t targets)
{
	assert_int_equal(repo_local_version(r, "root"), root);
	assert_int_equal(repo_local_version(r, "timestamp"), timestamp);
	assert_int_equal(repo_local_version(r, "snapshot"), snapshot);
	assert_int_equal(repo_local_version(r, "targets"), targets);
}

static void check_words(const struct err *e, const char *words)
{
	if (!strstr(e->text, words))
		fail_msg("\"%s\" lacks \"%s\"", e->text, words);
}

/* ---- the ordinary life of a client -------------------------------------------------------- */

static void a_first_refresh_asks_for_each_file_once(void **state)
{
	REPO(r);
	assert_ok(repo_refresh(&r, &e), &e);
	assert_string_equal(r.log, "2.root.json timestamp.json 1.snapshot.json 1.targets.json");
	assert_ok(repo_refresh(&r, &e), &e);
	assert_string_equal(r.log, "2.root.json timestamp.json");
}

static void a_client_without_a_root_asks_for_nothing(void **state)
{
	REPO(r);
	repo_del(r.local, "root.json");
	assert_fails(repo_refresh(&r, &e), &e, E_NOT_FOUND);
	assert_string_equal(r.log, "");
}

static void a_stored_root_that_is_not_signed_is_refused_before_any_request(void **state)
{
	REPO(r);
	struct repo_file *f = repo_get(r.local, "root.json");
	char *sig = strstr((char *)f->p, "\"sig\":\"") + 7;

	sig[0] = sig[0] == '0' ? '1' : '0';
	assert_fails(repo_refresh(&r, &e), &e, E_UNTRUSTED);
	check_words(&e, "trusted root");
	assert_string_equal(r.log, "");
}

static void trust_starts_with_the_root_that_the_ticket_names(void **state)
{
	REPO(r);
	struct repo_file *f = repo_get(r.served, "1.root.json");
	uint8_t sum[SHA256_SIZE];

	sha256(sum, f->p, f->n);
	assert_ok(tuf_client_init(&r.io, f->p, f->n, sum, &e), &e);
	sum[31] ^= 1;
	assert_fails(tuf_client_init(&r.io, f->p, f->n, sum, &e), &e, E_UNTRUSTED);
	assert_fails(tuf_client_init(&r.io, "{}", 2, NULL, &e), &e, E_FORMAT);
	r.store_fails = E_NO_SPACE;
	assert_fails(tuf_client_init(&r.io, f->p, f->n, NULL, &e), &e, E_NO_SPACE);
}

static void metadata_is_stored_byte_for_byte(void **state)
{
	REPO(r);
	const struct repo_file *f = repo_get(r.served, "timestamp.json");
	char text[8192];
	int n = snprintf(text, sizeof(text), "\n %.*s  ", (int)f->n, (const char *)f->p);

	repo_put(r.served, "timestamp.json", text, (size_t)n);
	assert_ok(repo_refresh(&r, &e), &e);
	f = repo_get(r.local, "timestamp.json");
	assert_int_equal(f->n, n);
	assert_memory_equal(f->p, text, f->n);
}

static void only_what_changed_is_fetched(void **state)
{
	REPO(r);
	assert_ok(repo_refresh(&r, &e), &e);
	repo_publish(&r, "timestamp");
	assert_ok(repo_refresh(&r, &e), &e);
	assert_string_equal(r.log, "2.root.json timestamp.json");
	repo_publish(&r, "snapshot");
	repo_publish(&r, "timestamp");
	assert_ok(repo_refresh(&r, &e), &e);
	assert_string_equal(r.log, "2.root.json timestamp.json 2.snapshot.json");
	repo_publish_all(&r);
	assert_ok(repo_refresh(&r, &e), &e);
	assert_string_equal(r.log, "2.root.json timestamp.json 3.snapshot.json 2.targets.json");
}

static void a_repository_without_consistent_snapshots_has_plain_names(void **state)
{
	REPO(r);
	struct repo_file *f = repo_get(r.served, "1.root.json");
	char text[8192], *at;
	struct tuf_found found;
	CLEANUP(buf_done) struct buf path = BUF_INIT(1000);

	/* tuf_make_root always says true; the same root with false, signed again. */
	at = strstr((char *)f->p, "\"signed\":") + 9;
	snprintf(text, sizeof(text), "%.*s", (int)(f->n - 1 - (size_t)((uint8_t *)at - f->p)),
		 at);
	at = strstr(text, "true");
	memcpy(at, "null", 4);
	repo_serve(&r, "1.root.json", text, KEY(0));
	f = repo_get(r.served, "1.root.json");
	assert_fails(tuf_client_init(&r.io, f->p, f->n, NULL, &e), &e, E_FORMAT);
	memcpy(at, "0   ", 4);
	memmove(at - 22, at + 5, strlen(at + 5) + 1); /* without "consistent_snapshot":true, */
	repo_serve(&r, "1.root.json", text, KEY(0));
	f = repo_get(r.served, "1.root.json");
	assert_ok(tuf_client_init(&r.io, f->p, f->n, NULL, &e), &e);

	repo_target(&r, "targets", "a/b", "content", NULL);
	repo_publish_all(&r);
	f = repo_get(r.served, "2.snapshot.json");
	repo_put(r.served, "snapshot.json", f->p, f->n);
	f = repo_get(r.served, "2.targets.json");
	repo_put(r.served, "targets.json", f->p, f->n);
	assert_ok(repo_refresh(&r, &e), &e);
	assert_string_equal(r.log, "2.root.json timestamp.json snapshot.json targets.json");
	assert_ok(repo_find(&r, &found, "a/b", &e), &e);
	assert_ok(tuf_client_target_path(&path, r.client, &found.target, &e), &e);
	assert_string_equal(buf_str(&path), "a/b");
}

/* ---- signatures and thresholds ------------------------------------------------------------ */

static void each_role_must_be_signed_and_what_came_before_stays(void **state)
{
	static const struct {
		const char *role;
		uint64_t versions[4]; /* root, timestamp, snapshot, targets */
	} cases[] = {
		{ "root", { 1, 0, 0, 0 } },
		{ "timestamp", { 2, 0, 0, 0 } },
		{ "snapshot", { 2, 2, 0, 0 } },
		{ "targets", { 2, 2, 2, 0 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		REPO(r);
		repo_role(&r, cases[i].role)->sign = 0;
		publish_root_and_all(&r);
		assert_fails(repo_refresh(&r, &e), &e, E_UNTRUSTED);
		check_words(&e, cases[i].role);
		check_versions(&r, cases[i].versions[0], cases[i].versions[1],
			       cases[i].versions[2], cases[i].versions[3]);
	}
}

static void one_signature_less_than_the_threshold_is_nothing(void **state)
{
	static const char *const roles[] = { "root", "timestamp", "snapshot", "targets" };

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		REPO(r);
		struct repo_role *role = repo_role(&r, roles[i]);

		role->keys = role->sign = role->keys | KEY(6) | KEY(7);
		role->threshold = 3;
		publish_root_and_all(&r);
		assert_ok(repo_refresh(&r, &e), &e);
		role->sign = role->keys & ~KEY(7);
		publish_root_and_all(&r);
		assert_fails(repo_refresh(&r, &e), &e, E_UNTRUSTED);
		check_words(&e, "2 of the 3 keys");
	}
}

/* Signatures by others neither help nor harm. */
static void signatures_by_other_keys_do_not_count(void **state)
{
	REPO(r);
	repo_role(&r, "timestamp")->sign = KEY(7) | KEY(8);
	repo_publish(&r, "timestamp");
	assert_fails(repo_refresh(&r, &e), &e, E_UNTRUSTED);
	repo_role(&r, "timestamp")->sign |= KEY(1);
	repo_publish(&r, "timestamp");
	assert_ok(repo_refresh(&r, &e), &e);
}

static void replace_in(struct repo *r, const char *name, const char *from, const char *to)
{
	const struct repo_file *f = repo_get(r->served, name);
	const char *at = strstr((const char *)f->p, from);
	char text[16384];
	int n;

	assert_non_null(at);
	n = snprintf(text, sizeof(text), "%.*s%s%.*s", (int)(at - (const char *)f->p),
		     (const char *)f->p, to,
		     (int)(f->n - (size_t)(at - (const char *)f->p) - strlen(from)),
		     at + strlen(from));
	repo_put(r->served, name, text, (size_t)n);
}

/* The named regressions of trust.md: python-tuf CVE-2020-15163, tough CVE-2020-15093. */
static void cve_2020_15163_a_signature_listed_twice_does_not_count_twice(void **state)
{
	REPO(r);
	struct repo_role *role = repo_role(&r, "snapshot");
	char one[512], both[1100];
	const char *sigs, *end;

	role->keys = KEY(2) | KEY(6);
	role->threshold = 2;
	publish_root_and_all(&r);
	sigs = strchr((const char *)repo_get(r.served, "2.snapshot.json")->p, '{');
	sigs = strchr(sigs + 1, '{');
	end = strchr(sigs, '}');
	snprintf(one, sizeof(one), "%.*s", (int)(end - sigs) + 1, sigs);
	snprintf(both, sizeof(both), "%s,%s", one, one);
	replace_in(&r, "2.snapshot.json", one, both);
	assert_fails(repo_refresh(&r, &e), &e, E_FORMAT);
	check_words(&e, "two signatures by key");
	check_versions(&r, 2, 2, 0, 0);
}

/* The second form of it: the same key under two ids, which an unknown field makes. */
static void cve_2020_15093_a_key_under_two_ids_counts_once(void **state)
{
	REPO(r);
	struct tuf_pubkey twin, was = r.pubs[6];
	char json[512];

	snprintf(json, sizeof(json), "%.*s,\"x\":1}", (int)strlen(r.pubs[2].json) - 1,
		 r.pubs[2].json);
	assert_ok(tuf_pubkey_parse(&twin, json, strlen(json), &e), &e);
	assert_string_not_equal(twin.id, r.pubs[2].id);
	r.pubs[6] = twin; /* key 6 is key 2 with another id */
	repo_role(&r, "snapshot")->keys = KEY(2) | KEY(6);
	repo_role(&r, "snapshot")->threshold = 2;
	repo_publish(&r, "root");

	CLEANUP(buf_done) struct buf canon = BUF_INIT(8192);
	CLEANUP(buf_done) struct buf twice = BUF_INIT(8192);
	uint8_t sig[SIG_SIZE];
	repo_publish_all(&r);
	const struct repo_file *f = repo_get(r.served, "2.snapshot.json");
	assert_ok(tuf_signed_bytes(&canon, f->p, f->n, &e), &e);
	assert_ok(sig_sign(sig, r.secrets[2], canon.p, canon.n, &e), &e);
	assert_ok(tuf_add_signature(&twice, f->p, f->n, &twin, sig, sizeof(sig), &e), &e);
	repo_put(r.served, "2.snapshot.json", twice.p, twice.n);

	assert_fails(repo_refresh(&r, &e), &e, E_UNTRUSTED);
	check_words(&e, "1 of the 2 keys");
	r.pubs[6] = was;
	tuf_pubkey_done(&twin);
}

static void a_bad_signature_beside_enough_good_ones_is_no_harm(void **state)
{
	REPO(r);
	repo_role(&r, "timestamp")->keys |= KEY(6);
	repo_role(&r, "timestamp")->sign |= KEY(6);
	publish_root_and_all(&r);
	replace_in(&r, "timestamp.json", "\"sig\":\"", "\"sig\":\"00");
	assert_ok(repo_refresh(&r, &e), &e);
	replace_in(&r, "timestamp.json", "\"sig\":\"00", "\"sig\":\"zz");
	assert_ok(repo_refresh(&r, &e), &e);
}

static void a_threshold_above_the_number_of_keys_is_never_met(void **state)
{
	REPO(r);
	repo_publish(&r, "root");
	replace_in(&r, "2.root.json",
		   "\"snapshot\":{\"keyids\":", "\"snapshot\":{\"x\":0,\"keyids\":");
	CLEANUP(buf_done) struct buf text = BUF_INIT(8192);
	const struct repo_file *f = repo_get(r.served, "2.root.json");
	const char *at = strstr((const char *)f->p, "\"signed\":") + 9;
	assert_ok(buf_add(&text, at, f->n - 1 - (size_t)(at - (const char *)f->p), &e), &e);
	char *threshold = strstr((char *)text.p, "\"x\":0");
	threshold = strstr(threshold, "\"threshold\":1") + 12;
	*threshold = '9';
	repo_serve(&r, "2.root.json", buf_str(&text), KEY(0));
	assert_fails(repo_refresh(&r, &e), &e, E_UNTRUSTED);
	check_words(&e, "snapshot");
	check_versions(&r, 2, 1, 0, 0);
}

/* ---- the chain of roots ------------------------------------------------------------------- */

struct rotation {
	unsigned keys, sign;
	uint64_t threshold;
};

static bool follow_chain(struct repo *r, const struct rotation *steps, size_t n, struct err *e)
{
	struct repo_role *root = repo_role(r, "root");
	const struct repo_file *f;
	struct err why;

	root->version = 0;
	for (size_t i = 0; i < n; i++) {
		root->keys = steps[i].keys;
		root->sign = steps[i].sign;
		root->threshold = steps[i].threshold;
		repo_publish(r, "root");
	}
	f = repo_get(r->served, "1.root.json");
	assert_ok(tuf_client_init(&r->io, f->p, f->n, NULL, &why), &why);
	return repo_refresh(r, e);
}

static void a_new_root_is_signed_by_old_and_new_keys(void **state)
{
	enum { A = 1, B = 2, C = 4, D = 8, E = 16, F = 32, G = 64, H = 128 };
	static const struct {
		size_t n;
		struct rotation steps[4];
		bool good;
	} cases[] = {
		{ 3, { { A, A, 1 }, { B, A | B, 1 }, { B, B, 1 } }, true },
		{ 3, { { A, A | C, 1 }, { B, A | B | C | D, 1 }, { B, B | D, 1 } }, true },
		{ 3,
		  { { 31, A | C | E, 3 }, { 31, A | E | B, 3 }, { 31, B | C | D, 3 } },
		  true },
		{ 2, { { 31, A | C | E, 3 }, { A | B | D | E | F, A | E | B, 3 } }, true },
		{ 2, { { A | B | C, A | B, 1 }, { A | B | C, A | B, 2 } }, true },
		{ 2, { { A | B, A | B, 2 }, { A | B, A | B, 1 } }, true },
		{ 2, { { A, A, 1 }, { B, B | C, 1 } }, false }, /* not by the old key */
		{ 2, { { A, A, 1 }, { B, A | C, 1 } }, false }, /* not by the new key */
		{ 2, { { 31, A | C | E, 3 }, { A | B | D | E | F, A | C | E, 3 } }, false },
		{ 2, { { 31, A | C | E, 3 }, { A | B | D | E | F, A | E | F, 3 } }, false },
		{ 2, { { A | B | C, A, 1 }, { A | B | C, B, 2 } }, false },
		{ 2, { { A | B, A | B, 2 }, { A | B, A, 1 } }, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		REPO(r);
		bool ok = follow_chain(&r, cases[i].steps, cases[i].n, &e);

		if (ok != cases[i].good)
			fail_msg("case %zu: %s", i, ok ? "accepted" : e.text);
		assert_int_equal(repo_local_version(&r, "root"), cases[i].n - !cases[i].good);
	}
}

static void a_root_of_another_version_than_asked_for_is_refused(void **state)
{
	REPO(r);
	const struct repo_file *f;

	repo_publish(&r, "root");
	repo_publish(&r, "root");
	f = repo_get(r.served, "3.root.json");
	repo_put(r.served, "2.root.json", f->p, f->n);
	assert_fails(repo_refresh(&r, &e), &e, E_ROLLBACK);
	check_words(&e, "root: version 3, expected was 2");
	f = repo_get(r.served, "1.root.json");
	repo_put(r.served, "2.root.json", f->p, f->n);
	assert_fails(repo_refresh(&r, &e), &e, E_ROLLBACK);
	check_versions(&r, 1, 0, 0, 0);
}

static void at_most_256_roots_are_followed_at_once(void **state)
{
	REPO(r);

	for (int i = 0; i < LIMIT_TUF_ROTATIONS + 3; i++)
		repo_publish(&r, "root");
	assert_ok(repo_refresh(&r, &e), &e);
	assert_int_equal(repo_local_version(&r, "root"), 1 + LIMIT_TUF_ROTATIONS);
	assert_ok(repo_refresh(&r, &e), &e);
	assert_int_equal(repo_local_version(&r, "root"), 4 + LIMIT_TUF_ROTATIONS);
}

static void a_server_in_trouble_is_not_the_end_of_the_root_chain(void **state)
{
	REPO(r);
	r.fetch_fails = E_UNAVAILABLE;
	assert_fails(repo_refresh(&r, &e), &e, E_UNAVAILABLE);
	check_words(&e, "root");
	assert_string_equal(r.log, "2.root.json");
}

/* ---- expiry ------------------------------------------------------------------------------- */

static void an_expired_root_is_stored_and_then_stops_everything(void **state)
{
	REPO(r);
	assert_ok(repo_refresh(&r, &e), &e);
	repo_role(&r, "root")->expires_s = r.now_s;
	publish_root_and_all(&r);
	assert_fails(repo_refresh(&r, &e), &e, E_EXPIRED);
	check_words(
		&e,
		"root: version 2 expired at 2027-01-15T08:00:00Z, it is 2027-01-15T08:00:00Z now");
	check_versions(&r, 2, 1, 1, 1);
	/* and a client can go on from there */
	repo_role(&r, "root")->expires_s = r.now_s + 1;
	repo_publish(&r, "root");
	assert_ok(repo_refresh(&r, &e), &e);
	check_versions(&r, 3, 2, 2, 2);
}

static void expired_metadata_is_not_accepted(void **state)
{
	static const struct {
		const char *role;
		uint64_t timestamp, snapshot;
	} cases[] = { { "timestamp", 1, 1 }, { "snapshot", 2, 1 }, { "targets", 2, 2 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		REPO(r);
		assert_ok(repo_refresh(&r, &e), &e);
		repo_role(&r, cases[i].role)->expires_s = r.now_s - 1;
		repo_publish_all(&r);
		assert_fails(repo_refresh(&r, &e), &e, E_EXPIRED);
		check_words(&e, cases[i].role);
		check_versions(&r, 1, cases[i].timestamp, cases[i].snapshot, 1);
	}
}

/* Freeze: nothing new comes until what is there is too old. */
static void a_frozen_repository_is_noticed_when_the_timestamp_expires(void **state)
{
	REPO(r);
	repo_role(&r, "timestamp")->expires_s = r.now_s + REPO_DAY;
	repo_publish(&r, "timestamp");
	assert_ok(repo_refresh(&r, &e), &e);
	r.now_s += REPO_DAY;
	assert_fails(repo_refresh(&r, &e), &e, E_EXPIRED);
	repo_role(&r, "timestamp")->expires_s = r.now_s + REPO_DAY;
	repo_publish(&r, "timestamp");
	assert_ok(repo_refresh(&r, &e), &e);
}

static void stored_metadata_that_expired_meanwhile_is_fetched_anew(void **state)
{
	REPO(r);
	repo_role(&r, "snapshot")->expires_s = r.now_s + REPO_DAY;
	repo_role(&r, "targets")->expires_s = r.now_s + REPO_DAY;
	repo_publish_all(&r);
	assert_ok(repo_refresh(&r, &e), &e);
	r.now_s += REPO_DAY;
	assert_fails(repo_refresh(&r, &e), &e, E_EXPIRED);
	assert_string_equal(r.log, "2.root.json timestamp.json 2.snapshot.json");
	repo_role(&r, "snapshot")->expires_s = r.now_s + REPO_DAY;
	repo_role(&r, "targets")->expires_s = r.now_s + REPO_DAY;
	repo_publish_all(&r);
	assert_ok(repo_refresh(&r, &e), &e);
}

/* ---- rollback, mix-and-match, fast-forward ------------------------------------------------ */

static void an_older_timestamp_is_refused(void **state)
{
	REPO(r);
	repo_publish(&r, "timestamp");
	assert_ok(repo_refresh(&r, &e), &e);
	repo_role(&r, "timestamp")->version = 0;
	repo_publish(&r, "timestamp");
	assert_fails(repo_refresh(&r, &e), &e, E_ROLLBACK);
	check_words(&e, "timestamp: version 1 after version 2");
	check_versions(&r, 1, 2, 1, 1);
}

static void another_timestamp_of_the_same_version_is_not_taken(void **state)
{
	REPO(r);
	assert_ok(repo_refresh(&r, &e), &e);
	repo_role(&r, "snapshot")->snapshot_version = 100;
	repo_role(&r, "timestamp")->version = 0;
	repo_publish(&r, "timestamp");
	assert_ok(repo_refresh(&r, &e), &e);
	assert_string_equal(r.log, "2.root.json timestamp.json");
	check_versions(&r, 1, 1, 1, 1);
}

static void a_timestamp_that_names_an_older_snapshot_is_refused(void **state)
{
	for (int hashes = 0; hashes < 2; hashes++) {
		REPO(r);
		r.hashes = hashes;
		repo_publish_all(&r);
		assert_ok(repo_refresh(&r, &e), &e);
		repo_role(&r, "snapshot")->version = 0;
		repo_publish(&r, "snapshot");
		repo_publish(&r, "timestamp");
		assert_fails(repo_refresh(&r, &e), &e, E_ROLLBACK);
		check_words(&e, "names snapshot version 1");
		check_versions(&r, 1, 2, 2, 2);
		assert_string_equal(r.log, "2.root.json timestamp.json");
	}
}

/* go-tuf CVE-2022-29173: rollback of roles other than root was possible. */
static void cve_2022_29173_a_snapshot_that_lists_older_targets_is_refused(void **state)
{
	for (int hashes = 0; hashes < 2; hashes++) {
		REPO(r);
		r.hashes = hashes;
		repo_publish_all(&r);
		assert_ok(repo_refresh(&r, &e), &e);
		repo_role(&r, "targets")->version = 0;
		repo_publish_all(&r);
		assert_fails(repo_refresh(&r, &e), &e, E_ROLLBACK);
		check_words(&e, "snapshot: targets.json: version 1 after version 2");
		check_versions(&r, 1, 3, 2, 2);
	}
}

static void a_role_does_not_disappear_from_the_snapshot(void **state)
{
	REPO(r);
	repo_delegate(&r, "targets", "a", 6, "a/*");
	repo_publish_all(&r);
	assert_ok(repo_refresh(&r, &e), &e);
	repo_role(&r, "a")->unlisted = true;
	repo_publish_all(&r);
	assert_fails(repo_refresh(&r, &e), &e, E_ROLLBACK);
	check_words(&e, "a.json is not listed any more");
}

static void versions_must_be_the_announced_ones(void **state)
{
	static const char *const roles[] = { "snapshot", "targets" };

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		REPO(r);
		char asked[32], served[32];
		const struct repo_file *f;

		repo_publish_all(&r);
		repo_publish_all(&r);
		snprintf(asked, sizeof(asked), "3.%s.json", roles[i]);
		snprintf(served, sizeof(served), "2.%s.json", roles[i]);
		f = repo_get(r.served, served);
		repo_put(r.served, asked, f->p, f->n);
		assert_fails(repo_refresh(&r, &e), &e, E_CORRUPT);
		check_words(&e, "version 2, announced was 3");
	}
}

/* Every file of one release of the repository with every file of another. */
static void metadata_of_different_moments_cannot_be_mixed(void **state)
{
	static const char *const names[] = { "timestamp.json", "2.snapshot.json",
					     "2.targets.json", "1.a.json" };
	REPO(one);
	CLEANUP(repo_done) struct repo two;
	struct tuf_found found;

	repo_init(&two);
	one.hashes = two.hashes = true;
	repo_delegate(&one, "targets", "a", 6, "a/*");
	repo_delegate(&two, "targets", "a", 6, "a/*");
	repo_target(&one, "a", "a/x", "one", NULL);
	repo_target(&two, "a", "a/x", "two", NULL);
	repo_target(&one, "targets", "t", "one", NULL);
	repo_target(&two, "targets", "t", "two", NULL);
	repo_publish_all(&one);
	repo_publish_all(&two);
	for (unsigned mask = 1; mask < KEY(ARRAY_SIZE(names)) - 1; mask++) {
		CLEANUP(repo_done) struct repo r;

		repo_init(&r);
		for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
			struct repo *from = mask & KEY(i) ? &two : &one;
			const struct repo_file *f = repo_get(from->served, names[i]);

			repo_put(r.served, names[i], f->p, f->n);
		}
		if (repo_refresh(&r, &e) && repo_find(&r, &found, "a/x", &e))
			fail_msg("mixture %u was accepted", mask);
	}
}

static void fast_forward_of_each_role_is_undone_by_new_keys(void **state)
{
	static const struct {
		const char *forwarded;
		unsigned rotate; /* 1: timestamp, 2: snapshot */
	} cases[] = { { "timestamp", 1 }, { "snapshot", 3 }, { "targets", 2 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		REPO(r);
		struct repo_role *role = repo_role(&r, cases[i].forwarded);

		role->version = 1000;
		repo_publish_all(&r);
		assert_ok(repo_refresh(&r, &e), &e);
		assert_true(repo_local_version(&r, cases[i].forwarded) > 1000);
		role->version = 0;
		if (cases[i].rotate & 1)
			repo_role(&r, "timestamp")->keys = repo_role(&r, "timestamp")->sign =
				KEY(8);
		if (cases[i].rotate & 2)
			repo_role(&r, "snapshot")->keys = repo_role(&r, "snapshot")->sign =
				KEY(9);
		publish_root_and_all(&r);
		assert_ok(repo_refresh(&r, &e), &e);
		assert_int_equal(repo_local_version(&r, cases[i].forwarded), 1);
	}
}

static void without_new_keys_a_fast_forward_is_not_undone(void **state)
{
	REPO(r);
	repo_role(&r, "timestamp")->version = 1000;
	repo_publish(&r, "timestamp");
	assert_ok(repo_refresh(&r, &e), &e);
	repo_role(&r, "timestamp")->version = 1;
	/* One key more is no rotation: the old one stays trusted, and so does what it signed. */
	repo_role(&r, "timestamp")->keys |= KEY(8);
	publish_root_and_all(&r);
	assert_fails(repo_refresh(&r, &e), &e, E_ROLLBACK);
}

/* A power cut between storing the root and removing the files leaves files by revoked keys. */
static void files_that_revoked_keys_signed_do_not_count(void **state)
{
	REPO(r);
	repo_role(&r, "timestamp")->version = 1000;
	repo_publish(&r, "timestamp");
	assert_ok(repo_refresh(&r, &e), &e);
	repo_role(&r, "timestamp")->version = 0;
	repo_role(&r, "timestamp")->keys = repo_role(&r, "timestamp")->sign = KEY(8);
	publish_root_and_all(&r);
	r.remove_fails = E_SYSTEM;
	assert_fails(repo_refresh(&r, &e), &e, E_SYSTEM);
	check_versions(&r, 2, 1001, 1, 1);
	r.remove_fails = E_NONE;
	assert_ok(repo_refresh(&r, &e), &e);
	check_versions(&r, 2, 1, 2, 2);
}

static void trouble_while_forgetting_is_told(void **state)
{
	static const char *const names[] = { "snapshot.json", "timestamp.json" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		REPO(r);
		assert_ok(repo_refresh(&r, &e), &e);
		repo_role(&r, "snapshot")->keys = repo_role(&r, "snapshot")->sign = KEY(8);
		publish_root_and_all(&r);
		r.remove_fails = E_SYSTEM;
		r.only = names[i];
		assert_fails(repo_refresh(&r, &e), &e, E_SYSTEM);
		r.remove_fails = E_NONE;
		assert_ok(repo_refresh(&r, &e), &e);
		check_versions(&r, 2, 2, 2, 2);
	}
}

static void a_length_above_the_limit_does_not_raise_it(void **state)
{
	static const char text[] =
		"{\"_type\":\"timestamp\",\"expires\":\"2030-01-01T00:00:00Z\",\"spec_version\":\"1.0\","
		"\"version\":2,\"meta\":{\"snapshot.json\":{\"version\":1,\"length\":2000001}}}";
	static uint8_t big[LIMIT_TUF_SNAPSHOT + 1];
	REPO(r);

	repo_serve(&r, "timestamp.json", text, KEY(1));
	repo_put(r.served, "1.snapshot.json", big, sizeof(big));
	assert_fails(repo_refresh(&r, &e), &e, E_TOO_BIG);
}

/* ---- lengths, hashes, limits -------------------------------------------------------------- */

/* tough CVE-2026-6967: length, hash and expiry of delegated roles were not looked at. */
static void cve_2026_6967_delegated_roles_are_checked_like_all_others(void **state)
{
	struct tuf_found found;

	for (int damage = 0; damage < 4; damage++) {
		REPO(r);
		r.hashes = true;
		repo_delegate(&r, "targets", "a", 6, "a/*");
		repo_target(&r, "a", "a/x", "content", NULL);
		if (damage == 1)
			repo_role(&r, "a")->expires_s = r.now_s;
		repo_publish_all(&r);
		if (damage == 2)
			replace_in(&r, "1.a.json", "{\"signatures\"", "{ \"signatures\"");
		if (damage == 3)
			replace_in(&r, "1.a.json", "\"keyid\"", "\"keYid\"");
		assert_ok(repo_refresh(&r, &e), &e);
		if (damage == 0) {
			assert_ok(repo_find(&r, &found, "a/x", &e), &e);
			assert_string_equal(found.role, "a");
			assert_string_equal(r.log, "1.a.json");
			continue;
		}
		static const enum err_code codes[] = { E_NONE, E_EXPIRED, E_TOO_BIG,
						       E_CORRUPT };
		assert_fails(repo_find(&r, &found, "a/x", &e), &e, codes[damage]);
		check_words(&e, "a");
		assert_int_equal(repo_local_version(&r, "a"), 0);
	}
}

static void hashes_in_timestamp_and_snapshot_are_checked(void **state)
{
	static const char *const names[] = { "2.snapshot.json", "2.targets.json" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		REPO(r);
		r.hashes = true;
		repo_publish_all(&r);
		assert_ok(repo_refresh(&r, &e), &e);
		repo_publish_all(&r);
		const char *name = i == 0 ? "3.snapshot.json" : "3.targets.json";
		replace_in(&r, name, "\"keyid\"", "\"keyiD\"");
		assert_fails(repo_refresh(&r, &e), &e, E_CORRUPT);
		check_words(&e, "SHA-256 is not the announced one");
		assert_ok((repo_publish_all(&r), repo_refresh(&r, &e)), &e);
	}
}

/* A stored file is checked as one that arrives; damage on disk is repaired by fetching. */
static void damaged_stored_files_are_fetched_again(void **state)
{
	static const char *const names[] = { "snapshot.json", "targets.json" };

	for (int hashes = 0; hashes < 2; hashes++)
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			REPO(r);
			r.hashes = hashes;
			repo_publish_all(&r);
			assert_ok(repo_refresh(&r, &e), &e);
			struct repo_file *f = repo_get(r.local, names[i]);
			flip_bit(f->p, f->n * 4);
			assert_ok(repo_refresh(&r, &e), &e);
			assert_non_null(strstr(r.log, names[i]));
		}
}

static void a_stored_snapshot_is_the_baseline_also_when_its_hash_is_not_announced(void **state)
{
	REPO(r);
	r.hashes = true;
	repo_publish_all(&r);
	assert_ok(repo_refresh(&r, &e), &e);
	repo_role(&r, "targets")->version = 0;
	repo_publish_all(&r);
	assert_fails(repo_refresh(&r, &e), &e, E_ROLLBACK);
}

static void files_above_the_limits_are_refused(void **state)
{
	static uint8_t big[LIMIT_TUF_TARGETS + 1];
	static const struct {
		const char *name;
		size_t n;
	} cases[] = { { "2.root.json", LIMIT_TUF_ROOT + 1 },
		      { "timestamp.json", LIMIT_TUF_TIMESTAMP + 1 },
		      { "1.snapshot.json", LIMIT_TUF_SNAPSHOT + 1 },
		      { "1.targets.json", LIMIT_TUF_TARGETS + 1 } };

	memset(big, ' ', sizeof(big));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		REPO(r);
		repo_put(r.served, cases[i].name, big, cases[i].n);
		assert_fails(repo_refresh(&r, &e), &e, E_TOO_BIG);
	}
}

static void a_missing_file_of_a_role_is_not_a_target_that_nobody_has(void **state)
{
	REPO(r);
	struct tuf_found found;

	repo_delegate(&r, "targets", "a", 6, "a/*");
	repo_target(&r, "a", "a/x", "content", NULL);
	publish_root_and_all(&r);
	assert_ok(repo_refresh(&r, &e), &e);
	repo_del(r.served, "1.a.json");
	assert_fails(repo_find(&r, &found, "a/x", &e), &e, E_CORRUPT);
	assert_fails(repo_find(&r, &found, "b/x", &e), &e, E_NOT_FOUND);
}

static void missing_files_are_errors_and_asked_for_once(void **state)
{
	static const char *const names[] = { "timestamp.json", "1.snapshot.json",
					     "1.targets.json" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		REPO(r);
		repo_del(r.served, names[i]);
		assert_fails(repo_refresh(&r, &e), &e, E_NOT_FOUND);
		assert_ptr_equal(strstr(r.log, names[i]) + strlen(names[i]),
				 r.log + strlen(r.log));
	}
}

static void a_file_of_another_role_is_refused(void **state)
{
	REPO(r);
	const struct repo_file *f;

	repo_role(&r, "timestamp")->keys |= KEY(2);
	publish_root_and_all(&r);
	f = repo_get(r.served, "2.snapshot.json");
	repo_put(r.served, "timestamp.json", f->p, f->n);
	assert_fails(repo_refresh(&r, &e), &e, E_FORMAT);
	check_words(&e, "_type: \"snapshot\" where \"timestamp\" belongs");
}

/* ---- disk --------------------------------------------------------------------------------- */

static void trouble_with_the_disk_is_no_reason_to_forget(void **state)
{
	REPO(r);
	assert_ok(repo_refresh(&r, &e), &e);
	repo_publish_all(&r);
	r.load_fails = E_SYSTEM;
	assert_fails(repo_refresh(&r, &e), &e, E_SYSTEM);
	r.load_fails = E_NONE;
	publish_root_and_all(&r);
	static const char *const names[] = { "root.json", "timestamp.json", "snapshot.json",
					     "targets.json" };
	r.store_fails = E_NO_SPACE;
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		r.only = names[i];
		assert_fails(repo_refresh(&r, &e), &e, E_NO_SPACE);
		check_versions(&r, 1 + (i > 0), i > 1 ? 3 : 1, i > 2 ? 3 : 1, 1);
	}
	r.store_fails = E_NONE;
	assert_ok(repo_refresh(&r, &e), &e);
	check_versions(&r, 2, 3, 3, 3);
}

static void a_stored_file_above_the_limit_counts_as_none(void **state)
{
	static uint8_t big[LIMIT_TUF_TIMESTAMP + 1];
	REPO(r);
	repo_put(r.local, "timestamp.json", big, sizeof(big));
	assert_ok(repo_refresh(&r, &e), &e);
}

static void stored_metadata_opens_without_network_and_clock(void **state)
{
	REPO(r);
	struct tuf_found found;

	repo_delegate(&r, "targets", "a", 6, "a/*");
	repo_delegate(&r, "targets", "b", 7, "b/*");
	repo_target(&r, "a", "a/x", "content", NULL);
	repo_publish_all(&r);
	assert_fails(repo_open_stored(&r, &e), &e, E_NOT_FOUND);
	assert_ok(repo_refresh(&r, &e), &e);
	assert_ok(repo_find(&r, &found, "a/x", &e), &e);
	r.now_s += 10000 * REPO_DAY;
	assert_ok(repo_open_stored(&r, &e), &e);
	assert_ok(repo_find(&r, &found, "a/x", &e), &e);
	assert_string_equal(r.log, "");
	assert_fails(repo_find(&r, &found, "b/x", &e), &e, E_CORRUPT); /* never was fetched */
	assert_string_equal(r.log, "");
}

static void stored_metadata_that_was_tampered_with_does_not_open(void **state)
{
	static const struct {
		const char *name;
		enum err_code code;
	} cases[] = { { "root.json", E_UNTRUSTED },
		      { "timestamp.json", E_NOT_FOUND },
		      { "snapshot.json", E_CORRUPT },
		      { "targets.json", E_CORRUPT } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		REPO(r);
		assert_ok(repo_refresh(&r, &e), &e);
		struct repo_file *f = repo_get(r.local, cases[i].name);
		char *version = strstr((char *)f->p, "\"version\":1") + 10;
		*version = '2';
		assert_fails(repo_open_stored(&r, &e), &e, cases[i].code);
		assert_string_equal(r.log, "");
	}
}

static void a_disk_in_trouble_does_not_open(void **state)
{
	REPO(r);
	assert_ok(repo_refresh(&r, &e), &e);
	CLEANUP(tuf_client_freep) struct tuf_client *c = NULL;
	assert_ok(tuf_client_new(&c, &r.io, r.now_s, &e), &e);
	r.load_fails = E_SYSTEM;
	assert_fails(tuf_client_open_stored(c, &e), &e, E_SYSTEM);
}

/* ---- delegations -------------------------------------------------------------------------- */

struct edge {
	const char *parent, *name, *pattern;
	bool terminating;
};

static void check_walk(const struct edge *edges, size_t n, const char *path, const char *want)
{
	REPO(r);
	struct tuf_found found;

	for (size_t i = 0; i < n; i++)
		repo_delegate(&r, edges[i].parent, edges[i].name, 6, edges[i].pattern)
			->terminating = edges[i].terminating;
	repo_publish_all(&r);
	assert_ok(repo_refresh(&r, &e), &e);
	assert_fails(repo_find(&r, &found, path, &e), &e, E_NOT_FOUND);
	assert_string_equal(r.log, want);
}

static void delegations_are_searched_in_order_of_trust(void **state)
{
	static const struct {
		struct edge edges[6];
		size_t n;
		const char *want;
	} cases[] = {
		{ { { "targets", "A", "*" } }, 1, "1.A.json" },
		{ { { "targets", "A", "*" }, { "targets", "B", "*" } }, 2, "1.A.json 1.B.json" },
		{ { { "targets", "A", "*" },
		    { "targets", "B", "*" },
		    { "A", "C", "*" },
		    { "A", "D", "*" } },
		  4,
		  "1.A.json 1.C.json 1.D.json 1.B.json" },
		{ { { "targets", "A", "*" },
		    { "targets", "B", "*" },
		    { "A", "C", "*" },
		    { "C", "D", "*" } },
		  4,
		  "1.A.json 1.C.json 1.D.json 1.B.json" },
		{ { { "targets", "A", "*" },
		    { "targets", "B", "*" },
		    { "A", "C", "*", true },
		    { "A", "D", "*" } },
		  4,
		  "1.A.json 1.C.json" },
		{ { { "targets", "A", "*" },
		    { "targets", "B", "*" },
		    { "A", "C", "*", true },
		    { "C", "D", "*" } },
		  4,
		  "1.A.json 1.C.json 1.D.json" },
		{ { { "targets", "A", "*.py" }, { "targets", "B", "*" }, { "A", "C", "*" } },
		  3,
		  "1.B.json" },
		/* a circle */
		{ { { "targets", "A", "*" },
		    { "targets", "B", "*" },
		    { "B", "C", "*" },
		    { "C", "D", "*" },
		    { "D", "B", "*" } },
		  5,
		  "1.A.json 1.B.json 1.C.json 1.D.json" },
		/* one role from two sides: visited once */
		{ { { "targets", "A", "*" },
		    { "targets", "B", "*" },
		    { "B", "C", "*" },
		    { "A", "C", "*" } },
		  4,
		  "1.A.json 1.C.json 1.B.json" },
		/* a terminating delegation to a visited role ends the search all the same */
		{ { { "targets", "A", "*" },
		    { "targets", "B", "*" },
		    { "B", "A", "*", true },
		    { "targets", "C", "*" } },
		  4,
		  "1.A.json 1.B.json" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_walk(cases[i].edges, cases[i].n, "nothing", cases[i].want);
}

static void at_most_32_roles_are_visited(void **state)
{
	static char names[LIMIT_TUF_DELEGATIONS + 2][8];
	REPO(r);
	struct tuf_found found;

	for (size_t i = 0; i < LIMIT_TUF_DELEGATIONS; i++) {
		snprintf(names[i], sizeof(names[i]), "r%zu", i);
		repo_delegate(&r, i == 0 ? "targets" : names[i - 1], names[i], 6, "*");
	}
	repo_target(&r, "r30", "near", "x", NULL);
	repo_target(&r, "r31", "far", "x", NULL);
	repo_publish_all(&r);
	assert_ok(repo_refresh(&r, &e), &e);
	assert_ok(repo_find(&r, &found, "near", &e), &e); /* the 32nd, with targets itself */
	assert_fails(repo_find(&r, &found, "far", &e), &e, E_TOO_BIG);
	assert_null(strstr(r.log, "r31"));
}

static void a_role_only_speaks_for_the_paths_delegated_to_it(void **state)
{
	REPO(r);
	struct tuf_found found;

	repo_delegate(&r, "targets", "releases.acme", 6, "releases/acme/*/*")->terminating =
		true;
	repo_delegate(&r, "targets", "policies", 7, "policies/*/*")->terminating = true;
	repo_target(&r, "releases.acme", "releases/acme/1.0/release.json", "A", NULL);
	repo_target(&r, "policies", "releases/acme/2.0/release.json", "B", NULL);
	repo_target(&r, "releases.acme", "releases/other/1.0/release.json", "C", NULL);
	repo_publish_all(&r);
	assert_ok(repo_refresh(&r, &e), &e);
	assert_ok(repo_find(&r, &found, "releases/acme/1.0/release.json", &e), &e);
	assert_string_equal(found.role, "releases.acme");
	assert_string_equal(r.log, "1.releases.acme.json");
	assert_fails(repo_find(&r, &found, "releases/acme/2.0/release.json", &e), &e,
		     E_NOT_FOUND);
	assert_fails(repo_find(&r, &found, "releases/other/1.0/release.json", &e), &e,
		     E_NOT_FOUND);
	assert_fails(repo_find(&r, &found, "../root.json", &e), &e, E_FORMAT);
}

static void a_delegated_role_that_the_snapshot_does_not_list_is_not_even_fetched(void **state)
{
	REPO(r);
	struct tuf_found found;

	repo_delegate(&r, "targets", "a", 6, "a/*")->unlisted = true;
	repo_publish_all(&r);
	assert_ok(repo_refresh(&r, &e), &e);
	assert_fails(repo_find(&r, &found, "a/x", &e), &e, E_CORRUPT);
	assert_string_equal(r.log, "");
}

/* A role that was loaded for one delegator is judged again for the next. */
static void a_loaded_role_is_verified_for_each_delegator(void **state)
{
	REPO(r);
	struct tuf_found found;

	repo_delegate(&r, "targets", "A", 6, "a/*");
	repo_delegate(&r, "targets", "B", 7, "b/*");
	repo_delegate(&r, "A", "shared", 8, "a/*");
	repo_delegate(&r, "B", "shared", 9, "b/*");
	repo_target(&r, "shared", "a/x", "good", NULL);
	repo_target(&r, "shared", "b/x", "bad", NULL);
	repo_publish_all(&r); /* the first entry's key signs: 8 */
	assert_ok(repo_refresh(&r, &e), &e);
	assert_ok(repo_find(&r, &found, "a/x", &e), &e);
	assert_fails(repo_find(&r, &found, "b/x", &e), &e, E_UNTRUSTED);
	check_words(&e, "shared");
}

static void strange_role_names_become_safe_file_names(void **state)
{
	static const struct {
		const char *role, *file;
	} cases[] = { { "?", "%3F.json" },
		      { "#", "%23.json" },
		      { "/delegated", "%2Fdelegated.json" },
		      { "../delegated", "..%2Fdelegated.json" },
		      { "..", "...json" },
		      { "a b", "a%20b.json" } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		REPO(r);
		struct tuf_found found;
		char want[64];

		repo_delegate(&r, "targets", cases[i].role, 6, "*");
		repo_publish_all(&r);
		assert_ok(repo_refresh(&r, &e), &e);
		assert_fails(repo_find(&r, &found, "x", &e), &e, E_NOT_FOUND);
		snprintf(want, sizeof(want), "1.%s", cases[i].file);
		assert_string_equal(r.log, want);
		assert_non_null(repo_get(r.local, cases[i].file));
	}
}

static void succinct_delegations_name_the_role_by_the_hash_of_the_path(void **state)
{
	REPO(r);
	struct tuf_found found;
	char text[4096];

	/* SHA-256("file") begins with 3b: with 4 bits the role is bin-3. */
	snprintf(text, sizeof(text),
		 "{\"_type\": \"targets\", \"spec_version\": \"1.0.31\", \"version\": 2,"
		 "\"expires\": \"2030-01-01T00:00:00Z\", \"targets\": {}, \"delegations\": {"
		 "\"keys\": {\"%s\": %s}, \"succinct_roles\": {\"keyids\": [\"%s\"],"
		 "\"threshold\": 1, \"bit_length\": 4, \"name_prefix\": \"bin\"}}}",
		 r.pubs[6].id, r.pubs[6].json, r.pubs[6].id);
	repo_delegate(&r, "targets", "bin-3", 6, "*");
	repo_target(&r, "bin-3", "file", "content", NULL);
	repo_publish_all(&r);
	repo_serve(&r, "2.targets.json", text, KEY(3));
	assert_ok(repo_refresh(&r, &e), &e);
	assert_ok(repo_find(&r, &found, "file", &e), &e);
	assert_string_equal(found.role, "bin-3");
	assert_string_equal(r.log, "1.bin-3.json");
	assert_fails(repo_find(&r, &found, "other", &e), &e,
		     E_CORRUPT); /* not in the snapshot */
}

static void consistent_targets_have_their_hash_in_the_name(void **state)
{
	REPO(r);
	CLEANUP(buf_done) struct buf path = BUF_INIT(1000);
	struct tuf_found found;

	repo_target(&r, "targets", "dir/file", "content", "{\"k\":1}");
	repo_publish_all(&r);
	assert_ok(repo_refresh(&r, &e), &e);
	assert_ok(repo_find(&r, &found, "dir/file", &e), &e);
	assert_non_null(found.target.custom);
	assert_ok(tuf_client_target_path(&path, r.client, &found.target, &e), &e);
	assert_string_equal(
		buf_str(&path),
		"dir/ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
		".file");
}

static void what_is_trusted_can_be_looked_at(void **state)
{
	REPO(r);
	CLEANUP(tuf_client_freep) struct tuf_client *c = NULL;

	assert_ok(tuf_client_new(&c, &r.io, r.now_s, &e), &e);
	assert_int_equal(tuf_client_meta(c, TUF_ROOT)->version, 1);
	assert_null(tuf_client_meta(c, TUF_TIMESTAMP));
	assert_null(tuf_client_meta(c, TUF_SNAPSHOT));
	assert_null(tuf_client_meta(c, TUF_TARGETS));
	assert_ok(tuf_client_refresh(c, &e), &e);
	for (unsigned t = 0; t < TUF_TYPES; t++)
		assert_int_equal(tuf_client_meta(c, (enum tuf_type)t)->type, t);
}

/* Who takes the time from the newest root follows the roots first; nothing is asked for twice. */
static void the_time_may_be_set_between_the_roots_and_the_rest(void **state)
{
	REPO(r);
	CLEANUP(tuf_client_freep) struct tuf_client *c = NULL;

	repo_publish(&r, "root");
	repo_publish_all(&r);
	assert_ok(tuf_client_new(&c, &r.io, r.now_s + 1000 * REPO_DAY, &e), &e);
	assert_ok(tuf_client_follow_roots(c, &e), &e);
	assert_int_equal(tuf_client_meta(c, TUF_ROOT)->version, 2);
	assert_fails(tuf_client_refresh(c, &e), &e, E_EXPIRED);
	tuf_client_set_time(c, r.now_s);
	assert_ok(tuf_client_refresh(c, &e), &e);
	assert_ok(tuf_client_follow_roots(c, &e), &e);
}

static void running_out_of_memory_is_an_error_like_others(void **state)
{
	REPO(r);
	struct tuf_found found;
	bool ok = false;

	repo_delegate(&r, "targets", "a", 6, "a/*");
	repo_target(&r, "a", "a/x", "content", NULL);
	repo_publish_all(&r);
	FAULT_EACH(n, FAULT_ALLOC) {
		ok = repo_refresh(&r, &e) && repo_find(&r, &found, "a/x", &e);
		if (!ok && e.code != E_NOMEM)
			fail_msg("%s: %s", err_name(e.code), e.text);
	}
	assert_true(ok);
}

/* The stored file is what protects from rollback: without memory to read it there is no going on. */
static void an_older_timestamp_is_refused_also_when_memory_is_short(void **state)
{
	REPO(r);

	repo_publish(&r, "timestamp");
	assert_ok(repo_refresh(&r, &e), &e);
	repo_role(&r, "timestamp")->version = 0;
	repo_publish(&r, "timestamp");
	FAULT_EACH(n, FAULT_ALLOC) {
		assert_false(repo_refresh(&r, &e));
	}
	assert_int_equal(e.code, E_ROLLBACK);
	assert_int_equal(repo_local_version(&r, "timestamp"), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_first_refresh_asks_for_each_file_once),
		cmocka_unit_test(a_client_without_a_root_asks_for_nothing),
		cmocka_unit_test(
			a_stored_root_that_is_not_signed_is_refused_before_any_request),
		cmocka_unit_test(trust_starts_with_the_root_that_the_ticket_names),
		cmocka_unit_test(metadata_is_stored_byte_for_byte),
		cmocka_unit_test(only_what_changed_is_fetched),
		cmocka_unit_test(a_repository_without_consistent_snapshots_has_plain_names),
		cmocka_unit_test(each_role_must_be_signed_and_what_came_before_stays),
		cmocka_unit_test(one_signature_less_than_the_threshold_is_nothing),
		cmocka_unit_test(signatures_by_other_keys_do_not_count),
		cmocka_unit_test(cve_2020_15163_a_signature_listed_twice_does_not_count_twice),
		cmocka_unit_test(cve_2020_15093_a_key_under_two_ids_counts_once),
		cmocka_unit_test(a_bad_signature_beside_enough_good_ones_is_no_harm),
		cmocka_unit_test(a_threshold_above_the_number_of_keys_is_never_met),
		cmocka_unit_test(a_new_root_is_signed_by_old_and_new_keys),
		cmocka_unit_test(a_root_of_another_version_than_asked_for_is_refused),
		cmocka_unit_test(at_most_256_roots_are_followed_at_once),
		cmocka_unit_test(a_server_in_trouble_is_not_the_end_of_the_root_chain),
		cmocka_unit_test(an_expired_root_is_stored_and_then_stops_everything),
		cmocka_unit_test(expired_metadata_is_not_accepted),
		cmocka_unit_test(a_frozen_repository_is_noticed_when_the_timestamp_expires),
		cmocka_unit_test(stored_metadata_that_expired_meanwhile_is_fetched_anew),
		cmocka_unit_test(an_older_timestamp_is_refused),
		cmocka_unit_test(another_timestamp_of_the_same_version_is_not_taken),
		cmocka_unit_test(a_timestamp_that_names_an_older_snapshot_is_refused),
		cmocka_unit_test(cve_2022_29173_a_snapshot_that_lists_older_targets_is_refused),
		cmocka_unit_test(a_role_does_not_disappear_from_the_snapshot),
		cmocka_unit_test(versions_must_be_the_announced_ones),
		cmocka_unit_test(metadata_of_different_moments_cannot_be_mixed),
		cmocka_unit_test(fast_forward_of_each_role_is_undone_by_new_keys),
		cmocka_unit_test(without_new_keys_a_fast_forward_is_not_undone),
		cmocka_unit_test(files_that_revoked_keys_signed_do_not_count),
		cmocka_unit_test(trouble_while_forgetting_is_told),
		cmocka_unit_test(a_length_above_the_limit_does_not_raise_it),
		cmocka_unit_test(cve_2026_6967_delegated_roles_are_checked_like_all_others),
		cmocka_unit_test(hashes_in_timestamp_and_snapshot_are_checked),
		cmocka_unit_test(damaged_stored_files_are_fetched_again),
		cmocka_unit_test(
			a_stored_snapshot_is_the_baseline_also_when_its_hash_is_not_announced),
		cmocka_unit_test(files_above_the_limits_are_refused),
		cmocka_unit_test(a_missing_file_of_a_role_is_not_a_target_that_nobody_has),
		cmocka_unit_test(missing_files_are_errors_and_asked_for_once),
		cmocka_unit_test(a_file_of_another_role_is_refused),
		cmocka_unit_test(trouble_with_the_disk_is_no_reason_to_forget),
		cmocka_unit_test(a_stored_file_above_the_limit_counts_as_none),
		cmocka_unit_test(stored_metadata_opens_without_network_and_clock),
		cmocka_unit_test(stored_metadata_that_was_tampered_with_does_not_open),
		cmocka_unit_test(a_disk_in_trouble_does_not_open),
		cmocka_unit_test(delegations_are_searched_in_order_of_trust),
		cmocka_unit_test(at_most_32_roles_are_visited),
		cmocka_unit_test(a_role_only_speaks_for_the_paths_delegated_to_it),
		cmocka_unit_test(
			a_delegated_role_that_the_snapshot_does_not_list_is_not_even_fetched),
		cmocka_unit_test(a_loaded_role_is_verified_for_each_delegator),
		cmocka_unit_test(strange_role_names_become_safe_file_names),
		cmocka_unit_test(succinct_delegations_name_the_role_by_the_hash_of_the_path),
		cmocka_unit_test(consistent_targets_have_their_hash_in_the_name),
		cmocka_unit_test(what_is_trusted_can_be_looked_at),
		cmocka_unit_test(the_time_may_be_set_between_the_roots_and_the_rest),
		cmocka_unit_test(an_older_timestamp_is_refused_also_when_memory_is_short),
		cmocka_unit_test(running_out_of_memory_is_an_error_like_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
