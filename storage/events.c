#include "storage/devices_priv.h"
#include "storage/store_priv.h"

#include <inttypes.h>

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

bool events_check(const struct event_new *events, size_t n, struct err *e)
{
	if (n > EVENTS_PER_REPORT)
		return err_set(e, E_TOO_BIG, "%zu events, at most %d", n, EVENTS_PER_REPORT);
	for (size_t i = 0; i < n; i++) {
		const struct event_new *v = &events[i];

		if (v->seq == 0 || v->seq > INT64_MAX)
			return err_set(e, E_FORMAT, "event number %" PRIu64, v->seq);
		if (!check_name("event kind", v->kind, e) ||
		    !check_name("event state", v->state, e) ||
		    !check_text("product", or_empty(v->product), LIMIT_NAME, e) ||
		    !check_text("version", or_empty(v->version), LIMIT_VERSION, e) ||
		    !check_text("reason", or_empty(v->reason), LIMIT_TEXT, e) ||
		    !check_text("log", or_empty(v->log), LIMIT_LOG_TAIL, e))
			return err_wrap(e, "event %" PRIu64, v->seq);
	}
	return true;
}

static bool put_event(struct db *db, int64_t device, const struct event_new *v, int64_t now_s,
		      struct err *e)
{
	return db_run(
		db, e,
		"INSERT OR IGNORE INTO events (device, seq, at, received_at, kind, state, product,"
		" version, reason, log) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
		I(device), I(v->seq), I(v->at), I(now_s), S(v->kind), S(v->state),
		S(or_empty(v->product)), S(or_empty(v->version)), S(or_empty(v->reason)),
		S(or_empty(v->log)));
}

static bool forget_old(struct db *db, int64_t device, struct err *e)
{
	return db_run(db, e,
		      "DELETE FROM events WHERE device = ?1 AND seq <= (SELECT seq FROM events"
		      " WHERE device = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
		      I(device), I(EVENTS_PER_DEVICE)) &&
	       db_run(db, e,
		      "UPDATE events SET log = '' WHERE device = ?1 AND log <> '' AND seq <="
		      " (SELECT seq FROM events WHERE device = ?1 AND log <> ''"
		      "  ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
		      I(device), I(EVENTS_LOGS));
}

bool events_add(struct db *db, int64_t device, const struct event_new *events, size_t n,
		int64_t now_s, uint64_t *ret_ack, struct err *e)
{
	int64_t ack = 0;
	uint64_t highest;

	if (!db_int(db, &ack, e, "SELECT ack FROM devices WHERE number = ?1", I(device)))
		return false;
	highest = (uint64_t)ack;
	for (size_t i = 0; i < n; i++) {
		if (events[i].seq <= (uint64_t)ack)
			continue; /* stored before, and perhaps forgotten since */
		if (!put_event(db, device, &events[i], now_s, e))
			return false;
		if (events[i].seq > highest)
			highest = events[i].seq;
	}
	*ret_ack = highest;
	if (highest == (uint64_t)ack)
		return true;
	return db_run(db, e, "UPDATE devices SET ack = ?2 WHERE number = ?1", I(device),
		      I(highest)) &&
	       forget_old(db, device, e);
}

static bool load_event(struct rows *r, struct event *v, struct err *e)
{
	v->seq = (uint64_t)col_int(r, 0);
	v->at = col_int(r, 1);
	v->received_at = col_int(r, 2);
	return col_text(r, 3, v->kind, sizeof(v->kind), e) &&
	       col_text(r, 4, v->state, sizeof(v->state), e) &&
	       col_text(r, 5, v->product, sizeof(v->product), e) &&
	       col_text(r, 6, v->version, sizeof(v->version), e) &&
	       col_dup(r, 7, &v->reason, NULL, e) && col_dup(r, 8, &v->log, NULL, e);
}

bool events_list(struct store *s, const char *device, uint64_t before, size_t limit,
		 struct event_page *ret, struct err *e)
{
	CLEANUP(event_page_done) struct event_page page = { 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	int64_t number;
	bool more;

	limit = page_limit(limit);
	if (!reader_get(&rd, s, e) || !device_find(rd.db, device, &number, NULL, e) ||
	    !db_rows(rd.db, &r, e,
		     "SELECT seq, at, received_at, kind, state, product, version, reason, log"
		     " FROM events WHERE device = ?1 AND (?2 = 0 OR seq < ?2)"
		     " ORDER BY seq DESC LIMIT ?3",
		     I(number), I(before > INT64_MAX ? 0 : before), I(limit + 1)))
		return false;
	for (;;) {
		struct event *v;

		if (!rows_next(&r, &more, e))
			return false;
		if (!more || page.n == limit)
			break;
		if (!grow(&page.items, page.n, sizeof(*v), e))
			return false;
		v = &page.items[page.n++];
		snprintf(v->device, sizeof(v->device), "%s", device);
		if (!load_event(&r, v, e))
			return false;
	}
	page.more = more;
	*ret = page;
	page = (struct event_page){ 0 };
	return true;
}

void event_page_done(struct event_page *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->items[i].reason);
		free(p->items[i].log);
	}
	free(p->items);
	*p = (struct event_page){ 0 };
}
