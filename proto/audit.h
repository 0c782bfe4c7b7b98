/* proto/audit.h - the chain of the audit log, for who writes it and for who checks it elsewhere.
 *
 * Row n holds
 *	SHA-256( hash of row n-1 (32 zeros for the first) || le64 n || le64 at ||
 *		 for actor, verb, subject, detail: le32 length, bytes )
 * so that no row can be altered, removed or inserted without changing all later ones.  Whoever keeps
 * a head (number and hash) that lies outside of the server's reach can tell. */
#ifndef VALISE_PROTO_AUDIT_H
#define VALISE_PROTO_AUDIT_H

#include "base/sha256.h"
#include "proto/jread.h"
#include "proto/jwrite.h"

struct audit_link {
	uint64_t n;
	int64_t at; /* seconds since 1970 */
	const char *actor, *verb, *subject, *detail;
};
bool audit_hash(uint8_t ret[static SHA256_SIZE], const uint8_t previous[static SHA256_SIZE],
		const struct audit_link *row, struct err *e) MUST_USE;

/* A row as the API and exported files have it; the members of an open object.
 *	{"n": 7, "at": "2026-11-22T15:41:00Z", "actor": "token:k3", "verb": "release.publish",
 *	 "subject": "acme-phone/1.0.0", "detail": "", "hash": "<64 hex>"} */
void audit_link_write(struct jw *w, const struct audit_link *row,
		      const uint8_t hash[static SHA256_SIZE]);
/* Texts are borrowed from the document. */
bool audit_link_read(struct audit_link *ret, uint8_t ret_hash[static SHA256_SIZE],
		     const struct jval *v, struct err *e) MUST_USE;

/* Walking the chain from its first row, or from a head that is trusted. */
struct audit_walk {
	uint64_t n; /* of the last row; 0: none yet */
	uint8_t hash[SHA256_SIZE];
};
/* E_CORRUPT names the row that does not follow. */
bool audit_walk_step(struct audit_walk *w, const struct audit_link *row,
		     const uint8_t hash[static SHA256_SIZE], struct err *e) MUST_USE;

#endif
