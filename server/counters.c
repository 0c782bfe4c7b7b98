#include "server/counters.h"
#include "base/bytes.h"
#include "base/io.h"
#include "base/sha256.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/file.h>
#include <unistd.h>

enum { RECORD = 32, SUM_AT = 24, COPY_AT = 4096 };

struct record {
	uint32_t generation;
	uint64_t image, director;
};

static void sum(uint8_t out[static 8], const uint8_t *p)
{
	uint8_t full[SHA256_SIZE];

	sha256(full, p, SUM_AT);
	memcpy(out, full, 8);
}

static bool parse(struct record *ret, const uint8_t p[static RECORD])
{
	uint8_t want[8];

	sum(want, p);
	if (memcmp(p, "VCN1", 4) != 0 || memcmp(p + SUM_AT, want, 8) != 0)
		return false;
	*ret = (struct record){ get_le32(p + 4), get_le64(p + 8), get_le64(p + 16) };
	return true;
}

static bool is_later(uint32_t a, uint32_t b)
{
	return a != b && a - b < UINT32_C(1) << 31;
}

static bool is_zero(const uint8_t p[static RECORD])
{
	static const uint8_t zeros[RECORD];

	return memcmp(p, zeros, RECORD) == 0;
}

/* Fewer bytes than a record (a file that ends there) leave zeros. */
static bool read_copy(uint8_t out[static RECORD], int fd, off_t at, struct err *e)
{
	ssize_t n;

	memset(out, 0, RECORD);
	do
		n = pread(fd, out, RECORD, at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, errno, "keys/counters");
	if (n < RECORD)
		memset(out, 0, RECORD);
	return true;
}

static bool read_record(struct record *ret, int fd, struct err *e)
{
	uint8_t a[RECORD], b[RECORD];
	struct record ra = { 0, 0, 0 }, rb;
	bool have_a, have_b;

	if (!read_copy(a, fd, 0, e) || !read_copy(b, fd, COPY_AT, e))
		return false;
	/* New, or the very first write was cut: nothing was signed before it was durable. */
	if (is_zero(a) && is_zero(b)) {
		*ret = ra;
		return true;
	}
	have_a = parse(&ra, a);
	have_b = parse(&rb, b);
	if (!have_a && !have_b) {
		err_set(e, E_CORRUPT, "keys/counters: both copies are damaged");
		return err_hint(
			e,
			"remove keys/counters: numbers then go on above those in the database");
	}
	*ret = have_b && (!have_a || is_later(rb.generation, ra.generation)) ? rb : ra;
	return true;
}

static bool write_record(int fd, const struct record *r, struct err *e)
{
	uint8_t p[RECORD] = "VCN1";

	put_le32(p + 4, r->generation);
	put_le64(p + 8, r->image);
	put_le64(p + 16, r->director);
	sum(p + SUM_AT, p);
	/* Generation 1 goes to the first copy, 2 to the second, ... */
	return pwrite_all(fd, p, RECORD, r->generation % 2 ? 0 : COPY_AT, e) && fd_sync(fd, e);
}

static void unlock(const int *fd)
{
	flock(*fd, LOCK_UN);
}

/* Moves one of the two numbers to at least above + step and writes it. */
static bool advance(int fd, bool director, uint64_t above, uint64_t step, uint64_t *ret_first,
		    struct err *e)
{
	struct record r = { 0, 0, 0 };
	uint64_t *n = director ? &r.director : &r.image;
	int rc;

	do
		rc = flock(fd, LOCK_EX);
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return err_sys(e, errno, "keys/counters");
	CLEANUP(unlock) int locked = fd;
	(void)locked;
	if (!read_record(&r, fd, e))
		return false;
	if (above > *n && above - *n > (*n == 0 ? COUNTERS_FIRST_MAX : COUNTERS_JUMP_MAX))
		return err_set(e, E_DENIED,
			       "version %" PRIu64 " is too far ahead of %" PRIu64
			       "; if keys/counters is from an older backup, remove it",
			       above, *n);
	if (above > *n)
		*n = above;
	if (*n + step > COUNTERS_MAX)
		return err_set(e, E_DENIED, "version %" PRIu64 ": numbers are used up", *n);
	*ret_first = *n + 1;
	*n += step;
	r.generation++;
	return write_record(fd, &r, e);
}

bool counters_open(struct counters *ret, int fd, struct err *e)
{
	struct record r;

	if (!read_record(&r, fd, e))
		return false;
	*ret = (struct counters){ .fd = fd };
	return true;
}

bool counters_image(struct counters *c, uint64_t above, uint64_t *ret, struct err *e)
{
	return advance(c->fd, false, above, 1, ret, e);
}

bool counters_director(struct counters *c, uint64_t above, uint64_t *ret, struct err *e)
{
	uint64_t first;

	if (c->director_next < c->director_end && c->director_next > above) {
		*ret = c->director_next++;
		return true;
	}
	if (!advance(c->fd, true, above, COUNTERS_BLOCK, &first, e))
		return false;
	c->director_next = first + 1;
	c->director_end = first + COUNTERS_BLOCK;
	*ret = first;
	return true;
}
