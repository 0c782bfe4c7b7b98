#include "agent/settings.h"

#include "base/io.h"
#include "base/log.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>

#define AT(field) offsetof(struct settings, field)
#define DAY_S 86400
#define PATH_MAX_BYTES 4096

static const char *const engines[] = { "auto", "qemu-kvm", "qemu-tcg", NULL };
static const char *const jails[] = { "best-effort", "require", NULL };
static const char *const networks[] = { "unmetered", "metered", "file", NULL };
static const char *const levels[] = { "error", "warn", "info", "debug", NULL };

const struct conf_row settings_rows[] = {
	{ "state_dir", CONF_STRING, AT(state_dir), "/var/lib/valise-agent", .min = 1,
	  .max = PATH_MAX_BYTES,
	  .help = "everything that the agent keeps; it writes nowhere else" },
	{ "vm.monitor", CONF_STRING, AT(vmm), "valise-vmm", .min = 1, .max = PATH_MAX_BYTES,
	  .help = "program that runs the virtual phone; a bare name is looked up beside this one" },
	{ "vm.engine", CONF_CHOICE, AT(engine), "auto", .choices = engines,
	  .help = "what runs the guest; auto lets the monitor find out" },
	{ "vm.jail", CONF_CHOICE, AT(jail), "best-effort", .choices = jails,
	  .help = "whether the guest may run where the host allows no full sandbox" },
	{ "vm.autostart", CONF_BOOL, AT(vm_autostart), "yes",
	  .help = "start the virtual phone with the agent" },
	{ "vm.start_limit", CONF_DURATION, AT(vm_start_s), "15m", .min = 1, .max = DAY_S,
	  .help = "how long the monitor may verify the images before the guest runs" },
	{ "vm.stop_grace", CONF_DURATION, AT(vm_grace_s), "30s", .min = 0, .max = 600,
	  .help = "how long the guest may take to shut down before it is killed" },
	{ "disk.reserve", CONF_SIZE, AT(reserve_bytes), "256M", .min = 0,
	  .max = UINT64_C(1) << 50, .help = "free space that an update never touches" },
	{ "disk.data", CONF_SIZE, AT(data_bytes), "4G", .min = 1 << 20,
	  .max = UINT64_C(1) << 42, .help = "largest size of the user-data disk" },
	{ "update.max_failures", CONF_UINT, AT(max_failures), "3", .min = 1, .max = 100,
	  .help = "failed attempts after which an update is given up and reported" },
	{ "keys.max_age", CONF_DURATION, AT(key_max_age_s), "365d", .max = 3650 * DAY_S,
	  .reload = true,
	  .help = "age at which the handset changes its own keys, a little earlier; 0 is never" },
	{ "network", CONF_CHOICE, AT(network), "unmetered", .choices = networks, .reload = true,
	  .help = "whether downloads cost money; file: as network.file says" },
	{ "network.file", CONF_STRING, AT(network_file), "/run/valise-agent/network",
	  .max = PATH_MAX_BYTES, .reload = true,
	  .help = "kept by the host: its first line is metered or unmetered" },
	{ "tls.ca_file", CONF_STRING, AT(ca_file), "", .max = PATH_MAX_BYTES,
	  .help = "certificate authorities instead of the system's, unless the ticket pins a key" },
	{ "proxy", CONF_STRING, AT(proxy), "", .max = PATH_MAX_BYTES,
	  .help = "proxy URL; empty takes https_proxy from the environment" },
	{ "log.level", CONF_CHOICE, AT(log_level), "info", .choices = levels, .reload = true,
	  .help = "error, warn, info or debug" },
	{ "test.poll", CONF_DURATION, AT(test_poll_s), "0", .max = DAY_S,
	  .help = "tests: seconds between check-ins whatever the server says; 0 is off" },
	{ "test.stall", CONF_DURATION, AT(test_stall_s), "0", .max = DAY_S,
	  .help = "tests: how long a transfer may stand still; 0 is the usual 30 s" },
	{ "test.later", CONF_DURATION, AT(test_later_s), "0", .max = 400 * DAY_S,
	  .help = "tests: as if the host had been on, and the agent off, for this long" },
	{ "test.health_deadline", CONF_DURATION, AT(test_deadline_s), "0", .max = DAY_S,
	  .help = "tests: shorter health deadline; 0 is off" },
	{ "test.window_shift", CONF_DURATION, AT(test_window_shift_s), "0", .max = DAY_S,
	  .help = "tests: moves the time of day that install windows are compared with" },
	{ "test.crash", CONF_STRING, AT(test_crash), "", .max = 64,
	  .help = "tests: the agent kills itself when it gets there (agent/crashpoint.h)" },
};
const size_t settings_n_rows = ARRAY_SIZE(settings_rows);

bool settings_load(struct settings *ret, const char *path, const char *const *assignments,
		   size_t n, struct err *e)
{
	struct settings s = { 0 };
	bool ok = conf_defaults(&s, settings_rows, settings_n_rows, e);

	if (ok && path)
		ok = conf_load(&s, settings_rows, settings_n_rows, path, e);
	for (size_t i = 0; ok && i < n; i++)
		ok = conf_set(&s, settings_rows, settings_n_rows, assignments[i], e);
	if (!ok) {
		settings_done(&s);
		return false;
	}
	*ret = s;
	return true;
}

void settings_done(struct settings *s)
{
	conf_done(s, settings_rows, settings_n_rows);
}

bool settings_network_is_metered(const struct settings *s)
{
	static const char word[] = "unmetered";
	char line[sizeof(word)];
	struct err ignored;
	size_t n;

	if (s->network != COST_FROM_FILE)
		return s->network == COST_METERED;
	CLEANUP(fd_closep) int fd = open(s->network_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || !read_up_to(fd, line, sizeof(line), &n, &ignored))
		return true;
	return n < sizeof(word) - 1 || memcmp(line, word, sizeof(word) - 1) != 0 ||
	       (n == sizeof(word) && line[n - 1] != '\n');
}
