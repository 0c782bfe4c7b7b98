#include "proto/tus.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool tus_version_check(const char *value, size_t n, struct err *e)
{
	if (n != sizeof(TUS_VERSION) - 1 || memcmp(value, TUS_VERSION, n) != 0)
		return err_set(e, E_UNSUPPORTED,
			       "Tus-Resumable: only " TUS_VERSION " is known here");
	return true;
}

static bool all_digits(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return n > 0;
}

bool tus_number_parse(uint64_t *ret, const char *value, size_t n, uint64_t max, struct err *e)
{
	uint64_t v;

	if (!all_digits(value, n))
		return err_set(e, E_FORMAT, "not a non-negative integer");
	while (n > 1 && value[0] == '0')
		value++, n--;
	if (!u64_parse(&v, value, n) || v > max)
		return err_set(e, E_TOO_BIG, "at most %" PRIu64 " bytes", max);
	*ret = v;
	return true;
}

/* ---- Upload-Metadata ---- */

static const char digest_key[] = "sha256";
enum { KEYS_MAX = 16, KEY_MAX = 128 };

struct pair {
	const char *key, *value; /* value: base64, NULL for none */
	size_t key_n, value_n;
};

/* One "key base64value" or "key". */
static bool read_pair(struct pair *ret, const char *s, size_t n, struct err *e)
{
	const char *blank = memchr(s, ' ', n);

	ret->key = s;
	ret->key_n = blank ? (size_t)(blank - s) : n;
	ret->value = blank ? blank + 1 : NULL;
	ret->value_n = blank ? n - ret->key_n - 1 : 0;
	if (ret->key_n == 0 || ret->key_n > KEY_MAX)
		return err_set(e, E_FORMAT, "Upload-Metadata: a key of %zu bytes", ret->key_n);
	for (size_t i = 0; i < ret->key_n; i++)
		if (s[i] < 0x21 || s[i] > 0x7e)
			return err_set(e, E_FORMAT,
				       "Upload-Metadata: keys are printable ASCII");
	return true;
}

static bool same_key(const struct pair *a, const char *key, size_t n)
{
	return a->key_n == n && memcmp(a->key, key, n) == 0;
}

static bool read_digest(uint8_t ret[static SHA256_SIZE], const struct pair *p, struct err *e)
{
	uint8_t hex[2 * SHA256_SIZE];
	size_t n;

	if (!p->value || !base64_decode(hex, sizeof(hex), &n, p->value, p->value_n) ||
	    !hex_decode(ret, SHA256_SIZE, (const char *)hex, n))
		return err_set(
			e, E_FORMAT,
			"Upload-Metadata: sha256: not the base64 of 64 hexadecimal digits");
	return true;
}

static bool split_pairs(struct pair *ret, size_t *ret_n, const char *s, size_t n, struct err *e)
{
	const char *end = s + n;
	size_t count = 0;

	while (s <= end) {
		const char *comma = memchr(s, ',', (size_t)(end - s));
		const char *stop = comma ? comma : end;

		if (count == KEYS_MAX)
			return err_set(e, E_TOO_BIG, "Upload-Metadata: more than %d keys",
				       KEYS_MAX);
		while (count > 0 && s < stop &&
		       *s == ' ') /* behind a comma, as some clients do */
			s++;
		if (!read_pair(&ret[count], s, (size_t)(stop - s), e))
			return false;
		for (size_t i = 0; i < count; i++)
			if (same_key(&ret[i], ret[count].key, ret[count].key_n))
				return err_set(e, E_FORMAT,
					       "Upload-Metadata: a key is there twice");
		count++;
		s = stop + 1;
	}
	*ret_n = count;
	return true;
}

bool tus_metadata_parse(uint8_t ret_sha256[static SHA256_SIZE], const char *value, size_t n,
			struct err *e)
{
	struct pair pairs[KEYS_MAX];
	size_t count;

	if (!split_pairs(pairs, &count, value, n, e))
		return false;
	for (size_t i = 0; i < count; i++)
		if (same_key(&pairs[i], digest_key, sizeof(digest_key) - 1))
			return read_digest(ret_sha256, &pairs[i], e);
	return err_set(e, E_FORMAT, "Upload-Metadata: sha256: missing");
}

void tus_metadata_format(char out[static TUS_METADATA_SIZE],
			 const uint8_t sha256[static SHA256_SIZE])
{
	char hex[HEX_SIZE(SHA256_SIZE)];

	hex_encode(hex, sha256, SHA256_SIZE);
	memcpy(out, "sha256 ", 7);
	base64_encode(out + 7, (const uint8_t *)hex, 2 * SHA256_SIZE);
}

/* ---- Upload-Checksum ---- */

bool tus_checksum_parse(uint8_t ret[static SHA256_SIZE], const char *value, size_t n,
			struct err *e)
{
	struct pair p;
	uint8_t sum[SHA256_SIZE];
	size_t got;

	if (!read_pair(&p, value, n, e))
		return err_set(e, E_FORMAT, "Upload-Checksum: not \"algorithm base64\"");
	if (!same_key(&p, digest_key, sizeof(digest_key) - 1))
		return err_set(e, E_UNSUPPORTED,
			       "Upload-Checksum: only " TUS_CHECKSUMS " is known here");
	if (!p.value || !base64_decode(sum, sizeof(sum), &got, p.value, p.value_n) ||
	    got != sizeof(sum))
		return err_set(e, E_FORMAT, "Upload-Checksum: not the base64 of 32 bytes");
	memcpy(ret, sum, sizeof(sum));
	return true;
}

void tus_checksum_format(char out[static TUS_CHECKSUM_SIZE],
			 const uint8_t sha256[static SHA256_SIZE])
{
	memcpy(out, "sha256 ", 7);
	base64_encode(out + 7, sha256, SHA256_SIZE);
}
