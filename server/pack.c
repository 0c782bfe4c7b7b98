#include "server/pack.h"

void pack_bytes(struct pack *p, const void *bytes, size_t n)
{
	if (!p->bad && !buf_add(p->out, bytes, n, &p->err))
		p->bad = true;
}

void pack_u32(struct pack *p, uint32_t v)
{
	uint8_t b[4];

	put_le32(b, v);
	pack_bytes(p, b, sizeof(b));
}

void pack_u64(struct pack *p, uint64_t v)
{
	uint8_t b[8];

	put_le64(b, v);
	pack_bytes(p, b, sizeof(b));
}

void pack_str(struct pack *p, const void *s, size_t n)
{
	pack_u32(p, (uint32_t)n);
	pack_bytes(p, s, n);
}

void pack_text(struct pack *p, const char *s)
{
	pack_str(p, s, strlen(s));
}

bool pack_ok(const struct pack *p, struct err *e)
{
	if (p->bad)
		*e = p->err;
	return !p->bad;
}

const uint8_t *rd_str(struct rd *r, size_t *ret_n, size_t max)
{
	uint32_t n = rd_le32(r);

	if (n > max)
		r->bad = true;
	*ret_n = r->bad ? 0 : n;
	return rd_bytes(r, n);
}

void rd_text(struct rd *r, char *out, size_t size)
{
	size_t n;
	const uint8_t *p = rd_str(r, &n, size - 1);

	if (p && memchr(p, 0, n))
		r->bad = true;
	if (r->bad)
		n = 0;
	if (n > 0)
		memcpy(out, p, n);
	out[n] = 0;
}
