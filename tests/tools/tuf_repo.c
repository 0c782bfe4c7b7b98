/* tuf_repo DIR - writes a repository that proto/tuf_make.h made, for other people's clients: two roots
 * (the second with new keys and a threshold of 2), delegated roles with thresholds, a policy.
 *
 *	DIR/metadata/   as served
 *	DIR/targets/    releases/acme-phone/1.0.0/<sha256>.system.zst and others */
#include "tests/support/repo.h"

#include "base/file.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void must(bool ok, const struct err *e)
{
	if (ok)
		return;
	fprintf(stderr, "tuf_repo: %s\n", e->text);
	exit(1);
}

static void write_file(const char *dir, const char *sub, const char *name, const void *p,
		       size_t n)
{
	CLEANUP(fd_closep) int fd = -1;
	char path[4096];
	struct err e;

	snprintf(path, sizeof(path), "%s/%s", dir, sub);
	must(dir_open(&fd, path, 0755, &e), &e);
	must(file_replace(fd, name, 0644, p, n, &e), &e);
}

static void write_target(const char *dir, const struct repo_target *t)
{
	const char *slash = strrchr(t->path, '/');
	char sub[1024], name[256], hex[HEX_SIZE(SHA256_SIZE)];
	uint8_t sum[SHA256_SIZE];

	sha256(sum, t->p, t->n);
	hex_encode(hex, sum, sizeof(sum));
	snprintf(sub, sizeof(sub), "targets/%.*s", (int)(slash - t->path), t->path);
	snprintf(name, sizeof(name), "%s.%s", hex, slash + 1);
	write_file(dir, sub, name, t->p, t->n);
}

int main(int argc, char **argv)
{
	static struct repo r;
	struct err e;

	if (argc != 2)
		return 64;
	repo_init(&r);
	for (size_t i = 0; i < r.n_roles; i++)
		r.roles[i].expires_s = (int64_t)time(NULL) + REPO_DAY;
	r.now_s = (int64_t)time(NULL);
	r.hashes = true;
	repo_role(&r, "root")->keys = KEY(8) | KEY(9) | KEY(10);
	repo_role(&r, "root")->sign = KEY(0) | KEY(8) | KEY(10);
	repo_role(&r, "root")->threshold = 2;
	repo_publish(&r, "root");
	repo_delegate(&r, "targets", "releases.acme-phone", 6, "releases/acme-phone/*/*")
		->terminating = true;
	repo_role(&r, "releases.acme-phone")->keys |= KEY(5);
	repo_role(&r, "releases.acme-phone")->sign |= KEY(5);
	repo_role(&r, "releases.acme-phone")->threshold = 2;
	repo_delegate(&r, "targets", "policies", 7, "policies/*/*")->terminating = true;
	repo_target(&r, "releases.acme-phone", "releases/acme-phone/1.0.0/system.zst",
		    "a system\n", NULL);
	repo_target(&r, "policies", "policies/base/3.json", "{}\n",
		    "{\"valise\":{\"kind\":\"policy\",\"name\":\"base\",\"version\":3}}");
	repo_publish_all(&r);
	must(repo_refresh(&r, &e), &e);
	for (size_t i = 0; i < r.served->n; i++)
		write_file(argv[1], "metadata", r.served->files[i].name, r.served->files[i].p,
			   r.served->files[i].n);
	for (size_t i = 0; i < r.n_targets; i++)
		write_target(argv[1], &r.targets[i]);
	repo_done(&r);
	return 0;
}
