/* Launch specs, commands and events. */
#include "proto/launch.h"
#include "tests/fuzz/fuzz.h"

#define CHECK(type, parse, encode)                                           \
	static void check_##parse(const uint8_t *p, size_t n)                \
	{                                                                    \
		CLEANUP(buf_done) struct buf out = BUF_INIT(FUZZ_MAX);       \
		CLEANUP(buf_done) struct buf out2 = BUF_INIT(FUZZ_MAX);      \
		static struct type m, again;                                 \
		struct err e;                                                \
                                                                             \
		if (!parse(&m, p, n, &e))                                    \
			return;                                              \
		fuzz_must(encode(&out, &m, &e), #encode);                    \
		fuzz_must(parse(&again, out.p, out.n, &e), #parse " again"); \
		fuzz_must(encode(&out2, &again, &e), #encode " again");      \
		fuzz_same(&out, &out2);                                      \
	}

CHECK(launch_spec, launch_spec_parse, launch_spec_encode)
CHECK(launch_command, launch_command_parse, launch_command_encode)
CHECK(launch_event, launch_event_parse, launch_event_encode)

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	check_launch_spec_parse(p, n);
	check_launch_command_parse(p, n);
	check_launch_event_parse(p, n);
	return 0;
}
