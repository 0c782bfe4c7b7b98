/* proto/health.h - the guest's health report: one JSON object a line on its virtio-serial port.
 *
 *	{"v":1,"boot":"<32 hex>","state":"healthy","checks":{"data":"mounted"},"detail":""}
 *
 * `boot` is the nonce of this boot from the configuration drive, so that a report of an earlier boot
 * proves nothing.  `checks` (what was looked at: what was found) is for people.  Only v, boot and state must
 * be there; fields that this version does not know are ignored, as the guest may be newer than the agent.
 * The guest is not trusted: all is bounded, and a report says nothing but what the guest
 * says of itself.  The guest's side of it is docs/GUEST.md. */
#ifndef VALISE_PROTO_HEALTH_H
#define VALISE_PROTO_HEALTH_H

#include "base/buf.h"
#include "base/limits.h"

enum { HEALTH_BOOT = 16, HEALTH_CHECKS = 32, HEALTH_CHECK_TEXT = 200 };

enum health_state { HEALTH_STARTING, HEALTH_HEALTHY, HEALTH_FAILING };
extern const char *const health_state_names[]; /* NULL-terminated */

struct health_check {
	char name[LIMIT_NAME + 1];
	char found[HEALTH_CHECK_TEXT + 1]; /* longer texts are cut */
};

struct health {
	uint8_t boot[HEALTH_BOOT];
	enum health_state state;
	char detail[LIMIT_TEXT + 1]; /* "" if absent */
	struct health_check checks[HEALTH_CHECKS];
	size_t n_checks;
};

/* One line without its line end, at most LIMIT_HEALTH_LINE bytes. */
bool health_parse(struct health *ret, const void *p, size_t n, struct err *e) MUST_USE;
/* The object without a line end. */
bool health_encode(const struct health *h, struct buf *out, struct err *e) MUST_USE;

#endif
