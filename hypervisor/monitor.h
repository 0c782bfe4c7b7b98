/* hypervisor/monitor.h - one virtual phone from launch spec to its last event.
 *
 *	verify ──bad──▶ exited(error, E_CORRUPT)
 *	  │ all roots match
 *	probe, choose engine ──none──▶ exited(error)
 *	  │
 *	jail + start ──fails──▶ exited(error)
 *	  │ event "started"
 *	running ──guest powers off──▶ exited(poweroff)
 *	  │     ──guest resets──────▶ exited(reboot)
 *	  │     ──engine dies───────▶ exited(crashed, its last words)
 *	  │     ──"kill", or end of file on the control socket──▶ exited(killed)
 *	  │ "stop": button now, control port after a quarter of the grace, kill at its end
 *	stopping ──engine ends──▶ exited(stopped); at the end of the grace exited(killed)
 *
 * The control node is not a data node: QMP, serial, health and guest control are four separate
 * socket pairs, each with its own bounded line or byte buffer, and a peer that does not read
 * loses bytes instead of stopping the others. */
#ifndef VALISE_HYPERVISOR_MONITOR_H
#define VALISE_HYPERVISOR_MONITOR_H

#include "base/clock.h"
#include "proto/launch.h"

/* Runs the phone and returns when it has ended; the last event is written to the control socket
 * before that.  True if the engine ran (however it ended).  False with the reason if it never
 * did; the event "exited" with reason "error" has been sent then, too.
 * Descriptors of the spec stay the caller's, and must be open. */
bool monitor_run(const struct launch_spec *spec, const struct clock *clock,
		 struct err *e) MUST_USE;

#endif
