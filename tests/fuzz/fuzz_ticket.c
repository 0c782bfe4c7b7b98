/* Tickets: two texts never mean the same one, but for blanks around them. */
#include "proto/ticket.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char text[LIMIT_TICKET + 1];
	const char *s = (const char *)p;
	struct ticket t;
	struct err e;

	if (!ticket_parse(&t, s, n, &e))
		return 0;
	fuzz_must(ticket_encode(text, &t, &e), "cannot be written");
	fuzz_must(memmem(s, n, text, strlen(text)) != NULL, "another text");
	return 0;
}
