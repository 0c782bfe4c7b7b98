/* Any bytes as any of the four roles (the first byte chooses): what is read can be looked at in
 * every way, and nobody's signatures are on it. */
#include "proto/tuf.h"
#include "proto/uptane.h"

#include <stdlib.h>
#include <string.h>

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void look_at_roles(const struct tuf_meta *m)
{
	char name[LIMIT_TUF_ROLE_NAME + 1];
	struct err e;

	for (size_t i = 0; i < m->n_roles && i < 20; i++) {
		const struct tuf_role *r = &m->roles[i];

		/* No fuzzer makes a signature: only a list of none could be enough. */
		must(!tuf_verify(m, r, &e) && (e.code == E_UNTRUSTED || e.code == E_NOMEM));
		tuf_role_covers(r, "releases/acme/1.0/release.json");
		if (r->name)
			must(tuf_role_get(m, r->name) == r);
	}
	if (m->succinct_bits > 0) {
		tuf_succinct_name(name, sizeof(name), m, "file");
		must(tuf_role_get(m, name) == &m->roles[0]);
	}
}

static void look_at_targets(const struct tuf_meta *m)
{
	static const struct uptane_check check = { .device = "d" };
	struct uptane_want want = { 0 };
	struct err e;
	int n = 0;

	for (struct jiter it = jobj_first(m->targets); it.val && n++ < 20;
	     it = jobj_next(m->targets, it)) {
		struct tuf_target a, b;

		must(tuf_target_get(&a, m, it.key, &e) &&
		     tuf_target_parse(&b, it.key, it.val, &e));
		must(a.hashes.length == b.hashes.length && a.path == it.key);
		if (tuf_path_is_valid(it.key))
			must(!strstr(it.key, "/../") && strncmp(it.key, "../", 3) != 0 &&
			     it.key[0] != '/');
	}
	if (uptane_director_parse(&want, m, &check, &e))
		must(want.n_policies <= LIMIT_UPTANE_POLICIES);
	uptane_want_done(&want);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	struct tuf_hashes h;
	char name[TUF_FILE_NAME_SIZE];
	uint64_t version;
	struct err e;

	if (n == 0 || !tuf_parse(&m, (enum tuf_type)(p[0] % TUF_TYPES), p + 1, n - 1, &e)) {
		must(!m);
		return 0;
	}
	must(m->version >= 1 && m->canon.n > 0);
	look_at_roles(m);
	if (m->targets)
		look_at_targets(m);
	if (m->meta && tuf_meta_get(&version, &h, m, "snapshot", &e))
		must(version >= 1);
	for (size_t i = 0; i < m->n_roles; i++)
		if (m->roles[i].name && tuf_file_name(name, m->roles[i].name, 1, &e))
			must(!strchr(name, '/') && strlen(name) < sizeof(name));
	return 0;
}
