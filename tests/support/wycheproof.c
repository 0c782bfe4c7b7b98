#include "tests/support/unit.h"
#include "tests/support/wycheproof.h"

#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>

static void run_group(const struct jval *group, void (*check)(const struct vector *v))
{
	const struct jval *tests = jobj_opt(group, "tests");

	for (size_t i = 0; i < jarr_n(tests); i++) {
		const struct jval *test = jarr_at(tests, i);
		const char *result = vector_text(test, "result");
		struct vector v = {
			.group = group,
			.test = test,
			.id = jval_int(jobj_opt(test, "tcId")),
			.valid = strcmp(result, "valid") == 0,
			.acceptable = strcmp(result, "acceptable") == 0,
		};
		check(&v);
	}
}

void wycheproof_run(const char *file, void (*check)(const struct vector *v))
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(16 << 20);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct jval *groups;
	char path[256];
	struct err e;

	snprintf(path, sizeof(path), "../shared/vectors/wycheproof/%s", file);
	if (!read_file_at(AT_FDCWD, path, &text, &e)) {
		print_message("%s is not there\n", path);
		skip();
	}
	assert_ok(jdoc_parse(&d, text.p, text.n, &e), &e);
	groups = jobj_opt(jdoc_root(d), "testGroups");
	assert_true(jarr_n(groups) > 0);
	for (size_t i = 0; i < jarr_n(groups); i++)
		run_group(jarr_at(groups, i), check);
}

const char *vector_text(const struct jval *obj, const char *key)
{
	const struct jval *v = jobj_opt(obj, key);

	assert_non_null(v);
	return jval_str(v, NULL);
}

uint8_t *vector_hex(const struct vector *v, const char *key, size_t *ret_n)
{
	const char *hex = vector_text(v->test, key);
	size_t n = strlen(hex) / 2;
	uint8_t *p = malloc(n + 1);

	assert_non_null(p);
	assert_true(hex_decode(p, n, hex, 2 * n));
	*ret_n = n;
	return p;
}
