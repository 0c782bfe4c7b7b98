/* Request paths: first byte the method, then the path.  Parameters lie within it and are not empty. */
#include "proto/api.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const char *path = (const char *)p + 1;
	struct api_match m;
	unsigned allowed;
	struct err e;

	if (n < 1 || !api_match(&m, &allowed, (enum api_method)(p[0] % 6), path, n - 1, &e))
		return 0;
	for (size_t i = 0; i < API_PARAMS; i++) {
		const char *s = m.params[i].p;

		if (!s)
			continue;
		fuzz_must(s >= path && m.params[i].n > 0 && s + m.params[i].n <= path + n - 1,
			  "a parameter outside of the path");
		fuzz_must(api_routes[m.route].scopes != SCOPE_NONE ||
				  m.params[i].n <= LIMIT_PATH,
			  "longer than a path");
		fuzz_must(strchr(api_routes[m.route].pattern, '*') ||
				  !memchr(s, '/', m.params[i].n),
			  "a slash in a segment");
	}
	return 0;
}
