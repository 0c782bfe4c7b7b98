/* valise-vmm: runs one virtual phone.  The agent starts it; people use --probe. */
#include "base/cli.h"
#include "base/io.h"
#include "base/log.h"
#include "hypervisor/kvm.h"
#include "hypervisor/monitor.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t spec_fd = 0;
static bool probe;

static bool run_probe(struct err *e)
{
	if (!kvm_probe(e)) {
		err_wrap(e, "KVM cannot be used");
		return err_hint(e, "phones run under QEMU's emulation here: slower, as safe");
	}
	puts("KVM runs a stock kernel here");
	return true;
}

static bool read_spec(struct launch_spec *ret, struct buf *text, struct err *e)
{
	if (!read_fd((int)spec_fd, text, e))
		return err_wrap(e, "launch spec");
	if (text->n == 0) {
		err_set(e, E_USAGE, "no launch spec on descriptor %d", (int)spec_fd);
		return err_hint(e, "valise-agent starts this with one; people use --probe");
	}
	return launch_spec_parse(ret, text->p, text->n, e);
}

static bool run_phone(struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LAUNCH_SPEC_MAX);
	struct launch_spec *spec = calloc(1, sizeof(*spec));

	if (!spec)
		return err_nomem(e);
	bool ok = read_spec(spec, &text, e) && monitor_run(spec, clock_system(), e);
	free(spec);
	return ok;
}

static bool run(int argc UNUSED, char **argv UNUSED, struct err *e)
{
	log_init("valise-vmm", LOG_INFO);
	signal(SIGPIPE, SIG_IGN);
	return probe ? run_probe(e) : run_phone(e);
}

static const struct cli_opt opts[] = {
	{ "spec-fd", 0, "N", "descriptor that the launch spec is read from (default: 0)",
	  CLI_UINT, &spec_fd },
	{ "probe", 0, NULL, "only tell whether KVM can run a stock kernel on this host",
	  CLI_FLAG, &probe },
	{ 0 },
};

static const struct cli_command commands[] = {
	{ .name = "",
	  .args = "",
	  .help = "run one virtual phone",
	  .opts = opts,
	  .max_args = 0,
	  .run = run,
	  .long_help =
		  "Reads a launch spec, checks every file that it names against its signed root, and\n"
		  "runs the phone in a jail of its own until it ends or the control socket closes.\n"
		  "valise-agent starts it; see proto/launch.h for the spec." },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const struct cli_program program = {
		.name = "valise-vmm",
		.summary = "runs one virtual phone of Valise",
		.man_section = 8,
		.commands = commands,
	};

	return cli_main(&program, argc, argv);
}
