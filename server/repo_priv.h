/* server/repo_priv.h - what keeping the image repository (repo.c) and publishing into it (publication.c) share.
 * All of it under repo_lock. */
#ifndef VALISE_SERVER_REPO_PRIV_H
#define VALISE_SERVER_REPO_PRIV_H

#include "server/repo.h"

void repo_unlock(pthread_mutex_t **m);

/* The newest metadata of a role, parsed.  E_NOT_FOUND. */
bool repo_newest(struct tuf_meta **ret, struct web *w, enum tuf_repo repo, const char *role,
		 enum tuf_type type, struct err *e) MUST_USE;
/* By those whom the delegator names for the role.  E_UNTRUSTED. */
bool repo_verified_by(const struct tuf_meta *m, const struct tuf_meta *delegator,
		      const char *role, struct err *e) MUST_USE;
/* Whether these very bytes are stored as that version. */
bool repo_is_stored(struct web *w, enum tuf_repo repo, const char *role, uint64_t version,
		    const void *p, size_t n);

struct repo_next {
	const char *role; /* goes live with the new snapshot; NULL: none */
	uint64_t version;
};

/* A new snapshot (or only timestamp) to be put: files[0..*n) borrow from text. */
struct repo_fresh {
	struct buf text;
	struct sign_answer answer;
	struct tuf_file files[2];
	size_t n;
};
void repo_fresh_done(struct repo_fresh *f);

/* timestamp_only: the newest snapshot stays. */
bool repo_make_fresh(struct repo_fresh *f, struct web *w, const struct repo_next *next,
		     bool timestamp_only, struct err *e) MUST_USE;

#endif
