/* agent/daemon.h - the running agent: one loop that owns the commit record and the virtual phone.
 *
 *	loop          signals, control socket, the monitor's events, timers; never blocks for long
 *	poll worker   check-ins, metadata, policies       (agent/poll.h)
 *	stage worker  the download into the idle slot     (agent/stage.h)
 *
 * Only the loop changes the record: event → update_apply → report written → record written → done
 * about it.  A record that could not be written leaves everything as it was; the event is
 * tried again every second.
 *
 * At start the record says what to do, whatever the last process was doing when it died: boot the
 * active slot or the trial, go on fetching, tell the server. */
#ifndef VALISE_AGENT_DAEMON_H
#define VALISE_AGENT_DAEMON_H

#include "agent/settings.h"
#include "base/clock.h"
#include "base/rng.h"

enum daemon_mode {
	DAEMON_RUN,  /* until SIGTERM or SIGINT; then stops the phone in order */
	DAEMON_ONCE, /* check in; if something is wanted, all the way to its end; report; stop */
};

/* How a DAEMON_ONCE ended, when it did not fail. */
enum daemon_end {
	DAEMON_NOTHING,     /* nothing was to be done, or a new release was confirmed */
	DAEMON_ROLLED_BACK, /* a new release did not get healthy; the old one is active */
	DAEMON_FAILED,      /* the update was given up; the reason was reported */
};

/* E_EXISTS: another agent runs on this state folder.  E_NOT_FOUND: not enrolled.  In DAEMON_ONCE also
 * what kept the update from going on now (E_POLICY, E_NO_SPACE, E_NETWORK, ...): it goes on next
 * time.  config is read again at SIGHUP (may be NULL). */
bool daemon_run(enum daemon_end *ret, enum daemon_mode mode, struct settings *set,
		const char *config, const struct clock *clock, const struct rng *rng,
		struct err *e) MUST_USE;

#endif
