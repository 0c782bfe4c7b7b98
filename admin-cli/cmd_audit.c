/* `valise audit`: the log of who did what, and whether somebody changed it afterwards.
 *
 * The chain is computed here, from the rows; the server's word is not asked for.  The head that was
 * last found good is kept in the home (audit/head: "NUMBER HASH"): a server, or whoever took it over,
 * that writes the whole log anew does not get past the next verify.
 *
 * The heads that the server signed (proto/audit.h) are checked by the keys that the chain of roots named,
 * for a file by those of the newest root that this home has seen.  The newest is kept as it came
 * (audit/signed: "NUMBER HASH SECONDS KEYID SIGNATURE"): what shows to others that the server had another
 * log once. */
#include "admin-cli/ceremony.h"
#include "admin-cli/cmd.h"
#include "admin-cli/opts.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "proto/audit.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEAD_MAX = 512, EXPORT_MAX = 1 << 30, UNSIGNED_MAX_S = 2 * 86400 };

static const char *opt_actor, *opt_subject, *opt_head;

const struct cli_opt audit_list_opts[] = {
	{ "actor", 0, "TEXT", "rows of actors that contain this", CLI_STRING, &opt_actor },
	{ "subject", 0, "TEXT", "rows about what contains this", CLI_STRING, &opt_subject },
	{ 0 },
};
const struct cli_opt audit_verify_opts[] = {
	{ "head", 0, "NUMBER:HASH", "a head that was noted down earlier must be in the chain",
	  CLI_STRING, &opt_head },
	{ 0 },
};

static const struct out_col cols[] = {
	{ "N", "n", OUT_TEXT },
	{ "AT", "at", OUT_WHOLE },
	{ "ACTOR", "actor", OUT_TEXT },
	{ "WHAT", "verb", OUT_WHOLE },
	{ "SUBJECT", "subject", OUT_TEXT },
	{ "DETAIL", "detail", OUT_PROSE },
};

/* ---- list -------------------------------------------------------------------------------- */

struct listing {
	struct out_table *table; /* NULL: JSON, into text */
	struct buf text;
	size_t n;
};

static bool take_row(void *arg, const struct jval *item, struct err *e)
{
	struct listing *l = arg;
	uint8_t hash[SHA256_SIZE];
	struct audit_link row;
	CLEANUP(buf_done) struct buf one = BUF_INIT(LIMIT_SMALL_BODY);
	struct jw w;

	if (!audit_link_read(&row, hash, item, e))
		return false;
	if ((opt_actor && !strstr(row.actor, opt_actor)) ||
	    (opt_subject && !strstr(row.subject, opt_subject)))
		return true;
	l->n++;
	if (l->table)
		return out_table_add(l->table, item, e);
	jw_init(&w, &one);
	jw_obj(&w, NULL);
	audit_link_write(&w, &row, hash);
	jw_end(&w);
	return jw_finish(&w, e) && buf_add_str(&l->text, l->n > 1 ? "," : "", e) &&
	       buf_add(&l->text, one.p, one.n, e);
}

bool cmd_audit_list(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(out_table_freep) struct out_table *table = NULL;
	CLEANUP(buf_done) struct buf text = BUF_INIT(EXPORT_MAX);
	struct listing l = { .text = BUF_INIT(EXPORT_MAX) };
	bool ok;

	if (!remote_open(&r, REMOTE_TOKEN, e) ||
	    (!opts_json() && !out_table_new(&table, cols, ARRAY_SIZE(cols), e)))
		return false;
	l.table = table;
	ok = remote_list(&r, ROUTE_AUDIT_LIST, NULL, take_row, &l, e);
	if (ok && opts_json())
		ok = buf_printf(&text, e, "{\"items\":[%s]}\n", buf_str(&l.text)) &&
		     out_write(&text, e);
	else if (ok && l.n > 0)
		ok = out_table_draw(table, out_style(stdout), &text, e) && out_write(&text, e);
	buf_done(&l.text);
	return ok;
}

/* ---- walking ----------------------------------------------------------------------------- */

/* The chain so far, and heads that must be met on the way. */
struct walk {
	struct audit_walk at;
	struct audit_walk heads[3];
	bool met[3];
	size_t n_heads;
	struct buf *copy; /* rows as lines, or NULL */

	struct tuf_meta **roots; /* whose timestamp keys may have signed heads */
	size_t n_roots;
	bool all_roots;             /* and nobody else's */
	struct audit_signed newest; /* n 0: none */
	uint64_t unknown;           /* heads by keys that are not known here */
	uint64_t late;              /* first row that was not signed for long; 0: none */
	uint64_t first_open;        /* first row after the newest signed head, and its time */
	int64_t first_open_at;
};

static void walk_done(struct walk *w)
{
	for (size_t i = 0; i < w->n_roots; i++)
		tuf_free(w->roots[i]);
	free(w->roots);
	w->roots = NULL;
	w->n_roots = 0;
}

static bool add_root(struct walk *w, const struct buf *text, struct err *e)
{
	struct tuf_meta **longer = reallocarray(w->roots, w->n_roots + 1, sizeof(*longer));

	if (!longer)
		return err_nomem(e);
	w->roots = longer;
	return tuf_parse(&longer[w->n_roots], TUF_ROOT, text->p, text->n, e) && ++w->n_roots;
}

static const struct tuf_key *signer_of(const struct walk *w, const char *keyid)
{
	for (size_t i = 0; i < w->n_roots; i++) {
		const struct tuf_role *role = &w->roots[i]->roles[TUF_TIMESTAMP];

		for (size_t k = 0; k < role->n_keys; k++) {
			if (strcmp(role->keys[k]->id, keyid) == 0)
				return role->keys[k];
		}
	}
	return NULL;
}

/* Rows that nobody signed for days are what a log that was written anew has. */
static void note_late(struct walk *w, int64_t signed_at)
{
	if (w->first_open && !w->late && signed_at - w->first_open_at > UNSIGNED_MAX_S)
		w->late = w->first_open;
}

static bool walk_head(struct walk *w, const struct audit_link *row, struct err *e)
{
	const struct tuf_key *key;
	struct audit_signed s;

	if (!audit_head_read(&s, row, &w->at, e))
		return false;
	key = signer_of(w, s.keyid);
	if (!key && !w->all_roots) {
		w->unknown++;
		return true;
	}
	if (!key || !audit_head_verify(&s, key)) {
		err_set(e, E_UNTRUSTED,
			"audit row %" PRIu64 ": the server's signature by key %.12s %s", row->n,
			s.keyid, key ? "does not fit" : "is by no key that a root ever named");
		return err_hint(e, "somebody wrote the log anew: compare with an export");
	}
	note_late(w, s.at);
	w->newest = s;
	w->first_open = 0;
	return true;
}

static bool meet(struct walk *w, struct err *e)
{
	for (size_t i = 0; i < w->n_heads; i++) {
		if (w->heads[i].n != w->at.n)
			continue;
		if (memcmp(w->heads[i].hash, w->at.hash, SHA256_SIZE) != 0) {
			err_set(e, E_CORRUPT,
				"audit row %" PRIu64
				" is another one than was found good earlier",
				w->at.n);
			return err_hint(e,
					"somebody wrote the log anew: compare with an export");
		}
		w->met[i] = true;
	}
	return true;
}

static bool walk_row(void *arg, const struct jval *item, struct err *e)
{
	struct walk *w = arg;
	uint8_t hash[SHA256_SIZE];
	struct audit_link row;
	struct jw out;

	if (!audit_link_read(&row, hash, item, e) ||
	    (audit_head_is(&row) && !walk_head(w, &row, e)) ||
	    !audit_walk_step(&w->at, &row, hash, e) || !meet(w, e))
		return false;
	if (!audit_head_is(&row) && !w->first_open) {
		w->first_open = row.n;
		w->first_open_at = row.at;
	}
	if (!w->copy)
		return true;
	jw_init(&out, w->copy);
	jw_obj(&out, NULL);
	audit_link_write(&out, &row, hash);
	jw_end(&out);
	return jw_finish(&out, e) && buf_add_str(w->copy, "\n", e);
}

static bool all_met(const struct walk *w, struct err *e)
{
	for (size_t i = 0; i < w->n_heads; i++) {
		if (w->met[i] || w->heads[i].n == 0)
			continue;
		err_set(e, E_CORRUPT,
			"the log ends with row %" PRIu64 ", row %" PRIu64
			" was found good earlier",
			w->at.n, w->heads[i].n);
		return err_hint(e, "rows were cut off: compare with an export");
	}
	return true;
}

/* ---- heads ------------------------------------------------------------------------------- */

static bool head_parse(struct audit_walk *ret, const char *text, size_t n, char between,
		       struct err *e)
{
	const char *sep = memchr(text, between, n);
	size_t left = sep ? (size_t)(sep - text) : 0;

	if (!sep || !u64_parse(&ret->n, text, left) ||
	    !hex_decode(ret->hash, SHA256_SIZE, sep + 1, n - left - 1))
		return err_set(e, E_FORMAT, "\"%.*s\" is no head of an audit log", (int)n,
			       text);
	return true;
}

/* "NUMBER HASH" and perhaps more. */
static bool load_one(struct walk *w, const struct home *h, const char *name, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(HEAD_MAX);
	const char *sep, *end;
	size_t n;

	if (!home_read(h, "audit", name, &text, e))
		return e->code == E_NOT_FOUND;
	sep = strchr(buf_str(&text), ' ');
	end = sep ? sep + 1 + strcspn(sep + 1, " \n") : NULL;
	n = end ? (size_t)(end - buf_str(&text)) : text.n;
	return head_parse(&w->heads[w->n_heads++], buf_str(&text), n, ' ', e) ||
	       err_wrap(e, "%s/audit/%s", h->path, name);
}

static bool load_head(struct walk *w, const struct home *h, struct err *e)
{
	return load_one(w, h, "head", e) && load_one(w, h, "signed", e);
}

static bool save_head(const struct audit_walk *a, const struct home *h, struct err *e)
{
	char hex[HEX_SIZE(SHA256_SIZE)], line[HEAD_MAX];
	int n;

	hex_encode(hex, a->hash, SHA256_SIZE);
	n = snprintf(line, sizeof(line), "%" PRIu64 " %s\n", a->n, hex);
	return home_write(h, "audit", "head", 0600, line, (size_t)n, e);
}

static bool save_signed(const struct audit_signed *s, const struct home *h, struct err *e)
{
	char hex[HEX_SIZE(SHA256_SIZE)], detail[AUDIT_HEAD_DETAIL], line[HEAD_MAX];
	int n;

	if (s->n == 0)
		return true;
	hex_encode(hex, s->hash, SHA256_SIZE);
	audit_head_detail(detail, s);
	n = snprintf(line, sizeof(line), "%" PRIu64 " %s %s\n", s->n, hex, detail);
	return home_write(h, "audit", "signed", 0600, line, (size_t)n, e);
}

static bool given_head(struct walk *w, struct err *e)
{
	return !opt_head ||
	       head_parse(&w->heads[w->n_heads++], opt_head, strlen(opt_head), ':', e) ||
	       err_wrap(e, "--head");
}

static void note_signatures(struct walk *w)
{
	if (w->all_roots) /* a file may be old */
		note_late(w, clock_wall_s(clock_system()));
	if (w->late)
		cmd_note(
			"row %" PRIu64
			" and later ones were not signed by the server for two days: it was off, or "
			"the log was written anew",
			w->late);
	if (w->unknown)
		cmd_note("%" PRIu64 " signed heads are by keys that this home does not know",
			 w->unknown);
}

static bool print_json(const struct walk *w, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_SMALL_BODY);
	struct jw j;

	jw_init(&j, &b);
	jw_obj(&j, NULL);
	jw_hex(&j, "hash", w->at.hash, SHA256_SIZE);
	jw_u64(&j, "rows", w->at.n);
	if (w->newest.n > 0) {
		jw_obj(&j, "signed");
		jw_time(&j, "at", w->newest.at);
		jw_str(&j, "keyid", w->newest.keyid);
		jw_u64(&j, "n", w->newest.n);
		jw_end(&j);
	}
	if (w->late)
		jw_u64(&j, "unsigned_from", w->late);
	jw_end(&j);
	return jw_finish(&j, e) && buf_add_str(&b, "\n", e) && out_write(&b, e);
}

static bool print_head(struct walk *w, const char *what, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_SMALL_BODY);
	char hex[HEX_SIZE(SHA256_SIZE)], at[TIME_TEXT_SIZE];

	note_signatures(w);
	if (opts_json())
		return print_json(w, e);
	hex_encode(hex, w->at.hash, SHA256_SIZE);
	if (!buf_printf(&b, e, "%s: %" PRIu64 " rows, head %" PRIu64 ":%s\n", what, w->at.n,
			w->at.n, hex))
		return false;
	if (w->newest.n > 0) {
		time_format(at, w->newest.at);
		if (!buf_printf(&b, e, "signed by the server up to row %" PRIu64 " at %s\n",
				w->newest.n, at))
			return false;
	}
	return out_write(&b, e);
}

/* ---- verify, export ---------------------------------------------------------------------- */

/* All roots of the image repository; before `valise init` there is none, and nothing that could sign. */
static bool take_roots(struct walk *w, struct remote *r, struct err *e)
{
	CLEANUP(ceremony_done) struct ceremony c = { .n_roots = 0 };

	ceremony_init(&c, CEREMONY_IMAGE, "root");
	if (!ceremony_fetch(&c, r, e))
		return e->code == E_NOT_FOUND;
	if (!ceremony_check(&c, &r->home, e))
		return false;
	for (size_t i = 0; i < c.n_roots; i++) {
		if (!add_root(w, &c.roots[i], e))
			return false;
	}
	w->all_roots = true;
	return true;
}

static bool walk_server(struct walk *w, struct remote *r, struct err *e)
{
	return remote_open(r, REMOTE_TOKEN, e) && take_roots(w, r, e) &&
	       load_head(w, &r->home, e) && given_head(w, e) &&
	       remote_list(r, ROUTE_AUDIT_LIST, NULL, walk_row, w, e) && all_met(w, e) &&
	       save_signed(&w->newest, &r->home, e) && save_head(&w->at, &r->home, e);
}

/* An export is checked by what this home knows, which may be nothing. */
static bool known_keys(struct walk *w, struct err *e)
{
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TUF_ROOT);

	if (!home_open(&h, opts.home, e))
		return false;
	if (!home_read(&h, "roots", "image.root.json", &text, e))
		return e->code == E_NOT_FOUND;
	return add_root(w, &text, e);
}

static bool walk_file(struct walk *w, const char *path, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(EXPORT_MAX);
	const char *p, *end;

	if (!known_keys(w, e) || !given_head(w, e) || !read_file_at(AT_FDCWD, path, &text, e))
		return false;
	for (p = buf_str(&text); *p; p = end + 1) {
		CLEANUP(jdoc_freep) struct jdoc *d = NULL;

		end = strchr(p, '\n');
		if (!end)
			return err_set(e, E_CORRUPT, "%s: its last line was cut off", path);
		if (!jdoc_parse(&d, p, (size_t)(end - p), e) || !walk_row(w, jdoc_root(d), e))
			return err_wrap(e, "%s", path);
	}
	return all_met(w, e);
}

bool cmd_audit_verify(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(walk_done) struct walk w = { .n_heads = 0 };

	if (!opts_check(e) || !(argc > 0 ? walk_file(&w, argv[0], e) : walk_server(&w, &r, e)))
		return false;
	return print_head(&w, "the audit log is whole", e);
}

bool cmd_audit_export(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(buf_done) struct buf text = BUF_INIT(EXPORT_MAX);
	CLEANUP(walk_done) struct walk w = { .copy = &text };

	if (!walk_server(&w, &r, e))
		return false;
	if (strcmp(argv[0], "-") == 0)
		return out_write(&text, e);
	return file_put(argv[0], 0600, buf_str(&text), text.n, e) && print_head(&w, argv[0], e);
}
