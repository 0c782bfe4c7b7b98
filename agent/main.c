/* valise-agent: on the handset.  Enrols, checks in, updates and runs the virtual phone. */
#include "agent/control.h"
#include "agent/daemon.h"
#include "agent/enrol.h"
#include "agent/lock.h"
#include "agent/settings.h"
#include "agent/tuf_command.h"
#include "base/cli.h"
#include "base/io.h"
#include "base/log.h"
#include "proto/jread.h"
#include "proto/jwrite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#define DEFAULT_CONFIG "/etc/valise/agent.conf"

enum { EXIT_ROLLED_BACK = 10, EXIT_FAILED = 11 };

static const char *opt_config, *opt_model = "default", *opt_name = "", *opt_output = "table";
static struct cli_list opt_set;
static bool opt_again, opt_new_keys;
static int exit_status; /* of a cycle that did not fail and did not get far */

static bool is_json(void)
{
	return strcmp(opt_output, "json") == 0;
}

static bool load_settings(struct settings *ret, struct err *e)
{
	const char *path = opt_config;

	if (!is_json() && strcmp(opt_output, "table") != 0)
		return err_set(e, E_USAGE, "-o is table or json");
	/* The usual place counts if there is something there. */
	if (!path && access(DEFAULT_CONFIG, R_OK) == 0)
		path = DEFAULT_CONFIG;
	return settings_load(ret, path, opt_set.v, opt_set.n, e);
}

static bool run_daemon(enum daemon_mode mode, struct err *e)
{
	CLEANUP(settings_done) struct settings set = { 0 };
	enum daemon_end how;

	if (!load_settings(&set, e))
		return false;
	log_init("valise-agent", (enum log_level)set.log_level);
	const char *path = opt_config                          ? opt_config
			   : access(DEFAULT_CONFIG, R_OK) == 0 ? DEFAULT_CONFIG
							       : NULL;
	if (!daemon_run(&how, mode, &set, path, clock_system(), rng_system(), e))
		return false;
	if (mode == DAEMON_ONCE)
		exit_status = how == DAEMON_ROLLED_BACK ? EXIT_ROLLED_BACK
			      : how == DAEMON_FAILED    ? EXIT_FAILED
							: 0;
	return true;
}

static bool cmd_run(int argc UNUSED, char **argv UNUSED, struct err *e)
{
	return run_daemon(DAEMON_RUN, e);
}

static bool cmd_once(int argc UNUSED, char **argv UNUSED, struct err *e)
{
	return run_daemon(DAEMON_ONCE, e);
}

/* What this handset is now; en NULL: only its keys have changed. */
static bool print_json(const struct enrolment *en, const char *fingerprint, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_CONTROL_LINE);
	struct jw w;

	jw_init(&w, &b);
	jw_obj(&w, NULL);
	if (en) {
		jw_str(&w, "device", en->device);
		jw_str(&w, "server", en->url);
	}
	jw_str(&w, "fingerprint", fingerprint);
	if (en)
		jw_bool(&w, "pending", en->pending);
	jw_end(&w);
	return jw_finish(&w, e) && puts(buf_str(&b)) >= 0;
}

static bool cmd_enrol(int argc UNUSED, char **argv, struct err *e)
{
	CLEANUP(settings_done) struct settings set = { 0 };
	CLEANUP(fd_closep) int dirfd = -1;
	CLEANUP(fd_closep) int lock = -1;
	struct enrol_options opt = { .ticket = argv[0],
				     .model = opt_model,
				     .name = opt_name,
				     .again = opt_again,
				     .new_keys = opt_new_keys };
	CLEANUP(identity_done) struct identity id = { 0 };
	struct enrolment en;

	if (!load_settings(&set, e) || !dir_open(&dirfd, set.state_dir, 0700, e) ||
	    !lock_take(&lock, dirfd, set.state_dir, e) ||
	    !enrol(&en, dirfd, &opt, &set, clock_system(), rng_system(), e) ||
	    !identity_load(&id, dirfd, e))
		return false;
	if (is_json())
		return print_json(&en, id.fingerprint, e);
	printf("device %s enrolled with %s\n", en.device, en.url);
	printf("fingerprint %s\n", id.fingerprint);
	if (en.pending)
		puts("an administrator has to approve it; compare the fingerprint with what they see");
	return true;
}

/* ---- talking to a running agent ---------------------------------------------------------- */

static bool call(struct buf *ret, int *ret_fd, enum control_verb verb, struct err *e)
{
	CLEANUP(settings_done) struct settings set = { 0 };

	return load_settings(&set, e) && control_call(ret, ret_fd, set.state_dir, verb, e);
}

static const char *text_of(const struct jval *o, const char *key)
{
	const struct jval *v = jobj_opt(o, key);

	return v && jval_type(v) == J_STR ? jval_str(v, NULL) : "none";
}

/* "none" says it once. */
static void print_pair(const char *title, const char *what, const char *of)
{
	bool none = strcmp(of, "none") == 0;

	printf("%-12s %s%s%s\n", title, what, none ? "" : ", ", none ? "" : of);
}

static bool print_status(const struct buf *text, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct jval *update, *vm, *policies, *check_in;

	if (!jdoc_parse(&d, text->p, text->n, e))
		return false;
	const struct jval *o = jdoc_root(d);
	if (!jobj_obj(&update, o, "update", e) || !jobj_obj(&vm, o, "vm", e) ||
	    !jobj_obj(&check_in, o, "check_in", e) || !jobj_obj(&policies, o, "policies", e))
		return false;
	printf("device       %s (%s)\n", text_of(o, "device"), text_of(o, "enrolment"));
	printf("server       %s\n", text_of(o, "server"));
	if (text_of(check_in, "error")[0])
		printf("             %s\n             hint: %s\n", text_of(check_in, "error"),
		       text_of(check_in, "hint"));
	printf("model        %s\n", text_of(o, "model"));
	print_pair("active slot", text_of(o, "active"), text_of(o, "release"));
	print_pair("update", text_of(update, "state"), text_of(update, "target"));
	if (text_of(update, "reason")[0])
		printf("             %s\n", text_of(update, "reason"));
	if (text_of(update, "waits_for")[0])
		printf("             waits: %s\n", text_of(update, "waits_for"));
	printf("phone        %s%s%s\n", text_of(vm, "state"),
	       text_of(vm, "engine")[0] ? ", " : "", text_of(vm, "engine"));
	if (text_of(vm, "error")[0])
		printf("             %s\n", text_of(vm, "error"));
	for (struct jiter it = jobj_first(policies); it.val; it = jobj_next(policies, it))
		printf("policy       %s %lld\n", it.key, (long long)jval_int(it.val));
	if (text_of(o, "refused")[0])
		printf("refused      %s\n", text_of(o, "refused"));
	return true;
}

static bool cmd_status(int argc UNUSED, char **argv UNUSED, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_CONTROL_LINE);

	if (!call(&text, NULL, CONTROL_STATUS, e))
		return false;
	if (is_json())
		return puts(buf_str(&text)) >= 0;
	return print_status(&text, e);
}

static bool simple(enum control_verb verb, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_CONTROL_LINE);

	return call(&text, NULL, verb, e);
}

static bool cmd_start(int argc UNUSED, char **argv UNUSED, struct err *e)
{
	return simple(CONTROL_START, e);
}

static bool cmd_stop(int argc UNUSED, char **argv UNUSED, struct err *e)
{
	return simple(CONTROL_STOP, e);
}

static bool cmd_install(int argc UNUSED, char **argv UNUSED, struct err *e)
{
	return simple(CONTROL_INSTALL, e);
}

static bool cmd_check_in(int argc UNUSED, char **argv UNUSED, struct err *e)
{
	return simple(CONTROL_CHECK_IN, e);
}

/* ---- new keys ---------------------------------------------------------------------------- */

enum { KEYS_WAIT_S = 60, KEYS_LOOK_MS = 100 };

/* What `status` says of the keys. */
struct keys_status {
	bool changing;
	char fingerprint[FINGERPRINT_SIZE], error[ERR_TEXT_MAX];
};

static bool look_at_keys(struct keys_status *ret, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_CONTROL_LINE);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct jval *keys;

	return call(&text, NULL, CONTROL_STATUS, e) && jdoc_parse(&d, text.p, text.n, e) &&
	       jobj_obj(&keys, jdoc_root(d), "keys", e) &&
	       jobj_bool(&ret->changing, keys, "changing", e) &&
	       jobj_copy(ret->error, sizeof(ret->error), keys, "error", e) &&
	       jobj_copy(ret->fingerprint, sizeof(ret->fingerprint), jdoc_root(d),
			 "fingerprint", e);
}

static bool cmd_rotate_key(int argc UNUSED, char **argv UNUSED, struct err *e)
{
	int64_t until_ms = clock_boot_ms(clock_system()) + KEYS_WAIT_S * 1000;
	struct keys_status now;

	if (!simple(CONTROL_ROTATE_KEY, e))
		return false;
	for (;;) {
		if (!look_at_keys(&now, e))
			return false;
		if (now.error[0]) {
			err_set(e, E_UNAVAILABLE, "%s", now.error);
			return err_hint(
				e, "the keys are as they were; the agent asks again by itself");
		}
		if (!now.changing && is_json())
			return print_json(NULL, now.fingerprint, e);
		if (!now.changing)
			return printf("fingerprint %s\n", now.fingerprint) > 0;
		if (clock_boot_ms(clock_system()) >= until_ms)
			break;
		poll(NULL, 0, KEYS_LOOK_MS);
	}
	err_set(e, E_TIMEOUT, "no check-in got through within %d s", KEYS_WAIT_S);
	return err_hint(e, "the agent changes the keys with the next one that does");
}

/* ---- console ----------------------------------------------------------------------------- */

enum { ESCAPE_KEY = 0x1d /* Ctrl-] */ };

/* Copies once; false at the end of either side or at the escape key. */
static bool pump(int from, int to, bool escape)
{
	char bytes[4096];
	ssize_t n = read(from, bytes, sizeof(bytes));
	struct err ignored;

	if (n <= 0 || (escape && memchr(bytes, ESCAPE_KEY, (size_t)n)))
		return false;
	return write_all(to, bytes, (size_t)n, &ignored);
}

static bool cmd_console(int argc UNUSED, char **argv UNUSED, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_CONTROL_LINE);
	CLEANUP(fd_closep) int fd = -1;
	struct timeval forever = { 0 };
	struct termios before, raw;
	bool tty = tcgetattr(STDIN_FILENO, &before) == 0;

	if (!call(&text, &fd, CONTROL_CONSOLE, e))
		return false;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
	if (tty) {
		fputs("Ctrl-] leaves the console\n", stderr);
		raw = before;
		cfmakeraw(&raw);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	struct pollfd p[] = { { .fd = fd, .events = POLLIN },
			      { .fd = STDIN_FILENO, .events = POLLIN } };
	while (poll(p, 2, -1) >= 0 || errno == EINTR) {
		if (p[0].revents && !pump(fd, STDOUT_FILENO, false))
			break;
		/* The end of a file that is typed from is no reason to stop looking. */
		if (p[1].revents && !pump(STDIN_FILENO, fd, tty)) {
			if (tty)
				break;
			p[1].fd = -1;
		}
	}
	if (tty)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	return true;
}

static bool cmd_settings(int argc UNUSED, char **argv UNUSED, struct err *e)
{
	CLEANUP(settings_done) struct settings set = { 0 };

	if (!load_settings(&set, e))
		return false;
	conf_print_sample(stdout, settings_rows, settings_n_rows);
	return true;
}

/* ---- the table --------------------------------------------------------------------------- */

static const struct cli_opt common_opts[] = {
	{ "config", 'c', "FILE", "settings file (default: " DEFAULT_CONFIG ")", CLI_STRING,
	  &opt_config },
	{ "set", 0, "KEY=VALUE", "one setting; may be given several times", CLI_LIST,
	  &opt_set },
	{ "output", 'o', "FORMAT", "table or json", CLI_STRING, &opt_output },
	{ 0 },
};

static const struct cli_opt no_opts[] = { { 0 } };

static const struct cli_opt enrol_opts[] = {
	{ "model", 'm', "MODEL", "handset model, as releases name it", CLI_STRING, &opt_model },
	{ "name", 'n', "NAME", "name for people", CLI_STRING, &opt_name },
	{ "again", 0, NULL, "forget the present server and what it installed", CLI_FLAG,
	  &opt_again },
	{ "new-keys", 0, NULL, "with --again: make new keys, and be another device", CLI_FLAG,
	  &opt_new_keys },
	{ 0 },
};

static const struct cli_command commands[] = {
	{ .name = "enrol",
	  .args = "TICKET",
	  .help = "become a device of the server that made the ticket",
	  .opts = enrol_opts,
	  .min_args = 1,
	  .max_args = 1,
	  .run = cmd_enrol,
	  .long_help =
		  "Makes this handset's keys, checks both roots of the server against the ticket,\n"
		  "and enrols.  Safe to repeat after a failure." },
	{ .name = "run",
	  .args = "",
	  .help = "check in, update and run the virtual phone until stopped",
	  .opts = no_opts,
	  .run = cmd_run,
	  .long_help =
		  "SIGTERM shuts the virtual phone down and ends; SIGHUP reads the settings again." },
	{ .name = "once",
	  .args = "",
	  .help = "one full cycle in the foreground, with trial boot and report; then stop",
	  .opts = no_opts,
	  .run = cmd_once,
	  .long_help =
		  "Exit status 0: nothing to do, or a new release was confirmed.  10: a new release\n"
		  "did not get healthy and was rolled back.  11: the update was given up.  Others:\n"
		  "it could not go on now, and will the next time (75: try again; 78: a policy\n"
		  "makes it wait; 74: no space; 69: no network)." },
	{ .name = "status",
	  .args = "",
	  .help = "what the running agent does",
	  .opts = no_opts,
	  .run = cmd_status },
	{ .name = "check-in",
	  .args = "",
	  .help = "ask the server now",
	  .opts = no_opts,
	  .run = cmd_check_in },
	{ .name = "rotate-key",
	  .args = "",
	  .help = "change this handset's own keys now",
	  .opts = no_opts,
	  .run = cmd_rotate_key,
	  .long_help =
		  "The device keeps its name; its signing and its sealing key are made anew, signed by the\n"
		  "old key and the new one, and the old one is never good again.  Prints the new\n"
		  "fingerprint.  The running agent does it; it does so by itself every keys.max_age." },
	{ .name = "install",
	  .args = "",
	  .help = "install an update that waits for you",
	  .opts = no_opts,
	  .run = cmd_install },
	{ .name = "start",
	  .args = "",
	  .help = "start the virtual phone",
	  .opts = no_opts,
	  .run = cmd_start },
	{ .name = "stop",
	  .args = "",
	  .help = "shut the virtual phone down",
	  .opts = no_opts,
	  .run = cmd_stop },
	{ .name = "console",
	  .args = "",
	  .help = "the virtual phone's serial port",
	  .opts = no_opts,
	  .run = cmd_console },
	{ .name = "settings",
	  .args = "",
	  .help = "check the settings and print a sample file with the defaults",
	  .opts = no_opts,
	  .run = cmd_settings },
	{ .name = "tuf",
	  .args = "init ROOT | refresh | download",
	  .help = "the TUF client by itself, as the conformance suite drives it",
	  .opts = tuf_command_opts,
	  .min_args = 1,
	  .max_args = 2,
	  .run = tuf_command,
	  .hidden = true },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const struct cli_program program = {
		.name = "valise-agent",
		.summary = "runs and updates the virtual phone of a handset",
		.opts = common_opts,
		.commands = commands,
		.footer = "Files: " DEFAULT_CONFIG ", /var/lib/valise-agent/",
		.man_section = 8,
		.wants_json = is_json,
	};
	int status = cli_main(&program, argc, argv);

	return status == 0 ? exit_status : status;
}
