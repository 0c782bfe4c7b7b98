#include "server/metrics.h"

#include <inttypes.h>

static const uint64_t bounds_us[METRICS_BUCKETS] = {
	500, 1000, 2500, 5000, 10000, 50000, 250000, 1000000, 5000000, 30000000
};

void metrics_request(struct metrics *m, unsigned route, unsigned status, uint64_t took_us)
{
	unsigned digit = status / 100 < METRICS_STATUS ? status / 100 : 0;
	unsigned i = 0;

	metric_add(&m->requests[route <= API_N_ROUTES ? route : API_N_ROUTES][digit], 1);
	while (i < METRICS_BUCKETS && took_us > bounds_us[i])
		i++;
	metric_add(&m->buckets[i], 1);
	metric_add(&m->seconds_us, took_us);
}

bool metrics_line(struct buf *out, const char *name, const char *type, const char *help,
		  uint64_t value, struct err *e)
{
	return buf_printf(out, e,
			  "# HELP valise_%s %s\n# TYPE valise_%s %s\nvalise_%s %" PRIu64 "\n",
			  name, help, name, type, name, value);
}

static bool write_requests(const struct metrics *m, struct buf *out, struct err *e)
{
	if (!buf_add_str(out,
			 "# HELP valise_http_requests_total Requests answered.\n"
			 "# TYPE valise_http_requests_total counter\n",
			 e))
		return false;
	for (unsigned r = 0; r <= API_N_ROUTES; r++) {
		for (unsigned d = 1; d < METRICS_STATUS; d++) {
			uint64_t n = metric_get(&m->requests[r][d]);

			if (n > 0 &&
			    !buf_printf(
				    out, e,
				    "valise_http_requests_total{route=\"%s\",status=\"%uxx\"} %" PRIu64
				    "\n",
				    r < API_N_ROUTES ? api_routes[r].id : "NONE", d, n))
				return false;
		}
	}
	return true;
}

static bool write_times(const struct metrics *m, struct buf *out, struct err *e)
{
	uint64_t sum = 0, us = metric_get(&m->seconds_us);

	if (!buf_add_str(out,
			 "# HELP valise_http_request_seconds Time from headers to answer.\n"
			 "# TYPE valise_http_request_seconds histogram\n",
			 e))
		return false;
	for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
		sum += metric_get(&m->buckets[i]);
		if (!buf_printf(out, e,
				"valise_http_request_seconds_bucket{le=\"%" PRIu64 ".%04" PRIu64
				"\"} %" PRIu64 "\n",
				bounds_us[i] / 1000000, bounds_us[i] % 1000000 / 100, sum))
			return false;
	}
	sum += metric_get(&m->buckets[METRICS_BUCKETS]);
	return buf_printf(out, e,
			  "valise_http_request_seconds_bucket{le=\"+Inf\"} %" PRIu64
			  "\nvalise_http_request_seconds_sum %" PRIu64 ".%06" PRIu64
			  "\nvalise_http_request_seconds_count %" PRIu64 "\n",
			  sum, us / 1000000, us % 1000000, sum);
}

bool metrics_write(const struct metrics *m, struct buf *out, struct err *e)
{
	const struct {
		const char *name, *type, *help;
		const uint64_t *n;
	} rows[] = {
		{ "http_body_bytes_in_total", "counter", "Bytes of request bodies.",
		  &m->bytes_in },
		{ "http_body_bytes_out_total", "counter", "Bytes of answers' bodies.",
		  &m->bytes_out },
		{ "http_connections_total", "counter", "Connections accepted.",
		  &m->connections },
		{ "http_connections_open", "gauge", "Connections open now.",
		  &m->connections_open },
		{ "http_requests_active", "gauge", "Requests under way.", &m->active },
		{ "http_refused_ambiguous_total", "counter",
		  "Requests refused because two readers could read them differently.",
		  &m->refused_smuggling },
		{ "http_refused_slow_total", "counter",
		  "Connections ended because next to nothing moved on them.",
		  &m->refused_slow },
		{ "http_refused_rate_total", "counter", "Requests above a rate limit.",
		  &m->refused_rate },
		{ "auth_refused_total", "counter", "Tokens and signatures refused.",
		  &m->refused_auth },
		{ "auth_refused_clock_total", "counter", "Signed requests with a wrong clock.",
		  &m->refused_clock },
		{ "auth_refused_replay_total", "counter", "Signed requests seen before.",
		  &m->refused_replay },
		{ "checkins_idle_total", "counter", "Check-ins that wrote and signed nothing.",
		  &m->checkins_idle },
		{ "checkins_report_total", "counter", "Check-ins with a new report.",
		  &m->checkins_report },
		{ "checkins_director_total", "counter",
		  "Check-ins answered with new director metadata.", &m->checkins_director },
	};

	if (!write_requests(m, out, e) || !write_times(m, out, e))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!metrics_line(out, rows[i].name, rows[i].type, rows[i].help,
				  metric_get(rows[i].n), e))
			return false;
	}
	return true;
}
