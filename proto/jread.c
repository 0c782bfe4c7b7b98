#include "proto/jread.h"

#include "base/limits.h"
#include "base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* A jdoc is the reference that it holds on the root; a jval is a borrowed one. */
static const json_t *json_of(const struct jval *v)
{
	return (const json_t *)(const void *)v;
}

static const struct jval *jval_of(const json_t *j)
{
	return (const struct jval *)(const void *)j;
}

/* ---- parsing ---- */

static bool err_at(struct err *e, enum err_code code, const uint8_t *p, size_t at,
		   const char *what)
{
	size_t line = 1, column = 1;

	for (size_t i = 0; i < at; i++) {
		column = p[i] == '\n' ? 1 : column + 1;
		line += p[i] == '\n';
	}
	return err_set(e, code, "line %zu, column %zu: %s", line, column, what);
}

/* Just behind the string that begins at i, or n. */
static size_t skip_string(const uint8_t *p, size_t i, size_t n)
{
	for (i++; i < n && p[i] != '"'; i++)
		i += p[i] == '\\';
	return i < n ? i + 1 : n;
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Looks at the raw text before jansson does: nesting costs stack and values cost memory (about
 * 80 bytes for the 2 of "0,"), so both are bounded first; and a number's form is only visible
 * here.  On text that is not JSON the counts are upper bounds of what jansson reads before it
 * stops, because up to there both see the same strings. */
static bool scan(const uint8_t *p, size_t n, struct err *e)
{
	const uint8_t *nul = n > 0 ? memchr(p, 0, n) : NULL;
	size_t depth = 0, values = 1;

	if (nul) /* jansson 2.14 takes one behind a number for the end */
		return err_at(e, E_FORMAT, p, (size_t)(nul - p), "NUL");
	for (size_t i = 0; i < n;) {
		uint8_t c = p[i];

		if (c == '"') {
			i = skip_string(p, i, n);
			continue;
		}
		if ((c == '.' || c == 'e' || c == 'E') && i > 0 && is_digit(p[i - 1]))
			return err_at(e, E_FORMAT, p, i, "only integers are allowed");
		if ((c == '[' || c == '{') && ++depth > LIMIT_JSON_DEPTH)
			return err_at(e, E_TOO_BIG, p, i, "nested too deeply");
		if ((c == ']' || c == '}') && depth > 0)
			depth--;
		values += c == ',' || c == '[' || c == '{' || c == ':';
		if (values > LIMIT_JSON_VALUES)
			return err_at(e, E_TOO_BIG, p, i, "too many values");
		i++;
	}
	return true;
}

/* RFC 7493 section 2.2: beyond this, readers that use doubles see other numbers. */
static bool check_integers(json_t *j, struct err *e)
{
	const char *key;
	json_t *v;
	size_t i;

	if (json_is_real(j))
		return err_set(e, E_FORMAT, "only integers are allowed");
	if (json_is_integer(j) &&
	    (json_integer_value(j) > J_INT_MAX || json_integer_value(j) < -J_INT_MAX))
		return err_set(e, E_FORMAT, "%" JSON_INTEGER_FORMAT " is not within 2^53",
			       json_integer_value(j));
	json_array_foreach(j, i, v) if (!check_integers(v, e)) return err_wrap(e, "%zu", i);
	json_object_foreach(j, key, v) if (!check_integers(v, e)) return err_wrap(e, "%.64s",
										  key);
	return true;
}

/* jansson does not tell want of memory from a wrong text in every place, and where a token's bytes find no
 * room it goes on without them.  Whether it ever was refused memory is therefore noted here. */
static _Thread_local bool starved;

static void *note_malloc(size_t n)
{
	void *p = malloc(n);

	starved |= !p;
	return p;
}

static void use_note_malloc(void)
{
	json_set_alloc_funcs(note_malloc, free);
}

bool jdoc_parse(struct jdoc **ret, const void *p, size_t n, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	json_error_t why;
	json_t *root;

	if (!scan(p, n, e))
		return false;
	pthread_once(&once, use_note_malloc);
	starved = false;
	root = json_loadb(p ? p : "", n,
			  JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
	if (starved) {
		json_decref(root);
		return err_nomem(e);
	}
	if (!root)
		return err_set(e, E_FORMAT, "line %d, column %d: %s", why.line, why.column,
			       why.text);
	if (!check_integers(root, e)) {
		json_decref(root);
		return false;
	}
	*ret = (struct jdoc *)(void *)root;
	return true;
}

void jdoc_free(struct jdoc *d)
{
	json_decref((json_t *)(void *)d);
}

const struct jval *jdoc_root(const struct jdoc *d)
{
	return (const struct jval *)(const void *)d;
}

/* ---- plain access ---- */

enum jtype jval_type(const struct jval *v)
{
	switch (json_typeof(json_of(v))) {
	case JSON_OBJECT:
		return J_OBJ;
	case JSON_ARRAY:
		return J_ARR;
	case JSON_STRING:
		return J_STR;
	case JSON_INTEGER:
		return J_INT;
	case JSON_TRUE:
	case JSON_FALSE:
		return J_BOOL;
	case JSON_REAL: /* refused by jdoc_parse */
	case JSON_NULL:
		break;
	}
	return J_NULL;
}

const char *jval_type_name(const struct jval *v)
{
	static const char *const names[] = {
		[J_NULL] = "null",    [J_BOOL] = "a boolean", [J_INT] = "an integer",
		[J_STR] = "a string", [J_ARR] = "an array",   [J_OBJ] = "an object",
	};

	return names[jval_type(v)];
}

bool jval_bool(const struct jval *v)
{
	assert(jval_type(v) == J_BOOL);
	return json_is_true(json_of(v));
}

int64_t jval_int(const struct jval *v)
{
	assert(jval_type(v) == J_INT);
	return json_integer_value(json_of(v));
}

const char *jval_str(const struct jval *v, size_t *ret_n)
{
	assert(jval_type(v) == J_STR);
	if (ret_n)
		*ret_n = json_string_length(json_of(v));
	return json_string_value(json_of(v));
}

size_t jarr_n(const struct jval *arr)
{
	assert(jval_type(arr) == J_ARR);
	return json_array_size(json_of(arr));
}

const struct jval *jarr_at(const struct jval *arr, size_t i)
{
	assert(i < jarr_n(arr));
	return jval_of(json_array_get(json_of(arr), i));
}

size_t jobj_n(const struct jval *obj)
{
	assert(jval_type(obj) == J_OBJ);
	return json_object_size(json_of(obj));
}

/* jansson's iterators take a json_t that is not const, but change nothing. */
static json_t *iterable(const struct jval *obj)
{
	union {
		const struct jval *v;
		json_t *j;
	} u = { .v = obj };

	return u.j;
}

static struct jiter iter_at(void *pos)
{
	if (!pos)
		return (struct jiter){ .key = NULL };
	return (struct jiter){
		.key = json_object_iter_key(pos),
		.val = jval_of(json_object_iter_value(pos)),
		.pos = pos,
	};
}

struct jiter jobj_first(const struct jval *obj)
{
	assert(jval_type(obj) == J_OBJ);
	return iter_at(json_object_iter(iterable(obj)));
}

struct jiter jobj_next(const struct jval *obj, struct jiter it)
{
	return iter_at(json_object_iter_next(iterable(obj), it.pos));
}

static int by_key(const void *a, const void *b)
{
	const struct jiter *x = a, *y = b;

	return strcmp(x->key, y->key);
}

bool jobj_sorted(const struct jval *obj, struct jiter **ret, size_t *ret_n, struct err *e)
{
	size_t n = jobj_n(obj), i = 0;
	struct jiter *all = calloc(n + 1, sizeof(*all));

	if (!all)
		return err_nomem(e);
	for (struct jiter it = jobj_first(obj); it.val; it = jobj_next(obj, it))
		all[i++] = it;
	qsort(all, n, sizeof(*all), by_key);
	*ret = all;
	*ret_n = n;
	return true;
}

const struct jval *jobj_opt(const struct jval *obj, const char *key)
{
	return jval_of(json_object_get(json_of(obj), key));
}

/* ---- values, checked ---- */

static bool wrong_type(const struct jval *v, const char *wanted, struct err *e)
{
	return err_set(e, E_FORMAT, "%s, not %s", jval_type_name(v), wanted);
}

bool jval_is_obj(const struct jval *v, struct err *e)
{
	return jval_type(v) == J_OBJ || wrong_type(v, "an object", e);
}

bool jval_is_arr(const struct jval *v, size_t max_n, struct err *e)
{
	if (jval_type(v) != J_ARR)
		return wrong_type(v, "an array", e);
	if (jarr_n(v) > max_n)
		return err_set(e, E_TOO_BIG, "%zu entries, at most %zu", jarr_n(v), max_n);
	return true;
}

static bool is_visible(const char *s, size_t n)
{
	for (size_t i = 0, len; i < n; i += len) {
		len = text_char(s + i, n - i);
		if (len == 0)
			return false;
	}
	return true;
}

bool jval_get_text(const char **ret, size_t *ret_n, const struct jval *v, size_t max,
		   struct err *e)
{
	const char *s;
	size_t n;

	if (jval_type(v) != J_STR)
		return wrong_type(v, "a string", e);
	s = jval_str(v, &n);
	if (n > max)
		return err_set(e, E_TOO_BIG, "%zu bytes, at most %zu", n, max);
	if (strlen(s) != n)
		return err_set(e, E_FORMAT, "NUL in the text");
	*ret = s;
	if (ret_n)
		*ret_n = n;
	return true;
}

bool jval_get_str(const char **ret, const struct jval *v, size_t max, struct err *e)
{
	const char *s;
	size_t n;

	if (!jval_get_text(&s, &n, v, max, e))
		return false;
	if (!is_visible(s, n))
		return err_set(e, E_FORMAT, "control character in the text");
	*ret = s;
	return true;
}

bool jval_get_name(const char **ret, const struct jval *v, struct err *e)
{
	const char *s;

	if (!jval_get_str(&s, v, LIMIT_NAME, e))
		return false;
	if (!name_is_valid(s, LIMIT_NAME))
		return err_set(e, E_FORMAT, "\"%s\" is no name (a-z 0-9 . _ -)", s);
	*ret = s;
	return true;
}

static bool get_i64(int64_t *ret, const struct jval *v, int64_t min, int64_t max, struct err *e)
{
	int64_t i;

	if (jval_type(v) != J_INT)
		return wrong_type(v, "an integer", e);
	i = jval_int(v);
	if (i < min || i > max)
		return err_set(e, E_FORMAT,
			       "%" PRId64 " is not within %" PRId64 " and %" PRId64, i, min,
			       max);
	*ret = i;
	return true;
}

bool jval_get_u64(uint64_t *ret, const struct jval *v, uint64_t min, uint64_t max,
		  struct err *e)
{
	int64_t i;

	assert(min <= max && min <= J_INT_MAX);
	if (!get_i64(&i, v, (int64_t)min, max > J_INT_MAX ? J_INT_MAX : (int64_t)max, e))
		return false;
	*ret = (uint64_t)i;
	return true;
}

bool jval_get_hex(uint8_t *ret, size_t n, const struct jval *v, struct err *e)
{
	const char *s;
	size_t len;

	if (jval_type(v) != J_STR)
		return wrong_type(v, "a string", e);
	s = jval_str(v, &len);
	if (!hex_decode(ret, n, s, len))
		return err_set(e, E_FORMAT, "not %zu lower-case hexadecimal digits", 2 * n);
	return true;
}

/* ---- members, checked ---- */

bool jobj_only(const struct jval *obj, const char *const *keys, struct err *e)
{
	for (struct jiter it = jobj_first(obj); it.val; it = jobj_next(obj, it)) {
		size_t i = 0;

		while (keys[i] && strcmp(keys[i], it.key) != 0)
			i++;
		if (!keys[i])
			return err_set(e, E_FORMAT, "unknown field \"%.64s\"", it.key);
	}
	return true;
}

bool jobj_get(const struct jval **ret, const struct jval *obj, const char *key, struct err *e)
{
	const struct jval *v = jobj_opt(obj, key);

	if (!v)
		return err_set(e, E_FORMAT, "%.64s: missing", key);
	*ret = v;
	return true;
}

bool jobj_obj(const struct jval **ret, const struct jval *obj, const char *key, struct err *e)
{
	const struct jval *v;

	if (!jobj_get(&v, obj, key, e))
		return false;
	if (!jval_is_obj(v, e))
		return err_wrap(e, "%.64s", key);
	*ret = v;
	return true;
}

bool jobj_arr(const struct jval **ret, const struct jval *obj, const char *key, size_t max_n,
	      struct err *e)
{
	const struct jval *v;

	if (!jobj_get(&v, obj, key, e))
		return false;
	if (!jval_is_arr(v, max_n, e))
		return err_wrap(e, "%.64s", key);
	*ret = v;
	return true;
}

bool jobj_str(const char **ret, const struct jval *obj, const char *key, size_t max,
	      struct err *e)
{
	const struct jval *v;

	if (!jobj_get(&v, obj, key, e))
		return false;
	return jval_get_str(ret, v, max, e) || err_wrap(e, "%.64s", key);
}

bool jobj_text(const char **ret, size_t *ret_n, const struct jval *obj, const char *key,
	       size_t max, struct err *e)
{
	const struct jval *v;

	if (!jobj_get(&v, obj, key, e))
		return false;
	return jval_get_text(ret, ret_n, v, max, e) || err_wrap(e, "%.64s", key);
}

bool jobj_name(const char **ret, const struct jval *obj, const char *key, struct err *e)
{
	const struct jval *v;

	if (!jobj_get(&v, obj, key, e))
		return false;
	return jval_get_name(ret, v, e) || err_wrap(e, "%.64s", key);
}

bool jobj_u64(uint64_t *ret, const struct jval *obj, const char *key, uint64_t min,
	      uint64_t max, struct err *e)
{
	const struct jval *v;

	if (!jobj_get(&v, obj, key, e))
		return false;
	return jval_get_u64(ret, v, min, max, e) || err_wrap(e, "%.64s", key);
}

bool jobj_i64(int64_t *ret, const struct jval *obj, const char *key, int64_t min, int64_t max,
	      struct err *e)
{
	const struct jval *v;

	if (!jobj_get(&v, obj, key, e))
		return false;
	return get_i64(ret, v, min, max, e) || err_wrap(e, "%.64s", key);
}

bool jobj_bool(bool *ret, const struct jval *obj, const char *key, struct err *e)
{
	const struct jval *v;

	if (!jobj_get(&v, obj, key, e))
		return false;
	if (jval_type(v) != J_BOOL)
		return wrong_type(v, "a boolean", e) || err_wrap(e, "%.64s", key);
	*ret = jval_bool(v);
	return true;
}

bool jobj_hex(uint8_t *ret, size_t n, const struct jval *obj, const char *key, struct err *e)
{
	const struct jval *v;

	if (!jobj_get(&v, obj, key, e))
		return false;
	return jval_get_hex(ret, n, v, e) || err_wrap(e, "%.64s", key);
}

bool jobj_time(int64_t *ret_unix_s, const struct jval *obj, const char *key, struct err *e)
{
	const char *s;

	if (!jobj_str(&s, obj, key, TIME_TEXT_SIZE, e))
		return false;
	if (!time_parse(ret_unix_s, s, strlen(s)))
		return err_set(e, E_FORMAT,
			       "%.64s: \"%s\" is no time like 2026-11-22T15:41:00Z", key, s);
	return true;
}

static bool no_such_choice(const char *key, const char *got, const char *const *names,
			   struct err *e)
{
	char list[160] = "";
	size_t n = 0;

	for (size_t i = 0; names[i] && n < sizeof(list); i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "",
				      names[i]);
	return err_set(e, E_FORMAT, "%.64s: \"%s\" is none of %s", key, got, list);
}

bool jobj_choice(unsigned *ret, const struct jval *obj, const char *key,
		 const char *const *names, struct err *e)
{
	const char *s;

	if (!jobj_str(&s, obj, key, LIMIT_NAME, e))
		return false;
	for (unsigned i = 0; names[i]; i++)
		if (strcmp(names[i], s) == 0) {
			*ret = i;
			return true;
		}
	return no_such_choice(key, s, names, e);
}

bool jobj_copy(char *out, size_t out_size, const struct jval *obj, const char *key,
	       struct err *e)
{
	const char *s;

	if (!jobj_str(&s, obj, key, out_size - 1, e))
		return false;
	memcpy(out, s, strlen(s) + 1);
	return true;
}

bool jobj_copy_name(char *out, const struct jval *obj, const char *key, struct err *e)
{
	const char *s;

	if (!jobj_name(&s, obj, key, e))
		return false;
	memcpy(out, s, strlen(s) + 1);
	return true;
}

bool jobj_version(const struct jval *obj, const char *key, uint64_t want, struct err *e)
{
	uint64_t v;

	if (!jobj_u64(&v, obj, key, 0, J_INT_MAX, e))
		return false;
	if (v != want)
		return err_set(e, E_UNSUPPORTED,
			       "%.64s: %" PRIu64 " is not known here, only %" PRIu64, key, v,
			       want);
	return true;
}
