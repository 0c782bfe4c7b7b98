#include "agent/enrol.h"

#include "agent/rekey.h"
#include "agent/trustdb.h"
#include "base/file.h"
#include "base/text.h"
#include "client/signed.h"
#include "proto/jread.h"
#include "proto/jwrite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#define ENROLMENT "enrolment.json"
enum { ENROLMENT_MAX = 4096 };

static bool parse_enrolment(struct enrolment *ret, const struct buf *raw, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct enrolment en = { 0 };
	uint64_t poll_s;

	if (!jdoc_parse(&d, raw->p, raw->n, e))
		return false;
	const struct jval *o = jdoc_root(d);
	if (!jval_is_obj(o, e) || !jobj_version(o, "format", 1, e) ||
	    !jobj_copy(en.url, sizeof(en.url), o, "url", e) ||
	    !jobj_hex(en.image_root, SHA256_SIZE, o, "image_root", e) ||
	    !jobj_hex(en.director_root, SHA256_SIZE, o, "director_root", e) ||
	    !jobj_copy(en.device, sizeof(en.device), o, "device", e) ||
	    !jobj_copy_name(en.model, o, "model", e) ||
	    !jobj_copy(en.name, sizeof(en.name), o, "name", e) ||
	    !jobj_bool(&en.pending, o, "pending", e) ||
	    !jobj_u64(&poll_s, o, "poll_s", 1, LIMIT_POLL_S, e))
		return false;
	en.poll_s = (uint32_t)poll_s;
	en.has_pin = jobj_has(o, "pin");
	if (en.has_pin && !jobj_hex(en.pin, sizeof(en.pin), o, "pin", e))
		return false;
	if (en.pending && !jobj_hex(en.token, sizeof(en.token), o, "token", e))
		return false;
	*ret = en;
	return true;
}

bool enrolment_load(struct enrolment *ret, int state_dirfd, struct err *e)
{
	CLEANUP(buf_done) struct buf raw = BUF_INIT(ENROLMENT_MAX);

	if (!read_file_at(state_dirfd, ENROLMENT, &raw, e)) {
		if (e->code == E_NOT_FOUND) {
			err_set(e, E_NOT_FOUND, "this handset is not enrolled");
			err_hint(e, "run: valise-agent enrol TICKET --model MODEL");
		}
		return false;
	}
	return parse_enrolment(ret, &raw, e) ? true : err_wrap(e, ENROLMENT);
}

static bool store_enrolment(const struct enrolment *en, int state_dirfd, struct err *e)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(ENROLMENT_MAX);
	struct jw w;

	jw_init(&w, &out);
	jw_obj(&w, NULL);
	jw_u64(&w, "format", 1);
	jw_str(&w, "url", en->url);
	if (en->has_pin)
		jw_hex(&w, "pin", en->pin, sizeof(en->pin));
	jw_hex(&w, "image_root", en->image_root, SHA256_SIZE);
	jw_hex(&w, "director_root", en->director_root, SHA256_SIZE);
	jw_str(&w, "device", en->device);
	jw_str(&w, "model", en->model);
	jw_str(&w, "name", en->name);
	jw_bool(&w, "pending", en->pending);
	if (en->pending)
		jw_hex(&w, "token", en->token, sizeof(en->token));
	jw_u64(&w, "poll_s", en->poll_s);
	jw_end(&w);
	return jw_finish(&w, e) && file_replace(state_dirfd, ENROLMENT, 0600, out.p, out.n, e);
}

bool enrolment_connect(struct https **ret, const struct enrolment *en,
		       const struct settings *set, const atomic_bool *cancel, struct err *e)
{
	struct https_config c = HTTPS_CONFIG_INIT(en->url);

	c.pin = en->has_pin ? en->pin : NULL;
	c.ca_file = set->ca_file[0] ? set->ca_file : NULL;
	c.proxy = set->proxy[0] ? set->proxy : NULL;
	c.cancel = cancel;
	if (set->test_stall_s)
		c.low_speed_s = (uint32_t)set->test_stall_s;
	return https_new(ret, &c, e);
}

static void add_attribute(struct enrol_request *r, const char *key, const char *value)
{
	struct attribute *a = &r->attributes[r->n_attributes++];

	snprintf(a->key, sizeof(a->key), "%s", key);
	snprintf(a->value, sizeof(a->value), "%s", value);
}

static void fill_request(struct enrol_request *r, const struct enrolment *en,
			 const struct identity *id)
{
	struct utsname u;

	*r = (struct enrol_request){ 0 };
	memcpy(r->token, en->token, sizeof(r->token));
	memcpy(r->identity, id->signing_pub, sizeof(r->identity));
	memcpy(r->sealing, id->sealing_pub, sizeof(r->sealing));
	memcpy(r->model, en->model, sizeof(r->model));
	memcpy(r->name, en->name, sizeof(r->name));
	if (uname(&u) == 0) {
		add_attribute(r, "host.arch", u.machine);
		add_attribute(r, "host.kernel", u.release);
	}
}

bool enrolment_ask(struct enrolment *en, int state_dirfd, const struct identity *id,
		   struct https *https, const struct clock *clock, const struct rng *rng,
		   struct err *e)
{
	CLEANUP(signed_done) struct signed_https s = { 0 };
	CLEANUP(https_answer_done) struct https_answer a = HTTPS_ANSWER_INIT;
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_ENROL_BODY);
	struct enrol_request r;
	struct enrol_answer answer;
	char own[DEVICE_ID_SIZE];

	fill_request(&r, en, id);
	bool ok = enrol_request_encode(&r, &body, e);
	wipe(&r, sizeof(r));
	device_id_of(own, id->signing_pub);
	signed_init(&s, https, own, id->signing, clock, rng);
	if (!ok ||
	    !signed_post(&s, "/v1/enrol", body.p, body.n, SIGNED_BY_IDENTITY, LIMIT_ENROL_BODY,
			 &a, e) ||
	    !enrol_answer_parse(&answer, a.body.p, a.body.n, e))
		return err_wrap(e, "enrolment");
	/* The id of its first key, if it changed keys with this server. */
	if (rekey_is_with(id, en->director_root))
		memcpy(own, id->rotation.device, sizeof(own));
	if (strcmp(answer.device, own) != 0)
		return err_set(e, E_UNTRUSTED,
			       "enrolment: the server calls this device %s, it is %s",
			       answer.device, own);
	memcpy(en->device, own, sizeof(en->device));
	en->pending = answer.state == DEVICE_PENDING;
	en->poll_s = answer.poll_s;
	if (!en->pending)
		wipe(en->token, sizeof(en->token));
	if (!store_enrolment(en, state_dirfd, e))
		return err_wrap(e, "enrolment");
	if (en->pending) {
		err_set(e, E_PENDING, "waiting for an administrator to approve %s", en->device);
		return false;
	}
	return true;
}

/* What another server made of this handset counts for nothing with the new one.  The phone goes too, with
 * its user's data: its company is nobody to the new one. */
static bool forget_server(int state_dirfd, struct err *e)
{
	static const char *const dirs[] = { "tuf/image", "tuf/director", "want",    "policies",
					    "events",    "slots/a",      "slots/b", "data" };

	/* First, so that a half-forgotten server is not talked to. */
	if (!file_remove(state_dirfd, ENROLMENT, e) ||
	    !file_remove(state_dirfd, "commit.0", e) ||
	    !file_remove(state_dirfd, "commit.1", e))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (!dir_empty_at(state_dirfd, dirs[i], e))
			return false;
	return true;
}

static bool anchor(int state_dirfd, const struct enrolment *en, struct https *https,
		   struct err *e)
{
	CLEANUP(trustdb_done) struct trustdb t = TRUSTDB_INIT;

	return trustdb_open(&t, state_dirfd, e) &&
	       trustdb_anchor(&t, https, en->image_root, en->director_root, e);
}

static bool from_ticket(struct enrolment *ret, const struct enrol_options *opt, struct err *e)
{
	struct enrolment en = { .pending = true, .poll_s = 60 };
	struct ticket t;

	if (!name_is_valid(opt->model, LIMIT_NAME))
		return err_set(e, E_USAGE, "\"%s\" is not the name of a model", opt->model);
	if (strlen(opt->name) >= sizeof(en.name))
		return err_set(e, E_USAGE, "the name is longer than %d bytes", LIMIT_ATTRIBUTE);
	if (!ticket_parse(&t, opt->ticket, strlen(opt->ticket), e))
		return err_wrap(e, "ticket");
	memcpy(en.url, t.url, sizeof(en.url));
	en.has_pin = t.has_pin;
	memcpy(en.pin, t.pin, sizeof(en.pin));
	memcpy(en.image_root, t.image_root, SHA256_SIZE);
	memcpy(en.director_root, t.director_root, SHA256_SIZE);
	memcpy(en.token, t.token, sizeof(en.token));
	memcpy(en.model, opt->model, strlen(opt->model) + 1);
	memcpy(en.name, opt->name, strlen(opt->name) + 1);
	wipe(&t, sizeof(t));
	*ret = en;
	return true;
}

/* Keys that this server was asked to take may be the only ones that it takes by now. */
static bool finish_change(struct identity *id, int state_dirfd, const struct enrolment *en,
			  struct https *https, const struct clock *clock, const struct rng *rng,
			  struct err *e)
{
	CLEANUP(signed_done) struct signed_https s = { 0 };

	if (!rekey_is_asked(id, en->director_root))
		return true;
	signed_init(&s, https, id->rotation.device, id->signing, clock, rng);
	if (rekey(id, state_dirfd, &s, en->director_root, clock_wall_s(clock), e))
		return true;
	/* It has neither: the first keys are enrolled. */
	return e->code == E_AUTH || e->code == E_DENIED;
}

static bool same_server(const struct enrolment *a, const struct enrolment *b)
{
	return memcmp(a->image_root, b->image_root, SHA256_SIZE) == 0 &&
	       memcmp(a->director_root, b->director_root, SHA256_SIZE) == 0;
}

bool enrol(struct enrolment *ret, int state_dirfd, const struct enrol_options *opt,
	   const struct settings *set, const struct clock *clock, const struct rng *rng,
	   struct err *e)
{
	CLEANUP(identity_done) struct identity id = { 0 };
	CLEANUP(https_freep) struct https *https = NULL;
	struct enrolment en, old;
	struct err why;

	if (opt->new_keys && !opt->again)
		return err_set(e, E_USAGE,
			       "--new-keys makes another device: with --again only");
	if (!from_ticket(&en, opt, e))
		return false;
	bool had = enrolment_load(&old, state_dirfd, &why);
	if (!had && why.code != E_NOT_FOUND && !opt->again) {
		*e = why;
		return false;
	}
	if (had && !same_server(&en, &old) && !opt->again) {
		err_set(e, E_EXISTS, "enrolled with %s", old.url);
		return err_hint(e, "--again forgets that server and what it installed");
	}
	if (opt->again && !forget_server(state_dirfd, e))
		return false;
	if (opt->new_keys && !dir_empty_at(state_dirfd, "identity", e))
		return false;
	if (!identity_make(&id, state_dirfd, rng, e) ||
	    !enrolment_connect(&https, &en, set, NULL, e) ||
	    !anchor(state_dirfd, &en, https, e) ||
	    !finish_change(&id, state_dirfd, &en, https, clock, rng, e))
		return false;
	bool ok = enrolment_ask(&en, state_dirfd, &id, https, clock, rng, e);
	if (!ok && e->code != E_PENDING)
		return false;
	*ret = en;
	return true;
}
