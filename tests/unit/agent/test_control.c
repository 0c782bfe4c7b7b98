#include "tests/support/unit.h"

#include "agent/control.h"
#include "agent/worker.h"
#include "base/io.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* The agent's side, in a thread: answers until the client goes. */
struct side {
	struct control control;
	const char *status; /* JSON; NULL: fail */
	enum control_verb seen;
	unsigned commands, clients;
};

static void *serve(void *arg)
{
	struct side *s = arg;

	for (unsigned dropped = 0; dropped < s->clients;) {
		struct pollfd p[1 + CONTROL_CLIENTS] = { { .fd = s->control.fd,
							   .events = POLLIN } };

		for (size_t i = 0; i < CONTROL_CLIENTS; i++)
			p[1 + i] = (struct pollfd){ .fd = s->control.clients[i].fd,
						    .events = POLLIN };
		if (poll(p, 1 + CONTROL_CLIENTS, 30000) <= 0)
			break;
		for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
			struct control_client *c = &s->control.clients[i];
			CLEANUP(buf_done) struct buf status = BUF_INIT(1024);
			struct err e;
			bool have;

			if (!p[1 + i].revents)
				continue;
			if (!control_read(c, &s->seen, &have)) {
				control_drop(c);
				dropped++;
				continue;
			}
			s->commands += have;
			if (have && s->status) {
				if (!buf_add_str(&status, s->status, &e) ||
				    !control_ok(c, status.n ? &status : NULL))
					abort();
			} else if (have) {
				err_set(&e, E_BUSY, "not \"now\"");
				control_fail(c, &e);
			}
		}
		if (p[0].revents)
			control_accept(&s->control);
	}
	return NULL;
}

static void commands_and_answers_go_over_the_socket(void **state)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_CONTROL_LINE);
	struct side s = { .status = "{\"agent\":\"0.1.0\"}", .clients = 1 };
	pthread_t thread;
	struct stat st;
	struct err e;

	assert_ok(control_init(&s.control, tmpdir_fd(state), &e), &e);
	assert_int_equal(fstatat(tmpdir_fd(state), "control", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	pthread_create(&thread, NULL, serve, &s);
	assert_ok(control_call(&text, NULL, tmpdir_path(state), CONTROL_STATUS, &e), &e);
	pthread_join(thread, NULL);
	assert_string_equal(buf_str(&text), "{\"agent\":\"0.1.0\"}");
	assert_int_equal(s.seen, CONTROL_STATUS);
	control_done(&s.control, tmpdir_fd(state));
	assert_false(file_exists_at(tmpdir_fd(state), "control"));
}

static void a_refusal_arrives_with_its_code(void **state)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_CONTROL_LINE);
	struct side s = { .clients = 1 };
	pthread_t thread;
	struct err e;

	assert_ok(control_init(&s.control, tmpdir_fd(state), &e), &e);
	pthread_create(&thread, NULL, serve, &s);
	assert_fails(control_call(&text, NULL, tmpdir_path(state), CONTROL_STOP, &e), &e,
		     E_BUSY);
	pthread_join(thread, NULL);
	assert_non_null(strstr(e.text, "not \"now\""));
	control_done(&s.control, tmpdir_fd(state));
}

static void without_an_agent_it_says_so(void **state)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_CONTROL_LINE);
	struct control c;
	struct err e;

	assert_fails(control_call(&text, NULL, tmpdir_path(state), CONTROL_STATUS, &e), &e,
		     E_UNAVAILABLE);
	/* A socket that a killed agent left behind is nobody's. */
	assert_ok(control_init(&c, tmpdir_fd(state), &e), &e);
	fd_closep(&c.fd);
	assert_fails(control_call(&text, NULL, tmpdir_path(state), CONTROL_STATUS, &e), &e,
		     E_UNAVAILABLE);
	assert_ok(control_init(&c, tmpdir_fd(state), &e), &e);
	control_done(&c, tmpdir_fd(state));
}

static void junk_is_answered_and_the_connection_ends(void **state)
{
	static const char *const junk[] = {
		"\n",
		"status\n",
		"{\"cmd\":\"wipe-personal-side\"}\n",
		"{\"cmd\":1}\n",
		"{\"cmd\":\"status\",\"cmd\":\"stop\"}\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(junk); i++) {
		struct control_client c = { .fd = -1, .in = BUF_INIT(LIMIT_CONTROL_LINE) };
		enum control_verb verb;
		char answer[1024];
		int ends[2];
		bool have;

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
		c.fd = ends[0];
		assert_int_equal(write(ends[1], junk[i], strlen(junk[i])), strlen(junk[i]));
		assert_false(control_read(&c, &verb, &have));
		assert_false(have);
		ssize_t n = read(ends[1], answer, sizeof(answer) - 1);
		assert_true(n > 0);
		answer[n] = '\0';
		assert_non_null(strstr(answer, "\"ok\":false"));
		control_drop(&c);
		close(ends[1]);
		buf_done(&c.in);
	}
}

static void a_line_without_an_end_does_not_fill_the_memory(void **state)
{
	struct control_client c = { .fd = -1, .in = BUF_INIT(LIMIT_CONTROL_LINE) };
	static char spaces[1024];
	enum control_verb verb;
	int ends[2];
	bool have, ok = true;
	unsigned rounds = 0;

	memset(spaces, ' ', sizeof(spaces));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	c.fd = ends[0];
	while (ok && rounds++ < 1000) {
		assert_int_equal(write(ends[1], spaces, sizeof(spaces)), sizeof(spaces));
		ok = control_read(&c, &verb, &have);
	}
	assert_false(ok);
	assert_int_equal(rounds, LIMIT_CONTROL_LINE / sizeof(spaces) + 1);
	control_drop(&c);
	close(ends[1]);
	buf_done(&c.in);
}

/* ---- worker -------------------------------------------------------------------------------- */

struct job {
	struct worker *w;
	bool saw_cancel;
};

static void wait_for_cancel(void *arg)
{
	struct job *j = arg;

	while (!atomic_load(&j->w->cancel))
		sched_yield();
	j->saw_cancel = true;
}

static void a_worker_tells_when_it_is_done_and_can_be_cancelled(void **state)
{
	struct worker w;
	struct job j = { .w = &w };
	struct err e;

	assert_ok(worker_init(&w, &e), &e);
	for (unsigned i = 0; i < 3; i++) {
		struct pollfd p = { .fd = w.done_fd, .events = POLLIN };

		j.saw_cancel = false;
		assert_ok(worker_start(&w, wait_for_cancel, &j, &e), &e);
		assert_int_equal(poll(&p, 1, 0), 0);
		worker_cancel(&w);
		assert_int_equal(poll(&p, 1, 30000), 1);
		assert_ptr_equal(worker_take(&w), &j);
		assert_true(j.saw_cancel);
		assert_int_equal(poll(&p, 1, 0), 0);
		assert_null(worker_take(&w));
	}
	worker_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(commands_and_answers_go_over_the_socket),
		TMPDIR_TEST(a_refusal_arrives_with_its_code),
		TMPDIR_TEST(without_an_agent_it_says_so),
		cmocka_unit_test(junk_is_answered_and_the_connection_ends),
		cmocka_unit_test(a_line_without_an_end_does_not_fill_the_memory),
		cmocka_unit_test(a_worker_tells_when_it_is_done_and_can_be_cancelled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
