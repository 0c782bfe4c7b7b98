/* Rows answered from memory (server/idle.h) against rows read, over random sequences of everything that changes
 * anything. */
#include "tests/unit/storage/fixture.h"

#include "server/idle.h"

#include <sys/stat.h>

enum { HANDSETS = 6, RELEASES = 4, BUNDLES = 3, STEPS = 900, PLACES = 4 };

struct world {
	struct store *s; /* the one to change now */
	struct clock_fake *clock;
	struct rng_fake rng;
	struct handset handsets[HANDSETS];
	bool known[HANDSETS];
	bool published[RELEASES];
	uint64_t bundle_versions[BUNDLES], image_ts;
	int64_t token;
	uint8_t ticket[TICKET_TOKEN_SIZE];
};

static unsigned any(struct world *w, unsigned n)
{
	uint32_t v;

	rng_fill(&w->rng.base, &v, sizeof(v));
	return v % n;
}

static const char *any_group(struct world *w)
{
	static const char *const groups[] = { "sales", "it" };

	return groups[any(w, 2)];
}

static const struct handset *any_handset(struct world *w)
{
	return &w->handsets[any(w, HANDSETS)];
}

static struct target any_target(struct world *w)
{
	struct target t = { .kind = (enum target_kind)any(w, 3) };

	if (t.kind != TARGET_ALL)
		snprintf(t.name, sizeof(t.name), "%s",
			 t.kind == TARGET_GROUP ? any_group(w) : any_handset(w)->id);
	return t;
}

static void release_name(char out[static 8], unsigned i)
{
	snprintf(out, 8, "%u.0.0", i + 1);
}

static void bundle_name(char out[static 8], unsigned i)
{
	snprintf(out, 8, "p%u", i);
}

/* ---- changes; false where it is not possible now, which is fine ---- */

static bool make_ticket(struct world *w, struct err *e UNUSED)
{
	ticket_make(w->s, any_group(w), any(w, 2) == 0, w->ticket);
	return true;
}

static bool enrol_one(struct world *w, struct err *e)
{
	unsigned i = any(w, HANDSETS);
	struct handset *h = &w->handsets[i];
	struct enrolled got;

	memcpy(h->token, w->ticket, sizeof(h->token));
	h->sealing[0] = (uint8_t)any(w, 256);
	if (!devices_enrol(w->s, &h->in, &got, e))
		return false;
	w->known[i] = true;
	return true;
}

static bool approve(struct world *w, struct err *e)
{
	return devices_approve(w->s, any_handset(w)->id, "token:k1", e);
}

static bool shut_out(struct world *w, struct err *e)
{
	return any(w, 16) == 0 && /* for good */
	       devices_revoke(w->s, any_handset(w)->id, "lost", "token:k1", e);
}

static bool change_groups(struct world *w, struct err *e)
{
	const char *group = any_group(w);

	return devices_set_groups(w->s, any_handset(w)->id, &group, any(w, 2), "token:k1", e);
}

static bool publish_release(struct world *w, struct err *e UNUSED)
{
	unsigned i = any(w, RELEASES);
	char version[8];

	if (w->published[i])
		return false;
	release_name(version, i);
	publish(w->s, "phone", version, i + 1);
	w->published[i] = true;
	return true;
}

static bool withdraw_release(struct world *w, struct err *e)
{
	char version[8];

	release_name(version, any(w, RELEASES));
	return any(w, 16) == 0 &&
	       releases_withdraw(w->s, "phone", version, "bad", "token:k1", e);
}

static bool start_rollout(struct world *w, struct err *e)
{
	struct target t = any_target(w);
	char version[8];
	int64_t number;

	release_name(version, any(w, RELEASES));
	return rollouts_create(w->s, "phone", version, &t, "token:k1", &number, e);
}

static bool publish_policy(struct world *w, struct err *e)
{
	unsigned i = any(w, BUNDLES);
	char name[8], text[64];
	struct policy_new p = { .name = name,
				.version = ++w->bundle_versions[i],
				.text = text };
	enum policy_put put;

	bundle_name(name, i);
	p.n = (size_t)snprintf(text, sizeof(text), "{\"name\":\"%s\",\"version\":%u}", name,
			       (unsigned)p.version);
	return policies_publish(w->s, &p, "token:k1", &put, e);
}

static bool assign_policy(struct world *w, struct err *e)
{
	struct target t = any_target(w);
	char name[8];

	bundle_name(name, any(w, BUNDLES));
	return policies_assign(w->s, name, &t, "token:k1", e);
}

static bool unassign_policy(struct world *w, struct err *e)
{
	char name[8];

	bundle_name(name, any(w, BUNDLES));
	return policies_unassign(w->s, name, "token:k1", e);
}

static bool plan(struct world *w, struct err *e)
{
	struct device_plan p;
	bool ok = false;

	for (unsigned i = 0; i < HANDSETS; i++)
		ok |= devices_plan(w->s, w->handsets[i].id, &p, e);
	return ok;
}

static bool put_director(struct world *w, struct err *e)
{
	const struct handset *h = any_handset(w);
	struct device_checkin c;
	char text[] = "{}";

	if (!devices_checkin(w->s, h->id, &c, e))
		return false;
	struct director d = { .plan = c.plan,
			      .timestamp_version = c.director_ts + 1,
			      .snapshot_version = c.director_ts + 1,
			      .targets_version = c.director_ts + 1,
			      .refresh_at = NOW + any(w, 1000),
			      .expires_at = NOW + 2000,
			      .timestamp = text,
			      .snapshot = text,
			      .targets = text };
	return tuf_director_put(w->s, h->id, &d, e);
}

static bool renew_director_root(struct world *w, struct err *e)
{
	return tuf_director_stale(w->s, e);
}

static bool report_state(struct world *w, struct err *e)
{
	static const char *const states[] = { "idle", "confirmed", "failed" };
	char version[8];
	struct device_report r = { .agent = "0.1.0",
				   .update = states[any(w, 3)],
				   .slot = 'a',
				   .product = "phone",
				   .version = version,
				   .director_ts = any(w, 5) };
	uint64_t ack;

	release_name(version, any(w, RELEASES));
	r.sha256[0] = (uint8_t)any(w, 256);
	return devices_report(w->s, any_handset(w)->id, &r, &ack, e);
}

static bool sign_timestamp(struct world *w, struct err *e)
{
	const struct tuf_file f = { .repo = TUF_IMAGE,
				    .role = "timestamp",
				    .version = w->image_ts + 1,
				    .expires_at = NOW + 86400,
				    .text = "{}",
				    .n = 2 };

	if (!tuf_put(w->s, &f, 1, "token:k1", e))
		return false;
	w->image_ts++;
	return true;
}

static bool make_token(struct world *w, struct err *e)
{
	char text[TOKEN_TEXT_SIZE];
	struct token t;

	if (w->token && any(w, 2) == 0)
		return tokens_revoke(w->s, w->token, "token:k1", e);
	if (!tokens_create(w->s, "ci", 1, 60, "token:k1", &t, text, e))
		return false;
	w->token = t.number;
	return true;
}

static bool let_time_pass(struct world *w, struct err *e)
{
	struct objects_gc gone;

	clock_fake_advance(w->clock, (int64_t)any(w, 3000) * 1000);
	return devices_flush(w->s, false, e) && tuf_prune(w->s, 60, NULL, e) &&
	       tickets_prune(w->s, 60, NULL, e) && objects_gc(w->s, &gone, e);
}

static const struct change {
	const char *name;
	bool (*run)(struct world *w, struct err *e);
	bool shows; /* has to change what a device's row says, sooner or later */
} changes[] = {
	{ "ticket", make_ticket, false },
	{ "enrol", enrol_one, true },
	{ "approve", approve, true },
	{ "revoke", shut_out, true },
	{ "change groups", change_groups, true },
	{ "publish a release", publish_release, false },
	{ "withdraw a release", withdraw_release, true },
	{ "start a rollout", start_rollout, true },
	{ "publish a policy", publish_policy, true },
	{ "assign a policy", assign_policy, true },
	{ "unassign a policy", unassign_policy, true },
	{ "plan", plan, true },
	{ "director", put_director, true },
	{ "director's root", renew_director_root, true },
	{ "report", report_state, true },
	{ "timestamp", sign_timestamp, true },
	{ "token", make_token, false },
	{ "time", let_time_pass, false },
};

/* ---- comparing ---- */

static bool same_row(const struct device_checkin *a, const struct device_checkin *b)
{
	return strcmp(a->id, b->id) == 0 && a->number == b->number && a->state == b->state &&
	       memcmp(a->identity, b->identity, DEVICE_KEY_SIZE) == 0 &&
	       memcmp(a->sealing, b->sealing, DEVICE_KEY_SIZE) == 0 &&
	       strcmp(a->model, b->model) == 0 &&
	       memcmp(a->report_sha256, b->report_sha256, SHA256_SIZE) == 0 &&
	       a->ack == b->ack && a->security_floor == b->security_floor &&
	       a->stale == b->stale && a->plan == b->plan &&
	       a->director_plan == b->director_plan && a->director_ts == b->director_ts &&
	       a->director_refresh_at == b->director_refresh_at && a->image_ts == b->image_ts;
}

struct seen {
	struct device_checkin row[HANDSETS];
	bool there[HANDSETS], shown[ARRAY_SIZE(changes)];
	unsigned hits;
};

/* What memory says of every device must be what a fresh read says; then memory is filled anew. */
static void compare(struct world *w, struct store *s, struct idle *idle, struct seen *seen,
		    const char *after, bool *ret_changed)
{
	struct device_checkin memory, fresh;
	struct device_stamp stamp;
	struct err e;

	*ret_changed = false;
	for (unsigned i = 0; i < HANDSETS; i++) {
		const char *id = w->handsets[i].id;
		bool empty_ok;

		if (!w->known[i])
			continue;
		assert_ok(idle_row(idle, s, id, &memory, &stamp, &e), &e);
		assert_ok(devices_checkin(s, id, &fresh, &e), &e);
		if (!same_row(&memory, &fresh))
			fail_msg("after \"%s\": device %u is not what memory says", after, i);
		if (!seen->there[i] || !same_row(&fresh, &seen->row[i]))
			*ret_changed = true;
		if (idle_is_known(idle, id, &stamp, i + 1, &empty_ok)) {
			assert_int_equal(empty_ok, i % 2);
			seen->hits++;
			assert_true(same_row(&fresh, &seen->row[i]));
		}
		idle_put(idle, &memory, &stamp, i + 1, i % 2);
		seen->row[i] = fresh;
		seen->there[i] = true;
	}
}

/* ---- the tests ---- */

static void start_world(struct world *w, struct fixture *f, uint64_t seed)
{
	*w = (struct world){ .s = f->s, .clock = &f->clock };
	rng_fake_init(&w->rng, seed);
	for (unsigned i = 0; i < HANDSETS; i++) {
		handset_make(&w->handsets[i], i + 1);
		w->handsets[i].in.token = w->handsets[i].token;
		w->handsets[i].in.identity = w->handsets[i].identity;
		w->handsets[i].in.sealing = w->handsets[i].sealing;
	}
}

static void run_world(struct fixture *f, uint64_t seed, struct seen *seen)
{
	struct store_options o = { .state_dir = f->path,
				   .clock = &f->clock.base,
				   .rng = &f->rng.base };
	CLEANUP(store_freep) struct store *beside = NULL;
	struct idle *idle;
	struct world w;
	struct err e;

	start_world(&w, f, seed);
	assert_ok(store_open(&beside, &o, &e), &e);
	/* Fewer places than devices: they take turns. */
	assert_ok(idle_new(&idle, PLACES, seed, &e), &e);
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned n = any(&w, ARRAY_SIZE(changes));
		bool by_another = any(&w, 8) == 0, changed;

		/* As another process would, `valised token` for one; noticed by looking around. */
		w.s = by_another ? beside : f->s;
		/* What marks a device shows on one that is not marked already. */
		if (any(&w, 2) == 0) {
			(void)plan(&w, &e);
			assert_ok(store_look_around(f->s, &e), &e);
			compare(&w, f->s, idle, seen, "plan", &changed);
		}
		(void)changes[n].run(&w, &e);
		if (by_another)
			assert_ok(store_look_around(f->s, &e), &e);
		compare(&w, f->s, idle, seen, changes[n].name, &changed);
		seen->shown[n] |= changed;
	}
	idle_free(idle);
}

static void what_memory_says_is_what_a_read_says_after_every_change(void **state)
{
	struct seen all = { .hits = 0 };

	for (uint64_t seed = 1; seed <= 4; seed++) {
		char dir[600];
		struct fixture f;

		snprintf(dir, sizeof(dir), "%s/%u", tmpdir_path(state), (unsigned)seed);
		assert_int_equal(mkdir(dir, 0700), 0);
		fixture_start(&f, dir, seed);
		memset(all.there, 0, sizeof(all.there));
		run_world(&f, seed, &all);
		fixture_end(&f);
	}
	/* Otherwise it has compared nothing. */
	assert_true(all.hits > STEPS);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
		if (changes[i].shows && !all.shown[i])
			fail_msg("\"%s\" never changed a row", changes[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(what_memory_says_is_what_a_read_says_after_every_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
