#include "server/setup_priv.h"
#include "server/online.h"
#include "server/proc.h"
#include "server/web_tls.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/io.h"
#include "base/names.h"
#include "storage/audit.h"
#include "storage/migrate.h"
#include "storage/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PEM_MAX = 256 << 10 };

static const char *const roots_own[] = { "keys", "tls", "run", "empty" };

static bool is_roots_own(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(roots_own); i++) {
		if (strcmp(name, roots_own[i]) == 0)
			return true;
	}
	return false;
}

/* ---- owners -------------------------------------------------------------------------------- */

/* Gives everything below dirfd away, not following links; at the top without what is root's. */
static bool own_tree(const struct identity *id, int dirfd, bool top, struct err *e)
{
	CLEANUP(names_done) struct names n = NAMES_INIT;
	const char *name;

	if (!names_open(&n, dirfd, ".", "state directory", e))
		return false;
	for (;;) {
		if (!names_next(&n, &name, e))
			return false;
		if (!name)
			return true;
		if (top && is_roots_own(name))
			continue;
		if (!identity_own(id, dirfd, name, e))
			return false;
		CLEANUP(fd_closep)
		int sub = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0 && !own_tree(id, sub, false, e))
			return false;
	}
}

static bool set_owners_at(const struct settings *s, int dirfd, struct err *e)
{
	struct identity id;

	if (!identity_get(&id, s->user, e))
		return false;
	if (!id.change)
		return true;
	if (fchown(dirfd, 0, id.gid) < 0 || fchmod(dirfd, 01770) < 0)
		return err_sys(e, errno, "%s", s->state_dir);
	return own_tree(&id, dirfd, true, e);
}

/* What root made there is the user's. */
static bool set_owners(const struct settings *s, struct err *e)
{
	CLEANUP(fd_closep) int dirfd = open(s->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return dirfd < 0 ? err_sys(e, errno, "%s", s->state_dir) : set_owners_at(s, dirfd, e);
}

bool setup_give_back(const struct settings *s, bool ok, struct err *e)
{
	struct err later;

	if (!ok) {
		(void)!set_owners(s, &later); /* the first error is the one to tell */
		return false;
	}
	return set_owners(s, e);
}

/* ---- pieces --------------------------------------------------------------------------------- */

/* A server may be running, and be older than this program: only its next start changes the schema. */
static bool open_beside(struct store **ret, const struct settings *s, struct err *e)
{
	struct store_options o = { .state_dir = s->state_dir,
				   .clock = clock_system(),
				   .rng = rng_system(),
				   .reserve_bytes = s->disk_reserve,
				   .keep_schema = true };

	return store_open(ret, &o, e);
}

bool setup_open_store(struct store **ret, const struct settings *s, struct err *e)
{
	CLEANUP(store_freep) struct store *store = NULL;
	struct store_stats stats;

	if (!open_beside(&store, s, e))
		return false;
	store_stats(store, &stats);
	if (stats.schema < migrate_newest()) {
		err_set(e, E_CONFLICT, "%s: has schema %u, this program wants %u", s->state_dir,
			stats.schema, migrate_newest());
		return err_hint(e, "start or restart the server with this program first");
	}
	*ret = TAKE(store);
	return true;
}

static bool make_tls(int dirfd, const char *const *names, size_t n, bool *ret_made,
		     struct err *e)
{
	CLEANUP(buf_done) struct buf cert = BUF_INIT(PEM_MAX);
	CLEANUP(buf_done) struct buf key = BUF_INIT(PEM_MAX);
	CLEANUP(fd_closep) int tls = -1;
	bool ok;

	*ret_made = false;
	if (!dir_open_at(&tls, dirfd, "tls", 0700, e))
		return false;
	/* The certificate is written last: with it, the key is there too. */
	if (faccessat(tls, "cert.pem", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	ok = web_tls_make(&cert, &key, names, n, clock_wall_s(clock_system()), e) &&
	     file_replace(tls, "key.pem", 0400, key.p, key.n, e) &&
	     file_replace(tls, "cert.pem", 0444, cert.p, cert.n, e);
	if (key.p)
		wipe(key.p, key.n);
	*ret_made = ok;
	return ok;
}

static bool pin_of(const struct settings *s, int dirfd, uint8_t ret[static SHA256_SIZE],
		   struct err *e)
{
	struct web_tls t = { .cert = NULL };

	if (!web_tls_load(&t, dirfd, s->tls_certificate, s->tls_key,
			  clock_wall_s(clock_system()), e))
		return false;
	memcpy(ret, t.pin, SHA256_SIZE);
	web_tls_done(&t);
	return true;
}

static bool first_token(const struct settings *s, struct setup_made *ret, struct err *e)
{
	CLEANUP(store_freep) struct store *store = NULL;
	struct token_page page = { 0 };
	struct objects_gc gc;
	bool there;

	/* Collecting nothing makes the files that the store locks. */
	if (!setup_open_store(&store, s, e) || !objects_gc(store, &gc, e) ||
	    !tokens_list(store, 0, 1, &page, e))
		return false;
	there = page.n > 0;
	token_page_done(&page);
	if (there) {
		err_set(e, E_EXISTS, "%s: is set up already", s->state_dir);
		return err_hint(e, "for another token: valised token NAME --scope admin");
	}
	return tokens_create(store, "bootstrap", SCOPE_ADMIN, 0, "console", &ret->token,
			     ret->token_text, e);
}

bool setup_init(const struct settings *s, const char *const *names, size_t n,
		struct setup_made *ret, struct err *e)
{
	CLEANUP(fd_closep) int dirfd = -1;
	CLEANUP(fd_closep) int keys = -1;
	struct identity id;
	bool made;

	/* Before anything is made: a user that is missing would leave half a directory. */
	if (!identity_get(&id, s->user, e) || !dir_open(&dirfd, s->state_dir, 0750, e) ||
	    !dir_check(dirfd, s->state_dir, e) || !dir_open_at(&keys, dirfd, "keys", 0700, e) ||
	    !dir_check_secret(keys, "keys", e) ||
	    !online_create(keys, rng_system(), false, e) ||
	    !make_tls(dirfd, names, n, &made, e) || !pin_of(s, dirfd, ret->pin, e))
		return false;
	return setup_give_back(s, first_token(s, ret, e), e);
}

bool setup_no_state(const struct settings *s, int sys, struct err *e)
{
	err_sys(e, sys, "%s", s->state_dir);
	return e->code == E_NOT_FOUND ? err_hint(e, "make it with: valised init") : false;
}

static bool is_there(int dirfd, const char *name)
{
	return dirfd >= 0 &&
	       (faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT);
}

bool setup_pin(const struct settings *s, uint8_t ret[static SHA256_SIZE], struct err *e)
{
	CLEANUP(fd_closep) int dirfd = open(s->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dirfd < 0)
		return setup_no_state(s, errno, e);
	return pin_of(s, dirfd, ret, e);
}

bool setup_check_tls(const struct settings *s, struct err *e)
{
	CLEANUP(fd_closep) int dirfd = open(s->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint8_t pin[SHA256_SIZE];

	if (!s->listen_tls)
		return true;
	if (dirfd < 0 && errno != ENOENT)
		return err_sys(e, errno, "%s", s->state_dir);
	/* What `valised init` makes is not missed before. */
	if ((!s->tls_certificate[0] && !is_there(dirfd, "tls/cert.pem")) ||
	    (!s->tls_key[0] && !is_there(dirfd, "tls/key.pem")))
		return true;
	return pin_of(s, dirfd, pin, e);
}

static bool make_token(const struct settings *s, const char *name, unsigned scopes,
		       uint64_t ttl_s, struct setup_made *ret, struct err *e)
{
	CLEANUP(store_freep) struct store *store = NULL;

	/* Never make a directory here: a wrong path would look like an empty server. */
	if (access(s->state_dir, F_OK) < 0)
		return setup_no_state(s, errno, e);
	return setup_open_store(&store, s, e) &&
	       tokens_create(store, name, scopes, (int64_t)ttl_s, "console", &ret->token,
			     ret->token_text, e);
}

bool setup_token(const struct settings *s, const char *name, unsigned scopes, uint64_t ttl_s,
		 struct setup_made *ret, struct err *e)
{
	return setup_give_back(s, make_token(s, name, scopes, ttl_s, ret, e), e);
}

/* ---- backup ---------------------------------------------------------------------------------- */

static bool copy_file(int from, int to, const char *name, unsigned mode, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(PEM_MAX);
	bool ok = read_file_at(from, name, &b, e) && file_replace(to, name, mode, b.p, b.n, e);

	if (b.p)
		wipe(b.p, b.n);
	return ok || err_wrap(e, "tls/%s", name);
}

static bool copy_tls(const char *from, const char *to, struct err *e)
{
	CLEANUP(fd_closep) int a = -1;
	CLEANUP(fd_closep) int b = -1;
	CLEANUP(fd_closep) int tls_a = -1;
	CLEANUP(fd_closep) int tls_b = -1;

	a = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	b = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (a < 0 || b < 0)
		return err_sys(e, errno, "%s", a < 0 ? from : to);
	tls_a = openat(a, "tls", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (tls_a < 0)
		return err_sys(e, errno, "%s/tls", from);
	return dir_open_at(&tls_b, b, "tls", 0700, e) &&
	       copy_file(tls_a, tls_b, "key.pem", 0400, e) &&
	       copy_file(tls_a, tls_b, "cert.pem", 0444, e);
}

static bool backup(const struct settings *s, const char *dir, bool with_keys,
		   struct backup_report *ret, struct err *e)
{
	CLEANUP(store_freep) struct store *store = NULL;

	if (access(s->state_dir, F_OK) < 0)
		return err_sys(e, errno, "%s", s->state_dir);
	return open_beside(&store, s, e) && backup_make(store, dir, with_keys, ret, e);
}

bool setup_backup(const struct settings *s, const char *dir, bool with_keys,
		  struct backup_report *ret, struct err *e)
{
	return setup_give_back(s, backup(s, dir, with_keys, ret, e), e) &&
	       (!with_keys || copy_tls(s->state_dir, dir, e));
}

bool setup_restore(const struct settings *s, const char *dir, const char *const *names,
		   size_t n, struct backup_report *ret, bool *ret_new_tls, struct err *e)
{
	CLEANUP(fd_closep) int dirfd = -1;
	struct identity id;

	if (!identity_get(&id, s->user, e) || !backup_restore(dir, s->state_dir, ret, e))
		return false;
	if (!copy_tls(dir, s->state_dir, e) && e->code != E_NOT_FOUND)
		return false;
	dirfd = open(s->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_sys(e, errno, "%s", s->state_dir);
	return make_tls(dirfd, names, n, ret_new_tls, e) && set_owners_at(s, dirfd, e);
}

static bool check_store(const struct settings *s, struct setup_checked *ret, struct err *e)
{
	CLEANUP(store_freep) struct store *store = NULL;
	struct object_totals t = { 0, 0 };
	struct audit_head head;

	if (access(s->state_dir, F_OK) < 0)
		return err_sys(e, errno, "%s", s->state_dir);
	if (!setup_open_store(&store, s, e) || !store_check(store, e) ||
	    !objects_check(store, &t, e) || !audit_verify(store, &head, e))
		return false;
	*ret = (struct setup_checked){ t.count, t.bytes, head.n };
	return true;
}

bool setup_check(const struct settings *s, struct setup_checked *ret, struct err *e)
{
	return setup_give_back(s, check_store(s, ret, e), e);
}
