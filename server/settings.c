#include "server/settings.h"
#include "base/limits.h"

#include <string.h>

static const char *const log_levels[] = { "error", "warn", "info", "debug", NULL };

#define AT(field) offsetof(struct settings, field)
#define GIB (UINT64_C(1) << 30)
#define DAY 86400

const struct conf_row settings_rows[] = {
	{ "state_dir", CONF_STRING, AT(state_dir), "/var/lib/valised",
	  "database, objects, keys and certificates lie below this folder", 1, 1024 },
	{ "user", CONF_STRING, AT(user), "valised",
	  "user of the web process when started as root; empty: stays root (for trials)", 0,
	  64 },
	{ "user.keys", CONF_STRING, AT(user_keys), "",
	  "user of the keys process when started as root; empty: as `user`", 0, 64 },
	{ "user.work", CONF_STRING, AT(user_work), "",
	  "user of the work processes when started as root; empty: as `user`", 0, 64 },
	{ "log.level", CONF_CHOICE, AT(log_level), "info", "debug logs every request", 0, 0,
	  log_levels, .reload = true },

	{ "listen.address", CONF_STRING, AT(listen_address), "*",
	  "numeric address to listen on; * is every address of both families; empty: listen.unix alone",
	  0, 64 },
	{ "listen.port", CONF_UINT, AT(listen_port), "8443",
	  "TCP port; 0 lets the system choose (run/port tells which)", 0, 65535 },
	{ "listen.tls", CONF_BOOL, AT(listen_tls), "yes",
	  "no: plain HTTP, allowed on loopback addresses only" },
	{ "listen.unix", CONF_STRING, AT(listen_unix), "",
	  "path of a Unix socket with plain HTTP for a proxy in front (deploy/nginx.conf); empty: none",
	  0, 107 },
	{ "listen.unix_group", CONF_STRING, AT(listen_unix_group), "",
	  "group that may connect to listen.unix; empty: only the user that starts the server",
	  0, 64 },
	{ "tls.certificate", CONF_STRING, AT(tls_certificate), "",
	  "PEM chain; empty: tls/cert.pem below state_dir", 0, 1024, .reload = true },
	{ "tls.key", CONF_STRING, AT(tls_key), "",
	  "PEM key; empty: tls/key.pem below state_dir", 0, 1024, .reload = true },

	{ "web.threads", CONF_UINT, AT(web_threads), "0",
	  "threads that serve connections; 0: one per processor", 0, 256, .reload = true },
	{ "web.pool", CONF_UINT, AT(web_pool), "8",
	  "threads for requests that write or wait for another process", 1, 256,
	  .reload = true },
	{ "web.connections", CONF_UINT, AT(web_connections), "10000",
	  "connections at the same time", 16, 1000000, .reload = true },
	{ "web.connections_per_ip", CONF_UINT, AT(web_connections_per_ip), "256",
	  "connections of one address at the same time; 0: no limit", 0, 1000000,
	  .reload = true },
	{ "web.idle", CONF_DURATION, AT(web_idle_s), "75s",
	  "a connection without traffic is closed after this", 1, 3600, .reload = true },
	{ "web.min_rate", CONF_UINT, AT(web_min_rate), "256",
	  "bytes a second that a request or its answer has to move, over each web.idle; 0: no limit",
	  0, 1000000, .reload = true },
	{ "limit.client_rate", CONF_UINT, AT(client_rate), "200",
	  "requests a second from one address; 0: no limit", 0, 1000000, .reload = true },
	{ "limit.client_burst", CONF_UINT, AT(client_burst), "1000",
	  "requests from one address at once", 1, 10000000, .reload = true },
	{ "limit.device_rate", CONF_UINT, AT(device_rate), "2",
	  "signed requests a second from one device; 0: no limit", 0, 1000000, .reload = true },
	{ "limit.device_burst", CONF_UINT, AT(device_burst), "30",
	  "signed requests from one device at once", 1, 10000000, .reload = true },
	{ "stop.deadline", CONF_DURATION, AT(stop_deadline_s), "30s",
	  "requests under way may take this long after SIGTERM", 0, 3600, .reload = true },

	{ "poll.interval", CONF_DURATION, AT(poll_s), "60s",
	  "how often devices ask (a tenth of jitter is added)", 1, 7 * DAY, .reload = true },
	{ "lease.duration", CONF_DURATION, AT(lease_s), "12h",
	  "life of what the director signs for a device; renewed at half", 60, 30 * DAY,
	  .reload = true },
	{ "session.duration", CONF_DURATION, AT(session_s), "1h",
	  "life of a device's session key", 60, DAY, .reload = true },
	{ "seen.interval", CONF_DURATION, AT(seen_s), "5m",
	  "how often the times of last contact are written, all in one transaction", 1, DAY,
	  .reload = true },

	{ "upload.max", CONF_SIZE, AT(upload_max), "64G", "largest object", 1,
	  LIMIT_COMPONENT_SIZE, .reload = true },
	{ "disk.reserve", CONF_SIZE, AT(disk_reserve), "256M",
	  "uploads are refused when they would leave less room than this", 0, 1024 * GIB,
	  .reload = true },
	{ "gc.interval", CONF_DURATION, AT(gc_interval_s), "1h",
	  "how often unused objects and abandoned uploads are looked for", 1, 30 * DAY,
	  .reload = true },

	{ "work.processes", CONF_UINT, AT(work_processes), "2",
	  "processes that check uploaded images", 1, 64, .reload = true },
	{ "work.memory", CONF_SIZE, AT(work_memory), "512M", "memory of one of them", 64 << 20,
	  64 * GIB, .reload = true },
	{ "work.cpu", CONF_DURATION, AT(work_cpu_s), "1h", "processor time of one job", 1, DAY,
	  .reload = true },
	{ "work.time", CONF_DURATION, AT(work_time_s), "4h",
	  "a process that takes longer for one job is ended", 1, 7 * DAY, .reload = true },
	{ "publish.wait", CONF_DURATION, AT(publish_wait_s), "60s",
	  "a publish request waits this long for the checks, then says: again", 1, 3600,
	  .reload = true },

	{ "delta.processes", CONF_UINT, AT(delta_processes), "1",
	  "processes that make deltas between releases, at low priority; 0: no new deltas", 0,
	  16, .reload = true },
	{ "delta.disk", CONF_SIZE, AT(delta_disk), "8G",
	  "all deltas together; when it is full no more are made", 0, 1024 * GIB,
	  .reload = true },
	{ "delta.memory", CONF_SIZE, AT(delta_memory), "64G",
	  "address space of one of them: at most 1G of memory, and both images mapped", 1 * GIB,
	  8192 * GIB, .reload = true },
	{ "delta.cpu", CONF_DURATION, AT(delta_cpu_s), "4h", "processor time of one delta", 1,
	  7 * DAY, .reload = true },
	{ "delta.time", CONF_DURATION, AT(delta_time_s), "12h",
	  "a process that takes longer for one delta is ended", 1, 7 * DAY, .reload = true },
	{ "delta.silence", CONF_DURATION, AT(delta_silence_s), "30m",
	  "and so is one that makes no progress for so long", 1, DAY, .reload = true },

	{ "sign.snapshot", CONF_DURATION, AT(image_snapshot_s), "7d",
	  "validity of the image snapshot", 600, 30 * DAY, .reload = true },
	{ "sign.timestamp", CONF_DURATION, AT(image_timestamp_s), "1d",
	  "validity of the image timestamp; renewed at half", 600, 7 * DAY, .reload = true },
	{ "sign.rate", CONF_UINT, AT(sign_rate), "500",
	  "sets of metadata that the keys process signs a second", 1, 1000000, .reload = true },

	{ "audit.sign_interval", CONF_DURATION, AT(audit_sign_s), "24h",
	  "how often the audit log's head is signed, if there are new rows", 1, 30 * DAY,
	  .reload = true },

	{ "two_person.rollout", CONF_BOOL, AT(two_person_rollout), "no",
	  "a rollout to everyone wants the same request by two tokens", .reload = true },
	{ "two_person.enrolment", CONF_BOOL, AT(two_person_enrolment), "no",
	  "approving a handset wants two tokens, and every handset has to be approved",
	  .reload = true },
};

const size_t settings_n = ARRAY_SIZE(settings_rows);

bool settings_load(struct settings *ret, const char *path, const char *const *assignments,
		   size_t n, struct err *e)
{
	if (!conf_defaults(ret, settings_rows, settings_n, e))
		return false;
	if (path && !conf_load(ret, settings_rows, settings_n, path, e))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!conf_set(ret, settings_rows, settings_n, assignments[i], e))
			return false;
	}
	return settings_check(ret, e);
}

static bool is_loopback(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

bool settings_check(const struct settings *s, struct err *e)
{
	if (s->state_dir[0] != '/')
		return err_set(e, E_CONFIG, "state_dir: \"%s\" is not an absolute path",
			       s->state_dir);
	if (s->listen_unix[0] && s->listen_unix[0] != '/')
		return err_set(e, E_CONFIG, "listen.unix: \"%s\" is not an absolute path",
			       s->listen_unix);
	if (!s->listen_address[0] && !s->listen_unix[0]) {
		err_set(e, E_CONFIG, "listen.address: empty, and listen.unix is too");
		return err_hint(e, "set one of them");
	}
	if (!s->listen_tls && s->listen_address[0] && !is_loopback(s->listen_address)) {
		err_set(e, E_CONFIG, "listen.tls: plain HTTP on %s", s->listen_address);
		return err_hint(e, "set listen.address = 127.0.0.1, or leave TLS on");
	}
	if (s->poll_s > s->lease_s / 2)
		return err_set(
			e, E_CONFIG,
			"poll.interval: longer than half of lease.duration, so leases would lapse");
	return true;
}

/* Whether the value differs; if so the running one is copied. */
static bool keep_row(const struct conf_row *r, struct settings *next,
		     const struct settings *running, bool *ret_differs, struct err *e)
{
	char *to = (char *)next + r->offset;
	const char *from = (const char *)running + r->offset;

	*ret_differs = false;
	if (r->type == CONF_STRING) {
		char **text = (char **)to;
		const char *old = *(char *const *)from;

		if (strcmp(*text, old) == 0)
			return true;
		char *copy = strdup(old);
		if (!copy)
			return err_nomem(e);
		free(*text);
		*text = copy;
	} else {
		size_t n = r->type == CONF_BOOL ? sizeof(bool) : sizeof(uint64_t);

		if (memcmp(to, from, n) == 0)
			return true;
		memcpy(to, from, n);
	}
	*ret_differs = true;
	return true;
}

bool settings_keep(struct settings *next, const struct settings *running, unsigned *ret_kept,
		   struct err *e)
{
	bool differs;

	*ret_kept = 0;
	for (size_t i = 0; i < settings_n; i++) {
		if (settings_rows[i].reload)
			continue;
		if (!keep_row(&settings_rows[i], next, running, &differs, e))
			return false;
		*ret_kept += differs;
	}
	return true;
}

void settings_done(struct settings *s)
{
	conf_done(s, settings_rows, settings_n);
}
