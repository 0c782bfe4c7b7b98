#include "tests/support/unit.h"

#include "admin-cli/publish.h"
#include "admin-cli/roles.h"
#include "base/text.h"
#include "proto/tus.h"
#include "tests/support/httpd_stub.h"

#include <unistd.h>

#define ROLE "releases.acme"

/* As much of the server as a publish sees. */
static struct {
	uint8_t objects[16][SHA256_SIZE];
	size_t n_objects;
	uint8_t uploading[SHA256_SIZE];
	struct buf upload, role, answer;
	unsigned posts, uploads;
	/* Before the first post is looked at, somebody else publishes this version with these bytes. */
	const char *rival_version, *rival_bytes;
	bool always_conflict, withdrawn;
	unsigned busy_until, drop_until; /* posts up to this number are answered so */
} srv;

static struct key publisher;
static struct clock_fake clk;
static struct rng_fake rng;
static struct err e;

static bool have_object(const uint8_t *sha256_)
{
	for (size_t i = 0; i < srv.n_objects; i++) {
		if (memcmp(srv.objects[i], sha256_, SHA256_SIZE) == 0)
			return true;
	}
	return false;
}

static void set_answer(struct stub_answer *a, int status)
{
	a->status = status;
	a->body = srv.answer.p ? srv.answer.p : (const uint8_t *)"";
	a->n = srv.answer.n;
	a->length = (int64_t)a->n;
}

static void fail_with(struct stub_answer *a, int status, const char *code, const char *message)
{
	struct jw w;

	buf_reset(&srv.answer);
	jw_init(&w, &srv.answer);
	jw_obj(&w, NULL);
	jw_str(&w, "code", code);
	jw_str(&w, "message", message);
	jw_end(&w);
	assert_true(jw_finish(&w, &e));
	set_answer(a, status);
}

static void which_missing(const struct stub_request *q, struct stub_answer *a)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct jval *list;
	struct jw w;

	assert_ok(jdoc_parse(&d, q->body, q->body_n, &e), &e);
	assert_ok(jobj_arr(&list, jdoc_root(d), "sha256", 100, &e), &e);
	buf_reset(&srv.answer);
	jw_init(&w, &srv.answer);
	jw_obj(&w, NULL);
	jw_arr(&w, "missing");
	for (size_t i = 0; i < jarr_n(list); i++) {
		uint8_t hash[SHA256_SIZE];

		assert_ok(jval_get_hex(hash, sizeof(hash), jarr_at(list, i), &e), &e);
		if (!have_object(hash))
			jw_hex(&w, NULL, hash, sizeof(hash));
	}
	jw_end(&w);
	jw_end(&w);
	assert_ok(jw_finish(&w, &e), &e);
	set_answer(a, 200);
}

static void take_upload(const struct stub_request *q, struct stub_answer *a)
{
	uint8_t hash[SHA256_SIZE];
	char offset[32];
	const char *metadata;

	if (strcmp(q->method, "POST") == 0) {
		metadata = stub_value(q, "Upload-Metadata");
		assert_ok(tus_metadata_parse(srv.uploading, metadata, strlen(metadata), &e),
			  &e);
		buf_reset(&srv.upload);
		srv.uploads++;
		a->status = 201;
		stub_header(a, "Location", "/v1/uploads/u1");
		return;
	}
	assert_ok(buf_add(&srv.upload, q->body, q->body_n, &e), &e);
	sha256(hash, srv.upload.p, srv.upload.n);
	if (memcmp(hash, srv.uploading, sizeof(hash)) == 0)
		memcpy(srv.objects[srv.n_objects++], hash, sizeof(hash));
	snprintf(offset, sizeof(offset), "%zu", srv.upload.n);
	a->status = 204;
	stub_header(a, "Upload-Offset", offset);
}

static void rival_publishes(void)
{
	CLEANUP(role_done) struct role role = ROLE_INIT;
	char path[RELEASE_PATH_SIZE];
	struct tuf_make_target add = { .path = path, .length = strlen(srv.rival_bytes) };

	release_path(path, "acme", srv.rival_version, "release.json");
	sha256(add.sha256, srv.rival_bytes, strlen(srv.rival_bytes));
	if (srv.role.n > 0) {
		assert_ok(buf_add(&role.text, srv.role.p, srv.role.n, &e), &e);
		assert_ok(tuf_parse(&role.meta, TUF_TARGETS, role.text.p, role.text.n, &e), &e);
		role.version = role.meta->version;
	}
	buf_reset(&srv.role);
	assert_ok(role_extend(&role, &add, 1, 2000000000, &publisher, &srv.role, &e), &e);
	srv.rival_version = NULL;
}

static uint64_t role_version(const struct buf *text)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;

	if (text->n == 0)
		return 0;
	assert_ok(tuf_parse(&m, TUF_TARGETS, text->p, text->n, &e), &e);
	return m->version;
}

static void take_release(const struct stub_request *q, struct stub_answer *a)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(buf_done) struct buf posted = BUF_INIT(LIMIT_TUF_TARGETS);
	const char *text, *release;
	size_t n;

	srv.posts++;
	assert_ok(jdoc_parse(&d, q->body, q->body_n, &e), &e);
	assert_ok(jobj_text(&text, &n, jdoc_root(d), "targets", LIMIT_TUF_TARGETS, &e), &e);
	assert_ok(jobj_text(&release, NULL, jdoc_root(d), "release", 100000, &e), &e);
	assert_ok(buf_add(&posted, text, n, &e), &e);
	if (srv.rival_version)
		rival_publishes();
	if (srv.posts <= srv.drop_until) {
		a->drop = true;
		return;
	}
	if (srv.posts <= srv.busy_until) {
		fail_with(a, 503, "busy", "the upload is still being checked");
		stub_header(a, "Retry-After", "5");
		return;
	}
	if (srv.withdrawn) {
		fail_with(a, 410, "gone", "was withdrawn");
		return;
	}
	if (srv.always_conflict || role_version(&posted) != role_version(&srv.role) + 1) {
		fail_with(a, 409, "conflict", "not the next version");
		return;
	}
	buf_reset(&srv.role);
	assert_ok(buf_add(&srv.role, posted.p, posted.n, &e), &e);
	stub_text(a, 201, "{}");
}

static void serve(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	assert_string_equal(stub_value(q, "Authorization"), "Bearer t");
	if (strcmp(q->path, "/v1/objects/missing") == 0) {
		which_missing(q, a);
	} else if (strncmp(q->path, "/v1/uploads", 11) == 0) {
		take_upload(q, a);
	} else if (strcmp(q->path, "/v1/tuf/image/" ROLE) == 0) {
		if (srv.role.n == 0) {
			fail_with(a, 404, "not_found", "no such role");
			return;
		}
		buf_reset(&srv.answer);
		assert_ok(buf_add(&srv.answer, srv.role.p, srv.role.n, &e), &e);
		set_answer(a, 200);
	} else if (strcmp(q->path, "/v1/releases") == 0) {
		take_release(q, a);
	} else {
		stub_text(a, 404, "");
	}
}

static struct stub *server;
static struct remote remote;
static struct prepared prepared;
static struct publish p;

static uint64_t waited_ms;

static bool wait_in_fake_time(void *arg, uint64_t ms, struct err *err)
{
	waited_ms += ms;
	clock_fake_advance(&clk, (int64_t)ms);
	return true;
}

static void describe(void **state, const char *version, const char *kernel, size_t disk)
{
	static uint8_t big[1 << 20];
	char text[600];
	int n = snprintf(text, sizeof(text),
			 "{\"product\":\"acme\",\"version\":\"%s\",\"security_version\":3,"
			 "\"data_schema\":1,\"components\":{\"kernel\":{\"file\":\"vmlinux\","
			 "\"kind\":\"kernel\"},\"system\":{\"file\":\"system.img\",\"kind\":"
			 "\"disk\"}},\"models\":{\"m\":{\"arch\":\"x86_64\",\"memory_mib\":128,"
			 "\"vcpus\":1,\"kernel\":\"kernel\",\"disks\":[\"system\"],\"cmdline\":"
			 "\"a=b\"}},\"health\":{\"deadline_s\":60}}",
			 version);

	for (size_t i = 0; i < disk; i++)
		big[i] = (uint8_t)(i * 2654435761u >> 9);
	write_file_at(tmpdir_fd(state), "release.in.json", text, (size_t)n);
	write_file_at(tmpdir_fd(state), "vmlinux", kernel, strlen(kernel));
	write_file_at(tmpdir_fd(state), "system.img", big, disk);
}

static void prepare(void **state)
{
	struct prepare_options o = { .dir = tmpdir_path(state), .scratch = tmpdir_path(state) };

	prepared_done(&prepared);
	assert_ok(prepare_release(&prepared, &o, &e), &e);
	p = (struct publish){ .remote = &remote,
			      .release = &prepared,
			      .key = &publisher,
			      .clock = &clk.base,
			      .rng = &rng.base,
			      .wait = wait_in_fake_time };
}

static int setup(void **state)
{
	struct https_config c = HTTPS_CONFIG_INIT(NULL);

	if (tmpdir_setup(state) != 0)
		return -1;
	memset(&srv, 0, sizeof(srv));
	memset(&remote, 0, sizeof(remote));
	srv.upload = BUF_INIT(1 << 24);
	srv.role = srv.answer = BUF_INIT(LIMIT_TUF_TARGETS);
	clock_fake_init(&clk, 1800000000);
	rng_fake_init(&rng, 9);
	server = stub_start(serve, NULL);
	c.base_url = stub_url(server);
	c.allow_plain_loopback = true;
	snprintf(remote.url, sizeof(remote.url), "%s", stub_url(server));
	snprintf(remote.auth, sizeof(remote.auth), "Authorization: Bearer t");
	if (!sig_new(&publisher.secret, publisher.public, &rng.base, &e) ||
	    !home_open(&remote.home, tmpdir_path(state), &e) ||
	    !https_new(&remote.https, &c, &e))
		return -1;
	describe(state, "1.0.0", "kernel bytes", 700000);
	prepare(state);
	return 0;
}

static int teardown(void **state)
{
	prepared_done(&prepared);
	remote_done(&remote);
	key_done(&publisher);
	stub_stop(server);
	buf_done(&srv.upload);
	buf_done(&srv.role);
	buf_done(&srv.answer);
	return tmpdir_teardown(state);
}

static bool role_names(const char *path, struct tuf_target *ret, struct tuf_meta **keep)
{
	if (!*keep)
		assert_ok(tuf_parse(keep, TUF_TARGETS, srv.role.p, srv.role.n, &e), &e);
	return tuf_target_get(ret, *keep, path, &e);
}

static void a_release_is_published_with_all_its_objects_named_and_signed(void **state)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	CLEANUP(buf_done) struct buf bytes = BUF_INIT(LIMIT_TUF_TARGETS);
	struct tuf_target t;
	uint8_t sig[SIG_SIZE];

	assert_ok(publish_release(&p, &e), &e);
	assert_false(p.was_there);
	assert_int_equal(prepared.n_objects, 3); /* kernel, system, system's tree */
	assert_int_equal(srv.uploads, 3);
	assert_int_equal(p.sent_objects, 3);
	for (size_t i = 0; i < prepared.n_objects; i++) {
		const struct prepared_object *o = &prepared.objects[i];

		assert_true(have_object(o->sha256));
		assert_true(role_names(o->path, &t, &m));
		assert_memory_equal(t.hashes.sha256, o->sha256, SHA256_SIZE);
		assert_int_equal(t.hashes.length, o->size);
	}
	assert_true(role_names("releases/acme/1.0.0/release.json", &t, &m));
	assert_memory_equal(t.hashes.sha256, prepared.manifest_sha256, SHA256_SIZE);
	assert_non_null(t.custom);
	assert_int_equal(m->version, 1);
	assert_int_equal(m->expires_s, 1800000000 + ROLE_LIFE_S);
	assert_int_equal(jarr_n(m->signatures), 1);
	assert_ok(jobj_hex(sig, sizeof(sig), jarr_at(m->signatures, 0), "sig", &e), &e);
	assert_ok(tuf_signed_bytes(&bytes, srv.role.p, srv.role.n, &e), &e);
	assert_true(sig_verify_ed25519(publisher.public, bytes.p, bytes.n, sig));
}

static void the_same_again_sends_nothing_and_succeeds(void **state)
{
	assert_ok(publish_release(&p, &e), &e);
	prepare(state);
	assert_ok(publish_release(&p, &e), &e);
	assert_true(p.was_there);
	assert_int_equal(srv.uploads, 3);
	assert_int_equal(p.sent_bytes, 0);
}

static void what_was_withdrawn_is_not_unchanged(void **state)
{
	assert_ok(publish_release(&p, &e), &e);
	srv.withdrawn = true;
	assert_fails(publish_release(&p, &e), &e, E_GONE);
}

static void the_same_version_with_other_bytes_is_refused_before_anything_is_sent(void **state)
{
	assert_ok(publish_release(&p, &e), &e);
	describe(state, "1.0.0", "other kernel", 700000);
	prepare(state);
	assert_fails(publish_release(&p, &e), &e, E_EXISTS);
	assert_non_null(strstr(e.text, "acme/1.0.0"));
	assert_int_equal(srv.uploads, 3);
	assert_int_equal(srv.posts, 1);
}

static void what_the_server_has_is_not_sent_again(void **state)
{
	assert_ok(publish_release(&p, &e), &e);
	describe(state, "1.0.1", "other kernel", 700000);
	prepare(state);
	assert_ok(publish_release(&p, &e), &e);
	/* The system's bytes are the same, but its tree is salted with the version. */
	assert_int_equal(srv.uploads, 3 + 2);
}

static void a_rival_with_another_version_costs_a_second_try(void **state)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	struct tuf_target t;

	srv.rival_version = "0.9.0";
	srv.rival_bytes = "theirs";
	assert_ok(publish_release(&p, &e), &e);
	assert_int_equal(srv.posts, 2);
	assert_true(role_names("releases/acme/1.0.0/release.json", &t, &m));
	assert_true(role_names("releases/acme/0.9.0/release.json", &t, &m));
	assert_int_equal(m->version, 2);
}

static void of_two_with_one_version_the_second_is_told_why(void **state)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	struct tuf_target t;
	uint8_t theirs[SHA256_SIZE];

	srv.rival_version = "1.0.0";
	srv.rival_bytes = "theirs";
	assert_fails(publish_release(&p, &e), &e, E_EXISTS);
	assert_non_null(strstr(e.text, "other contents"));
	assert_true(role_names("releases/acme/1.0.0/release.json", &t, &m));
	sha256(theirs, "theirs", 6);
	assert_memory_equal(t.hashes.sha256, theirs, SHA256_SIZE);
}

static void a_server_that_always_conflicts_is_given_up(void **state)
{
	srv.always_conflict = true;
	assert_fails(publish_release(&p, &e), &e, E_CONFLICT);
	assert_int_equal(srv.posts, ROLE_TRIES);
}

static void a_server_that_is_still_checking_is_asked_again(void **state)
{
	srv.busy_until = 20;
	waited_ms = 0;
	assert_ok(publish_release(&p, &e), &e);
	assert_int_equal(srv.posts, 21);
	assert_int_equal(srv.uploads, 3);
	assert_true(waited_ms >= 20 * 5000);
}

static void a_server_that_never_ends_checking_is_given_up_after_an_hour(void **state)
{
	srv.busy_until = UINT32_MAX;
	waited_ms = 0;
	assert_fails(publish_release(&p, &e), &e, E_BUSY);
	assert_in_range(waited_ms, ROLE_BUSY_MS, ROLE_BUSY_MS + 120000);
}

static void a_network_that_breaks_at_the_last_step_is_tried_again(void **state)
{
	srv.drop_until = 2;
	assert_ok(publish_release(&p, &e), &e);
	assert_int_equal(srv.uploads, 3);
	srv.drop_until = UINT32_MAX;
	prepare(state);
	srv.posts = 0;
	assert_fails(publish_release(&p, &e), &e, E_NETWORK);
	assert_int_equal(srv.posts, ROLE_FAILURES);
}

static void preparing_twice_gives_the_same_bytes(void **state)
{
	uint8_t first[SHA256_SIZE], object[SHA256_SIZE];

	memcpy(first, prepared.manifest_sha256, sizeof(first));
	memcpy(object, prepared.objects[1].sha256, sizeof(object));
	prepare(state);
	assert_memory_equal(first, prepared.manifest_sha256, sizeof(first));
	assert_memory_equal(object, prepared.objects[1].sha256, sizeof(object));
}

static void prepare_says_which_file_is_wrong(void **state)
{
	struct prepare_options o = { .dir = tmpdir_path(state), .scratch = tmpdir_path(state) };
	struct prepared none = { 0 };

	write_file_at(tmpdir_fd(state), "system.img", "", 0);
	assert_fails(prepare_release(&none, &o, &e), &e, E_FORMAT);
	assert_non_null(strstr(e.text, "system.img is empty"));
	unlinkat(tmpdir_fd(state), "system.img", 0);
	assert_fails(prepare_release(&none, &o, &e), &e, E_NOT_FOUND);
	assert_non_null(strstr(e.text, "component system: system.img"));
	unlinkat(tmpdir_fd(state), "release.in.json", 0);
	assert_fails(prepare_release(&none, &o, &e), &e, E_NOT_FOUND);
	assert_null(none.release);
}

static void prepare_leaves_no_files_behind(void **state)
{
	/* release.in.json, vmlinux, system.img */
	assert_int_equal(count_files_at(tmpdir_fd(state)), 3);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_release_is_published_with_all_its_objects_named_and_signed),
		CASE(the_same_again_sends_nothing_and_succeeds),
		CASE(what_was_withdrawn_is_not_unchanged),
		CASE(the_same_version_with_other_bytes_is_refused_before_anything_is_sent),
		CASE(what_the_server_has_is_not_sent_again),
		CASE(a_rival_with_another_version_costs_a_second_try),
		CASE(of_two_with_one_version_the_second_is_told_why),
		CASE(a_server_that_always_conflicts_is_given_up),
		CASE(a_server_that_is_still_checking_is_asked_again),
		CASE(a_server_that_never_ends_checking_is_given_up_after_an_hour),
		CASE(a_network_that_breaks_at_the_last_step_is_tried_again),
		CASE(preparing_twice_gives_the_same_bytes),
		CASE(prepare_says_which_file_is_wrong),
		CASE(prepare_leaves_no_files_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
