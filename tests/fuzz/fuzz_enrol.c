/* Bodies of enrolment and session, health lines, error bodies: small messages, all parsers at once. */
#include "proto/api.h"
#include "proto/enrol.h"
#include "proto/health.h"
#include "tests/fuzz/fuzz.h"

#define CHECK(type, parse, encode)                                                   \
	static void check_##parse(const uint8_t *p, size_t n)                        \
	{                                                                            \
		CLEANUP(buf_done) struct buf out = BUF_INIT(FUZZ_MAX);               \
		CLEANUP(buf_done) struct buf out2 = BUF_INIT(FUZZ_MAX);              \
		struct type m, again;                                                \
		struct err e;                                                        \
                                                                                     \
		if (!parse(&m, p, n, &e))                                            \
			return;                                                      \
		fuzz_must(encode(&m, &out, &e), #encode);                            \
		if (out.n > LIMIT_HEALTH_LINE && !parse(&again, out.p, out.n, &e))   \
			return; /* missing members were added, names were escaped */ \
		fuzz_must(parse(&again, out.p, out.n, &e), #parse " again");         \
		fuzz_must(encode(&again, &out2, &e), #encode " again");              \
		fuzz_same(&out, &out2);                                              \
	}

CHECK(enrol_request, enrol_request_parse, enrol_request_encode)
CHECK(enrol_answer, enrol_answer_parse, enrol_answer_encode)
CHECK(session_answer, session_answer_parse, session_answer_encode)
CHECK(health, health_parse, health_encode)

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct api_error a;
	struct err e;

	check_enrol_request_parse(p, n);
	check_enrol_answer_parse(p, n);
	check_session_answer_parse(p, n);
	check_health_parse(p, n);
	if (api_error_parse(&a, p, n, &e))
		for (const char *s = a.message; *s; s++)
			fuzz_must((uint8_t)*s >= 0x20, "control character in a message");
	return 0;
}
