/* admin-cli/main.c - `valise`: what administrators and CI type.  The table of its commands. */
#include "admin-cli/cmd.h"
#include "admin-cli/opts.h"

#include <locale.h>

static const struct cli_command commands[] = {
	{ "init", "", "set a new server up: keys, roots, first token", init_opts, 0, 0,
	  cmd_init,
	  .long_help =
		  "Makes key files (sealed with a passphrase), the first root of the image\n"
		  "repository and of the director, and the targets role that delegates to one\n"
		  "publisher per product and to the security team; uploads them; makes an API\n"
		  "token of your own in place of the bootstrap token.  May be broken off and\n"
		  "repeated.\n\n"
		  "Keys are below keys/ of the home.  Take image-root-* and director-root-* off\n"
		  "this machine afterwards: they are needed to change keys, and for nothing\n"
		  "else." },
	{ "login", "URL", "remember a server and a token", login_opts, 1, 1, cmd_login,
	  .long_help =
		  "Give --pin (`valised pin` prints it) or --ca-file unless the system trusts\n"
		  "the server's certificate.  The token comes from --token-file, VALISE_TOKEN,\n"
		  "or is asked for; it is kept with mode 0600 when the server has accepted it." },
	{ "status", "", "what the server has and how it is", NULL, 0, 0, cmd_status },

	{ "publish", "DIR", "sign and upload the release in a folder", publish_opts, 1, 1,
	  cmd_publish,
	  .long_help =
		  "DIR holds release.in.json and the files that it names.  Builds hash trees\n"
		  "and compressed objects, uploads what the server lacks, signs and publishes.\n"
		  "Broken off at any point it can be run again and goes on where it was;\n"
		  "publishing the same again does nothing and succeeds." },
	{ "image check", "FILE", "what in an image makes its deltas larger than need be",
	  image_check_opts, 1, 1, cmd_image_check,
	  .long_help =
		  "Looks at a disk image, or at each partition of one: file systems, free blocks\n"
		  "that hold old bytes, packed files, traces of mounting; with --previous also at\n"
		  "seeds and times that change from build to build.  Says what to do about each.\n"
		  "Needs no server and mounts nothing." },
	{ "release list", "[PRODUCT]", "list releases", release_list_opts, 0, 1,
	  cmd_release_list },
	{ "release show", "PRODUCT/VERSION", "one release", NULL, 1, 1, cmd_release_show },
	{ "release withdraw", "PRODUCT/VERSION", "give a release to no one any more",
	  withdraw_opts, 1, 1, cmd_release_withdraw,
	  .long_help = "Devices that run it keep it.  The version cannot be published again." },

	{ "release approve", "PRODUCT/VERSION|FILE",
	  "sign a release that waits, and publish it", sign_opts, 1, 1, cmd_release_approve,
	  .long_help =
		  "A release whose product wants more than one signature waits on the server after\n"
		  "`valise publish`; FILE is what `valise publish --partial` left, for who signs\n"
		  "without a server.  Shows what it publishes, asks, and adds the signature; with\n"
		  "the last one that is needed the release is published." },

	{ "enrol new", "", "make a ticket for a handset", enrol_new_opts, 0, 0, cmd_enrol_new,
	  .long_help =
		  "Prints the ticket's text and, on a terminal, a QR code.  A ticket is good\n"
		  "for one handset." },
	{ "enrol list", "", "list tickets", NULL, 0, 0, cmd_enrol_list },
	{ "enrol revoke", "TICKET", "end a ticket that was not used", NULL, 1, 1,
	  cmd_enrol_revoke },

	{ "device list", "", "list handsets", device_list_opts, 0, 0, cmd_device_list },
	{ "device show", "DEVICE", "one handset: releases, policies, last events", NULL, 1, 1,
	  cmd_device_show, .long_help = "DEVICE is an id, the beginning of one, or a name." },
	{ "device approve", "DEVICE", "let a waiting handset in", NULL, 1, 1,
	  cmd_device_approve,
	  .long_help = "Compare the fingerprint with the one that the handset shows." },
	{ "device revoke", "DEVICE", "shut a handset out", device_revoke_opts, 1, 1,
	  cmd_device_revoke },

	{ "rollout start", "PRODUCT/VERSION", "give a release to all, a group or one handset",
	  target_opts, 1, 1, cmd_rollout_start },
	{ "rollout status", "[ROLLOUT]", "how far rollouts are", NULL, 0, 1,
	  cmd_rollout_status },

	{ "policy check", "FILE", "check a policy bundle without a server", NULL, 1, 1,
	  cmd_policy_check },
	{ "policy publish", "FILE", "sign and publish a policy bundle", policy_publish_opts, 1,
	  1, cmd_policy_publish,
	  .long_help =
		  "FILE is JSON with `name` and `settings`; `version` (the next one),\n"
		  "`issued_at` and `not_before` (now) may be left out.  Where more than one\n"
		  "has to sign, it waits on the server for the others." },
	{ "policy approve", "NAME/VERSION|FILE", "sign a bundle that waits, and publish it",
	  sign_opts, 1, 1, cmd_policy_approve,
	  .long_help =
		  "A bundle that wants more than one signature waits on the server after\n"
		  "`valise policy publish`; FILE is what `valise policy publish --partial` left,\n"
		  "for who signs without a server.  Shows the settings, asks, and adds the\n"
		  "signature; with the last one that is needed the bundle is published." },
	{ "policy assign", "NAME", "say to whom a policy applies", target_opts, 1, 1,
	  cmd_policy_assign },
	{ "policy list", "", "list policies", policy_list_opts, 0, 0, cmd_policy_list },
	{ "policy show", "NAME[/VERSION]", "one policy, also one that waits for signatures",
	  NULL, 1, 1, cmd_policy_show, .long_help = "Without VERSION the newest." },
	{ "policy explain", "DEVICE", "which bundle decides which setting of a handset", NULL,
	  1, 1, cmd_policy_explain },

	{ "token new", "NAME", "make an API token", token_new_opts, 1, 1, cmd_token_new },
	{ "token list", "", "list API tokens", NULL, 0, 0, cmd_token_list },
	{ "token revoke", "TOKEN", "end an API token", NULL, 1, 1, cmd_token_revoke },

	{ "root show", "REPOSITORY|FILE", "who may sign what: now, or by a file", NULL, 1, 1,
	  cmd_root_show, .long_help = "REPOSITORY is image or director." },
	{ "root rotate", "REPOSITORY FILE", "begin the next root", NULL, 2, 2, cmd_root_rotate,
	  .long_help =
		  "Writes FILE: the newest root with a new date and the server's online keys (those\n"
		  "that `valised keys rotate` made, if there are any), without signatures.  Change it\n"
		  "with `root add-key` and `root remove-key`, then let it travel: each holder of a\n"
		  "key adds a signature with `root sign`, where no server is needed; when all are\n"
		  "there `root publish` sends it.  Handsets follow by themselves." },
	{ "root add-key", "FILE KEY", "give a role to one key more", root_edit_opts, 2, 2,
	  cmd_root_add_key,
	  .long_help = "KEY is what `valise key export` printed, or a key of this home." },
	{ "root remove-key", "FILE KEY", "take a role from a key", root_edit_opts, 2, 2,
	  cmd_root_remove_key,
	  .long_help = "KEY is the beginning of its id, or a key of this home." },
	{ "root sign", "FILE", "add a signature", sign_opts, 1, 1, cmd_root_sign,
	  .long_help =
		  "Shows what changes and asks.  A file with a signature that does not fit, by a\n"
		  "stranger, or that follows another root than this home has seen, is refused." },
	{ "root publish", "FILE", "put a root in force", NULL, 1, 1, cmd_root_publish },

	{ "publisher list", "", "who may sign releases and policies", NULL, 0, 0,
	  cmd_publisher_list },
	{ "publisher add", "PRODUCT KEY...", "let keys publish a product", publisher_add_opts,
	  1, -1, cmd_publisher_add,
	  .long_help =
		  "KEY is what `valise key export` printed, or a key of this home.  A product that\n"
		  "has keys gets these in their place.  With --policy no PRODUCT is named: the keys\n"
		  "may sign policy bundles." },
	{ "publisher remove", "PRODUCT", "take a product from its publisher",
	  publisher_remove_opts, 1, 1, cmd_publisher_remove,
	  .long_help = "Its releases are no longer rolled out, and no handset installs them." },
	{ "publisher renew", "[PRODUCT]", "sign a role anew before it expires",
	  publisher_renew_opts, 0, 1, cmd_publisher_renew,
	  .long_help =
		  "A product's role lives 90 days and each release renews it; this does it without\n"
		  "one: the same releases, a new date, signed by the keys of this home (also after\n"
		  "the product got other keys).  With --policy the security team's role, with\n"
		  "--targets the one that says which publishers there are." },
	{ "publisher approve", "FILE", "sign a change of publishers that waits", sign_opts, 1,
	  1, cmd_publisher_approve },
	{ "audit list", "", "who did what", audit_list_opts, 0, 0, cmd_audit_list },
	{ "audit verify", "[FILE]", "whether the audit log is whole", audit_verify_opts, 0, 1,
	  cmd_audit_verify,
	  .long_help =
		  "Computes the chain of hashes here, from the server's rows or from an exported\n"
		  "file.  The head that was found good is kept in the home and must be met by the\n"
		  "next verify: a log that was written anew does not pass." },
	{ "audit export", "FILE", "verify the audit log and keep a copy, a line for each row",
	  NULL, 1, 1, cmd_audit_export },

	{ "key list", "", "list key files", NULL, 0, 0, cmd_key_list },
	{ "key new", "NAME", "make a key file; prints its public half", key_new_opts, 1, 1,
	  cmd_key_new },
	{ "key export", "NAME", "print a key's public half", NULL, 1, 1, cmd_key_export },
	{ "key import", "FILE", "take a key file into the store", key_import_opts, 1, 1,
	  cmd_key_import },
	{ "key passwd", "NAME", "seal a key with another passphrase", NULL, 1, 1,
	  cmd_key_passwd,
	  .long_help = "Without a terminal VALISE_NEW_PASSPHRASE_FILE names the new one." },
	{ 0 },
};

static const struct cli_program program = {
	.name = "valise",
	.summary = "publish virtual phones, enrol handsets, roll out, set policies",
	.opts = opts_table,
	.commands = commands,
	.footer = "Files: ~/.config/valise (or $VALISE_HOME, --home) holds config, token,\n"
		  "keys/, roots/, uploads/, audit/.\n\n"
		  "Environment: VALISE_HOME, VALISE_SERVER, VALISE_PIN, VALISE_TOKEN,\n"
		  "VALISE_PASSPHRASE_FILE, NO_COLOR, https_proxy, no_proxy.\n\n"
		  "With --output=json an error is one line too, on standard error:\n"
		  "{\"code\": ..., \"message\": ..., \"hint\": ...}.",
	.wants_json = opts_json,
};

int main(int argc, char **argv)
{
	/* Only the character set: numbers and errors are the same everywhere. */
	setlocale(LC_CTYPE, "");
	return cli_main(&program, argc, argv);
}
