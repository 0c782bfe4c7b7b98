/* valised: the daemon, and what operators do beside it. */
#include "server/mgr.h"
#include "server/setup.h"
#include "base/cli.h"
#include "base/file.h"
#include "base/io.h"
#include "base/secret.h"
#include "base/text.h"
#include "proto/api.h"
#include "proto/jwrite.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define DEFAULT_CONFIG "/etc/valise/valised.conf"

static const char *opt_config, *opt_state, *opt_token_file, *opt_ttl, *opt_output = "table";
static struct cli_list opt_set, opt_names, opt_scopes;
static bool opt_store, opt_sample, opt_keys;

/* ---- settings ------------------------------------------------------------------------------- */

static const char *config_path(void)
{
	/* The usual place counts if there is something there. */
	if (!opt_config && access(DEFAULT_CONFIG, R_OK) == 0)
		return DEFAULT_CONFIG;
	return opt_config;
}

/* --state is --set state_dir=...; a relative path is meant from here. */
static bool assignments(const char ***ret, size_t *ret_n, struct err *e)
{
	static char state[4200];
	const char **v = calloc(opt_set.n + 1, sizeof(*v));
	char cwd[2048] = "";

	if (!v)
		return err_nomem(e);
	if (opt_set.n > 0)
		memcpy(v, opt_set.v, opt_set.n * sizeof(*v));
	*ret_n = opt_set.n;
	if (opt_state) {
		if (opt_state[0] != '/' && !getcwd(cwd, sizeof(cwd))) {
			free(v);
			return err_sys(e, errno, "this directory");
		}
		snprintf(state, sizeof(state), "state_dir=%s%s%s", cwd, cwd[0] ? "/" : "",
			 opt_state);
		v[(*ret_n)++] = state;
	}
	*ret = v;
	return true;
}

static void free_list(const char ***v)
{
	free(*v);
}

static bool load(struct settings *ret, struct err *e)
{
	CLEANUP(free_list) const char **v = NULL;
	size_t n;

	return assignments(&v, &n, e) && settings_load(ret, config_path(), v, n, e);
}

/* ---- commands -------------------------------------------------------------------------------- */

static bool cmd_run(int argc UNUSED, char **argv UNUSED, struct err *e)
{
	CLEANUP(free_list) const char **v = NULL;
	struct mgr_options o = { .settings_file = config_path() };

	log_init("valised", LOG_INFO);
	if (!assignments(&v, &o.assignments_n, e))
		return false;
	o.assignments = v;
	return mgr_run(&o, e);
}

static bool is_json(void)
{
	return strcmp(opt_output, "json") == 0;
}

/* What was looked at; c NULL: not the store. */
static bool print_checked(const struct settings *s, const struct setup_checked *c,
			  struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(65536);
	struct jw w;

	jw_init(&w, &b);
	jw_obj(&w, NULL);
	jw_str(&w, "settings", "fine");
	jw_lossy(&w, "state_dir", s->state_dir, strlen(s->state_dir));
	if (c) {
		jw_str(&w, "store", "fine");
		jw_u64(&w, "objects", c->objects);
		jw_u64(&w, "bytes", c->bytes);
		jw_u64(&w, "audit_rows", c->audit_rows);
	}
	jw_end(&w);
	return jw_finish(&w, e) && puts(buf_str(&b)) >= 0;
}

static bool cmd_check(int argc UNUSED, char **argv UNUSED, struct err *e)
{
	CLEANUP(settings_done) struct settings s = { 0 };
	struct setup_checked c;

	if (!is_json() && strcmp(opt_output, "table") != 0)
		return err_set(e, E_USAGE, "-o is table or json");
	if (opt_sample) {
		conf_print_sample(stdout, settings_rows, settings_n);
		return true;
	}
	if (!load(&s, e) || !setup_check_tls(&s, e))
		return false;
	if (!is_json())
		puts("settings: fine");
	if (opt_store && !setup_check(&s, &c, e))
		return false;
	if (is_json())
		return print_checked(&s, opt_store ? &c : NULL, e);
	if (opt_store)
		printf("store: fine, %" PRIu64 " objects of %" PRIu64 " bytes, %" PRIu64
		       " audit rows\n",
		       c.objects, c.bytes, c.audit_rows);
	return true;
}

static void print_pin(const uint8_t pin[static SHA256_SIZE], const char *what)
{
	char hex[HEX_SIZE(SHA256_SIZE)];

	hex_encode(hex, pin, SHA256_SIZE);
	printf("%s%s\n", what, hex);
}

/* The token goes to a file that only its owner reads, or to standard output. */
static bool tell_token(struct setup_made *m, struct err *e)
{
	const char *path = opt_token_file, *slash = path ? strrchr(path, '/') : NULL;
	char dir[1024] = ".";
	CLEANUP(fd_closep) int dirfd = -1;

	if (!path) {
		printf("token: %s\n", m->token_text);
		return true;
	}
	if (slash)
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path) + 1, path);
	if (!dir_open(&dirfd, dir, 0700, e) ||
	    !file_put(path, 0600, m->token_text, strlen(m->token_text), e))
		return err_wrap(e, "token file");
	printf("token: written to %s\n", path);
	return true;
}

/* Names of the certificate: given, or those by which this machine calls itself. */
static size_t names_of_certificate(const char **ret, size_t max)
{
	static char host[256];
	size_t n = 0;

	for (size_t i = 0; i < opt_names.n && n < max; i++)
		ret[n++] = opt_names.v[i];
	if (n > 0)
		return n;
	if (gethostname(host, sizeof(host) - 1) == 0 && host[0])
		ret[n++] = host;
	ret[n++] = "localhost";
	ret[n++] = "127.0.0.1";
	ret[n++] = "::1";
	return n;
}

static bool cmd_init(int argc UNUSED, char **argv UNUSED, struct err *e)
{
	CLEANUP(settings_done) struct settings s = { 0 };
	const char *names[16];
	struct setup_made m;
	bool ok;

	if (!load(&s, e) ||
	    !setup_init(&s, names, names_of_certificate(names, ARRAY_SIZE(names)), &m, e))
		return false;
	printf("state: %s\n", s.state_dir);
	print_pin(m.pin, "pin: ");
	ok = tell_token(&m, e);
	wipe(m.token_text, sizeof(m.token_text));
	if (ok)
		puts("next: start it (valised run), then make the offline keys with: valise init --server "
		     "URL --pin PIN");
	return ok;
}

static bool cmd_pin(int argc UNUSED, char **argv UNUSED, struct err *e)
{
	CLEANUP(settings_done) struct settings s = { 0 };
	uint8_t pin[SHA256_SIZE];

	if (!load(&s, e) || !setup_pin(&s, pin, e))
		return false;
	print_pin(pin, "");
	return true;
}

static bool cmd_token(int argc UNUSED, char **argv, struct err *e)
{
	CLEANUP(settings_done) struct settings s = { 0 };
	struct setup_made m;
	unsigned scopes = 0;
	uint64_t ttl_s = 0;
	bool ok;

	for (size_t i = 0; i < opt_scopes.n; i++) {
		enum api_scope one;

		if (!api_scope_parse(&one, opt_scopes.v[i]))
			return err_set(e, E_USAGE, "--scope: there is no \"%s\"",
				       opt_scopes.v[i]);
		scopes |= one;
	}
	if (scopes == 0)
		return err_set(e, E_USAGE, "--scope: at least one is needed");
	if (opt_ttl && !duration_parse(&ttl_s, opt_ttl))
		return err_set(e, E_USAGE, "--ttl: \"%s\" is not a duration such as 12h or 30d",
			       opt_ttl);
	if (!load(&s, e) || !setup_token(&s, argv[0], scopes, ttl_s, &m, e))
		return false;
	printf("id: k%" PRId64 "\n", m.token.number);
	ok = tell_token(&m, e);
	wipe(m.token_text, sizeof(m.token_text));
	return ok;
}

/* ---- online keys ---------------------------------------------------------------------------- */

static bool cmd_keys_show(int argc UNUSED, char **argv UNUSED, struct err *e)
{
	CLEANUP(settings_done) struct settings s = { 0 };
	struct setup_key keys[ONLINE_N];

	if (!load(&s, e) || !setup_keys(&s, keys, e))
		return false;
	for (int i = 0; i < ONLINE_N; i++) {
		const struct setup_key *k = &keys[i];

		printf("%-8s %-9s %.12s%s", online_roles[i].repo, online_roles[i].role, k->id,
		       k->named ? " signs" : "");
		if (k->next_id[0])
			printf("  next %.12s%s", k->next_id,
			       k->next_named
				       ? " is named by the newest root: retire the old one"
				       : " waits for a root that names it");
		putchar('\n');
	}
	return true;
}

static bool role_of(bool chosen[static ONLINE_N], const char *name, struct err *e)
{
	char full[40];

	for (int i = 0; i < ONLINE_N; i++) {
		snprintf(full, sizeof(full), "%s-%s", online_roles[i].repo,
			 online_roles[i].role);
		if (strcmp(full, name) == 0)
			return chosen[i] = true;
	}
	return err_set(e, E_USAGE, "\"%.40s\" is no online role; such as image-timestamp",
		       name);
}

static bool cmd_keys_rotate(int argc, char **argv, struct err *e)
{
	CLEANUP(settings_done) struct settings s = { 0 };
	bool chosen[ONLINE_N] = { false };

	for (int i = 0; i < argc; i++) {
		if (!role_of(chosen, argv[i], e))
			return false;
	}
	if (!load(&s, e) || !setup_keys_rotate(&s, chosen, e))
		return false;
	for (int i = 0; i < ONLINE_N; i++) {
		if (chosen[i])
			printf("made a key that shall follow: %s %s\n", online_roles[i].repo,
			       online_roles[i].role);
	}
	puts("next: reload the server (SIGHUP), then for each repository on the administrator's "
	     "side: valise root rotate");
	return true;
}

static bool cmd_keys_retire(int argc UNUSED, char **argv UNUSED, struct err *e)
{
	CLEANUP(settings_done) struct settings s = { 0 };
	unsigned n;

	if (!load(&s, e) || !setup_keys_retire(&s, &n, e))
		return false;
	printf("%u old keys are gone\n", n);
	return true;
}

static void print_report(const char *what, const struct backup_report *r)
{
	printf("%s: schema %u, %" PRIu64 " objects of %" PRIu64 " bytes (%" PRIu64
	       " linked), %" PRIu64 " key files\n",
	       what, r->schema, r->objects, r->bytes, r->linked, r->keys);
}

static bool cmd_backup(int argc UNUSED, char **argv, struct err *e)
{
	CLEANUP(settings_done) struct settings s = { 0 };
	struct backup_report r;

	if (!load(&s, e) || !setup_backup(&s, argv[0], opt_keys, &r, e))
		return false;
	print_report("backup", &r);
	if (!opt_keys)
		puts("The online keys and the TLS key are not in it: --keys takes them along.");
	return true;
}

static bool cmd_restore(int argc UNUSED, char **argv, struct err *e)
{
	CLEANUP(settings_done) struct settings s = { 0 };
	const char *names[16];
	struct backup_report r;
	bool new_tls;

	if (!load(&s, e) ||
	    !setup_restore(&s, argv[0], names, names_of_certificate(names, ARRAY_SIZE(names)),
			   &r, &new_tls, e))
		return false;
	print_report("restored", &r);
	if (r.keys == 0)
		puts("The online keys are not in this backup: copy keys/ back before starting the server.");
	if (new_tls)
		puts("The TLS key is not in this backup: a new one was made; handsets that know the old pin "
		     "will not connect.");
	return true;
}

/* ---- table ------------------------------------------------------------------------------------ */

#define COMMON                                                                                 \
	{ "config",   'c',        "FILE", "settings file (" DEFAULT_CONFIG " if it is there)", \
	  CLI_STRING, &opt_config },                                                           \
		{ "set",       0,                                                              \
		  "KEY=VALUE", "one setting; over the file, also after a reload",              \
		  CLI_LIST,    &opt_set },                                                     \
	{                                                                                      \
		"state", 0, "DIR", "short for --set state_dir=DIR", CLI_STRING, &opt_state     \
	}

static const struct cli_opt common_opts[] = { COMMON, { 0 } };

static const struct cli_opt check_opts[] = {
	COMMON,
	{ "store", 0, NULL, "also look at the database, every object and the audit log",
	  CLI_FLAG, &opt_store },
	{ "output", 'o', "FORMAT", "table or json", CLI_STRING, &opt_output },
	{ "sample", 0, NULL, "print a settings file with everything at its default", CLI_FLAG,
	  &opt_sample },
	{ 0 },
};

#define TOKEN_FILE                                                                         \
	{                                                                                  \
		"token-file", 0, "FILE",                                                   \
			"write the token there instead of to standard output", CLI_STRING, \
			&opt_token_file                                                    \
	}
#define NAMES                                                                             \
	{                                                                                 \
		"name", 0, "NAME", "name or address in the certificate; may be repeated", \
			CLI_LIST, &opt_names                                              \
	}

static const struct cli_opt init_opts[] = { COMMON, TOKEN_FILE, NAMES, { 0 } };

static const struct cli_opt token_opts[] = {
	COMMON,
	TOKEN_FILE,
	{ "scope", 0, "SCOPE",
	  "publish, policy, rollout, device:read, device:command, admin; may be repeated",
	  CLI_LIST, &opt_scopes },
	{ "ttl", 0, "DURATION", "how long it is valid; without it for ever", CLI_STRING,
	  &opt_ttl },
	{ 0 },
};

static const struct cli_opt backup_opts[] = {
	COMMON,
	{ "keys", 0, NULL,
	  "take the online keys and the TLS key along: the backup is a secret then", CLI_FLAG,
	  &opt_keys },
	{ 0 },
};

static const struct cli_opt restore_opts[] = { COMMON, NAMES, { 0 } };

static const struct cli_command commands[] = {
	{ "run", "", "serve, in the foreground", common_opts, 0, 0, cmd_run,
	  .long_help =
		  "SIGTERM finishes what is under way and ends; SIGHUP reads the settings and certificates\n"
		  "again without losing a request.  The port really used is in run/port below the state\n"
		  "directory." },
	{ "init", "", "make database, online keys and TLS certificate", init_opts, 0, 0,
	  cmd_init,
	  .long_help =
		  "Prints the certificate's pin and the first administrator's token.  Everything that is\n"
		  "there already is kept, so an init that was broken off can be run again." },
	{ "check", "", "check the settings", check_opts, 0, 0, cmd_check },
	{ "pin", "", "print the pin of the TLS certificate", common_opts, 0, 0, cmd_pin },
	{ "token", "NAME", "make an API token without the API", token_opts, 1, 1, cmd_token },
	{ "keys show", "", "online keys, and those that shall follow", common_opts, 0, 0,
	  cmd_keys_show },
	{ "keys rotate", "[ROLE...]", "make online keys that shall follow", common_opts, 0,
	  ONLINE_N, cmd_keys_rotate,
	  .long_help =
		  "ROLE is image-snapshot, image-timestamp, director-targets, director-snapshot or\n"
		  "director-timestamp; all of them if none is given.  Reload the server afterwards; it\n"
		  "signs with a new key from the moment when a root that names it is accepted (valise\n"
		  "root rotate).  No handset has to be touched." },
	{ "keys retire", "", "delete old online keys whose followers sign", common_opts, 0, 0,
	  cmd_keys_retire, .long_help = "Reload the server afterwards." },
	{ "backup", "DIR", "copy the store into a new directory, also while it serves",
	  backup_opts, 1, 1, cmd_backup },
	{ "restore", "DIR", "make a state directory from a backup", restore_opts, 1, 1,
	  cmd_restore },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const struct cli_opt none[] = { { 0 } };
	const struct cli_program program = {
		.name = "valised",
		.summary = "server of Valise: publishes, signs and serves virtual phones",
		.opts = none,
		.commands = commands,
		.footer = "Settings: " DEFAULT_CONFIG
			  "; `valised check --sample` prints all of them.\n"
			  "State: /var/lib/valised (docs/FORMATS.md, section 9).",
		.man_section = 8,
		.wants_json = is_json,
	};

	return cli_main(&program, argc, argv);
}
