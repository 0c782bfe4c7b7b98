#include "agent/identity.h"

#include "agent/crashpoint.h"
#include "base/bytes.h"
#include "base/file.h"
#include "proto/keyfile.h"
#include "proto/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define DIR_NAME "identity"
#define CHANGE "change.json"
enum { CHANGE_MAX = LIMIT_ROTATION_BODY + 512 };

struct kind {
	const char *file, *next, *role;
	enum keyfile_type type;
};
static const struct kind signing_kind = { "signing.key", "signing.next.key", "device-signing",
					  KEYFILE_ED25519 };
static const struct kind sealing_kind = { "sealing.key", "sealing.next.key", "device-sealing",
					  KEYFILE_X25519 };

/* ---- one key ----------------------------------------------------------------------------- */

static bool load_key(struct secret **ret, uint8_t ret_pub[static KEYFILE_PUBLIC_SIZE],
		     int dirfd, const struct kind *kind, const char *file, struct err *e)
{
	CLEANUP(buf_done) struct buf raw = BUF_INIT(LIMIT_SECRET_FILE);
	CLEANUP(secret_freep) struct secret *key = NULL;
	struct keyfile_info info;

	bool ok = read_file_at(dirfd, file, &raw, e) &&
		  keyfile_open(&key, &info, raw.p, raw.n, NULL, e);
	if (raw.p)
		wipe(raw.p, raw.n);
	if (!ok)
		return err_wrap(e, "identity: %s", file);
	if (info.type != kind->type)
		return err_set(e, E_CORRUPT, "identity: %s is a key of another type", file);
	memcpy(ret_pub, info.public, KEYFILE_PUBLIC_SIZE);
	*ret = TAKE(key);
	return true;
}

static bool make_key(int dirfd, const struct kind *kind, const char *file,
		     const struct rng *rng, struct err *e)
{
	CLEANUP(buf_done) struct buf raw = BUF_INIT(LIMIT_SECRET_FILE);
	CLEANUP(secret_freep) struct secret *key = NULL;
	struct keyfile_info info = { .type = kind->type };

	memcpy(info.role, kind->role, strlen(kind->role) + 1);
	bool ok = kind->type == KEYFILE_ED25519 ? sig_new(&key, info.public, rng, e)
						: seal_new(&key, info.public, rng, e);
	ok = ok && keyfile_encode(&raw, &info, key, NULL, NULL, rng, e) &&
	     file_replace(dirfd, file, 0600, raw.p, raw.n, e);
	if (raw.p)
		wipe(raw.p, raw.n);
	return ok ? true : err_wrap(e, "identity: %s", file);
}

static bool load_or_make(struct secret **ret, uint8_t ret_pub[static KEYFILE_PUBLIC_SIZE],
			 int dirfd, const struct kind *kind, const struct rng *rng,
			 struct err *e)
{
	if (load_key(ret, ret_pub, dirfd, kind, kind->file, e))
		return true;
	if (e->code != E_NOT_FOUND || !rng)
		return false;
	return make_key(dirfd, kind, kind->file, rng, e) &&
	       load_key(ret, ret_pub, dirfd, kind, kind->file, e);
}

/* ---- the change of keys ------------------------------------------------------------------ */

static const char *const change_names[] = { "asked", "done", NULL };

static bool parse_change(struct identity *id, const struct buf *raw, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	unsigned state;

	if (!jdoc_parse(&d, raw->p, raw->n, e))
		return false;
	const struct jval *o = jdoc_root(d);
	if (!jval_is_obj(o, e) || !jobj_version(o, "format", 1, e) ||
	    !jobj_choice(&state, o, "state", change_names, e) ||
	    !jobj_time(&id->since_s, o, "since", e) ||
	    !jobj_hex(id->server, sizeof(id->server), o, "server", e) ||
	    !rotation_read(&id->rotation, o, e))
		return false;
	id->change = state == 0 ? KEYS_ASKED : KEYS_DONE;
	return true;
}

static bool load_change(struct identity *id, int dirfd, struct err *e)
{
	CLEANUP(buf_done) struct buf raw = BUF_INIT(CHANGE_MAX);

	id->change = KEYS_FIRST;
	if (!read_file_at(dirfd, CHANGE, &raw, e))
		return e->code == E_NOT_FOUND;
	return parse_change(id, &raw, e) ? true : err_wrap(e, "identity: " CHANGE);
}

static bool store_change(const struct identity *id, int dirfd, struct err *e)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(CHANGE_MAX);
	struct jw w;

	jw_init(&w, &out);
	jw_obj(&w, NULL);
	jw_u64(&w, "format", 1);
	jw_str(&w, "state", change_names[id->change == KEYS_DONE]);
	jw_time(&w, "since", id->since_s);
	jw_hex(&w, "server", id->server, sizeof(id->server));
	rotation_write(&w, &id->rotation);
	jw_end(&w);
	return jw_finish(&w, e) && file_replace(dirfd, CHANGE, 0600, out.p, out.n, e);
}

/* As far as the storage writes in place; what it copied elsewhere is beyond us. */
static bool overwrite(int dirfd, const char *file, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	uint8_t zeros[512] = { 0 };
	uint64_t size, at = 0;

	if (!file_open_at(&fd, dirfd, file, O_WRONLY | O_NOFOLLOW, 0, e))
		return e->code == E_NOT_FOUND;
	if (!fd_size(fd, &size, e))
		return err_wrap(e, "%s", file);
	for (; at < size && at < LIMIT_SECRET_FILE; at += sizeof(zeros)) {
		uint64_t left = size - at;
		size_t n = left < sizeof(zeros) ? (size_t)left : sizeof(zeros);

		if (!pwrite_all(fd, zeros, n, at, e))
			return err_wrap(e, "%s", file);
	}
	return fd_sync(fd, e) ? true : err_wrap(e, "%s", file);
}

/* Moves the next key into the place of the one that it follows, if that was not done yet. */
static bool settle(int dirfd, const struct kind *kind, const uint8_t *pub, struct err *e)
{
	CLEANUP(buf_done) struct buf raw = BUF_INIT(LIMIT_SECRET_FILE);
	struct keyfile_info info;

	bool ok = read_file_at(dirfd, kind->next, &raw, e);
	if (!ok && e->code == E_NOT_FOUND)
		return true;
	ok = ok && keyfile_inspect(&info, raw.p, raw.n, e);
	/* Another one was made for a change that nobody was asked for. */
	bool follows = ok && memcmp(info.public, pub, sizeof(info.public)) == 0;
	ok = ok && (!follows || (overwrite(dirfd, kind->file, e) &&
				 file_replace(dirfd, kind->file, 0600, raw.p, raw.n, e) &&
				 file_remove(dirfd, kind->next, e)));
	if (raw.p)
		wipe(raw.p, raw.n);
	return ok ? true : err_wrap(e, "identity: %s", kind->next);
}

static bool settle_both(const struct identity *id, int dirfd, struct err *e)
{
	if (id->change != KEYS_DONE)
		return true;
	if (!settle(dirfd, &signing_kind, id->rotation.now.identity, e))
		return false;
	crash_point("keys-half-moved");
	return settle(dirfd, &sealing_kind, id->rotation.now.sealing, e);
}

static bool belongs(const struct identity *id, struct err *e)
{
	bool ok = true;

	if (id->change == KEYS_ASKED)
		ok = memcmp(id->signing_pub, id->rotation.now.old, IDENTITY_KEY) == 0;
	if (id->change == KEYS_DONE)
		ok = memcmp(id->signing_pub, id->rotation.now.identity, IDENTITY_KEY) == 0 &&
		     memcmp(id->sealing_pub, id->rotation.now.sealing, SEALING_KEY) == 0;
	return ok || err_set(e, E_CORRUPT, "identity: the keys are not those of " CHANGE);
}

/* What is known of a first pair's age: a clock that was wrong then costs one change of keys. */
static bool date_of_file(struct identity *id, int dirfd, struct err *e)
{
	struct stat st;

	if (id->change != KEYS_FIRST)
		return true;
	if (fstatat(dirfd, signing_kind.file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "identity: %s", signing_kind.file);
	id->since_s = st.st_mtime < 0 ? 0 : st.st_mtime;
	return true;
}

/* ---- the pair ---------------------------------------------------------------------------- */

bool identity_make(struct identity *ret, int state_dirfd, const struct rng *rng, struct err *e)
{
	CLEANUP(identity_done) struct identity id = { 0 };
	CLEANUP(fd_closep) int dirfd = -1;

	if (!dir_open_at(&dirfd, state_dirfd, DIR_NAME, 0700, e) ||
	    !load_change(&id, dirfd, e) || !settle_both(&id, dirfd, e))
		return false;
	if (id.change != KEYS_FIRST)
		rng = NULL; /* there were keys: what is missing is lost, not new */
	if (!load_or_make(&id.signing, id.signing_pub, dirfd, &signing_kind, rng, e) ||
	    !load_or_make(&id.sealing, id.sealing_pub, dirfd, &sealing_kind, rng, e) ||
	    !belongs(&id, e) || !date_of_file(&id, dirfd, e))
		return false;
	fingerprint_of(id.fingerprint, id.signing_pub, id.sealing_pub);
	*ret = id;
	id = (struct identity){ 0 };
	return true;
}

bool identity_load(struct identity *ret, int state_dirfd, struct err *e)
{
	return identity_make(ret, state_dirfd, NULL, e);
}

/* What led to the present pair, for a server that was put back to before it. */
static void keep_history(struct identity *next, const char *device, const uint8_t *server)
{
	if (next->change == KEYS_DONE && memcmp(next->server, server, SHA256_SIZE) == 0 &&
	    strcmp(next->rotation.device, device) == 0)
		rotation_keep(&next->rotation);
	else
		next->rotation.n_before = 0;
}

bool identity_prepare(struct identity *id, int state_dirfd, const char *device,
		      const uint8_t server[static SHA256_SIZE], const struct rng *rng,
		      struct err *e)
{
	CLEANUP(fd_closep) int dirfd = -1;
	CLEANUP(secret_freep) struct secret *signing = NULL;
	CLEANUP(secret_freep) struct secret *sealing = NULL;
	struct identity next = *id;

	keep_history(&next, device, server);
	next.change = KEYS_ASKED;
	memcpy(next.server, server, SHA256_SIZE);
	snprintf(next.rotation.device, sizeof(next.rotation.device), "%s", device);
	if (!dir_open_at(&dirfd, state_dirfd, DIR_NAME, 0700, e) ||
	    !make_key(dirfd, &signing_kind, signing_kind.next, rng, e) ||
	    !make_key(dirfd, &sealing_kind, sealing_kind.next, rng, e) ||
	    !load_key(&signing, next.rotation.now.identity, dirfd, &signing_kind,
		      signing_kind.next, e) ||
	    !load_key(&sealing, next.rotation.now.sealing, dirfd, &sealing_kind,
		      sealing_kind.next, e) ||
	    !rotation_sign(&next.rotation, id->signing, e))
		return false;
	crash_point("keys-made");
	if (!store_change(&next, dirfd, e))
		return false;
	*id = next;
	return true;
}

bool identity_next(struct secret **ret, const struct identity *id, int state_dirfd,
		   struct err *e)
{
	CLEANUP(fd_closep) int dirfd = -1;
	CLEANUP(secret_freep) struct secret *key = NULL;
	uint8_t pub[KEYFILE_PUBLIC_SIZE];

	if (!dir_open_at(&dirfd, state_dirfd, DIR_NAME, 0700, e) ||
	    !load_key(&key, pub, dirfd, &signing_kind, signing_kind.next, e))
		return false;
	if (memcmp(pub, id->rotation.now.identity, sizeof(pub)) != 0)
		return err_set(e, E_CORRUPT, "identity: %s is not the key of " CHANGE,
			       signing_kind.next);
	*ret = TAKE(key);
	return true;
}

bool identity_promote(struct identity *id, int state_dirfd, int64_t now_s, struct err *e)
{
	CLEANUP(fd_closep) int dirfd = -1;
	struct identity done = *id, fresh;

	done.change = KEYS_DONE;
	done.since_s = now_s;
	if (!dir_open_at(&dirfd, state_dirfd, DIR_NAME, 0700, e) ||
	    !store_change(&done, dirfd, e))
		return false;
	crash_point("keys-recorded");
	if (!identity_load(&fresh, state_dirfd, e))
		return false;
	identity_done(id);
	*id = fresh;
	return true;
}

void identity_take_change(struct identity *id, const struct identity *from)
{
	id->change = from->change;
	id->rotation = from->rotation;
	memcpy(id->server, from->server, sizeof(id->server));
}

bool identity_is_due(const struct identity *id, uint64_t max_age_s, int64_t now_s)
{
	uint64_t part =
		get_le32(id->signing_pub) % 1024; /* as good as random, and always the same */
	uint64_t early_s = max_age_s / 8 / 1024 * part;

	return max_age_s > 0 && now_s >= id->since_s &&
	       (uint64_t)(now_s - id->since_s) >= max_age_s - early_s;
}

void identity_done(struct identity *id)
{
	secret_free(TAKE(id->signing));
	secret_free(TAKE(id->sealing));
}
