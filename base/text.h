/* base/text.h - bytes as text and back (hex, base64, base32), numbers and times, strictly read.
 *
 * Every decoder refuses what an encoder would not have written (upper-case hex, missing or
 * non-zero padding bits, leading zeros, trailing bytes): two texts never mean the same bytes.
 * Outputs change on success only. */
#ifndef VALISE_BASE_TEXT_H
#define VALISE_BASE_TEXT_H

#include "base/buf.h"

#define HEX_SIZE(n) (2 * (n) + 1)              /* with the NUL */
#define BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1) /* padded, with the NUL; RFC 4648 section 4 */
#define BASE32_SIZE(n) ((8 * (n) + 4) / 5 + 1) /* unpadded, with the NUL; section 6 */

void hex_encode(char *out, const uint8_t *p, size_t n); /* lower case; out holds HEX_SIZE(n) */
bool hex_decode(uint8_t *out, size_t n, const char *s, size_t s_len); /* exactly n bytes */

void base64_encode(char *out, const uint8_t *p, size_t n);
bool base64_decode(uint8_t *out, size_t max, size_t *ret_n, const char *s, size_t s_len);

void base32_encode(char *out, const uint8_t *p, size_t n);
bool base32_decode(uint8_t *out, size_t max, size_t *ret_n, const char *s, size_t s_len);

/* Whole decimal numbers, nothing before or behind, no sign, no leading zero. */
bool u64_parse(uint64_t *ret, const char *s, size_t n);

/* "64M", "2GiB", "900", "1.5G": bytes; powers of 1024.  For settings and options. */
bool size_parse(uint64_t *ret_bytes, const char *s);
/* "90", "90s", "15m", "12h", "7d": seconds.  For settings, options and policy durations. */
bool duration_parse(uint64_t *ret_s, const char *s);

/* "12.3 MB", "1.1 GB" (powers of 1000, as downloads are shown); out holds TEXT_SIZE_MAX. */
enum { TEXT_SIZE_MAX = 24 };
void size_format(char out[static TEXT_SIZE_MAX], uint64_t bytes);

/* RFC 3339 in UTC with seconds, "2026-11-22T15:41:00Z": the only form TUF allows.
 * Seconds since 1970; the decoder refuses dates that do not exist, leap
 * seconds, and the time before March of year 0; the encoder clamps to what four digits can show. */
enum { TIME_TEXT_SIZE = 21 };
void time_format(char out[static TIME_TEXT_SIZE], int64_t unix_s);
bool time_parse(int64_t *ret_unix_s, const char *s, size_t n);

/* Names that may appear in paths, URLs and file names: [a-z0-9][a-z0-9._-]*, at most max bytes,
 * never "..".  Products, versions, components, groups and policies are such names. */
bool name_is_valid(const char *s, size_t max);
/* The same for a name that a person typed: E_USAGE says what it was to be ("group"), the hint the rule. */
bool name_check(const char *s, size_t max, const char *what, struct err *e) MUST_USE;

/* Bytes of the well-formed UTF-8 character at s (n > 0), 0 if there is none (Unicode 15, table 3-7). */
size_t utf8_char(const void *s, size_t n);
/* The same, but 0 also for what does something to a terminal, or to the order in which people read
 * what stands beside it: control characters (C0, DEL, C1), line and paragraph separators, and
 * embeddings, overrides and isolates of direction (UAX #9; CVE-2021-42574). */
size_t text_char(const void *s, size_t n);
/* Where the end of a UTF-8 text begins that has at most max bytes and only whole characters. */
size_t text_tail(const char *s, size_t n, size_t max);
/* Makes '?' of every byte that belongs to no such character and is not one of `keep`. */
void text_clean(char *s, size_t n, const char *keep);

/* Compares without telling by its duration where the difference is. */
bool bytes_equal_ct(const void *a, const void *b, size_t n);

/* How many letters must be added, dropped or changed (of the first 40): for "did you mean". */
unsigned text_distance(const char *a, const char *b);

#endif
