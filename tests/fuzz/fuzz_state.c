/* The agent's commit record, with its checksum made right, so that the fields are reached: what is
 * accepted encodes to the same bytes, and no event makes it impossible to store. */
#include "agent/update.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	uint8_t raw[STATE_SIZE] = "VAS1", again[STATE_SIZE];
	struct state s;
	struct err e;

	if (state_parse(&s, p, n, &e))
		state_encode(again, &s);
	memcpy(raw + 4, p, n < STATE_SIZE - 4 ? n : STATE_SIZE - 4);
	sha256(raw + STATE_SIZE - SHA256_SIZE, raw, STATE_SIZE - SHA256_SIZE);
	if (!state_parse(&s, raw, sizeof(raw), &e))
		return 0;
	state_encode(again, &s);
	if (memcmp(raw, again, sizeof(raw)) != 0)
		abort();
	for (enum update_event_kind kind = 0; kind < EV_KINDS; kind++) {
		struct state next = s, back;
		struct update_event ev = {
			.kind = kind,
			.now_s = 1800000000,
			.target = { "acme", "1.0", { 1 }, 1, 1 },
			.rollout = "r1",
			.text = "a reason",
			.code = E_CORRUPT,
			.max_failures = 3,
		};

		update_apply(&next, &ev);
		state_encode(again, &next);
		if (!state_parse(&back, again, sizeof(again), &e))
			abort();
	}
	return 0;
}
