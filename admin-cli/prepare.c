#include "admin-cli/prepare.h"

#include "base/io.h"
#include "proto/seekable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 1024 * 1024 };

/* One component on its way through. */
struct build {
	const struct prepare_options *o;
	struct component *c;
	int in;
	uint64_t size; /* as the file says at the start */
	struct verity_build *tree;
	struct seekable_enc *enc;
	struct sha256 plain_hash, object_hash;
	struct prepared_object *object;
	uint8_t *buf;
};

static void build_done(struct build *b)
{
	verity_build_free(b->tree);
	seekable_enc_free(b->enc);
	sha256_done(&b->plain_hash);
	sha256_done(&b->object_hash);
	fd_closep(&b->in);
	free(b->buf);
}

static bool take_object_bytes(void *arg, const void *p, size_t n, struct err *e)
{
	struct build *b = arg;

	sha256_update(&b->object_hash, p, n);
	return write_all(b->object->fd, p, n, e);
}

/* The file has no name: it is gone with the process. */
static bool open_scratch(int *ret, const char *dir, struct err *e)
{
	const char *env = getenv("TMPDIR");
	const char *where = dir ? dir : env && *env ? env : "/var/tmp";
	char path[4096];
	int fd = open(where, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
		snprintf(path, sizeof(path), "%s/valise-XXXXXX", where);
		fd = mkostemp(path, O_CLOEXEC);
		if (fd >= 0)
			unlink(path);
	}
	if (fd < 0)
		return err_sys(e, errno, "temporary file in %s", where);
	*ret = fd;
	return true;
}

static bool open_input(struct build *b, int dirfd, struct err *e)
{
	struct stat st;

	/* Links are followed: build systems make them, and what is published is signed by whoever runs
	 * this. */
	if (!file_open_at(&b->in, dirfd, b->c->file, O_RDONLY, 0, e))
		return false;
	if (fstat(b->in, &st) != 0)
		return err_sys(e, errno, "%s", b->c->file);
	if (!S_ISREG(st.st_mode))
		return err_set(e, E_FORMAT, "%s is no file", b->c->file);
	b->size = (uint64_t)st.st_size;
	if (b->size == 0)
		return err_set(e, E_FORMAT, "%s is empty", b->c->file);
	if (b->size > LIMIT_COMPONENT_SIZE)
		return err_set(e, E_TOO_BIG, "%s: more than 1 TiB", b->c->file);
	posix_fadvise(b->in, 0, 0, POSIX_FADV_SEQUENTIAL);
	return true;
}

static bool begin(struct build *b, const struct release *r, int dirfd, struct err *e)
{
	const struct prepare_options *o = b->o;

	release_salt(b->c->salt, r->product, r->version, b->c->name);
	b->c->frame_size = LIMIT_FRAME_SIZE;
	b->buf = malloc(READ_BYTES);
	if (!b->buf)
		return err_nomem(e);
	return open_input(b, dirfd, e) && open_scratch(&b->object->fd, o->scratch, e) &&
	       sha256_init(&b->plain_hash, e) && sha256_init(&b->object_hash, e) &&
	       verity_build_new(&b->tree, b->c->salt, false, e) &&
	       seekable_enc_new(&b->enc, b->c->frame_size, o->level ? o->level : SEEKABLE_LEVEL,
				o->threads, take_object_bytes, b, e);
}

static bool read_through(struct build *b, struct err *e)
{
	size_t n;

	do {
		if (!read_up_to(b->in, b->buf, READ_BYTES, &n, e))
			return err_wrap(e, "%s", b->c->file);
		b->c->size += n;
		sha256_update(&b->plain_hash, b->buf, n);
		if (!verity_build_add(b->tree, b->buf, n, e) ||
		    !seekable_enc_add(b->enc, b->buf, n, e))
			return false;
		if (b->o->progress)
			b->o->progress(b->o->arg, n);
	} while (n == READ_BYTES);
	if (b->c->size != b->size)
		return err_set(e, E_CONFLICT, "%s changed while it was read", b->c->file);
	return true;
}

static bool finish(struct build *b, struct buf *upper, struct err *e)
{
	struct component *c = b->c;

	if (!verity_build_finish(b->tree, c->root, e) ||
	    !verity_build_upper(b->tree, upper, e) ||
	    !seekable_enc_finish(b->enc, &c->object_size, e))
		return false;
	sha256_final(&b->plain_hash, c->sha256);
	sha256_final(&b->object_hash, c->object_sha256);
	c->tree_size = upper->n;
	sha256(c->tree_sha256, upper->p ? upper->p : (const uint8_t *)"", upper->n);
	memcpy(b->object->sha256, c->object_sha256, SHA256_SIZE);
	b->object->size = c->object_size;
	return true;
}

static bool add_tree(struct prepared *p, const struct component *c, const struct buf *upper,
		     const struct prepare_options *o, struct err *e)
{
	struct prepared_object *tree = &p->objects[p->n_objects];

	if (upper->n == 0)
		return true;
	*tree = (struct prepared_object){ .size = upper->n, .fd = -1 };
	p->n_objects++;
	memcpy(tree->sha256, c->tree_sha256, SHA256_SIZE);
	release_tree_path(tree->path, p->release, c);
	return open_scratch(&tree->fd, o->scratch, e) &&
	       write_all(tree->fd, upper->p, upper->n, e);
}

static bool prepare_component(struct prepared *p, struct component *c, int dirfd,
			      const struct prepare_options *o, struct err *e)
{
	CLEANUP(build_done) struct build b = { .o = o, .c = c, .in = -1 };
	CLEANUP(buf_done) struct buf upper = BUF_INIT(SIZE_MAX);

	b.object = &p->objects[p->n_objects++];
	b.object->fd = -1;
	release_object_path(b.object->path, p->release, c);
	return begin(&b, p->release, dirfd, e) && read_through(&b, e) &&
	       finish(&b, &upper, e) && add_tree(p, c, &upper, o, e);
}

static bool prepare_all(struct prepared *p, int dirfd, const struct prepare_options *o,
			struct err *e)
{
	for (size_t i = 0; i < p->release->n_components; i++) {
		struct component *c = &p->release->components[i];
		struct stat st = { 0 };
		bool ok;

		if (o->start && fstatat(dirfd, c->file, &st, 0) == 0)
			o->start(o->arg, c->name, (uint64_t)st.st_size);
		ok = prepare_component(p, c, dirfd, o, e);
		if (o->end)
			o->end(o->arg, ok);
		if (!ok)
			return err_wrap(e, "component %s", c->name);
	}
	return true;
}

static bool read_description(struct prepared *p, int dirfd, const char *dir, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_RELEASE_JSON);

	if (!read_file_at(dirfd, "release.in.json", &text, e)) {
		if (e->code == E_NOT_FOUND)
			err_hint(e, "a release is a folder with this file and those it names: "
				    "docs/FORMATS.md, section 1");
		return err_wrap(e, "%s", dir);
	}
	if (!release_parse_description(&p->release, text.p, text.n, e))
		return err_wrap(e, "%s/release.in.json", dir);
	p->objects = calloc(2 * p->release->n_components, sizeof(*p->objects));
	return p->objects || err_nomem(e);
}

bool prepare_release(struct prepared *ret, const struct prepare_options *o, struct err *e)
{
	CLEANUP(prepared_done) struct prepared p = { .manifest = BUF_INIT(LIMIT_RELEASE_JSON) };
	CLEANUP(fd_closep) int dirfd = open(o->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dirfd < 0)
		return err_sys(e, errno, "%s", o->dir);
	if (!read_description(&p, dirfd, o->dir, e) || !prepare_all(&p, dirfd, o, e) ||
	    !release_encode(p.release, &p.manifest, e))
		return false;
	sha256(p.manifest_sha256, p.manifest.p, p.manifest.n);
	*ret = p;
	memset(&p, 0, sizeof(p));
	return true;
}

void prepared_done(struct prepared *p)
{
	for (size_t i = 0; i < p->n_objects; i++)
		fd_closep(&p->objects[i].fd);
	free(p->objects);
	p->objects = NULL;
	p->n_objects = 0;
	buf_done(&p->manifest);
	release_free(TAKE(p->release));
}
