#include "tests/support/unit.h"

#include "admin-cli/init.h"
#include "admin-cli/roles.h"
#include "base/text.h"
#include "tests/support/httpd_stub.h"

/* The part of a server that init talks to. */
static struct {
	uint8_t online[5][SIG_PUBLIC_SIZE]; /* image snapshot, timestamp; director targets, ... */
	struct buf stored[3];               /* image root, director root, image targets */
	unsigned puts;
	unsigned lose_put; /* the n-th put is stored, but its answer lost */
	unsigned fail_put; /* the n-th put fails */
	char keys[800];
} srv;

static const struct {
	const char *put, *get;
} routes[] = {
	{ "/v1/tuf/image/root", "/tuf/image/1.root.json" },
	{ "/v1/tuf/director/root", "/tuf/director/1.root.json" },
	{ "/v1/tuf/image/targets", "/tuf/image/1.targets.json" },
};

static struct err e;

static void serve(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	if (strcmp(q->path, "/v1/keys/online") == 0) {
		stub_text(a, 200, srv.keys);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		struct buf *b = &srv.stored[i];

		if (strcmp(q->path, routes[i].get) == 0 && b->n > 0) {
			a->status = 200;
			a->body = b->p;
			a->n = b->n;
			a->length = (int64_t)b->n;
			return;
		}
		if (strcmp(q->path, routes[i].put) == 0 && b->n > 0) {
			stub_text(a, 409, "{\"code\":\"conflict\",\"message\":\"is there\"}");
			return;
		}
		if (strcmp(q->path, routes[i].put) == 0) {
			if (++srv.puts == srv.fail_put) {
				stub_text(a, 503, "");
				return;
			}
			assert_ok(buf_add(b, q->body, q->body_n, &e), &e);
			a->drop = srv.puts == srv.lose_put;
			stub_text(a, 200, "{}");
			return;
		}
	}
	stub_text(a, 404, "");
}

static struct stub *server;
static struct remote remote;
static struct clock_fake clk;
static struct rng_fake rng;
static struct init init;
static const char *const products[] = { "acme", "beta-phone" };

static void write_keys(void)
{
	char hex[5][HEX_SIZE(SIG_PUBLIC_SIZE)];
	struct secret *secret;

	for (size_t i = 0; i < 5; i++) {
		assert_ok(sig_new(&secret, srv.online[i], &rng.base, &e), &e);
		hex_encode(hex[i], srv.online[i], SIG_PUBLIC_SIZE);
		secret_free(secret);
	}
	snprintf(
		srv.keys, sizeof(srv.keys),
		"{\"image\":{\"snapshot\":\"%s\",\"timestamp\":\"%s\"},\"director\":{\"targets\":"
		"\"%s\",\"snapshot\":\"%s\",\"timestamp\":\"%s\"}}",
		hex[0], hex[1], hex[2], hex[3], hex[4]);
}

static int setup(void **state)
{
	struct https_config c = HTTPS_CONFIG_INIT(NULL);

	if (tmpdir_setup(state) != 0)
		return -1;
	memset(&srv, 0, sizeof(srv));
	memset(&remote, 0, sizeof(remote));
	for (size_t i = 0; i < 3; i++)
		srv.stored[i] = BUF_INIT(LIMIT_TUF_TARGETS);
	clock_fake_init(&clk, 1800000000);
	rng_fake_init(&rng, 4);
	write_keys();
	server = stub_start(serve, NULL);
	c.base_url = stub_url(server);
	c.allow_plain_loopback = true;
	if (!home_open(&remote.home, tmpdir_path(state), &e) ||
	    !https_new(&remote.https, &c, &e))
		return -1;
	init = (struct init){ .remote = &remote,
			      .products = products,
			      .n_products = 2,
			      .root_m = 2,
			      .root_n = 3,
			      .clock = &clk.base,
			      .rng = &rng.base };
	return 0;
}

static int teardown(void **state)
{
	remote_done(&remote);
	stub_stop(server);
	for (size_t i = 0; i < 3; i++)
		buf_done(&srv.stored[i]);
	return tmpdir_teardown(state);
}

static struct tuf_meta *parse(size_t i, enum tuf_type type)
{
	struct tuf_meta *m = NULL;

	assert_ok(tuf_parse(&m, type, srv.stored[i].p, srv.stored[i].n, &e), &e);
	return m;
}

static void assert_only_key(const struct tuf_role *role, const uint8_t *pub)
{
	char id[TUF_KEYID_SIZE];

	assert_ok(tuf_keyid_ed25519(id, pub, &e), &e);
	assert_int_equal(role->n_keys, 1);
	assert_string_equal(role->keys[0]->id, id);
}

static void both_roots_are_signed_by_all_keys_and_name_the_online_ones(void **state)
{
	assert_ok(init_run(&init, &e), &e);
	for (size_t i = 0; i < 2; i++) {
		CLEANUP(tuf_freep) struct tuf_meta *root = parse(i, TUF_ROOT);
		uint64_t good;

		assert_ok(tuf_verify(root, &root->roles[TUF_ROOT], &e), &e);
		assert_ok(tuf_count(root, &root->roles[TUF_ROOT], &good, NULL, &e), &e);
		assert_int_equal(good, 3);
		assert_int_equal(root->roles[TUF_ROOT].threshold, 2);
		assert_int_equal(root->roles[TUF_ROOT].n_keys, 3);
		assert_only_key(&root->roles[TUF_SNAPSHOT], srv.online[i == 0 ? 0 : 3]);
		assert_only_key(&root->roles[TUF_TIMESTAMP], srv.online[i == 0 ? 1 : 4]);
		assert_true(root->consistent_snapshot);
		assert_int_equal(root->expires_s, 1800000000 + ROOT_LIFE_S);
	}
}

static void the_two_roots_share_no_key(void **state)
{
	CLEANUP(tuf_freep) struct tuf_meta *a = NULL;
	CLEANUP(tuf_freep) struct tuf_meta *b = NULL;

	assert_ok(init_run(&init, &e), &e);
	a = parse(0, TUF_ROOT);
	b = parse(1, TUF_ROOT);
	for (size_t i = 0; i < a->n_keys; i++) {
		for (size_t k = 0; k < b->n_keys; k++)
			assert_string_not_equal(a->keys[i].id, b->keys[k].id);
	}
}

static void the_targets_role_delegates_to_publishers_and_policy_and_to_no_one_else(void **state)
{
	CLEANUP(tuf_freep) struct tuf_meta *root = NULL;
	CLEANUP(tuf_freep) struct tuf_meta *t = NULL;
	const struct tuf_role *acme, *policies;

	assert_ok(init_run(&init, &e), &e);
	root = parse(0, TUF_ROOT);
	t = parse(2, TUF_TARGETS);
	assert_ok(tuf_verify(t, &root->roles[TUF_TARGETS], &e), &e);
	assert_int_equal(t->n_roles, 3);
	acme = tuf_role_get(t, "releases.acme");
	policies = tuf_role_get(t, "policies");
	assert_true(acme->terminating && policies->terminating);
	assert_true(tuf_role_covers(acme, "releases/acme/1.0.0/release.json"));
	assert_false(tuf_role_covers(acme, "releases/beta-phone/1.0.0/release.json"));
	assert_false(tuf_role_covers(acme, "releases/acme/1.0.0/a/b"));
	assert_false(tuf_role_covers(acme, "policies/base/1.json"));
	assert_true(tuf_role_covers(policies, "policies/base/1.json"));
	assert_false(tuf_role_covers(policies, "releases/acme/1.0.0/release.json"));
}

static void repeated_it_changes_nothing_and_sends_nothing(void **state)
{
	struct buf *b = &srv.stored[0];
	uint8_t before[SHA256_SIZE], after[SHA256_SIZE];

	assert_ok(init_run(&init, &e), &e);
	sha256(before, b->p, b->n);
	clock_fake_advance(&clk, 86400000);
	assert_ok(init_run(&init, &e), &e);
	sha256(after, b->p, b->n);
	assert_memory_equal(before, after, sizeof(before));
	assert_int_equal(srv.puts, 3);
}

static void broken_off_anywhere_it_goes_on(void **state)
{
	for (unsigned n = 1; n <= 3; n++) {
		teardown(state);
		assert_int_equal(setup(state), 0);
		srv.fail_put = n;
		assert_fails(init_run(&init, &e), &e, E_UNAVAILABLE);
		assert_ok(init_run(&init, &e), &e);
		assert_int_equal(srv.puts, 4);
	}
}

static void a_lost_answer_is_looked_after(void **state)
{
	for (unsigned n = 1; n <= 3; n++) {
		teardown(state);
		assert_int_equal(setup(state), 0);
		srv.lose_put = n;
		assert_ok(init_run(&init, &e), &e);
		assert_int_equal(srv.puts, 3);
	}
}

static void another_server_is_not_overwritten(void **state)
{
	assert_ok(buf_add_str(&srv.stored[0], "somebody else's root", &e), &e);
	assert_fails(init_run(&init, &e), &e, E_CONFLICT);
	assert_non_null(strstr(e.text, "root of the image repository"));
}

static void online_keys_that_are_not_there_stop_it(void **state)
{
	snprintf(srv.keys, sizeof(srv.keys), "{\"image\":{}}");
	assert_fails(init_run(&init, &e), &e, E_FORMAT);
	assert_int_equal(srv.puts, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(both_roots_are_signed_by_all_keys_and_name_the_online_ones),
		CASE(the_two_roots_share_no_key),
		CASE(the_targets_role_delegates_to_publishers_and_policy_and_to_no_one_else),
		CASE(repeated_it_changes_nothing_and_sends_nothing),
		CASE(broken_off_anywhere_it_goes_on),
		CASE(a_lost_answer_is_looked_after),
		CASE(another_server_is_not_overwritten),
		CASE(online_keys_that_are_not_there_stop_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
