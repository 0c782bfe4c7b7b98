/* server/settings.h - what an operator can set; one table row each (settings.c) makes the parser,
 * `valised check`, the sample file and the manual page.
 *
 * Processes get a const pointer that never changes.  At SIGHUP mgr reads the file again and starts a
 * new generation of processes with the new settings (server/mgr.h); rows not marked `reload` concern
 * mgr itself and keep their old values until a restart (settings_keep). */
#ifndef VALISE_SERVER_SETTINGS_H
#define VALISE_SERVER_SETTINGS_H

#include "base/conf.h"
#include "base/log.h"

struct settings {
	char *state_dir;
	char *user, *user_keys, *user_work;
	uint64_t log_level;

	char *listen_address;
	uint64_t listen_port;
	bool listen_tls;
	char *listen_unix, *listen_unix_group;
	char *tls_certificate, *tls_key;

	uint64_t web_threads, web_pool, web_connections, web_connections_per_ip, web_idle_s,
		web_min_rate;
	uint64_t client_rate, client_burst, device_rate, device_burst;
	uint64_t stop_deadline_s;

	uint64_t poll_s, lease_s, session_s;
	uint64_t seen_s;

	uint64_t upload_max, disk_reserve, gc_interval_s;

	uint64_t work_processes, work_memory, work_cpu_s, work_time_s;
	uint64_t publish_wait_s;
	uint64_t delta_processes, delta_memory, delta_cpu_s, delta_disk;
	uint64_t delta_time_s, delta_silence_s;

	uint64_t image_snapshot_s, image_timestamp_s;
	uint64_t sign_rate, audit_sign_s;

	bool two_person_rollout, two_person_enrolment;
};

extern const struct conf_row settings_rows[];
extern const size_t settings_n;

/* Defaults, then the file (path may be NULL), then each "key=value".  E_CONFIG. */
bool settings_load(struct settings *ret, const char *path, const char *const *assignments,
		   size_t n, struct err *e) MUST_USE;
/* What no row can check alone: TLS off only on loopback or a Unix socket, at least one listener, ... */
bool settings_check(const struct settings *s, struct err *e) MUST_USE;
/* Puts the running values of rows that cannot change back into `next`; *ret_kept is how many
 * differed.  */
bool settings_keep(struct settings *next, const struct settings *running, unsigned *ret_kept,
		   struct err *e) MUST_USE;
void settings_done(struct settings *s);

#endif
