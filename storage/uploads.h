/* storage/uploads.h - objects that arrive in pieces (tus 1.0), resumable across crashes.
 *
 *	          uploads_create
 *	               |
 *	               v      upload_end: fewer bytes than the size
 *	            +------+ <------------------------------------+
 *	            | open | -- upload_begin, upload_write* -- upload_end
 *	            +------+                                      |  all bytes, hash right
 *	  uploads_expire |  | uploads_delete                      v
 *	                 v  v            (hash wrong: removed)  +------+
 *	                removed <------------ expiry ---------- | done |
 *	                                                        +------+
 *
 * The offset that a client resumes at is the size of the file: everything that upload_end
 * acknowledged is durable, and after a crash what is there is counted, not what was promised.
 * The running hash lives in memory and is computed anew from the file after a restart; a
 * complete upload becomes an object (storage/objects.h) only if size and hash are right.
 * A done upload is remembered until it expires, so that a client whose answer was lost learns so. */
#ifndef VALISE_STORAGE_UPLOADS_H
#define VALISE_STORAGE_UPLOADS_H

#include "storage/store.h"

enum { UPLOAD_ID_SIZE = 33 }; /* 32 hex digits and the NUL; random */
#define UPLOADS_TTL_S 86400   /* after the last byte that arrived */
#define UPLOADS_PER_OWNER 256 /* open ones: more components in flight than any release has */

struct upload {
	char id[UPLOAD_ID_SIZE];
	uint8_t sha256[SHA256_SIZE];
	uint64_t size, offset;
	int64_t owner; /* number of the API token that made it (storage/tokens.h) */
	int64_t created_at, expires_at;
	bool done;
};

/* E_NO_SPACE: does not fit above the reserve beside what other open uploads still expect.
 * E_EXISTS: the object is stored already: nothing to send.  E_RATE: UPLOADS_PER_OWNER.
 * E_TOO_BIG: larger than any component may be. */
bool uploads_create(struct store *s, const uint8_t sha256[static SHA256_SIZE], uint64_t size,
		    int64_t owner, struct upload *ret, struct err *e) MUST_USE;

/* E_NOT_FOUND: never was, was deleted, or belongs to another owner.  E_GONE: expired. */
bool uploads_get(struct store *s, const char *id, int64_t owner, struct upload *ret,
		 struct err *e) MUST_USE;

/* Termination extension: forgets the upload and its bytes.  E_NOT_FOUND; E_BUSY: being written. */
bool uploads_delete(struct store *s, const char *id, int64_t owner, struct err *e) MUST_USE;

/* One PATCH.  upload_begin takes the upload for this writer alone.
 *	E_CONFLICT: offset is not where the upload stands (the text says where).
 *	E_BUSY: another request is writing it.  E_NOT_FOUND, E_GONE as uploads_get.
 * After a restart it reads what is there to compute the hash anew. */
struct upload_append;
bool upload_begin(struct upload_append **ret, struct store *s, const char *id, int64_t owner,
		  uint64_t offset, struct err *e) MUST_USE;

/* E_TOO_BIG: more bytes than the upload's size.  E_NO_SPACE: what was written stays. */
bool upload_write(struct upload_append *a, const void *p, size_t n, struct err *e) MUST_USE;

/* Ends the PATCH and frees *a in any case.  Call it too when the connection broke: what arrived
 * is kept.  chunk_sha256 is the checksum extension's value for this PATCH, or NULL.
 *	E_CORRUPT: it differs, and the bytes of this PATCH are dropped; or the complete upload is not
 *		what was announced, and the upload is removed (then uploads_get says E_NOT_FOUND).
 * On success *ret tells the new state; done when the object is stored durably. */
bool upload_end(struct upload_append **a, const uint8_t *chunk_sha256, struct upload *ret,
		struct err *e) MUST_USE;

/* Drops the bytes of this PATCH (a checksum was announced and the connection broke). */
void upload_drop(struct upload_append *a);
DEFINE_CLEANUP(struct upload_append, upload_drop);

/* Removes expired uploads and files without a row; for a timer.  *ret: how many; may be NULL. */
bool uploads_expire(struct store *s, uint64_t *ret, struct err *e) MUST_USE;

#endif
