#include "agent/events.h"

#include "base/file.h"
#include "base/names.h"
#include "base/text.h"
#include "proto/jwrite.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Twice the log, as each of its bytes may need an escape, and the rest. */
enum { EVENT_MAX = 2 * LIMIT_LOG_TAIL + 4096 };
/* Of a check-in's body; the rest is for the state report. */
enum { BATCH_MAX = LIMIT_CHECKIN_BODY - 16384, NUMBER_DIGITS = 20 };

struct event_name {
	char s[NUMBER_DIGITS + 6];
};

static struct event_name name_of(uint64_t seq)
{
	struct event_name name;

	snprintf(name.s, sizeof(name.s), "%0*" PRIu64 ".json", NUMBER_DIGITS, seq);
	return name;
}

static bool number_of(uint64_t *ret, const char *name)
{
	struct event_name again;
	size_t zeros = strspn(name, "0");

	if (strlen(name) != NUMBER_DIGITS + 5 || zeros >= NUMBER_DIGITS ||
	    !u64_parse(ret, name + zeros, NUMBER_DIGITS - zeros))
		return false;
	again = name_of(*ret);
	return strcmp(again.s, name) == 0;
}

/* The end of the log without anything that would cost six bytes to escape. */
static bool clean_log(struct buf *out, const char *log, size_t n, struct err *e)
{
	size_t from = n > LIMIT_LOG_TAIL ? n - LIMIT_LOG_TAIL : 0;

	for (size_t i = from; i < n; i++) {
		unsigned char c = (unsigned char)log[i];
		char plain = (c < 0x20 && c != '\n') || c == 0x7f ? '.' : (char)c;

		if (c != '\r' && !buf_add(out, &plain, 1, e))
			return false;
	}
	return true;
}

bool events_write(int dirfd, const struct checkin_event *ev, struct err *e)
{
	CLEANUP(buf_done) struct buf log = BUF_INIT(LIMIT_LOG_TAIL);
	CLEANUP(buf_done) struct buf out = BUF_INIT(3 * EVENT_MAX);
	struct event_name name = name_of(ev->seq);
	struct jw w;

	if (ev->log && !clean_log(&log, ev->log, ev->log_n, e))
		return err_wrap(e, "event");
	jw_init(&w, &out);
	jw_obj(&w, NULL);
	jw_u64(&w, "seq", ev->seq);
	jw_time(&w, "at", ev->at_s);
	jw_str(&w, "kind", ev->kind);
	jw_str(&w, "state", ev->state);
	if (ev->has_release) {
		jw_str(&w, "product", ev->release.product);
		jw_str(&w, "version", ev->release.version);
	}
	if (ev->policy.name) {
		jw_str(&w, "policy", ev->policy.name);
		jw_u64(&w, "policy_version", ev->policy.version);
	}
	if (ev->reason)
		jw_lossy(&w, "reason", ev->reason, strnlen(ev->reason, LIMIT_TEXT));
	if (ev->log)
		jw_lossy(&w, "log", buf_str(&log), log.n);
	jw_end(&w);
	if (!jw_finish(&w, e) || !file_replace(dirfd, name.s, 0600, out.p, out.n, e))
		return err_wrap(e, "event %" PRIu64, ev->seq);
	return true;
}

static bool parse_event(struct checkin_event *ret, struct jdoc *d, uint64_t seq, struct err *e)
{
	const struct jval *o = jdoc_root(d);
	struct checkin_event ev = { 0 };

	if (!jval_is_obj(o, e) || !jobj_u64(&ev.seq, o, "seq", seq, seq, e) ||
	    !jobj_time(&ev.at_s, o, "at", e) || !jobj_name(&ev.kind, o, "kind", e) ||
	    !jobj_name(&ev.state, o, "state", e))
		return false;
	if (jobj_has(o, "product")) {
		ev.has_release = true;
		if (!jobj_copy_name(ev.release.product, o, "product", e) ||
		    !jobj_copy_name(ev.release.version, o, "version", e))
			return false;
	}
	if (jobj_has(o, "policy") &&
	    (!jobj_name(&ev.policy.name, o, "policy", e) ||
	     !jobj_u64(&ev.policy.version, o, "policy_version", 0, J_INT_MAX, e)))
		return false;
	if (jobj_has(o, "reason") && !jobj_str(&ev.reason, o, "reason", LIMIT_TEXT, e))
		return false;
	if (jobj_has(o, "log") &&
	    !jobj_text(&ev.log, &ev.log_n, o, "log", 3 * LIMIT_LOG_TAIL, e))
		return false;
	/* Replacement characters may have made it longer; the end matters, from a whole one on: a
	 * part would be replaced again, and be longer than a server takes. */
	if (ev.log) {
		size_t from = text_tail(ev.log, ev.log_n, LIMIT_LOG_TAIL);

		ev.log += from;
		ev.log_n -= from;
	}
	*ret = ev;
	return true;
}

static bool read_event(struct checkin_event *ret, struct jdoc **ret_doc, size_t *ret_size,
		       int dirfd, uint64_t seq, struct err *e)
{
	CLEANUP(buf_done) struct buf raw = BUF_INIT(3 * EVENT_MAX);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct event_name name = name_of(seq);

	if (!read_file_at(dirfd, name.s, &raw, e) || !jdoc_parse(&d, raw.p, raw.n, e) ||
	    !parse_event(ret, d, seq, e))
		return false;
	*ret_size = raw.n;
	*ret_doc = TAKE(d);
	return true;
}

static struct checkin_event made_up(struct events_batch *b, const struct state *s, uint64_t seq)
{
	struct checkin_event ev = {
		.seq = seq,
		.at_s = s->trusted_s,
		.kind = "agent",
		.state = "lost",
		.reason = "this report could not be kept (disk full or damaged)",
	};

	if (seq != s->report_event)
		return ev;
	ev.kind = "update";
	ev.state = update_state_names[s->update];
	ev.reason = NULL;
	if (release_id_is_set(&s->target)) {
		ev.has_release = true;
		memcpy(ev.release.product, s->target.product, sizeof(ev.release.product));
		memcpy(ev.release.version, s->target.version, sizeof(ev.release.version));
	}
	if (s->reason[0]) {
		memcpy(b->reason, s->reason, sizeof(b->reason));
		ev.reason = b->reason;
	}
	return ev;
}

bool events_read(struct events_batch **ret, int dirfd, const struct state *s, struct err *e)
{
	CLEANUP(events_batch_freep) struct events_batch *b = calloc(1, sizeof(*b));
	size_t total = 0;

	if (!b)
		return err_nomem(e);
	for (uint64_t seq = s->acked_event + 1; seq < s->next_event && b->n < LIMIT_EVENTS;
	     seq++) {
		struct checkin_event *ev = &b->v[b->n];
		struct err why;
		size_t size = 0;

		if (!read_event(ev, &b->docs[b->n], &size, dirfd, seq, &why)) {
			if (why.code == E_NOMEM)
				return err_set(e, E_NOMEM, "%s", why.text);
			*ev = made_up(b, s, seq);
		}
		/* One always goes, or the queue would never move. */
		total += size;
		if (b->n > 0 && total > BATCH_MAX) {
			jdoc_free(TAKE(b->docs[b->n]));
			break;
		}
		b->n++;
	}
	*ret = TAKE(b);
	return true;
}

void events_batch_free(struct events_batch *b)
{
	for (size_t i = 0; b && i < LIMIT_EVENTS; i++)
		jdoc_free(b->docs[i]);
	free(b);
}

bool events_renumber(struct state *s, int dirfd, uint64_t ack, struct err *e)
{
	uint64_t shift = ack - s->acked_event;

	for (uint64_t seq = s->acked_event + 1; seq < s->next_event; seq++) {
		CLEANUP(jdoc_freep) struct jdoc *d = NULL;
		struct checkin_event ev;
		struct err why;
		size_t size;

		if (!read_event(&ev, &d, &size, dirfd, seq, &why)) {
			if (why.code == E_NOMEM)
				return err_set(e, E_NOMEM, "%s", why.text);
			continue; /* made up when it is sent */
		}
		ev.seq = seq + shift;
		if (!events_write(dirfd, &ev, e))
			return false;
	}
	if (s->report_event > s->acked_event)
		s->report_event += shift;
	s->next_event += shift;
	s->acked_event = ack;
	return true;
}

bool events_trim(int dirfd, const struct state *s, struct err *e)
{
	CLEANUP(names_done) struct names n = NAMES_INIT;
	const char *name;

	if (!names_open(&n, dirfd, ".", "events", e))
		return false;
	for (;;) {
		uint64_t seq;

		if (!names_next(&n, &name, e))
			return false;
		if (!name)
			return fd_sync(dirfd, e);
		if (!number_of(&seq, name) || (seq > s->acked_event && seq < s->next_event))
			continue;
		if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
			return err_sys(e, errno, "events: %s", name);
	}
}
