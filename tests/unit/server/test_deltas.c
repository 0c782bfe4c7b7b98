/* The makers of deltas, with a test in the place of the delta processes. */
#include "tests/unit/storage/fixture.h"

#include "base/io.h"
#include "base/text.h"
#include "server/delta_job.h"
#include "server/deltas.h"
#include "server/ipc.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PATIENCE_MS = 30000,
	OBJECT_BYTES = 1000, /* of a system */
	WORTH = OBJECT_BYTES / 10 * 9,
	TIME_S = 1000,
	SILENCE_S = 300,
};

/* ---- a server with releases ---- */

struct makers {
	struct fixture f;
	struct settings settings;
	struct deltas *d;
	int ends[2], mgr[2];
};

static void makers_start(struct makers *m, void **state, uint64_t processes, uint64_t disk)
{
	struct err e;

	*m = (struct makers){ .d = NULL };
	fixture_start(&m->f, tmpdir_path(state), 77);
	m->settings.delta_processes = processes;
	m->settings.delta_disk = disk;
	m->settings.delta_time_s = TIME_S;
	m->settings.delta_silence_s = SILENCE_S;
	assert_ok(ipc_pair(m->ends, &e), &e);
	assert_ok(ipc_pair(m->mgr, &e), &e);
}

static void makers_begin(struct makers *m)
{
	struct err e;

	assert_ok(deltas_new(&m->d, m->f.s, &m->settings, &m->f.clock.base, m->ends[0],
			     m->mgr[0], 5, &e),
		  &e);
}

static void makers_end(struct makers *m)
{
	deltas_free(m->d);
	for (int i = 0; i < 2; i++) {
		close(m->ends[i]);
		close(m->mgr[i]);
	}
	fixture_end(&m->f);
}

static void hash_of(uint8_t ret[static SHA256_SIZE], const char *what, const char *version)
{
	char text[100];

	snprintf(text, sizeof(text), "%s of %s", what, version);
	sha256(ret, text, strlen(text));
}

/* Bytes like no other version's; nobody here looks into them. */
static void put_system(struct store *s, const char *version, uint8_t sha[static SHA256_SIZE])
{
	uint8_t bytes[OBJECT_BYTES];
	struct err e;

	memset(bytes, version[0], sizeof(bytes));
	memcpy(bytes, version, strlen(version));
	assert_ok(objects_put(s, bytes, sizeof(bytes), sha, &e), &e);
}

/* A kernel that is always the same, and a system. */
static void fill_components(struct store *s, const char *version, struct component c[2])
{
	uint8_t nothing[SHA256_SIZE];

	sha256(nothing, NULL, 0);
	for (int i = 0; i < 2; i++) {
		const char *own = i == 0 ? "any" : version;

		c[i] = (struct component){ .kind = i == 0 ? COMPONENT_KERNEL : COMPONENT_DISK,
					   .size = VERITY_BLOCK,
					   .frame_size = 65536,
					   .object_size = OBJECT_BYTES };
		snprintf(c[i].name, sizeof(c[i].name), i == 0 ? "kernel" : "system");
		hash_of(c[i].sha256, "bytes", own);
		hash_of(c[i].root, "root", own);
		memcpy(c[i].tree_sha256, nothing, SHA256_SIZE);
		put_system(s, own, c[i].object_sha256);
		release_salt(c[i].salt, "acme", version, c[i].name);
	}
}

static void publish_system(struct makers *m, const char *version)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(65536);
	static const char *const models[] = { "compact" };
	struct model model = { .name = "compact",
			       .memory_mib = 128,
			       .vcpus = 1,
			       .kernel = 0,
			       .initrd = -1,
			       .disks = { 1 },
			       .n_disks = 1 };
	struct component c[2];
	struct release r = { .product = "acme",
			     .security_version = 1,
			     .data_schema = 1,
			     .health_deadline_s = 60,
			     .components = c,
			     .n_components = 2,
			     .models = &model,
			     .n_models = 1 };
	struct release_component rows[2];
	enum release_put put;
	struct err e;

	fill_components(m->f.s, version, c);
	snprintf(r.version, sizeof(r.version), "%s", version);
	assert_ok(release_encode(&r, &text, &e), &e);
	for (int i = 0; i < 2; i++) {
		rows[i] = (struct release_component){ .size = c[i].size,
						      .object_size = c[i].object_size };
		memcpy(rows[i].name, c[i].name, sizeof(rows[i].name));
		snprintf(rows[i].kind, sizeof(rows[i].kind), "%s",
			 component_kind_names[c[i].kind]);
		memcpy(rows[i].sha256, c[i].sha256, SHA256_SIZE);
		memcpy(rows[i].verity_root, c[i].root, SHA256_SIZE);
		memcpy(rows[i].object_sha256, c[i].object_sha256, SHA256_SIZE);
		memcpy(rows[i].tree_sha256, c[i].tree_sha256, SHA256_SIZE);
	}
	const struct release_new n = { .product = "acme",
				       .version = version,
				       .security_version = 1,
				       .data_schema = 1,
				       .manifest = (const char *)text.p,
				       .manifest_n = text.n,
				       .components = rows,
				       .components_n = 2,
				       .models = models,
				       .models_n = 1 };
	assert_ok(releases_publish(m->f.s, &n, "token:k1", &put, &e), &e);
}

static void device_runs(struct makers *m, unsigned number, const char *version)
{
	struct device_report r = { .agent = "1",
				   .update = "idle",
				   .slot = 'a',
				   .status = "{}",
				   .product = "acme",
				   .version = version };
	struct handset h;

	enrol(m->f.s, &h, number, "sales");
	report(m->f.s, &h, &r);
}

/* ---- a process ---- */

struct work {
	struct delta_order order;
	int channel, files[DELTA_FILES];
};

/* False: there was nothing to do. */
static bool work_comes(struct makers *m, struct work *w, int timeout_ms)
{
	CLEANUP(buf_done) struct buf buf = BUF_INIT(IPC_HEADER + IPC_MAX);
	struct ipc_msg msg = IPC_MSG_INIT;
	struct err e;

	if (!ipc_recv(&msg, m->ends[1], &buf, IPC_BIT(IPC_DELTA), timeout_ms, &e)) {
		assert_int_equal(e.code, E_TIMEOUT);
		return false;
	}
	assert_ok(delta_order_parse(&w->order, msg.p, msg.n, &e), &e);
	w->channel = msg.fd;
	for (uint32_t i = 0; i < DELTA_FILES; i++) {
		assert_ok(ipc_recv(&msg, w->channel, &buf, IPC_BIT(IPC_FILE), PATIENCE_MS, &e),
			  &e);
		assert_int_equal(msg.id, i);
		w->files[i] = msg.fd;
	}
	return true;
}

static void get_work(struct makers *m, struct work *w, const char *from, const char *to)
{
	uint8_t sha[SHA256_SIZE];

	if (!work_comes(m, w, PATIENCE_MS))
		fail_msg("no work came");
	hash_of(sha, "bytes", from);
	assert_memory_equal(w->order.from.sha256, sha, SHA256_SIZE);
	hash_of(sha, "bytes", to);
	assert_memory_equal(w->order.to.sha256, sha, SHA256_SIZE);
}

/* Also what a crash looks like from outside. */
static void work_close(struct work *w)
{
	for (int i = 0; i < DELTA_FILES; i++)
		close(w->files[i]);
	close(w->channel);
}

static void work_took(struct work *w, pid_t pid)
{
	uint32_t n = (uint32_t)pid;
	struct err e;

	assert_ok(ipc_send(w->channel, IPC_TAKEN, 0, &n, sizeof(n), -1, &e), &e);
}

static void work_tells(struct work *w, uint64_t done)
{
	const uint64_t told[2] = { done, 100 };
	struct err e;

	assert_ok(ipc_send(w->channel, IPC_PROGRESS, 0, told, sizeof(told), -1, &e), &e);
}

static void work_made(struct work *w, size_t bytes)
{
	uint8_t p[OBJECT_BYTES] = { 1, 2, 3 };
	struct err e;

	assert_ok(pwrite_all(w->files[DELTA_FILE_OUT], p, bytes, 0, &e), &e);
	assert_ok(ipc_send(w->channel, IPC_MADE, 0, NULL, 0, -1, &e), &e);
	work_close(w);
}

static void work_fails(struct work *w, enum err_code code)
{
	struct err why, e;

	err_set(&why, code, "it does not work");
	assert_ok(ipc_send_err(w->channel, IPC_FAILED_JOB, 0, &why, &e), &e);
	work_close(w);
}

/* ---- what became of it ---- */

static int state_of(struct makers *m, const char *to, const char *from)
{
	CLEANUP(delta_list_done) struct delta_list l = { 0 };
	struct err e;

	assert_ok(deltas_list(m->f.s, "acme", to, &l, &e), &e);
	for (size_t i = 0; i < l.n; i++)
		if (strcmp(l.items[i].from_version, from) == 0)
			return (int)l.items[i].state;
	return DELTA_STATES;
}

#define POLL_UNTIL(condition)                                          \
	do {                                                           \
		int left = PATIENCE_MS;                                \
		for (; left > 0 && !(condition); left -= 10)           \
			poll(NULL, 0, 10);                             \
		if (left <= 0)                                         \
			fail_msg("waited in vain for %s", #condition); \
	} while (0)

static struct deltas_stats stats_now(struct makers *m)
{
	struct deltas_stats s;

	deltas_stats(m->d, &s);
	return s;
}

/* Boot time and wall time; makers look at once. */
static void pass_s(struct makers *m, int64_t s)
{
	clock_fake_advance(&m->f.clock, s * 1000);
	deltas_wake(m->d);
}

static void the_version_of_most_devices_comes_first(void **state)
{
	struct makers m;
	struct work w;

	makers_start(&m, state, 1, UINT64_MAX);
	publish_system(&m, "1.0");
	publish_system(&m, "1.1");
	publish_system(&m, "2.0");
	device_runs(&m, 1, "1.1");
	device_runs(&m, 2, "1.0");
	device_runs(&m, 3, "1.0");
	makers_begin(&m);
	get_work(&m, &w, "1.0", "2.0");
	assert_int_equal(w.order.output_max, WORTH);
	work_made(&w, 100);
	get_work(&m, &w, "1.1", "2.0");
	assert_int_equal(state_of(&m, "2.0", "1.0"), DELTA_MADE);
	work_made(&w, 100);
	POLL_UNTIL(stats_now(&m).made == 2);
	makers_end(&m);
}

static void two_makers_make_two_at_once(void **state)
{
	struct makers m;
	struct work a, b;
	uint64_t done, total;
	struct err e;

	makers_start(&m, state, 2, UINT64_MAX);
	publish_system(&m, "1.0");
	publish_system(&m, "1.1");
	publish_system(&m, "2.0");
	device_runs(&m, 1, "1.1");
	device_runs(&m, 2, "1.0");
	makers_begin(&m);
	assert_true(work_comes(&m, &a, PATIENCE_MS));
	assert_true(work_comes(&m, &b, PATIENCE_MS));
	assert_memory_not_equal(a.order.from.sha256, b.order.from.sha256, SHA256_SIZE);

	const uint64_t told[2] = { 30, 120 };
	uint8_t of_11[SHA256_SIZE];
	hash_of(of_11, "bytes", "1.1");
	struct work *w = memcmp(a.order.from.sha256, of_11, SHA256_SIZE) == 0 ? &a : &b;
	assert_ok(ipc_send(w->channel, IPC_PROGRESS, 0, told, sizeof(told), -1, &e), &e);
	POLL_UNTIL(deltas_progress(m.d, "acme", "2.0", "system", "1.1", &done, &total) &&
		   total > 0);
	assert_int_equal(done, 30);
	assert_int_equal(total, 120);
	assert_true(deltas_progress(m.d, "acme", "2.0", "system", "1.0", &done, &total));
	assert_int_equal(total, 0);
	assert_false(deltas_progress(m.d, "acme", "2.0", "kernel", "1.0", &done, &total));
	work_made(&a, 100);
	work_made(&b, 100);
	POLL_UNTIL(stats_now(&m).made == 2);
	assert_false(deltas_progress(m.d, "acme", "2.0", "system", "1.0", &done, &total));
	makers_end(&m);
}

static void what_saves_less_than_a_tenth_is_never_offered(void **state)
{
	struct makers m;
	struct work w;

	makers_start(&m, state, 1, UINT64_MAX);
	publish_system(&m, "1.0");
	publish_system(&m, "1.1");
	publish_system(&m, "1.2");
	publish_system(&m, "2.0");
	device_runs(&m, 1, "1.2");
	device_runs(&m, 2, "1.1");
	device_runs(&m, 3, "1.0");
	makers_begin(&m);
	/* Whether the process says so or not. */
	get_work(&m, &w, "1.2", "2.0");
	work_made(&w, WORTH + 1);
	get_work(&m, &w, "1.1", "2.0");
	work_fails(&w, E_TOO_BIG);
	get_work(&m, &w, "1.0", "2.0");
	work_made(&w, WORTH);
	POLL_UNTIL(stats_now(&m).made == 1);
	assert_int_equal(state_of(&m, "2.0", "1.2"), DELTA_USELESS);
	assert_int_equal(state_of(&m, "2.0", "1.1"), DELTA_USELESS);
	assert_int_equal(state_of(&m, "2.0", "1.0"), DELTA_MADE);
	assert_int_equal(stats_now(&m).useless, 2);

	struct offer offers[2] = { { .component = "kernel" }, { .component = "system" } };
	struct release_ref runs = { .product = "acme", .version = "1.2" };
	deltas_offer(m.d, offers, 2, &runs, "acme", "2.0");
	assert_int_equal(offers[1].n_deltas, 0);
	snprintf(runs.version, sizeof(runs.version), "1.0");
	deltas_offer(m.d, offers, 2, &runs, "acme", "2.0");
	assert_int_equal(offers[0].n_deltas, 0);
	assert_int_equal(offers[1].n_deltas, 1);
	assert_int_equal(offers[1].deltas[0].object.size, WORTH);
	makers_end(&m);
}

static void a_crash_is_tried_again_later_and_others_meanwhile(void **state)
{
	struct makers m;
	struct work w;

	makers_start(&m, state, 1, UINT64_MAX);
	publish_system(&m, "1.0");
	publish_system(&m, "1.1");
	publish_system(&m, "2.0");
	device_runs(&m, 1, "1.0");
	device_runs(&m, 2, "1.0");
	device_runs(&m, 3, "1.1");
	makers_begin(&m);
	get_work(&m, &w, "1.0", "2.0");
	work_close(&w);
	get_work(&m, &w, "1.1", "2.0");
	assert_int_equal(stats_now(&m).lost, 1);
	assert_int_equal(state_of(&m, "2.0", "1.0"), DELTA_WAITING);
	work_made(&w, 100);
	POLL_UNTIL(stats_now(&m).made == 1);
	pass_s(&m, DELTAS_RETRY_S);
	get_work(&m, &w, "1.0", "2.0");
	/* Want of memory counts as well: with this image it might never be enough. */
	work_fails(&w, E_NOMEM);
	POLL_UNTIL(state_of(&m, "2.0", "1.0") == DELTA_WAITING);
	pass_s(&m, 2 * DELTAS_RETRY_S);
	get_work(&m, &w, "1.0", "2.0");
	work_close(&w);
	POLL_UNTIL(stats_now(&m).failed == 1);
	assert_int_equal(state_of(&m, "2.0", "1.0"), DELTA_FAILED);
	makers_end(&m);
}

static void a_full_disk_costs_no_try(void **state)
{
	struct makers m;
	struct work w;

	makers_start(&m, state, 1, UINT64_MAX);
	publish_system(&m, "1.0");
	publish_system(&m, "2.0");
	device_runs(&m, 1, "1.0");
	makers_begin(&m);
	for (int i = 0; i < DELTAS_TRIES + 1; i++) {
		get_work(&m, &w, "1.0", "2.0");
		work_fails(&w, E_NO_SPACE);
		POLL_UNTIL(state_of(&m, "2.0", "1.0") == DELTA_WAITING);
		pass_s(&m, 60);
	}
	get_work(&m, &w, "1.0", "2.0");
	work_made(&w, 100);
	POLL_UNTIL(stats_now(&m).made == 1);
	makers_end(&m);
}

static void the_disk_budget_is_kept_with_two_at_once(void **state)
{
	struct makers m;
	struct work a, b;

	makers_start(&m, state, 2, 2 * WORTH - 1);
	publish_system(&m, "1.0");
	publish_system(&m, "1.1");
	publish_system(&m, "2.0");
	device_runs(&m, 1, "1.0");
	device_runs(&m, 2, "1.0");
	device_runs(&m, 3, "1.1");
	makers_begin(&m);
	get_work(&m, &a, "1.0", "2.0");
	/* The other maker looks again and again, as it found nothing the last time: two reads each time.
	 * This one looks once whether it is wanted. */
	for (int i = 0; i < 3; i++) {
		uint64_t before = stats_of(m.f.s).reads;

		pass_s(&m, 60);
		POLL_UNTIL(stats_of(m.f.s).reads >= before + 3);
	}
	assert_false(work_comes(&m, &b, 0));
	work_made(&a, WORTH - 1);
	get_work(&m, &b, "1.1", "2.0");
	work_made(&b, 100);
	POLL_UNTIL(stats_now(&m).made == 2);
	makers_end(&m);
}

static bool is_closed(int channel)
{
	struct pollfd p = { .fd = channel };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
}

/* ---- processes that just sit there ---- */

/* Whom mgr was asked to end; 0: nobody. */
static uint32_t stuck(struct makers *m, int timeout_ms)
{
	CLEANUP(buf_done) struct buf buf = BUF_INIT(IPC_HEADER + IPC_MAX);
	struct ipc_msg msg = IPC_MSG_INIT;
	struct err e;
	uint32_t pid;

	if (!ipc_recv(&msg, m->mgr[1], &buf, IPC_BIT(IPC_STUCK), timeout_ms, &e)) {
		assert_int_equal(e.code, E_TIMEOUT);
		return 0;
	}
	memcpy(&pid, msg.p, sizeof(pid));
	return pid;
}

/* Time passes, and the maker goes through everything that it looks at (at last into the database). */
static void pass_and_look(struct makers *m, int64_t s)
{
	uint64_t before = stats_of(m->f.s).reads;

	pass_s(m, s);
	POLL_UNTIL(stats_of(m->f.s).reads > before);
}

static bool has_told(struct makers *m, uint64_t wanted)
{
	uint64_t done, total;

	return deltas_progress(m->d, "acme", "2.0", "system", "1.0", &done, &total) &&
	       total > 0 && done == wanted;
}

/* In a process of its own. */
static NORETURN void take_it_and_stop(struct makers *m)
{
	struct work w;

	if (work_comes(m, &w, PATIENCE_MS)) {
		work_took(&w, getpid());
		work_tells(&w, 7);
		raise(SIGSTOP);
	}
	_exit(1);
}

static void a_process_that_stops_is_ended_and_another_makes_it_later(void **state)
{
	struct makers m;
	struct work w;
	int status;

	makers_start(&m, state, 1, UINT64_MAX);
	publish_system(&m, "1.0");
	publish_system(&m, "2.0");
	device_runs(&m, 1, "1.0");
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		take_it_and_stop(&m);
	makers_begin(&m);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	POLL_UNTIL(has_told(&m, 7));
	pass_and_look(&m, SILENCE_S - 1);
	assert_int_equal(stuck(&m, 0), 0);

	pass_s(&m, 1);
	assert_int_equal(stuck(&m, PATIENCE_MS), pid);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	POLL_UNTIL(stats_now(&m).lost == 1);
	assert_int_equal(state_of(&m, "2.0", "1.0"), DELTA_WAITING);
	assert_false(work_comes(&m, &w, 0));
	pass_s(&m, DELTAS_RETRY_S);
	get_work(&m, &w, "1.0", "2.0");
	work_took(&w, 4243);
	work_made(&w, 100);
	POLL_UNTIL(stats_now(&m).made == 1);
	assert_int_equal(stuck(&m, 0), 0);
	makers_end(&m);
}

static void a_process_that_tells_of_progress_for_ever_is_ended_too(void **state)
{
	struct makers m;
	struct work w;
	int64_t passed = 0;

	makers_start(&m, state, 1, UINT64_MAX);
	publish_system(&m, "1.0");
	publish_system(&m, "2.0");
	device_runs(&m, 1, "1.0");
	makers_begin(&m);
	for (unsigned i = 1; i <= DELTAS_TRIES; i++) {
		get_work(&m, &w, "1.0", "2.0");
		work_took(&w, 4242);
		work_tells(&w, i);
		POLL_UNTIL(has_told(&m, i));
		for (passed = 0; passed < TIME_S - SILENCE_S; passed += SILENCE_S - 1) {
			pass_and_look(&m, SILENCE_S - 1);
			work_tells(&w, i + (uint64_t)passed + 1);
			POLL_UNTIL(has_told(&m, i + (uint64_t)passed + 1));
		}
		assert_int_equal(stuck(&m, 0), 0);
		pass_s(&m, TIME_S - passed);
		assert_int_equal(stuck(&m, PATIENCE_MS), 4242);
		work_close(&w);
		POLL_UNTIL(stats_now(&m).lost == i);
		pass_s(&m, DELTAS_RETRY_S << i);
	}
	assert_int_equal(state_of(&m, "2.0", "1.0"), DELTA_FAILED);
	makers_end(&m);
}

static void an_order_that_no_process_has_taken_waits_as_long_as_it_must(void **state)
{
	struct makers m;
	struct work w;

	makers_start(&m, state, 1, UINT64_MAX);
	publish_system(&m, "1.0");
	publish_system(&m, "2.0");
	device_runs(&m, 1, "1.0");
	makers_begin(&m);
	POLL_UNTIL(stats_now(&m).started == 1);
	pass_and_look(&m, 10 * TIME_S);
	pass_and_look(&m, 10 * TIME_S);
	assert_int_equal(stuck(&m, 0), 0);
	get_work(&m, &w, "1.0", "2.0");
	work_made(&w, 100);
	POLL_UNTIL(stats_now(&m).made == 1);
	makers_end(&m);
}

static void withdrawing_the_release_cancels(void **state)
{
	struct makers m;
	struct work w;
	struct err e;

	makers_start(&m, state, 1, UINT64_MAX);
	publish_system(&m, "1.0");
	publish_system(&m, "2.0");
	publish_system(&m, "3.0");
	device_runs(&m, 1, "1.0");
	makers_begin(&m);
	get_work(&m, &w, "1.0", "3.0");
	assert_false(is_closed(w.channel));
	assert_ok(releases_withdraw(m.f.s, "acme", "3.0", "", "token:k1", &e), &e);
	pass_s(&m, 60);
	/* The process gets to know, and the maker is free for what is the newest now. */
	POLL_UNTIL(is_closed(w.channel));
	POLL_UNTIL(stats_now(&m).cancelled == 1);
	work_close(&w);
	get_work(&m, &w, "1.0", "2.0");
	work_made(&w, 100);
	POLL_UNTIL(stats_now(&m).made == 1);
	makers_end(&m);
}

static void the_end_of_the_server_costs_no_try_and_lasts_no_longer_than_a_look(void **state)
{
	struct makers m;
	struct work w;

	makers_start(&m, state, 1, UINT64_MAX);
	publish_system(&m, "1.0");
	publish_system(&m, "2.0");
	device_runs(&m, 1, "1.0");
	for (int i = 0; i < DELTAS_TRIES + 1; i++) {
		makers_begin(&m);
		get_work(&m, &w, "1.0", "2.0");
		deltas_free(m.d);
		m.d = NULL;
		assert_int_equal(state_of(&m, "2.0", "1.0"), DELTA_WAITING);
		assert_true(is_closed(w.channel));
		work_close(&w);
	}
	makers_begin(&m);
	get_work(&m, &w, "1.0", "2.0");
	work_made(&w, 100);
	POLL_UNTIL(stats_now(&m).made == 1);
	makers_end(&m);
}

static void a_check_in_adds_what_no_plan_would_once(void **state)
{
	struct offer offers[2] = { { .component = "kernel" }, { .component = "system" } };
	const struct release_ref runs = { .product = "acme", .version = "1.0" };
	struct makers m;
	struct work w;

	makers_start(&m, state, 1, UINT64_MAX);
	publish_system(&m, "1.0");
	publish_system(&m, "1.1");
	publish_system(&m, "2.0");
	device_runs(&m, 1, "1.0");
	makers_begin(&m);
	get_work(&m, &w, "1.0", "2.0");
	work_made(&w, 100);
	POLL_UNTIL(stats_now(&m).made == 1);
	deltas_offer(m.d, offers, 2, &runs, "acme", "1.1");
	assert_int_equal(offers[1].n_deltas, 0);
	get_work(&m, &w, "1.0", "1.1");
	uint64_t writes = stats_of(m.f.s).writes;
	deltas_offer(m.d, offers, 2, &runs, "acme", "1.1");
	assert_int_equal(stats_of(m.f.s).writes, writes);
	work_made(&w, 100);
	POLL_UNTIL(stats_now(&m).made == 2);
	deltas_offer(m.d, offers, 2, &runs, "acme", "1.1");
	assert_int_equal(offers[1].n_deltas, 1);
	makers_end(&m);
}

static void what_a_process_says_that_was_taken_over_fails_its_own_delta_only(void **state)
{
	struct makers m;
	struct work w;
	struct err e;

	makers_start(&m, state, 1, UINT64_MAX);
	publish_system(&m, "1.0");
	publish_system(&m, "1.1");
	publish_system(&m, "1.2");
	publish_system(&m, "1.3");
	publish_system(&m, "1.4");
	publish_system(&m, "2.0");
	device_runs(&m, 5, "1.4");
	device_runs(&m, 1, "1.3");
	device_runs(&m, 2, "1.2");
	device_runs(&m, 3, "1.1");
	device_runs(&m, 4, "1.0");
	makers_begin(&m);
	/* Not its word to say. */
	get_work(&m, &w, "1.4", "2.0");
	assert_ok(ipc_send(w.channel, IPC_READY, 0, NULL, 0, -1, &e), &e);
	/* To be somebody else when its time is over. */
	get_work(&m, &w, "1.3", "2.0");
	work_took(&w, 4242);
	work_took(&w, 4243);
	get_work(&m, &w, "1.2", "2.0");
	/* Nothing made, and no cancelling without our wish. */
	work_made(&w, 0);
	get_work(&m, &w, "1.1", "2.0");
	work_fails(&w, E_CANCELLED);
	get_work(&m, &w, "1.0", "2.0");
	assert_int_equal(state_of(&m, "2.0", "1.4"), DELTA_FAILED);
	assert_int_equal(state_of(&m, "2.0", "1.3"), DELTA_FAILED);
	assert_int_equal(state_of(&m, "2.0", "1.2"), DELTA_USELESS);
	assert_int_equal(state_of(&m, "2.0", "1.1"), DELTA_WAITING);
	work_made(&w, 100);
	POLL_UNTIL(stats_now(&m).made == 1);
	makers_end(&m);
}

/* The stored object of a version's system. */
static void object_of(struct makers *m, const char *version, uint8_t sha[static SHA256_SIZE],
		      bool heal)
{
	uint8_t bytes[OBJECT_BYTES];
	struct err e;

	memset(bytes, version[0], sizeof(bytes));
	memcpy(bytes, version, strlen(version));
	sha256(sha, bytes, sizeof(bytes));
	if (heal)
		assert_ok(objects_put(m->f.s, bytes, sizeof(bytes), NULL, &e), &e);
}

static void damage_on_disk(struct makers *m, const uint8_t sha[static SHA256_SIZE])
{
	char hex[HEX_SIZE(SHA256_SIZE)], path[700];

	hex_encode(hex, sha, SHA256_SIZE);
	snprintf(path, sizeof(path), "%s/objects/%.2s/%s", m->f.path, hex, hex + 2);
	assert_int_equal(chmod(path, 0644), 0);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "x", 1, 500), 1);
	close(fd);
}

static bool is_there(struct makers *m, const uint8_t sha[static SHA256_SIZE])
{
	uint64_t size;
	struct err e;
	int fd;

	if (!objects_open(m->f.s, sha, &fd, &size, &e))
		return false;
	close(fd);
	return true;
}

static void an_image_damaged_on_our_disk_is_dropped_and_its_delta_made_once_it_has_healed(
	void **state)
{
	uint8_t old[SHA256_SIZE], new[SHA256_SIZE];
	struct makers m;
	struct work w;

	makers_start(&m, state, 1, UINT64_MAX);
	publish_system(&m, "1.0");
	publish_system(&m, "2.0");
	device_runs(&m, 1, "1.0");
	object_of(&m, "1.0", old, false);
	object_of(&m, "2.0", new, false);
	makers_begin(&m);
	get_work(&m, &w, "1.0", "2.0");
	damage_on_disk(&m, old);
	work_fails(&w, E_CORRUPT);
	POLL_UNTIL(stats_now(&m).failed == 1);
	assert_false(is_there(&m, old));
	assert_true(is_there(&m, new));

	/* A process that lies takes nothing away. */
	object_of(&m, "1.0", old, true);
	deltas_wake(m.d);
	get_work(&m, &w, "1.0", "2.0");
	work_fails(&w, E_CORRUPT);
	POLL_UNTIL(stats_now(&m).failed == 2);
	assert_true(is_there(&m, old));
	assert_true(is_there(&m, new));

	object_of(&m, "2.0", new, true);
	deltas_wake(m.d);
	get_work(&m, &w, "1.0", "2.0");
	work_made(&w, 100);
	POLL_UNTIL(stats_now(&m).made == 1);
	makers_end(&m);
}

/* ---- orders, and their end ---- */

static void orders_travel_and_hostile_ones_are_refused(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(IPC_MAX);
	struct delta_order o = { .from = { .size = 5, .object_size = 6, .frame_size = 65536 },
				 .to = { .size = 7, .object_size = 8, .frame_size = 65536 },
				 .output_max = 9 },
			   got;
	struct err e;

	(void)state;
	assert_ok(delta_order_encode(&b, &o, &e), &e);
	assert_ok(delta_order_parse(&got, b.p, b.n, &e), &e);
	assert_memory_equal(&got, &o, sizeof(o));
	for (size_t n = 0; n < b.n; n++)
		assert_fails(delta_order_parse(&got, b.p, n, &e), &e, E_FORMAT);
	memset(b.p, 255, 4);
	assert_fails(delta_order_parse(&got, b.p, b.n, &e), &e, E_FORMAT);
	o.output_max = 0;
	buf_reset(&b);
	assert_ok(delta_order_encode(&b, &o, &e), &e);
	assert_fails(delta_order_parse(&got, b.p, b.n, &e), &e, E_FORMAT);
}

/* A phase of the work that never looks whether it is wanted. */
static NORETURN void work_without_looking(int channel, int ready)
{
	struct err e;

	if (!delta_order_watch(channel, &e) || !write_all(ready, "r", 1, &e))
		_exit(1);
	for (volatile unsigned n = 0;; n++)
		;
}

static void a_process_whose_delta_nobody_wants_ends_wherever_it_is(void **state)
{
	int channel[2], ready[2], status;
	char r;
	struct err e;

	(void)state;
	assert_ok(ipc_pair(channel, &e), &e);
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(channel[0]);
		work_without_looking(channel[1], ready[1]);
	}
	close(channel[1]);
	assert_int_equal(read(ready[0], &r, 1), 1);
	/* Wanted: it goes on. */
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	close(channel[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(ready[0]);
	close(ready[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(the_version_of_most_devices_comes_first),
		TMPDIR_TEST(two_makers_make_two_at_once),
		TMPDIR_TEST(what_saves_less_than_a_tenth_is_never_offered),
		TMPDIR_TEST(a_crash_is_tried_again_later_and_others_meanwhile),
		TMPDIR_TEST(a_full_disk_costs_no_try),
		TMPDIR_TEST(the_disk_budget_is_kept_with_two_at_once),
		TMPDIR_TEST(a_process_that_stops_is_ended_and_another_makes_it_later),
		TMPDIR_TEST(a_process_that_tells_of_progress_for_ever_is_ended_too),
		TMPDIR_TEST(an_order_that_no_process_has_taken_waits_as_long_as_it_must),
		TMPDIR_TEST(withdrawing_the_release_cancels),
		TMPDIR_TEST(the_end_of_the_server_costs_no_try_and_lasts_no_longer_than_a_look),
		TMPDIR_TEST(a_check_in_adds_what_no_plan_would_once),
		TMPDIR_TEST(what_a_process_says_that_was_taken_over_fails_its_own_delta_only),
		TMPDIR_TEST(
			an_image_damaged_on_our_disk_is_dropped_and_its_delta_made_once_it_has_healed),
		cmocka_unit_test(orders_travel_and_hostile_ones_are_refused),
		cmocka_unit_test(a_process_whose_delta_nobody_wants_ends_wherever_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
