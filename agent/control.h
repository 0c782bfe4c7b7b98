/* agent/control.h - the agent's own socket: `control` below the state folder, mode 0600.
 *
 * One JSON object a line, both ways, at most LIMIT_CONTROL_LINE bytes:
 *
 *	{"cmd": "status"}   → {"ok": true, "status": {...}}     (`valise-agent status -o json` prints it)
 *	{"cmd": "start"}, {"cmd": "stop"}, {"cmd": "install"}, {"cmd": "check-in"}, {"cmd": "rotate-key"}
 *	                    → {"ok": true}
 *	{"cmd": "console"}  → {"ok": true}, and from then on the guest's serial port, raw, both ways
 *	anything else       → {"ok": false, "code": "usage", "message": "...", "hint": "..."}
 *
 * Whoever may open the socket may do these things, and none of them touches anything but the virtual
 * phone and the handset's keys with its server.  There is no verb for the personal side, and none that could be made into one. */
#ifndef VALISE_AGENT_CONTROL_H
#define VALISE_AGENT_CONTROL_H

#include "base/buf.h"
#include "base/limits.h"

enum { CONTROL_CLIENTS = 8 };

enum control_verb {
	CONTROL_STATUS,
	CONTROL_START,
	CONTROL_STOP,
	CONTROL_INSTALL,
	CONTROL_CHECK_IN,
	CONTROL_ROTATE_KEY,
	CONTROL_CONSOLE,
};
extern const char *const control_verb_names[];

struct control_client {
	int fd; /* -1: free */
	struct buf in;
	bool console; /* raw from here on */
};

struct control {
	int fd;
	struct control_client clients[CONTROL_CLIENTS];
};

/* Listens; what an earlier agent left under that name is replaced (the lock file says that there is no
 * other one running). */
bool control_init(struct control *c, int state_dirfd, struct err *e) MUST_USE;
void control_done(struct control *c, int state_dirfd);

/* Takes a waiting connection; beyond CONTROL_CLIENTS it is closed again. */
void control_accept(struct control *c);
void control_drop(struct control_client *client);

/* Reads what has come.  *ret_have: a whole command.  Returns false when the client has gone or sent what
 * is no command line (it has then been answered and must be dropped). */
bool control_read(struct control_client *client, enum control_verb *ret, bool *ret_have);

/* Answers; a client that does not read loses its connection (false). */
bool control_ok(struct control_client *client, const struct buf *status) MUST_USE;
bool control_fail(struct control_client *client, const struct err *why);

/* ---- the other end, for the command line ---- */

/* One command to a running agent; *ret: its "status" as JSON text, empty if it has none.  E_UNAVAILABLE: no
 * agent runs.  An {"ok": false} becomes its error, whose hint lasts until the next call.  ret_fd, if not NULL,
 * gets the open connection. */
bool control_call(struct buf *ret, int *ret_fd, const char *state_dir, enum control_verb verb,
		  struct err *e) MUST_USE;

#endif
