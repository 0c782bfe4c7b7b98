/* storage/events.h - what devices report: updates that failed, rolled back or went well, and why.
 *
 * Idempotent by device and number: a report sent twice, because its answer was lost, is stored once.
 * Each device keeps its newest EVENTS_PER_DEVICE; logs of the newest EVENTS_LOGS only.
 * Events are stored by devices_report (storage/devices.h), in one step with the report. */
#ifndef VALISE_STORAGE_EVENTS_H
#define VALISE_STORAGE_EVENTS_H

#include "storage/store.h"

#define EVENTS_PER_DEVICE 100
#define EVENTS_LOGS 10
#define EVENTS_PER_REPORT LIMIT_EVENTS

/* As it came; borrowed.  Texts beyond base/limits.h are E_TOO_BIG. */
struct event_new {
	uint64_t seq;     /* rises on the device; not above ack: was stored before, ignored */
	int64_t at;       /* the device's clock: may lie */
	const char *kind; /* a name: "update" */
	const char *product, *version; /* "" or NULL: not about a release */
	const char *state;             /* "rolled_back" */
	const char *reason;            /* at most LIMIT_TEXT; may be NULL */
	const char *log;               /* at most LIMIT_LOG_TAIL; may be NULL */
};

struct event {
	uint64_t seq;
	int64_t at, received_at;
	char device[33];
	char kind[LIMIT_NAME + 1], state[LIMIT_NAME + 1];
	char product[LIMIT_NAME + 1], version[LIMIT_VERSION + 1];
	char *reason, *log; /* heap, "" when there is none */
};
struct event_page {
	struct event *items;
	size_t n;
	bool more;
};
/* Of one device, newest first; before 0 starts at the newest.  E_NOT_FOUND. */
bool events_list(struct store *s, const char *device, uint64_t before, size_t limit,
		 struct event_page *ret, struct err *e) MUST_USE;
void event_page_done(struct event_page *p);

#endif
