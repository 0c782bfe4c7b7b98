/* `valised keys`: new online keys, beside a running server. */
#include "server/setup_priv.h"
#include "server/proc.h"
#include "base/clock.h"
#include "base/io.h"
#include "proto/tuf_make.h"
#include "storage/tuf.h"

#include <errno.h>
#include <fcntl.h>

static bool open_keys(int *ret, const struct settings *s, struct err *e)
{
	CLEANUP(fd_closep) int dir = open(s->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(fd_closep) int fd = -1;

	if (dir < 0)
		return setup_no_state(s, errno, e);
	fd = openat(dir, "keys", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "%s/keys", s->state_dir);
	if (!dir_check(dir, s->state_dir, e) || !dir_check_secret(fd, "keys", e))
		return false;
	*ret = TAKE_FD(fd);
	return true;
}

/* NULL if there is none yet. */
static bool newest(struct tuf_meta **ret, struct store *store, enum tuf_repo repo,
		   const char *role, enum tuf_type type, struct err *e)
{
	CLEANUP(tuf_text_done) struct tuf_text t = { 0 };

	*ret = NULL;
	if (!tuf_get(store, repo, role, 0, &t, e))
		return e->code == E_NOT_FOUND;
	return tuf_parse(ret, type, t.text, t.n, e) || err_wrap(e, "stored %s", role);
}

static bool names(const struct tuf_meta *root, const char *role, const char *id)
{
	const struct tuf_role *r = root ? tuf_role_get(root, role) : NULL;

	for (size_t i = 0; r && i < r->n_keys; i++) {
		if (strcmp(r->keys[i]->id, id) == 0)
			return true;
	}
	return false;
}

static bool look(struct setup_key *ret, enum online_role r, const struct online_public *pub,
		 const struct tuf_meta *image, const struct tuf_meta *director, struct err *e)
{
	const struct online_role_row *row = &online_roles[r];
	const struct tuf_meta *root = strcmp(row->repo, "image") == 0 ? image : director;

	*ret = (struct setup_key){ .role = r };
	if (!tuf_keyid_ed25519(ret->id, pub->key[r], e) ||
	    (pub->has_next[r] && !tuf_keyid_ed25519(ret->next_id, pub->next[r], e)))
		return false;
	ret->named = names(root, row->role, ret->id);
	ret->next_named = pub->has_next[r] && names(root, row->role, ret->next_id);
	return true;
}

static bool look_at_all(struct setup_key ret[static ONLINE_N], struct store *store, int fd,
			struct err *e)
{
	CLEANUP(online_done) struct online_keys keys = { .secret = { NULL } };
	CLEANUP(tuf_freep) struct tuf_meta *image = NULL;
	CLEANUP(tuf_freep) struct tuf_meta *director = NULL;

	if (!online_load(&keys, fd, e) ||
	    !newest(&image, store, TUF_IMAGE, "root", TUF_ROOT, e) ||
	    !newest(&director, store, TUF_DIRECTOR, "root", TUF_ROOT, e))
		return false;
	for (int i = 0; i < ONLINE_N; i++) {
		if (!look(&ret[i], (enum online_role)i, &keys.public, image, director, e))
			return false;
	}
	return true;
}

bool setup_keys(const struct settings *s, struct setup_key ret[static ONLINE_N], struct err *e)
{
	CLEANUP(store_freep) struct store *store = NULL;
	CLEANUP(fd_closep) int fd = -1;

	return open_keys(&fd, s, e) && setup_open_store(&store, s, e) &&
	       setup_give_back(s, look_at_all(ret, store, fd, e), e);
}

bool setup_keys_rotate(const struct settings *s, bool ret[static ONLINE_N], struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	bool all = true;

	for (int i = 0; i < ONLINE_N; i++)
		all &= !ret[i];
	if (!open_keys(&fd, s, e))
		return false;
	for (int i = 0; i < ONLINE_N; i++) {
		if ((all || ret[i]) &&
		    !online_create_next(fd, (enum online_role)i, rng_system(), &ret[i], e))
			return false;
	}
	return true;
}

/* The snapshot and timestamp that are published must not be the old keys' any more: without these
 * the keys process could not tell the snapshot for its own. */
static bool is_switched(struct store *store, struct err *e)
{
	static const enum tuf_type types[] = { TUF_SNAPSHOT, TUF_TIMESTAMP };
	CLEANUP(tuf_freep) struct tuf_meta *root = NULL;

	if (!newest(&root, store, TUF_IMAGE, "root", TUF_ROOT, e))
		return false;
	for (size_t i = 0; root && i < ARRAY_SIZE(types); i++) {
		CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
		const char *name = tuf_type_name(types[i]);
		struct err why;

		if (!newest(&m, store, TUF_IMAGE, name, types[i], e))
			return false;
		if (m && !tuf_verify(m, &root->roles[types[i]], &why)) {
			err_set(e, E_CONFLICT, "image %s is not signed by the new key yet",
				name);
			return err_hint(e,
					"let the server run with the new root, then try again");
		}
	}
	return true;
}

static bool retire(struct store *store, int fd, unsigned *ret_n, struct err *e)
{
	struct setup_key keys[ONLINE_N];

	*ret_n = 0;
	if (!look_at_all(keys, store, fd, e) || !is_switched(store, e))
		return false;
	for (int i = 0; i < ONLINE_N; i++) {
		if (!keys[i].next_named)
			continue;
		if (!online_promote(fd, (enum online_role)i, e))
			return false;
		++*ret_n;
	}
	return true;
}

bool setup_keys_retire(const struct settings *s, unsigned *ret_n, struct err *e)
{
	CLEANUP(store_freep) struct store *store = NULL;
	CLEANUP(fd_closep) int fd = -1;

	return open_keys(&fd, s, e) && setup_open_store(&store, s, e) &&
	       setup_give_back(s, retire(store, fd, ret_n, e), e);
}
