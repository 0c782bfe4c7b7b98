#include "admin-cli/cmd_ceremony.h"
#include "admin-cli/opts.h"
#include "admin-cli/publish.h"
#include "base/progress.h"
#include "base/text.h"

#include <unistd.h>

static const char *opt_key, *opt_scratch, *opt_partial;
static bool opt_unsigned;
static uint64_t opt_threads = UINT64_MAX;
static uint64_t opt_level;

const struct cli_opt publish_opts[] = {
	{ "key", 'k', "KEY", "publisher key: name or file; publisher-PRODUCT if not given",
	  CLI_STRING, &opt_key },
	{ "partial", 0, "FILE",
	  "upload and sign, but leave it at FILE for the others who have to sign", CLI_STRING,
	  &opt_partial },
	{ "unsigned", 0, NULL, "with --partial: without a signature of this home", CLI_FLAG,
	  &opt_unsigned },
	{ "threads", 'j', "N", "threads that compress; one per processor if not given",
	  CLI_UINT, &opt_threads },
	{ "level", 0, "N", "zstd level; 12 if not given", CLI_UINT, &opt_level },
	{ "scratch", 0, "DIR", "for compressed objects; $TMPDIR or /var/tmp if not given",
	  CLI_STRING, &opt_scratch },
	{ 0 },
};

/* ---- progress ---------------------------------------------------------------------------- */

static void prepare_start(void *arg, const char *component, uint64_t bytes)
{
	char name[64];

	snprintf(name, sizeof(name), "prepare %s", component);
	progress_start(arg, clock_system(), opts_progress(), name, bytes);
}

static void prepare_progress(void *arg, uint64_t bytes)
{
	progress_add(arg, bytes);
}

static void upload_start(void *arg, const char *path, uint64_t bytes)
{
	const char *file = path;
	char name[64];

	for (const char *p = path; *p; p++)
		file = *p == '/' ? p + 1 : file;
	snprintf(name, sizeof(name), "upload %s", file);
	progress_start(arg, clock_system(), opts_progress(), name, bytes);
}

static void upload_progress(void *arg, uint64_t bytes)
{
	progress_set(arg, bytes);
}

static void end_progress(void *arg, bool ok)
{
	progress_end(arg, ok);
}

/* ---- result ------------------------------------------------------------------------------ */

static void write_component(struct jw *w, const struct component *c)
{
	jw_obj(w, c->name);
	jw_str(w, "kind", component_kind_names[c->kind]);
	jw_u64(w, "size", c->size);
	jw_hex(w, "root", c->root, sizeof(c->root));
	jw_u64(w, "object_size", c->object_size);
	jw_hex(w, "object_sha256", c->object_sha256, sizeof(c->object_sha256));
	jw_end(w);
}

static bool write_result(struct buf *out, const struct publish *p, struct err *e)
{
	const struct release *r = p->release->release;
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_str(&w, "product", r->product);
	jw_str(&w, "version", r->version);
	jw_u64(&w, "security_version", r->security_version);
	jw_str(&w, "result", p->was_there ? "unchanged" : "published");
	jw_hex(&w, "sha256", p->release->manifest_sha256, SHA256_SIZE);
	jw_u64(&w, "sent_bytes", p->sent_bytes);
	jw_u64(&w, "sent_objects", p->sent_objects);
	jw_obj(&w, "components");
	for (size_t i = 0; i < r->n_components; i++)
		write_component(&w, &r->components[i]);
	jw_end(&w);
	jw_end(&w);
	return jw_finish(&w, e);
}

static bool print_people(const struct publish *p, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
	const struct release *r = p->release->release;
	char plain[TEXT_SIZE_MAX], packed[TEXT_SIZE_MAX], hex[HEX_SIZE(SHA256_SIZE)];

	hex_encode(hex, p->release->manifest_sha256, SHA256_SIZE);
	if (!buf_printf(&b, e, "%s %s/%s (release.json %.12s)\n",
			p->was_there ? "unchanged" : "published", r->product, r->version, hex))
		return false;
	for (size_t i = 0; i < r->n_components; i++) {
		const struct component *c = &r->components[i];

		size_format(plain, c->size);
		size_format(packed, c->object_size);
		hex_encode(hex, c->root, sizeof(c->root));
		if (!buf_printf(&b, e, "  %-16s %10s, %s to download, root %.12s\n", c->name,
				plain, packed, hex))
			return false;
	}
	size_format(plain, p->sent_bytes);
	return buf_printf(&b, e, "  sent %s in %zu objects\n", plain, p->sent_objects) &&
	       out_write(&b, e);
}

static bool print_result(const struct publish *p, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);

	if (!opts_json())
		return print_people(p, e);
	return write_result(&b, p, e) && buf_add_str(&b, "\n", e) && out_write(&b, e);
}

/* ---- the command ------------------------------------------------------------------------- */

static bool prepare(struct prepared *ret, const char *dir, struct err *e)
{
	struct progress bar;
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	struct prepare_options o = { .dir = dir,
				     .scratch = opt_scratch,
				     .level = (int)opt_level,
				     .start = prepare_start,
				     .progress = prepare_progress,
				     .end = end_progress,
				     .arg = &bar };

	if (opt_level > 22)
		return err_set(e, E_USAGE, "--level: wants 1 to 22");
	if (opt_threads != UINT64_MAX && opt_threads > 256)
		return err_set(e, E_USAGE, "--threads: at most 256");
	o.threads = opt_threads != UINT64_MAX ? (unsigned)opt_threads : n > 1 ? (unsigned)n : 0;
	return prepare_release(ret, &o, e);
}

static bool open_key(struct remote *r, const struct release *rel, struct key *ret,
		     struct err *e)
{
	char name[KEYS_NAME_SIZE];

	snprintf(name, sizeof(name), "publisher-%s", rel->product);
	return keys_open(&r->home, opt_key ? opt_key : name, NULL, ret, e);
}

/* Everything but the last step: the others sign the file, the last of them publishes it. */
static bool leave_partial(struct publish *p, struct err *e)
{
	CLEANUP(ceremony_done) struct ceremony c = { .n_roots = 0 };
	const struct prepared *rel = p->release;
	const struct home *h = &p->remote->home;
	char role[LIMIT_NAME + 16];
	bool taken;

	snprintf(role, sizeof(role), "releases.%s", rel->release->product);
	ceremony_init(&c, CEREMONY_IMAGE, role);
	if (!publish_objects(p, &taken, e))
		return false;
	if (taken)
		return err_set(e, E_EXISTS, "%s has a version %s", role, rel->release->version);
	if (!ceremony_fetch(&c, p->remote, e) || !ceremony_check(&c, h, e) ||
	    !ceremony_trust(&c, h, e) ||
	    !publish_role(p, c.previous.p, c.previous.n, c.before ? c.before->version + 1 : 1,
			  &c.file, e) ||
	    !buf_add(&c.payload, rel->manifest.p, rel->manifest.n, e) ||
	    !ceremony_check(&c, h, e))
		return false;
	if (p->key && !ceremony_sign(&c, p->key, h, e))
		return false;
	return ceremony_store(&c, opt_partial, e) && cmd_ceremony_show(&c, h, e);
}

bool cmd_publish(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(prepared_done) struct prepared prepared = { 0 };
	CLEANUP(key_done) struct key key = { 0 };
	struct progress bar;
	struct publish p = { .remote = &r,
			     .release = &prepared,
			     .key = &key,
			     .clock = clock_system(),
			     .rng = rng_system(),
			     .start = upload_start,
			     .progress = upload_progress,
			     .end = end_progress,
			     .arg = &bar };

	if (opt_unsigned && !opt_partial)
		return err_set(e, E_USAGE, "--unsigned: only with --partial");
	if (opt_unsigned)
		p.key = NULL;
	if (!remote_open(&r, REMOTE_TOKEN, e) || !prepare(&prepared, argv[0], e) ||
	    (p.key && !open_key(&r, prepared.release, &key, e)))
		return false;
	return opt_partial ? leave_partial(&p, e)
			   : publish_release(&p, e) && print_result(&p, e);
}
