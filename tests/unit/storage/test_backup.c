#include "tests/unit/storage/fixture.h"

#include "storage/backup.h"
#include "storage/objects_priv.h"

#include "base/io.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

struct paths {
	char backup[600], state[600];
};

static struct paths paths_of(void **state)
{
	struct paths p;

	snprintf(p.backup, sizeof(p.backup), "%s/backup", tmpdir_path(state));
	snprintf(p.state, sizeof(p.state), "%s/restored", tmpdir_path(state));
	return p;
}

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* A store with a bit of everything. */
static void fill(struct fixture *f)
{
	struct handset a;
	uint8_t sha[SHA256_SIZE] = { 1 };
	struct upload u;
	struct err e;

	publish(f->s, "phone", "1.0", 1);
	enrol(f->s, &a, 1, "sales");
	roll_out(f->s, "phone", "1.0", TARGET_ALL, "");
	plan_of(f->s, &a);
	direct(f->s, &a);
	assert_ok(uploads_create(f->s, sha, 10, 1, &u, &e), &e);
}

static void open_restored(struct fixture *f, const char *path, struct store **ret)
{
	struct store_options o = {
		.state_dir = path, .clock = &f->clock.base, .rng = &f->rng.base, .check = true
	};
	struct err e;

	assert_ok(store_open(ret, &o, &e), &e);
}

static void a_restored_store_serves_what_the_first_one_did(void **state)
{
	FIXTURE(f, state);
	struct paths p = paths_of(state);
	CLEANUP(store_freep) struct store *s = NULL;
	CLEANUP(release_full_done) struct release_full r = { 0 };
	struct audit_head before, after;
	struct backup_report made, got;
	struct object_totals t;
	struct device_counts n;
	struct err e;

	fill(&f);
	assert_ok(audit_head(f.s, &before, &e), &e);
	assert_ok(backup_make(f.s, p.backup, false, &made, &e), &e);
	assert_int_equal(made.objects, 3);
	assert_int_equal(made.linked, 3);
	publish(f.s, "phone", "2.0", 1); /* after the backup: not in it */
	assert_ok(backup_restore(p.backup, p.state, &got, &e), &e);
	assert_int_equal(got.objects, made.objects);
	assert_int_equal(got.bytes, made.bytes);
	assert_int_equal(got.created_at, NOW);

	open_restored(&f, p.state, &s);
	assert_ok(store_check(s, &e), &e);
	assert_ok(objects_check(s, &t, &e), &e);
	assert_int_equal(t.count, 3);
	assert_true(has_object(s, "1.0 object"));
	assert_ok(releases_get(s, "phone", "1.0", &r, &e), &e);
	assert_ok(devices_count(s, &n, &e), &e);
	assert_int_equal(n.active, 1);
	assert_ok(audit_verify(s, &after, &e), &e);
	assert_memory_equal(&before, &after, sizeof(before));
	publish(s, "phone", "3.0", 1); /* and it goes on */
}

static void keys_are_copied_only_when_asked_for(void **state)
{
	FIXTURE(f, state);
	struct paths p = paths_of(state);
	struct backup_report r;
	char back[16] = "", other[620];
	struct stat st;
	struct err e;
	int keys, dir;

	dir = open_dir(f.path);
	assert_ok(dir_open_at(&keys, dir, "keys", 0700, &e), &e);
	write_file_at(keys, "image-timestamp", "secret", 6);
	close(keys);
	close(dir);
	assert_ok(backup_make(f.s, p.backup, false, &r, &e), &e);
	dir = open_dir(p.backup);
	assert_false(file_exists_at(dir, "keys"));
	close(dir);

	snprintf(other, sizeof(other), "%s-with", p.backup);
	assert_ok(backup_make(f.s, other, true, &r, &e), &e);
	assert_int_equal(r.keys, 1);
	assert_ok(backup_restore(other, p.state, &r, &e), &e);
	assert_int_equal(r.keys, 1);
	dir = open_dir(p.state);
	assert_int_equal(fstatat(dir, "keys/image-timestamp", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(read_back_at(dir, "keys/image-timestamp", back, sizeof(back)), 6);
	assert_string_equal(back, "secret");
	close(dir);
}

static void a_folder_that_holds_something_is_not_touched(void **state)
{
	FIXTURE(f, state);
	struct paths p = paths_of(state);
	struct backup_report r;
	struct err e;

	write_file_at(tmpdir_fd(state), "mine", "x", 1);
	assert_fails(backup_make(f.s, tmpdir_path(state), false, &r, &e), &e, E_EXISTS);
	assert_ok(backup_make(f.s, p.backup, false, &r, &e), &e);
	assert_fails(backup_make(f.s, p.backup, false, &r, &e), &e, E_EXISTS);
	assert_fails(backup_restore(p.backup, f.path, &r, &e), &e, E_EXISTS);
	assert_fails(backup_restore(f.path, p.state, &r, &e), &e, E_FORMAT);
}

static void flip_in(int dirfd, const char *name, size_t at)
{
	/* Objects are read-only. */
	int fd = fchmodat(dirfd, name, 0600, 0) == 0 ? openat(dirfd, name, O_RDWR | O_CLOEXEC)
						     : -1;
	uint8_t byte;

	if (fd < 0) {
		fail_msg("%s cannot be opened", name);
	}
	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	flip_bit(&byte, 3);
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	close(fd);
}

static void one_flipped_bit_anywhere_is_found_and_the_result_refused(void **state)
{
	FIXTURE(f, state);
	struct backup_report r;
	struct object_path path;
	uint8_t sha[SHA256_SIZE];
	char object[80];
	struct err e;

	fill(&f);
	sha256(sha, "1.0 object", 10);
	object_path(&path, sha);
	snprintf(object, sizeof(object), "objects/%s/%s", path.dir, path.name);
	for (int i = 0; i < 6; i++) {
		const char *name = i < 5 ? "valise.db" : object;
		const size_t at[] = { 0, 100, 5000, 20000, 40000, 4 };
		struct store_options o = { .clock = &f.clock.base, .rng = &f.rng.base };
		char backup[620], to[620];
		struct store *s = NULL;
		int dir;

		snprintf(backup, sizeof(backup), "%s/b%d", tmpdir_path(state), i);
		snprintf(to, sizeof(to), "%s/r%d", tmpdir_path(state), i);
		assert_ok(backup_make(f.s, backup, false, &r, &e), &e);
		dir = open_dir(backup);
		flip_in(dir, name, at[i]);
		close(dir);
		assert_fails(backup_restore(backup, to, &r, &e), &e, E_CORRUPT);
		o.state_dir = to;
		assert_fails(store_open(&s, &o, &e), &e, E_CONFLICT);
	}
}

static void a_missing_object_or_summary_is_named(void **state)
{
	FIXTURE(f, state);
	struct paths p = paths_of(state);
	struct object_path path;
	struct backup_report r;
	uint8_t sha[SHA256_SIZE];
	char object[80];
	struct err e;
	int dir;

	fill(&f);
	sha256(sha, "1.0 tree", 8);
	object_path(&path, sha);
	snprintf(object, sizeof(object), "objects/%s/%s", path.dir, path.name);
	assert_ok(backup_make(f.s, p.backup, false, &r, &e), &e);
	dir = open_dir(p.backup);
	assert_int_equal(unlinkat(dir, object, 0), 0);
	assert_fails(backup_restore(p.backup, p.state, &r, &e), &e, E_CORRUPT);
	assert_non_null(strstr(e.text, path.name));
	assert_int_equal(unlinkat(dir, "backup", 0), 0);
	assert_fails(backup_restore(p.backup, p.state, &r, &e), &e, E_FORMAT);
	close(dir);
}

/* A restore would refuse all of it: said while the store is still there. */
static void a_backup_with_an_object_cut_short_or_replaced_is_none(void **state)
{
	FIXTURE(f, state);
	struct object_path path;
	struct backup_report r;
	uint8_t sha[SHA256_SIZE];
	char object[80], backup[620];
	struct err e;
	int dir;

	fill(&f);
	sha256(sha, "1.0 object", 10);
	object_path(&path, sha);
	snprintf(object, sizeof(object), "objects/%s/%s", path.dir, path.name);
	dir = open_dir(f.path);
	for (int i = 0; i < 4; i++) {
		snprintf(backup, sizeof(backup), "%s/b%d", tmpdir_path(state), i);
		assert_int_equal(unlinkat(dir, object, 0), 0);
		if (i == 0)
			write_file_at(dir, object, "1.0 objec", 9);
		else if (i == 1)
			assert_int_equal(symlinkat("/etc/passwd", dir, object), 0);
		else if (i == 2)
			assert_int_equal(mkfifoat(dir, object, 0600), 0);
		else
			write_file_at(dir, object, "1.0 object", 10);
		if (i < 3) {
			assert_fails(backup_make(f.s, backup, false, &r, &e), &e, E_CORRUPT);
			assert_non_null(strstr(e.text, path.name));
		} else {
			assert_ok(backup_make(f.s, backup, false, &r, &e), &e);
		}
	}
	close(dir);
}

static void a_summary_of_a_later_time_is_refused(void **state)
{
	FIXTURE(f, state);
	struct paths p = paths_of(state);
	static const char later[] = "format 2\n", newer[] = "format 1\nschema 9999\n",
			  junk[] = "format 1\nschema many\n";
	struct backup_report r;
	struct err e;
	int dir;

	assert_ok(backup_make(f.s, p.backup, false, &r, &e), &e);
	dir = open_dir(p.backup);
	write_file_at(dir, "backup", later, sizeof(later) - 1);
	assert_fails(backup_restore(p.backup, p.state, &r, &e), &e, E_UNSUPPORTED);
	write_file_at(dir, "backup", newer, sizeof(newer) - 1);
	assert_fails(backup_restore(p.backup, p.state, &r, &e), &e, E_UNSUPPORTED);
	write_file_at(dir, "backup", junk, sizeof(junk) - 1);
	assert_fails(backup_restore(p.backup, p.state, &r, &e), &e, E_FORMAT);
	close(dir);
}

/* ---- consistent while serving ---- */

struct server {
	struct store *s;
	bool stop;
	unsigned published;
};

static void *serve(void *arg)
{
	struct server *v = arg;
	struct objects_gc gc;
	struct err e;

	for (; !__atomic_load_n(&v->stop, __ATOMIC_ACQUIRE) || v->published < 10;
	     v->published++) {
		char version[16];

		snprintf(version, sizeof(version), "%u", v->published);
		publish(v->s, "phone", version, 1);
		if (!objects_gc(v->s, &gc, &e))
			return arg;
	}
	return NULL;
}

static void backups_made_while_serving_are_whole(void **state)
{
	FIXTURE(f, state);
	struct server v = { .s = f.s };
	pthread_t thread;
	struct err e;
	void *bad;

	assert_int_equal(pthread_create(&thread, NULL, serve, &v), 0);
	for (int i = 0; i < 5; i++) {
		CLEANUP(store_freep) struct store *s = NULL;
		char backup[620], to[620];
		struct backup_report r;
		struct object_totals t;

		snprintf(backup, sizeof(backup), "%s/b%d", tmpdir_path(state), i);
		snprintf(to, sizeof(to), "%s/r%d", tmpdir_path(state), i);
		assert_ok(backup_make(f.s, backup, false, &r, &e), &e);
		assert_ok(backup_restore(backup, to, &r, &e), &e);
		open_restored(&f, to, &s);
		assert_ok(store_check(s, &e), &e);
		assert_ok(objects_check(s, &t, &e), &e);
		assert_int_equal(t.count, r.objects);
	}
	__atomic_store_n(&v.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, &bad);
	assert_null(bad);
}

struct restoring {
	const char *backup, *state;
};

static void restore_once(void *ctx)
{
	const struct restoring *r = ctx;
	struct backup_report got;
	struct err e;

	if (!backup_restore(r->backup, r->state, &got, &e))
		_exit(1);
}

static void a_restore_cut_anywhere_is_refused_or_whole(void **state)
{
	FIXTURE(f, state);
	struct paths p = paths_of(state);
	struct backup_report made;
	unsigned whole = 0, n;
	struct err e;
	bool cut;

	fill(&f);
	assert_ok(backup_make(f.s, p.backup, false, &made, &e), &e);
	for (n = 1, cut = true; cut; n++) {
		char to[640];
		struct restoring r = { p.backup, to };
		struct store_options o = { .state_dir = to,
					   .clock = &f.clock.base,
					   .rng = &f.rng.base };
		struct store *s = NULL;
		struct object_totals t;

		snprintf(to, sizeof(to), "%s-%u", p.state, n);
		cut = fault_power_cut(n, restore_once, &r);
		if (!store_open(&s, &o, &e)) {
			assert_int_equal(e.code, E_CONFLICT);
			continue;
		}
		assert_ok(objects_check(s, &t, &e), &e);
		if (t.count == made.objects)
			whole++;
		else
			assert_int_equal(t.count,
					 0); /* cut before the first file: a new, empty store */
		store_free(s);
	}
	assert_in_range(whole, 1, 3); /* the last run, and cuts after the mark was removed */
	assert_in_range(n, 20, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(a_restored_store_serves_what_the_first_one_did),
		TMPDIR_TEST(keys_are_copied_only_when_asked_for),
		TMPDIR_TEST(a_folder_that_holds_something_is_not_touched),
		TMPDIR_TEST(one_flipped_bit_anywhere_is_found_and_the_result_refused),
		TMPDIR_TEST(a_missing_object_or_summary_is_named),
		TMPDIR_TEST(a_backup_with_an_object_cut_short_or_replaced_is_none),
		TMPDIR_TEST(a_summary_of_a_later_time_is_refused),
		TMPDIR_TEST(backups_made_while_serving_are_whole),
		TMPDIR_TEST(a_restore_cut_anywhere_is_refused_or_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
