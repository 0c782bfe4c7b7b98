/* server/pack.h - payloads of messages between our processes: integers and counted strings.
 *
 * Writing: errors stick in `bad` (a message larger than the buf's limit), looked at once at the
 * end by pack_ok.  Reading goes through struct rd (base/bytes.h), where running over the end sticks. */
#ifndef VALISE_SERVER_PACK_H
#define VALISE_SERVER_PACK_H

#include "base/buf.h"
#include "base/bytes.h"

struct pack {
	struct buf *out;
	struct err err;
	bool bad;
};

static inline struct pack pack_init(struct buf *out)
{
	return (struct pack){ .out = out };
}

void pack_bytes(struct pack *p, const void *bytes, size_t n);
void pack_u32(struct pack *p, uint32_t v);
void pack_u64(struct pack *p, uint64_t v);
void pack_str(struct pack *p, const void *s, size_t n); /* u32 length, bytes */
void pack_text(struct pack *p, const char *s);
bool pack_ok(const struct pack *p, struct err *e) MUST_USE;

/* A counted string of at most max bytes, borrowed; NULL (and bad) otherwise. */
const uint8_t *rd_str(struct rd *r, size_t *ret_n, size_t max);
/* Copies a text without NUL inside into out (size with NUL); "" (and bad) otherwise. */
void rd_text(struct rd *r, char *out, size_t size);

#endif
