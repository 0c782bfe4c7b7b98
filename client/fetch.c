#include "client/fetch.h"

#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* One attempt: what its callbacks need. */
struct attempt {
	struct fetch *f;
	uint64_t from, to;
	int64_t started_ms;
	bool final; /* the error is ours or the sink's: trying again would not help */
	bool slow;
};

static bool is_cancelled(const struct fetch *f)
{
	return f->cancel && atomic_load(f->cancel);
}

static bool refuse(struct attempt *t, struct err *e, const char *what, const char *got)
{
	t->final = true;
	return err_set(e, E_CORRUPT,
		       "%s \"%.80s\" for bytes %" PRIu64 " to %" PRIu64 " of %" PRIu64, what,
		       got, t->from, t->to - 1, t->f->size);
}

static bool check_range(struct attempt *t, const struct https_answer *a, struct err *e)
{
	char want[80], got[80] = "";

	snprintf(want, sizeof(want), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, t->from,
		 t->to - 1, t->f->size);
	https_answer_header(a, "content-range", got, sizeof(got));
	return strcmp(want, got) == 0 || refuse(t, e, "Content-Range", got);
}

static bool check_head(void *arg, const struct https_answer *a, struct err *e)
{
	struct attempt *t = arg;
	char text[160];

	if (a->status == 206) {
		if (!check_range(t, a, e))
			return false;
	} else if (a->status != 200 || t->from != 0 || t->to != t->f->size) {
		/* Taking a whole object for a part would fetch bytes twice. */
		snprintf(text, sizeof(text), "%d", a->status);
		return refuse(t, e, "status", text);
	}
	if (a->has_length && a->length != t->to - t->from) {
		snprintf(text, sizeof(text), "%" PRIu64, a->length);
		return refuse(t, e, "Content-Length", text);
	}
	if (t->f->etag && https_answer_header(a, "etag", text, sizeof(text)) &&
	    strcmp(text, t->f->etag) != 0)
		return refuse(t, e, "ETag", text);
	return true;
}

static bool is_too_slow(const struct attempt *t)
{
	const struct fetch *f = t->f;
	int64_t ms = clock_boot_ms(f->clock) - t->started_ms;

	if (f->min_rate == 0 || ms < (int64_t)f->min_rate_after_ms || ms <= 0)
		return false;
	return (f->next - t->from) / ((uint64_t)ms / 1000 + 1) < f->min_rate;
}

static bool take_data(void *arg, const void *p, size_t n, struct err *e)
{
	struct attempt *t = arg;
	struct fetch *f = t->f;

	if (is_cancelled(f)) {
		t->final = true;
		return err_set(e, E_CANCELLED, "stopped at byte %" PRIu64, f->next);
	}
	if (n > t->to - f->next) {
		t->final = true;
		return err_set(e, E_CORRUPT, "the answer goes on after byte %" PRIu64,
			       t->to - 1);
	}
	f->requested += n;
	if (!f->sink(f->arg, f->next, p, n, e)) {
		t->final = true;
		return false;
	}
	f->next += n;
	if (!is_too_slow(t))
		return true;
	t->slow = true;
	return err_set(e, E_TIMEOUT, "less than %u bytes a second", f->min_rate);
}

/* Whether another attempt may end better; *e is what the last one ended with. */
static bool may_retry(const struct attempt *t, const struct https_answer *a,
		      const struct err *e)
{
	if (t->final || is_cancelled(t->f))
		return false;
	if (t->slow || a->status == 408 || a->status == 429 || a->status >= 500)
		return true;
	if (a->status >= 300)
		return false;
	return e->code == E_NETWORK || e->code == E_TIMEOUT;
}

static bool run_attempt(struct attempt *t, struct https_answer *a, struct err *e)
{
	struct fetch *f = t->f;
	char range[64];
	const char *headers[] = { range };
	struct https_request r = {
		.method = "GET",
		.path = f->path,
		.headers = headers,
		.n_headers = 1,
		.on_head = check_head,
		.on_data = take_data,
		.arg = t,
		.max_bytes = UINT64_MAX, /* take_data knows better */
	};

	snprintf(range, sizeof(range), "Range: bytes=%" PRIu64 "-%" PRIu64, t->from, t->to - 1);
	if (!https_do(f->https, &r, a, e))
		return false;
	if (f->next < t->to) /* a chunked answer that ended early */
		return err_set(e, E_NETWORK, "the answer ended at byte %" PRIu64, f->next);
	return true;
}

static bool wait_for(struct fetch *f, uint64_t ms, struct err *e)
{
	int64_t end = clock_boot_ms(f->clock) + (int64_t)ms;
	int64_t left;

	if (f->wait)
		return f->wait(f->arg, ms, e);
	while ((left = end - clock_boot_ms(f->clock)) > 0) {
		int64_t nap = left < 200 ? left : 200;

		if (is_cancelled(f))
			return err_set(e, E_CANCELLED, "stopped at byte %" PRIu64, f->next);
		nanosleep(&(struct timespec){ .tv_nsec = nap * 1000000 }, NULL);
	}
	return true;
}

static bool fetch_all(struct fetch *f, uint64_t to, struct https_answer *a, struct err *e)
{
	while (f->next < to) {
		struct attempt t = {
			.f = f, .from = f->next, .to = to, .started_ms = clock_boot_ms(f->clock)
		};

		if (is_cancelled(f))
			return err_set(e, E_CANCELLED, "stopped at byte %" PRIu64, f->next);
		f->attempts++;
		if (run_attempt(&t, a, e))
			break;
		if (!may_retry(&t, a, e))
			return false;
		if (f->next > t.from && !t.slow)
			backoff_ok(&f->backoff);
		backoff_fail(&f->backoff, f->clock, f->rng, a->retry_after_s);
		if (f->backoff.failures >= f->max_failures || f->attempts >= f->max_attempts)
			return err_wrap(e, "gave up after %u attempts", f->attempts);
		if (!wait_for(f, backoff_wait_ms(&f->backoff, f->clock), e))
			return false;
	}
	backoff_ok(&f->backoff);
	return true;
}

bool fetch_range(struct fetch *f, uint64_t from, uint64_t to, struct err *e)
{
	CLEANUP(https_answer_done) struct https_answer a = HTTPS_ANSWER_INIT;

	if (from > to || to > f->size)
		return err_set(e, E_USAGE, "bytes %" PRIu64 " to %" PRIu64 " of %" PRIu64, from,
			       to, f->size);
	f->next = from;
	f->attempts = 0;
	backoff_ok(&f->backoff);
	return fetch_all(f, to, &a, e) || err_wrap(e, "%s", f->path);
}
