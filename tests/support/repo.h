/* tests/support/repo.h - a TUF repository and a client's store, both in memory, for tests of the
 * client workflow.  Keys are named by number (0 to REPO_KEYS - 1) and given as bit masks:
 *
 *	CLEANUP(repo_done) struct repo r;
 *	repo_init(&r);                             // root, timestamp, snapshot, targets: version 1
 *	repo_role(&r, "root")->sign = KEY(1);      // signed by a wrong key from now on
 *	repo_publish(&r, "root");                  // version 2
 *	assert_fails(repo_refresh(&r, &e), &e, E_UNTRUSTED);
 *	assert_string_equal(r.log, "2.root.json"); // what was asked for
 *
 * Everything ends the program when it fails. */
#ifndef VALISE_TESTS_REPO_H
#define VALISE_TESTS_REPO_H

#include "proto/tuf_client.h"
#include "proto/tuf_make.h"

enum { REPO_KEYS = 12, REPO_FILES = 512, REPO_ROLES = 64, REPO_TARGETS = 64 };

#define KEY(n) (1u << (n))
#define REPO_NOW INT64_C(1800000000)
#define REPO_DAY INT64_C(86400)

struct repo_file {
	char name[TUF_FILE_NAME_SIZE];
	uint8_t *p;
	size_t n;
};
struct repo_dir {
	struct repo_file files[REPO_FILES];
	size_t n;
};
void repo_put(struct repo_dir *d, const char *name, const void *p, size_t n);
struct repo_file *repo_get(struct repo_dir *d, const char *name); /* NULL if there is none */
void repo_del(struct repo_dir *d, const char *name);

struct repo_role {
	const char *name, *parent; /* parent: NULL for the four of the root */
	unsigned keys, sign;       /* masks: who may sign, and who does */
	uint64_t threshold, version;
	int64_t expires_s;
	const char *paths[4]; /* up to a NULL */
	bool terminating;
	bool unlisted;      /* not in the snapshot */
	const char *valise; /* of targets: the field of that name, or NULL */
	bool published;
	uint64_t snapshot_version; /* what timestamp (of "snapshot") or snapshot name; 0: real */
};

struct repo_target {
	const char *role, *path, *custom;
	const void *p;
	size_t n;
};

struct repo {
	struct secret *secrets[REPO_KEYS];
	struct tuf_pubkey pubs[REPO_KEYS];
	struct repo_role roles[REPO_ROLES];
	size_t n_roles;
	struct repo_target targets[REPO_TARGETS];
	size_t n_targets;
	struct repo_dir *served, *local; /* heap */
	char log[4096];                  /* names fetched since it was last emptied */
	int64_t now_s;
	bool hashes; /* timestamp and snapshot carry lengths and hashes */
	enum err_code fetch_fails, load_fails, store_fails, remove_fails; /* E_NONE: work */
	const char *only; /* if set, only the calls for this name fail */
	struct tuf_client_io io;
	struct tuf_client *client; /* of the last repo_refresh */
};

/* Key n signs role n (root 0, timestamp 1, snapshot 2, targets 3).  The client has root 1. */
void repo_init(struct repo *r);
void repo_done(struct repo *r);

struct repo_role *repo_role(struct repo *r, const char *name);
/* A delegation of parent to name with key `key`, for one pattern; more can be set afterwards. */
struct repo_role *repo_delegate(struct repo *r, const char *parent, const char *name,
				unsigned key, const char *pattern);
void repo_target(struct repo *r, const char *role, const char *path, const char *content,
		 const char *custom);

/* Makes the next version of a role and serves it.  repo_publish_all: all targets roles, snapshot,
 * timestamp. */
void repo_publish(struct repo *r, const char *role);
void repo_publish_all(struct repo *r);
/* Serves any JSON text as the "signed" of a file, under that name, signed by these keys. */
void repo_serve(struct repo *r, const char *name, const char *signed_text, unsigned sign);

/* A client's life: new, refresh (or opened from the store), kept in r->client. */
bool repo_refresh(struct repo *r, struct err *e);
bool repo_open_stored(struct repo *r, struct err *e);
bool repo_find(struct repo *r, struct tuf_found *ret, const char *path, struct err *e);
/* Version of what the client has stored under that name; 0 for nothing. */
uint64_t repo_local_version(struct repo *r, const char *role);

#endif
