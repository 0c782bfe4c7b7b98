#include "admin-cli/out.h"

#include "base/limits.h"
#include "base/text.h"
#include "proto/cjson.h"

#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { OUTPUT_MAX = 256 * 1024 * 1024, CELL_MAX = 65536 };

/* ---- cells ------------------------------------------------------------------------------- */

static const struct jval *follow(const struct jval *v, const char *path)
{
	char key[LIMIT_NAME + 1];

	while (v && *path) {
		size_t n = strcspn(path, ".");

		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		v = jobj_opt(v, key);
		path += n + (path[n] == '.');
	}
	return v && jval_type(v) == J_NULL ? NULL : v;
}

static bool add_clean(struct buf *out, const char *s, size_t n, struct err *e)
{
	uint8_t *p;

	if (!buf_reserve(out, n, &p, e))
		return false;
	memcpy(p, s, n);
	text_clean((char *)p, n, "");
	buf_commit(out, n);
	return true;
}

bool out_json_text(struct buf *out, const struct jval *v, struct err *e)
{
	size_t from = out->n;

	if (!cjson_encode_json(out, v, e))
		return false;
	text_clean((char *)out->p + from, out->n - from, "");
	return true;
}

static bool add_plain(struct buf *out, const struct jval *v, struct err *e)
{
	size_t n;
	const char *s;

	switch (jval_type(v)) {
	case J_STR:
		s = jval_str(v, &n);
		return n > 0 ? add_clean(out, s, n, e) : buf_add_str(out, "-", e);
	case J_INT:
		return buf_printf(out, e, "%" PRId64, jval_int(v));
	case J_BOOL:
		return buf_add_str(out, jval_bool(v) ? "yes" : "no", e);
	case J_NULL:
		return buf_add_str(out, "-", e);
	default:
		return out_json_text(out, v, e);
	}
}

static bool add_bytes(struct buf *out, const struct jval *v, struct err *e)
{
	char text[TEXT_SIZE_MAX];

	if (jval_type(v) != J_INT || jval_int(v) < 0)
		return add_plain(out, v, e);
	size_format(text, (uint64_t)jval_int(v));
	return buf_add_str(out, text, e);
}

static bool add_id(struct buf *out, const struct jval *v, struct err *e)
{
	size_t n;
	const char *s;

	if (jval_type(v) != J_STR)
		return add_plain(out, v, e);
	s = jval_str(v, &n);
	return add_clean(out, s, n < 12 ? n : 12, e);
}

static bool add_list(struct buf *out, const struct jval *v, struct err *e)
{
	if (jval_type(v) == J_ARR) {
		for (size_t i = 0; i < jarr_n(v); i++) {
			if ((i > 0 && !buf_add_str(out, ",", e)) ||
			    !add_plain(out, jarr_at(v, i), e))
				return false;
		}
		return jarr_n(v) > 0 || buf_add_str(out, "-", e);
	}
	if (jval_type(v) != J_OBJ)
		return add_plain(out, v, e);
	for (struct jiter it = jobj_first(v); it.val; it = jobj_next(v, it)) {
		if ((it.pos != jobj_first(v).pos && !buf_add_str(out, ",", e)) ||
		    !add_clean(out, it.key, strlen(it.key), e))
			return false;
	}
	return jobj_n(v) > 0 || buf_add_str(out, "-", e);
}

static bool add_pairs(struct buf *out, const struct jval *v, struct err *e)
{
	bool first = true;

	if (jval_type(v) != J_OBJ)
		return add_list(out, v, e);
	for (struct jiter it = jobj_first(v); it.val; it = jobj_next(v, it)) {
		if ((!first && !buf_add_str(out, ",", e)) ||
		    !add_clean(out, it.key, strlen(it.key), e) || !buf_add_str(out, "=", e) ||
		    !add_plain(out, it.val, e))
			return false;
		first = false;
	}
	return !first || buf_add_str(out, "-", e);
}

static bool add_target(struct buf *out, const struct jval *v, struct err *e)
{
	static const char *const kinds[] = { "group", "device" };

	if (jobj_has(v, "all"))
		return buf_add_str(out, "all", e);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct jval *name = jobj_opt(v, kinds[i]);

		if (name)
			return buf_printf(out, e, "%s ", kinds[i]) && add_plain(out, name, e);
	}
	return add_plain(out, v, e);
}

bool out_cell(struct buf *out, const struct jval *item, const struct out_col *col,
	      struct err *e)
{
	const struct jval *v = follow(item, col->path);

	if (!v)
		return buf_add_str(out, "-", e);
	switch (col->kind) {
	case OUT_BYTES:
		return add_bytes(out, v, e);
	case OUT_ID:
		return add_id(out, v, e);
	case OUT_LIST:
		return add_list(out, v, e);
	case OUT_TARGET:
		return add_target(out, v, e);
	case OUT_PAIRS:
		return add_pairs(out, v, e);
	default:
		return add_plain(out, v, e);
	}
}

/* ---- tables ------------------------------------------------------------------------------ */

struct out_table {
	const struct out_col *cols;
	size_t n_cols, n_cells;
	size_t *widths; /* of the columns, in code points */
	char **cells;   /* row by row */
};

/* Code points stand for columns: good for Latin, Greek, Cyrillic; wide letters are off by one each. */
static size_t width_of(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

bool out_table_new(struct out_table **ret, const struct out_col *cols, size_t n_cols,
		   struct err *e)
{
	CLEANUP(out_table_freep) struct out_table *t = calloc(1, sizeof(*t));

	if (!t)
		return err_nomem(e);
	t->cols = cols;
	t->n_cols = n_cols;
	t->widths = calloc(n_cols, sizeof(*t->widths));
	if (!t->widths)
		return err_nomem(e);
	for (size_t i = 0; i < n_cols; i++)
		t->widths[i] = width_of(cols[i].title);
	*ret = TAKE(t);
	return true;
}

void out_table_free(struct out_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t->widths);
	free(t);
}

static bool add_cell(struct out_table *t, const struct jval *item, size_t col, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(CELL_MAX);
	size_t width;

	if (!out_cell(&text, item, &t->cols[col], e) ||
	    !buf_take(&text, &t->cells[t->n_cells], NULL, e))
		return false;
	width = width_of(t->cells[t->n_cells++]);
	if (width > t->widths[col])
		t->widths[col] = width;
	return true;
}

bool out_table_add(struct out_table *t, const struct jval *item, struct err *e)
{
	size_t rows = t->n_cells / t->n_cols + 1;
	char **cells = reallocarray(t->cells, rows * t->n_cols, sizeof(*cells));

	if (!cells)
		return err_nomem(e);
	t->cells = cells;
	for (size_t col = 0; col < t->n_cols; col++) {
		if (!add_cell(t, item, col, e))
			return false;
	}
	return true;
}

/* Where the nth code point begins. */
static const char *skip(const char *s, size_t n)
{
	for (; *s; s++) {
		if (((unsigned char)*s & 0xc0) != 0x80 && n-- == 0)
			break;
	}
	return s;
}

/* With `width` code points at most: a mark stands for what is left out of the middle. */
static bool add_short(struct buf *out, const char *s, size_t width, bool utf8, struct err *e)
{
	size_t is = width_of(s), head = (width - 1) / 2, tail = width - 1 - head;

	if (is <= width)
		return buf_add_str(out, s, e);
	return buf_add(out, s, (size_t)(skip(s, head) - s), e) &&
	       buf_add_str(out, utf8 ? "\u2026" : "~", e) &&
	       buf_add_str(out, skip(s, is - tail), e);
}

/* What a terminal may fold, at the end of a row. */
static bool is_prose(const struct out_table *t, size_t col)
{
	return t->cols[col].kind == OUT_PROSE ||
	       (t->cols[col].kind == OUT_LIST && col + 1 == t->n_cols);
}

static bool may_give_way(const struct out_table *t, size_t col, size_t width)
{
	enum out_kind kind = t->cols[col].kind;

	return kind != OUT_WHOLE && kind != OUT_ID && kind != OUT_BYTES && !is_prose(t, col) &&
	       width > OUT_SHORT && width > width_of(t->cols[col].title);
}

static bool add_row(struct buf *out, const struct out_table *t, const size_t *widths, bool utf8,
		    char *const *cells, struct err *e)
{
	for (size_t i = 0; i < t->n_cols; i++) {
		const char *s = cells ? cells[i] : t->cols[i].title;
		size_t is = width_of(s);
		bool last = i + 1 == t->n_cols;

		if (!(is_prose(t, i) ? buf_add_str(out, s, e)
				     : add_short(out, s, widths[i], utf8, e)) ||
		    (!last && !buf_printf(out, e, "%*s",
					  (int)(widths[i] > is ? widths[i] - is : 0) + 2, "")))
			return false;
	}
	return true;
}

/* The widest column that may give way, or n_cols. */
static size_t widest(const struct out_table *t, const size_t *widths)
{
	size_t found = t->n_cols;

	for (size_t i = 0; i < t->n_cols; i++) {
		if (may_give_way(t, i, widths[i]) &&
		    (found == t->n_cols || widths[i] > widths[found]))
			found = i;
	}
	return found;
}

static void fit(const struct out_table *t, size_t *widths, size_t columns)
{
	size_t total = 2 * (t->n_cols - 1), col;

	for (size_t i = 0; i < t->n_cols; i++)
		total += is_prose(t, i) ? width_of(t->cols[i].title) : widths[i];
	for (; total > columns && (col = widest(t, widths)) < t->n_cols; total--)
		widths[col]--;
}

static void free_widths(size_t **widths)
{
	free(*widths);
}

bool out_table_draw(const struct out_table *t, struct out_style style, struct buf *out,
		    struct err *e)
{
	CLEANUP(free_widths) size_t *widths = calloc(t->n_cols, sizeof(*widths));

	if (!widths)
		return err_nomem(e);
	memcpy(widths, t->widths, t->n_cols * sizeof(*widths));
	if (style.columns)
		fit(t, widths, style.columns);
	if (!buf_add_str(out, style.color ? "\033[1m" : "", e) ||
	    !add_row(out, t, widths, style.utf8, NULL, e) ||
	    !buf_add_str(out, style.color ? "\033[0m\n" : "\n", e))
		return false;
	for (size_t i = 0; i < t->n_cells; i += t->n_cols) {
		if (!add_row(out, t, widths, style.utf8, t->cells + i, e) ||
		    !buf_add_str(out, "\n", e))
			return false;
	}
	return true;
}

bool out_record(struct buf *out, const struct jval *item, const struct out_col *cols,
		size_t n_cols, struct err *e)
{
	size_t width = 0;

	for (size_t i = 0; i < n_cols; i++) {
		if (strlen(cols[i].title) > width)
			width = strlen(cols[i].title);
	}
	for (size_t i = 0; i < n_cols; i++) {
		if (!follow(item, cols[i].path))
			continue;
		if (!buf_printf(out, e, "%s:%*s ", cols[i].title,
				(int)(width - strlen(cols[i].title)), "") ||
		    !out_cell(out, item, &cols[i], e) || !buf_add_str(out, "\n", e))
			return false;
	}
	return true;
}

/* ---- standard output --------------------------------------------------------------------- */

bool out_color(FILE *f)
{
	const char *no = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return isatty(fileno(f)) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

bool out_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

struct out_style out_style(FILE *f)
{
	struct out_style s = { .color = out_color(f), .utf8 = out_utf8() };
	struct winsize size;

	if (ioctl(fileno(f), TIOCGWINSZ, &size) == 0)
		s.columns = size.ws_col;
	return s;
}

bool out_write(const struct buf *b, struct err *e)
{
	if ((b->n > 0 && fwrite(b->p, 1, b->n, stdout) != b->n) || fflush(stdout) != 0)
		return err_sys(e, errno, "standard output");
	return true;
}

bool out_json(const struct jval *v, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(OUTPUT_MAX);

	return cjson_encode_json(&b, v, e) && buf_add_str(&b, "\n", e) && out_write(&b, e);
}
