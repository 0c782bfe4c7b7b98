/* proto/release.h - what a release is: the description that people write (release.in.json) and
 * the manifest that is signed (release.json).  Format: docs/FORMATS.md sections 1 and 2.
 *
 * Both are one struct.  Publishing goes
 *
 *	release_parse_description()     names, kinds, files and models are set
 *	fill size, sha256, salt (release_salt), root, tree and object of each component
 *	release_check()                 the rules below
 *	release_encode()                OLPC canonical JSON, the same bytes every time
 *
 * and everyone else starts from release_parse().  Rules that all of them enforce, E_FORMAT with
 * the way to the place:
 *   - names are names (base/text.h); names of disks have at most LIMIT_DISK_NAME bytes, as they become
 *     virtio serial numbers, and are not "data" or "config", which the agent's own disks are called
 *   - names of components hold no dot: files called <component>.zst, .tree, .hash lie side by side
 *   - a model names components that exist and are of the right kind, no disk twice
 *   - each component is used by some model
 *   - in a manifest: the tree has the size that follows from the component's size, the salt is
 *     release_salt, unknown fields do not occur
 *
 * Components and models are sorted by name. */
#ifndef VALISE_PROTO_RELEASE_H
#define VALISE_PROTO_RELEASE_H

#include "base/buf.h"
#include "base/limits.h"
#include "base/sha256.h"
#include "proto/arch.h"
#include "proto/verity.h"

enum component_kind { COMPONENT_KERNEL, COMPONENT_INITRD, COMPONENT_DISK };
extern const char *const component_kind_names[]; /* NULL-terminated */

struct component {
	char name[LIMIT_NAME + 1];
	enum component_kind kind;
	char file[LIMIT_FILE_NAME + 1]; /* description only: beside it, no '/', no leading '.' */

	/* The rest: manifest only. */
	uint64_t size; /* plain bytes, at least 1 */
	uint8_t sha256[SHA256_SIZE];
	uint8_t salt[VERITY_SALT], root[SHA256_SIZE];
	uint64_t tree_size; /* 0: no tree object; tree_sha256 is then that of nothing */
	uint8_t tree_sha256[SHA256_SIZE];
	uint64_t object_size;
	uint8_t object_sha256[SHA256_SIZE];
	uint32_t frame_size;
};

struct model {
	char name[LIMIT_NAME + 1];
	enum arch arch;
	uint32_t memory_mib, vcpus;
	char cmdline[LIMIT_CMDLINE + 1]; /* printable ASCII */
	/* Indexes into components; initrd is -1 if there is none. */
	int kernel, initrd;
	int disks[LIMIT_DISKS]; /* in the order in which the guest sees them */
	size_t n_disks;
};

struct release {
	char product[LIMIT_NAME + 1], version[LIMIT_VERSION + 1];
	uint64_t security_version, data_schema;
	uint32_t health_deadline_s;
	struct component *components;
	size_t n_components;
	struct model *models;
	size_t n_models;
};

bool release_parse_description(struct release **ret, const void *p, size_t n,
			       struct err *e) MUST_USE;
bool release_parse(struct release **ret, const void *p, size_t n, struct err *e) MUST_USE;
void release_free(struct release *r);
DEFINE_CLEANUP(struct release, release_free);

/* All rules of a manifest, for one that was put together in memory. */
bool release_check(const struct release *r, struct err *e) MUST_USE;
/* The canonical bytes; checks first. */
bool release_encode(const struct release *r, struct buf *out, struct err *e) MUST_USE;

/* NULL if there is none. */
const struct component *release_component(const struct release *r, const char *name);
const struct model *release_model(const struct release *r, const char *name);
/* Whether the model boots this component (an index). */
bool model_uses(const struct model *m, int component);

/* SHA-256("valise-verity-1\0" product "\0" version "\0" component "\0") */
void release_salt(uint8_t out[static VERITY_SALT], const char *product, const char *version,
		  const char *component);

/* Orders versions field by field, split at '.': numbers by value and before all texts, texts by
 * bytes, a version before its extensions ("1.0" < "1.0.1"); numbers that differ in leading zeros
 * only are told apart last.  A total order: 0 only for equal texts.  <0, 0, >0. */
int version_compare(const char *a, const char *b);

/* The TUF target path "releases/<product>/<version>/<file>" and the files' names. */
enum { RELEASE_PATH_SIZE = 9 + LIMIT_NAME + 1 + LIMIT_VERSION + 1 + LIMIT_NAME + 8 };
void release_path(char out[static RELEASE_PATH_SIZE], const char *product, const char *version,
		  const char *file);
void release_object_path(char out[static RELEASE_PATH_SIZE], const struct release *r,
			 const struct component *c); /* .../<component>.zst */
void release_tree_path(char out[static RELEASE_PATH_SIZE], const struct release *r,
		       const struct component *c); /* .../<component>.tree */

/* "product/version", as messages name a release. */
struct release_ref {
	char product[LIMIT_NAME + 1], version[LIMIT_VERSION + 1];
};
enum { RELEASE_REF_SIZE = LIMIT_NAME + 1 + LIMIT_VERSION + 1 };
bool release_ref_parse(struct release_ref *ret, const char *s, struct err *e) MUST_USE;
void release_ref_format(char out[static RELEASE_REF_SIZE], const struct release_ref *ref);

#endif
