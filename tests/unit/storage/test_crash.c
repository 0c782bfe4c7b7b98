/* The power goes at every write, sync, rename and link of publishing, uploading and enrolling:
 * what was acknowledged is there, everything else is whole or absent. */
#include "tests/unit/storage/fixture.h"
#include "tests/unit/storage/powerloss.h"

#include "storage/store_priv.h"

#include <sys/mman.h>

static const char text[] = "The quick brown fox jumps over the lazy dog";
enum { N = sizeof(text) - 1, OWNER = 1 };

/* Shared with the child: what it had acknowledged when the power went. */
struct told {
	unsigned steps;
	uint64_t offset;
};

struct run {
	struct fixture *f;
	struct told *told; /* in memory that both processes see */
	const char *id;
	char version[16];
	struct handset handset;
};

static struct told *told_new(void)
{
	struct told *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(t != MAP_FAILED);
	return t;
}

/* In the child: the store is opened there, as a server does after a start. */
static void open_in_child(struct run *r)
{
	fixture_open(r->f);
}

static void reopen_and_check(struct fixture *f)
{
	struct object_totals t;
	struct audit_head head;
	struct err e;

	fixture_open(f);
	assert_ok(store_check(f->s, &e), &e);
	assert_ok(objects_check(f->s, &t, &e), &e);
	assert_ok(audit_verify(f->s, &head, &e), &e);
}

/* ---- publishing ---- */

static void publish_in_child(void *ctx)
{
	struct run *r = ctx;
	struct tuf_file tuf = {
		.repo = TUF_IMAGE, .role = "timestamp", .version = 1, .text = "t", .n = 1
	};
	enum release_put put;
	struct sample p;
	struct err e;

	open_in_child(r);
	sample_make(&p, "phone", r->version, 1);
	sample_upload(r->f->s, &p);
	r->told->steps = 1;
	p.r.tuf = &tuf;
	p.r.tuf_n = 1;
	assert_ok(releases_publish(r->f->s, &p.r, "token:k1", &put, &e), &e);
	r->told->steps = 2;
}

static void look_at_release(struct run *r)
{
	CLEANUP(release_full_done) struct release_full full = { 0 };
	CLEANUP(tuf_text_done) struct tuf_text t = { 0 };
	struct store *s = r->f->s;
	struct sample p;
	struct err e;
	bool shown;

	sample_make(&p, "phone", r->version, 1);
	if (r->told->steps >= 1) {
		assert_true(has_object(s, p.object));
		assert_true(has_object(s, p.tree));
	}
	shown = releases_get(s, "phone", r->version, &full, &e);
	assert_true(shown || r->told->steps < 2);
	assert_true(shown == tuf_get(s, TUF_IMAGE, "timestamp", 1, &t, &e));
	if (shown) {
		assert_int_equal(full.components_n, 1);
		assert_true(has_object(s, p.manifest));
		assert_true(has_object(s, p.object));
	}
}

static unsigned cut_publishing(void **state, bool keep)
{
	struct run r = { .told = told_new() };
	unsigned n;

	for (n = 1;; n++) {
		struct fixture f;
		char dir[600];
		bool cut;

		snprintf(dir, sizeof(dir), "%s/%d-%u", tmpdir_path(state), keep, n);
		fixture_start(&f, dir, n);
		fixture_end(&f);
		r.f = &f;
		*r.told = (struct told){ 0 };
		snprintf(r.version, sizeof(r.version), "%u", n);
		cut = power_cut(n, keep, publish_in_child, &r);
		reopen_and_check(&f);
		look_at_release(&r);
		/* What is left over does not stand in the way: the same publish ends well. */
		if (cut && r.told->steps < 2) {
			enum release_put put;
			struct sample p;
			struct err e;

			sample_make(&p, "phone", r.version, 1);
			sample_upload(f.s, &p);
			assert_ok(releases_publish(f.s, &p.r, "token:k1", &put, &e), &e);
		}
		fixture_end(&f);
		if (!cut)
			break;
	}
	assert_int_equal(r.told->steps, 2);
	return n;
}

static void a_publish_cut_anywhere_is_whole_or_absent(void **state)
{
	assert_in_range(cut_publishing(state, false), 30, 1000);
	assert_in_range(cut_publishing(state, true), 30, 1000);
}

/* ---- uploading ---- */

static void upload_in_child(void *ctx)
{
	struct run *r = ctx;
	static const size_t cuts[] = { 10, 30, N };
	struct upload_append *a;
	struct upload u;
	struct err e;
	size_t at = 0;

	open_in_child(r);
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		assert_ok(upload_begin(&a, r->f->s, r->id, OWNER, at, &e), &e);
		assert_ok(upload_write(a, text + at, cuts[i] - at, &e), &e);
		assert_ok(upload_end(&a, NULL, &u, &e), &e);
		at = u.offset;
		r->told->offset = at;
	}
	assert_true(u.done);
	r->told->steps = 1;
}

static void finish_upload(struct run *r)
{
	struct upload_append *a;
	struct upload u;
	struct err e;

	assert_ok(uploads_get(r->f->s, r->id, OWNER, &u, &e), &e);
	assert_true(u.offset >= r->told->offset);
	assert_true(u.done || r->told->steps == 0);
	if (!u.done) {
		assert_ok(upload_begin(&a, r->f->s, r->id, OWNER, u.offset, &e), &e);
		assert_ok(upload_write(a, text + u.offset, N - u.offset, &e), &e);
		assert_ok(upload_end(&a, NULL, &u, &e), &e);
	}
	assert_true(u.done);
	assert_true(has_object(r->f->s, text));
}

static unsigned cut_uploading(void **state, bool keep)
{
	struct run r = { .told = told_new() };
	unsigned n;

	for (n = 1;; n++) {
		uint8_t sha[SHA256_SIZE];
		struct fixture f;
		struct upload u;
		char dir[600];
		struct err e;
		bool cut;

		snprintf(dir, sizeof(dir), "%s/%d-%u", tmpdir_path(state), keep, n);
		fixture_start(&f, dir, n);
		sha256(sha, text, N);
		assert_ok(uploads_create(f.s, sha, N, OWNER, &u, &e), &e);
		fixture_end(&f);
		r.f = &f;
		r.id = u.id;
		*r.told = (struct told){ 0 };
		cut = power_cut(n, keep, upload_in_child, &r);
		reopen_and_check(&f);
		finish_upload(&r);
		fixture_reopen(&f);
		assert_int_equal(count_files_at(f.s->uploads_fd), 0);
		fixture_end(&f);
		if (!cut)
			break;
	}
	assert_int_equal(r.told->steps, 1);
	return n;
}

static void an_upload_cut_anywhere_goes_on_from_what_was_acknowledged(void **state)
{
	assert_in_range(cut_uploading(state, false), 20, 1000);
	assert_in_range(cut_uploading(state, true), 20, 1000);
}

/* ---- enrolling ---- */

static void enrol_in_child(void *ctx)
{
	struct run *r = ctx;
	struct enrolled got;
	struct err e;

	open_in_child(r);
	assert_ok(devices_enrol(r->f->s, &r->handset.in, &got, &e), &e);
	r->told->steps = 1;
}

static void an_enrolment_cut_anywhere_used_the_ticket_for_a_device_or_not_at_all(void **state)
{
	struct run r = { .told = told_new() };
	unsigned n;

	for (n = 1;; n++) {
		struct fixture f;
		struct ticket_row t;
		struct device_checkin c;
		struct enrolled got;
		char dir[600];
		struct err e;
		bool cut, there;

		snprintf(dir, sizeof(dir), "%s/%u", tmpdir_path(state), n);
		fixture_start(&f, dir, n);
		handset_make(&r.handset, n);
		ticket_make(f.s, "sales", false, r.handset.token);
		fixture_end(&f);
		r.f = &f;
		*r.told = (struct told){ 0 };
		cut = power_cut(n, false, enrol_in_child, &r);
		reopen_and_check(&f);
		assert_ok(tickets_get(f.s, 1, &t, &e), &e);
		there = devices_checkin(f.s, r.handset.id, &c, &e);
		assert_true(there == (t.state == TICKET_USED));
		assert_true(there || r.told->steps == 0);
		assert_ok(devices_enrol(f.s, &r.handset.in, &got, &e),
			  &e); /* the agent asks again */
		assert_true(got.known == there);
		fixture_end(&f);
		if (!cut)
			break;
	}
	assert_in_range(n, 5, 1000);
}

/* ---- the first start ---- */

static void start_in_child(void *ctx)
{
	struct run *r = ctx;
	struct err e;

	open_in_child(r);
	assert_ok(audit_add(r->f->s, "console", "test.add", "x", "", &e), &e);
	r->told->steps = 1;
}

static void a_first_start_cut_anywhere_starts_again(void **state)
{
	struct run r = { .told = told_new() };
	unsigned n;
	bool cut = true;

	for (n = 1; cut; n++) {
		struct fixture f = { 0 };
		struct audit_head head;
		struct err e;

		clock_fake_init(&f.clock, NOW);
		fixture_rng_init(&f.rng, n);
		snprintf(f.path, sizeof(f.path), "%s/%u", tmpdir_path(state), n);
		r.f = &f;
		*r.told = (struct told){ 0 };
		cut = power_cut(n, false, start_in_child, &r);
		reopen_and_check(&f);
		assert_ok(audit_head(f.s, &head, &e), &e);
		assert_in_range(head.n, r.told->steps, 1);
		fixture_end(&f);
	}
	assert_in_range(n, 20, 1000);
}

/* The tool itself: a put without a sync has to be caught, or the tests above show nothing. */
static void careless_in_child(void *ctx)
{
	struct run *r = ctx;
	int fd = openat(AT_FDCWD, r->f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, N) != N)
		abort();
	r->told->steps = 1;
	if (write(STDERR_FILENO, "", 0) != 0 || fsync(fd) != 0)
		abort();
}

static void a_write_without_a_sync_is_lost_here(void **state)
{
	struct fixture f = { 0 };
	struct run r = { .f = &f, .told = told_new() };
	struct stat st;

	snprintf(f.path, sizeof(f.path), "%s/file", tmpdir_path(state));
	/* 1: open, 2: write, 3: the write of nothing */
	assert_true(power_cut(3, false, careless_in_child, &r));
	assert_int_equal(r.told->steps, 1);
	assert_int_not_equal(stat(f.path, &st), 0);
	assert_true(power_cut(3, true, careless_in_child, &r));
	assert_int_equal(stat(f.path, &st), 0);
	assert_int_equal(st.st_size, N);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(a_write_without_a_sync_is_lost_here),
		TMPDIR_TEST(a_first_start_cut_anywhere_starts_again),
		TMPDIR_TEST(a_publish_cut_anywhere_is_whole_or_absent),
		TMPDIR_TEST(an_upload_cut_anywhere_goes_on_from_what_was_acknowledged),
		TMPDIR_TEST(
			an_enrolment_cut_anywhere_used_the_ticket_for_a_device_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
