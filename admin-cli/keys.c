#include "admin-cli/keys.h"

#include "admin-cli/ask.h"
#include "admin-cli/private.h"
#include "base/io.h"
#include "base/names.h"
#include "base/text.h"
#include "proto/sig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void key_done(struct key *k)
{
	secret_free(TAKE(k->secret));
}

static bool file_of(char out[static KEYS_NAME_SIZE + 4], const char *name, struct err *e)
{
	if (!name_check(name, KEYS_NAME_SIZE - 1, "key", e))
		return false;
	snprintf(out, KEYS_NAME_SIZE + 4, "%s.key", name);
	return true;
}

bool keys_read(const struct home *h, const char *name_or_path, struct buf *ret, struct err *e)
{
	char file[KEYS_NAME_SIZE + 4];

	if (strchr(name_or_path, '/'))
		return read_file_at(AT_FDCWD, name_or_path, ret, e);
	if (!file_of(file, name_or_path, e))
		return false;
	if (home_read(h, "keys", file, ret, e))
		return true;
	if (e->code != E_NOT_FOUND)
		return false;
	err_set(e, E_NOT_FOUND, "no key \"%s\" in %s/keys", name_or_path, h->path);
	return err_hint(
		e, "`valise init` makes keys, `valise key import` takes one, --key names a "
		   "file");
}

bool keys_store(const struct home *h, const char *name, const void *p, size_t n, bool replace,
		struct err *e)
{
	CLEANUP(buf_done) struct buf old = BUF_INIT(LIMIT_SECRET_FILE);
	char file[KEYS_NAME_SIZE + 4];

	if (!file_of(file, name, e))
		return false;
	if (!replace && home_read(h, "keys", file, &old, e)) {
		err_set(e, E_EXISTS, "there is a key \"%s\" in %s/keys", name, h->path);
		return false;
	}
	if (!replace && e->code != E_NOT_FOUND)
		return false;
	return home_write(h, "keys", file, 0600, p, n, e);
}

bool keys_new(const struct home *h, const char *name, const char *role, const char *comment,
	      const struct secret *passphrase, const struct rng *rng, struct key *ret,
	      struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_SECRET_FILE);
	CLEANUP(key_done) struct key k = { 0 };
	struct keyfile_info info = { .type = KEYFILE_ED25519, .sealed = passphrase != NULL };

	snprintf(info.role, sizeof(info.role), "%s", role);
	snprintf(info.comment, sizeof(info.comment), "%s", comment);
	if (!sig_new(&k.secret, k.public, rng, e))
		return false;
	memcpy(info.public, k.public, sizeof(info.public));
	if (!keyfile_encode(&text, &info, k.secret, passphrase, &KEYFILE_COST_DEFAULT, rng,
			    e) ||
	    !keys_store(h, name, text.p, text.n, false, e))
		return err_wrap(e, "key %s", name);
	*ret = k;
	k.secret = NULL;
	return true;
}

bool keys_inspect(const struct home *h, const char *name_or_path, struct keyfile_info *ret,
		  struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_SECRET_FILE);

	return keys_read(h, name_or_path, &text, e) &&
	       (keyfile_inspect(ret, text.p, text.n, e) || err_wrap(e, "key %s", name_or_path));
}

static bool is_private(const struct home *h, const char *name_or_path, struct err *e)
{
	CLEANUP(fd_closep) int dir = -1;
	char file[KEYS_NAME_SIZE + 4];

	if (strchr(name_or_path, '/'))
		return private_check(AT_FDCWD, name_or_path, e);
	return file_of(file, name_or_path, e) && home_folder(h, "keys", &dir, e) &&
	       private_check(dir, file, e);
}

bool keys_open(const struct home *h, const char *name_or_path, const struct secret *passphrase,
	       struct key *ret, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_SECRET_FILE);
	CLEANUP(secret_freep) struct secret *asked = NULL;
	struct keyfile_info info;
	struct key k = { 0 };
	char what[KEYS_NAME_SIZE + 16];

	if (!keys_read(h, name_or_path, &text, e))
		return false;
	if (!keyfile_inspect(&info, text.p, text.n, e))
		return err_wrap(e, "key %s", name_or_path);
	if (info.type != KEYFILE_ED25519)
		return err_set(e, E_UNSUPPORTED, "key %s does not sign", name_or_path);
	if (!info.sealed && !is_private(h, name_or_path, e))
		return err_wrap(e, "key %s", name_or_path);
	if (info.sealed && !passphrase) {
		snprintf(what, sizeof(what), "key %.64s", name_or_path);
		if (!ask_passphrase(&asked, what, false, e))
			return false;
		passphrase = asked;
	}
	if (!keyfile_open(&k.secret, &info, text.p, text.n, info.sealed ? passphrase : NULL, e))
		return err_wrap(e, "key %s", name_or_path);
	memcpy(k.public, info.public, sizeof(k.public));
	*ret = k;
	return true;
}

/* ---- listing ----------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct key_ref *)a)->name, ((const struct key_ref *)b)->name);
}

static bool add_ref(struct key_ref **refs, size_t *n, const struct home *h, const char *file,
		    struct err *e)
{
	size_t len = strlen(file);
	struct key_ref *longer, *r;

	if (len < 5 || len - 4 >= KEYS_NAME_SIZE || strcmp(file + len - 4, ".key") != 0)
		return true;
	longer = reallocarray(*refs, *n + 1, sizeof(**refs));
	if (!longer)
		return err_nomem(e);
	*refs = longer;
	r = &longer[*n];
	memcpy(r->name, file, len - 4);
	r->name[len - 4] = '\0';
	if (!name_is_valid(r->name, KEYS_NAME_SIZE - 1))
		return true;
	if (!keys_inspect(h, r->name, &r->info, e))
		return false;
	++*n;
	return true;
}

static void refs_freep(struct key_ref **refs)
{
	free(*refs);
}

bool keys_list(const struct home *h, struct key_ref **ret, size_t *ret_n, struct err *e)
{
	CLEANUP(refs_freep) struct key_ref *refs = NULL;
	CLEANUP(names_done) struct names names = NAMES_INIT;
	CLEANUP(fd_closep) int fd = -1;
	const char *name;
	size_t n = 0;

	if (!home_folder(h, "keys", &fd, e) || !names_open(&names, fd, ".", "keys", e))
		return false;
	for (;;) {
		if (!names_next(&names, &name, e))
			return false;
		if (!name)
			break;
		if (!add_ref(&refs, &n, h, name, e))
			return false;
	}
	if (n > 0)
		qsort(refs, n, sizeof(*refs), by_name);
	*ret = TAKE(refs);
	*ret_n = n;
	return true;
}
