#include "server/notary.h"
#include "server/repo.h"
#include "storage/audit.h"

#include <inttypes.h>

enum { TRIES = 5 };

static bool sign_once(struct web *w, struct err *e)
{
	struct sign_audit ask = { .n = 0 };
	struct audit_signed head;
	struct audit_head last;
	bool due;

	if (!audit_head_due(w->store, (int64_t)w->settings->audit_sign_s, &due, &last, e) ||
	    !due)
		return !due;
	ask.n = last.n;
	memcpy(ask.hash, last.hash, sizeof(ask.hash));
	if (!repo_keys_next(w, TUF_IMAGE, &ask.next, e) ||
	    !signer_audit(w->signer, &ask, &head, e) || !audit_add_head(w->store, &head, e))
		return false;
	log_info("audit.signed", "n=%" PRIu64 " key=%.12s", head.n, head.keyid);
	return true;
}

bool notary_run(struct web *w, struct err *e)
{
	for (int i = 0; i < TRIES; i++) {
		if (sign_once(w, e))
			return true;
		/* Somebody did something meanwhile: that is signed as well, then. */
		if (e->code != E_CONFLICT)
			return false;
	}
	return false;
}
