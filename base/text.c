#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base32_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* By character: the digit's value and 1, or 0.  Every signed request has 200 such characters. */
struct values {
	uint8_t plus_one[256];
};
static struct values hex_values, base64_values, base32_values;

static void fill_values(struct values *v, const char *digits)
{
	for (unsigned i = 0; digits[i]; i++)
		v->plus_one[(unsigned char)digits[i]] = (uint8_t)(i + 1);
}

__attribute__((constructor)) static void fill_all_values(void)
{
	fill_values(&hex_values, hex_digits);
	fill_values(&base64_values, base64_digits);
	fill_values(&base32_values, base32_digits);
}

/* The value of a digit, or -1. */
static int digit(const struct values *v, char c)
{
	return v->plus_one[(unsigned char)c] - 1;
}

void hex_encode(char *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		*out++ = hex_digits[p[i] >> 4];
		*out++ = hex_digits[p[i] & 15];
	}
	*out = 0;
}

bool hex_decode(uint8_t *out, size_t n, const char *s, size_t s_len)
{
	if (s_len % 2 != 0 || s_len / 2 != n)
		return false;
	for (size_t i = 0; i < s_len; i++) {
		if (digit(&hex_values, s[i]) < 0)
			return false;
	}
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(digit(&hex_values, s[2 * i]) << 4 |
				   digit(&hex_values, s[2 * i + 1]));
	return true;
}

/* Both bases are bits written most significant first, `width` to a digit. */
static char *bits_encode(char *out, const uint8_t *p, size_t n, const char *digits,
			 unsigned width)
{
	unsigned acc = 0, bits = 0;

	for (size_t i = 0; i < n; i++) {
		acc = acc << 8 | p[i];
		for (bits += 8; bits >= width; bits -= width)
			*out++ = digits[acc >> (bits - width) & ((1u << width) - 1)];
		acc &= (1u << bits) - 1;
	}
	if (bits > 0)
		*out++ = digits[acc << (width - bits) & ((1u << width) - 1)];
	*out = 0;
	return out;
}

/* Checks first and writes then, so that a refused text leaves out untouched. */
static bool bits_decode(uint8_t *out, size_t max, size_t *ret_n, const char *s, size_t s_len,
			const struct values *digits, unsigned width)
{
	size_t n = s_len / 8 * width + s_len % 8 * width / 8;
	unsigned left = (unsigned)(s_len % 8 * width % 8); /* padding bits in the last digit */
	unsigned acc = 0, bits = 0;

	if (n > max || left >= width)
		return false;
	for (size_t i = 0; i < s_len; i++) {
		if (digit(digits, s[i]) < 0)
			return false;
	}
	if (left > 0 && (digit(digits, s[s_len - 1]) & ((1 << left) - 1)) != 0)
		return false;

	for (size_t i = 0; i < s_len; i++) {
		acc = acc << width | (unsigned)digit(digits, s[i]);
		bits += width;
		if (bits >= 8) {
			bits -= 8;
			*out++ = (uint8_t)(acc >> bits);
			acc &= (1u << bits) - 1;
		}
	}
	*ret_n = n;
	return true;
}

void base64_encode(char *out, const uint8_t *p, size_t n)
{
	char *end = bits_encode(out, p, n, base64_digits, 6);

	while ((end - out) % 4 != 0)
		*end++ = '=';
	*end = 0;
}

bool base64_decode(uint8_t *out, size_t max, size_t *ret_n, const char *s, size_t s_len)
{
	if (s_len % 4 != 0)
		return false;
	for (int i = 0; i < 2 && s_len > 0 && s[s_len - 1] == '='; i++)
		s_len--;
	return bits_decode(out, max, ret_n, s, s_len, &base64_values, 6);
}

void base32_encode(char *out, const uint8_t *p, size_t n)
{
	bits_encode(out, p, n, base32_digits, 5);
}

bool base32_decode(uint8_t *out, size_t max, size_t *ret_n, const char *s, size_t s_len)
{
	return bits_decode(out, max, ret_n, s, s_len, &base32_values, 5);
}

bool u64_parse(uint64_t *ret, const char *s, size_t n)
{
	uint64_t v = 0;

	if (n == 0 || (n > 1 && s[0] == '0'))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (unsigned)(s[i] - '0'), &v))
			return false;
	}
	*ret = v;
	return true;
}

static bool size_unit(uint64_t *ret, const char *s)
{
	static const char units[] = "KMGT";
	const char *at = *s ? strchr(units, *s) : NULL;

	if (!*s) {
		*ret = 1;
		return true;
	}
	if (!at || (s[1] && strcmp(s + 1, "iB") != 0))
		return false;
	*ret = UINT64_C(1) << 10 * (at - units + 1);
	return true;
}

bool size_parse(uint64_t *ret_bytes, const char *s)
{
	size_t whole_n = strspn(s, "0123456789"), part_n = 0;
	uint64_t whole, unit, scale = 1, part = 0;
	const char *rest = s + whole_n;

	if (*rest == '.') {
		part_n = strspn(rest + 1, "0123456789");
		for (size_t i = 0; i < part_n && i < 6; i++) {
			part = part * 10 + (uint64_t)(rest[1 + i] - '0');
			scale *= 10;
		}
		if (part_n == 0 || part_n > 6)
			return false;
		rest += 1 + part_n;
	}
	if (!u64_parse(&whole, s, whole_n) || !size_unit(&unit, rest) ||
	    (part_n > 0 && unit == 1) || __builtin_mul_overflow(whole, unit, &whole) ||
	    __builtin_add_overflow(whole, part * unit / scale, &whole))
		return false;
	*ret_bytes = whole;
	return true;
}

bool duration_parse(uint64_t *ret_s, const char *s)
{
	size_t n = strspn(s, "0123456789");
	uint64_t v, unit;

	switch (s[n]) {
	case 0:
	case 's':
		unit = 1;
		break;
	case 'm':
		unit = 60;
		break;
	case 'h':
		unit = 3600;
		break;
	case 'd':
		unit = 86400;
		break;
	default:
		return false;
	}
	if ((s[n] && s[n + 1]) || !u64_parse(&v, s, n) || __builtin_mul_overflow(v, unit, &v))
		return false;
	*ret_s = v;
	return true;
}

void size_format(char out[static TEXT_SIZE_MAX], uint64_t bytes)
{
	static const char *const units[] = { "kB", "MB", "GB", "TB", "PB", "EB" };
	uint64_t tenth = 100; /* a tenth of the unit */
	size_t u = 0;

	if (bytes < 1000) {
		snprintf(out, TEXT_SIZE_MAX, "%" PRIu64 " B", bytes);
		return;
	}
	/* 999.95 of one unit would be shown as 1000.0: that is 1.0 of the next. */
	while (u + 1 < ARRAY_SIZE(units) && bytes >= tenth * 10000 - tenth / 2) {
		tenth *= 1000;
		u++;
	}
	bytes = bytes / tenth + (bytes % tenth >= tenth / 2);
	snprintf(out, TEXT_SIZE_MAX, "%" PRIu64 ".%" PRIu64 " %s", bytes / 10, bytes % 10,
		 units[u]);
}

/* Days between 1970-01-01 and a day of the Gregorian calendar, and back.  Years are counted from
 * March, which puts the leap day last; an era is 400 years.  After Howard Hinnant's
 * "chrono-compatible low-level date algorithms". */
static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
	int64_t era;
	unsigned year_of_era, day_of_year, day_of_era;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	year_of_era = (unsigned)(y - era * 400);
	day_of_year = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t z, unsigned *ret_y, unsigned *ret_m, unsigned *ret_d)
{
	unsigned era, doe, yoe, doy, mp;

	z += 719468; /* not negative: callers stay within the years 0000 to 9999 */
	era = (unsigned)(z / 146097);
	doe = (unsigned)(z % 146097);
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	*ret_d = doy - (153 * mp + 2) / 5 + 1;
	*ret_m = mp < 10 ? mp + 3 : mp - 9;
	*ret_y = yoe + era * 400 + (*ret_m <= 2);
}

/* The range that four digits of year can show, from March of year 0 for simplicity. */
#define TIME_MIN (INT64_C(-719468) * 86400)
#define TIME_MAX INT64_C(253402300799)

void time_format(char out[static TIME_TEXT_SIZE], int64_t unix_s)
{
	int64_t t = unix_s < TIME_MIN ? TIME_MIN : unix_s > TIME_MAX ? TIME_MAX : unix_s;
	int64_t days = t / 86400 - (t % 86400 < 0);
	unsigned s = (unsigned)(t - days * 86400), y, m, d;

	civil_from_days(days, &y, &m, &d);
	snprintf(out, TIME_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02uZ", y % 10000, m % 100,
		 d % 100, s / 3600 % 100, s / 60 % 60, s % 60);
}

static bool two_digits(unsigned *ret, const char *s)
{
	int a = digit(&hex_values, s[0]), b = digit(&hex_values, s[1]);

	*ret = (unsigned)(a * 10 + b);
	return a >= 0 && a <= 9 && b >= 0 && b <= 9;
}

static unsigned days_in_month(unsigned y, unsigned m)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

	return days[m - 1] + (m == 2 && leap);
}

bool time_parse(int64_t *ret_unix_s, const char *s, size_t n)
{
	unsigned century, year, y, m, d, hour, min, sec;
	int64_t t;

	if (n != TIME_TEXT_SIZE - 1 || s[4] != '-' || s[7] != '-' || s[10] != 'T' ||
	    s[13] != ':' || s[16] != ':' || s[19] != 'Z')
		return false;
	if (!two_digits(&century, s) || !two_digits(&year, s + 2) || !two_digits(&m, s + 5) ||
	    !two_digits(&d, s + 8) || !two_digits(&hour, s + 11) || !two_digits(&min, s + 14) ||
	    !two_digits(&sec, s + 17))
		return false;
	y = century * 100 + year;
	if (m < 1 || m > 12 || d < 1 || d > days_in_month(y, m) || hour > 23 || min > 59 ||
	    sec > 59)
		return false;
	t = days_from_civil(y, m, d) * 86400 + hour * 3600 + min * 60 + sec;
	if (t < TIME_MIN)
		return false;
	*ret_unix_s = t;
	return true;
}

bool name_is_valid(const char *s, size_t max)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-");

	return n > 0 && n <= max && !s[n] && !strchr("._-", s[0]) && !strstr(s, "..");
}

bool name_check(const char *s, size_t max, const char *what, struct err *e)
{
	if (name_is_valid(s, max))
		return true;
	err_set(e, E_USAGE, "\"%.80s\" is no name for a %s", s, what);
	return err_hint(e,
			"a-z, 0-9 and '.', '_', '-' inside, such as field-sales; not too long");
}

size_t utf8_char(const void *s, size_t n)
{
	const uint8_t *p = s;
	uint8_t low = 0x80, high = 0xbf;
	size_t len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (len > n)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0; /* overlong */
	else if (p[0] == 0xed)
		high = 0x9f; /* surrogates */
	else if (p[0] == 0xf0)
		low = 0x90; /* overlong */
	else if (p[0] == 0xf4)
		high = 0x8f; /* above U+10FFFF */
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return len;
}

size_t text_char(const void *s, size_t n)
{
	const uint8_t *p = s;
	size_t len = utf8_char(p, n);

	if (len == 1)
		return p[0] >= 0x20 && p[0] != 0x7f;
	if (len == 2 && p[0] == 0xc2 && p[1] < 0xa0) /* U+0080 to U+009F */
		return 0;
	if (len == 3 && p[0] == 0xe2 &&
	    ((p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) || /* U+2028 to U+202E */
	     (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9)))  /* U+2066 to U+2069 */
		return 0;
	return len;
}

size_t text_tail(const char *s, size_t n, size_t max)
{
	size_t from = n > max ? n - max : 0;

	while (from > 0 && from < n && ((uint8_t)s[from] & 0xc0) == 0x80)
		from++;
	return from;
}

void text_clean(char *s, size_t n, const char *keep)
{
	for (size_t i = 0, len; i < n; i += len) {
		len = text_char(s + i, n - i);
		if (len > 0)
			continue;
		len = 1;
		if (!s[i] || !strchr(keep, s[i]))
			s[i] = '?';
	}
}

bool bytes_equal_ct(const void *a, const void *b, size_t n)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t diff = 0;

	for (size_t i = 0; i < n; i++)
		diff |= x[i] ^ y[i];
	return diff == 0;
}

unsigned text_distance(const char *a, const char *b)
{
	enum { MAX = 40 };
	size_t a_n = strnlen(a, MAX), b_n = strnlen(b, MAX);
	unsigned row[MAX + 1];

	for (unsigned j = 0; j <= b_n; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a_n; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_n; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[b_n];
}
