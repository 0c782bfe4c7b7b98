/* proto/tuf_make_priv.h - what making and signing metadata share. */
#ifndef VALISE_PROTO_TUF_MAKE_PRIV_H
#define VALISE_PROTO_TUF_MAKE_PRIV_H

#include "proto/tuf_make.h"

/* A key object, ready to verify with.  E_FORMAT, E_UNSUPPORTED. */
bool tuf_key_open(struct sig_key *ret, const struct jval *v, struct err *e) MUST_USE;

#endif
