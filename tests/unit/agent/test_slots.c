#include "tests/support/unit.h"

#include "tests/support/fault.h"
#include "tests/unit/agent/fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* acme/1.0 with kernel and system, as the fixture installs it, in an open slot. */
struct installed {
	int slot;
	struct release_id id;
	struct release *release;
	const struct model *model;
};

static struct installed install(void **state)
{
	struct installed i = { .id = fixture_install(state, SLOT_A, "1.0", 1) };
	struct err e;

	assert_ok(slot_open(&i.slot, tmpdir_fd(state), SLOT_A, &e), &e);
	assert_ok(slot_release(&i.release, i.slot, &i.id, &e), &e);
	i.model = &i.release->models[0];
	return i;
}

static void uninstall(struct installed *i)
{
	release_free(i->release);
	fd_closep(&i->slot);
}

static void a_manifest_is_the_one_of_the_record_or_the_slot_is_damaged(void **state)
{
	struct installed i = install(state);
	struct release *r = NULL;
	struct err e;

	i.id.manifest[31] ^= 1;
	assert_fails(slot_release(&r, i.slot, &i.id, &e), &e, E_CORRUPT);
	i.id.manifest[31] ^= 1;
	/* Gone is damaged as well: it is staged again, where "not found" would be final. */
	assert_int_equal(unlinkat(i.slot, "release.json", 0), 0);
	assert_fails(slot_release(&r, i.slot, &i.id, &e), &e, E_CORRUPT);
	assert_null(r);
	uninstall(&i);
}

static void a_component_is_there_in_its_whole_length_or_the_slot_is_damaged(void **state)
{
	struct installed i = install(state);
	const struct component *c = &i.release->components[1];
	struct stat st;
	struct err e;
	int fd = -1;

	assert_int_equal(fstatat(i.slot, "system", &st, 0), 0);
	for (int by = -1; by <= 1; by++) {
		CLEANUP(fd_closep) int file = openat(i.slot, "system", O_RDWR | O_CLOEXEC);
		assert_int_equal(ftruncate(file, st.st_size + by), 0);
		if (by == 0) {
			assert_ok(slot_component(&fd, i.slot, c, &e), &e);
			fd_closep(&fd);
		} else {
			assert_fails(slot_component(&fd, i.slot, c, &e), &e, E_CORRUPT);
			assert_int_equal(fd, -1);
		}
	}
	assert_int_equal(unlinkat(i.slot, "system", 0), 0);
	assert_fails(slot_component(&fd, i.slot, c, &e), &e, E_CORRUPT);
	assert_int_equal(symlinkat("kernel", i.slot, "system"), 0);
	assert_false(slot_component(&fd, i.slot, c, &e));
	uninstall(&i);
}

static void a_slot_is_cleared_of_all_that_the_model_does_not_boot(void **state)
{
	static const char *const others[] = { "old", "old.hash", "kernel.old", "release.json" };
	struct installed i = install(state);
	struct model kernel_only = *i.model;
	struct err e;

	kernel_only.n_disks = 0;
	for (size_t k = 0; k < ARRAY_SIZE(others); k++)
		write_file_at(i.slot, others[k], "x", 1);
	write_file_at(i.slot, "kernel.hash", "x", 1);
	assert_ok(slot_clear_for(i.slot, i.release, i.model, &e), &e);
	for (size_t k = 0; k < ARRAY_SIZE(others); k++)
		assert_false(file_exists_at(i.slot, others[k]));
	assert_true(file_exists_at(i.slot, "kernel"));
	assert_true(file_exists_at(i.slot, "kernel.hash"));
	assert_true(file_exists_at(i.slot, "system"));
	/* The same release for a model that boots less of it. */
	assert_ok(slot_clear_for(i.slot, i.release, &kernel_only, &e), &e);
	assert_true(file_exists_at(i.slot, "kernel"));
	assert_false(file_exists_at(i.slot, "system"));
	uninstall(&i);
}

/* Else the power could bring the manifest back over bytes that were overwritten since. */
static void nothing_is_cleared_before_the_manifest_is_gone_for_good(void **state)
{
	struct installed i = install(state);
	struct err e;

	write_file_at(i.slot, "old", "x", 1);
	fault_arm(FAULT_SYNC, 1);
	bool ok = slot_clear_for(i.slot, i.release, i.model, &e);
	assert_true(fault_disarm());
	assert_fails(ok, &e, E_SYSTEM);
	assert_true(file_exists_at(i.slot, "old"));
	uninstall(&i);
}

static void names_collide_only_among_what_the_model_boots(void **state)
{
	static const char *const bad[] = { "release.json", "kernel.hash", "x.hash" };
	struct installed i = install(state);
	struct model kernel_only = *i.model;
	struct err e;

	kernel_only.n_disks = 0;
	for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
		snprintf(i.release->components[1].name, sizeof(i.release->components[1].name),
			 "%s", bad[k]);
		assert_fails(slot_names_fit(i.release, i.model, &e), &e, E_FORMAT);
		assert_ok(slot_names_fit(i.release, &kernel_only, &e), &e);
	}
	uninstall(&i);
}

static void room_is_needed_for_what_the_model_boots_and_is_not_there(void **state)
{
	struct installed i = install(state);
	struct model kernel_only = *i.model;
	uint64_t now, without, least;
	struct err e;

	kernel_only.n_disks = 0;
	assert_ok(slot_bytes_missing(&now, i.slot, i.release, i.model, &e), &e);
	assert_int_equal(unlinkat(i.slot, "system", 0), 0);
	assert_ok(slot_bytes_missing(&without, i.slot, i.release, i.model, &e), &e);
	assert_int_equal(without - now, (FIXTURE_DISK + 4095) / 4096 * 4096);
	assert_ok(slot_bytes_missing(&least, i.slot, i.release, &kernel_only, &e), &e);
	assert_true(least < without - FIXTURE_DISK);
	uninstall(&i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(a_manifest_is_the_one_of_the_record_or_the_slot_is_damaged),
		TMPDIR_TEST(a_component_is_there_in_its_whole_length_or_the_slot_is_damaged),
		TMPDIR_TEST(a_slot_is_cleared_of_all_that_the_model_does_not_boot),
		TMPDIR_TEST(nothing_is_cleared_before_the_manifest_is_gone_for_good),
		TMPDIR_TEST(names_collide_only_among_what_the_model_boots),
		TMPDIR_TEST(room_is_needed_for_what_the_model_boots_and_is_not_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
