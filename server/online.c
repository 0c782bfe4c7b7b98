#include "server/online.h"
#include "base/file.h"
#include "base/io.h"
#include "base/limits.h"
#include "proto/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

const struct online_role_row online_roles[ONLINE_N] = {
#define XX(id, repo, role) [ONLINE_##id] = { repo, role },
	ONLINE_ROLES(XX)
#undef XX
};

static void file_name(char out[static 64], enum online_role r, bool next)
{
	snprintf(out, 64, "%s-%s%s.key", online_roles[r].repo, online_roles[r].role,
		 next ? ".next" : "");
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
			file_name(name, (enum online_role)r, false);
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

bool online_create_next(int key_dir, enum online_role r, const struct rng *rng, bool *ret_made,
			struct err *e)
{
	char name[64];
	bool there;

	file_name(name, r, true);
	if (!is_there(&there, key_dir, name, e))
		return false;
	*ret_made = !there;
	return there || create_key(key_dir, r, name, rng, e) || err_wrap(e, "keys/%s", name);
}

bool online_promote(int key_dir, enum online_role r, struct err *e)
{
	char from[64], to[64];

	file_name(from, r, true);
	file_name(to, r, false);
	if (renameat(key_dir, from, key_dir, to) < 0)
		return err_sys(e, errno, "keys/%s", from);
	return fd_sync(key_dir, e);
}

static bool load_key(struct secret **ret, uint8_t public[static SIG_PUBLIC_SIZE], int dirfd,
		     enum online_role r, bool next, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_SECRET_FILE);
	CLEANUP(secret_freep) struct secret *secret = NULL;
	struct keyfile_info info;
	char name[64];
	bool ok;

	file_name(name, r, next);
	ok = read_file_at(dirfd, name, &text, e) &&
	     keyfile_open(&secret, &info, text.p, text.n, NULL, e);
	if (text.p)
		wipe(text.p, text.n);
	if (ok && info.type != KEYFILE_ED25519)
		ok = err_set(e, E_FORMAT, "not an Ed25519 key");
	if (!ok)
		return err_wrap(e, "keys/%s", name);
	memcpy(public, info.public, SIG_PUBLIC_SIZE);
	*ret = TAKE(secret);
	return true;
}

static bool load_pair(struct online_keys *k, int dirfd, enum online_role r, struct err *e)
{
	struct online_public *p = &k->public;

	if (!load_key(&k->secret[r], p->key[r], dirfd, r, false, e))
		return false;
	p->has_next[r] = load_key(&k->next[r], p->next[r], dirfd, r, true, e);
	return p->has_next[r] || e->code == E_NOT_FOUND;
}

bool online_load(struct online_keys *ret, int key_dir, struct err *e)
{
	struct online_keys k = { .secret = { NULL } };

	for (int r = 0; r < ONLINE_N; r++) {
		if (!load_pair(&k, key_dir, (enum online_role)r, e)) {
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
		secret_free(k->next[r]);
		k->secret[r] = k->next[r] = NULL;
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
