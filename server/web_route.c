#include "server/web_route.h"
#include "server/api.h"
#include "server/web_auth.h"

#include <inttypes.h>

#define ROW(id, fn) [ROUTE_##id] = { .run = fn }
#define FAST(id, fn) [ROUTE_##id] = { .run = fn, .fast = true }

/* Fast ones read at most what is in memory or one indexed row. */
const struct handler web_handlers[API_N_ROUTES] = {
	FAST(HEALTHZ, api_healthz),
	ROW(READYZ, api_readyz),
	ROW(METRICS, api_metrics),
	FAST(OBJECT, api_object),
	FAST(TUF_IMAGE_TARGET, api_image_target),
	FAST(TUF_IMAGE, api_image_file),
	FAST(TUF_DIRECTOR, api_director_file),
	ROW(ENROL, api_enrol),
	ROW(DEVICE_KEY, api_device_key),
	FAST(SESSION, api_session),
	FAST(CHECKIN, api_checkin),
	ROW(STATUS, api_status),
	FAST(KEYS_ONLINE, api_keys_online),
	ROW(IMAGE_ROOT_PUT, api_image_root_put),
	ROW(DIRECTOR_ROOT_PUT, api_director_root_put),
	ROW(IMAGE_TARGETS_PUT, api_image_targets_put),
	ROW(IMAGE_ROLE_GET, api_image_role_get),
	ROW(IMAGE_ROLE_PUT, api_image_role_put),
	ROW(UPLOAD_NEW, api_upload_new),
	FAST(UPLOAD_GET, api_upload_get),
	[ROUTE_UPLOAD_PATCH] = { .run = api_upload_end,
				 .begin = api_upload_begin,
				 .data = api_upload_data,
				 .cut = api_upload_cut },
	ROW(UPLOAD_DELETE, api_upload_delete),
	ROW(OBJECTS_MISSING, api_objects_missing),
	ROW(RELEASE_NEW, api_release_new),
	ROW(RELEASE_LIST, api_release_list),
	ROW(RELEASE_GET, api_release_get),
	ROW(RELEASE_PROPOSAL, api_release_proposal),
	ROW(RELEASE_WITHDRAW, api_release_withdraw),
	ROW(TICKET_NEW, api_ticket_new),
	ROW(TICKET_LIST, api_ticket_list),
	ROW(TICKET_DELETE, api_ticket_delete),
	ROW(DEVICE_LIST, api_device_list),
	ROW(DEVICE_GET, api_device_get),
	ROW(DEVICE_POLICY, api_device_policy),
	ROW(DEVICE_APPROVE, api_device_approve),
	ROW(DEVICE_REVOKE, api_device_revoke),
	ROW(ROLLOUT_NEW, api_rollout_new),
	ROW(ROLLOUT_LIST, api_rollout_list),
	ROW(ROLLOUT_GET, api_rollout_get),
	ROW(POLICY_NEW, api_policy_new),
	ROW(POLICY_LIST, api_policy_list),
	ROW(POLICY_GET, api_policy_get),
	ROW(POLICY_VERSION, api_policy_version),
	ROW(POLICY_PROPOSAL, api_policy_proposal),
	ROW(POLICY_ASSIGN, api_policy_assign),
	ROW(TOKEN_NEW, api_token_new),
	ROW(TOKEN_LIST, api_token_list),
	ROW(TOKEN_DELETE, api_token_delete),
	ROW(AUDIT_LIST, api_audit_list),
};

enum {
	SIGNATURE_SCOPES = SCOPE_ENROL | SCOPE_DEVICE | SCOPE_SESSION,
	TOKEN_SCOPES = (1 << API_N_SCOPES) - 1
};

/* ---- path --------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'                 ? c - '0'
	       : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
						    : -1;
}

/* Decodes one parameter; what decodes to a slash, NUL or a dot segment never names anything. */
static bool decode_param(char *out, size_t size, const char *p, size_t n, struct err *e)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c == '%') {
			c = (unsigned char)(hex_digit(p[i + 1]) << 4 | hex_digit(p[i + 2]));
			i += 2;
			if (c == '/' || c < ' ' || c == 0x7f || c == '\\')
				return err_set(e, E_NOT_FOUND, "no such path");
		}
		if (at + 1 >= size)
			return err_set(e, E_NOT_FOUND, "no such path");
		out[at++] = (char)c;
	}
	out[at] = 0;
	if (strcmp(out, ".") == 0 || strcmp(out, "..") == 0)
		return err_set(e, E_NOT_FOUND, "no such path");
	return true;
}

static void allow_header(struct req *r, unsigned allowed)
{
	char text[64] = "OPTIONS";
	size_t n = strlen(text);

	if (allowed & 1u << API_GET)
		allowed |= 1u << API_HEAD;
	for (unsigned i = 0; api_method_names[i]; i++) {
		if (allowed & 1u << i)
			n += (size_t)snprintf(text + n, sizeof(text) - n, ", %s",
					      api_method_names[i]);
	}
	reply_header(&r->reply, "Allow", "%s", text);
}

static bool find_route(struct req *r, struct err *e)
{
	struct api_match m;
	unsigned allowed = 0;

	if (!api_match(&m, &allowed, r->method, r->path, strlen(r->path), e)) {
		if (e->code == E_UNSUPPORTED)
			allow_header(r, allowed);
		return false;
	}
	r->route_id = m.route;
	r->route = &api_routes[m.route];
	for (int i = 0; i < API_PARAMS; i++) {
		if (m.params[i].p &&
		    !decode_param(r->params[i], REQ_PARAM, m.params[i].p, m.params[i].n, e))
			return false;
	}
	return true;
}

/* OPTIONS is no row of the table: what a path can do follows from it.  tus clients ask for it. */
static bool answer_options(struct req *r, struct err *e)
{
	struct api_match m;
	unsigned allowed = 0;

	/* DELETE on no collection: asks for what there is. */
	for (unsigned i = 0; api_method_names[i]; i++) {
		unsigned more = 0;

		if (api_match(&m, &more, (enum api_method)i, r->path, strlen(r->path), e))
			allowed |= 1u << i;
		else if (e->code != E_UNSUPPORTED)
			return false;
	}
	allow_header(r, allowed);
	if (strncmp(r->path, "/v1/uploads", 11) == 0) {
		reply_header(&r->reply, "Tus-Resumable", "1.0.0");
		reply_header(&r->reply, "Tus-Version", "1.0.0");
		reply_header(&r->reply, "Tus-Extension",
			     "creation,checksum,expiration,termination");
		reply_header(&r->reply, "Tus-Checksum-Algorithm", "sha256");
		reply_header(&r->reply, "Tus-Max-Size", "%" PRIu64,
			     r->web->settings->upload_max);
	}
	return reply_empty(r, 204);
}

/* ---- before the body ---------------------------------------------------------------------- */

static bool within_rate(struct req *r, struct err *e)
{
	const struct settings *s = r->web->settings;
	uint32_t wait_s;

	if (rates_take(r->web->clients, r->peer.key, sizeof(r->peer.key), s->client_rate,
		       s->client_burst, clock_boot_ms(r->web->clock), &wait_s))
		return true;
	metric_add(&r->web->metrics.refused_rate, 1);
	r->reply.wait_s = wait_s;
	return err_set(e, E_RATE, "too many requests from this address");
}

static bool body_fits(const struct req *r, uint64_t announced, struct err *e)
{
	uint64_t max = r->route->body_max;

	if (announced != UINT64_MAX && announced > max)
		return err_set(e, E_TOO_BIG, "a body of %" PRIu64 " bytes, at most %" PRIu64,
			       announced, max);
	return true;
}

static bool may(struct req *r, struct err *e)
{
	unsigned scopes = r->route->scopes;

	if (scopes == SCOPE_NONE || (scopes & SIGNATURE_SCOPES))
		return true;
	if (scopes == SCOPE_LOCAL)
		return r->peer.local || web_auth_token(r, SCOPE_ADMIN, e);
	return web_auth_token(
		r, scopes & SCOPE_ANY ? (unsigned)SCOPE_ANY : scopes & TOKEN_SCOPES, e);
}

enum route_step web_route_head(struct req *r, uint64_t body_announced)
{
	struct err e;

	if (!within_rate(r, &e) || (!r->known_method && !answer_options(r, &e))) {
		reply_error(r, &e);
		return ROUTE_REPLY;
	}
	if (!r->known_method)
		return ROUTE_REPLY;
	if (!find_route(r, &e) || !body_fits(r, body_announced, &e) || !may(r, &e)) {
		reply_error(r, &e);
		return ROUTE_REPLY;
	}
	buf_init(&r->body, (size_t)r->route->body_max);
	return web_handlers[r->route_id].begin ? ROUTE_BEGIN : ROUTE_BODY;
}

bool web_route_begin(struct req *r)
{
	struct err e;

	if (web_handlers[r->route_id].begin(r, &e))
		return true;
	reply_error(r, &e);
	r->reply.close = true;
	return false;
}

bool web_route_data(struct req *r, const void *p, size_t n)
{
	const struct handler *h = &web_handlers[r->route_id];
	struct err e;

	metric_add(&r->web->metrics.bytes_in, n);
	if (h->data ? h->data(r, p, n, &e) : buf_add(&r->body, p, n, &e))
		return true;
	reply_error(r, &e);
	r->reply.close = true;
	return false;
}

void web_route_cut(struct req *r)
{
	if (r->route && web_handlers[r->route_id].cut)
		web_handlers[r->route_id].cut(r);
}

/* ---- when the body is in ------------------------------------------------------------------- */

bool web_route_is_fast(const struct req *r)
{
	return web_handlers[r->route_id].fast;
}

static bool signature_ok(struct req *r, bool *ret_answered, struct err *e)
{
	unsigned scopes = r->route->scopes;

	*ret_answered = false;
	if (r->in_pool && web_handlers[r->route_id].fast)
		return true; /* was checked when it ran in the event thread */
	if (scopes & (SCOPE_DEVICE | SCOPE_SESSION))
		return web_auth_device(r, scopes & SCOPE_SESSION, ret_answered, e);
	return true; /* the key is in the body: api_enrol and api_device_key look there */
}

bool web_route_run(struct req *r)
{
	bool is_answered;
	struct err e;

	r->again = false;
	r->now_s = clock_wall_s(r->web->clock);
	r->now_ms = clock_boot_ms(r->web->clock);
	if (!signature_ok(r, &is_answered, &e)) {
		if (!is_answered)
			reply_error(r, &e);
		return true;
	}
	if (!web_handlers[r->route_id].run(r, &e)) {
		if (r->reply.status != 401 || r->reply.body.n == 0)
			reply_error(r, &e);
		return true;
	}
	return !r->again;
}
