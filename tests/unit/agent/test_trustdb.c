#include "tests/support/unit.h"

#include "agent/trustdb.h"
#include "base/file.h"
#include "base/text.h"
#include "tests/support/fault.h"
#include "tests/support/httpd_stub.h"
#include "tests/support/repo.h"
#include "tests/unit/agent/fixture.h"

#include <sys/stat.h>

#define DEVICE "0123456789abcdef0123456789abcdef"
#define NONCE "00112233445566778899aabbccddeeff"
#define PATH_1 "releases/acme/1.0/release.json"
#define CUSTOM_1 \
	"{\"valise\":{\"kind\":\"release\",\"product\":\"acme\",\"security_version\":1,\"version\":\"1.0\"}}"
#define VALISE(device, nonce)                                   \
	"{\"commands\":[],\"device\":\"" device                 \
	"\",\"lease_s\":43200,\"levels\":{\"base\":\"group\"}," \
	"\"nonce\":\"" nonce "\",\"rollout\":\"r1\",\"security_version_floor\":1}"

/* Two repositories behind one server, and a handset's folder. */
struct world {
	struct repo image, director;
	struct stub *stub;
	struct https *https;
	struct trustdb db;
	char *manifest;
	size_t manifest_n;
	char manifest_path[80];
	int missing_status; /* of what is not there */
	uint8_t root_hash[2][SHA256_SIZE];
};

static void serve(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	struct world *w = arg;
	struct repo_file *f = NULL;

	if (strncmp(q->path, "/tuf/image/", 11) == 0)
		f = repo_get(w->image.served, q->path + 11);
	else if (strncmp(q->path, "/tuf/director/", 14) == 0 &&
		 strstr(q->path,
			".root.json")) /* the rest comes in answers to check-ins only */
		f = repo_get(w->director.served, q->path + 14);
	else if (strcmp(q->path, w->manifest_path) == 0)
		stub_serve(a, q, w->manifest, w->manifest_n);
	if (f)
		stub_serve(a, q, f->p, f->n);
	else if (strcmp(q->path, w->manifest_path) != 0)
		stub_text(a, w->missing_status, "");
}

/* The manifest of the installed fixture is a real one. */
static void take_manifest(struct world *w, void **state)
{
	CLEANUP(buf_done) struct buf raw = BUF_INIT(LIMIT_RELEASE_JSON);
	CLEANUP(fd_closep) int slot = -1;
	uint8_t digest[SHA256_SIZE];
	struct err e;

	fixture_install(state, SLOT_A, "1.0", 1);
	assert_ok(slot_open(&slot, tmpdir_fd(state), SLOT_A, &e), &e);
	assert_ok(read_file_at(slot, "release.json", &raw, &e), &e);
	sha256(digest, raw.p, raw.n);
	memcpy(w->manifest_path, "/objects/", 10);
	hex_encode(w->manifest_path + 9, digest, SHA256_SIZE);
	assert_ok(buf_take(&raw, &w->manifest, &w->manifest_n, &e), &e);
}

static void hash_root(struct repo *r, uint8_t out[static SHA256_SIZE])
{
	struct repo_file *f = repo_get(r->served, "1.root.json");

	assert_non_null(f);
	sha256(out, f->p, f->n);
}

static struct world *world_new(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct err e;

	assert_non_null(w);
	w->missing_status = 404;
	take_manifest(w, state);
	repo_init(&w->image);
	repo_init(&w->director);
	repo_delegate(&w->image, "targets", "releases.acme", 4, "releases/acme/*/*");
	repo_target(&w->image, "releases.acme", PATH_1, w->manifest, CUSTOM_1);
	repo_publish_all(&w->image);
	repo_target(&w->director, "targets", PATH_1, w->manifest, CUSTOM_1);
	repo_role(&w->director, "targets")->valise = VALISE(DEVICE, NONCE);
	repo_publish_all(&w->director);
	hash_root(&w->image, w->root_hash[0]);
	hash_root(&w->director, w->root_hash[1]);
	w->stub = stub_start(serve, w);
	struct https_config c = HTTPS_CONFIG_INIT(stub_url(w->stub));
	c.allow_plain_loopback = true;
	c.proxy = "";
	assert_ok(https_new(&w->https, &c, &e), &e);
	w->db = TRUSTDB_INIT;
	assert_ok(trustdb_open(&w->db, tmpdir_fd(state), &e), &e);
	return w;
}

static void world_free(struct world *w)
{
	https_free(w->https);
	stub_stop(w->stub);
	trustdb_done(&w->db);
	repo_done(&w->image);
	repo_done(&w->director);
	free(w->manifest);
	free(w);
}

static struct text_span newest(struct repo *r, const char *role)
{
	char name[64];
	struct repo_file *f;

	if (strcmp(role, "timestamp") == 0)
		snprintf(name, sizeof(name), "timestamp.json");
	else
		snprintf(name, sizeof(name), "%d.%s.json", (int)repo_role(r, role)->version,
			 role);
	f = repo_get(r->served, name);
	assert_non_null(f);
	return (struct text_span){ (const char *)f->p, f->n };
}

static struct trustdb_input fresh(struct world *w)
{
	return (struct trustdb_input){
		.https = w->https,
		.now_s = REPO_NOW,
		.device = DEVICE,
		.nonce = NONCE,
		.timestamp = newest(&w->director, "timestamp"),
		.snapshot = newest(&w->director, "snapshot"),
		.targets = newest(&w->director, "targets"),
		.refresh_image = true,
	};
}

static void anchor(struct world *w)
{
	struct err e;

	assert_ok(trustdb_anchor(&w->db, w->https, w->root_hash[0], w->root_hash[1], &e), &e);
}

static void what_both_repositories_want_is_wanted(void **state)
{
	CLEANUP(wanted_freep) struct wanted *x = NULL;
	struct world *w = world_new(state);
	struct err e;

	anchor(w);
	struct trustdb_input in = fresh(w);
	assert_ok(trustdb_evaluate(&x, &w->db, &in, &e), &e);
	assert_true(x->has_release);
	assert_string_equal(x->release.version, "1.0");
	assert_string_equal(x->rollout, "r1");
	assert_int_equal(x->lease_s, 43200);
	assert_int_equal(x->manifest->n_components, 2);
	assert_int_equal(x->manifest_n, w->manifest_n);
	assert_int_equal(x->director_ts, repo_role(&w->director, "timestamp")->version);
	wanted_free(TAKE(x));

	/* After a restart, without a network: the same, also when all of it has expired. */
	in = (struct trustdb_input){ .now_s = REPO_NOW + 1000 * REPO_DAY, .device = DEVICE };
	assert_ok(trustdb_evaluate(&x, &w->db, &in, &e), &e);
	assert_true(x->has_release);
	assert_string_equal(x->rollout, "r1");
	world_free(w);
}

static void metadata_is_stored_as_it_came(void **state)
{
	static const char *const files[] = { "root.json", "timestamp.json", "snapshot.json",
					     "targets.json" };
	CLEANUP(wanted_freep) struct wanted *x = NULL;
	struct world *w = world_new(state);
	static char stored[100000];
	struct err e;

	anchor(w);
	struct trustdb_input in = fresh(w);
	assert_ok(trustdb_evaluate(&x, &w->db, &in, &e), &e);
	for (size_t i = 1; i < ARRAY_SIZE(files); i++) {
		char role[16];

		snprintf(role, sizeof(role), "%.*s", (int)(strlen(files[i]) - 5), files[i]);
		size_t n = read_back_at(w->db.director_dirfd, files[i], stored, sizeof(stored));
		struct text_span s = newest(&w->director, role);
		assert_int_equal(n, s.n);
		assert_memory_equal(stored, s.p, n);
	}
	assert_true(file_exists_at(w->db.image_dirfd, "releases.acme.json"));
	world_free(w);
}

static void the_ticket_decides_which_roots_are_trusted(void **state)
{
	struct world *w = world_new(state);
	struct err e;

	w->root_hash[0][5] ^= 1;
	assert_false(trustdb_anchor(&w->db, w->https, w->root_hash[0], w->root_hash[1], &e));
	assert_false(file_exists_at(w->db.image_dirfd, "root.json"));
	w->root_hash[0][5] ^= 1;
	w->root_hash[1][5] ^= 1;
	assert_false(trustdb_anchor(&w->db, w->https, w->root_hash[0], w->root_hash[1], &e));
	assert_false(file_exists_at(w->db.director_dirfd, "root.json"));
	w->root_hash[1][5] ^= 1;
	anchor(w);
	/* Again, as after a cut: nothing is asked for. */
	unsigned before = stub_count(w->stub);
	anchor(w);
	assert_int_equal(stub_count(w->stub), before);
	world_free(w);
}

static void another_ticket_is_never_held_for_the_one_that_was_anchored(void **state)
{
	struct world *w = world_new(state);
	struct err e;

	anchor(w);
	for (unsigned which = 0; which < 2; which++) {
		w->root_hash[which][SHA256_SIZE - 1] ^= 1;
		assert_false(
			trustdb_anchor(&w->db, w->https, w->root_hash[0], w->root_hash[1], &e));
		w->root_hash[which][SHA256_SIZE - 1] ^= 1;
	}
	/* Nor is a record of which nothing is left. */
	write_file_at(w->db.image_dirfd, "anchor", "", 0);
	unsigned before = stub_count(w->stub);
	anchor(w);
	assert_int_equal(stub_count(w->stub), before + 1);
	world_free(w);
}

static void what_a_cut_left_half_written_is_gone_after_the_next_start(void **state)
{
	struct world *w = world_new(state);
	const int dirs[] = { w->db.image_dirfd, w->db.director_dirfd, w->db.want_dirfd };
	struct trustdb again = TRUSTDB_INIT;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		write_file_at(dirs[i], ".tmp-1", "half", 4);
	assert_ok(trustdb_open(&again, tmpdir_fd(state), &e), &e);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		assert_false(file_exists_at(dirs[i], ".tmp-1"));
	trustdb_done(&again);
	world_free(w);
}

static void a_folder_is_emptied_for_good_or_the_caller_hears_why_not(void **state)
{
	CLEANUP(fd_closep) int fd = -1;
	int dirfd = tmpdir_fd(state);
	struct err e;

	assert_ok(dir_empty_at(dirfd, "never-made", &e), &e);
	assert_ok(dir_open_at(&fd, dirfd, "x", 0700, &e), &e);
	write_file_at(fd, "a", "1", 1);
	write_file_at(fd, "b", "2", 1);
	assert_ok(dir_empty_at(dirfd, "x", &e), &e);
	assert_false(file_exists_at(fd, "a") || file_exists_at(fd, "b"));
	/* A power cut must not bring the files back after the caller went on. */
	fault_arm(FAULT_SYNC, 1);
	bool ok = dir_empty_at(dirfd, "x", &e);
	assert_true(fault_disarm());
	assert_fails(ok, &e, E_SYSTEM);
	assert_int_equal(mkdirat(fd, "y", 0700), 0);
	assert_false(dir_empty_at(dirfd, "x", &e));
}

/* As servers answer that do not say what exists. */
static void a_newer_root_that_may_not_be_seen_is_one_that_is_not_there(void **state)
{
	CLEANUP(wanted_freep) struct wanted *x = NULL;
	struct world *w = world_new(state);
	struct err e;

	anchor(w);
	w->missing_status = 403;
	struct trustdb_input in = fresh(w);
	assert_ok(trustdb_evaluate(&x, &w->db, &in, &e), &e);
	assert_true(x->has_release);
	world_free(w);
}

static void without_a_network_nothing_that_is_missing_is_asked_for(void **state)
{
	CLEANUP(wanted_freep) struct wanted *x = NULL;
	struct world *w = world_new(state);
	struct err e;

	anchor(w);
	struct trustdb_input in = fresh(w);
	assert_ok(trustdb_evaluate(&x, &w->db, &in, &e), &e);
	wanted_free(TAKE(x));
	assert_ok(file_remove(w->db.want_dirfd, "release.json", &e), &e);
	in = (struct trustdb_input){ .now_s = REPO_NOW, .device = DEVICE };
	assert_fails(trustdb_evaluate(&x, &w->db, &in, &e), &e, E_NETWORK);
	assert_null(x);
	world_free(w);
}

static void a_director_may_want_no_release_at_all(void **state)
{
	CLEANUP(wanted_freep) struct wanted *x = NULL;
	struct world *w = world_new(state);
	struct err e;

	anchor(w);
	w->director.n_targets = 0;
	repo_publish_all(&w->director);
	struct trustdb_input in = fresh(w);
	assert_ok(trustdb_evaluate(&x, &w->db, &in, &e), &e);
	assert_false(x->has_release);
	assert_null(x->manifest);
	world_free(w);
}

/* What is expired is told apart: the server renews its own metadata, people renew roots. */
static void who_can_end_an_expiry_is_said(void **state)
{
	CLEANUP(wanted_freep) struct wanted *x = NULL;
	struct world *w = world_new(state);
	struct err e;

	anchor(w);
	repo_role(&w->director, "timestamp")->expires_s = REPO_NOW + REPO_DAY;
	repo_publish_all(&w->director);
	struct trustdb_input in = fresh(w);
	in.now_s = REPO_NOW + 2 * REPO_DAY;
	assert_fails(trustdb_evaluate(&x, &w->db, &in, &e), &e, E_EXPIRED);
	assert_string_equal(e.hint, TUF_HINT_ONLINE);
	in.now_s = repo_role(&w->director, "root")->expires_s;
	assert_fails(trustdb_evaluate(&x, &w->db, &in, &e), &e, E_EXPIRED);
	assert_string_not_equal(e.hint, TUF_HINT_ONLINE);
	/* Other refusals have nothing to do with it. */
	in = fresh(w);
	in.targets.n--;
	assert_false(trustdb_evaluate(&x, &w->db, &in, &e));
	assert_string_not_equal(e.hint, TUF_HINT_ONLINE);
	world_free(w);
}

static void a_level_that_nobody_knows_is_refused(void **state)
{
	static const char path[] = "policies/base/1.json";
	static const char custom[] =
		"{\"valise\":{\"kind\":\"policy\",\"name\":\"base\",\"version\":1}}";
	CLEANUP(wanted_freep) struct wanted *x = NULL;
	struct world *w = world_new(state);
	struct err e;

	anchor(w);
	repo_delegate(&w->image, "targets", "policies", 5, "policies/*/*");
	repo_target(&w->image, "policies", path, "{}", custom);
	repo_publish_all(&w->image);
	repo_target(&w->director, "targets", path, "{}", custom);
	repo_publish_all(&w->director);
	struct trustdb_input in = fresh(w);
	assert_ok(trustdb_evaluate(&x, &w->db, &in, &e), &e);
	assert_int_equal(x->n_policies, 1);
	assert_int_equal(x->policies[0].level, POLICY_FOR_GROUP);
	wanted_free(TAKE(x));

	repo_role(&w->director, "targets")->valise =
		"{\"commands\":[],\"device\":\"" DEVICE "\",\"lease_s\":43200,"
		"\"levels\":{\"base\":\"galaxy\"},\"nonce\":\"" NONCE
		"\",\"rollout\":\"r1\",\"security_version_floor\":1}";
	repo_publish_all(&w->director);
	in = fresh(w);
	assert_fails(trustdb_evaluate(&x, &w->db, &in, &e), &e, E_FORMAT);
	assert_null(x);
	world_free(w);
}

static void an_object_is_asked_for_only_if_its_length_is_known_and_fits(void **state)
{
	struct world *w = world_new(state);
	struct tuf_hashes h = { .has_sha256 = true, .has_length = true };
	unsigned before = stub_count(w->stub);
	struct err e;

	sha256(h.sha256, w->manifest, w->manifest_n);
	h.length = w->manifest_n;
	CLEANUP(buf_done) struct buf small = BUF_INIT(w->manifest_n - 1);
	assert_fails(object_get(&small, w->https, &h, &e), &e, E_TOO_BIG);
	CLEANUP(buf_done) struct buf ret = BUF_INIT(w->manifest_n);
	h.has_length = false;
	assert_fails(object_get(&ret, w->https, &h, &e), &e, E_FORMAT);
	h.has_length = true;
	h.has_sha256 = false;
	assert_fails(object_get(&ret, w->https, &h, &e), &e, E_FORMAT);
	assert_int_equal(stub_count(w->stub), before);
	h.has_sha256 = true;
	assert_ok(object_get(&ret, w->https, &h, &e), &e);
	assert_int_equal(ret.n, w->manifest_n);
	world_free(w);
}

static void a_director_for_another_device_or_checkin_is_refused(void **state)
{
	CLEANUP(wanted_freep) struct wanted *x = NULL;
	struct world *w = world_new(state);
	struct err e;

	anchor(w);
	struct trustdb_input in = fresh(w);
	in.device = "ffffffffffffffffffffffffffffffff";
	assert_fails(trustdb_evaluate(&x, &w->db, &in, &e), &e, E_UNTRUSTED);
	in.device = DEVICE;
	in.nonce = "ffeeddccbbaa99887766554433221100";
	assert_fails(trustdb_evaluate(&x, &w->db, &in, &e), &e, E_UNTRUSTED);
	world_free(w);
}

static void what_only_one_repository_says_does_not_count(void **state)
{
	CLEANUP(wanted_freep) struct wanted *x = NULL;
	struct world *w = world_new(state);
	struct err e;

	anchor(w);
	repo_target(&w->director, "targets", "releases/acme/1.1/release.json", "{}",
		    "{\"valise\":{\"kind\":\"release\",\"product\":\"acme\","
		    "\"security_version\":1,\"version\":\"1.1\"}}");
	repo_publish_all(&w->director);
	struct trustdb_input in = fresh(w);
	assert_false(trustdb_evaluate(&x, &w->db, &in, &e));
	assert_null(x);
	world_free(w);
}

static void a_flipped_bit_of_the_directors_texts_is_refused(void **state)
{
	struct world *w = world_new(state);
	struct err e;

	anchor(w);
	for (unsigned which = 0; which < 3; which++) {
		struct trustdb_input in = fresh(w);
		struct text_span *s = which == 0   ? &in.timestamp
				      : which == 1 ? &in.snapshot
						   : &in.targets;
		for (size_t bit = 3; bit < s->n * 8; bit += s->n / 4) {
			struct wanted *x = NULL;
			char *copy = malloc(s->n);
			struct text_span good = *s;

			assert_non_null(copy);
			memcpy(copy, s->p, s->n);
			flip_bit(copy, bit);
			s->p = copy;
			/* A blank between values may turn into another blank; what counts is what
			 * was signed, and that is then unchanged. */
			if (trustdb_evaluate(&x, &w->db, &in, &e))
				assert_string_equal(x->release.version, "1.0");
			wanted_free(x);
			free(copy);
			*s = good;
		}
	}
	world_free(w);
}

static void a_manifest_that_is_not_the_signed_one_is_refused(void **state)
{
	CLEANUP(wanted_freep) struct wanted *x = NULL;
	struct world *w = world_new(state);
	struct err e;

	anchor(w);
	struct trustdb_input in = fresh(w);
	for (size_t bit = 0; bit < w->manifest_n * 8; bit += 499) {
		flip_bit(w->manifest, bit);
		assert_fails(trustdb_evaluate(&x, &w->db, &in, &e), &e, E_CORRUPT);
		flip_bit(w->manifest, bit);
		assert_false(file_exists_at(w->db.want_dirfd, "release.json"));
	}
	assert_ok(trustdb_evaluate(&x, &w->db, &in, &e), &e);
	wanted_free(TAKE(x));
	/* And a damaged stored one is fetched again. */
	write_file_at(w->db.want_dirfd, "release.json", "junk", 4);
	assert_ok(trustdb_evaluate(&x, &w->db, &in, &e), &e);
	world_free(w);
}

/* Both repositories agree on a release, and its manifest is of another one. */
static void a_manifest_of_another_release_is_refused(void **state)
{
	static const struct {
		const char *role, *path, *custom;
	} cases[] = {
		{ "releases.acme", "releases/acme/1.1/release.json",
		  "{\"valise\":{\"kind\":\"release\",\"product\":\"acme\",\"security_version\":1,"
		  "\"version\":\"1.1\"}}" },
		{ "releases.acme", PATH_1,
		  "{\"valise\":{\"kind\":\"release\",\"product\":\"acme\",\"security_version\":2,"
		  "\"version\":\"1.0\"}}" },
		{ "releases.mail", "releases/mail/1.0/release.json",
		  "{\"valise\":{\"kind\":\"release\",\"product\":\"mail\",\"security_version\":1,"
		  "\"version\":\"1.0\"}}" },
	};

	CLEANUP(wanted_freep) struct wanted *x = NULL;
	struct world *w = world_new(state);
	struct err e;

	anchor(w);
	repo_delegate(&w->image, "targets", "releases.mail", 5, "releases/mail/*/*");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		w->image.n_targets = 0;
		w->director.n_targets = 0;
		repo_target(&w->image, cases[i].role, cases[i].path, w->manifest,
			    cases[i].custom);
		repo_target(&w->director, "targets", cases[i].path, w->manifest,
			    cases[i].custom);
		repo_publish_all(&w->image);
		repo_publish_all(&w->director);
		struct trustdb_input in = fresh(w);
		assert_fails(trustdb_evaluate(&x, &w->db, &in, &e), &e, E_UNTRUSTED);
		assert_non_null(strstr(e.text, "the manifest is of acme/1.0"));
	}
	world_free(w);
}

static void below_the_stored_floor_nothing_is_wanted(void **state)
{
	CLEANUP(wanted_freep) struct wanted *x = NULL;
	struct world *w = world_new(state);
	struct err e;

	anchor(w);
	struct trustdb_input in = fresh(w);
	in.floor = 2;
	assert_fails(trustdb_evaluate(&x, &w->db, &in, &e), &e, E_ROLLBACK);
	world_free(w);
}

/* The time that stolen keys told: nothing is valid then, until new keys speak. */
static void new_keys_of_the_director_end_a_time_that_ran_ahead(void **state)
{
	static const int64_t ahead = REPO_NOW + 1000 * REPO_DAY;
	CLEANUP(wanted_freep) struct wanted *x = NULL;
	struct world *w = world_new(state);
	uint8_t keys[SHA256_SIZE];
	struct err e;

	anchor(w);
	struct trustdb_input in = fresh(w);
	assert_ok(trustdb_evaluate(&x, &w->db, &in, &e), &e);
	assert_int_equal(x->now_s, REPO_NOW);
	memcpy(keys, x->time_keys, sizeof(keys));
	wanted_free(TAKE(x));

	in.now_s = ahead;
	in.server_s = REPO_NOW;
	in.time_keys = keys;
	assert_fails(trustdb_evaluate(&x, &w->db, &in, &e), &e, E_EXPIRED);

	/* A new root alone, and new keys of other roles, change nothing. */
	repo_role(&w->director, "targets")->keys = repo_role(&w->director, "targets")->sign =
		KEY(7);
	repo_publish(&w->director, "root");
	repo_publish_all(&w->director);
	in.timestamp = newest(&w->director, "timestamp");
	in.snapshot = newest(&w->director, "snapshot");
	in.targets = newest(&w->director, "targets");
	assert_fails(trustdb_evaluate(&x, &w->db, &in, &e), &e, E_EXPIRED);

	repo_role(&w->director, "timestamp")->keys =
		repo_role(&w->director, "timestamp")->sign = KEY(8);
	repo_publish(&w->director, "root");
	repo_publish_all(&w->director);
	in.timestamp = newest(&w->director, "timestamp");
	in.snapshot = newest(&w->director, "snapshot");
	in.targets = newest(&w->director, "targets");
	assert_ok(trustdb_evaluate(&x, &w->db, &in, &e), &e);
	assert_int_equal(x->now_s, REPO_NOW);
	assert_memory_not_equal(x->time_keys, keys, sizeof(keys));
	wanted_free(TAKE(x));

	/* Nor is a lie of the server's believed: what its new keys signed says when that was at least. */
	in.server_s = REPO_NOW - 300 * REPO_DAY;
	assert_ok(trustdb_evaluate(&x, &w->db, &in, &e), &e);
	assert_true(x->now_s > in.server_s + 200 * REPO_DAY);
	wanted_free(TAKE(x));
	in.server_s = ahead;
	assert_fails(trustdb_evaluate(&x, &w->db, &in, &e), &e, E_EXPIRED);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(what_both_repositories_want_is_wanted),
		TMPDIR_TEST(metadata_is_stored_as_it_came),
		TMPDIR_TEST(the_ticket_decides_which_roots_are_trusted),
		TMPDIR_TEST(another_ticket_is_never_held_for_the_one_that_was_anchored),
		TMPDIR_TEST(what_a_cut_left_half_written_is_gone_after_the_next_start),
		TMPDIR_TEST(a_folder_is_emptied_for_good_or_the_caller_hears_why_not),
		TMPDIR_TEST(a_newer_root_that_may_not_be_seen_is_one_that_is_not_there),
		TMPDIR_TEST(without_a_network_nothing_that_is_missing_is_asked_for),
		TMPDIR_TEST(a_director_may_want_no_release_at_all),
		TMPDIR_TEST(who_can_end_an_expiry_is_said),
		TMPDIR_TEST(a_level_that_nobody_knows_is_refused),
		TMPDIR_TEST(an_object_is_asked_for_only_if_its_length_is_known_and_fits),
		TMPDIR_TEST(a_director_for_another_device_or_checkin_is_refused),
		TMPDIR_TEST(what_only_one_repository_says_does_not_count),
		TMPDIR_TEST(a_flipped_bit_of_the_directors_texts_is_refused),
		TMPDIR_TEST(a_manifest_that_is_not_the_signed_one_is_refused),
		TMPDIR_TEST(a_manifest_of_another_release_is_refused),
		TMPDIR_TEST(below_the_stored_floor_nothing_is_wanted),
		TMPDIR_TEST(new_keys_of_the_director_end_a_time_that_ran_ahead),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
