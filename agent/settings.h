/* agent/settings.h - everything that an owner of the handset may set, one table (base/conf.h).
 *
 * Settings starting with `test.` exist for tests: they can make the agent slower, faster or end it,
 * but not less strict. */
#ifndef VALISE_AGENT_SETTINGS_H
#define VALISE_AGENT_SETTINGS_H

#include "base/conf.h"

struct settings {
	char *state_dir;
	char *vmm;
	uint64_t engine; /* enum launch_engine */
	uint64_t jail;   /* enum launch_jail */
	uint64_t reserve_bytes, data_bytes;
	uint64_t max_failures;
	uint64_t key_max_age_s;
	bool vm_autostart;
	uint64_t vm_start_s, vm_grace_s;
	uint64_t network; /* enum settings_network */
	char *network_file;
	char *ca_file, *proxy;
	uint64_t log_level;
	uint64_t test_poll_s, test_stall_s, test_later_s, test_deadline_s, test_window_shift_s;
	char *test_crash;
};

enum settings_network { COST_UNMETERED, COST_METERED, COST_FROM_FILE };

extern const struct conf_row settings_rows[];
extern const size_t settings_n_rows;

/* Defaults, then the file (if path is not NULL), then "key=value" words. */
bool settings_load(struct settings *ret, const char *path, const char *const *assignments,
		   size_t n, struct err *e) MUST_USE;
void settings_done(struct settings *s);

/* Whether downloads cost the user money now: the setting, or what the host wrote to the file ("metered"
 * in its first line; a missing or unreadable file counts as metered). */
bool settings_network_is_metered(const struct settings *s);

#endif
