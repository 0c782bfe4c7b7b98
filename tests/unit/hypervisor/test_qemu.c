#include "tests/support/unit.h"

#include "hypervisor/qemu.h"

static const struct qemu_fds fds = { .kernel = 20,
				     .initrd = 21,
				     .qmp = 22,
				     .serial = 23,
				     .health = 24,
				     .control = 25,
				     .net = -1 };

static struct launch_spec spec;

static int make_spec(void **state UNUSED)
{
	launch_spec_init(&spec);
	snprintf(spec.id, sizeof(spec.id), "b1");
	snprintf(spec.arch, sizeof(spec.arch), "x86_64");
	snprintf(spec.cmdline, sizeof(spec.cmdline), "console=ttyS0 a=b,c");
	spec.memory_mib = 512;
	spec.vcpus = 2;
	spec.disks[0] =
		(struct launch_disk){ .name = "system", .readonly = true, .file.fd = 7 };
	spec.disks[1] = (struct launch_disk){ .name = "data", .readonly = false, .file.fd = 8 };
	spec.n_disks = 2;
	return 0;
}

static const char *behind(const struct qemu_args *a, const char *option, unsigned nth)
{
	for (size_t i = 0; i + 1 < a->n; i++)
		if (strcmp(a->v[i], option) == 0 && nth-- == 0)
			return a->v[i + 1];
	fail_msg("no %s", option);
	return NULL;
}

static bool has(const struct qemu_args *a, const char *text)
{
	for (size_t i = 0; i < a->n; i++)
		if (strstr(a->v[i], text))
			return true;
	return false;
}

static void the_machine_is_what_the_spec_says_and_no_more(void **state UNUSED)
{
	CLEANUP(qemu_args_done) struct qemu_args a;
	struct err e;

	assert_ok(qemu_args_init(&a, &spec, &fds, false, &e), &e);
	assert_null(a.v[a.n]);
	assert_string_equal(a.v[0], QEMU_X86_64);
	assert_string_equal(behind(&a, "-smp", 0), "2");
	assert_string_equal(behind(&a, "-m", 0), "512M");
	assert_string_equal(behind(&a, "-accel", 0), "tcg");
	assert_string_equal(behind(&a, "-append", 0), "console=ttyS0 a=b,c");
	assert_string_equal(behind(&a, "-kernel", 0), "/proc/self/fd/20");
	assert_non_null(strstr(behind(&a, "-blockdev", 0), "read-only=on"));
	assert_non_null(strstr(behind(&a, "-blockdev", 1), "read-only=off"));
	assert_true(has(&a, "drive=disk0,serial=system"));
	assert_true(has(&a, "drive=disk1,serial=data"));
	assert_true(has(&a, "-nodefaults"));
	assert_true(has(&a, "elevateprivileges=deny,spawn=deny"));
	assert_false(has(&a, "netdev"));
	assert_false(has(&a, "virtio-net"));
	assert_false(has(&a, "fsdev"));
}

static void every_descriptor_it_uses_is_kept_and_no_other(void **state UNUSED)
{
	static const int wanted[] = { 20, 21, 22, 23, 24, 25, 7, 8 };
	CLEANUP(qemu_args_done) struct qemu_args a;
	struct err e;

	assert_ok(qemu_args_init(&a, &spec, &fds, true, &e), &e);
	assert_string_equal(behind(&a, "-accel", 0), "kvm");
	assert_int_equal(a.n_keep_fds, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		assert_int_equal(a.keep_fds[i], wanted[i]);
}

static void a_card_is_there_only_with_a_gate(void **state UNUSED)
{
	CLEANUP(qemu_args_done) struct qemu_args a;
	struct qemu_fds with_net = fds;
	struct err e;

	with_net.net = 26;
	assert_ok(qemu_args_init(&a, &spec, &with_net, false, &e), &e);
	assert_string_equal(behind(&a, "-netdev", 0), "socket,id=net,fd=26");
	assert_true(has(&a, "virtio-net-pci,netdev=net"));
}

static void the_largest_spec_fits(void **state UNUSED)
{
	CLEANUP(qemu_args_done) struct qemu_args a;
	struct err e;

	memset(spec.cmdline, 'x', LAUNCH_CMDLINE_MAX);
	spec.cmdline[LAUNCH_CMDLINE_MAX] = '\0';
	for (size_t i = 0; i < LAUNCH_DISKS_MAX; i++)
		snprintf(spec.disks[i].name, sizeof(spec.disks[i].name), "disk-%zu", i);
	spec.n_disks = LAUNCH_DISKS_MAX;
	assert_ok(qemu_args_init(&a, &spec, &fds, false, &e), &e);
	assert_string_equal(behind(&a, "-append", 0), spec.cmdline);
}

static void a_guest_of_another_architecture_is_refused(void **state UNUSED)
{
	CLEANUP(qemu_args_done) struct qemu_args a;
	struct err e;

	snprintf(spec.arch, sizeof(spec.arch), "aarch64");
	assert_fails(qemu_args_init(&a, &spec, &fds, false, &e), &e, E_UNSUPPORTED);
}

#define SPEC_TEST(f) cmocka_unit_test_setup(f, make_spec)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPEC_TEST(the_machine_is_what_the_spec_says_and_no_more),
		SPEC_TEST(every_descriptor_it_uses_is_kept_and_no_other),
		SPEC_TEST(a_card_is_there_only_with_a_gate),
		SPEC_TEST(the_largest_spec_fits),
		SPEC_TEST(a_guest_of_another_architecture_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
