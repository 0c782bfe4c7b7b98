/* Names of roles and targets: which delegation covers what, and how names become file names. */
#include "base/text.h"
#include "proto/tuf.h"

#include <inttypes.h>
#include <string.h>

static bool is_utf8_tail(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

bool tuf_pattern_matches(const char *pattern, const char *path)
{
	const char *star = NULL,
		   *mark = NULL; /* behind the last '*', and what it matched up to */

	while (*path) {
		if (*pattern == '*') {
			star = ++pattern;
			mark = path;
		} else if (*pattern == *path) {
			pattern++;
			path++;
		} else if (*pattern == '?' && *path != '/') {
			pattern++;
			for (path++; is_utf8_tail(*path); path++)
				;
		} else if (star && *mark != '/') {
			pattern = star;
			path = ++mark;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

static bool any_prefix(const struct jval *prefixes, const char *path)
{
	uint8_t hash[SHA256_SIZE];
	char hex[HEX_SIZE(SHA256_SIZE)];

	sha256(hash, path, strlen(path));
	hex_encode(hex, hash, sizeof(hash));
	for (size_t i = 0; i < jarr_n(prefixes); i++) {
		const char *prefix = jval_str(jarr_at(prefixes, i), NULL);

		if (strncmp(hex, prefix, strlen(prefix)) == 0)
			return true;
	}
	return false;
}

bool tuf_role_covers(const struct tuf_role *role, const char *path)
{
	if (role->path_hash_prefixes)
		return any_prefix(role->path_hash_prefixes, path);
	for (size_t i = 0; role->paths && i < jarr_n(role->paths); i++)
		if (tuf_pattern_matches(jval_str(jarr_at(role->paths, i), NULL), path))
			return true;
	return false;
}

/* ---- succinct roles (TAP 15) -------------------------------------------------------------- */

/* Hex digits of the highest number. */
static int succinct_digits(const struct tuf_meta *m)
{
	return (int)(m->succinct_bits + 3) / 4;
}

void tuf_succinct_name(char *out, size_t out_size, const struct tuf_meta *m, const char *path)
{
	uint8_t hash[SHA256_SIZE];
	uint32_t top;

	sha256(hash, path, strlen(path));
	top = (uint32_t)hash[0] << 24 | (uint32_t)hash[1] << 16 | (uint32_t)hash[2] << 8 |
	      hash[3];
	snprintf(out, out_size, "%s-%0*" PRIx32, m->succinct_prefix, succinct_digits(m),
		 top >> (32 - m->succinct_bits));
}

static bool is_succinct_name(const struct tuf_meta *m, const char *name)
{
	size_t n = strlen(m->succinct_prefix), digits = (size_t)succinct_digits(m);
	uint64_t number = 0;

	if (strncmp(name, m->succinct_prefix, n) != 0 || name[n] != '-' ||
	    strlen(name + n + 1) != digits)
		return false;
	for (const char *c = name + n + 1; *c; c++) {
		const char *at = strchr("0123456789abcdef", *c);

		if (!at)
			return false;
		number = number << 4 | (uint64_t)(at - "0123456789abcdef");
	}
	return number >> m->succinct_bits == 0;
}

const struct tuf_role *tuf_role_get(const struct tuf_meta *delegator, const char *name)
{
	if (delegator->succinct_bits > 0)
		return is_succinct_name(delegator, name) ? &delegator->roles[0] : NULL;
	for (size_t i = 0; i < delegator->n_roles; i++)
		if (strcmp(delegator->roles[i].name, name) == 0)
			return &delegator->roles[i];
	return NULL;
}

/* ---- names -------------------------------------------------------------------------------- */

/* c is not NUL. */
static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       strchr("-._~", c);
}

bool tuf_file_name(char out[static TUF_FILE_NAME_SIZE], const char *role, uint64_t version,
		   struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(TUF_FILE_NAME_SIZE - 1);

	if (version > 0 && !buf_printf(&b, e, "%" PRIu64 ".", version))
		return err_wrap(e, "file name of a role");
	for (const char *c = role; *c; c++)
		if (is_unreserved(*c) ? !buf_add(&b, c, 1, e)
				      : !buf_printf(&b, e, "%%%02X", (unsigned char)*c))
			return err_wrap(e, "file name of a role");
	if (!buf_add_str(&b, ".json", e))
		return err_wrap(e, "file name of a role");
	memcpy(out, b.p, b.n + 1);
	return true;
}

static bool is_good_part(const char *p, size_t n)
{
	return n > 0 && !(n == 1 && p[0] == '.') && !(n == 2 && p[0] == '.' && p[1] == '.');
}

bool tuf_path_is_valid(const char *path)
{
	size_t n = strnlen(path, LIMIT_TUF_PATH + 1);

	if (n > LIMIT_TUF_PATH)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)path[i] < 0x20 || path[i] == 0x7f || path[i] == '\\')
			return false;
	for (const char *part = path;; part++) {
		size_t len = strcspn(part, "/");

		if (!is_good_part(part, len))
			return false;
		part += len;
		if (*part == '\0')
			return true;
	}
}

bool tuf_consistent_path(struct buf *out, const struct tuf_target *t, struct err *e)
{
	char hex[HEX_SIZE(SHA512_SIZE)];
	const char *slash = strrchr(t->path, '/');
	int dir = slash ? (int)(slash - t->path) + 1 : 0;

	if (t->hashes.has_sha256)
		hex_encode(hex, t->hashes.sha256, SHA256_SIZE);
	else if (t->hashes.has_sha512)
		hex_encode(hex, t->hashes.sha512, SHA512_SIZE);
	else
		return err_set(e, E_UNSUPPORTED, "%.200s: no hash of a known kind", t->path);
	return buf_printf(out, e, "%.*s%s.%s", dir, t->path, hex, t->path + dir);
}
