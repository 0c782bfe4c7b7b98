#include "agent/tuf_command.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "client/https.h"
#include "proto/tuf_client.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TARGET_MAX_BYTES = 268435456 }; /* held in memory; releases go another way */

static const char *metadata_dir, *metadata_url, *target_dir, *target_base_url;
static struct cli_list target_names;

const struct cli_opt tuf_command_opts[] = {
	{ "metadata-dir", 0, "DIR", "trusted metadata", CLI_STRING, &metadata_dir },
	{ "metadata-url", 0, "URL", "where the repository's metadata is", CLI_STRING,
	  &metadata_url },
	{ "target-name", 0, "PATH", "target to download; may be repeated", CLI_LIST,
	  &target_names },
	{ "target-dir", 0, "DIR", "where downloaded targets go", CLI_STRING, &target_dir },
	{ "target-base-url", 0, "URL", "where the repository's targets are", CLI_STRING,
	  &target_base_url },
	{ 0 },
};

/* ---- getting files ------------------------------------------------------------------------ */

/* A base URL, split: our HTTPS client takes an origin, and paths as they are. */
struct site {
	struct https *https;
	char prefix[LIMIT_URL + 1]; /* "" or "/x/y", without a slash at the end */
};

static void site_done(struct site *s)
{
	https_free(s->https);
	s->https = NULL;
}

static bool site_init(struct site *s, const char *url, struct err *e)
{
	const char *host = url ? strstr(url, "://") : NULL;
	const char *path;
	char origin[LIMIT_URL + 1];
	size_t n;

	if (!host || strlen(url) > LIMIT_URL)
		return err_set(e, E_USAGE, "not a URL: %s", url ? url : "(none)");
	path = host + 3 + strcspn(host + 3, "/");
	snprintf(origin, sizeof(origin), "%.*s", (int)(path - url), url);
	n = strlen(path);
	while (n > 0 && path[n - 1] == '/')
		n--;
	snprintf(s->prefix, sizeof(s->prefix), "%.*s", (int)n, path);
	struct https_config config = HTTPS_CONFIG_INIT(origin);
	config.allow_plain_loopback = true;
	config.proxy = "";
	return https_new(&s->https, &config, e);
}

static bool site_get(struct site *s, struct buf *ret, const char *name, uint64_t max_bytes,
		     struct err *e)
{
	CLEANUP(https_answer_done) struct https_answer a = HTTPS_ANSWER_INIT;
	CLEANUP(buf_done) struct buf path = BUF_INIT(LIMIT_URL + 4 * LIMIT_TUF_PATH);
	struct https_request r = { .method = "GET", .max_bytes = max_bytes };

	if (!buf_printf(&path, e, "%s/%s", s->prefix, name))
		return false;
	r.path = buf_str(&path);
	if (https_do(s->https, &r, &a, e))
		return buf_add(ret, a.body.p, a.body.n, e);
	/* Some servers answer 403 where there is nothing. */
	if (a.status == 404 || a.status == 403)
		err_set(e, E_NOT_FOUND, "%s is not there", name);
	return false;
}

struct context {
	struct site site;
	int dirfd;
};

static void context_done(struct context *c)
{
	site_done(&c->site);
	fd_closep(&c->dirfd);
}

static bool io_fetch(void *ctx, struct buf *ret, const char *name, size_t max, struct err *e)
{
	struct context *c = ctx;

	return site_get(&c->site, ret, name, max, e);
}

static bool io_load(void *ctx, struct buf *ret, const char *name, size_t max, struct err *e)
{
	const struct context *c = ctx;

	return read_file_at(c->dirfd, name, ret, e);
}

static bool io_store(void *ctx, const char *name, const void *p, size_t n, struct err *e)
{
	const struct context *c = ctx;

	return file_replace(c->dirfd, name, 0644, p, n, e);
}

static bool io_remove(void *ctx, const char *name, struct err *e)
{
	const struct context *c = ctx;

	return file_remove(c->dirfd, name, e);
}

/* ---- the three commands ------------------------------------------------------------------- */

static bool need(const char *value, const char *option, struct err *e)
{
	return value || err_set(e, E_USAGE, "--%s is missing", option);
}

static bool init(const char *root_file, const struct tuf_client_io *io, struct err *e)
{
	CLEANUP(buf_done) struct buf root = BUF_INIT(LIMIT_TUF_ROOT);

	return read_file_at(AT_FDCWD, root_file, &root, e) &&
	       tuf_client_init(io, root.p, root.n, NULL, e);
}

/* Whole path as one name, or as a path of a URL. */
static bool encode(struct buf *out, const char *path, bool keep_slash, struct err *e)
{
	for (const char *c = path; *c; c++) {
		bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			     (*c >= '0' && *c <= '9') || strchr("-._~", *c) ||
			     (keep_slash && *c == '/');

		if (plain ? !buf_add(out, c, 1, e)
			  : !buf_printf(out, e, "%%%02X", (unsigned char)*c))
			return false;
	}
	return true;
}

static bool target_file_name(char out[static TUF_FILE_NAME_SIZE], const char *path,
			     struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(4 * LIMIT_TUF_PATH);
	uint8_t sum[SHA256_SIZE];

	if (!encode(&b, path, false, e))
		return false;
	if (b.n < TUF_FILE_NAME_SIZE) {
		memcpy(out, b.p, b.n + 1);
		return true;
	}
	sha256(sum, path, strlen(path));
	hex_encode(out, sum, sizeof(sum));
	return true;
}

static bool is_there(int dirfd, const char *name, const struct tuf_hashes *h)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(TARGET_MAX_BYTES);
	struct err why;

	return read_file_at(dirfd, name, &b, &why) && tuf_hashes_check(h, b.p, b.n, &why);
}

static bool get_target(struct site *site, const struct tuf_client *c,
		       const struct tuf_target *t, int dirfd, struct err *e)
{
	CLEANUP(buf_done) struct buf path = BUF_INIT(2 * LIMIT_TUF_PATH);
	CLEANUP(buf_done) struct buf url = BUF_INIT(4 * LIMIT_TUF_PATH);
	CLEANUP(buf_done) struct buf body = BUF_INIT(TARGET_MAX_BYTES);
	char name[TUF_FILE_NAME_SIZE];

	if (!t->hashes.has_sha256 && !t->hashes.has_sha512)
		return err_set(e, E_UNSUPPORTED, "no hash of a known kind");
	if (t->hashes.length > TARGET_MAX_BYTES)
		return err_set(e, E_TOO_BIG, "%" PRIu64 " bytes", t->hashes.length);
	if (!target_file_name(name, t->path, e))
		return false;
	if (is_there(dirfd, name, &t->hashes))
		return true;
	/* max_bytes 0 would be no limit; one byte too many is refused below. */
	uint64_t max_bytes = t->hashes.length > 0 ? t->hashes.length : 1;
	return tuf_client_target_path(&path, c, t, e) &&
	       encode(&url, buf_str(&path), true, e) &&
	       site_get(site, &body, buf_str(&url), max_bytes, e) &&
	       tuf_hashes_check(&t->hashes, body.p, body.n, e) &&
	       file_replace(dirfd, name, 0644, body.p, body.n, e);
}

static bool download(struct tuf_client *c, struct err *e)
{
	CLEANUP(site_done) struct site site = { 0 };
	CLEANUP(fd_closep) int dirfd = -1;

	if (!need(target_dir, "target-dir", e) ||
	    !need(target_base_url, "target-base-url", e) ||
	    !site_init(&site, target_base_url, e) || !dir_open(&dirfd, target_dir, 0755, e))
		return false;
	for (size_t i = 0; i < target_names.n; i++) {
		struct tuf_found found;

		if (!tuf_client_find(&found, c, target_names.v[i], e) ||
		    !get_target(&site, c, &found.target, dirfd, e))
			return err_wrap(e, "%s", target_names.v[i]);
		printf("%s: %" PRIu64 " bytes, signed by %s\n", found.target.path,
		       found.target.hashes.length, found.role);
	}
	return true;
}

static bool run(int argc, char **argv, struct err *e)
{
	CLEANUP(context_done) struct context ctx = { .dirfd = -1 };
	CLEANUP(tuf_client_freep) struct tuf_client *c = NULL;
	struct tuf_client_io io = { &ctx, io_fetch, io_load, io_store, io_remove };

	if (!need(metadata_dir, "metadata-dir", e) ||
	    !dir_open(&ctx.dirfd, metadata_dir, 0755, e))
		return false;
	if (strcmp(argv[0], "init") == 0 && argc == 2)
		return init(argv[1], &io, e);
	if (argc != 1 || (strcmp(argv[0], "refresh") != 0 && strcmp(argv[0], "download") != 0))
		return err_set(e, E_USAGE, "init ROOT, refresh or download");
	if (!site_init(&ctx.site, metadata_url, e) ||
	    !tuf_client_new(&c, &io, clock_wall_s(clock_system()), e) ||
	    !tuf_client_refresh(c, e))
		return false;
	return strcmp(argv[0], "refresh") == 0 || download(c, e);
}

bool tuf_command(int argc, char **argv, struct err *e)
{
	if (run(argc, argv, e))
		return true;
	cli_print_error("valise-agent tuf", e);
	exit(1);
}
