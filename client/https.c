#include "client/https.h"

#include "client/https_priv.h"

#include <curl/curl.h>

#include "base/cli.h"
#include "base/io.h"
#include "base/text.h"
#include "proto/api.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { ERROR_BODY_MAX = 65536, SEND_BUFFER = 262144 };

/* No anonymous and pre-shared key suites: with a pin nothing but the certificate's key speaks for the
 * server, so there has to be one.  (TLS 1.3 suites all want one.) */
static const char tls12_ciphers[] = "HIGH:!aNULL:!eNULL:!PSK:!SRP:!DSS";

struct https {
	CURL *curl;
	struct url url;
	char pin[sizeof("sha256//") + BASE64_SIZE(HTTPS_PIN_SIZE)]; /* "" for none */
	char *ca_file, *proxy, *user_agent;
	bool plain_allowed;
	uint32_t connect_timeout_ms, low_speed_bytes, low_speed_s;
	const atomic_bool *cancel;
	char curl_error[CURL_ERROR_SIZE];
};

/* What the callbacks of one request need. */
struct transfer {
	struct https *h;
	const struct https_request *r;
	struct https_answer *a;
	struct err *e;
	bool failed; /* *e says why */
	bool head_done;
	uint64_t max_bytes, got, sent, body_n;
};

static bool global_ok;

static void init_curl(void)
{
	global_ok = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

static bool copy_text(char **ret, const char *s, struct err *e)
{
	if (!s)
		return true;
	*ret = strdup(s);
	return *ret || err_nomem(e);
}

static bool copy_config(struct https *h, const struct https_config *c, struct err *e)
{
	h->plain_allowed = c->allow_plain_loopback;
	h->connect_timeout_ms = c->connect_timeout_ms;
	h->low_speed_bytes = c->low_speed_bytes;
	h->low_speed_s = c->low_speed_s;
	h->cancel = c->cancel;
	if (c->pin) {
		memcpy(h->pin, "sha256//", 8);
		base64_encode(h->pin + 8, c->pin, HTTPS_PIN_SIZE);
	}
	if (c->ca_file && access(c->ca_file, R_OK) != 0) {
		int sys = errno;

		err_sys(e, sys, "file of certificate authorities %s", c->ca_file);
		e->code = E_CONFIG;
		return false;
	}
	return copy_text(&h->ca_file, c->ca_file, e) && copy_text(&h->proxy, c->proxy, e) &&
	       copy_text(&h->user_agent,
			 c->user_agent ? c->user_agent : "valise/" VALISE_VERSION, e);
}

bool https_url_check(const char *base_url, bool allow_plain_loopback, struct err *e)
{
	struct url u;

	return url_parse(&u, base_url, allow_plain_loopback, e);
}

bool https_new(struct https **ret, const struct https_config *config, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	CLEANUP(https_freep) struct https *h = calloc(1, sizeof(*h));

	pthread_once(&once, init_curl);
	if (!h)
		return err_nomem(e);
	if (!url_parse(&h->url, config->base_url, config->allow_plain_loopback, e) ||
	    !copy_config(h, config, e))
		return false;
	h->curl = global_ok ? curl_easy_init() : NULL;
	if (!h->curl)
		return err_nomem(e);
	*ret = TAKE(h);
	return true;
}

void https_free(struct https *h)
{
	if (!h)
		return;
	curl_easy_cleanup(h->curl);
	free(h->ca_file);
	free(h->proxy);
	free(h->user_agent);
	free(h);
}

const char *https_authority(const struct https *h)
{
	return h->url.authority;
}

const char *https_prefix(const struct https *h)
{
	return h->url.prefix;
}

void https_answer_done(struct https_answer *a)
{
	buf_done(&a->body);
	buf_done(&a->headers);
}

/* ---- headers of the answer --------------------------------------------------------------- */

/* The value of the one line with this name; *ret_n is its length.  count tells how often. */
static const char *find_header(const struct https_answer *a, const char *name, size_t *ret_n,
			       unsigned *count)
{
	const char *found = NULL;
	size_t name_n = strlen(name);

	*count = 0;
	for (const char *line = buf_str(&a->headers), *end; *line; line = end + 1) {
		end = strchr(line, '\n');
		if (!end)
			break;
		if (strncmp(line, name, name_n) != 0 || strncmp(line + name_n, ": ", 2) != 0)
			continue;
		found = line + name_n + 2;
		*ret_n = (size_t)(end - found);
		++*count;
	}
	return found;
}

const char *https_answer_header(const struct https_answer *a, const char *name, char *out,
				size_t size)
{
	size_t n = 0;
	unsigned count;
	const char *value = find_header(a, name, &n, &count);

	if (count != 1 || n >= size)
		return NULL;
	memcpy(out, value, n);
	out[n] = '\0';
	return out;
}

/* Stores "Name: value\r\n" as "name: value\n"; what is no header line is left out. */
static bool add_header(struct https_answer *a, const char *p, size_t n, struct err *e)
{
	const char *colon = memchr(p, ':', n);
	size_t name_n, value_n;
	uint8_t *out;

	if (!colon || memchr(p, '\0', n))
		return true;
	name_n = (size_t)(colon - p);
	value_n = n - name_n - 1;
	for (colon++; value_n > 0 && (*colon == ' ' || *colon == '\t'); colon++)
		value_n--;
	while (value_n > 0 && strchr(" \t\r\n", colon[value_n - 1]))
		value_n--;
	if (!buf_reserve(&a->headers, name_n + value_n + 3, &out, e))
		return err_wrap(e, "header lines of the answer");
	for (size_t i = 0; i < name_n; i++)
		out[i] = (uint8_t)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] - 'A' + 'a' : p[i]);
	memcpy(out + name_n, ": ", 2);
	memcpy(out + name_n + 2, colon, value_n);
	out[name_n + 2 + value_n] = '\n';
	buf_commit(&a->headers, name_n + value_n + 3);
	return true;
}

static bool read_numbers(struct https_answer *a, struct err *e)
{
	unsigned count;
	size_t n = 0;
	char text[24];
	uint64_t v;

	find_header(a, "content-length", &n, &count);
	if (count > 1)
		return err_set(e, E_FORMAT, "the answer has %u Content-Length lines", count);
	if (https_answer_header(a, "content-length", text, sizeof(text))) {
		if (!u64_parse(&v, text, strlen(text)))
			return err_set(e, E_FORMAT, "Content-Length \"%s\"", text);
		a->has_length = true;
		a->length = v;
	}
	if (https_answer_header(a, "retry-after", text, sizeof(text)) &&
	    u64_parse(&v, text, strlen(text)))
		a->retry_after_s = v < INT32_MAX ? (int64_t)v : INT32_MAX;
	return true;
}

static bool is_ok(const struct transfer *t)
{
	return t->a->status >= 200 && t->a->status < 300;
}

/* The answer's head is complete: what can be judged from it is judged before the body comes. */
static bool take_head(struct transfer *t)
{
	char coding[24] = "";

	t->head_done = true;
	if (!read_numbers(t->a, t->e))
		return false;
	if (!is_ok(t))
		return true;
	https_answer_header(t->a, "content-encoding", coding, sizeof(coding));
	if (coding[0] && strcmp(coding, "identity") != 0)
		return err_set(t->e, E_FORMAT, "the answer is coded as \"%s\", not asked for",
			       coding);
	if (t->r->on_head && !t->r->on_head(t->r->arg, t->a, t->e))
		return false;
	if (t->a->has_length && t->a->length > t->max_bytes &&
	    strcmp(t->r->method, "HEAD") != 0)
		return err_set(t->e, E_TOO_BIG,
			       "the answer has %llu bytes, at most %llu wanted",
			       (unsigned long long)t->a->length,
			       (unsigned long long)t->max_bytes);
	return true;
}

static int parse_status(const char *p, size_t n)
{
	const char *space = memchr(p, ' ', n);
	uint64_t status;

	if (!space || n - (size_t)(space - p) < 4 || !u64_parse(&status, space + 1, 3))
		return 0;
	return (int)status;
}

/* ---- callbacks --------------------------------------------------------------------------- */

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	(void)size;
	if (t->head_done) /* trailers of a chunked body; nothing of ours is there */
		return n;
	if (n >= 5 && memcmp(p, "HTTP/", 5) == 0) { /* also after a 100 */
		buf_reset(&t->a->headers);
		t->a->status = parse_status(p, n);
	} else if (n <= 2) {
		if (t->a->status >= 200)
			t->failed = !take_head(t);
	} else {
		t->failed = !add_header(t->a, p, n, t->e);
	}
	return t->failed ? 0 : n;
}

/* Of an error's body the first part is enough; curl has to see all of it taken. */
static bool keep_error_body(struct transfer *t, const char *p, size_t n)
{
	size_t room = t->a->body.n < ERROR_BODY_MAX ? ERROR_BODY_MAX - t->a->body.n : 0;

	if (t->got > 16 * (uint64_t)ERROR_BODY_MAX)
		return err_set(t->e, E_TOO_BIG, "HTTP %d with an endless body", t->a->status);
	return buf_add(&t->a->body, p, n < room ? n : room, t->e);
}

static bool take_data(struct transfer *t, const char *p, size_t n)
{
	t->got += n;
	if (!is_ok(t))
		return keep_error_body(t, p, n);
	if (t->got > t->max_bytes)
		return err_set(t->e, E_TOO_BIG, "the answer goes on after %llu bytes",
			       (unsigned long long)t->max_bytes);
	if (t->r->on_data)
		return t->r->on_data(t->r->arg, p, n, t->e);
	return buf_add(&t->a->body, p, n, t->e);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	(void)size;
	t->failed = !take_data(t, p, n);
	return t->failed ? CURL_WRITEFUNC_ERROR : n;
}

static bool read_body(struct transfer *t, char *p, size_t n)
{
	const struct https_request *r = t->r;

	if (r->body_from_fd)
		return pread_all(r->body_fd, p, n, r->body_offset + t->sent, t->e);
	memcpy(p, (const char *)r->body + t->sent, n);
	return true;
}

static size_t on_read(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	uint64_t left = t->body_n - t->sent;

	n *= size;
	if (n > left)
		n = (size_t)left;
	if (n == 0)
		return 0;
	if (!read_body(t, p, n)) {
		t->failed = true;
		return CURL_READFUNC_ABORT;
	}
	t->sent += n;
	if (t->r->on_sent)
		t->r->on_sent(t->r->arg, t->sent);
	return n;
}

/* curl rewinds when it has to send again on a fresh connection. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct transfer *t = arg;

	if (t->r->once || origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->body_n)
		return CURL_SEEKFUNC_FAIL;
	t->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

static int on_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
		       curl_off_t ulnow)
{
	const struct transfer *t = arg;

	(void)dltotal, (void)dlnow, (void)ultotal, (void)ulnow;
	return t->h->cancel && atomic_load(t->h->cancel);
}

/* ---- setting up -------------------------------------------------------------------------- */

#define SET(rc, curl, option, value)                                        \
	do {                                                                \
		if ((rc) == CURLE_OK)                                       \
			(rc) = curl_easy_setopt((curl), (option), (value)); \
	} while (0)

static CURLcode set_transport(struct https *h)
{
	CURL *c = h->curl;
	CURLcode rc = CURLE_OK;

	SET(rc, c, CURLOPT_PROTOCOLS_STR, h->plain_allowed && h->url.plain ? "http" : "https");
	SET(rc, c, CURLOPT_NOSIGNAL, 1L);
	SET(rc, c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(rc, c, CURLOPT_FOLLOWLOCATION, 0L);
	SET(rc, c, CURLOPT_PATH_AS_IS, 1L);
	SET(rc, c, CURLOPT_USERAGENT, h->user_agent);
	SET(rc, c, CURLOPT_CONNECTTIMEOUT_MS, (long)h->connect_timeout_ms);
	SET(rc, c, CURLOPT_LOW_SPEED_LIMIT, (long)h->low_speed_bytes);
	SET(rc, c, CURLOPT_LOW_SPEED_TIME, (long)h->low_speed_s);
	SET(rc, c, CURLOPT_MAXCONNECTS, 4L);
	SET(rc, c, CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BUFFER);
	SET(rc, c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(rc, c, CURLOPT_ERRORBUFFER, h->curl_error);
	if (h->proxy)
		SET(rc, c, CURLOPT_PROXY, h->proxy);
	else if (h->url.loopback) /* what the environment says is about the world outside */
		SET(rc, c, CURLOPT_NOPROXY, "*");
	return rc;
}

static CURLcode set_tls(struct https *h)
{
	CURL *c = h->curl;
	CURLcode rc = CURLE_OK;

	SET(rc, c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(rc, c, CURLOPT_SSL_CIPHER_LIST, tls12_ciphers);
	if (h->ca_file) {
		SET(rc, c, CURLOPT_CAINFO, h->ca_file);
		SET(rc, c, CURLOPT_CAPATH, NULL);
	}
	if (h->pin[0]) {
		SET(rc, c, CURLOPT_PINNEDPUBLICKEY, h->pin);
		SET(rc, c, CURLOPT_SSL_VERIFYPEER, 0L);
		SET(rc, c, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	return rc;
}

static CURLcode set_body(struct https *h, struct transfer *t)
{
	CURL *c = h->curl;
	CURLcode rc = CURLE_OK;
	const char *m = t->r->method;

	if (strcmp(m, "HEAD") == 0) {
		SET(rc, c, CURLOPT_NOBODY, 1L);
		return rc;
	}
	if (strcmp(m, "POST") == 0 || strcmp(m, "PUT") == 0 || strcmp(m, "PATCH") == 0) {
		SET(rc, c, CURLOPT_POST, 1L);
		SET(rc, c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body_n);
		SET(rc, c, CURLOPT_READFUNCTION, on_read);
		SET(rc, c, CURLOPT_READDATA, t);
		SET(rc, c, CURLOPT_SEEKFUNCTION, on_seek);
		SET(rc, c, CURLOPT_SEEKDATA, t);
	}
	SET(rc, c, CURLOPT_CUSTOMREQUEST, m);
	return rc;
}

static CURLcode set_request(struct https *h, struct transfer *t, struct curl_slist *headers)
{
	CURL *c = h->curl;
	CURLcode rc = CURLE_OK;

	SET(rc, c, CURLOPT_HTTPHEADER, headers);
	SET(rc, c, CURLOPT_TIMEOUT_MS, (long)t->r->total_timeout_ms);
	SET(rc, c, CURLOPT_HEADERFUNCTION, on_header);
	SET(rc, c, CURLOPT_HEADERDATA, t);
	SET(rc, c, CURLOPT_WRITEFUNCTION, on_body);
	SET(rc, c, CURLOPT_WRITEDATA, t);
	SET(rc, c, CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(rc, c, CURLOPT_XFERINFODATA, t);
	SET(rc, c, CURLOPT_NOPROGRESS, 0L);
	return rc;
}

static bool set_url(struct https *h, const char *path, struct err *e)
{
	CLEANUP(buf_done) struct buf url = BUF_INIT(LIMIT_HTTP_HEADERS);

	if (path[0] != '/' || strpbrk(path, " \t\r\n#"))
		return err_set(e, E_USAGE, "request path \"%.80s\"", path);
	if (!buf_printf(&url, e, "%s%s%s", h->url.origin, h->url.prefix, path))
		return false;
	if (curl_easy_setopt(h->curl, CURLOPT_URL, buf_str(&url)) != CURLE_OK)
		return err_nomem(e);
	return true;
}

static void slist_freep(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

static bool add_line(struct curl_slist **list, const char *line, struct err *e)
{
	struct curl_slist *longer;

	if (strpbrk(line, "\r\n") || !strchr(line, ':'))
		return err_set(e, E_USAGE, "request header \"%.40s\"", line);
	longer = curl_slist_append(*list, line);
	if (!longer)
		return err_nomem(e);
	*list = longer;
	return true;
}

/* curl would add its own Content-Type and wait for a 100: an empty "Name:" takes them away. */
static bool make_headers(struct curl_slist **list, const struct https_request *r, struct err *e)
{
	bool typed = false;

	for (size_t i = 0; i < r->n_headers; i++) {
		typed = typed || strncasecmp(r->headers[i], "content-type:", 13) == 0;
		if (!add_line(list, r->headers[i], e))
			return false;
	}
	return add_line(list, "Expect:", e) && (typed || add_line(list, "Content-Type:", e));
}

/* ---- errors ------------------------------------------------------------------------------ */

enum { HINTS = 32, HINT_SIZE = 256 };

/* struct err borrows its hint, and outlives the request and the thread that made it.  A server has a handful of
 * them; what one beyond that says is not kept (NULL). */
static const char *keep_hint(const char *text)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static char hints[HINTS][HINT_SIZE];
	char cut[HINT_SIZE];
	const char *kept = NULL;

	snprintf(cut, sizeof(cut), "%s", text);
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < HINTS && !kept; i++) {
		if (!hints[i][0])
			memcpy(hints[i], cut, sizeof(cut));
		if (strcmp(hints[i], cut) == 0)
			kept = hints[i];
	}
	pthread_mutex_unlock(&lock);
	return kept;
}

static const struct {
	int status;
	enum err_code code;
} by_status[] = {
	{ 400, E_FORMAT },    { 401, E_AUTH },        { 403, E_DENIED },
	{ 404, E_NOT_FOUND }, { 405, E_UNSUPPORTED }, { 408, E_TIMEOUT },
	{ 409, E_CONFLICT },  { 410, E_GONE },        { 412, E_CONFLICT },
	{ 413, E_TOO_BIG },   { 416, E_CORRUPT },     { 422, E_CORRUPT },
	{ 429, E_RATE },      { 460, E_CORRUPT },     { 501, E_UNSUPPORTED },
	{ 507, E_NO_SPACE },
};

static bool set_by_status(struct err *e, const struct https *h, int status)
{
	enum err_code code = status >= 500 ? E_UNAVAILABLE : E_FORMAT;

	if (status < 400) {
		err_set(e, E_UNSUPPORTED, "%s answered HTTP %d, a redirect", h->url.origin,
			status);
		return err_hint(e, "redirects are not followed; give the final address");
	}
	for (size_t i = 0; i < ARRAY_SIZE(by_status); i++) {
		if (by_status[i].status == status)
			code = by_status[i].code;
	}
	return err_set(e, code, "%s answered HTTP %d", h->url.origin, status);
}

/* {"code", "message", "hint"}; anything else has no message for us. */
static bool set_by_json(struct err *e, const struct https_answer *a)
{
	struct api_error got;
	struct err ignored;
	const char *hint;

	if (!api_error_parse(&got, a->body.p, a->body.n, &ignored))
		return false;
	err_from_name(e, got.code, "%s", got.message);
	hint = got.hint[0] ? keep_hint(got.hint) : NULL;
	if (hint)
		err_hint(e, hint);
	return true;
}

static bool http_error(struct err *e, const struct https *h, const struct https_answer *a)
{
	if (a->status >= 400 && a->body.n > 0 && set_by_json(e, a))
		return false;
	return set_by_status(e, h, a->status);
}

static enum err_code code_of_curl(CURLcode rc)
{
	switch (rc) {
	case CURLE_OPERATION_TIMEDOUT:
		return E_TIMEOUT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return E_UNTRUSTED;
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_URL_MALFORMAT:
	case CURLE_SSL_CIPHER:
		return E_CONFIG;
	case CURLE_OUT_OF_MEMORY:
		return E_NOMEM;
	case CURLE_ABORTED_BY_CALLBACK:
		return E_CANCELLED;
	default:
		return E_NETWORK;
	}
}

/* curl gathers a line of the head, or of a proxy's, before it shows it, and for one of more than
 * CURL_MAX_HTTP_HEADER bytes says that memory is short. */
static bool is_endless_line(const struct transfer *t, CURLcode rc)
{
	curl_off_t first_byte_us = 0;

	return rc == CURLE_OUT_OF_MEMORY && !t->head_done &&
	       curl_easy_getinfo(t->h->curl, CURLINFO_STARTTRANSFER_TIME_T, &first_byte_us) ==
		       CURLE_OK &&
	       first_byte_us > 0;
}

static bool curl_failed(struct err *e, const struct https *h, CURLcode rc)
{
	const char *what = h->curl_error[0] ? h->curl_error : curl_easy_strerror(rc);

	err_set(e, code_of_curl(rc), "%s: %s", h->url.origin, what);
	if (rc == CURLE_SSL_PINNEDPUBKEYNOTMATCH)
		return err_hint(
			e, "the server's key is not the one that was pinned: a new server key "
			   "needs a new login or ticket, anything else is an attack");
	if (e->code == E_UNTRUSTED)
		return err_hint(
			e,
			"give the right authorities (--ca-file) or the server's pin (--pin)");
	return false;
}

/* ---- one request ------------------------------------------------------------------------- */

static void answer_reset(struct https_answer *a)
{
	buf_reset(&a->body);
	buf_reset(&a->headers);
	a->status = 0;
	a->has_length = false;
	a->length = 0;
	a->retry_after_s = -1;
}

static bool prepare(struct transfer *t, struct curl_slist **headers)
{
	struct https *h = t->h;
	CURLcode rc;

	curl_easy_reset(h->curl); /* keeps connections and TLS sessions */
	h->curl_error[0] = '\0';
	if (!set_url(h, t->r->path, t->e) || !make_headers(headers, t->r, t->e))
		return false;
	rc = set_transport(h);
	if (rc == CURLE_OK && !h->url.plain)
		rc = set_tls(h);
	if (rc == CURLE_OK)
		rc = set_body(h, t);
	if (rc == CURLE_OK)
		rc = set_request(h, t, *headers);
	return rc == CURLE_OK || curl_failed(t->e, h, rc);
}

bool https_do(struct https *h, const struct https_request *r, struct https_answer *a,
	      struct err *e)
{
	CLEANUP(slist_freep) struct curl_slist *headers = NULL;
	struct transfer t = {
		.h = h,
		.r = r,
		.a = a,
		.e = e,
		.max_bytes = r->max_bytes ? r->max_bytes : LIMIT_ADMIN_BODY,
		.body_n = r->body_from_fd ? r->body_fd_n : r->body_n,
	};
	CURLcode rc;

	answer_reset(a);
	if (!prepare(&t, &headers))
		return false;
	rc = curl_easy_perform(h->curl);
	if (t.failed)
		return err_wrap(e, "%s", h->url.origin);
	if (t.head_done && !is_ok(&t))
		return http_error(e, h, a);
	if (is_endless_line(&t, rc))
		return err_set(e, E_TOO_BIG, "%s: a header line of more than %d bytes",
			       h->url.origin, CURL_MAX_HTTP_HEADER);
	if (rc != CURLE_OK)
		return curl_failed(e, h, rc);
	if (!t.head_done)
		return err_set(e, E_NETWORK, "%s: no answer", h->url.origin);
	return true;
}
