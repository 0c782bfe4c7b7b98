#include "server/online.h"
#include "base/file.h"
#include "base/io.h"
#include "base/limits.h"
#include "proto/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

const struct online_role_row online_roles[ONLINE_N] = {
#define XX(id, repo, role) [ONLINE_##id] = { repo, role },
	ONLINE_ROLES(XX)
#undef XX
};

static void file_name(char out[static 64], enum online_role r)
{
	snprintf(out, 64, "%s-%s.key", online_roles[r].repo, online_roles[r].role);
}

static bool is_there(bool *ret, int dirfd, const char *name, struct err *e)
{
	*ret = faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	if (!*ret && errno != ENOENT)
		return err_sys(e, errno, "keys/%s", name);
	return true;
}

static bool create_key(int dirfd, enum online_role r, const char *name, const struct rng *rng,
		       struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_SECRET_FILE);
	CLEANUP(secret_freep) struct secret *key = NULL;
	struct keyfile_info info = { .type = KEYFILE_ED25519 };
	bool ok;

	snprintf(info.role, sizeof(info.role), "%s-%s", online_roles[r].repo,
		 online_roles[r].role);
	ok = sig_new(&key, info.public, rng, e) &&
	     keyfile_encode(&text, &info, key, NULL, NULL, rng, e) &&
	     file_replace(dirfd, name, 0400, text.p, text.n, e);
	if (text.p)
		wipe(text.p, text.n);
	return ok;
}

static bool create_session(int dirfd, const struct rng *rng, struct err *e)
{
	uint8_t p[SESSION_SECRET_SIZE];
	bool ok;

	rng_fill(rng, p, sizeof(p));
	ok = file_replace(dirfd, "session", 0400, p, sizeof(p), e);
	wipe(p, sizeof(p));
	return ok;
}

bool online_create(int key_dir, const struct rng *rng, bool all_new, struct err *e)
{
	char name[64];
	bool there;

	for (int r = 0; r <= ONLINE_N; r++) {
		if (r < ONLINE_N)
			file_name(name, (enum online_role)r);
		else
			snprintf(name, sizeof(name), "session");
		if (!is_there(&there, key_dir, name, e))
			return false;
		if (there && all_new)
			return err_set(e, E_EXISTS, "keys/%s is there already", name);
		if (there)
			continue;
		if (r < ONLINE_N ? !create_key(key_dir, (enum online_role)r, name, rng, e)
				 : !create_session(key_dir, rng, e))
			return err_wrap(e, "keys/%s", name);
	}
	return true;
}

static bool load_key(struct online_keys *k, int dirfd, enum online_role r, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_SECRET_FILE);
	struct keyfile_info info;
	char name[64];
	bool ok;

	file_name(name, r);
	ok = read_file_at(dirfd, name, &text, e) &&
	     keyfile_open(&k->secret[r], &info, text.p, text.n, NULL, e);
	if (text.p)
		wipe(text.p, text.n);
	if (ok && info.type != KEYFILE_ED25519)
		ok = err_set(e, E_FORMAT, "not an Ed25519 key");
	if (!ok)
		return err_wrap(e, "keys/%s", name);
	memcpy(k->public[r], info.public, SIG_PUBLIC_SIZE);
	return true;
}

bool online_load(struct online_keys *ret, int key_dir, struct err *e)
{
	struct online_keys k = { .secret = { NULL } };

	for (int r = 0; r < ONLINE_N; r++) {
		if (!load_key(&k, key_dir, (enum online_role)r, e)) {
			online_done(&k);
			return false;
		}
	}
	*ret = k;
	return true;
}

void online_done(struct online_keys *k)
{
	for (int r = 0; k && r < ONLINE_N; r++) {
		secret_free(k->secret[r]);
		k->secret[r] = NULL;
	}
}

bool online_load_session(struct secret **ret, int key_dir, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(SESSION_SECRET_SIZE);
	bool ok;

	if (!read_file_at(key_dir, "session", &text, e))
		return err_wrap(e, "keys/session");
	ok = text.n == SESSION_SECRET_SIZE
		     ? secret_copy(ret, text.p, text.n, e)
		     : err_set(e, E_CORRUPT, "keys/session: %zu bytes, not %d", text.n,
			       SESSION_SECRET_SIZE);
	wipe(text.p, text.n);
	return ok;
}
