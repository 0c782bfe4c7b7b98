/* proto/ticket.h - enrolment ticket: what a handset must know before it trusts anyone.
 *
 * Text "VALISE1:" and unpadded upper-case base32 (RFC 4648 section 6) of
 *
 *	OFFSET  SIZE  FIELD
 *	     0     1  version 1
 *	     1     1  flags: bit 0 = server certificate pin present
 *	     2    16  one-time token
 *	    18    32  SHA-256 of the image repository's first root (1.root.json)
 *	    50    32  SHA-256 of the director's first root
 *	    82    32  SHA-256 of the server's SubjectPublicKeyInfo (zeros without flag 0)
 *	   114     2  length n of the URL
 *	   116     n  server URL, https://host[:port][/prefix], no trailing slash
 *	 116+n     4  first 4 bytes of SHA-256 of all before
 *
 * Two texts never mean the same ticket: padding bits, unused flags and an unused pin must be
 * zero.  Blanks and line ends around the text (copy and paste) are ignored, lower case is not.
 * The token is a secret until it is used: do not log tickets. */
#ifndef VALISE_PROTO_TICKET_H
#define VALISE_PROTO_TICKET_H

#include "base/err.h"
#include "base/limits.h"
#include "base/sha256.h"

enum { TICKET_TOKEN = 16 };

struct ticket {
	uint8_t token[TICKET_TOKEN];
	uint8_t image_root[SHA256_SIZE], director_root[SHA256_SIZE];
	bool has_pin;
	uint8_t pin[SHA256_SIZE];
	char url[LIMIT_URL + 1];
};

/* E_FORMAT: never was a ticket; E_CORRUPT: a ticket with a damaged letter; E_UNSUPPORTED: a newer
 * kind.  *ret changes on success only. */
bool ticket_parse(struct ticket *ret, const char *s, size_t n, struct err *e) MUST_USE;
/* out is LIMIT_TICKET + 1 bytes.  Fails for a bad URL only. */
bool ticket_encode(char out[static LIMIT_TICKET + 1], const struct ticket *t,
		   struct err *e) MUST_USE;

/* Whether this is https://host[:port][/prefix] as above. */
bool server_url_check(const char *url, struct err *e) MUST_USE;

#endif
