#include "proto/ticket.h"

#include "base/bytes.h"
#include "base/secret.h"
#include "base/text.h"

#include <string.h>

enum {
	VERSION = 1,
	FLAG_PIN = 1,
	HEAD = 116, /* all before the URL */
	CHECK = 4,
	RAW_MAX = HEAD + LIMIT_URL + CHECK,
};

static const char prefix[] = "VALISE1:";
enum { PREFIX = sizeof(prefix) - 1 };

_Static_assert(PREFIX + BASE32_SIZE(RAW_MAX) - 1 <= LIMIT_TICKET, "every ticket fits");

/* ---- URL ---- */

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Behind "[": hex digits, colons and dots up to "]". */
static const char *skip_bracketed(const char *s)
{
	const char *p = s + 1;

	while (is_alnum(*p) || *p == ':' || *p == '.')
		p++;
	return p > s + 1 && *p == ']' ? p + 1 : NULL;
}

static const char *skip_host(const char *s)
{
	const char *p = s;

	if (*s == '[')
		return skip_bracketed(s);
	while (is_alnum(*p) || *p == '-' || *p == '.')
		p++;
	return p > s && *s != '.' && *s != '-' ? p : NULL;
}

static const char *skip_port(const char *s)
{
	size_t n = strspn(s, "0123456789");
	uint64_t port;

	if (!u64_parse(&port, s, n) || port < 1 || port > 65535)
		return NULL;
	return s + n;
}

/* Segments of unreserved characters (RFC 3986 section 2.3); "." and ".." would be resolved away. */
static bool prefix_ok(const char *s)
{
	while (*s == '/') {
		const char *start = ++s;

		while (is_alnum(*s) || (*s && strchr("-._~", *s)))
			s++;
		if (s == start || strspn(start, ".") == (size_t)(s - start))
			return false;
	}
	return !*s;
}

bool server_url_check(const char *url, struct err *e)
{
	const char *p = url;
	static const char scheme[] = "https://";

	if (strlen(url) > LIMIT_URL)
		return err_set(e, E_FORMAT, "the URL has more than %d bytes", LIMIT_URL);
	if (strncmp(p, scheme, sizeof(scheme) - 1) != 0)
		return err_set(e, E_FORMAT, "\"%.80s\" does not begin with https://", url);
	p = skip_host(p + sizeof(scheme) - 1);
	if (!p)
		return err_set(e, E_FORMAT, "\"%.80s\": the host is not valid", url);
	if (*p == ':') {
		p = skip_port(p + 1);
		if (!p)
			return err_set(e, E_FORMAT,
				       "\"%.80s\": the port is not within 1 and 65535", url);
	}
	if (!prefix_ok(p))
		return err_set(
			e, E_FORMAT,
			"\"%.80s\": behind the host only /segments without a slash at the end",
			url);
	return true;
}

/* ---- the text ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool all_zero(const uint8_t *p, size_t n)
{
	uint8_t all = 0;

	for (size_t i = 0; i < n; i++)
		all |= p[i];
	return all == 0;
}

/* raw is complete and its checksum right. */
static bool read_fields(struct ticket *ret, const uint8_t *raw, size_t n, struct err *e)
{
	struct ticket t = { .has_pin = (raw[1] & FLAG_PIN) != 0 };
	size_t url_n = get_le16(raw + 114);

	if (raw[0] != VERSION || (raw[1] & ~FLAG_PIN))
		return err_set(e, E_UNSUPPORTED, "a ticket of a newer kind");
	if (url_n != n - HEAD - CHECK || url_n > LIMIT_URL)
		return err_set(e, E_FORMAT, "the ticket's URL has another length than it says");
	memcpy(t.token, raw + 2, sizeof(t.token));
	memcpy(t.image_root, raw + 18, sizeof(t.image_root));
	memcpy(t.director_root, raw + 50, sizeof(t.director_root));
	memcpy(t.pin, raw + 82, sizeof(t.pin));
	memcpy(t.url, raw + HEAD, url_n);
	if (!t.has_pin && !all_zero(t.pin, sizeof(t.pin)))
		return err_set(e, E_FORMAT, "a pin that the flags do not announce");
	if (memchr(t.url, 0, url_n) || !server_url_check(t.url, e))
		return err_set(e, E_FORMAT, "the ticket's URL is not valid");
	*ret = t;
	wipe(&t, sizeof(t));
	return true;
}

static bool parse_raw(struct ticket *ret, const uint8_t *raw, size_t n, struct err *e)
{
	uint8_t sum[SHA256_SIZE];

	if (n < HEAD + CHECK)
		return err_set(e, E_FORMAT, "the ticket is too short");
	sha256(sum, raw, n - CHECK);
	if (memcmp(sum, raw + n - CHECK, CHECK) != 0)
		return err_set(e, E_CORRUPT, "the ticket has a damaged or missing letter");
	return read_fields(ret, raw, n, e);
}

static bool parse_text(struct ticket *ret, const char *s, size_t n, struct err *e)
{
	uint8_t raw[RAW_MAX];
	size_t raw_n;
	bool ok;

	while (n > 0 && is_blank(s[0]))
		s++, n--;
	while (n > 0 && is_blank(s[n - 1]))
		n--;
	if (n < PREFIX || memcmp(s, prefix, PREFIX) != 0)
		return err_set(e, E_FORMAT, "a ticket begins with %s", prefix);
	if (n > LIMIT_TICKET)
		return err_set(e, E_TOO_BIG, "a ticket has at most %d letters", LIMIT_TICKET);
	if (!base32_decode(raw, sizeof(raw), &raw_n, s + PREFIX, n - PREFIX))
		return err_set(e, E_CORRUPT, "the ticket has a damaged or missing letter");
	ok = parse_raw(ret, raw, raw_n, e);
	wipe(raw, sizeof(raw));
	return ok;
}

bool ticket_parse(struct ticket *ret, const char *s, size_t n, struct err *e)
{
	if (parse_text(ret, s, n, e))
		return true;
	return e->code == E_FORMAT || e->code == E_CORRUPT || e->code == E_TOO_BIG
		       ? err_hint(e, "copy the whole ticket, from VALISE1: to its last letter")
		       : false;
}

bool ticket_encode(char out[static LIMIT_TICKET + 1], const struct ticket *t, struct err *e)
{
	uint8_t raw[RAW_MAX] = { VERSION, t->has_pin ? FLAG_PIN : 0 }, sum[SHA256_SIZE];
	size_t url_n = strlen(t->url), n = HEAD + url_n;

	if (!server_url_check(t->url, e))
		return false;
	memcpy(raw + 2, t->token, sizeof(t->token));
	memcpy(raw + 18, t->image_root, sizeof(t->image_root));
	memcpy(raw + 50, t->director_root, sizeof(t->director_root));
	if (t->has_pin)
		memcpy(raw + 82, t->pin, sizeof(t->pin));
	put_le16(raw + 114, (uint16_t)url_n);
	memcpy(raw + HEAD, t->url, url_n);
	sha256(sum, raw, n);
	memcpy(raw + n, sum, CHECK);
	memcpy(out, prefix, PREFIX);
	base32_encode(out + PREFIX, raw, n + CHECK);
	wipe(raw, sizeof(raw));
	return true;
}
