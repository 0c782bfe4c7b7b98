/* agent/update.h - the state machine of an update: pure, no clock, no disk, no network.
 *
 *	                 WANTED (another release, or another rollout)
 *	   idle ──────────────────────────────────────────────► offered
 *	     ▲                                                    │ MAY_FETCH: policy and network allow it
 *	     │ UNWANTED (withdrawn), from offered,                ▼
 *	     ├──────────── fetching and staged ◄─────────────── fetching ──┐ FETCH_FAILED, temporary:
 *	     │                                                    │    ▲   │ again after a back-off
 *	     │                                                    │    └───┘
 *	     │                                            FETCHED ▼
 *	     │                                                  staged
 *	     │                                                    │ MAY_INSTALL: mode and window allow it
 *	     │ ACKED                                              ▼
 *	  confirmed ◄──────────────── HEALTHY ─────────────────  trial ──► rolled_back(reason)
 *	                                                          UNHEALTHY, no boot left, deadline
 *
 *	failed(reason): from fetching by a final error or the K-th failure, from offered, fetching and staged by
 *	their deadline.  It and rolled_back wait for WANTED with another release or rollout: the same one
 *	is not tried again by itself.
 *
 *	STATE        ENDS AFTER           AND THEN
 *	offered      UPDATE_OFFERED_S     failed: what it waited for is in the reason
 *	fetching     UPDATE_FETCHING_S    failed
 *	staged       UPDATE_STAGED_S      failed
 *	trial        health deadline      rolled_back; by trusted time UPDATE_TRIAL_S, by boots
 *	                                  UPDATE_TRIES, whatever happens to clocks and power
 *	others       -                    nothing is in flight
 *
 * The old release keeps running until trial; the swap itself is the record in which trial becomes
 * confirmed.  Until then the next boot after a power cut is a boot of the trial slot while tries are
 * left, else of the old one.  The floor rises only there, so a broken update can always go back.
 *
 * A slot that is found damaged (ACTIVE_BAD) is left for the other one if that is whole, did get
 * healthy once and is not below the floor; else there is no active slot until the server's release
 * has been staged again, which repairs the damaged one in place. */
#ifndef VALISE_AGENT_UPDATE_H
#define VALISE_AGENT_UPDATE_H

#include "agent/state.h"

enum {
	UPDATE_OFFERED_S = 30 * 86400,
	UPDATE_FETCHING_S = 7 * 86400,
	UPDATE_STAGED_S = 30 * 86400,
	UPDATE_TRIAL_S = 86400,
	UPDATE_TRIES = 3, /* boots of one trial that may be cut short by the power */
};

enum update_event_kind {
	EV_WANTED,    /* target, rollout: verified in both repositories, not below the floor */
	EV_UNWANTED,  /* the director names no release */
	EV_MAY_FETCH, /* gates are open */
	EV_FETCHED,   /* the target slot is whole, verified and durable */
	EV_FETCH_FAILED,  /* code, text */
	EV_MAY_INSTALL,   /* gates are open */
	EV_TRIAL_BOOT,    /* the trial slot is about to be booted */
	EV_TRIAL_STOPPED, /* ... and was stopped by us, in order: not a failed boot */
	EV_HEALTHY,       /* first healthy report of this boot */
	EV_UNHEALTHY,     /* text: deadline, exit, refused by the monitor */
	EV_ACTIVE_BAD,    /* text: the slot that boots failed its verification */
	EV_ACKED,         /* the server holds the report of the present state */
	EV_TICK,          /* time passed */
	EV_KINDS,
};

struct update_event {
	enum update_event_kind kind;
	int64_t now_s; /* trusted time */
	struct release_id target;
	const char *rollout;
	enum err_code code;
	const char *text;
	unsigned max_failures; /* K */
};

/* What the caller does once the new record is durable. */
enum update_act {
	ACT_NOTHING,
	ACT_STOP_FETCH,  /* the download under way is for nothing */
	ACT_BOOT_TRIAL,  /* stop what runs, boot the target slot */
	ACT_BOOT_ACTIVE, /* stop what runs, boot the active slot (or nothing, if none) */
};

struct update_step {
	bool changed; /* the record has to be saved */
	bool report;  /* ... with an event about the new state, persisted first */
	enum update_act act;
};

/* Applies one event to *s (in memory).  Events that mean nothing in the present state change
 * nothing. */
struct update_step update_apply(struct state *s, const struct update_event *ev);

/* Which slot a boot would take now: the target slot on trial, else the active one, or SLOT_NONE. */
uint8_t update_boot_slot(const struct state *s);

/* Whether the other slot could be booted in place of the active one. */
bool update_can_fall_back(const struct state *s);

#endif
