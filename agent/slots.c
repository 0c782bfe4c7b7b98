#include "agent/slots.h"

#include "agent/stage_delta.h"

#include "base/io.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST "release.json"
#define HASH_SUFFIX ".hash"

bool slot_open(int *ret_dirfd, int state_dirfd, uint8_t slot, struct err *e)
{
	CLEANUP(fd_closep) int slots = -1;

	if (!dir_open_at(&slots, state_dirfd, "slots", 0700, e) ||
	    !dir_open_at(ret_dirfd, slots, slot_name(slot), 0700, e))
		return err_wrap(e, "slot %s", slot_name(slot));
	return true;
}

void slot_hash_name(char out[static SLOT_FILE_SIZE], const char *component)
{
	snprintf(out, SLOT_FILE_SIZE, "%s" HASH_SUFFIX, component);
}

static bool is_used(const struct release *r, const struct model *m, size_t i)
{
	return model_uses(m, (int)i) && i < r->n_components;
}

bool slot_names_fit(const struct release *r, const struct model *m, struct err *e)
{
	for (size_t i = 0; i < r->n_components; i++) {
		const char *name = r->components[i].name;
		size_t n = strlen(name), suffix = strlen(HASH_SUFFIX);

		if (!is_used(r, m, i))
			continue;
		if (strcmp(name, MANIFEST) == 0 ||
		    (n > suffix && strcmp(name + n - suffix, HASH_SUFFIX) == 0))
			return err_set(e, E_FORMAT, "a component may not be called %s", name);
	}
	return true;
}

bool slot_release(struct release **ret, int slot_dirfd, const struct release_id *id,
		  struct err *e)
{
	CLEANUP(buf_done) struct buf raw = BUF_INIT(LIMIT_RELEASE_JSON);
	uint8_t digest[SHA256_SIZE];

	if (!read_file_at(slot_dirfd, MANIFEST, &raw, e)) {
		if (e->code == E_NOT_FOUND)
			e->code = E_CORRUPT;
		return err_wrap(e, MANIFEST);
	}
	sha256(digest, raw.p, raw.n);
	if (memcmp(digest, id->manifest, SHA256_SIZE) != 0)
		return err_set(e, E_CORRUPT, MANIFEST " is not that of %s",
			       release_id_text(id).s);
	return release_parse(ret, raw.p, raw.n, e) ? true : err_wrap(e, MANIFEST);
}

bool slot_component(int *ret_fd, int slot_dirfd, const struct component *c, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	struct verity_geo geo;
	uint64_t size;

	if (!file_open_at(&fd, slot_dirfd, c->name, O_RDONLY | O_NOFOLLOW, 0, e))
		return e->code == E_NOT_FOUND ? err_set(e, E_CORRUPT, "%s is missing", c->name)
					      : false;
	if (!verity_geo_init(&geo, c->size, e) || !fd_size(fd, &size, e))
		return err_wrap(e, "%s", c->name);
	if (size != geo.padded_size)
		return err_set(e, E_CORRUPT, "%s has %" PRIu64 " bytes instead of %" PRIu64,
			       c->name, size, geo.padded_size);
	*ret_fd = TAKE_FD(fd);
	return true;
}

static bool belongs(const struct release *r, const struct model *m, const char *name)
{
	for (size_t i = 0; i < r->n_components; i++) {
		char hash[SLOT_FILE_SIZE];

		if (!is_used(r, m, i))
			continue;
		slot_hash_name(hash, r->components[i].name);
		if (strcmp(name, r->components[i].name) == 0 || strcmp(name, hash) == 0)
			return true;
	}
	return false;
}

bool slot_clear_for(int slot_dirfd, const struct release *r, const struct model *m,
		    struct err *e)
{
	CLEANUP(names_done) struct names n = NAMES_INIT;
	const char *name;

	if (unlinkat(slot_dirfd, MANIFEST, 0) < 0 && errno != ENOENT)
		return err_sys(e, errno, MANIFEST);
	if (!fd_sync(slot_dirfd, e))
		return false;

	if (!names_open(&n, slot_dirfd, ".", "slot", e))
		return false;
	for (;;) {
		if (!names_next(&n, &name, e))
			return false;
		if (!name)
			return true;
		if (belongs(r, m, name) || stage_delta_is_name(name))
			continue;
		if (unlinkat(slot_dirfd, name, 0) < 0 && errno != ENOENT)
			return err_sys(e, errno, "%s", name);
	}
}

/* Holes count as missing: they will be filled. */
static bool bytes_held(uint64_t *ret, int slot_dirfd, const char *name, uint64_t size,
		       struct err *e)
{
	struct stat st;

	*ret = 0;
	if (fstatat(slot_dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? true : err_sys(e, errno, "%s", name);
	uint64_t held = (uint64_t)st.st_blocks * 512;
	*ret = held < size ? held : size;
	return true;
}

bool slot_bytes_missing(uint64_t *ret, int slot_dirfd, const struct release *r,
			const struct model *m, struct err *e)
{
	uint64_t missing = LIMIT_RELEASE_JSON;

	for (size_t i = 0; i < r->n_components; i++) {
		const struct component *c = &r->components[i];
		struct verity_geo geo;
		char hash[SLOT_FILE_SIZE];
		uint64_t held, held_hash;

		if (!is_used(r, m, i))
			continue;
		slot_hash_name(hash, c->name);
		if (!verity_geo_init(&geo, c->size, e) ||
		    !bytes_held(&held, slot_dirfd, c->name, geo.padded_size, e) ||
		    !bytes_held(&held_hash, slot_dirfd, hash, geo.area_size, e))
			return false;
		missing += geo.padded_size - held + geo.area_size - held_hash;
	}
	*ret = missing;
	return true;
}
