/* proto/audit.h - the chain of the audit log, for who writes it and for who checks it elsewhere.
 *
 * Row n holds
 *	SHA-256( hash of row n-1 (32 zeros for the first) || le64 n || le64 at ||
 *		 for actor, verb, subject, detail: le32 length, bytes )
 * so that no row can be altered, removed or inserted without changing all later ones.  Whoever keeps
 * a head (number and hash) that lies outside of the server's reach can tell.
 *
 * Once a day the server's keys process signs the head, and that becomes a row too: actor "server", verb
 * "audit.head", subject the number of the row before it, detail
 *	SECONDS KEYID SIGNATURE     when it was signed, since 1970; hex
 * by the key of the image repository's timestamp role, over AUDIT_HEAD_MESSAGE bytes:
 *	"valise-audit-head-1" NUL || le64 n || le64 seconds || hash of row n
 * (what TUF signs with that key begins with a brace).  So the log carries proofs of when it had which
 * rows: whoever writes it anew, or cuts it off, cannot make the ones that the past would have to have,
 * and whoever kept an older one can show that the server signed something else. */
#ifndef VALISE_PROTO_AUDIT_H
#define VALISE_PROTO_AUDIT_H

#include "base/sha256.h"
#include "proto/jread.h"
#include "proto/jwrite.h"
#include "proto/tuf.h"

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

/* A signed head. */
#define AUDIT_HEAD_ACTOR "server"
#define AUDIT_HEAD_VERB "audit.head"
enum {
	AUDIT_HEAD_MESSAGE = 20 + 8 + 8 + SHA256_SIZE,
	AUDIT_HEAD_DETAIL = 20 + 1 + TUF_KEYID_SIZE + 2 * SIG_SIZE + 1,
};
struct audit_signed {
	uint64_t n; /* the last row that it is about */
	int64_t at; /* when it was signed; seconds since 1970 */
	uint8_t hash[SHA256_SIZE];
	char keyid[TUF_KEYID_SIZE];
	uint8_t sig[SIG_SIZE];
};
void audit_head_message(uint8_t ret[static AUDIT_HEAD_MESSAGE], uint64_t n, int64_t at,
			const uint8_t hash[static SHA256_SIZE]);
void audit_head_detail(char ret[static AUDIT_HEAD_DETAIL], const struct audit_signed *s);
bool audit_head_is(const struct audit_link *row);
/* Of a row for which that is true; `before` is the chain up to the row before.  E_CORRUPT when it is about
 * another row.  The signature is not checked: audit_head_verify. */
bool audit_head_read(struct audit_signed *ret, const struct audit_link *row,
		     const struct audit_walk *before, struct err *e) MUST_USE;
bool audit_head_verify(const struct audit_signed *s, const struct tuf_key *key) MUST_USE;

#endif
