#include "hypervisor/net/filter.h"

#include "hypervisor/net/frame.h"

#include <arpa/inet.h>
#include <string.h>

static bool is_never_reachable(uint32_t ip)
{
	return ip >> 24 == 0 || ip >> 24 == 127 || ip >> 16 == 0xa9fe || ip >> 28 >= 0xe ||
	       (ip & NET_MASK) == NET_PREFIX;
}

bool filter_allows(const struct filter *f, uint32_t ip, uint16_t port)
{
	for (size_t i = 0; i < f->n_open; i++)
		if (f->open[i].ip == ip && f->open[i].port == port)
			return true;
	return false;
}

static void open_address(struct filter *f, uint32_t ip, uint16_t port)
{
	if (filter_allows(f, ip, port))
		return;
	f->open[f->next].ip = ip;
	f->open[f->next].port = port;
	f->next = (f->next + 1) % FILTER_OPEN_MAX;
	if (f->n_open < FILTER_OPEN_MAX)
		f->n_open++;
}

bool filter_add_rule(struct filter *f, const char *rule, struct err *e)
{
	struct in_addr addr;

	if (f->n_rules == FILTER_RULES_MAX)
		return err_set(e, E_TOO_BIG, "more than %d rules", FILTER_RULES_MAX);
	if (!allow_parse(&f->rules[f->n_rules], rule, e))
		return false;
	const struct allow *a = &f->rules[f->n_rules++];
	if (inet_pton(AF_INET, a->host, &addr) == 1 && !is_never_reachable(ntohl(addr.s_addr)))
		open_address(f, ntohl(addr.s_addr), a->port);
	return true;
}

bool filter_knows_name(const struct filter *f, const char *name)
{
	for (size_t i = 0; i < f->n_rules; i++)
		if (strcmp(f->rules[i].host, name) == 0)
			return true;
	return false;
}

size_t filter_open_name(struct filter *f, const char *name, uint32_t *addrs, size_t n)
{
	size_t left = 0;

	for (size_t i = 0; i < n; i++)
		if (!is_never_reachable(addrs[i]))
			addrs[left++] = addrs[i];
	for (size_t i = 0; i < f->n_rules; i++)
		if (strcmp(f->rules[i].host, name) == 0)
			for (size_t j = 0; j < left; j++)
				open_address(f, addrs[j], f->rules[i].port);
	return left;
}
