/* storage/policies.h - policy bundles: versions that only rise, and whom each bundle reaches.
 *
 * A bundle (by name) has at most one assignment; the newest published version counts. */
#ifndef VALISE_STORAGE_POLICIES_H
#define VALISE_STORAGE_POLICIES_H

#include "storage/target.h"
#include "storage/tuf.h"

/* A verified bundle.  Borrowed. */
struct policy_new {
	const char *name;
	uint64_t version;
	const char *text;
	size_t n;
	const struct tuf_file
		*tuf; /* role `policies`, snapshot and timestamp that go live with it */
	size_t tuf_n;
};

enum policy_put { POLICY_CREATED, POLICY_SAME };

/* One step, as releases_publish; the text becomes an object too, and what waited under this version
 * (storage/proposals.h) waits no longer.
 *	POLICY_SAME: this version with the same text was there; nothing is written.
 *	E_EXISTS: this version has another text.  E_ROLLBACK: a newer version is published.
 *	E_CONFLICT: metadata (tuf_put).  E_FORMAT. */
bool policies_publish(struct store *s, const struct policy_new *p, const char *actor,
		      enum policy_put *ret, struct err *e) MUST_USE;

/* Replaces the assignment.  E_NOT_FOUND: no such bundle or device.  The same again: nothing is written. */
bool policies_assign(struct store *s, const char *name, const struct target *t,
		     const char *actor, struct err *e) MUST_USE;
/* Takes the assignment away.  E_NOT_FOUND. */
bool policies_unassign(struct store *s, const char *name, const char *actor,
		       struct err *e) MUST_USE;

struct policy_info {
	char name[LIMIT_NAME + 1];
	uint64_t version; /* newest, or the one asked for */
	int64_t published_at;
	char published_by[LIMIT_TEXT + 1];
	uint8_t sha256[SHA256_SIZE];
	uint64_t size;
	bool assigned;
	struct target target;
	int64_t assigned_at;
	uint64_t wanted, delivered, applied; /* devices with the newest version */
};
/* Version 0: the newest.  *ret_text may be NULL; else heap.  E_NOT_FOUND. */
bool policies_get(struct store *s, const char *name, uint64_t version, struct policy_info *ret,
		  char **ret_text, struct err *e) MUST_USE;

struct policy_page {
	struct policy_info *items;
	size_t n;
	bool more;
};
/* Newest version of each, by name; after NULL or "" starts. */
bool policies_list(struct store *s, const char *after, size_t limit, struct policy_page *ret,
		   struct err *e) MUST_USE;
void policy_page_done(struct policy_page *p);

/* The bundles that reach a device, newest versions, closest target first, then by name. */
struct policy_reach {
	char name[LIMIT_NAME + 1];
	uint64_t version;
	uint8_t sha256[SHA256_SIZE];
	struct target target;
	char *text;
	size_t n;
};
struct policy_reaches {
	struct policy_reach *items;
	size_t n;
};
bool policies_reaching(struct store *s, const char *device, struct policy_reaches *ret,
		       struct err *e) MUST_USE; /* E_NOT_FOUND */
void policy_reaches_done(struct policy_reaches *r);

#endif
