/* `valise audit`: the log of who did what, and whether somebody changed it afterwards.
 *
 * The chain is computed here, from the rows; the server's word is not asked for.  The head that was
 * last found good is kept in the home (audit/head: "NUMBER HASH"): a server, or whoever took it over,
 * that writes the whole log anew does not get past the next verify. */
#include "admin-cli/cmd.h"
#include "admin-cli/opts.h"
#include "base/io.h"
#include "base/text.h"
#include "proto/audit.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEAD_MAX = 128, EXPORT_MAX = 1 << 30 };

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
	{ "AT", "at", OUT_TEXT },
	{ "ACTOR", "actor", OUT_TEXT },
	{ "WHAT", "verb", OUT_TEXT },
	{ "SUBJECT", "subject", OUT_TEXT },
	{ "DETAIL", "detail", OUT_TEXT },
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
		ok = out_table_draw(table, out_color(stdout), &text, e) && out_write(&text, e);
	buf_done(&l.text);
	return ok;
}

/* ---- walking ----------------------------------------------------------------------------- */

/* The chain so far, and heads that must be met on the way. */
struct walk {
	struct audit_walk at;
	struct audit_walk heads[2];
	bool met[2];
	size_t n_heads;
	struct buf *copy; /* rows as lines, or NULL */
};

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

	if (!audit_link_read(&row, hash, item, e) || !audit_walk_step(&w->at, &row, hash, e) ||
	    !meet(w, e))
		return false;
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

static bool load_head(struct walk *w, const struct home *h, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(HEAD_MAX);

	if (!home_read(h, "audit", "head", &text, e))
		return e->code == E_NOT_FOUND;
	if (text.n > 0 && text.p[text.n - 1] == '\n')
		text.n--;
	return head_parse(&w->heads[w->n_heads++], buf_str(&text), text.n, ' ', e) ||
	       err_wrap(e, "%s/audit/head", h->path);
}

static bool save_head(const struct audit_walk *a, const struct home *h, struct err *e)
{
	char hex[HEX_SIZE(SHA256_SIZE)], line[HEAD_MAX];
	int n;

	hex_encode(hex, a->hash, SHA256_SIZE);
	n = snprintf(line, sizeof(line), "%" PRIu64 " %s\n", a->n, hex);
	return home_write(h, "audit", "head", 0600, line, (size_t)n, e);
}

static bool given_head(struct walk *w, struct err *e)
{
	return !opt_head ||
	       head_parse(&w->heads[w->n_heads++], opt_head, strlen(opt_head), ':', e) ||
	       err_wrap(e, "--head");
}

static bool print_head(const struct audit_walk *a, const char *what, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_SMALL_BODY);
	char hex[HEX_SIZE(SHA256_SIZE)];

	hex_encode(hex, a->hash, SHA256_SIZE);
	if (opts_json())
		return buf_printf(&b, e, "{\"hash\":\"%s\",\"rows\":%" PRIu64 "}\n", hex,
				  a->n) &&
		       out_write(&b, e);
	return buf_printf(&b, e, "%s: %" PRIu64 " rows, head %" PRIu64 ":%s\n", what, a->n,
			  a->n, hex) &&
	       out_write(&b, e);
}

/* ---- verify, export ---------------------------------------------------------------------- */

static bool walk_server(struct walk *w, struct remote *r, struct err *e)
{
	return remote_open(r, REMOTE_TOKEN, e) && load_head(w, &r->home, e) &&
	       given_head(w, e) && remote_list(r, ROUTE_AUDIT_LIST, NULL, walk_row, w, e) &&
	       all_met(w, e) && save_head(&w->at, &r->home, e);
}

static bool walk_file(struct walk *w, const char *path, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(EXPORT_MAX);
	const char *p, *end;

	if (!given_head(w, e) || !read_file_at(AT_FDCWD, path, &text, e))
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
	struct walk w = { .n_heads = 0 };

	if (!opts_check(e) || !(argc > 0 ? walk_file(&w, argv[0], e) : walk_server(&w, &r, e)))
		return false;
	return print_head(&w.at, "the audit log is whole", e);
}

bool cmd_audit_export(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(buf_done) struct buf text = BUF_INIT(EXPORT_MAX);
	struct walk w = { .copy = &text };

	if (!walk_server(&w, &r, e))
		return false;
	if (strcmp(argv[0], "-") == 0)
		return out_write(&text, e);
	return out_file(argv[0], 0600, &text, e) && print_head(&w.at, argv[0], e);
}
