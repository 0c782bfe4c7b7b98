/* delta/prune.h - old streams that no command copies from are left out of the delta.
 *
 *	CLEANUP(prune_done) struct prune p = { 0 };
 *	prune_init(&p, sight, e);
 *	prune_use(&p, ops, n);        // all commands, in any portions
 *	prune_streams(&p);            // the sight's streams are fewer now
 *	prune_move(&p, ops, n);       // all commands again: what they copy lies elsewhere
 */
#ifndef VALISE_DELTA_PRUNE_H
#define VALISE_DELTA_PRUNE_H

#include "delta/sight.h"

struct prune {
	struct sight *sight; /* borrowed */
	size_t n;            /* streams as they were; heap, as the next */
	uint64_t *starts;    /* where their plain bytes were */
	uint64_t *moved;     /* and are */
	bool *used;
};

bool prune_init(struct prune *p, struct sight *s, struct err *e) MUST_USE;
void prune_done(struct prune *p);
void prune_use(struct prune *p, const struct op *ops, size_t n);
void prune_streams(struct prune *p);
void prune_move(const struct prune *p, struct op *ops, size_t n);

#endif
