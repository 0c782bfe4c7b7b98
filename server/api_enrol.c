/* server/api_enrol.c - becoming a device, its new keys, and session keys. */
#include "server/api.h"
#include "server/plan.h"
#include "server/session.h"
#include "server/web_auth.h"
#include "proto/enrol.h"
#include "proto/jwrite.h"

/* Attributes as the JSON object that the store keeps. */
static bool attributes_text(struct buf *out, const struct enrol_request *req, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	for (size_t i = 0; i < req->n_attributes; i++)
		jw_str(&w, req->attributes[i].key, req->attributes[i].value);
	jw_end(&w);
	return jw_finish(&w, e);
}

static const char *serial_of(const struct enrol_request *req)
{
	for (size_t i = 0; i < req->n_attributes; i++) {
		if (strcmp(req->attributes[i].key, "serial") == 0)
			return req->attributes[i].value;
	}
	return "";
}

static bool store_it(struct req *r, const struct enrol_request *req, struct enrolled *ret,
		     struct err *e)
{
	CLEANUP(buf_done) struct buf attributes = BUF_INIT(DEVICES_ATTRIBUTES_MAX);
	struct enrolment in = {
		.token = req->token,
		.identity = req->identity,
		.sealing = req->sealing,
		.name = req->name,
		.model = req->model,
		.serial = serial_of(req),
	};

	if (!attributes_text(&attributes, req, e))
		return false;
	in.attributes = buf_str(&attributes);
	return devices_enrol(r->web->store, &in, ret, e);
}

bool api_enrol(struct req *r, struct err *e)
{
	struct enrol_request req;
	struct enrolled done;
	struct enrol_answer a;
	bool is_answered;

	/* Only the key is taken from the body before the signature is checked with it. */
	if (!enrol_request_parse(&req, r->body.p, r->body.n, e))
		return false;
	if (!web_auth_key(r, req.identity, &is_answered, e))
		return false;
	if (!store_it(r, &req, &done, e)) {
		log_warn("enrol.refused", "id=%s device=%.32s peer=%s %s", r->id, r->device.id,
			 r->peer.text, log_err(e).s);
		return false;
	}
	a = (struct enrol_answer){
		.state = done.state,
		.poll_s = (uint32_t)r->web->settings->poll_s,
		.server_time_s = clock_wall_s(r->web->clock),
	};
	memcpy(a.device, done.id, sizeof(a.device));
	fingerprint_of(a.fingerprint, req.identity, req.sealing);
	if (!done.known)
		log_info("device.enrolled", "id=%s device=%s state=%s model=%s", r->id, done.id,
			 device_state_names[done.state], log_quote(req.model).s);
	r->reply.status = done.state == DEVICE_PENDING ? 202 : 200;
	r->reply.type = "application/json";
	return enrol_answer_encode(&a, &r->reply.body, e);
}

bool api_device_key(struct req *r, struct err *e)
{
	char fingerprint[FINGERPRINT_SIZE];
	bool is_answered, changed;
	struct rotation rot;

	if (!rotation_parse(&rot, r->body.p, r->body.n, e) ||
	    !web_auth_rotation(r, &rot, &is_answered, e))
		return false;
	if (!devices_rotate_key(r->web->store, &rot, &changed, e)) {
		log_warn("device.key_refused", "id=%s device=%s peer=%s %s", r->id, rot.device,
			 r->peer.text, log_err(e).s);
		return false;
	}
	fingerprint_of(fingerprint, rot.now.identity, rot.now.sealing);
	log_info("device.key", "id=%s device=%s fingerprint=%s changed=%s", r->id, rot.device,
		 fingerprint, changed ? "yes" : "no");
	r->reply.status = 200;
	r->reply.type = "application/json";
	return rotation_answer_encode(fingerprint, &r->reply.body, e);
}

bool api_session(struct req *r, struct err *e)
{
	struct web *w = r->web;
	struct session_answer a = { .expires_s = (uint32_t)w->settings->session_s,
				    .server_time_s = clock_wall_s(w->clock) };
	bool ok;

	if (!session_request_parse(r->body.p, r->body.n, e))
		return false;
	session_make(a.session, r->device.id, a.server_time_s + a.expires_s, w->rng);
	session_key(a.key, w->session_secret, r->device.identity, a.session);
	r->reply.status = 200;
	r->reply.type = "application/json";
	reply_header(&r->reply, "Cache-Control", "no-store");
	ok = session_answer_encode(&a, &r->reply.body, e);
	wipe(a.key, sizeof(a.key));
	return ok;
}
