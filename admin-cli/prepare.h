/* admin-cli/prepare.h - from a folder with release.in.json to a manifest and the objects it names.
 *
 * Each component is read once, front to back: the same bytes go through SHA-256, the hash tree and
 * the compressor, so a file that changes meanwhile cannot give a manifest that disagrees with its object.
 * Objects lie in unnamed temporary files below `scratch`: nothing is left behind, whatever happens.
 * The same input gives the same bytes, so a publish that was killed builds the same objects again and goes on
 * with their uploads. */
#ifndef VALISE_ADMIN_CLI_PREPARE_H
#define VALISE_ADMIN_CLI_PREPARE_H

#include "base/buf.h"
#include "proto/release.h"

/* What has to be on the server for a release. */
struct prepared_object {
	char path[RELEASE_PATH_SIZE]; /* TUF target path */
	uint8_t sha256[SHA256_SIZE];
	uint64_t size;
	int fd;
};

struct prepared {
	struct release *release;
	struct buf manifest; /* release.json */
	uint8_t manifest_sha256[SHA256_SIZE];
	struct prepared_object *objects;
	size_t n_objects;
};

struct prepare_options {
	const char *dir;     /* holds release.in.json */
	const char *scratch; /* for objects; NULL: $TMPDIR or /var/tmp */
	unsigned threads;    /* compressors; 0: in the caller's */
	int level;           /* zstd; 0: SEEKABLE_LEVEL */
	/* Before each component, and told its plain bytes as they are read.  May be NULL. */
	void (*start)(void *arg, const char *component, uint64_t bytes);
	void (*progress)(void *arg, uint64_t bytes);
	void (*end)(void *arg, bool ok);
	void *arg;
};

bool prepare_release(struct prepared *ret, const struct prepare_options *o,
		     struct err *e) MUST_USE;
void prepared_done(struct prepared *p);

#endif
