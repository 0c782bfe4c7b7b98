/* proto/api.h - paths, routes and error bodies of the HTTP API: one table for server, CLI and agent.
 * Described for people in docs/FORMATS.md sections 5 and 6 and in docs/openapi.yaml, which a test
 * holds against this table.
 *
 * In a pattern `{x}` stands for one segment, handed to the handler percent-decoded and checked by
 * the handler; `{x*}` for the rest of the path, at most LIMIT_PATH bytes, never empty and never with "..". */
#ifndef VALISE_PROTO_API_H
#define VALISE_PROTO_API_H

#include "base/buf.h"
#include "base/limits.h"

enum api_method { API_GET, API_HEAD, API_POST, API_PUT, API_PATCH, API_DELETE };
extern const char *const api_method_names[]; /* NULL-terminated */

/* Scopes of admin tokens: id, name. `admin` has all. */
#define API_SCOPES(XX)                       \
	XX(PUBLISH, "publish")               \
	XX(POLICY, "policy")                 \
	XX(ROLLOUT, "rollout")               \
	XX(DEVICE_READ, "device:read")       \
	XX(DEVICE_COMMAND, "device:command") \
	XX(ADMIN, "admin")

enum api_scope_bit {
#define XX(id, name) API_SCOPE_BIT_##id,
	API_SCOPES(XX)
#undef XX
		API_N_SCOPES,
};
enum api_scope {
#define XX(id, name) SCOPE_##id = 1 << API_SCOPE_BIT_##id,
	API_SCOPES(XX)
#undef XX
	/* Who may use a route that no token opens: */
	SCOPE_NONE = 0,          /* everyone */
	SCOPE_ANY = 1 << 8,      /* any valid token */
	SCOPE_LOCAL = 1 << 9,    /* own listener or loopback */
	SCOPE_ENROL = 1 << 10,   /* Ed25519 by the key in the body */
	SCOPE_DEVICE = 1 << 11,  /* Ed25519 by an enrolled device */
	SCOPE_SESSION = 1 << 12, /* session key or Ed25519 of an active device */
};

/* id, method, pattern, scopes (any of them suffices), body limit in bytes, one line for people.
 * HEAD is answered wherever GET is.  A body limit of 0: none may be sent. */
#define API_ROUTES(XX)                                                                         \
	XX(HEALTHZ, GET, "/healthz", SCOPE_NONE, 0, "whether the process runs")                \
	XX(READYZ, GET, "/readyz", SCOPE_NONE, 0, "whether it can serve")                      \
	XX(METRICS, GET, "/metrics", SCOPE_LOCAL, 0, "Prometheus text")                        \
	XX(OBJECT, GET, "/objects/{sha256}", SCOPE_NONE, 0, "an object's bytes, with ranges")  \
	XX(TUF_IMAGE_TARGET, GET, "/tuf/image/targets/{path*}", SCOPE_NONE, 0,                 \
	   "a target under its consistent name")                                               \
	XX(TUF_IMAGE, GET, "/tuf/image/{file}", SCOPE_NONE, 0,                                 \
	   "metadata of the image repository")                                                 \
	XX(TUF_DIRECTOR, GET, "/tuf/director/{file}", SCOPE_NONE, 0, "a root of the director") \
	XX(ENROL, POST, "/v1/enrol", SCOPE_ENROL, LIMIT_ENROL_BODY, "enrol a handset")         \
	XX(SESSION, POST, "/v1/session", SCOPE_DEVICE, LIMIT_SESSION_BODY,                     \
	   "get a session key")                                                                \
	XX(DEVICE_KEY, POST, "/v1/device/key", SCOPE_ENROL, LIMIT_ROTATION_BODY,               \
	   "change a handset's own keys")                                                      \
	XX(CHECKIN, POST, "/v1/checkin", SCOPE_SESSION, LIMIT_CHECKIN_BODY, "report and poll") \
	XX(STATUS, GET, "/v1/status", SCOPE_ANY, 0, "counts, versions, roots, uptime")         \
	XX(KEYS_ONLINE, GET, "/v1/keys/online", SCOPE_ADMIN, 0,                                \
	   "public keys of the online roles")                                                  \
	XX(IMAGE_ROOT_PUT, POST, "/v1/tuf/image/root", SCOPE_ADMIN, LIMIT_TUF_ROOT,            \
	   "install a root of the image repository")                                           \
	XX(DIRECTOR_ROOT_PUT, POST, "/v1/tuf/director/root", SCOPE_ADMIN, LIMIT_TUF_ROOT,      \
	   "install a root of the director")                                                   \
	XX(IMAGE_TARGETS_PUT, POST, "/v1/tuf/image/targets", SCOPE_ADMIN, LIMIT_TUF_TARGETS,   \
	   "install the delegating targets role")                                              \
	XX(IMAGE_ROLE_GET, GET, "/v1/tuf/image/{role}", SCOPE_PUBLISH | SCOPE_POLICY, 0,       \
	   "newest metadata of a role, to extend")                                             \
	XX(IMAGE_ROLE_PUT, POST, "/v1/tuf/image/{role}", SCOPE_PUBLISH | SCOPE_POLICY,         \
	   LIMIT_TUF_TARGETS, "sign a role of publishers anew")                                \
	XX(UPLOAD_NEW, POST, "/v1/uploads", SCOPE_PUBLISH, 0,                                  \
	   "start an upload (tus creation)")                                                   \
	XX(UPLOAD_GET, HEAD, "/v1/uploads/{id}", SCOPE_PUBLISH, 0, "how far an upload is")     \
	XX(UPLOAD_PATCH, PATCH, "/v1/uploads/{id}", SCOPE_PUBLISH, LIMIT_TUS_CHUNK,            \
	   "more bytes of an upload")                                                          \
	XX(UPLOAD_DELETE, DELETE, "/v1/uploads/{id}", SCOPE_PUBLISH, 0, "give an upload up")   \
	XX(OBJECTS_MISSING, POST, "/v1/objects/missing", SCOPE_PUBLISH, LIMIT_MISSING_BODY,    \
	   "which of these objects the server lacks")                                          \
	XX(RELEASE_NEW, POST, "/v1/releases", SCOPE_PUBLISH, LIMIT_PUBLISH_BODY,               \
	   "publish a release")                                                                \
	XX(RELEASE_LIST, GET, "/v1/releases", SCOPE_DEVICE_READ, 0, "list releases")           \
	XX(RELEASE_GET, GET, "/v1/releases/{product}/{version}", SCOPE_DEVICE_READ, 0,         \
	   "one release")                                                                      \
	XX(RELEASE_PROPOSAL, GET, "/v1/releases/{product}/{version}/proposal", SCOPE_PUBLISH,  \
	   0, "a release that waits for signatures, to sign it")                               \
	XX(RELEASE_WITHDRAW, POST, "/v1/releases/{product}/{version}/withdraw", SCOPE_ROLLOUT, \
	   LIMIT_SMALL_BODY, "grant a release no longer")                                      \
	XX(TICKET_NEW, POST, "/v1/tickets", SCOPE_ADMIN, LIMIT_SMALL_BODY,                     \
	   "make an enrolment ticket")                                                         \
	XX(TICKET_LIST, GET, "/v1/tickets", SCOPE_ADMIN, 0, "list tickets")                    \
	XX(TICKET_DELETE, DELETE, "/v1/tickets/{id}", SCOPE_ADMIN, 0, "revoke a ticket")       \
	XX(DEVICE_LIST, GET, "/v1/devices", SCOPE_DEVICE_READ, 0, "list handsets")             \
	XX(DEVICE_GET, GET, "/v1/devices/{id}", SCOPE_DEVICE_READ, 0, "one handset")           \
	XX(DEVICE_POLICY, GET, "/v1/devices/{id}/policy", SCOPE_DEVICE_READ, 0,                \
	   "effective policy and which bundle won")                                            \
	XX(DEVICE_APPROVE, POST, "/v1/devices/{id}/approve", SCOPE_ADMIN, LIMIT_SMALL_BODY,    \
	   "approve a pending handset")                                                        \
	XX(DEVICE_REVOKE, POST, "/v1/devices/{id}/revoke", SCOPE_ADMIN, LIMIT_SMALL_BODY,      \
	   "shut a handset out")                                                               \
	XX(ROLLOUT_NEW, POST, "/v1/rollouts", SCOPE_ROLLOUT, LIMIT_SMALL_BODY,                 \
	   "start a rollout")                                                                  \
	XX(ROLLOUT_LIST, GET, "/v1/rollouts", SCOPE_ROLLOUT, 0, "list rollouts")               \
	XX(ROLLOUT_GET, GET, "/v1/rollouts/{id}", SCOPE_ROLLOUT, 0, "one rollout")             \
	XX(POLICY_NEW, POST, "/v1/policies", SCOPE_POLICY, LIMIT_PUBLISH_BODY,                 \
	   "publish a policy bundle")                                                          \
	XX(POLICY_LIST, GET, "/v1/policies", SCOPE_POLICY, 0, "list policies")                 \
	XX(POLICY_GET, GET, "/v1/policies/{name}", SCOPE_POLICY, 0, "one policy")              \
	XX(POLICY_VERSION, GET, "/v1/policies/{name}/{version}", SCOPE_POLICY, 0,              \
	   "one policy in one version")                                                        \
	XX(POLICY_PROPOSAL, GET, "/v1/policies/{name}/{version}/proposal", SCOPE_POLICY, 0,    \
	   "a policy that waits for signatures, to sign it")                                   \
	XX(POLICY_ASSIGN, PUT, "/v1/policies/{name}/assignment", SCOPE_POLICY,                 \
	   LIMIT_SMALL_BODY, "say to whom a policy applies")                                   \
	XX(TOKEN_NEW, POST, "/v1/tokens", SCOPE_ADMIN, LIMIT_SMALL_BODY, "make an API token")  \
	XX(TOKEN_LIST, GET, "/v1/tokens", SCOPE_ADMIN, 0, "list API tokens")                   \
	XX(TOKEN_DELETE, DELETE, "/v1/tokens/{id}", SCOPE_ADMIN, 0, "revoke an API token")     \
	XX(AUDIT_LIST, GET, "/v1/audit", SCOPE_ADMIN, 0, "the audit log, oldest row first")

enum api_route_id {
#define XX(id, method, pattern, scopes, body, help) ROUTE_##id,
	API_ROUTES(XX)
#undef XX
		API_N_ROUTES,
};

struct api_route {
	const char *id; /* "RELEASE_GET" */
	enum api_method method;
	const char *pattern;
	unsigned scopes;
	uint64_t body_max;
	const char *help;
};
extern const struct api_route api_routes[API_N_ROUTES];

/* What `{...}` stood for: at most two in one pattern; not decoded, borrowed from the path. */
enum { API_PARAMS = 2 };
struct api_match {
	enum api_route_id route;
	struct {
		const char *p;
		size_t n;
	} params[API_PARAMS];
};

/* Finds the route of a path (without query).  E_NOT_FOUND: no such path.  E_UNSUPPORTED: the path
 * is there but not with this method (405); *ret_allowed is then the set of methods it has, bit
 * 1 << enum api_method.  The first row that fits counts. */
bool api_match(struct api_match *ret, unsigned *ret_allowed, enum api_method method,
	       const char *path, size_t n, struct err *e) MUST_USE;

bool api_method_parse(enum api_method *ret, const char *s);

/* A route's path with its parameters put in, percent-encoded; for clients.  NULL ends none: give as many as
 * the pattern has. */
bool api_path(struct buf *out, enum api_route_id route, const char *const *params,
	      struct err *e) MUST_USE;

/* Scope names and bits. */
const char *api_scope_name(enum api_scope s); /* NULL if not one single token scope */
bool api_scope_parse(enum api_scope *ret, const char *name);

/* ---- error bodies ------------------------------------------------------------------------ */

/* {"code": "not_found", "message": "...", "hint": "..."}; with server_time_s >= 0 also server_time and
 * nonce (may be NULL), which a refused clock gets. */
bool api_error_encode(struct buf *out, const struct err *what, int64_t server_time_s,
		      const char *nonce, struct err *e) MUST_USE;

struct api_error {
	char code[LIMIT_NAME + 1];
	char message[LIMIT_TEXT + 1];
	char hint[LIMIT_TEXT + 1];  /* "" if absent */
	int64_t server_time_s;      /* -1 if absent */
	char nonce[LIMIT_NAME + 1]; /* "" if absent */
};
bool api_error_parse(struct api_error *ret, const void *p, size_t n, struct err *e) MUST_USE;

#endif
