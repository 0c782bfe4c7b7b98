/* Headers of tus uploads, and allow rules, which are short texts too. */
#include "proto/allow.h"
#include "proto/tus.h"
#include "tests/fuzz/fuzz.h"

static void check_allow(const char *s, size_t n)
{
	char zero_ended[512], text[ALLOW_TEXT_SIZE];
	struct allow a;
	struct err e;

	if (n >= sizeof(zero_ended) || memchr(s, 0, n))
		return;
	memcpy(zero_ended, s, n);
	zero_ended[n] = 0;
	if (!allow_parse(&a, zero_ended, &e))
		return;
	allow_format(text, &a);
	fuzz_must(strcmp(text, zero_ended) == 0, "a rule with two texts");
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const char *s = (const char *)p;
	char text[TUS_METADATA_SIZE];
	uint8_t digest[SHA256_SIZE], again[SHA256_SIZE];
	uint64_t number;
	struct err e;

	if (tus_number_parse(&number, s, n, 1 << 30, &e))
		fuzz_must(number <= 1 << 30, "above the limit");
	if (tus_metadata_parse(digest, s, n, &e)) {
		tus_metadata_format(text, digest);
		fuzz_must(tus_metadata_parse(again, text, strlen(text), &e) &&
				  memcmp(digest, again, sizeof(digest)) == 0,
			  "metadata does not come back");
	}
	if (tus_checksum_parse(digest, s, n, &e)) {
		tus_checksum_format(text, digest);
		fuzz_must(strlen(text) == n && memcmp(text, s, n) == 0,
			  "another checksum text");
	}
	(void)!tus_version_check(s, n, &e);
	check_allow(s, n);
	return 0;
}
