/* tests/support/fault.h - makes the n-th allocation, write, fsync or rename fail, and cuts the power.
 *
 * Test programs are linked with -Wl,--wrap for these calls (mk/tests.mk), so our own code's calls
 * are counted; libraries' are not.  Three ways to use it:
 *
 *	FAULT_EACH(n, FAULT_ALLOC) {            // n = 1, 2, ... until a round meets no fault
 *		bool ok = release_parse(&r, p, len, &e);
 *
 *		assert_true(ok || e.code == E_NOMEM);
 *		release_free(TAKE(r));
 *	}
 *
 *	for (unsigned n = 1; fault_power_cut(n, swap_slots, &ctx); n++)
 *		assert_true(old_or_new_is_whole());
 *
 *	FAULT=write:7 build/release/tests/unit/base/test_file      (what `make torture` does)
 *
 * And the same calls counted, for what promises to need little:
 *
 *	usage_start();
 *	ok = delta_apply(...);
 *	assert_true(usage_heap_peak() < 32 << 20); */
#ifndef VALISE_TESTS_FAULT_H
#define VALISE_TESTS_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_kind {
	FAULT_ALLOC,  /* NULL */
	FAULT_WRITE,  /* half of the bytes, then ENOSPC from every later write: a full disk */
	FAULT_SYNC,   /* EIO */
	FAULT_RENAME, /* EIO, also from unlink */
	FAULT_READ,   /* EIO from pread */
};

/* From now on the n-th call of this kind fails; n = 0 ends the fault. */
void fault_arm(enum fault_kind kind, unsigned n);
/* Ends the fault and tells whether it was met. */
bool fault_disarm(void);

/* The body runs with the fault armed; a single failure is followed by successes (but for writes). */
#define FAULT_EACH(n, kind) for (unsigned n = 1; fault_round(kind, n); n++)
bool fault_round(enum fault_kind kind, unsigned n);

/* Runs fn in a child process that dies at its n-th write, fsync, rename or unlink: a write that dies
 * leaves half of its bytes.  False when fn came to its end before: the child must then have
 * returned normally.  A page cache is not lost, so what an fsync would have saved is not tested. */
bool fault_power_cut(unsigned n, void (*fn)(void *ctx), void *ctx);

/* From here on: the most that our code held on the heap at once, what it had before not counted,
 * and the bytes that it got by pread. */
void usage_start(void);
size_t usage_heap_peak(void);
uint64_t usage_bytes_read(void);

#endif
