/* server/mgr.h - the process that starts, watches and ends the others; it parses nothing from the network.
 *
 *	mgr ──fork──> keys      online keys          channel: web ⇄ keys
 *	    ──fork──> work × n  untrusted images     channel: web ⇄ all work processes
 *	    ──fork──> web       TLS, HTTP, database  channel: mgr ⇄ web (control)
 *
 * One set of these with its channels is a *generation*.  A child that ends is started again in its
 * generation (after a pause that doubles from 100 ms to 30 s while it keeps ending early; a
 * work process ends after every job on purpose and is replaced at once; one that web finds stuck in its
 * job is killed, which nobody else may do to another user's process).  The listening sockets
 * belong to mgr, so connections wait in the kernel meanwhile.
 *
 *	SIGHUP    the settings file is read again; if it is good a new generation is started beside
 *	          the old one; when its web is ready the old web finishes what is under way and its
 *	          generation goes.  New certificates and keys are read this way too.  If anything fails,
 *	          the old generation simply stays.
 *	SIGTERM, SIGINT   web finishes what is under way (stop.deadline), then all ends.  A second one
 *	          ends at once.
 *
 * web is asked every 10 s whether it lives, and killed after a minute of silence.  systemd is told
 * READY, RELOADING, STOPPING and WATCHDOG (server/notify.h).
 *
 * Files: run/port holds the TCP port really used (0: none); run/lock is locked while a server runs. */
#ifndef VALISE_SERVER_MGR_H
#define VALISE_SERVER_MGR_H

#include "server/settings.h"

struct mgr_options {
	const char *settings_file;      /* or NULL */
	const char *const *assignments; /* --set key=value, kept over a reload */
	size_t assignments_n;
};

/* Runs until told to stop.  E_CONFIG, E_BUSY: another server has this state directory. */
bool mgr_run(const struct mgr_options *o, struct err *e) MUST_USE;

#endif
