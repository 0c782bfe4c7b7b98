/* proto/enrol.h - bodies of enrolment and session requests, device ids and fingerprints.
 * Format: docs/FORMATS.md section 5.
 *
 * Fields that this version does not know are ignored in both directions, as agent and server are
 * updated at different times.  Structs own nothing but what is in them. */
#ifndef VALISE_PROTO_ENROL_H
#define VALISE_PROTO_ENROL_H

#include "base/buf.h"
#include "base/limits.h"
#include "proto/ticket.h"

enum {
	DEVICE_ID_SIZE = 33,   /* 32 hex digits and NUL */
	FINGERPRINT_SIZE = 20, /* "ABCD-EFGH-IJKL-MNOP" and NUL */
	IDENTITY_KEY = 32,     /* Ed25519 public key */
	SEALING_KEY = 32,      /* X25519 public key */
	SESSION_KEY = 32,      /* HMAC-SHA-256 key */
};

/* First 32 hex digits of SHA-256 of the identity key. */
void device_id_of(char out[static DEVICE_ID_SIZE], const uint8_t identity[static IDENTITY_KEY]);
bool device_id_is_valid(const char *s);
/* First 16 base32 letters of SHA-256(identity key, sealing key), in fours. */
void fingerprint_of(char out[static FINGERPRINT_SIZE],
		    const uint8_t identity[static IDENTITY_KEY],
		    const uint8_t sealing[static SEALING_KEY]);

struct attribute {
	char key[LIMIT_NAME + 1];
	char value[LIMIT_ATTRIBUTE + 1];
};

struct enrol_request {
	uint8_t token[TICKET_TOKEN];
	uint8_t identity[IDENTITY_KEY], sealing[SEALING_KEY];
	char model[LIMIT_NAME + 1];
	char name[LIMIT_ATTRIBUTE + 1]; /* for people; may be "" */
	struct attribute attributes[LIMIT_ATTRIBUTES];
	size_t n_attributes;
};

/* What an administrator is told a device's state is. */
enum device_state { DEVICE_PENDING, DEVICE_ACTIVE, DEVICE_LOCKED, DEVICE_REVOKED };
extern const char *const device_state_names[]; /* NULL-terminated */

struct enrol_answer {
	char device[DEVICE_ID_SIZE];
	enum device_state state; /* active or pending */
	char fingerprint[FINGERPRINT_SIZE];
	uint32_t poll_s;
	int64_t server_time_s;
};

struct session_answer {
	char session[LIMIT_SESSION_ID + 1]; /* [A-Za-z0-9._-] */
	uint8_t key[SESSION_KEY];           /* secret: wipe() it */
	uint32_t expires_s;
	int64_t server_time_s;
};

bool enrol_request_parse(struct enrol_request *ret, const void *p, size_t n,
			 struct err *e) MUST_USE;
bool enrol_request_encode(const struct enrol_request *r, struct buf *out,
			  struct err *e) MUST_USE;
bool enrol_answer_parse(struct enrol_answer *ret, const void *p, size_t n,
			struct err *e) MUST_USE;
bool enrol_answer_encode(const struct enrol_answer *a, struct buf *out, struct err *e) MUST_USE;

/* The session request's body is an empty object. */
bool session_request_parse(const void *p, size_t n, struct err *e) MUST_USE;
bool session_request_encode(struct buf *out, struct err *e) MUST_USE;
bool session_answer_parse(struct session_answer *ret, const void *p, size_t n,
			  struct err *e) MUST_USE;
bool session_answer_encode(const struct session_answer *a, struct buf *out,
			   struct err *e) MUST_USE;

#endif
