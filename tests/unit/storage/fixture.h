/* tests/unit/storage/fixture.h - a store in the test's folder, and things to put into it. */
#ifndef VALISE_TESTS_STORAGE_FIXTURE_H
#define VALISE_TESTS_STORAGE_FIXTURE_H

#include "tests/support/unit.h"

#include "storage/audit.h"
#include "storage/devices.h"
#include "storage/objects.h"
#include "storage/policies.h"
#include "storage/releases.h"
#include "storage/rollouts.h"
#include "storage/store.h"
#include "storage/tickets.h"
#include "storage/tokens.h"
#include "storage/tuf.h"
#include "storage/uploads.h"

#include <pthread.h>
#include <unistd.h>

#define NOW 1795000000 /* of the fake clock at the start: 2026-11-18 */

/* Tests draw random numbers from several threads. */
struct fixture_rng {
	struct rng base;
	pthread_mutex_t *lock;
	struct rng_fake fake;
};

static inline void fixture_rng_fill(const struct rng *r, void *p, size_t n)
{
	const struct fixture_rng *f = (const struct fixture_rng *)(const void *)r;

	pthread_mutex_lock(f->lock);
	rng_fill(&f->fake.base, p, n);
	pthread_mutex_unlock(f->lock);
}

static inline void fixture_rng_init(struct fixture_rng *r, uint64_t seed)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	r->base.fill = fixture_rng_fill;
	r->lock = &lock;
	rng_fake_init(&r->fake, seed);
}

/* One store per test program run; a fake clock and random numbers that are never the same twice. */
struct fixture {
	struct clock_fake clock;
	struct fixture_rng rng;
	char path[512];
	struct store *s;
};

static inline void fixture_open(struct fixture *f)
{
	struct store_options o = { .state_dir = f->path,
				   .clock = &f->clock.base,
				   .rng = &f->rng.base };
	struct err e;

	assert_ok(store_open(&f->s, &o, &e), &e);
}

static inline void fixture_start(struct fixture *f, const char *dir, uint64_t seed)
{
	*f = (struct fixture){ 0 };
	clock_fake_init(&f->clock, NOW);
	fixture_rng_init(&f->rng, seed);
	snprintf(f->path, sizeof(f->path), "%s/state", dir);
	fixture_open(f);
}

static inline void fixture_end(struct fixture *f)
{
	store_free(f->s);
	f->s = NULL;
}

static inline void fixture_reopen(struct fixture *f)
{
	fixture_end(f);
	fixture_open(f);
}

#define FIXTURE(f, state)                      \
	CLEANUP(fixture_end) struct fixture f; \
	fixture_start(&f, tmpdir_path(state), __LINE__)

/* ---- objects and releases ---- */

static inline void put_object(struct store *s, const char *text,
			      uint8_t sha[static SHA256_SIZE])
{
	struct err e;

	assert_ok(objects_put(s, text, strlen(text), sha, &e), &e);
}

static inline bool has_object(struct store *s, const char *text)
{
	uint8_t sha[SHA256_SIZE];
	struct err e;
	uint64_t size;
	int fd;

	sha256(sha, text, strlen(text));
	if (!objects_open(s, sha, &fd, &size, &e)) {
		assert_int_equal(e.code, E_NOT_FOUND);
		return false;
	}
	assert_int_equal(size, strlen(text));
	close(fd);
	return true;
}

/* A release of one component: object "<version> object", tree "<version> tree". */
struct sample {
	struct release_component component;
	struct release_new r;
	const char *models[2];
	char object[96], tree[96], manifest[256];
};

static inline void sample_make(struct sample *p, const char *product, const char *version,
			       uint64_t security)
{
	*p = (struct sample){ .models = { "compact", "large" } };
	snprintf(p->object, sizeof(p->object), "%s object", version);
	snprintf(p->tree, sizeof(p->tree), "%s tree", version);
	snprintf(p->manifest, sizeof(p->manifest), "{\"product\":\"%s\",\"version\":\"%s\"}",
		 product, version);
	p->component = (struct release_component){
		.name = "system",
		.kind = "disk",
		.size = 4096,
		.object_size = strlen(p->object),
		.tree_size = strlen(p->tree),
	};
	memset(p->component.sha256, 1, SHA256_SIZE);
	memset(p->component.verity_root, 2, SHA256_SIZE);
	sha256(p->component.object_sha256, p->object, strlen(p->object));
	sha256(p->component.tree_sha256, p->tree, strlen(p->tree));
	p->r = (struct release_new){
		.product = product,
		.version = version,
		.security_version = security,
		.data_schema = 1,
		.manifest = p->manifest,
		.manifest_n = strlen(p->manifest),
		.components = &p->component,
		.components_n = 1,
		.models = p->models,
		.models_n = 2,
	};
}

static inline void sample_upload(struct store *s, const struct sample *p)
{
	uint8_t sha[SHA256_SIZE];

	put_object(s, p->object, sha);
	put_object(s, p->tree, sha);
}

static inline void publish(struct store *s, const char *product, const char *version,
			   uint64_t security)
{
	enum release_put put;
	struct sample p;
	struct err e;

	sample_make(&p, product, version, security);
	sample_upload(s, &p);
	assert_ok(releases_publish(s, &p.r, "token:k1", &put, &e), &e);
	assert_int_equal(put, RELEASE_CREATED);
}

/* ---- devices ---- */

struct handset {
	uint8_t identity[DEVICE_KEY_SIZE], sealing[DEVICE_KEY_SIZE];
	uint8_t token[TICKET_TOKEN_SIZE];
	char id[DEVICE_ID_SIZE];
	struct enrolment in;
};

static inline void handset_make(struct handset *h, unsigned number)
{
	*h = (struct handset){ 0 };
	memset(h->identity, 7, sizeof(h->identity));
	memcpy(h->identity, &number, sizeof(number));
	memset(h->sealing, 8, sizeof(h->sealing));
	device_id_of(h->id, h->identity);
	h->in = (struct enrolment){
		.token = h->token,
		.identity = h->identity,
		.sealing = h->sealing,
		.name = "Anna's phone",
		.model = "compact",
		.serial = "",
		.attributes = "{}",
	};
}

static inline void ticket_make(struct store *s, const char *group, bool manual,
			       uint8_t token[static TICKET_TOKEN_SIZE])
{
	struct ticket_new n = {
		.groups = &group, .groups_n = group ? 1 : 0, .manual = manual, .ttl_s = 3600
	};
	struct ticket_row row;
	struct err e;

	assert_ok(tickets_create(s, &n, "token:k1", &row, token, &e), &e);
}

static inline void enrol(struct store *s, struct handset *h, unsigned number, const char *group)
{
	struct enrolled got;
	struct err e;

	handset_make(h, number);
	ticket_make(s, group, false, h->token);
	assert_ok(devices_enrol(s, &h->in, &got, &e), &e);
	assert_string_equal(got.id, h->id);
}

static inline int64_t roll_out(struct store *s, const char *product, const char *version,
			       enum target_kind kind, const char *name)
{
	struct target t = { .kind = kind };
	int64_t number;
	struct err e;

	snprintf(t.name, sizeof(t.name), "%s", name);
	assert_ok(rollouts_create(s, product, version, &t, "token:k1", &number, &e), &e);
	return number;
}

static inline struct device_plan plan_of(struct store *s, const struct handset *h)
{
	struct device_plan p;
	struct err e;

	assert_ok(devices_plan(s, h->id, &p, &e), &e);
	return p;
}

static inline struct device_checkin checkin_of(struct store *s, const struct handset *h)
{
	struct device_checkin c;
	struct err e;

	assert_ok(devices_checkin(s, h->id, &c, &e), &e);
	return c;
}

/* Director metadata of the device's plan, with the next versions. */
static inline void direct(struct store *s, const struct handset *h)
{
	struct device_checkin c = checkin_of(s, h);
	char text[] = "{}";
	struct director d = { .plan = c.plan,
			      .timestamp_version = c.director_ts + 1,
			      .snapshot_version = c.director_ts + 1,
			      .targets_version = c.director_ts + 1,
			      .refresh_at = NOW + 100,
			      .expires_at = NOW + 200,
			      .timestamp = text,
			      .snapshot = text,
			      .targets = text };
	struct err e;

	assert_ok(tuf_director_put(s, h->id, &d, &e), &e);
}

static inline uint64_t report(struct store *s, const struct handset *h,
			      const struct device_report *r)
{
	uint64_t ack;
	struct err e;

	assert_ok(devices_report(s, h->id, r, &ack, &e), &e);
	return ack;
}

static inline struct rollout rollout_of(struct store *s, int64_t number)
{
	struct rollout o;
	struct err e;

	assert_ok(rollouts_get(s, number, &o, &e), &e);
	return o;
}

static inline struct store_stats stats_of(struct store *s)
{
	struct store_stats st;

	store_stats(s, &st);
	return st;
}

#endif
