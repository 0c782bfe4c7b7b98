/* agent/lock.h - one agent at a time on a state folder: the file `lock`, held by flock(2).
 *
 * The kernel lets go of it when the process ends, however it ends. */
#ifndef VALISE_AGENT_LOCK_H
#define VALISE_AGENT_LOCK_H

#include "base/err.h"

/* E_EXISTS: somebody has it.  E_DENIED: others could have written into the folder.  Close *ret to let go. */
bool lock_take(int *ret, int state_dirfd, const char *state_dir, struct err *e) MUST_USE;

#endif
