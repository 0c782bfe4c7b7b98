/* proto/launch.h - what the agent tells valise-vmm, and what it hears back.
 *
 * The launch spec is one JSON document (docs/FORMATS.md section 8).  Files are descriptors that
 * the monitor inherits, named by number; there is no path in it.  The control socket carries one
 * JSON object a line, both ways, at most LIMIT_CONTROL_LINE bytes with the newline.
 *
 * Everything that has a verity root is checked against it before the guest's first instruction. */
#ifndef VALISE_PROTO_LAUNCH_H
#define VALISE_PROTO_LAUNCH_H

#include "base/buf.h"
#include "base/limits.h"
#include "base/sha256.h"

enum { LAUNCH_SPEC_MAX = 65536, LAUNCH_CMDLINE_MAX = 2048, LAUNCH_ALLOW_MAX = 64 };
enum { LAUNCH_DISKS_MAX = LIMIT_DISKS + 2 }; /* data and config beside the release's */

enum launch_engine { LAUNCH_AUTO, LAUNCH_QEMU_KVM, LAUNCH_QEMU_TCG };
enum launch_net { LAUNCH_NET_NONE, LAUNCH_NET_ALLOW };
enum launch_jail { LAUNCH_JAIL_BEST, LAUNCH_JAIL_REQUIRE };

struct launch_file {
	int fd;        /* -1: there is none */
	bool verified; /* size, salt and root are given */
	uint64_t size; /* plain bytes; the file is padded to whole blocks */
	uint8_t salt[SHA256_SIZE], root[SHA256_SIZE];
};

struct launch_disk {
	char name[LIMIT_NAME + 1]; /* the guest's virtio-blk serial; at most 20 bytes */
	bool readonly;
	struct launch_file file; /* verified only if readonly */
};

struct launch_spec {
	char id[LIMIT_NAME + 1];   /* this boot's, for logs */
	char arch[LIMIT_NAME + 1]; /* "x86_64" */
	char cmdline[LAUNCH_CMDLINE_MAX + 1];
	uint64_t memory_mib, vcpus;
	struct launch_file kernel, initrd; /* initrd.fd may be -1 */
	struct launch_disk disks[LAUNCH_DISKS_MAX];
	size_t n_disks;
	enum launch_net net;
	char allow[LAUNCH_ALLOW_MAX][LIMIT_NAME * 2 + 1]; /* "ADDRESS:PORT" */
	size_t n_allow;
	enum launch_engine engine;
	enum launch_jail jail;
	int control_fd;    /* stream socket */
	int console_fd;    /* stream socket: the guest's serial port, both ways; -1 for none */
	int serial_log_fd; /* regular file opened for reading and writing: the newest
			    * SERIAL_LOG_MAX bytes of console output; -1 for none */
};

enum { LAUNCH_SERIAL_LOG_MAX = 262144 };

/* An empty spec: no files, no disks, no network, engine chosen by the monitor. */
void launch_spec_init(struct launch_spec *s);

/* E_FORMAT with the field's name; *ret changes on success only.  Descriptors are only read as
 * numbers (3 to 1023, none twice); opening and closing is the caller's. */
bool launch_spec_parse(struct launch_spec *ret, const void *p, size_t n,
		       struct err *e) MUST_USE;
bool launch_spec_encode(struct buf *out, const struct launch_spec *s, struct err *e) MUST_USE;

/* ---- to the monitor ---- */

enum launch_verb {
	LAUNCH_STATUS, /* answered by an event "status" */
	LAUNCH_STOP,   /* power button, then the control port, then kill after grace_ms */
	LAUNCH_KILL,
};

struct launch_command {
	enum launch_verb verb;
	uint64_t grace_ms; /* LAUNCH_STOP: 0 to 600000 */
};

bool launch_command_parse(struct launch_command *ret, const void *p, size_t n,
			  struct err *e) MUST_USE;
/* One line with its newline. */
bool launch_command_encode(struct buf *out, const struct launch_command *c,
			   struct err *e) MUST_USE;

/* ---- from the monitor ---- */

enum launch_event_kind {
	LAUNCH_STARTED, /* engine runs: engine, why (this engine), weak (what the jail lacks) */
	LAUNCH_HEALTH,  /* line: what the guest wrote, one JSON object, not interpreted */
	LAUNCH_STATE,   /* answer to LAUNCH_STATUS: engine, uptime_ms */
	LAUNCH_EXITED,  /* last event: reason, detail */
};

enum launch_exit {
	LAUNCH_EXIT_POWEROFF, /* the guest powered itself off */
	LAUNCH_EXIT_REBOOT,   /* the guest asked for a restart (a panic looks the same) */
	LAUNCH_EXIT_STOPPED,  /* after LAUNCH_STOP, in time */
	LAUNCH_EXIT_KILLED,   /* after LAUNCH_KILL, or the grace was over */
	LAUNCH_EXIT_CRASHED,  /* the engine died; detail has its last words */
	LAUNCH_EXIT_ERROR, /* never started; detail says why (a damaged slot file, no engine) */
};

struct launch_event {
	enum launch_event_kind kind;
	char engine[LIMIT_NAME + 1];
	char why[LIMIT_TEXT + 1], weak[LIMIT_TEXT + 1];
	uint64_t uptime_ms;
	enum launch_exit reason;
	enum err_code code; /* LAUNCH_EXIT_ERROR: E_CORRUPT for a file that fails its root, ... */
	char detail[LIMIT_TEXT + 1];
	char line[LIMIT_HEALTH_LINE + 1]; /* LAUNCH_HEALTH */
};

bool launch_event_parse(struct launch_event *ret, const void *p, size_t n,
			struct err *e) MUST_USE;
bool launch_event_encode(struct buf *out, const struct launch_event *ev,
			 struct err *e) MUST_USE;
const char *launch_exit_name(enum launch_exit reason); /* "poweroff", ... */

#endif
