/* storage/devices.h - handsets: keys, groups, what they shall run and what they say they run.
 *
 *	        devices_enrol                devices_approve
 *	(none) --------------> pending ------------------------> active
 *	   |    ticket with automatic approval                     ^ |
 *	   +-------------------------------------------------------+ |
 *	                          |  devices_revoke                  |
 *	                          +----------> revoked <-------------+
 *
 * Three answers are kept apart for the release and for each policy: wanted (an administrator
 * assigned it), delivered (the device has accepted the director metadata that names it) and
 * applied (the device reports to run it).
 *
 * Plans.  Rollouts and policies reach devices lazily: a change marks its target (all, a group,
 * a device), not the devices.  At its next check-in a device that is marked (`stale`) is planned
 * anew by devices_plan, which bumps `plan` if what it shall run changed; then the director
 * metadata is older than the plan, is signed again and put (tuf_director_put).
 *
 * A check-in of the server:
 *	devices_checkin(&c)                         one indexed read, no write
 *	if (c.stale)              devices_plan(&c)     rare
 *	if (report differs from c.report_sha256 or has events)  devices_report()
 *	if (c.director_plan != c.plan || now >= c.director_refresh_at)  sign, tuf_director_put
 *	devices_seen()                              memory only */
#ifndef VALISE_STORAGE_DEVICES_H
#define VALISE_STORAGE_DEVICES_H

#include "storage/events.h"
#include "storage/store.h"
#include "storage/target.h"
#include "proto/enrol.h" /* enum device_state, DEVICE_ID_SIZE, device_id_of */
#include "proto/rotation.h"

enum { DEVICE_KEY_SIZE = 32 };
#define DEVICES_GROUPS_MAX 32 /* of one device */
#define DEVICES_POLICIES_MAX LIMIT_POLICIES
#define DEVICES_ATTRIBUTES_MAX LIMIT_ENROL_BODY /* bytes of the JSON text */
#define DEVICES_STATUS_MAX 4096
#define DEVICES_SEEN_STEP_S 900 /* stored last_seen may be older than the true one by this */

/* The numbers of enum device_state are stored and never change. */

/* A check-in's `state` word, idle to failed (FORMATS.md section 5), is kept as text. */
enum { DEVICE_UPDATE_SIZE = 16, DEVICE_RELEASE_SIZE = LIMIT_NAME + LIMIT_VERSION + 2 };

struct enrolment {
	const uint8_t *token; /* 16 bytes */
	const uint8_t
		*identity; /* Ed25519 public key; its signature over the request was checked */
	const uint8_t *sealing; /* X25519 public key */
	const char *name, *model;
	const char *serial; /* "" when none; must be equal to the ticket's if that has one */
	const char *attributes; /* JSON object as text, "{}" */
};
struct enrolled {
	char id[DEVICE_ID_SIZE];
	enum device_state state;
	bool known; /* this key was enrolled before; nothing was used up */
};

/* One atomic step: uses up the ticket and makes the device.  Of two devices with one ticket one
 * wins, the other gets E_GONE.  Idempotent by key: a known key gets its device again, whatever the
 * token is now, unless the token is another ticket that is still good: then this is a
 * re-enrolment (new groups and approval, sealing key and attributes; plan and queue start anew).
 *	E_AUTH: no such token.  E_EXPIRED.  E_GONE: used up, or revoked, or tried too often.
 *	E_DENIED: this key was revoked or replaced; or the serial differs (a try: TICKETS_TRIES of them end the ticket).
 *	E_FORMAT: names or sizes.
 * Failures on a ticket that exists are counted and audited, durably. */
bool devices_enrol(struct store *s, const struct enrolment *in, struct enrolled *ret,
		   struct err *e) MUST_USE;

bool devices_approve(struct store *s, const char *id, const char *actor,
		     struct err *e) MUST_USE; /* E_NOT_FOUND, E_CONFLICT: revoked */
bool devices_revoke(struct store *s, const char *id, const char *reason, const char *actor,
		    struct err *e) MUST_USE; /* E_NOT_FOUND; again: quietly the same */
/* Replaces the groups of a device.  E_FORMAT, E_NOT_FOUND. */
bool devices_set_groups(struct store *s, const char *id, const char *const *groups, size_t n,
			const char *actor, struct err *e) MUST_USE;

/* The device's own keys change, in one atomic step with an audit row; its id and all that is known of
 * it stay.  The key it had is kept among the former ones: it is never taken again, neither for this
 * device nor for another.  Where the present key is that of an earlier statement, all from there on are done.
 * Nothing here looks at signatures: rotation_verify, rotation_verify_before from that statement on, and the
 * request's, by the new key, were right.  The same change again is quietly done (*ret_changed: false).
 *	E_NOT_FOUND.  E_DENIED: not approved, or revoked.  E_CONFLICT: the device's key is neither that of a
 *	statement nor, by the newest, the new one.  E_EXISTS: some device has or had the new key.
 *	E_RATE: LIMIT_ROTATIONS_DAY within a day. */
bool devices_rotate_key(struct store *s, const struct rotation *in, bool *ret_changed,
			struct err *e) MUST_USE;
/* The key that a device had before the present one. */
bool devices_former_key(struct store *s, int64_t number, uint8_t ret[static DEVICE_KEY_SIZE],
			bool *ret_found, struct err *e) MUST_USE;

/* Everything that authenticates and answers one request of a device: one indexed statement. */
struct device_checkin {
	char id[DEVICE_ID_SIZE];
	int64_t number;
	enum device_state state;
	uint8_t identity[DEVICE_KEY_SIZE], sealing[DEVICE_KEY_SIZE];
	char model[LIMIT_NAME + 1];
	uint8_t report_sha256[SHA256_SIZE]; /* of the last report stored; zeros: none */
	uint64_t ack;                       /* highest event number stored */
	uint64_t security_floor;
	bool stale;                   /* call devices_plan */
	uint64_t plan, director_plan; /* director_plan 0: no director metadata yet */
	uint64_t director_ts;
	int64_t director_refresh_at;
	uint64_t image_ts; /* newest timestamp.json of the image repository */
};
bool devices_checkin(struct store *s, const char *id, struct device_checkin *ret,
		     struct err *e) MUST_USE; /* E_NOT_FOUND */

/* Taken before a devices_checkin: as long as devices_stamp gives the same again, devices_checkin
 * would give the same row, so a caller may keep rows of devices that have nothing new.  A change is
 * seen before whoever made it is told; one by another process at the next store_look_around. */
struct device_stamp {
	uint64_t all, own;
};
void devices_stamp(struct store *s, const char *id, struct device_stamp *ret);

/* What the device shall run now. */
struct device_plan_policy {
	char name[LIMIT_NAME + 1];
	uint64_t version;
	uint8_t sha256[SHA256_SIZE];
	uint64_t size;
	enum target_kind level; /* how close its assignment is */
};
struct device_plan {
	uint64_t plan;
	bool changed;                 /* this call changed it */
	char product[LIMIT_NAME + 1]; /* "": no release is wanted */
	char version[LIMIT_VERSION + 1];
	int64_t rollout; /* number; shown as r<number>; 0: none */
	uint64_t security_floor;
	struct device_plan_policy policies[DEVICES_POLICIES_MAX];
	size_t policies_n;
};
/* Plans an active device anew when it is stale: grants the release in one conditional
 * statement (storage/rollouts.h), takes the bundles that reach it.  Idempotent: also when the answer was
 * lost.  Not stale: reads only.  E_NOT_FOUND; E_PENDING; E_DENIED: revoked. */
bool devices_plan(struct store *s, const char *id, struct device_plan *ret,
		  struct err *e) MUST_USE;

/* A check-in's content that differs from the last one. */
struct device_policy_applied {
	char name[LIMIT_NAME + 1];
	uint64_t version;
};
struct device_report {
	uint8_t sha256[SHA256_SIZE]; /* of what makes a report new: the body without its nonce */
	const char *agent;           /* version text */
	const char *update;          /* state word */
	char slot;                   /* 'a', 'b' or 0 */
	const char *product, *version; /* of the running release; "" or NULL: none */
	uint64_t image_ts, director_ts;
	const char *status;                           /* JSON text or NULL: unchanged */
	const struct device_policy_applied *policies; /* NULL and 0: unchanged */
	size_t policies_n;
	const struct event_new *events; /* see storage/events.h */
	size_t events_n;
};
/* Stores it and the events; *ret_ack is the highest event number now durable.  Raises the floor of
 * the security version when the running release is known and confirmed, moves the grant's state,
 * marks as delivered what the director metadata that the device has accepted names.  E_NOT_FOUND,
 * E_FORMAT. */
bool devices_report(struct store *s, const char *id, const struct device_report *r,
		    uint64_t *ret_ack, struct err *e) MUST_USE;

/* Notes that the device was here: memory only.  devices_flush writes, all in one transaction, those that are
 * more than DEVICES_SEEN_STEP_S newer than what is stored (for a timer), or all that are newer (before the
 * end, as what is in memory only is lost then). */
void devices_seen(struct store *s, int64_t number);
bool devices_flush(struct store *s, bool all, struct err *e) MUST_USE;

struct device_row {
	char id[DEVICE_ID_SIZE];
	int64_t number; /* for paging; rises with every enrolment */
	enum device_state state;
	uint8_t identity[DEVICE_KEY_SIZE], sealing[DEVICE_KEY_SIZE];
	char name[LIMIT_NAME * 2 + 1], model[LIMIT_NAME + 1], serial[LIMIT_NAME + 1];
	int64_t enrolled_at, last_seen_at; /* memory counts */
	int64_t key_since;                 /* when it came with the keys that it has */
	uint64_t key_changes;              /* how many it had before */
	char agent[LIMIT_NAME + 1];
	char update[DEVICE_UPDATE_SIZE];
	char slot;
	char wanted[DEVICE_RELEASE_SIZE], delivered[DEVICE_RELEASE_SIZE],
		applied[DEVICE_RELEASE_SIZE]; /* "product/version" or "" */
	int64_t rollout;
	uint64_t security_floor;
	char groups[DEVICES_GROUPS_MAX][LIMIT_NAME + 1];
	size_t groups_n;
};
struct device_page {
	struct device_row *items;
	size_t n;
	bool more;
};
struct device_filter {
	const char *group; /* NULL: any */
	bool by_state;     /* false: any state */
	enum device_state state;
};
bool devices_list(struct store *s, const struct device_filter *f, int64_t after, size_t limit,
		  struct device_page *ret, struct err *e) MUST_USE;
void device_page_done(struct device_page *p);

struct device_policy {
	char name[LIMIT_NAME + 1];
	uint64_t wanted, delivered, applied; /* versions; 0: none */
};
struct device_full {
	struct device_row row;
	char *attributes, *status; /* JSON texts; heap */
	struct device_policy *policies;
	size_t policies_n;
};
bool devices_get(struct store *s, const char *id, struct device_full *ret,
		 struct err *e) MUST_USE; /* E_NOT_FOUND */
void device_full_done(struct device_full *d);

struct device_counts {
	uint64_t pending, active, revoked;
};
bool devices_count(struct store *s, struct device_counts *ret, struct err *e) MUST_USE;

#endif
