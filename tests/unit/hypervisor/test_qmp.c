#include "tests/support/unit.h"

#include "hypervisor/qmp.h"

static enum qmp_said said(const char *line)
{
	return qmp_parse(line, strlen(line));
}

/* Lines as QEMU 7.2 writes them. */
static void the_reasons_of_a_shutdown_are_told_apart(void **state UNUSED)
{
	assert_int_equal(
		said("{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": "
		     "\"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": "
		     "\"guest-shutdown\"}}"),
		QMP_SHUTDOWN_GUEST);
	assert_int_equal(
		said("{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": "
		     "\"guest-reset\"}}"),
		QMP_SHUTDOWN_RESET);
	assert_int_equal(
		said("{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": "
		     "\"guest-panic\"}}"),
		QMP_SHUTDOWN_RESET);
	assert_int_equal(
		said("{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": false, \"reason\": "
		     "\"host-signal\"}}"),
		QMP_SHUTDOWN_HOST);
}

static void all_else_means_nothing(void **state UNUSED)
{
	assert_int_equal(
		said("{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, "
		     "\"major\": 7}, \"package\": \"\"}, \"capabilities\": [\"oob\"]}}"),
		QMP_OTHER);
	assert_int_equal(said("{\"return\": {}}"), QMP_OTHER);
	assert_int_equal(said("{\"event\": \"POWERDOWN\"}"), QMP_OTHER);
	assert_int_equal(said("{\"event\": \"SHUTDOWN\"}"), QMP_OTHER);
	assert_int_equal(said("{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": 7}}"),
			 QMP_OTHER);
	assert_int_equal(said("[]"), QMP_OTHER);
	assert_int_equal(said("{\"event\": \"SHUTDOWN\", "), QMP_OTHER);
	assert_int_equal(said(""), QMP_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reasons_of_a_shutdown_are_told_apart),
		cmocka_unit_test(all_else_means_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
