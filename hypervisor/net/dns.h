/* hypervisor/net/dns.h - just enough DNS (RFC 1035) to answer for names on the allow-list.  Pure.
 *
 * The guest's queries never leave the handset: a query for a name on the list is answered with
 * the addresses that the host's resolver gave, every other one with REFUSED.  So DNS is no way
 * out either. */
#ifndef VALISE_HYPERVISOR_NET_DNS_H
#define VALISE_HYPERVISOR_NET_DNS_H

#include "base/buf.h"

enum { DNS_NAME_MAX = 253, DNS_ADDRS_MAX = 16, DNS_TTL_S = 30 };

struct dns_query {
	uint16_t id;
	uint16_t flags;              /* of the query */
	char name[DNS_NAME_MAX + 1]; /* lower case, no trailing dot */
	bool wants_ipv4;             /* type A, class IN */
	size_t question_n;           /* bytes of the question section, for the answer */
};

/* One question, no compression (RFC 1035 4.1.4 has no use for it in a query).  E_FORMAT else. */
bool dns_query_parse(struct dns_query *ret, const uint8_t *p, size_t n, struct err *e) MUST_USE;

enum dns_answer { DNS_OK = 0, DNS_SERVFAIL = 2, DNS_REFUSED = 5 };

/* `query` is the message that q was read from; addresses in host byte order. */
bool dns_answer_encode(struct buf *out, const struct dns_query *q, const uint8_t *query,
		       enum dns_answer code, const uint32_t *addrs, size_t n_addrs,
		       struct err *e) MUST_USE;

#endif
