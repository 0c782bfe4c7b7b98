#include "tests/unit/agent/fixture.h"

#include "agent/vmctl.h"
#include "base/text.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the monitor: this very program, started again ---------------------------------------- */

static void say(int fd, const struct launch_event *ev)
{
	CLEANUP(buf_done) struct buf line = BUF_INIT(LIMIT_CONTROL_LINE);
	struct err e;

	if (!launch_event_encode(&line, ev, &e) || !write_all(fd, line.p, line.n, &e))
		_exit(3);
}

static void say_health(int fd, const char *boot, const char *state)
{
	struct launch_event ev = { .kind = LAUNCH_HEALTH };

	snprintf(ev.line, sizeof(ev.line), "{\"v\":1,\"boot\":\"%s\",\"state\":\"%s\"}", boot,
		 state);
	say(fd, &ev);
}

static bool heard(int fd, enum launch_verb verb)
{
	char line[512];
	size_t n = 0;
	struct launch_command c;
	struct err e;

	while (n < sizeof(line) && read(fd, line + n, 1) == 1)
		if (line[n++] == '\n')
			return launch_command_parse(&c, line, n - 1, &e) && c.verb == verb;
	return false;
}

/* Everything that was inherited must be what the spec says. */
static void look_at_files(const struct launch_spec *s, int out)
{
	char text[1024];
	int n = snprintf(text, sizeof(text), "memory=%d vcpus=%d cmdline=%s disks=%zu",
			 (int)s->memory_mib, (int)s->vcpus, s->cmdline, s->n_disks);

	for (size_t i = 0; i < s->n_disks; i++) {
		int mode = fcntl(s->disks[i].file.fd, F_GETFL) & O_ACCMODE;

		n += snprintf(text + n, sizeof(text) - (size_t)n, " %s:%s%s", s->disks[i].name,
			      mode == O_RDONLY ? "ro" : "rw",
			      s->disks[i].file.verified ? ":verified" : "");
	}
	/* Nothing of the agent's may have slipped through. */
	unsigned open_fds = 0;
	for (int fd = 3; fd < 1024; fd++)
		open_fds += fcntl(fd, F_GETFD) >= 0;
	n += snprintf(text + n, sizeof(text) - (size_t)n, " fds=%u\n", open_fds);
	if (write(out, text, (size_t)n) != n)
		_exit(4);
}

static int monitor(int spec_fd)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LAUNCH_SPEC_MAX);
	static struct launch_spec s;
	const char *mode = getenv("FAKE_MONITOR");
	struct err e;

	if (!read_fd(spec_fd, &text, &e) || !launch_spec_parse(&s, text.p, text.n, &e))
		return 2;
	look_at_files(&s, s.serial_log_fd);
	if (strcmp(mode, "silent-death") == 0)
		return 5;
	if (strcmp(mode, "junk") == 0)
		return write(s.control_fd, "junk\n", 5) == 5 &&
		       heard(s.control_fd, LAUNCH_STOP);
	if (strcmp(mode, "deaf") == 0)
		for (;;)
			pause();
	if (strcmp(mode, "corrupt") == 0) {
		say(s.control_fd,
		    &(struct launch_event){ .kind = LAUNCH_EXITED,
					    .reason = LAUNCH_EXIT_ERROR,
					    .code = E_CORRUPT,
					    .detail = "system: group 0 differs" });
		return 1;
	}
	say(s.control_fd,
	    &(struct launch_event){ .kind = LAUNCH_STARTED, .engine = "fake", .why = "test" });
	say_health(s.control_fd, "00000000000000000000000000000000", "healthy");
	say_health(s.control_fd, s.id, "healthy");
	if (!heard(s.control_fd, LAUNCH_STOP))
		return 6;
	say(s.control_fd,
	    &(struct launch_event){ .kind = LAUNCH_EXITED, .reason = LAUNCH_EXIT_STOPPED });
	return 0;
}

/* ---- the tests ----------------------------------------------------------------------------- */

struct world {
	struct settings settings;
	struct applied *policy;
	struct release_id id;
	struct vm_plan plan;
	struct vm vm;
	int policies;
};

static struct world *world_new(void **state, const char *mode)
{
	struct world *w = calloc(1, sizeof(*w));
	static const char *const monitor_is_me[] = { "vm.monitor=/proc/self/exe" };
	struct err e;

	assert_non_null(w);
	setenv("FAKE_MONITOR", mode, 1);
	assert_ok(settings_load(&w->settings, NULL, monitor_is_me, 1, &e), &e);
	w->settings.data_bytes = 1 << 20;
	assert_ok(dir_open_at(&w->policies, tmpdir_fd(state), "policies", 0700, &e), &e);
	assert_ok(applied_load(&w->policy, w->policies, &e), &e);
	w->id = fixture_install(state, SLOT_A, "1.0", 1);
	w->vm = VM_INIT;
	w->plan = (struct vm_plan){
		.state_dirfd = tmpdir_fd(state),
		.slot = SLOT_A,
		.id = &w->id,
		.model = "compact",
		.device = "0123456789abcdef0123456789abcdef",
		.hostname = "work-phone",
		.policy = w->policy,
		.settings = &w->settings,
		.now_s = 1795362060,
	};
	return w;
}

static void world_free(struct world *w)
{
	vm_done(&w->vm);
	applied_free(w->policy);
	settings_done(&w->settings);
	fd_closep(&w->policies);
	free(w);
}

/* The next event, however long the other process takes. */
static struct launch_event next(struct vm *vm)
{
	struct launch_event ev;
	struct err e;
	bool have = false;

	while (!have) {
		struct pollfd p = { .fd = vm->control_fd, .events = POLLIN };

		assert_ok(vm_next_event(vm, &ev, &have, &e), &e);
		if (!have)
			assert_int_equal(poll(&p, 1, 30000), 1);
	}
	return ev;
}

static void a_phone_starts_reports_and_stops(void **state)
{
	struct world *w = world_new(state, "good");
	char boot[33], log[1024], wanted[1024];
	unsigned inherited = 0; /* from whoever started the test */
	struct health h;
	struct err e;

	for (int fd = 3; fd < 1024; fd++)
		inherited += fcntl(fd, F_GETFD) == 0;

	assert_ok(vm_start(&w->vm, &w->plan, rng_system(), &e), &e);
	assert_int_equal(w->vm.state, VM_STARTING);
	assert_int_equal(w->vm.health_deadline_s, 300);
	assert_int_equal(next(&w->vm).kind, LAUNCH_STARTED);
	assert_int_equal(w->vm.state, VM_RUNNING);
	assert_string_equal(w->vm.engine, "fake");

	/* Another boot's report is told from this one's. */
	struct launch_event ev = next(&w->vm);
	assert_ok(health_parse(&h, ev.line, strlen(ev.line), &e), &e);
	assert_memory_not_equal(h.boot, w->vm.boot, HEALTH_BOOT);
	ev = next(&w->vm);
	assert_ok(health_parse(&h, ev.line, strlen(ev.line), &e), &e);
	assert_memory_equal(h.boot, w->vm.boot, HEALTH_BOOT);
	hex_encode(boot, w->vm.boot, HEALTH_BOOT);
	assert_non_null(strstr(ev.line, boot));

	assert_ok(vm_stop(&w->vm, 5000, &e), &e);
	ev = next(&w->vm);
	assert_int_equal(ev.kind, LAUNCH_EXITED);
	assert_int_equal(ev.reason, LAUNCH_EXIT_STOPPED);
	vm_reap(&w->vm, NULL);
	assert_int_equal(w->vm.state, VM_STOPPED);

	size_t n = read_back_at(tmpdir_fd(state), "serial.log", log, sizeof(log) - 1);
	log[n] = '\0';
	/* Spec, control, console, log, kernel, three disks, and nothing else of ours. */
	snprintf(wanted, sizeof(wanted),
		 "memory=512 vcpus=2 cmdline=console=ttyS0 disks=3 "
		 "system:ro:verified data:rw config:ro fds=%u\n",
		 inherited + 8);
	assert_string_equal(log, wanted);
	world_free(w);
}

static void two_boots_never_have_the_same_nonce(void **state)
{
	struct world *w = world_new(state, "good");
	uint8_t first[HEALTH_BOOT];
	struct err e;

	assert_ok(vm_start(&w->vm, &w->plan, rng_system(), &e), &e);
	memcpy(first, w->vm.boot, sizeof(first));
	vm_done(&w->vm);
	assert_ok(vm_start(&w->vm, &w->plan, rng_system(), &e), &e);
	assert_memory_not_equal(first, w->vm.boot, sizeof(first));
	world_free(w);
}

static void a_monitor_that_dies_silently_is_a_crash(void **state)
{
	struct world *w = world_new(state, "silent-death");
	int status;
	struct err e;

	assert_ok(vm_start(&w->vm, &w->plan, rng_system(), &e), &e);
	struct launch_event ev = next(&w->vm);
	assert_int_equal(ev.kind, LAUNCH_EXITED);
	assert_int_equal(ev.reason, LAUNCH_EXIT_CRASHED);
	vm_reap(&w->vm, &status);
	assert_int_equal(WEXITSTATUS(status), 5);
	world_free(w);
}

static void a_damaged_slot_is_told_with_its_code(void **state)
{
	struct world *w = world_new(state, "corrupt");
	struct err e;

	assert_ok(vm_start(&w->vm, &w->plan, rng_system(), &e), &e);
	struct launch_event ev = next(&w->vm);
	assert_int_equal(ev.reason, LAUNCH_EXIT_ERROR);
	assert_int_equal(ev.code, E_CORRUPT);
	assert_string_equal(ev.detail, "system: group 0 differs");
	world_free(w);
}

static void junk_from_the_monitor_is_an_error_and_a_deaf_one_is_killed(void **state)
{
	struct world *w = world_new(state, "junk");
	struct launch_event ev;
	bool have = false;
	struct err e;

	assert_ok(vm_start(&w->vm, &w->plan, rng_system(), &e), &e);
	struct pollfd p = { .fd = w->vm.control_fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 30000), 1);
	assert_fails(vm_next_event(&w->vm, &ev, &have, &e), &e, E_FORMAT);
	world_free(w);

	w = world_new(state, "deaf");
	assert_ok(vm_start(&w->vm, &w->plan, rng_system(), &e), &e);
	assert_ok(vm_stop(&w->vm, 1000, &e), &e);
	vm_kill(&w->vm);
	ev = next(&w->vm);
	assert_int_equal(ev.reason, LAUNCH_EXIT_CRASHED);
	world_free(w);
}

static void a_monitor_that_is_not_there_is_an_error(void **state)
{
	struct world *w = world_new(state, "good");
	struct err e;

	free(w->settings.vmm);
	w->settings.vmm = strdup("/nonexistent/valise-vmm");
	assert_fails(vm_start(&w->vm, &w->plan, rng_system(), &e), &e, E_NOT_FOUND);
	assert_int_equal(w->vm.state, VM_STOPPED);
	assert_int_equal(w->vm.control_fd, -1);
	world_free(w);
}

static void what_is_wrong_with_a_slot_is_found_before_the_start(void **state)
{
	struct world *w = world_new(state, "good");
	CLEANUP(fd_closep) int slot = -1;
	struct err e;

	assert_ok(slot_open(&slot, tmpdir_fd(state), SLOT_A, &e), &e);
	w->plan.model = "tablet";
	assert_fails(vm_start(&w->vm, &w->plan, rng_system(), &e), &e, E_UNSUPPORTED);
	w->plan.model = "compact";
	/* Another manifest than the record's. */
	w->id.manifest[0] ^= 1;
	assert_fails(vm_start(&w->vm, &w->plan, rng_system(), &e), &e, E_CORRUPT);
	w->id.manifest[0] ^= 1;
	write_file_at(slot, "system", "short", 5);
	assert_fails(vm_start(&w->vm, &w->plan, rng_system(), &e), &e, E_CORRUPT);
	assert_int_equal(unlinkat(slot, "system", 0), 0);
	assert_fails(vm_start(&w->vm, &w->plan, rng_system(), &e), &e, E_CORRUPT);
	world_free(w);
}

static void user_data_survives_and_a_new_layout_starts_from_a_copy(void **state)
{
	struct world *w = world_new(state, "good");
	CLEANUP(fd_closep) int data = -1;
	char text[16] = "";
	struct stat st;
	struct err e;

	assert_ok(vm_start(&w->vm, &w->plan, rng_system(), &e), &e);
	vm_done(&w->vm);
	assert_ok(dir_open_at(&data, tmpdir_fd(state), "data", 0700, &e), &e);
	CLEANUP(fd_closep) int one = openat(data, "1.img", O_RDWR | O_CLOEXEC);
	assert_int_equal(fstat(one, &st), 0);
	assert_int_equal(st.st_size, 1 << 20);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_ok(pwrite_all(one, "user", 4, 70000, &e), &e);

	/* The same layout: the same disk. */
	w->id = fixture_install(state, SLOT_A, "1.1", 1);
	assert_ok(vm_start(&w->vm, &w->plan, rng_system(), &e), &e);
	vm_done(&w->vm);
	assert_ok(pread_all(one, text, 4, 70000, &e), &e);
	assert_string_equal(text, "user");

	/* A newer one: its own, made from the old, which stays for the way back. */
	w->id = fixture_install(state, SLOT_A, "1.2", 3);
	assert_ok(vm_start(&w->vm, &w->plan, rng_system(), &e), &e);
	vm_done(&w->vm);
	CLEANUP(fd_closep) int three = openat(data, "3.img", O_RDWR | O_CLOEXEC);
	assert_true(three >= 0);
	assert_ok(pread_all(three, text, 4, 70000, &e), &e);
	assert_string_equal(text, "user");
	assert_int_equal(fstat(one, &st), 0);
	assert_int_equal(st.st_nlink, 1);
	world_free(w);
}

static void the_log_tail_is_the_end_of_the_log(void **state)
{
	CLEANUP(buf_done) struct buf tail = BUF_INIT(LIMIT_LOG_TAIL);
	size_t n = LIMIT_LOG_TAIL + 100;
	char *log = malloc(n);
	struct err e;

	assert_ok(vm_log_tail(&tail, tmpdir_fd(state), &e), &e);
	assert_int_equal(tail.n, 0);
	memset(log, 'a', n);
	memcpy(log + n - 4, "end\n", 4);
	write_file_at(tmpdir_fd(state), "serial.log", log, n);
	assert_ok(vm_log_tail(&tail, tmpdir_fd(state), &e), &e);
	assert_int_equal(tail.n, LIMIT_LOG_TAIL);
	assert_memory_equal(tail.p + tail.n - 4, "end\n", 4);
	free(log);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(a_phone_starts_reports_and_stops),
		TMPDIR_TEST(two_boots_never_have_the_same_nonce),
		TMPDIR_TEST(a_monitor_that_dies_silently_is_a_crash),
		TMPDIR_TEST(a_damaged_slot_is_told_with_its_code),
		TMPDIR_TEST(junk_from_the_monitor_is_an_error_and_a_deaf_one_is_killed),
		TMPDIR_TEST(a_monitor_that_is_not_there_is_an_error),
		TMPDIR_TEST(what_is_wrong_with_a_slot_is_found_before_the_start),
		TMPDIR_TEST(user_data_survives_and_a_new_layout_starts_from_a_copy),
		TMPDIR_TEST(the_log_tail_is_the_end_of_the_log),
	};
	uint64_t fd;

	if (argc == 3 && strcmp(argv[1], "--spec-fd") == 0 &&
	    u64_parse(&fd, argv[2], strlen(argv[2])))
		return monitor((int)fd);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
