/* storage/audit.h - who did what to whom: append-only rows chained by hashes.
 *
 * Every changing function of storage/ writes its row in the transaction of the change.  The chain is
 * that of proto/audit.h: no row can be altered, removed or inserted without changing all later ones,
 * and whoever keeps a head (`valise audit verify` does) can tell. */
#ifndef VALISE_STORAGE_AUDIT_H
#define VALISE_STORAGE_AUDIT_H

#include "proto/audit.h"
#include "storage/store.h"

struct audit_row {
	uint64_t n;
	int64_t at;
	char actor[LIMIT_TEXT + 1];   /* "token:k3" */
	char verb[LIMIT_NAME + 1];    /* "release.publish" */
	char subject[LIMIT_TEXT + 1]; /* "acme-phone/1.0.0" */
	char detail[LIMIT_TEXT + 1];
	uint8_t hash[SHA256_SIZE];
};

/* For what changes no row of ours: a login that failed, a backup made, metadata signed offline. */
bool audit_add(struct store *s, const char *actor, const char *verb, const char *subject,
	       const char *detail, struct err *e) MUST_USE;

struct audit_page {
	struct audit_row *items;
	size_t n;
	bool more;
};
bool audit_list(struct store *s, uint64_t after, size_t limit, struct audit_page *ret,
		struct err *e) MUST_USE;
void audit_page_done(struct audit_page *p);

/* Recomputes the whole chain.  *ret is the last row's number and hash (0 and zeros when empty).
 * E_CORRUPT names the first row that does not fit. */
struct audit_head {
	uint64_t n;
	uint8_t hash[SHA256_SIZE];
};
bool audit_verify(struct store *s, struct audit_head *ret, struct err *e) MUST_USE;
/* Whether rows were added since the last signed head, and that is at least age_s old; *ret_head is then
 * the last row. */
bool audit_head_due(struct store *s, int64_t age_s, bool *ret_due, struct audit_head *ret_head,
		    struct err *e) MUST_USE;
/* The row of a head that was signed (proto/audit.h).  E_CONFLICT when the log went on meanwhile. */
bool audit_add_head(struct store *s, const struct audit_signed *h, struct err *e) MUST_USE;

/* The last row, without verifying. */
bool audit_head(struct store *s, struct audit_head *ret, struct err *e) MUST_USE;

#endif
