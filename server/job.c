#include "server/job.h"
#include "server/pack.h"
#include "base/io.h"
#include "proto/seekable.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

void job_of(struct job *ret, const struct component *c)
{
	*ret = (struct job){
		.size = c->size,
		.object_size = c->object_size,
		.tree_size = c->tree_size,
		.frame_size = c->frame_size,
	};
	memcpy(ret->sha256, c->sha256, SHA256_SIZE);
	memcpy(ret->salt, c->salt, VERITY_SALT);
	memcpy(ret->root, c->root, SHA256_SIZE);
	memcpy(ret->tree_sha256, c->tree_sha256, SHA256_SIZE);
}

bool job_encode(struct buf *out, const struct job *j, struct err *e)
{
	struct pack p = pack_init(out);

	pack_u64(&p, j->size);
	pack_u64(&p, j->object_size);
	pack_u64(&p, j->tree_size);
	pack_u32(&p, j->frame_size);
	pack_bytes(&p, j->sha256, SHA256_SIZE);
	pack_bytes(&p, j->salt, VERITY_SALT);
	pack_bytes(&p, j->root, SHA256_SIZE);
	pack_bytes(&p, j->tree_sha256, SHA256_SIZE);
	return pack_ok(&p, e);
}

static void get_hash(struct rd *r, uint8_t out[static SHA256_SIZE])
{
	const uint8_t *p = rd_bytes(r, SHA256_SIZE);

	if (p)
		memcpy(out, p, SHA256_SIZE);
}

bool job_parse(struct job *ret, const void *p, size_t n, struct err *e)
{
	struct rd r = rd_init(p, n);
	struct job j = { .size = rd_le64(&r) };

	j.object_size = rd_le64(&r);
	j.tree_size = rd_le64(&r);
	j.frame_size = rd_le32(&r);
	get_hash(&r, j.sha256);
	get_hash(&r, j.salt);
	get_hash(&r, j.root);
	get_hash(&r, j.tree_sha256);
	if (!rd_ok_at_end(&r) || j.size > LIMIT_COMPONENT_SIZE ||
	    j.object_size > LIMIT_COMPONENT_SIZE || !seekable_frame_size_ok(j.frame_size))
		return err_set(e, E_FORMAT, "a job of %zu bytes", n);
	*ret = j;
	return true;
}

/* What goes through one job. */
struct run {
	struct seekable_table *table;
	struct zst_dec *zst;
	struct verity_build *verity;
	struct sha256 sha;
	uint8_t *in, *out;
	size_t in_size;
	int plain_fd; /* where the plain bytes go; -1: nowhere */
	uint64_t plain_bytes;
};

static void run_done(struct run *r)
{
	seekable_table_free(r->table);
	zst_dec_free(r->zst);
	verity_build_free(r->verity);
	sha256_done(&r->sha);
	free(r->in);
	free(r->out);
}

static bool load_table(struct run *r, const struct job *j, int fd, struct err *e)
{
	uint64_t n = seekable_table_size(j->size, j->frame_size), size;
	off_t end = lseek(fd, 0, SEEK_END); /* fstat is not among what the sandbox allows */

	if (end < 0)
		return err_sys(e, errno, "object");
	size = (uint64_t)end;
	if (size != j->object_size || n > size)
		return err_set(e, E_CORRUPT, "object: %" PRIu64 " bytes, not %" PRIu64, size,
			       j->object_size);
	uint8_t *tail = malloc(n ? n : 1);
	if (!tail)
		return err_nomem(e);
	bool ok = pread_all(fd, tail, n, size - n, e) &&
		  seekable_table_parse(&r->table, tail, n, size, j->size, j->frame_size, e);
	free(tail);
	return ok;
}

static bool run_init(struct run *r, const struct job *j, int fd, struct err *e)
{
	if (!load_table(r, j, fd, e) || !zst_dec_new(&r->zst, e) ||
	    !verity_build_new(&r->verity, j->salt, false, e) || !sha256_init(&r->sha, e))
		return false;
	r->in_size = zst_bound(j->frame_size);
	r->in = malloc(r->in_size);
	r->out = malloc(j->frame_size);
	return r->in && r->out ? true : err_nomem(e);
}

static bool run_frame(struct run *r, uint32_t i, int fd, struct err *e)
{
	struct seekable_frame f = seekable_frame_get(r->table, i);

	if (f.object_bytes > r->in_size)
		return err_set(e, E_CORRUPT, "larger than any frame");
	if (!pread_all(fd, r->in, f.object_bytes, f.object_offset, e) ||
	    !seekable_frame_decode(r->zst, &f, r->out, r->in, f.object_bytes, e) ||
	    !verity_build_add(r->verity, r->out, f.plain_bytes, e))
		return false;
	sha256_update(&r->sha, r->out, f.plain_bytes);
	if (r->plain_fd >= 0 &&
	    !pwrite_all(r->plain_fd, r->out, f.plain_bytes, r->plain_bytes, e))
		return false;
	r->plain_bytes += f.plain_bytes;
	return true;
}

static bool check_sums(struct run *r, const struct job *j, struct err *e)
{
	CLEANUP(buf_done) struct buf upper = BUF_INIT((size_t)j->tree_size + VERITY_BLOCK);
	uint8_t sum[SHA256_SIZE];

	sha256_final(&r->sha, sum);
	if (memcmp(sum, j->sha256, SHA256_SIZE) != 0)
		return err_set(e, E_CORRUPT,
			       "the decoded bytes have another SHA-256 than the manifest says");
	if (!verity_build_finish(r->verity, sum, e))
		return false;
	if (memcmp(sum, j->root, SHA256_SIZE) != 0)
		return err_set(
			e, E_CORRUPT,
			"the decoded bytes have another verity root than the manifest says");
	if (!verity_build_upper(r->verity, &upper, e))
		return false;
	sha256(sum, upper.p, upper.n);
	if (upper.n != j->tree_size || memcmp(sum, j->tree_sha256, SHA256_SIZE) != 0)
		return err_set(e, E_CORRUPT, "tree: not the hash tree of the decoded bytes");
	return true;
}

bool job_verify(const struct job *j, int fd, struct err *e)
{
	return job_unpack(j, fd, -1, e);
}

bool job_unpack(const struct job *j, int fd, int plain_fd, struct err *e)
{
	CLEANUP(run_done) struct run r = { .plain_fd = plain_fd };

	if (!run_init(&r, j, fd, e))
		return false;
	for (uint32_t i = 0; i < r.table->frames; i++) {
		if (!run_frame(&r, i, fd, e))
			return err_wrap(e, "frame %u", i);
	}
	return check_sums(&r, j, e);
}
