/* fake_monitor - stands in for valise-vmm in scenarios of the agent: the same launch spec, the same
 * verification before the first instruction, the same control lines, and no guest.
 *
 * What its guest does is the first line of the kernel's file:
 *
 *	good             starting, then healthy, until it is stopped
 *	broken           starting, and never anything else
 *	failing TEXT     failing, with this detail
 *	panic            ends at once, as a kernel panic looks
 *	binary           prints what is no text, and ends as `panic` does
 *	reboot-once      restarts itself at its first boot (the data disk remembers), then good
 *	stale            healthy, with the nonce of another boot
 *	die              the monitor itself dies
 *	never-starts     verifies for ever
 *	poweroff         healthy, then the user switches it off */
#include "base/io.h"
#include "base/text.h"
#include "proto/launch.h"
#include "proto/verity.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct launch_spec spec;

static void say(struct launch_event ev)
{
	CLEANUP(buf_done) struct buf line = BUF_INIT(LIMIT_CONTROL_LINE);
	struct err e;

	if (!launch_event_encode(&line, &ev, &e) ||
	    send(spec.control_fd, line.p, line.n, MSG_NOSIGNAL) != (ssize_t)line.n)
		exit(1);
}

static NORETURN void end(enum launch_exit reason, enum err_code code, const char *detail)
{
	struct launch_event ev = { .kind = LAUNCH_EXITED, .reason = reason, .code = code };

	snprintf(ev.detail, sizeof(ev.detail), "%s", detail);
	say(ev);
	exit(reason == LAUNCH_EXIT_ERROR ? 65 : 0);
}

static void verify(const struct launch_file *f, const char *name)
{
	struct err e;

	if (!f->verified || f->fd < 0 ||
	    verity_fd_check_root(f->fd, f->size, f->salt, f->root, NULL, &e))
		return;
	err_wrap(&e, "%s", name);
	end(LAUNCH_EXIT_ERROR, e.code, e.text);
}

static const struct launch_disk *disk(const char *name)
{
	for (size_t i = 0; i < spec.n_disks; i++)
		if (strcmp(spec.disks[i].name, name) == 0)
			return &spec.disks[i];
	end(LAUNCH_EXIT_ERROR, E_FORMAT, "a disk is missing");
}

/* What the guest was told, for the test to look at. */
static void log_settings(const struct buf *image)
{
	static const char key[] = "#cloud-config\n";
	const char *p = memmem(image->p, image->n, key, sizeof(key) - 1);

	if (p)
		dprintf(spec.serial_log_fd, "settings: %.*s\n",
			(int)strcspn(p + sizeof(key) - 1, "\n"), p + sizeof(key) - 1);
}

/* As a guest would: out of the configuration drive, and only there. */
static void read_nonce(char out[static 33])
{
	static const char key[] = "valise-boot: ";
	CLEANUP(buf_done) struct buf image = BUF_INIT(16 << 20);
	struct err e;

	if (lseek(disk("config")->file.fd, 0, SEEK_SET) < 0 ||
	    !read_fd(disk("config")->file.fd, &image, &e))
		end(LAUNCH_EXIT_ERROR, E_SYSTEM, "the configuration drive cannot be read");
	const uint8_t *p = memmem(image.p, image.n, key, sizeof(key) - 1);
	if (!p || memcmp(image.p + 16 * 2048 + 40, "cidata", 6) != 0)
		end(LAUNCH_EXIT_ERROR, E_FORMAT, "no nonce on the configuration drive");
	log_settings(&image);
	memcpy(out, p + sizeof(key) - 1, 32);
	out[32] = '\0';
}

static void report(const char *nonce, const char *state, const char *detail)
{
	struct launch_event ev = { .kind = LAUNCH_HEALTH };

	snprintf(ev.line, sizeof(ev.line),
		 "{\"v\":1,\"boot\":\"%s\",\"state\":\"%s\",\"checks\":{},\"detail\":\"%s\"}",
		 nonce, state, detail);
	say(ev);
}

static bool first_boot_of_the_disk(void)
{
	int fd = disk("data")->file.fd;
	char mark = 0;

	if (pread(fd, &mark, 1, 8192) != 1)
		exit(2);
	if (mark)
		return false;
	mark = 1;
	if (pwrite(fd, &mark, 1, 8192) != 1)
		exit(2);
	return true;
}

static NORETURN void until_stopped(void)
{
	char line[LIMIT_CONTROL_LINE];
	size_t n = 0;

	for (;;) {
		struct launch_command c;
		struct err e;

		if (read(spec.control_fd, line + n, 1) != 1)
			exit(0); /* no phone outlives its agent */
		if (line[n++] != '\n')
			continue;
		if (launch_command_parse(&c, line, n - 1, &e) && c.verb != LAUNCH_STATUS)
			end(c.verb == LAUNCH_STOP ? LAUNCH_EXIT_STOPPED : LAUNCH_EXIT_KILLED,
			    E_NONE, "");
		n = 0;
	}
}

static void print_no_text(void)
{
	static uint8_t junk[LIMIT_LOG_TAIL + 1];

	memset(junk, 0xff, sizeof(junk));
	if (write(spec.serial_log_fd, junk, sizeof(junk)) != (ssize_t)sizeof(junk))
		exit(67);
}

static void behave(const char *how)
{
	static const char zeros[] = "00000000000000000000000000000000";
	char nonce[33];

	read_nonce(nonce);
	if (strcmp(how, "binary") == 0)
		print_no_text();
	if (strcmp(how, "panic") == 0 || strcmp(how, "binary") == 0 ||
	    (strcmp(how, "reboot-once") == 0 && first_boot_of_the_disk()))
		end(LAUNCH_EXIT_REBOOT, E_NONE, "");
	if (strcmp(how, "die") == 0)
		raise(SIGKILL);
	if (strncmp(how, "failing ", 8) == 0) {
		report(nonce, "failing", how + 8);
	} else {
		report(nonce, "starting", "");
		if (strcmp(how, "broken") != 0)
			report(strcmp(how, "stale") == 0 ? zeros : nonce, "healthy", "");
		if (strcmp(how, "poweroff") == 0)
			end(LAUNCH_EXIT_POWEROFF, E_NONE, "");
	}
	until_stopped();
}

int main(int argc, char **argv)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LAUNCH_SPEC_MAX);
	char how[4097];
	struct err e;
	uint64_t fd;

	if (argc != 3 || strcmp(argv[1], "--spec-fd") != 0 ||
	    !u64_parse(&fd, argv[2], strlen(argv[2])) || !read_fd((int)fd, &text, &e) ||
	    !launch_spec_parse(&spec, text.p, text.n, &e))
		return 64;
	verify(&spec.kernel, "kernel");
	verify(&spec.initrd, "initrd");
	for (size_t i = 0; i < spec.n_disks; i++)
		verify(&spec.disks[i].file, spec.disks[i].name);

	size_t n;
	if (lseek(spec.kernel.fd, 0, SEEK_SET) < 0 ||
	    !read_up_to(spec.kernel.fd, how, sizeof(how) - 1, &n, &e))
		return 66;
	how[n] = '\0';
	how[strcspn(how, "\n")] = '\0';
	if (strcmp(how, "never-starts") == 0)
		until_stopped();
	struct launch_event started = { .kind = LAUNCH_STARTED, .engine = "fake" };
	snprintf(started.why, sizeof(started.why), "%.100s", how);
	text_clean(started.why, strlen(started.why), "");
	say(started);
	if (dprintf(spec.serial_log_fd, "this guest is %s, on %d MiB\n", how,
		    (int)spec.memory_mib) < 0)
		return 67;
	behave(how);
}
