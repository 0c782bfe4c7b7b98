/* admin-cli/out.h - what the tool prints: tables and records for people, JSON for programs.
 *
 * A column is a title and the way to a member of the server's JSON ("applied.release"); what is missing or
 * null shows as "-".  What text_char (base/text.h) does not want becomes '?': nothing that a handset reported moves the
 * cursor or turns around what stands beside it.
 * With -o json the server's JSON is printed as one line, all pages of a list in one
 * {"items": [...]}. */
#ifndef VALISE_ADMIN_CLI_OUT_H
#define VALISE_ADMIN_CLI_OUT_H

#include "base/buf.h"
#include "proto/jread.h"

#include <stdio.h>

enum out_kind {
	OUT_TEXT,  /* texts, numbers, booleans as they are */
	OUT_WHOLE, /* the same; never shortened: times, words of a fixed set */
	OUT_PROSE, /* sentences of the last column, never shortened: a terminal folds them */
	OUT_BYTES, /* 12.3 MB */
	OUT_ID,    /* first 12 characters */
	OUT_LIST, /* elements or keys, joined with commas; as the last column never shortened */
	OUT_TARGET, /* {"all": true}, {"group": "x"}, {"device": "x"}: all, group x, device x */
	OUT_PAIRS,  /* {"base": 3}: base=3 */
};

struct out_col {
	const char *title;
	const char *path;
	enum out_kind kind;
};

/* One cell as text, appended. */
bool out_cell(struct buf *out, const struct jval *item, const struct out_col *col,
	      struct err *e) MUST_USE;

/* A value of any kind as JSON for people to read, appended. */
bool out_json_text(struct buf *out, const struct jval *v, struct err *e) MUST_USE;

struct out_table;
bool out_table_new(struct out_table **ret, const struct out_col *cols, size_t n_cols,
		   struct err *e) MUST_USE;
void out_table_free(struct out_table *t);
DEFINE_CLEANUP(struct out_table, out_table_free);
bool out_table_add(struct out_table *t, const struct jval *item, struct err *e) MUST_USE;

/* How a table is drawn: plain ({ 0 }, what programs read), or for a terminal. */
struct out_style {
	bool color, utf8;
	unsigned columns; /* 0: as wide as it gets */
};
struct out_style out_style(FILE *f);

/* Titles (bold with color) and rows, columns aligned by code points; the last is not padded.  Where that is
 * wider than style.columns the widest columns give way, down to their titles and OUT_SHORT: of their cells the
 * middle is left out (not of ids, sizes, times and states), as names begin with a product or folder and end with a version. */
enum { OUT_SHORT = 8 };
bool out_table_draw(const struct out_table *t, struct out_style style, struct buf *out,
		    struct err *e) MUST_USE;

/* "title: value" lines; members that are missing are left out. */
bool out_record(struct buf *out, const struct jval *item, const struct out_col *cols,
		size_t n_cols, struct err *e) MUST_USE;

/* Whether escape sequences may be written: a terminal, and no NO_COLOR (https://no-color.org). */
bool out_color(FILE *f);
/* Whether the locale's character set is UTF-8. */
bool out_utf8(void);

/* Writes all to standard output; E_SYSTEM if that fails (a full disk is not success). */
bool out_write(const struct buf *b, struct err *e) MUST_USE;
bool out_json(const struct jval *v, struct err *e) MUST_USE; /* and a line end */

#endif
