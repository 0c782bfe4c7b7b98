/* Server URLs: what is taken apart can be put together, and is the same when read again. */
#include "client/https_priv.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char text[LIMIT_URL + 2], again[2 * LIMIT_URL + 32];
	struct url u, v;
	struct err e;

	if (n >= sizeof(text))
		return 0;
	memcpy(text, p, n);
	text[n] = '\0';
	if (!url_parse(&u, text, true, &e))
		return 0;
	fuzz_must(!u.plain || u.loopback, "plain http to the world");
	fuzz_must(!strpbrk(u.authority, "@/?# \\"), "authority");
	snprintf(again, sizeof(again), "%s%s", u.origin, u.prefix);
	fuzz_must(url_parse(&v, again, true, &e), "cannot be read again");
	fuzz_must(strcmp(u.origin, v.origin) == 0 && strcmp(u.prefix, v.prefix) == 0,
		  "reads differently again");
	return 0;
}
