/* agent/events.h - reports to the server, kept on disk until it holds them.
 *
 * One file per event, named by its number; numbers come from the commit record and have no gaps.
 * An event is written (durably) before the record that counts it: files with numbers that the
 * record does not know yet belong to a decision that the power cut off, and are dropped at start,
 * because the decision will be taken again.
 *
 * A full disk must not stop a rollback, so an event that could not be written is made up again from the
 * record when it is sent: the report of the present state with its reason (the log is lost), any other
 * as kind "agent", state "lost".
 *
 * dirfd is the folder `events` below the state folder, always borrowed. */
#ifndef VALISE_AGENT_EVENTS_H
#define VALISE_AGENT_EVENTS_H

#include "agent/state.h"

/* What is stored of one: the texts of `ev`; seq, at_s, kind and state must be set.  The log is made
 * harmless on the way (control characters but line ends become '.') and cut to its last
 * LIMIT_LOG_TAIL bytes. */
bool events_write(int dirfd, const struct checkin_event *ev, struct err *e) MUST_USE;

/* Events after `acked` and before the record's next one, oldest first, as many as one check-in
 * takes.  The record is needed to make up what is missing. */
struct events_batch {
	struct checkin_event v[LIMIT_EVENTS]; /* texts belong to docs */
	struct jdoc *docs[LIMIT_EVENTS];
	size_t n;
	char reason[STATE_REASON + 1];
};
bool events_read(struct events_batch **ret, int dirfd, const struct state *s,
		 struct err *e) MUST_USE;
void events_batch_free(struct events_batch *b);
DEFINE_CLEANUP(struct events_batch, events_batch_free);

/* An older record was put back, and the server holds `ack`, which is beyond all its numbers: what waits was taken
 * for known and gets the numbers behind `ack`.  (When as much has happened since as before, the numbers meet, and
 * what waits cannot be told from a report whose answer was lost.)  The files come first, *s is for the caller to save; a
 * power cut before that leaves the record as it was, and the same is done again. */
bool events_renumber(struct state *s, int dirfd, uint64_t ack, struct err *e) MUST_USE;

/* Removes what the server holds (up to s->acked_event) and what the record does not know (from
 * s->next_event on). */
bool events_trim(int dirfd, const struct state *s, struct err *e) MUST_USE;

#endif
