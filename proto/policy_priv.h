/* proto/policy_priv.h - between policy.c (one bundle) and policy_merge.c (several). */
#ifndef VALISE_PROTO_POLICY_PRIV_H
#define VALISE_PROTO_POLICY_PRIV_H

#include "proto/policy.h"

/* Order and equality of rules by host, then port. */
int policy_host_compare(const struct allow *a, const struct allow *b);

static inline bool minute_get(const struct minutes *m, unsigned minute)
{
	return m->bits[minute / 8] >> minute % 8 & 1;
}

static inline void minute_set(struct minutes *m, unsigned minute)
{
	m->bits[minute / 8] |= (uint8_t)(1u << minute % 8);
}

#endif
