/* agent/daemon_priv.h - what the files of the loop share. */
#ifndef VALISE_AGENT_DAEMON_PRIV_H
#define VALISE_AGENT_DAEMON_PRIV_H

#include "agent/control.h"
#include "agent/daemon.h"
#include "agent/poll.h"
#include "agent/stage.h"
#include "agent/ttime.h"
#include "agent/update.h"
#include "agent/vmctl.h"
#include "agent/worker.h"
#include "base/io.h"
#include "client/backoff.h"

/* A download: made from what is wanted, so that the loop may learn of something else meanwhile. */
struct stage_job {
	struct stage stage;
	struct release_id target;
	char *manifest_text;
	struct release *release, *seed;
	struct checkin_answer offers; /* of the last check-in that brought some; only those */
	struct err delta_why;
	int slot_dirfd, seed_dirfd;
	struct https *https;
	const struct clock *clock;
	const struct rng *rng;
	const atomic_bool *cancel;
	char model[LIMIT_NAME + 1];
	bool ok;
	struct err err;
};

struct agent {
	enum daemon_mode mode;
	struct settings *set;
	const char *config; /* settings file, or NULL */
	const struct clock *clock;
	const struct rng *rng;

	int state_dirfd, events_dirfd, policies_dirfd, lock_fd, signal_fd;
	struct enrolment enrolment;
	struct identity identity;
	struct state st;
	struct ttime time;

	/* What is known of the outside. */
	struct wanted *wanted;  /* NULL: nothing evaluated yet */
	struct applied *policy; /* NULL: damaged or not loaded; nothing boots then */
	bool evaluate;          /* the last evaluation failed or waits: do it again */
	char last_refusal[ERR_TEXT_MAX];

	struct worker poll_worker, stage_worker;
	struct https *poll_https, *stage_https;
	struct signed_https server;
	struct trustdb trust;
	uint32_t poll_s;
	int64_t poll_due_ms;
	uint64_t said_free_bytes;
	struct backoff poll_backoff, stage_backoff;
	struct err poll_err, stage_err; /* why the last one failed; E_NONE: it did not */
	struct stage_progress progress;
	bool install_now; /* the user said so */
	bool rekey_now;   /* so too */
	struct backoff rekey_backoff;
	char rekey_error[ERR_TEXT_MAX]; /* of the last try, for status */

	struct vm vm;
	bool vm_wanted;        /* by the user or by vm.autostart */
	bool vm_stop_planned;  /* we asked for the end that will come */
	int64_t vm_limit_ms;   /* what the phone is doing has to be over by then; 0: no limit */
	int64_t health_due_ms; /* of a trial, from the first instruction of its first boot */
	unsigned guest_restarts;
	struct backoff vm_backoff;
	char vm_detail[LIMIT_TEXT + 1]; /* the guest's own words about its health */
	char vm_error[ERR_TEXT_MAX];    /* why it does not run, for status */
	uint8_t vm_shape[SHA256_SIZE];  /* what policy made of this boot */
	bool healthy;

	struct control control;

	bool stopping, closing; /* asked to end; all told, waiting for the phone */
	bool has_retry;
	struct update_event retry; /* the record could not be written: again, soon */
	struct err retry_text;
	int64_t retry_due_ms;

	/* DAEMON_ONCE */
	bool once_polled, once_reported;
	unsigned once_reports; /* check-ins made only to get rid of reports */
	bool once_has_err;
	struct err once_err;
	enum daemon_end once_end;
};

int64_t agent_now_ms(const struct agent *a);

/* daemon_update.c */
/* Applies an event to the record, durably, and does what follows. */
void agent_event(struct agent *a, const struct update_event *ev);
void agent_simple_event(struct agent *a, enum update_event_kind kind, const char *text);
void agent_report(struct agent *a, const char *kind, const char *state, const char *reason,
		  const struct policy *policy);
/* Tells the update what a->wanted says. */
void agent_want(struct agent *a);
void agent_update_step(struct agent *a); /* starts what is due */
/* What the update cannot go on without, for people; "" if it goes on. */
void agent_waits_for(const struct agent *a, char *out, size_t size);
void agent_poll_ended(struct agent *a);
void agent_stage_ended(struct agent *a);
void stage_job_free(struct stage_job *j);

/* daemon_vm.c */
void agent_vm_step(struct agent *a);
void agent_vm_hear(struct agent *a);
void agent_vm_console(struct agent *a); /* bytes from the guest's serial port */
/* Asks the phone to end because we want it to. */
void agent_vm_stop(struct agent *a, uint64_t grace_ms);
/* Digest of everything of a boot that policy decides. */
void agent_vm_shape(const struct agent *a, uint8_t out[static SHA256_SIZE]);

/* daemon_control.c */
void agent_control_step(struct agent *a, struct control_client *client);
bool agent_status(const struct agent *a, struct buf *out, struct err *e) MUST_USE;

/* Milliseconds until something is due, at most `most`. */
int agent_timeout(const struct agent *a, int most);

#endif
