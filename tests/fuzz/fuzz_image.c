/* An image of any bytes: what is told about it stays within the image. */
#include "admin-cli/image.h"
#include "base/io.h"
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct image_report r, again;
	CLEANUP(fd_closep) int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct err e;

	if (n > FUZZ_MAX)
		return 0;
	fuzz_must(fd >= 0 && pwrite_all(fd, p, n, 0, &e), "memfd");
	fuzz_must(image_check(&r, fd, &e), "an image is no error");
	fuzz_must(r.size == n && r.zero_bytes <= n, "more zeros than bytes");
	fuzz_must(r.n_parts >= 1 && r.n_parts <= IMAGE_PARTS_MAX &&
			  r.n_findings <= IMAGE_FINDINGS_MAX,
		  "counts");
	for (unsigned i = 0; i < r.n_parts; i++)
		fuzz_must(r.parts[i].offset <= n && r.parts[i].size <= n - r.parts[i].offset,
			  "a part outside");
	for (unsigned i = 0; i < r.n_findings; i++)
		fuzz_must(r.findings[i].part < r.n_parts && r.findings[i].bytes <= n,
			  "a finding outside");
	again = r;
	image_compare(&again, &r);
	fuzz_must(again.n_findings == r.n_findings, "an image differs from itself");
	return 0;
}
