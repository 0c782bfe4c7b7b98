#include "tests/support/unit.h"

#include "tests/support/repo.h"

static void a_first_refresh_asks_for_each_file_once(void **state)
{
	CLEANUP(repo_done) struct repo r;
	struct err e;

	repo_init(&r);
	assert_ok(repo_refresh(&r, &e), &e);
	assert_string_equal(r.log, "2.root.json timestamp.json 1.snapshot.json 1.targets.json");
	assert_ok(repo_refresh(&r, &e), &e);
	assert_string_equal(r.log, "2.root.json timestamp.json");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_first_refresh_asks_for_each_file_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
