/* hypervisor/net/filter.h - which addresses the guest may reach now.  Pure.
 *
 * Rules are "host:port" (proto/allow.h).  A rule with an address counts from the start; one with a
 * name counts for the addresses that the host's resolver gave when the guest asked for that name.
 *
 * Never reachable, whatever the rules and whatever a name resolves to: the handset itself and its
 * neighbours on the link (0/8, 127/8, 169.254/16), multicast and broadcast, and the guest's own
 * little network.  So a name whose owner points it to 127.0.0.1 opens nothing. */
#ifndef VALISE_HYPERVISOR_NET_FILTER_H
#define VALISE_HYPERVISOR_NET_FILTER_H

#include "hypervisor/net/dns.h"
#include "proto/allow.h"

enum { FILTER_RULES_MAX = 64, FILTER_OPEN_MAX = 512 };

struct filter {
	struct allow rules[FILTER_RULES_MAX];
	size_t n_rules;
	struct {
		uint32_t ip; /* host byte order */
		uint16_t port;
	} open[FILTER_OPEN_MAX];
	size_t n_open; /* when full, the oldest makes room */
	size_t next;
};

/* E_FORMAT names the rule. */
bool filter_add_rule(struct filter *f, const char *rule, struct err *e) MUST_USE;

/* Whether the guest may ask for this name. */
bool filter_knows_name(const struct filter *f, const char *name);

/* The name has these addresses: opens the ports of all its rules on those that may be reached at
 * all, and leaves only them in addrs.  Returns how many are left. */
size_t filter_open_name(struct filter *f, const char *name, uint32_t *addrs, size_t n);

bool filter_allows(const struct filter *f, uint32_t ip, uint16_t port);

#endif
