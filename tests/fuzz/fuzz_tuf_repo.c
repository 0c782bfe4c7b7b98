/* Whole repositories, changed in any way: a client accepts nothing that was not signed.
 *
 * A valid repository is made once; the input is a list of changes to the files that it serves and
 * that the client has stored.  Whatever the client accepts afterwards must be, in its canonical form,
 * one of the files that were signed; and what a search finds must be what the publisher said.  Only
 * changes of blanks, of the order of members or of the signature lists can survive that. */
#include "tests/support/repo.h"

#include <stdlib.h>
#include <string.h>

#define PATH "releases/acme/1.0/release.json"

static struct repo base;
static struct buf signed_forms[64];
static size_t n_signed_forms;
static uint8_t want_sha256[SHA256_SIZE];

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void remember_all_signed(void)
{
	struct err e;

	for (size_t i = 0; i < base.served->n; i++) {
		must(n_signed_forms < ARRAY_SIZE(signed_forms));
		signed_forms[n_signed_forms] = BUF_INIT(1 << 20);
		must(tuf_signed_bytes(&signed_forms[n_signed_forms++], base.served->files[i].p,
				      base.served->files[i].n, &e));
	}
}

/* Two states of the repository, of which the client has seen the first. */
static void make_base(void)
{
	struct err e;

	repo_init(&base);
	base.hashes = true;
	repo_role(&base, "root")->keys = repo_role(&base, "root")->sign =
		KEY(0) | KEY(8) | KEY(9);
	repo_role(&base, "root")->threshold = 2;
	repo_publish(&base, "root");
	repo_delegate(&base, "targets", "releases.acme", 6, "releases/acme/*/*")->terminating =
		true;
	repo_delegate(&base, "targets", "policies", 7, "policies/*/*");
	repo_role(&base, "releases.acme")->keys |= KEY(5);
	repo_role(&base, "releases.acme")->sign |= KEY(5);
	repo_role(&base, "releases.acme")->threshold = 2;
	repo_target(&base, "releases.acme", PATH, "content", "{\"valise\":{}}");
	sha256(want_sha256, "content", 7);
	repo_publish_all(&base);
	remember_all_signed();
	must(repo_refresh(&base, &e));
	repo_publish(&base, "root");
	repo_publish_all(&base);
	remember_all_signed();
}

static bool was_signed(const struct tuf_meta *m)
{
	for (size_t i = 0; i < n_signed_forms; i++)
		if (signed_forms[i].n == m->canon.n &&
		    memcmp(signed_forms[i].p, m->canon.p, m->canon.n) == 0)
			return true;
	return false;
}

static struct repo_dir *copy(const struct repo_dir *from)
{
	struct repo_dir *d = calloc(1, sizeof(*d));

	must(d != NULL);
	for (size_t i = 0; i < from->n; i++)
		repo_put(d, from->files[i].name, from->files[i].p, from->files[i].n);
	return d;
}

/* One change: which file, what kind, where, and up to 8 bytes. */
struct change {
	uint8_t file, kind;
	uint16_t at;
	uint8_t n, bytes[8];
};

static void splice(struct repo_dir *d, const struct repo_file *f, size_t at, size_t cut,
		   const uint8_t *p, size_t n)
{
	uint8_t *text = malloc(f->n + n);
	char name[TUF_FILE_NAME_SIZE];

	must(text != NULL);
	memcpy(text, f->p, at);
	memcpy(text + at, p, n);
	memcpy(text + at + n, f->p + at + cut, f->n - at - cut);
	memcpy(name, f->name, sizeof(name));
	repo_put(d, name, text, f->n + n - cut);
	free(text);
}

static void apply(struct repo_dir *served, struct repo_dir *local, const struct change *c)
{
	struct repo_dir *d = c->file & 0x80 ? local : served;
	const struct repo_file *f = &d->files[(c->file & 0x7f) % d->n];
	size_t at = c->at % (f->n + 1), cut = c->n > f->n - at ? f->n - at : c->n;
	char name[TUF_FILE_NAME_SIZE];

	memcpy(name, f->name, sizeof(name));
	switch (c->kind % 6) {
	case 0: /* replace */
		splice(d, f, at, cut, c->bytes,
		       cut < sizeof(c->bytes) ? cut : sizeof(c->bytes));
		break;
	case 1: /* insert */
		splice(d, f, at, 0, c->bytes, c->n % sizeof(c->bytes));
		break;
	case 2: /* cut out */
		splice(d, f, at, cut, c->bytes, 0);
		break;
	case 3: /* repeat a piece */
		splice(d, f, at, 0, f->p + at, cut);
		break;
	case 4: { /* another file under this name */
		const struct repo_file *other = &served->files[c->n % served->n];

		repo_put(d, name, other->p, other->n);
		break;
	}
	default:
		if (d->n > 1)
			repo_del(d, name);
	}
}

/* An unchanged repository must be accepted, or the fuzzer would prove nothing. */
static void check_client(struct repo *r, bool changed)
{
	struct tuf_found found;
	struct err e;
	bool ok = repo_refresh(r, &e);

	must(ok || changed);
	for (unsigned t = 0; r->client && t < TUF_TYPES; t++) {
		const struct tuf_meta *m = tuf_client_meta(r->client, (enum tuf_type)t);

		if (m)
			must(m->type == t && was_signed(m));
	}
	if (!ok || !repo_find(r, &found, PATH, &e)) {
		must(changed);
		return;
	}
	must(strcmp(found.role, "releases.acme") == 0 && found.target.hashes.has_sha256 &&
	     found.target.hashes.length == 7 &&
	     memcmp(found.target.hashes.sha256, want_sha256, SHA256_SIZE) == 0);
}

static void dir_free(struct repo_dir *d)
{
	while (d->n > 0)
		repo_del(d, d->files[0].name);
	free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	bool changed = n >= 5;
	struct repo r;

	if (!base.served)
		make_base();
	r = base;
	r.client = NULL;
	r.io.ctx = &r;
	r.served = copy(base.served);
	r.local = copy(base.local);
	for (int i = 0; i < 16 && n >= 5; i++) {
		struct change c = { p[0], p[1], (uint16_t)(p[2] | p[3] << 8), p[4], { 0 } };

		p += 5;
		n -= 5;
		for (size_t k = 0; k < sizeof(c.bytes) && k < c.n && n > 0; k++, n--)
			c.bytes[k] = *p++;
		apply(r.served, r.local, &c);
	}
	check_client(&r, changed);
	tuf_client_free(r.client);
	dir_free(r.served);
	dir_free(r.local);
	return 0;
}
