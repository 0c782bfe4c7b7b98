#include "admin-cli/opts.h"

#include <string.h>

struct opts opts = { .output = "table" };

const struct cli_opt opts_table[] = {
	{ "home", 0, "DIR", "folder of settings, token and keys (VALISE_HOME)", CLI_STRING,
	  &opts.home },
	{ "server", 's', "URL", "server to talk to (VALISE_SERVER)", CLI_STRING, &opts.server },
	{ "pin", 0, "HEX", "SHA-256 of the server's public key (VALISE_PIN)", CLI_STRING,
	  &opts.pin },
	{ "ca-file", 0, "FILE", "certificate authorities instead of the system's", CLI_STRING,
	  &opts.ca_file },
	{ "token-file", 0, "FILE", "file that holds the API token (or VALISE_TOKEN)",
	  CLI_STRING, &opts.token_file },
	{ "passphrase-file", 0, "FILE", "passphrase of key files (VALISE_PASSPHRASE_FILE)",
	  CLI_STRING, &opts.passphrase_file },
	{ "output", 'o', "FORMAT", "table for people, or json", CLI_STRING, &opts.output },
	{ "yes", 'y', NULL, "do not ask before dangerous things", CLI_FLAG, &opts.yes },
	{ "quiet", 'q', NULL, "no progress and no advice, as with -o json", CLI_FLAG,
	  &opts.quiet },
	{ 0 },
};

bool opts_check(struct err *e)
{
	if (strcmp(opts.output, "table") != 0 && strcmp(opts.output, "json") != 0)
		return err_set(e, E_USAGE, "--output=%s: wants table or json", opts.output);
	return true;
}

bool opts_json(void)
{
	return strcmp(opts.output, "json") == 0;
}

bool opts_progress(void)
{
	return !opts.quiet && !opts_json();
}
