/* Decoders of texts: what they accept is exactly what the encoder writes for the result. */
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must_be(const char *again, const char *s, size_t n)
{
	if (strlen(again) != n || memcmp(again, s, n) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const char *s = (const char *)p;
	uint8_t raw[256];
	char again[BASE64_SIZE(256) + HEX_SIZE(256)], zero_ended[257];
	size_t raw_n;
	uint64_t v;
	int64_t t;

	if (base64_decode(raw, sizeof(raw), &raw_n, s, n)) {
		base64_encode(again, raw, raw_n);
		must_be(again, s, n);
	}
	if (base32_decode(raw, sizeof(raw), &raw_n, s, n)) {
		base32_encode(again, raw, raw_n);
		must_be(again, s, n);
	}
	if (n / 2 <= sizeof(raw) && hex_decode(raw, n / 2, s, n)) {
		hex_encode(again, raw, n / 2);
		must_be(again, s, n);
	}
	if (u64_parse(&v, s, n)) {
		snprintf(again, sizeof(again), "%llu", (unsigned long long)v);
		must_be(again, s, n);
	}
	if (time_parse(&t, s, n)) {
		time_format(again, t);
		must_be(again, s, n);
	}
	if (n < sizeof(zero_ended)) {
		memcpy(zero_ended, s, n);
		zero_ended[n] = 0;
		(void)size_parse(&v, zero_ended);
		(void)duration_parse(&v, zero_ended);
		if (name_is_valid(zero_ended, 64) && strchr(zero_ended, '/'))
			abort();
		text_distance(zero_ended, "valise");
	}
	return 0;
}
