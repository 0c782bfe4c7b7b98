/* agent/crashpoint.h - places where a test can pull the plug.
 *
 * The setting `test.crash = NAME` makes the agent end itself with SIGKILL when it gets to
 * crash_point("NAME") for the first time, which is what a power cut at that instruction looks like
 * to everything but the page cache.  Harmless elsewhere: it can end nothing but the agent itself, and
 * whoever may write the settings may do that anyway.
 *
 *	offered, fetching, staged, trial, confirmed, rolled_back, failed   the record says so, nothing
 *	                                                                   was done about it yet
 *	before-<state>        the event is written, the record is not
 *	delta-download        the first bytes of a delta have come
 *	delta-half            as stage-half, by a delta
 *	stage-10 ... stage-90 that many percent of an update's bytes are written
 *	stage-done            all are, and the record does not know
 *	keys-made             the next keys are there, nobody is asked to take them yet
 *	keys-asked            it is written down that the server is asked, which it is not yet
 *	keys-answered         the server has them, and that is not written down
 *	keys-recorded         it is; no file has its new name
 *	keys-half-moved       one of the two has
 *	trial-booting         the trial's monitor has just been started */
#ifndef VALISE_AGENT_CRASHPOINT_H
#define VALISE_AGENT_CRASHPOINT_H

/* name is borrowed for good; NULL or "" for none. */
void crash_point_set(const char *name);
void crash_point(const char *name);

#endif
