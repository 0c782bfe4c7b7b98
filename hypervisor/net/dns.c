#include "hypervisor/net/dns.h"

#include <string.h>

enum { HEAD_SIZE = 12, LABEL_MAX = 63, TYPE_A = 1, CLASS_IN = 1 };
enum { FLAG_RESPONSE = 0x8000, FLAG_OPCODE = 0x7800, FLAG_RD = 0x0100, FLAG_RA = 0x0080 };

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Host names only: what is not a letter, digit, hyphen or underscore cannot be on the list. */
static bool take_letter(char *out, uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		c = (uint8_t)(c + ('a' - 'A'));
	*out = (char)c;
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Bytes of the encoded name, 0 if it is none. */
static size_t read_name(char out[static DNS_NAME_MAX + 1], const uint8_t *p, size_t n)
{
	size_t at = 0, len = 0;

	for (;;) {
		if (at == n)
			return 0;
		size_t label = p[at++];
		if (label == 0)
			break;
		if (label > LABEL_MAX || label > n - at || len + label + 1 > DNS_NAME_MAX)
			return 0;
		if (len > 0)
			out[len++] = '.';
		for (size_t i = 0; i < label; i++)
			if (!take_letter(&out[len++], p[at++]))
				return 0;
	}
	out[len] = '\0';
	return at;
}

bool dns_query_parse(struct dns_query *ret, const uint8_t *p, size_t n, struct err *e)
{
	struct dns_query q = { 0 };

	if (n < HEAD_SIZE)
		return err_set(e, E_FORMAT, "%zu bytes are no DNS message", n);
	q.id = be16(p);
	q.flags = be16(p + 2);
	if (q.flags & (FLAG_RESPONSE | FLAG_OPCODE) || be16(p + 4) != 1)
		return err_set(e, E_FORMAT, "not one question");
	size_t name_n = read_name(q.name, p + HEAD_SIZE, n - HEAD_SIZE);
	if (name_n == 0 || n - HEAD_SIZE - name_n < 4)
		return err_set(e, E_FORMAT, "the question's name is damaged");
	const uint8_t *type = p + HEAD_SIZE + name_n;
	q.wants_ipv4 = be16(type) == TYPE_A && be16(type + 2) == CLASS_IN;
	q.question_n = name_n + 4;
	*ret = q;
	return true;
}

static bool add_address(struct buf *out, uint32_t addr, struct err *e)
{
	uint8_t record[16] = { 0xc0, HEAD_SIZE }; /* the name of the question */

	put_be16(record + 2, TYPE_A);
	put_be16(record + 4, CLASS_IN);
	put_be16(record + 8, DNS_TTL_S);
	put_be16(record + 10, 4);
	put_be16(record + 12, (uint16_t)(addr >> 16));
	put_be16(record + 14, (uint16_t)addr);
	return buf_add(out, record, sizeof(record), e);
}

bool dns_answer_encode(struct buf *out, const struct dns_query *q, const uint8_t *query,
		       enum dns_answer code, const uint32_t *addrs, size_t n_addrs,
		       struct err *e)
{
	uint8_t head[HEAD_SIZE] = { 0 };

	put_be16(head, q->id);
	put_be16(head + 2, (uint16_t)(FLAG_RESPONSE | (q->flags & FLAG_RD) | FLAG_RA | code));
	put_be16(head + 4, 1);
	put_be16(head + 6, (uint16_t)n_addrs);
	if (!buf_add(out, head, sizeof(head), e) ||
	    !buf_add(out, query + HEAD_SIZE, q->question_n, e))
		return false;
	for (size_t i = 0; i < n_addrs; i++)
		if (!add_address(out, addrs[i], e))
			return false;
	return true;
}
