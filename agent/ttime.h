/* agent/ttime.h - the time that expiry is checked against: only forward, and never the wall clock's word.
 *
 * Trusted time is the highest of the program's own date, what the commit record says, and what the
 * server said in an exchange that fresh signatures bound; between check-ins the boot clock carries it
 * on (also while the agent is not running, as long as the host has not been rebooted).  A wall clock
 * that is set back or forward changes nothing.
 *
 * Whoever has the director's online keys can move it ahead, to where valid metadata look expired.  So
 * it is remembered by whose word it is: when a new director's root, which only offline keys can make,
 * gives the timestamp role other keys, the earlier ones' word is forgotten like the versions that
 * they signed (TUF section 5.3.11), and time begins anew with what the new ones bound. */
#ifndef VALISE_AGENT_TTIME_H
#define VALISE_AGENT_TTIME_H

#include "agent/state.h"
#include "base/clock.h"

enum { TTIME_BUILT_S = 1767225600 }; /* 2026-01-01: no metadata of ours is older */

struct ttime {
	const struct clock *clock; /* borrowed */
	int64_t base_s, base_ms;
	uint8_t boot_id[16];
	uint8_t keys[SHA256_SIZE]; /* by whose word base_s is; zeros: unknown */
};

/* boot_id: of the host's present boot (zeros if it cannot be known: then the record's time counts
 * without what passed since). */
void ttime_init(struct ttime *t, const struct clock *clock, const struct state *s,
		const uint8_t boot_id[static 16]);
int64_t ttime_now_s(const struct ttime *t);

/* The server says it is said_s, and metadata that it signed freshly (it echoes our nonce) with `keys`
 * expires at expires_s.  Believed if that metadata is then neither expired nor valid for longer than
 * TTIME_FRESH_MAX_S.  Goes back only if ttime_is_anew: then to said_s, or where that cannot be
 * believed to the earliest moment at which such metadata can have been signed. */
enum { TTIME_FRESH_MAX_S = 31 * 86400 };
void ttime_step(struct ttime *t, int64_t said_s, int64_t expires_s,
		const uint8_t keys[static SHA256_SIZE]);

/* Whether time that was learnt by the word of `known` does not count for who trusts `keys`. */
bool ttime_is_anew(const uint8_t known[static SHA256_SIZE],
		   const uint8_t keys[static SHA256_SIZE]);
/* What is known of the time without any word of the past: the server says said_s, and what it signed
 * freshly expires at expires_s. */
int64_t ttime_anew_s(int64_t said_s, int64_t expires_s);

/* Into the record that is about to be saved. */
void ttime_store(const struct ttime *t, struct state *s);

/* /proc/sys/kernel/random/boot_id; zeros if there is none. */
void ttime_boot_id(uint8_t out[static 16]);

#endif
