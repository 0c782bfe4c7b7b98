/* server/metrics.h - counters of the web process, as Prometheus text (exposition format 0.0.4).
 *
 * Counting is lock-free; a reading is not one moment, which Prometheus does not ask for. */
#ifndef VALISE_SERVER_METRICS_H
#define VALISE_SERVER_METRICS_H

#include "base/buf.h"
#include "proto/api.h"

enum { METRICS_STATUS = 6, METRICS_BUCKETS = 10 };

struct metrics {
	/* By route (API_N_ROUTES: none matched) and first digit of the status. */
	uint64_t requests[API_N_ROUTES + 1][METRICS_STATUS];
	uint64_t buckets[METRICS_BUCKETS + 1], seconds_us; /* time from headers to answer */
	uint64_t bytes_in, bytes_out;                      /* bodies */
	uint64_t connections, connections_open;
	uint64_t refused_smuggling, refused_slow, refused_rate, refused_auth, refused_clock,
		refused_replay;
	uint64_t checkins_idle, checkins_report, checkins_director;
	uint64_t active; /* requests under way */
};

static inline void metric_add(uint64_t *m, uint64_t n)
{
	__atomic_fetch_add(m, n, __ATOMIC_RELAXED);
}

static inline void metric_sub(uint64_t *m, uint64_t n)
{
	__atomic_fetch_sub(m, n, __ATOMIC_RELAXED);
}

static inline uint64_t metric_get(const uint64_t *m)
{
	return __atomic_load_n(m, __ATOMIC_RELAXED);
}

void metrics_request(struct metrics *m, unsigned route, unsigned status, uint64_t took_us);
bool metrics_write(const struct metrics *m, struct buf *out, struct err *e) MUST_USE;

/* One more line with its HELP and TYPE, for numbers that others keep. */
bool metrics_line(struct buf *out, const char *name, const char *type, const char *help,
		  uint64_t value, struct err *e) MUST_USE;

#endif
