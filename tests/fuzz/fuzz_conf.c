/* Settings text: whatever it holds, it is read whole or changes nothing. */
#include "base/conf.h"

#include <stdlib.h>

struct settings {
	uint64_t n, size, time_s, choice;
	bool flag;
	char *text;
};

static const char *const choices[] = { "one", "two", NULL };
static const struct conf_row rows[] = {
	{ "n", CONF_UINT, offsetof(struct settings, n), "1", "", .max = 9 },
	{ "size", CONF_SIZE, offsetof(struct settings, size), "1M", "" },
	{ "time", CONF_DURATION, offsetof(struct settings, time_s), "1h", "", .min = 1 },
	{ "choice", CONF_CHOICE, offsetof(struct settings, choice), "one", "",
	  .choices = choices },
	{ "flag", CONF_BOOL, offsetof(struct settings, flag), "no", "" },
	{ "text", CONF_STRING, offsetof(struct settings, text), "", "", .max = 8 },
};

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct settings s;
	struct err e;
	char *before;
	bool ok;

	if (!conf_defaults(&s, rows, ARRAY_SIZE(rows), &e))
		abort();
	before = s.text;
	ok = conf_parse(&s, rows, ARRAY_SIZE(rows), "f", (const char *)p, n, &e);
	if (!ok && (s.text != before || s.n != 1 || s.flag))
		abort();
	if (ok && (s.n > 9 || s.time_s < 1 || s.choice > 1))
		abort();
	conf_done(&s, rows, ARRAY_SIZE(rows));
	return 0;
}
