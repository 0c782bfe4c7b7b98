/* storage/releases.h - published releases: the whole release or nothing, also across a crash.
 *
 *	published --- releases_withdraw ---> withdrawn
 *
 * A withdrawn release is no longer granted; devices that run it keep it. */
#ifndef VALISE_STORAGE_RELEASES_H
#define VALISE_STORAGE_RELEASES_H

#include "storage/tuf.h"

struct release_component {
	char name[LIMIT_NAME + 1];
	char kind[16]; /* kernel, initrd, disk */
	uint64_t size;
	uint8_t sha256[SHA256_SIZE]; /* of the plain bytes */
	uint8_t verity_root[SHA256_SIZE];
	uint64_t object_size, tree_size; /* tree_size 0: there is none */
	uint8_t object_sha256[SHA256_SIZE], tree_sha256[SHA256_SIZE];
};

/* A verified release, ready to be shown.  Borrowed. */
struct release_new {
	const char *product, *version;
	uint64_t security_version, data_schema;
	const char *manifest; /* text of release.json */
	size_t manifest_n;
	const struct release_component *components;
	size_t components_n;
	const char *const *models; /* names */
	size_t models_n;
	const struct tuf_file
		*tuf; /* the product's role, snapshot and timestamp that go live with it */
	size_t tuf_n;
};

enum release_put { RELEASE_CREATED, RELEASE_SAME };

/* Makes the release and its metadata visible in one step; the manifest becomes an object too.  What waited
 * for signatures under this version (storage/proposals.h) waits no longer.
 *	*ret: RELEASE_SAME when it was published with the same manifest before; nothing is
 *		written then, the metadata given included.
 *	E_EXISTS: this version has another content; the text tells both hashes and since when.
 *	E_GONE: this version was withdrawn; publish a new one.
 *	E_CONFLICT: objects are not stored (the text lists the first ones), or the metadata
 *		is not the next version (tuf_put): extend the newest and try again.
 *	E_FORMAT: a name is not valid, or counts and sizes are beyond base/limits.h. */
bool releases_publish(struct store *s, const struct release_new *r, const char *actor,
		      enum release_put *ret, struct err *e) MUST_USE;

struct release_row {
	char product[LIMIT_NAME + 1], version[LIMIT_VERSION + 1];
	uint64_t security_version, data_schema;
	uint8_t manifest_sha256[SHA256_SIZE];
	uint64_t manifest_size;
	uint64_t download_size;             /* objects and trees of all components */
	int64_t number;                     /* for paging; rises with every publish */
	int64_t published_at, withdrawn_at; /* 0: not withdrawn */
	char published_by[LIMIT_TEXT + 1];
};
struct release_page {
	struct release_row *items;
	size_t n;
	bool more; /* continue after items[n - 1].number */
};
/* Oldest first.  product "" or NULL: of all. */
bool releases_list(struct store *s, const char *product, int64_t after, size_t limit,
		   struct release_page *ret, struct err *e) MUST_USE;
void release_page_done(struct release_page *p);

struct release_full {
	struct release_row row;
	char *manifest;
	struct release_component *components;
	size_t components_n;
	char (*models)[LIMIT_NAME + 1];
	size_t models_n;
};
bool releases_get(struct store *s, const char *product, const char *version,
		  struct release_full *ret, struct err *e) MUST_USE; /* E_NOT_FOUND */
void release_full_done(struct release_full *r);

/* E_NOT_FOUND.  Again: quietly the same. */
bool releases_withdraw(struct store *s, const char *product, const char *version,
		       const char *reason, const char *actor, struct err *e) MUST_USE;

/* Objects that the release needs: manifest, components and trees. */
struct release_object {
	char name[LIMIT_NAME + 8]; /* target name: "system.zst" */
	uint8_t sha256[SHA256_SIZE];
	uint64_t size;
};
struct release_objects {
	struct release_object *items;
	size_t n;
};
bool releases_objects(struct store *s, const char *product, const char *version,
		      struct release_objects *ret, struct err *e) MUST_USE;
void release_objects_done(struct release_objects *r);

#endif
