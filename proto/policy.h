/* proto/policy.h - policy bundles: schema, parsing, merging, explaining.  Pure.
 * Format: docs/FORMATS.md section 7.
 *
 * POLICY_KEYS below is the schema: one row makes the parser, the merge, `valise policy explain`
 * and the table in the operator's guide.
 *
 * Merging goes key by key over all bundles that reach a device.  A bundle that does not set a key
 * has no say in it; the default counts only when no bundle sets it.  The result never depends on the order in
 * which bundles are given.
 *
 *	rule       of the candidates' values ...                            among equals wins
 *	LEAST      the least number
 *	STRICTEST  the choice that stands last in its list
 *	INTERSECT  what all candidates allow; may become empty              } the level closest to the
 *	CLOSEST    per entry of the map: the level closest to the device    } device, then the name
 *	                                                                      that sorts first
 *
 * With INTERSECT no bundle "wins" if the result is none of the candidates' values: then the winner is NULL. */
#ifndef VALISE_PROTO_POLICY_H
#define VALISE_PROTO_POLICY_H

#include "base/buf.h"
#include "base/limits.h"
#include "proto/allow.h"
#include "proto/jwrite.h"
#include "proto/release.h"

/* id, key, type, min, max, default, merge rule, help.
 * INT: min and max are of the number; default NULL: none, the manifest's value counts.
 * CHOICE: the names are policy_choices(id), loosest first.
 * WINDOWS, HOSTS, MAP: min and max are numbers of entries. */
#define POLICY_KEYS(XX)                                                                                         \
	XX(IMAGE_UPDATE_MODE, "image.update_mode", CHOICE, 0, 0, "auto", STRICTEST,                             \
	   "who decides on an update: the user (suggest), the install window (auto), nobody: at once (forced)") \
	XX(IMAGE_INSTALL_WINDOW, "image.install_window", WINDOWS, 1, 16, NULL, INTERSECT,                       \
	   "times of day (handset's local time) at which an update may be installed")                           \
	XX(IMAGE_NETWORK, "image.network", CHOICE, 0, 0, "unmetered", STRICTEST,                                \
	   "networks over which images are fetched")                                                            \
	XX(IMAGE_DELTA_FALLBACK, "image.delta_fallback", CHOICE, 0, 0, "allow", STRICTEST,                      \
	   "whether what a delta did not give is fetched in full: always, only unmetered, never")               \
	XX(VM_MEMORY_MAX_MIB, "vm.memory_max_mib", INT, 64, LIMIT_MEMORY_MIB, NULL, LEAST,                      \
	   "most memory of the virtual phone, in MiB")                                                          \
	XX(VM_VCPUS_MAX, "vm.vcpus_max", INT, 1, LIMIT_VCPUS, NULL, LEAST,                                      \
	   "most virtual processors of the virtual phone")                                                      \
	XX(NET_MODE, "net.mode", CHOICE, 0, 0, "none", STRICTEST,                                               \
	   "network of the virtual phone: only net.allow_hosts, or none")                                       \
	XX(NET_ALLOW_HOSTS, "net.allow_hosts", HOSTS, 0, LIMIT_ALLOW_HOSTS, NULL, INTERSECT,                    \
	   "host:port pairs that the virtual phone may reach")                                                  \
	XX(LEASE_DURATION_S, "lease.duration_s", INT, 300, 31536000, "43200", LEAST,                            \
	   "how long the virtual phone may run without hearing from the server, in seconds")                    \
	XX(LEASE_GRACE_S, "lease.grace_s", INT, 0, 604800, "3600", LEAST,                                       \
	   "how long after that until it is locked, in seconds")                                                \
	XX(HEALTH_DEADLINE_S, "health.deadline_s", INT, 10, LIMIT_HEALTH_DEADLINE_S, NULL,                      \
	   LEAST, "how long a new release may take to report healthy, in seconds")                              \
	XX(APPS_CONFIG, "apps.config", MAP, 0, LIMIT_APPS_CONFIG, NULL, CLOSEST,                                \
	   "settings for programs in the virtual phone: name to text, put on its configuration drive")

enum policy_key {
#define XX(id, key, type, min, max, dflt, rule, help) POLICY_##id,
	POLICY_KEYS(XX)
#undef XX
		POLICY_N_KEYS,
};

enum policy_type { POLICY_INT, POLICY_CHOICE, POLICY_WINDOWS, POLICY_HOSTS, POLICY_MAP };
enum policy_rule { POLICY_LEAST, POLICY_STRICTEST, POLICY_INTERSECT, POLICY_CLOSEST };

struct policy_row {
	const char *key;
	enum policy_type type;
	uint64_t min, max;
	const char *dflt; /* as JSON would have it, without quotes; NULL: none */
	enum policy_rule rule;
	const char *help;
};
extern const struct policy_row policy_rows[POLICY_N_KEYS];
const char *const *policy_choices(enum policy_key k); /* NULL-terminated; NULL if no CHOICE */

enum policy_update_mode { UPDATE_MODE_SUGGEST, UPDATE_MODE_AUTO, UPDATE_MODE_FORCED };
enum policy_delta_fallback { FALLBACK_ALLOW, FALLBACK_UNMETERED, FALLBACK_NEVER };
enum policy_network { NETWORK_ANY, NETWORK_UNMETERED };
enum policy_net { NET_MODE_ALLOW, NET_MODE_NONE };

/* ---- one bundle -------------------------------------------------------------------------- */

/* Minutes of a day, one bit each: windows are sets, so that intersection is one. */
enum { MINUTES_PER_DAY = 1440 };
struct minutes {
	uint8_t bits[MINUTES_PER_DAY / 8];
};

struct policy_entry {
	char *key, *value;
};

struct policy_value {
	bool set;
	uint64_t num;           /* INT; CHOICE: index */
	struct minutes minutes; /* WINDOWS */
	struct allow *hosts;    /* HOSTS: sorted by text, no doubles */
	size_t n_hosts;
	struct policy_entry *map; /* MAP: sorted by key */
	size_t n_map;
};

struct policy {
	char name[LIMIT_NAME + 1];
	uint64_t version;
	int64_t issued_at_s, not_before_s;
	struct policy_value values[POLICY_N_KEYS];
};

/* E_FORMAT names key and what is allowed: "settings: vm.vcpus_max: 0 is not within 1 and 64". */
bool policy_parse(struct policy **ret, const void *p, size_t n, struct err *e) MUST_USE;
/* The canonical bytes: keys sorted, hosts and windows in their normal form.  What the CLI signs. */
bool policy_encode(const struct policy *p, struct buf *out, struct err *e) MUST_USE;
void policy_free(struct policy *p);
DEFINE_CLEANUP(struct policy, policy_free);

/* The TUF target path "policies/<name>/<version>.json". */
enum { POLICY_PATH_SIZE = 9 + LIMIT_NAME + 1 + 20 + 5 + 1 };
void policy_path(char out[static POLICY_PATH_SIZE], const char *name, uint64_t version);

/* ---- several ----------------------------------------------------------------------------- */

enum policy_level { POLICY_FOR_ALL, POLICY_FOR_GROUP, POLICY_FOR_DEVICE };
extern const char *const policy_level_names[]; /* "all", "group", "device"; NULL-terminated */

struct policy_source {
	const struct policy *bundle; /* borrowed by the merged policy: outlives it */
	enum policy_level level;
	const char *group; /* borrowed too: which one, for the explanation; NULL: not known */
};

struct policy_merged {
	struct policy_source *sources; /* closest level first, then by name */
	size_t n_sources;
	struct policy_value values[POLICY_N_KEYS]; /* set also by default */
	const struct policy_source
		*winners[POLICY_N_KEYS];          /* NULL: default, nothing, or several */
	const struct policy_source **map_winners; /* per entry of APPS_CONFIG */
};

/* The same name twice (two levels of one bundle) is fine if it is the same version, and counts at its closest
 * level; two versions of one bundle are E_CONFLICT. */
bool policy_merge(struct policy_merged **ret, const struct policy_source *sources, size_t n,
		  struct err *e) MUST_USE;
void policy_merged_free(struct policy_merged *m);
DEFINE_CLEANUP(struct policy_merged, policy_merged_free);

/* What a model may have under this policy: never more than the manifest says. */
struct policy_limits {
	uint32_t memory_mib, vcpus, health_deadline_s;
};
struct policy_limits policy_narrow(const struct policy_merged *m, const struct release *r,
				   const struct model *model);

/* Whether an update may be installed at this minute of the day; always if no bundle sets windows. */
bool policy_window_open(const struct policy_merged *m, unsigned minute_of_day);
/* Minutes until it is (0: now), -1: never. */
int policy_window_wait_min(const struct policy_merged *m, unsigned minute_of_day);

/* A value as in a bundle. */
void policy_value_write(struct jw *w, const char *key, enum policy_key k,
			const struct policy_value *v);
/* The whole explanation, an object with one member per key:
 *	"vm.vcpus_max": {"value": 2, "rule": "least", "from": {"name": "base", "version": 3, "level": "all"},
 *	                 "candidates": [{"name": ..., "version": ..., "level": ..., "value": ...}]}
 * With "level": "group" there is "group": its name, if the sources told it.
 * value null: nothing set and no default.  from null: a default, or several together.  In apps.config,
 * "from" is an object from entry to bundle. */
void policy_explain_write(struct jw *w, const char *key, const struct policy_merged *m);

#endif
