#include "admin-cli/ask.h"
#include "admin-cli/cmd.h"
#include "admin-cli/keys.h"
#include "admin-cli/opts.h"
#include "base/text.h"
#include "proto/tuf_make.h"

#include <stdlib.h>
#include <string.h>

static const char *opt_role = "";
static const char *opt_comment = "";
static bool opt_no_passphrase;

const struct cli_opt key_new_opts[] = {
	{ "role", 0, "ROLE", "what it is for: publisher, policy, image-root, ...", CLI_STRING,
	  &opt_role },
	{ "comment", 0, "TEXT", "a line for people", CLI_STRING, &opt_comment },
	{ "no-passphrase", 0, NULL, "do not seal the file; for trials only", CLI_FLAG,
	  &opt_no_passphrase },
	{ 0 },
};
static const char *opt_as;
const struct cli_opt key_import_opts[] = {
	{ "as", 0, "NAME", "under another name than the file's", CLI_STRING, &opt_as },
	{ 0 },
};

static const struct out_col cols[] = {
	{ "NAME", "name", OUT_TEXT },        { "ROLE", "role", OUT_TEXT },
	{ "SEALED", "sealed", OUT_TEXT },    { "KEY ID", "keyid", OUT_ID },
	{ "COMMENT", "comment", OUT_PROSE },
};

static bool open_home(struct home *h, struct err *e)
{
	return opts_check(e) && home_open(h, opts.home, e);
}

static bool write_ref(struct jw *w, const char *name, const struct keyfile_info *info,
		      struct err *e)
{
	char id[TUF_KEYID_SIZE] = "";

	if (info->type == KEYFILE_ED25519 && !tuf_keyid_ed25519(id, info->public, e))
		return false;
	jw_obj(w, NULL);
	jw_str(w, "name", name);
	jw_str(w, "role", info->role);
	jw_str(w, "comment", info->comment);
	jw_bool(w, "sealed", info->sealed);
	jw_hex(w, "public", info->public, sizeof(info->public));
	jw_str(w, "keyid", id);
	jw_end(w);
	return true;
}

static bool print_refs(const struct jval *root, struct err *e)
{
	CLEANUP(out_table_freep) struct out_table *t = NULL;
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 << 24);
	const struct jval *items;

	if (opts_json())
		return out_json(root, e);
	if (!jobj_arr(&items, root, "items", SIZE_MAX, e) ||
	    !out_table_new(&t, cols, ARRAY_SIZE(cols), e))
		return false;
	if (jarr_n(items) == 0) {
		cmd_note("no keys; `valise init` or `valise key new` makes some");
		return true;
	}
	for (size_t i = 0; i < jarr_n(items); i++) {
		if (!out_table_add(t, jarr_at(items, i), e))
			return false;
	}
	return out_table_draw(t, out_style(stdout), &text, e) && out_write(&text, e);
}

bool cmd_key_list(int argc, char **argv, struct err *e)
{
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 24);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct key_ref *refs = NULL;
	size_t n = 0;
	struct jw w;
	bool ok;

	if (!open_home(&h, e) || !keys_list(&h, &refs, &n, e))
		return false;
	jw_init(&w, &b);
	jw_obj(&w, NULL);
	jw_arr(&w, "items");
	ok = true;
	for (size_t i = 0; ok && i < n; i++)
		ok = write_ref(&w, refs[i].name, &refs[i].info, e);
	free(refs);
	if (!ok)
		return false;
	jw_end(&w);
	jw_end(&w);
	return jw_finish(&w, e) && jdoc_parse(&d, b.p, b.n, e) && print_refs(jdoc_root(d), e);
}

/* The public half, as metadata has it: what one hands to the person who signs delegations. */
static bool print_public(const struct keyfile_info *info, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_SECRET_FILE);
	struct tuf_pubkey pub = { .json = NULL };
	bool ok;

	if (info->type != KEYFILE_ED25519)
		return err_set(e, E_UNSUPPORTED, "this key does not sign");
	ok = tuf_pubkey_ed25519(&pub, info->public, e) && buf_printf(&b, e, "%s\n", pub.json) &&
	     out_write(&b, e);
	tuf_pubkey_done(&pub);
	return ok;
}

bool cmd_key_new(int argc, char **argv, struct err *e)
{
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(secret_freep) struct secret *passphrase = NULL;
	CLEANUP(key_done) struct key k = { 0 };
	struct keyfile_info info;

	return open_home(&h, e) &&
	       (opt_no_passphrase || ask_passphrase(&passphrase, argv[0], true, e)) &&
	       keys_new(&h, argv[0], opt_role, opt_comment, passphrase, rng_system(), &k, e) &&
	       keys_inspect(&h, argv[0], &info, e) && print_public(&info, e);
}

bool cmd_key_export(int argc, char **argv, struct err *e)
{
	CLEANUP(home_done) struct home h = { 0 };
	struct keyfile_info info;

	return open_home(&h, e) && keys_inspect(&h, argv[0], &info, e) &&
	       print_public(&info, e);
}

static void name_from_path(char out[static KEYS_NAME_SIZE], const char *path)
{
	const char *file = path;
	size_t n;

	for (const char *p = path; *p; p++)
		file = *p == '/' ? p + 1 : file;
	snprintf(out, KEYS_NAME_SIZE, "%s", file);
	n = strlen(out);
	if (n > 4 && strcmp(out + n - 4, ".key") == 0)
		out[n - 4] = '\0';
}

bool cmd_key_import(int argc, char **argv, struct err *e)
{
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_SECRET_FILE);
	char name[KEYS_NAME_SIZE], path[4096];
	struct keyfile_info info;

	name_from_path(name, opt_as ? opt_as : argv[0]);
	/* keys_read takes a word without '/' for a name of the store. */
	snprintf(path, sizeof(path), "%s%s", strchr(argv[0], '/') ? "" : "./", argv[0]);
	return open_home(&h, e) && keys_read(&h, path, &text, e) &&
	       (keyfile_inspect(&info, text.p, text.n, e) || err_wrap(e, "%s", argv[0])) &&
	       keys_store(&h, name, text.p, text.n, false, e) && print_public(&info, e);
}

bool cmd_key_passwd(int argc, char **argv, struct err *e)
{
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(key_done) struct key k = { 0 };
	CLEANUP(secret_freep) struct secret *passphrase = NULL;
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_SECRET_FILE);
	struct keyfile_info info;
	const char *new_file = getenv("VALISE_NEW_PASSPHRASE_FILE");

	if (!open_home(&h, e) || !keys_inspect(&h, argv[0], &info, e) ||
	    !keys_open(&h, argv[0], NULL, &k, e))
		return false;
	opts.passphrase_file = new_file; /* the old one's options do not speak of the new one */
	unsetenv("VALISE_PASSPHRASE_FILE");
	if (!ask_passphrase(&passphrase, argv[0], true, e))
		return false;
	info.sealed = true;
	return keyfile_encode(&text, &info, k.secret, passphrase, &KEYFILE_COST_DEFAULT,
			      rng_system(), e) &&
	       keys_store(&h, argv[0], text.p, text.n, true, e);
}
