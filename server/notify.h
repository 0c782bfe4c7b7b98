/* server/notify.h - sd_notify(3) by hand: one datagram to $NOTIFY_SOCKET.
 *
 * Nothing happens when the variable is not set.  Only mgr uses it. */
#ifndef VALISE_SERVER_NOTIFY_H
#define VALISE_SERVER_NOTIFY_H

#include "base/err.h"

/* "READY=1\nSTATUS=...": newline-separated assignments.  Fails when the socket cannot be reached
 * or its name is neither absolute nor abstract. */
bool notify_send(const char *text, struct err *e) MUST_USE;

/* Milliseconds between WATCHDOG=1 messages (half of $WATCHDOG_USEC), 0 when none are wanted or
 * $WATCHDOG_PID is another process. */
uint64_t notify_watchdog_ms(void);

#endif
