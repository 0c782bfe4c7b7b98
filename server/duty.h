/* server/duty.h - what a child process gets from mgr, and the entry points of the duties.
 *
 * Descriptors that a duty is not given are -1; a duty's first act is to close all others
 * (duty_start), so what stands here is all it has. */
#ifndef VALISE_SERVER_DUTY_H
#define VALISE_SERVER_DUTY_H

#include "server/settings.h"

#include <sys/types.h>

struct duty {
	const char *name;
	const struct settings *settings;
	const char *empty_dir; /* an empty folder that nobody may write, to be locked up in */
	pid_t parent;
	int64_t server_started_ms; /* of mgr, by the clock of the boot */
	int control;               /* web: channel to mgr */
	int keys,
		work; /* channels: keys and work have their own end, web the other end of both */
	int deltas;   /* channel: each delta process has the same end, web the other */
	int listen_tcp;  /* web, if set */
	int listen_unix; /* web, if set */
	int key_dir; /* keys (to read its key files, then closed); web: to read the session secret */
	int state_dir; /* web (to read certificates, then closed) */
};

/* Runs the duty until its end; the exit status of the process. */
int keys_main(struct duty *d);
int work_main(struct duty *d);
int delta_main(struct duty *d);
int web_main(struct duty *d);

/* Logs why the duty cannot go on and returns the exit status for it. */
int duty_fail(const struct duty *d, const struct err *e);

#endif
