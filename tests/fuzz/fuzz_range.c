/* Range and Content-Range: 8 bytes of size, then the value.  A part is never outside. */
#include "base/bytes.h"
#include "proto/range.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char text[CONTENT_RANGE_SIZE];
	uint64_t size, start = 0, part = 0, s2, n2, size2;

	if (n < 8)
		return 0;
	size = get_le64(p);
	if (range_parse(&start, &part, (const char *)p + 8, n - 8, size) == RANGE_PART) {
		fuzz_must(part > 0 && start < size && part <= size - start, "outside");
		content_range_format(text, start, part, size);
		fuzz_must(content_range_parse(&s2, &n2, &size2, text, strlen(text)) &&
				  s2 == start && n2 == part && size2 == size,
			  "Content-Range does not come back");
	}
	if (content_range_parse(&s2, &n2, &size2, (const char *)p + 8, n - 8)) {
		content_range_format(text, s2, n2, size2);
		fuzz_must(strlen(text) == n - 8 && memcmp(text, p + 8, n - 8) == 0,
			  "another text");
	}
	return 0;
}
