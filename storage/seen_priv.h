/* storage/seen_priv.h - when a row was last seen, kept in memory between writes.
 *
 * A check-in or a use of a token must not write; so the time goes into a table by row number,
 * and a flush now and then writes those that moved on by more than a step. */
#ifndef VALISE_STORAGE_SEEN_PRIV_H
#define VALISE_STORAGE_SEEN_PRIV_H

#include "base/err.h"

struct store;
struct seen;
bool seen_new(struct seen **ret) MUST_USE;
void seen_free(struct seen *t);

/* Thread-safe.  Out of memory: the time is not noted, which loses nothing but precision. */
void seen_note(struct seen *t, int64_t number, int64_t now_s);

/* The later of what is stored and what is noted. */
int64_t seen_latest(struct seen *t, int64_t number, int64_t stored_s);

/* Writes the entries noted more than step_s after they were last written, all in one change.
 * `update` is one UPDATE with ?1 the row's number, ?2 the time, ?3 step_s.  What a failure leaves
 * unwritten is due again at the next flush. */
bool seen_flush(struct seen *t, struct store *s, const char *update, int64_t step_s,
		struct err *e) MUST_USE;

#endif
