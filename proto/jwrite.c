#include "proto/jwrite.h"

#include "base/text.h"
#include "proto/jread.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 64 };

void jw_init(struct jw *w, struct buf *out)
{
	*w = (struct jw){ .out = out, .start = out->n };
}

bool jw_finish(struct jw *w, struct err *e)
{
	if (w->bad) {
		w->out->n = w->start;
		if (w->out->p)
			w->out->p[w->start] = 0;
		*e = w->err;
		return false;
	}
	assert(w->depth == 0 && w->comma);
	return true;
}

static void put(struct jw *w, const char *p, size_t n)
{
	if (!w->bad && !buf_add(w->out, p, n, &w->err))
		w->bad = true;
}

static void fail(struct jw *w, const char *key, const char *what)
{
	if (!w->bad)
		w->bad = !err_set(&w->err, E_FORMAT, "%s%s%s", key ? key : "", key ? ": " : "",
				  what);
}

/* ---- strings ---- */

static void put_escape(struct jw *w, uint8_t c)
{
	static const char short_from[] = "\"\\\b\f\n\r\t", short_to[] = "\"\\bfnrt";
	const char *s = c ? strchr(short_from, c) : NULL;
	char esc[8];
	int n = s ? snprintf(esc, sizeof(esc), "\\%c", short_to[s - short_from])
		  : snprintf(esc, sizeof(esc), "\\u%04x", c);

	put(w, esc, (size_t)n);
}

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* False at the first byte that is not UTF-8, unless lossy. */
static bool put_quoted(struct jw *w, const uint8_t *p, size_t n, bool lossy)
{
	put(w, "\"", 1);
	for (size_t i = 0, run; i < n && !w->bad; i += run) {
		for (run = 0; i + run < n && is_plain(p[i + run]);)
			run++;
		if (run > 0) {
			put(w, (const char *)p + i, run);
			continue;
		}
		run = utf8_char(p + i, n - i);
		if (run == 0 && !lossy)
			return false;
		if (run == 0 || (lossy && p[i] == 0)) {
			put(w, "\xef\xbf\xbd", 3); /* U+FFFD */
			run = 1;
		} else if (run == 1) {
			put_escape(w, p[i]);
		} else {
			put(w, (const char *)p + i, run);
		}
	}
	put(w, "\"", 1);
	return true;
}

/* The comma and the key that stand before a value. */
static void begin(struct jw *w, const char *key)
{
	bool in_obj = w->depth > 0 && (w->in_obj >> (w->depth - 1) & 1);

	assert(in_obj == (key != NULL));
	assert(w->depth > 0 || !w->comma); /* one value at the top */
	if (w->comma)
		put(w, ",", 1);
	w->comma = true;
	if (!key)
		return;
	if (!put_quoted(w, (const uint8_t *)key, strlen(key), false))
		fail(w, NULL, "a key is not UTF-8");
	put(w, ":", 1);
}

static void open_level(struct jw *w, const char *key, bool obj)
{
	begin(w, key);
	assert(w->depth < DEPTH_MAX);
	w->in_obj &= ~(UINT64_C(1) << w->depth);
	w->in_obj |= (uint64_t)obj << w->depth;
	w->depth++;
	w->comma = false;
	put(w, obj ? "{" : "[", 1);
}

void jw_obj(struct jw *w, const char *key)
{
	open_level(w, key, true);
}

void jw_arr(struct jw *w, const char *key)
{
	open_level(w, key, false);
}

void jw_end(struct jw *w)
{
	assert(w->depth > 0);
	w->depth--;
	put(w, w->in_obj >> w->depth & 1 ? "}" : "]", 1);
	w->comma = true;
}

void jw_null(struct jw *w, const char *key)
{
	jw_raw(w, key, "null", 4);
}

void jw_bool(struct jw *w, const char *key, bool v)
{
	jw_raw(w, key, v ? "true" : "false", v ? 4 : 5);
}

void jw_u64(struct jw *w, const char *key, uint64_t v)
{
	if (v > J_INT_MAX)
		fail(w, key, "the number is beyond 2^53");
	jw_i64(w, key, v > J_INT_MAX ? 0 : (int64_t)v);
}

void jw_i64(struct jw *w, const char *key, int64_t v)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRId64, v);

	if (v > J_INT_MAX || v < -J_INT_MAX)
		fail(w, key, "the number is beyond 2^53");
	jw_raw(w, key, text, (size_t)n);
}

void jw_str(struct jw *w, const char *key, const char *s)
{
	jw_strn(w, key, s, strlen(s));
}

void jw_strn(struct jw *w, const char *key, const char *s, size_t n)
{
	begin(w, key);
	if (!put_quoted(w, (const uint8_t *)s, n, false))
		fail(w, key, "the text is not UTF-8");
}

void jw_lossy(struct jw *w, const char *key, const void *p, size_t n)
{
	begin(w, key);
	(void)put_quoted(w, p, n, true);
}

void jw_hex(struct jw *w, const char *key, const uint8_t *p, size_t n)
{
	char text[HEX_SIZE(64)];

	begin(w, key);
	put(w, "\"", 1);
	for (size_t i = 0; i < n; i += 64) {
		size_t step = n - i < 64 ? n - i : 64;

		hex_encode(text, p + i, step);
		put(w, text, step * 2);
	}
	put(w, "\"", 1);
}

void jw_base64(struct jw *w, const char *key, const uint8_t *p, size_t n)
{
	char text[BASE64_SIZE(48)];

	begin(w, key);
	put(w, "\"", 1);
	for (size_t i = 0; i < n; i += 48) {
		size_t step = n - i < 48 ? n - i : 48;

		base64_encode(text, p + i, step);
		put(w, text, strlen(text));
	}
	put(w, "\"", 1);
}

void jw_time(struct jw *w, const char *key, int64_t unix_s)
{
	char text[TIME_TEXT_SIZE];

	time_format(text, unix_s);
	jw_str(w, key, text);
}

void jw_raw(struct jw *w, const char *key, const char *json, size_t n)
{
	begin(w, key);
	put(w, json, n);
}
