/* server/ipc.h - messages between the processes of valised: typed, length-checked, one datagram each.
 *
 * The channels are AF_UNIX SOCK_SEQPACKET pairs, so a message arrives whole or not at all and a
 * peer can neither split nor join messages.  Descriptors are passed, never paths.  All processes
 * come from one fork of one binary, so integers are in host order.
 *
 *   OFFSET  SIZE  FIELD
 *        0     4  magic "VIPC"
 *        4     2  type (enum ipc_type)
 *        6     2  zero
 *        8     4  id: chosen by the asking side, repeated in the answer
 *       12     4  length n of the payload
 *       16     n  payload
 *
 * The receiver says which types it expects; anything else, a length out of the type's range, a
 * missing or an extra descriptor is E_FORMAT, and descriptors that came with it are closed.  A
 * process that gets E_FORMAT from its peer takes that for a compromised peer: it logs, and keys
 * and mgr end the connection (mgr ends the child). */
#ifndef VALISE_SERVER_IPC_H
#define VALISE_SERVER_IPC_H

#include "base/buf.h"

enum { IPC_HEADER = 16, IPC_MAX = 131072 }; /* payload; below the default socket buffer */

#define IPC_MAP(XX) /* type, least and most payload bytes, descriptors */                       \
	/* child → mgr */                                                                     \
	XX(READY, 0, 0, 0) /* set up, rights dropped */                                         \
	XX(ALIVE, 0, 0, 0) /* answer to PING */                                                 \
	XX(STUCK, 4, 4, 0) /* web → mgr: uint32 process id of a worker to end */              \
	/* mgr → child */                                                                     \
	XX(PING, 0, 0, 0)                                                                       \
	XX(STOP, 0, 0, 0)        /* finish what is under way and exit */                        \
	XX(WORKER_LOST, 4, 4, 0) /* mgr → web: uint32 process id that ended */                \
	/* web → keys and back */                                                             \
	XX(SIGN_IMAGE, 1, IPC_MAX, 0)                                                           \
	XX(SIGN_DIRECTOR, 1, IPC_MAX, 0)                                                        \
	XX(SIGN_AUDIT, 44, 44, 0)                                                               \
	XX(PUBLIC_KEYS, 0, 0, 0)                                                                \
	XX(SIGNED, 1, IPC_MAX, 0)                                                               \
	XX(REFUSED, 4, 512, 0) /* uint32 error code, text */                                    \
	/* web → work and back */                                                             \
	XX(VERIFY, 1, 4096, 1) /* descriptor of the object */                                   \
	XX(TAKEN, 4, 4, 0)     /* a worker began: its process id */                             \
	XX(VERIFIED, 0, 0, 0)                                                                   \
	XX(FAILED_JOB, 4, 512, 0) /* uint32 error code, text */                                 \
	/* web → delta, and on the channel of the job's own that comes with it (TAKEN too) */ \
	XX(DELTA, 1, 4096, 1)                                                                   \
	XX(FILE, 0, 0, 1)       /* id: enum delta_file */                                       \
	XX(PROGRESS, 16, 16, 0) /* uint64 done, uint64 of */                                    \
	XX(MADE, 0, 0, 0)

enum ipc_type {
	IPC_NONE,
#define XX(name, min, max, fds) IPC_##name,
	IPC_MAP(XX)
#undef XX
		IPC_TYPES,
};

#define IPC_BIT(type) (UINT32_C(1) << (type))

struct ipc_msg {
	enum ipc_type type;
	uint32_t id;
	const uint8_t *p; /* in the receiver's buffer, until its next ipc_recv */
	size_t n;
	int fd; /* -1, or the receiver's to close (ipc_msg_done) */
};

#define IPC_MSG_INIT ((struct ipc_msg){ .fd = -1 })

/* Closes the message's descriptor; safe to call twice. */
void ipc_msg_done(struct ipc_msg *m);

/* Both ends O_CLOEXEC, blocking, with buffers that hold a message of the largest size. */
bool ipc_pair(int ret[static 2], struct err *e) MUST_USE;

/* pass_fd is borrowed; -1 for none.  E_UNAVAILABLE when the other side is gone, E_BUSY when the
 * channel stays full for a second. */
bool ipc_send(int fd, enum ipc_type type, uint32_t id, const void *p, size_t n, int pass_fd,
	      struct err *e) MUST_USE;

/* Waits up to timeout_ms (-1: for ever) for one message whose type is in `accept` (IPC_BITs).
 * buf (limit at least IPC_HEADER + IPC_MAX) keeps the bytes.  E_TIMEOUT: nothing came.
 * E_UNAVAILABLE: the other side closed.  E_FORMAT: see above. */
bool ipc_recv(struct ipc_msg *ret, int fd, struct buf *buf, uint32_t accept, int timeout_ms,
	      struct err *e) MUST_USE;

/* An error as a payload (REFUSED, FAILED_JOB) and back. */
bool ipc_send_err(int fd, enum ipc_type type, uint32_t id, const struct err *why,
		  struct err *e) MUST_USE;
/* Fills e from the payload; returns false always, as the err_ functions do. */
bool ipc_get_err(const struct ipc_msg *m, struct err *e);

const char *ipc_name(enum ipc_type type);

#endif
