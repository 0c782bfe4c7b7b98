/* Key files: read or refused, and never opened without the passphrase. */
#include "proto/keyfile.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	CLEANUP(secret_freep) struct secret *key = NULL;
	struct keyfile_info info;
	struct err e;
	bool readable = keyfile_inspect(&info, p, n, &e);
	bool open = keyfile_open(&key, &info, p, n, NULL, &e);

	if (open && (!readable || info.sealed))
		abort();
	if (readable && info.sealed && e.code != E_AUTH)
		abort();
	return 0;
}
