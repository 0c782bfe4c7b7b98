/* New keys of a handset: what was read is written as the same bytes, and only what its old key signed
 * verifies. */
#include "proto/rotation.h"
#include "tests/fuzz/fuzz.h"

static void check_request(const uint8_t *p, size_t n)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(LIMIT_ROTATION_BODY);
	struct rotation r, again;
	struct err e;

	if (!rotation_parse(&r, p, n, &e))
		return;
	fuzz_must(rotation_encode(&r, &out, &e), "rotation_encode");
	fuzz_must(rotation_parse(&again, out.p, out.n, &e), "rotation_parse again");
	fuzz_must(memcmp(&r, &again, sizeof(r)) == 0, "another message");
	if (!rotation_verify(&r, &e))
		return;
	again.now.sealing[0] ^= 1;
	fuzz_must(!rotation_verify(&again, &e), "an altered statement verifies");
	if (r.n_before == 0 || !rotation_verify_before(&r, 0, &e))
		return;
	again.before[0].sealing[0] ^= 1;
	fuzz_must(!rotation_verify_before(&again, 0, &e), "an altered history verifies");
}

static void check_answer(const uint8_t *p, size_t n)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(LIMIT_ROTATION_BODY);
	char print[FINGERPRINT_SIZE], again[FINGERPRINT_SIZE];
	struct err e;

	if (!rotation_answer_parse(print, p, n, &e))
		return;
	fuzz_must(rotation_answer_encode(print, &out, &e), "rotation_answer_encode");
	fuzz_must(rotation_answer_parse(again, out.p, out.n, &e),
		  "rotation_answer_parse again");
	fuzz_must(strcmp(print, again) == 0, "another fingerprint");
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	check_request(p, n);
	check_answer(p, n);
	return 0;
}
