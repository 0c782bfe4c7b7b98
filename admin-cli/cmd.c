#include "admin-cli/cmd.h"

#include "admin-cli/opts.h"
#include "base/text.h"
#include "proto/cjson.h"

#include <stdarg.h>
#include <string.h>

enum { OUTPUT_MAX = 256 * 1024 * 1024 };

void cmd_note(const char *fmt, ...)
{
	va_list ap;

	if (!opts_progress())
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void cmd_review(const char *fmt, ...)
{
	va_list ap;

	if (opts.yes && !opts_progress())
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* ---- printing ---------------------------------------------------------------------------- */

struct collect {
	struct out_table *table; /* NULL: JSON */
	struct buf json;
	bool any;
};

static bool take_item(void *arg, const struct jval *item, struct err *e)
{
	struct collect *c = arg;
	bool first = !c->any;

	c->any = true;
	if (c->table)
		return out_table_add(c->table, item, e);
	return buf_add_str(&c->json, first ? "" : ",", e) &&
	       cjson_encode_json(&c->json, item, e);
}

bool cmd_print_list(struct remote *r, enum api_route_id route, const char *query,
		    const struct out_col *cols, size_t n_cols, const char *empty, struct err *e)
{
	CLEANUP(out_table_freep) struct out_table *table = NULL;
	CLEANUP(buf_done) struct buf text = BUF_INIT(OUTPUT_MAX);
	struct collect c = { .json = BUF_INIT(OUTPUT_MAX) };
	bool ok;

	if (!opts_json() && !out_table_new(&table, cols, n_cols, e))
		return false;
	c.table = table;
	ok = remote_list(r, route, query, take_item, &c, e);
	if (ok && opts_json())
		ok = buf_printf(&text, e, "{\"items\":[") &&
		     buf_add(&text, c.json.p ? c.json.p : (const uint8_t *)"", c.json.n, e) &&
		     buf_add_str(&text, "]}\n", e) && out_write(&text, e);
	else if (ok && c.any)
		ok = out_table_draw(table, out_style(stdout), &text, e) && out_write(&text, e);
	else if (ok)
		cmd_note("%s", empty);
	buf_done(&c.json);
	return ok;
}

bool cmd_print_item(const struct jval *item, const struct out_col *cols, size_t n_cols,
		    struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(OUTPUT_MAX);

	if (opts_json())
		return out_json(item, e);
	return out_record(&text, item, cols, n_cols, e) && out_write(&text, e);
}

bool cmd_print_part(const struct jval *item, const char *key, const struct out_col *cols,
		    size_t n_cols, struct err *e)
{
	CLEANUP(out_table_freep) struct out_table *t = NULL;
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 << 24);
	const struct jval *list = jobj_opt(item, key);

	if (!list || jval_type(list) != J_ARR || jarr_n(list) == 0)
		return true;
	if (!buf_add_str(&text, "\n", e) || !out_table_new(&t, cols, n_cols, e))
		return false;
	for (size_t i = 0; i < jarr_n(list); i++) {
		if (!out_table_add(t, jarr_at(list, i), e))
			return false;
	}
	return out_table_draw(t, out_style(stdout), &text, e) && out_write(&text, e);
}

bool cmd_call_and_print(struct remote *r, const struct remote_call *c,
			const struct out_col *cols, size_t n_cols, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	static const char empty[] = "{}";

	if (!remote_do(r, c, NULL, &d, e))
		return false;
	if (!d && (!opts_json() || !jdoc_parse(&d, empty, 2, e)))
		return !opts_json();
	return cmd_print_item(jdoc_root(d), cols, n_cols, e);
}

/* ---- targets ----------------------------------------------------------------------------- */

struct cmd_target cmd_target;

const struct cli_opt target_opts[] = {
	{ "all", 0, NULL, "every device", CLI_FLAG, &cmd_target.all },
	{ "group", 'g', "NAME", "the devices of a group", CLI_STRING, &cmd_target.group },
	{ "device", 'd', "DEVICE", "one device: id, beginning of its id, or name", CLI_STRING,
	  &cmd_target.device },
	{ 0 },
};

bool cmd_target_check(const struct cmd_target *t, struct err *e)
{
	if (t->all + !!t->group + !!t->device != 1)
		return err_set(e, E_USAGE,
			       "say whom: one of --all, --group NAME, --device DEVICE");
	if (t->group && !name_check(t->group, LIMIT_NAME, "group", e))
		return false;
	return true;
}

bool cmd_target_write(struct remote *r, struct jw *w, const char *key,
		      const struct cmd_target *t, struct err *e)
{
	char id[DEVICE_ID_SIZE];

	if (t->device && !cmd_find_device(r, t->device, id, e))
		return false;
	jw_obj(w, key);
	if (t->all)
		jw_bool(w, "all", true);
	if (t->group)
		jw_str(w, "group", t->group);
	if (t->device)
		jw_str(w, "device", id);
	jw_end(w);
	return true;
}

/* ---- devices ----------------------------------------------------------------------------- */

struct find {
	const char *what;
	char id[DEVICE_ID_SIZE];
	unsigned n, n_past; /* past: revoked, and found by its name */
	bool is_past;       /* the one of `id` */
};

static bool match_device(void *arg, const struct jval *item, struct err *e)
{
	struct find *f = arg;
	const char *id;
	const char *name = "", *state;
	struct err ignored;
	bool past;

	if (!jobj_str(&id, item, "id", DEVICE_ID_SIZE - 1, e))
		return false;
	if (!device_id_is_valid(id))
		return err_set(e, E_FORMAT, "id of a device");
	if (!jobj_str(&name, item, "name", LIMIT_TEXT, &ignored))
		name = "";
	if (strncmp(id, f->what, strlen(f->what)) != 0 && strcmp(name, f->what) != 0)
		return true;
	past = strncmp(id, f->what, strlen(f->what)) != 0 &&
	       jobj_str(&state, item, "state", LIMIT_TEXT, &ignored) &&
	       strcmp(state, "revoked") == 0;
	if (f->n == 0 || f->is_past) {
		memcpy(f->id, id, sizeof(f->id));
		f->is_past = past;
	}
	f->n++;
	f->n_past += past;
	return true;
}

bool cmd_find_device(struct remote *r, const char *what, char out[static DEVICE_ID_SIZE],
		     struct err *e)
{
	struct find f = { .what = what };

	if (device_id_is_valid(what)) {
		memcpy(out, what, DEVICE_ID_SIZE);
		return true;
	}
	if (!*what)
		return err_set(e, E_USAGE, "which device?");
	if (!remote_list(r, ROUTE_DEVICE_LIST, NULL, match_device, &f, e))
		return false;
	if (f.n == 0)
		return err_set(e, E_NOT_FOUND, "no device has the id or name \"%.80s\"", what);
	if (f.n > 1 && f.n - f.n_past != 1)
		return err_set(e, E_USAGE, "\"%.80s\" fits %u devices; give more of the id",
			       what, f.n);
	memcpy(out, f.id, DEVICE_ID_SIZE);
	return true;
}
