/* The table of jobs, with a test in the place of the work processes and of mgr. */
#include "tests/support/unit.h"

#include "server/ipc.h"
#include "server/jobs.h"

#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000, TIME_S = 100 };

struct table {
	struct jobs *j;
	struct clock_fake clock;
	int work[2], mgr[2];
};

static void table_start(struct table *t)
{
	struct err e;

	clock_fake_init(&t->clock, 1800000000);
	assert_ok(ipc_pair(t->work, &e), &e);
	assert_ok(ipc_pair(t->mgr, &e), &e);
	assert_ok(jobs_new(&t->j, t->work[0], t->mgr[0], TIME_S, &t->clock.base, 1, &e), &e);
}

static void table_end(struct table *t)
{
	jobs_free(t->j);
	for (int i = 0; i < 2; i++) {
		close(t->work[i]);
		close(t->mgr[i]);
	}
}

/* Somebody who publishes and waits. */
struct asking {
	struct table *t;
	pthread_t thread;
	bool ok;
	struct err e;
};

static bool open_object(void *arg, int *ret_fd, struct err *e)
{
	(void)arg;
	*ret_fd = memfd_create("object", MFD_CLOEXEC);
	return *ret_fd >= 0 ? true : err_set(e, E_INTERNAL, "memfd");
}

static void *ask(void *arg)
{
	static const struct job job = { .size = 1, .object_size = 1, .frame_size = 65536 };
	static const uint8_t object[SHA256_SIZE] = { 7 };
	struct asking *a = arg;

	a->ok = jobs_verify(a->t->j, &job, object, open_object, NULL, PATIENCE_MS, &a->e);
	return NULL;
}

static void ask_begin(struct asking *a, struct table *t)
{
	*a = (struct asking){ .t = t };
	assert_int_equal(pthread_create(&a->thread, NULL, ask, a), 0);
}

/* A work process takes the job; its number. */
static uint32_t job_is_taken(struct table *t, uint32_t pid)
{
	CLEANUP(buf_done) struct buf buf = BUF_INIT(IPC_HEADER + IPC_MAX);
	struct ipc_msg m = IPC_MSG_INIT;
	struct jobs_stats s;
	struct err e;
	int left = PATIENCE_MS;

	assert_ok(ipc_recv(&m, t->work[1], &buf, IPC_BIT(IPC_VERIFY), PATIENCE_MS, &e), &e);
	ipc_msg_done(&m);
	assert_ok(ipc_send(t->work[1], IPC_TAKEN, m.id, &pid, sizeof(pid), -1, &e), &e);
	do {
		jobs_stats(t->j, &s);
		poll(NULL, 0, 10);
		left -= 10;
	} while (s.running == 0 && left > 0);
	assert_int_equal(s.running, 1);
	return m.id;
}

static uint32_t stuck(struct table *t)
{
	CLEANUP(buf_done) struct buf buf = BUF_INIT(IPC_HEADER + IPC_MAX);
	struct ipc_msg m = IPC_MSG_INIT;
	struct err e;
	uint32_t pid;

	assert_ok(ipc_recv(&m, t->mgr[1], &buf, IPC_BIT(IPC_STUCK), PATIENCE_MS, &e), &e);
	memcpy(&pid, m.p, sizeof(pid));
	return pid;
}

static void a_worker_that_takes_too_long_is_ended_and_another_does_the_job(void **state)
{
	struct asking a;
	struct table t;
	struct err e;

	(void)state;
	table_start(&t);
	ask_begin(&a, &t);
	job_is_taken(&t, 77);
	clock_fake_advance(&t.clock, TIME_S * 1000);
	assert_int_equal(stuck(&t), 77);
	/* A process that waits for a dead disk does not end at once. */
	clock_fake_advance(&t.clock, TIME_S * 1000);
	assert_int_equal(stuck(&t), 77);
	jobs_worker_lost(t.j, 77);
	uint32_t id = job_is_taken(&t, 78);
	assert_ok(ipc_send(t.work[1], IPC_VERIFIED, id, NULL, 0, -1, &e), &e);
	pthread_join(a.thread, NULL);
	assert_ok(a.ok, &a.e);
	table_end(&t);
}

static void an_image_that_two_workers_were_lost_with_is_refused(void **state)
{
	struct asking a;
	struct table t;

	(void)state;
	table_start(&t);
	ask_begin(&a, &t);
	for (uint32_t pid = 77; pid < 79; pid++) {
		job_is_taken(&t, pid);
		clock_fake_advance(&t.clock, TIME_S * 1000);
		assert_int_equal(stuck(&t), pid);
		jobs_worker_lost(t.j, pid);
	}
	pthread_join(a.thread, NULL);
	assert_false(a.ok);
	assert_int_equal(a.e.code, E_CORRUPT);
	table_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_worker_that_takes_too_long_is_ended_and_another_does_the_job),
		cmocka_unit_test(an_image_that_two_workers_were_lost_with_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
