/* server/notary.h - once a day the audit log's head is signed, and that becomes a row of it.
 *
 * proto/audit.h says what is signed and what it proves.  Where nothing was done nothing is signed. */
#ifndef VALISE_SERVER_NOTARY_H
#define VALISE_SERVER_NOTARY_H

#include "server/web.h"

/* For a timer; not due is success. */
bool notary_run(struct web *w, struct err *e) MUST_USE;

#endif
