/* Check-in requests and answers. */
#include "proto/checkin.h"
#include "tests/fuzz/fuzz.h"

static void check_request(const uint8_t *p, size_t n)
{
	CLEANUP(checkin_request_done) struct checkin_request r = { .n_events = 0 };
	CLEANUP(checkin_request_done) struct checkin_request again = { .n_events = 0 };
	CLEANUP(buf_done) struct buf out = BUF_INIT(FUZZ_MAX);
	CLEANUP(buf_done) struct buf out2 = BUF_INIT(FUZZ_MAX);
	struct err e;

	if (!checkin_request_parse(&r, p, n, &e))
		return;
	fuzz_must(checkin_request_encode(&r, &out, &e), "request: cannot be written");
	if (out.n > LIMIT_CHECKIN_BODY) /* shorter escapes were read than are written */
		return;
	fuzz_must(checkin_request_parse(&again, out.p, out.n, &e),
		  "request: cannot be read again");
	fuzz_must(checkin_request_encode(&again, &out2, &e),
		  "request: cannot be written again");
	fuzz_same(&out, &out2);
}

static void check_answer(const uint8_t *p, size_t n)
{
	CLEANUP(checkin_answer_done) struct checkin_answer a = { .n_offers = 0 };
	CLEANUP(checkin_answer_done) struct checkin_answer again = { .n_offers = 0 };
	CLEANUP(buf_done) struct buf out = BUF_INIT(2 * FUZZ_MAX);
	CLEANUP(buf_done) struct buf out2 = BUF_INIT(2 * FUZZ_MAX);
	struct err e;

	if (!checkin_answer_parse(&a, p, n, &e))
		return;
	fuzz_must(checkin_answer_encode(&a, &out, &e), "answer: cannot be written");
	if (out.n > LIMIT_CHECKIN_ANSWER)
		return;
	fuzz_must(checkin_answer_parse(&again, out.p, out.n, &e),
		  "answer: cannot be read again");
	fuzz_must(checkin_answer_encode(&again, &out2, &e), "answer: cannot be written again");
	fuzz_same(&out, &out2);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	check_request(p, n);
	check_answer(p, n);
	return 0;
}
