/* Orders for deltas, and the jobs that are in them.  Bounds are part of what is read, so that whoever
 * gets an order need not look again. */
#include "server/delta_job.h"
#include "tests/fuzz/fuzz.h"

static void must_be(const struct buf *out, const uint8_t *p, size_t n)
{
	fuzz_must(out->n == n && memcmp(out->p, p, n) == 0, "written again it differs");
}

static void check_job(const struct job *j)
{
	fuzz_must(j->size <= LIMIT_COMPONENT_SIZE, "a size beyond the limit");
	fuzz_must(j->frame_size > 0, "frames of nothing");
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(FUZZ_MAX);
	struct delta_order o;
	struct job j;
	struct err e;

	if (job_parse(&j, p, n, &e)) {
		check_job(&j);
		fuzz_must(job_encode(&out, &j, &e), "job_encode");
		must_be(&out, p, n);
		buf_reset(&out);
	}
	if (!delta_order_parse(&o, p, n, &e))
		return 0;
	check_job(&o.from);
	check_job(&o.to);
	fuzz_must(o.output_max > 0, "no output wanted");
	fuzz_must(delta_order_encode(&out, &o, &e), "delta_order_encode");
	must_be(&out, p, n);
	return 0;
}
