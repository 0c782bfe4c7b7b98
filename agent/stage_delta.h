/* agent/stage_delta.h - what is missing of a component, made from the active slot's file and a delta.
 *
 *	1. choose    an offer for this very object, whose `from` is the verity root of the active slot's
 *	             component, and which is smaller than what is missing of the full object
 *	2. download  to "=<sha256>" in the slot's folder; goes on where an earlier attempt was cut.
 *	             Nothing of it is parsed before length and SHA-256 are right
 *	3. apply     in a sandboxed child that has the delta, the old file (both to read) and a pipe,
 *	             and nothing else.  What comes out of the pipe is as untrusted as a download: every group
 *	             is checked against the hash tree here, and only then written to its place
 *
 * So a delta, whatever it says and whoever made it, can fail, and can never put a wrong byte into a slot.
 * A part that does not come out right (a damaged place in the old file) is left out and the rest
 * goes on; what is missing at the end is fetched in full by stage.c, as policy allows. */
#ifndef VALISE_AGENT_STAGE_DELTA_H
#define VALISE_AGENT_STAGE_DELTA_H

#include "agent/stage_priv.h"

/* True: went on as far as it could; *why tells what went wrong with the delta, code E_NONE if
 * nothing did or none was tried.  False: staging has to stop (cancelled, no network, disk full). */
bool stage_by_delta(struct stage_file *f, const struct stage *s, const struct component *c,
		    struct err *why, struct err *e) MUST_USE;

/* Whether a file of a slot's folder is a delta. */
bool stage_delta_is_name(const char *name);

/* Removes downloaded deltas but those that the offers name; with `all` every one. */
bool stage_delta_sweep(const struct stage *s, bool all, struct err *e) MUST_USE;

#endif
