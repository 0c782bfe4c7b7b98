#include "agent/identity.h"

#include "base/file.h"
#include "proto/keyfile.h"
#include "proto/seal.h"
#include "proto/sig.h"

#include <string.h>

struct kind {
	const char *file, *role;
	enum keyfile_type type;
};
static const struct kind signing_kind = { "signing.key", "device-signing", KEYFILE_ED25519 };
static const struct kind sealing_kind = { "sealing.key", "device-sealing", KEYFILE_X25519 };

static bool load_key(struct secret **ret, uint8_t ret_pub[static KEYFILE_PUBLIC_SIZE],
		     int dirfd, const struct kind *kind, struct err *e)
{
	CLEANUP(buf_done) struct buf raw = BUF_INIT(LIMIT_SECRET_FILE);
	CLEANUP(secret_freep) struct secret *key = NULL;
	struct keyfile_info info;

	bool ok = read_file_at(dirfd, kind->file, &raw, e) &&
		  keyfile_open(&key, &info, raw.p, raw.n, NULL, e);
	if (raw.p)
		wipe(raw.p, raw.n);
	if (!ok)
		return err_wrap(e, "identity: %s", kind->file);
	if (info.type != kind->type)
		return err_set(e, E_CORRUPT, "identity: %s is a key of another type",
			       kind->file);
	memcpy(ret_pub, info.public, KEYFILE_PUBLIC_SIZE);
	*ret = TAKE(key);
	return true;
}

static bool make_key(int dirfd, const struct kind *kind, const struct rng *rng, struct err *e)
{
	CLEANUP(buf_done) struct buf raw = BUF_INIT(LIMIT_SECRET_FILE);
	CLEANUP(secret_freep) struct secret *key = NULL;
	struct keyfile_info info = { .type = kind->type };

	memcpy(info.role, kind->role, strlen(kind->role) + 1);
	bool ok = kind->type == KEYFILE_ED25519 ? sig_new(&key, info.public, rng, e)
						: seal_new(&key, info.public, rng, e);
	ok = ok && keyfile_encode(&raw, &info, key, NULL, NULL, rng, e) &&
	     file_replace(dirfd, kind->file, 0600, raw.p, raw.n, e);
	if (raw.p)
		wipe(raw.p, raw.n);
	return ok ? true : err_wrap(e, "identity: %s", kind->file);
}

static bool load_or_make(struct secret **ret, uint8_t ret_pub[static KEYFILE_PUBLIC_SIZE],
			 int dirfd, const struct kind *kind, const struct rng *rng,
			 struct err *e)
{
	if (load_key(ret, ret_pub, dirfd, kind, e))
		return true;
	if (e->code != E_NOT_FOUND || !rng)
		return false;
	return make_key(dirfd, kind, rng, e) && load_key(ret, ret_pub, dirfd, kind, e);
}

bool identity_make(struct identity *ret, int state_dirfd, const struct rng *rng, struct err *e)
{
	CLEANUP(identity_done) struct identity id = { 0 };
	CLEANUP(fd_closep) int dirfd = -1;

	if (!dir_open_at(&dirfd, state_dirfd, "identity", 0700, e) ||
	    !load_or_make(&id.signing, id.signing_pub, dirfd, &signing_kind, rng, e) ||
	    !load_or_make(&id.sealing, id.sealing_pub, dirfd, &sealing_kind, rng, e))
		return false;
	device_id_of(id.device, id.signing_pub);
	fingerprint_of(id.fingerprint, id.signing_pub, id.sealing_pub);
	*ret = id;
	id = (struct identity){ 0 };
	return true;
}

bool identity_load(struct identity *ret, int state_dirfd, struct err *e)
{
	return identity_make(ret, state_dirfd, NULL, e);
}

void identity_done(struct identity *id)
{
	secret_free(TAKE(id->signing));
	secret_free(TAKE(id->sealing));
}
