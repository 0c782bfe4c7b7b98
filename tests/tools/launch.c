/* launch - starts valise-vmm as the agent does, for scenarios.
 *
 *	launch VMM IMAGEDIR CONFIG.iso DATA SERIAL_LOG [FIELD=VALUE...]
 *
 * Prints each event as it comes, and passes each line of standard input on as a command (at its end the
 * control socket stays open; "hangup" closes it).  Roots are computed here unless damage=NAME
 * says whose last digest is to be wrong.  Fields: id, cmdline, memory_mib, vcpus, engine, jail, damage. */
#include "base/io.h"
#include "base/text.h"
#include "proto/launch.h"
#include "proto/verity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const struct err *e)
{
	fprintf(stderr, "launch: %s\n", e->text);
	exit(1);
}

static int open_file(const char *dir, const char *name, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s%s%s", dir ? dir : "", dir ? "/" : "", name);
	fd = open(path, flags, 0600); /* inherited: no O_CLOEXEC */
	if (fd < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

static struct launch_file verified_file(const char *dir, const char *name, const char *damage)
{
	struct launch_file f = { .fd = open_file(dir, name, O_RDONLY), .verified = true };
	struct err e;

	if (!fd_size(f.fd, &f.size, &e) ||
	    !verity_fd_root(f.root, NULL, -1, f.fd, f.size, f.salt, NULL, &e))
		die(&e);
	if (damage && strcmp(damage, name) == 0)
		f.root[SHA256_SIZE - 1] ^= 1;
	return f;
}

static void add_disk(struct launch_spec *s, const char *name, bool readonly,
		     struct launch_file f)
{
	struct launch_disk *d = &s->disks[s->n_disks++];

	snprintf(d->name, sizeof(d->name), "%s", name);
	d->readonly = readonly;
	d->file = f;
}

static const char *field(int argc, char **argv, const char *name, const char *dflt)
{
	size_t n = strlen(name);

	for (int i = 6; i < argc; i++)
		if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=')
			return argv[i] + n + 1;
	return dflt;
}

static void fill_spec(struct launch_spec *s, int argc, char **argv)
{
	const char *damage = field(argc, argv, "damage", NULL);

	launch_spec_init(s);
	snprintf(s->id, sizeof(s->id), "%s", field(argc, argv, "id", "test"));
	snprintf(s->arch, sizeof(s->arch), "x86_64");
	snprintf(s->cmdline, sizeof(s->cmdline), "%s",
		 field(argc, argv, "cmdline", "console=ttyS0"));
	s->memory_mib = strtoull(field(argc, argv, "memory_mib", "192"), NULL, 10);
	s->vcpus = strtoull(field(argc, argv, "vcpus", "1"), NULL, 10);
	s->engine = strcmp(field(argc, argv, "engine", "tcg"), "auto") == 0 ? LAUNCH_AUTO
									    : LAUNCH_QEMU_TCG;
	s->jail = strcmp(field(argc, argv, "jail", "best"), "require") == 0
			  ? LAUNCH_JAIL_REQUIRE
			  : LAUNCH_JAIL_BEST;
	s->kernel = verified_file(argv[2], "vmlinux", damage);
	s->initrd = verified_file(argv[2], "initrd.cpio", damage);
	add_disk(s, "system", true, verified_file(argv[2], "system.erofs", damage));
	add_disk(s, "data", false,
		 (struct launch_file){ .fd = open_file(NULL, argv[4], O_RDWR) });
	add_disk(s, "config", true,
		 (struct launch_file){ .fd = open_file(NULL, argv[3], O_RDONLY) });
	s->serial_log_fd = open_file(NULL, argv[5], O_RDWR | O_CREAT);
}

/* Copies what is there; false at its end. */
static bool relay(int from, int to)
{
	char bytes[4096];
	ssize_t n = read(from, bytes, sizeof(bytes));
	struct err e;

	if (n <= 0)
		return false;
	if (n >= 6 && memcmp(bytes, "hangup", 6) == 0)
		return shutdown(to, SHUT_WR) == 0;
	if (!write_all(to, bytes, (size_t)n, &e))
		die(&e);
	return true;
}

static void talk(int control)
{
	bool input = true;

	for (;;) {
		struct pollfd p[] = { { .fd = control, .events = POLLIN },
				      { .fd = input ? 0 : -1, .events = POLLIN } };

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return;
		if (p[0].revents && !relay(control, 1))
			return;
		if (p[1].revents)
			input = relay(0, control);
	}
}

int main(int argc, char **argv)
{
	static struct launch_spec spec;
	CLEANUP(buf_done) struct buf text = BUF_INIT(LAUNCH_SPEC_MAX);
	int control[2], document[2], status;
	struct err e;

	if (argc < 6) {
		fprintf(stderr,
			"usage: launch VMM IMAGEDIR CONFIG DATA SERIAL_LOG [FIELD=VALUE...]\n");
		return 64;
	}
	fill_spec(&spec, argc, argv);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, control) != 0 || pipe(document) != 0)
		return 71;
	spec.control_fd = control[1];
	if (!launch_spec_encode(&text, &spec, &e))
		die(&e);
	pid_t pid = fork();
	if (pid == 0) {
		char number[16];

		close(control[0]);
		close(document[1]);
		snprintf(number, sizeof(number), "%d", document[0]);
		execl(argv[1], argv[1], "--spec-fd", number, (char *)NULL);
		_exit(127);
	}
	close(control[1]);
	if (!write_all(document[1], text.p, text.n, &e))
		die(&e);
	close(document[1]);
	talk(control[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
