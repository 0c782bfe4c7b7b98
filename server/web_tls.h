/* server/web_tls.h - certificates and the TLS side of connections; GnuTLS, as libmicrohttpd is built on it.
 *
 * Certificate and key are PEM files that mgr's user may read; web reads them before it drops its
 * rights.  `valised init` makes a self-signed ECDSA P-256 certificate; handsets do not need a name in it,
 * as the enrolment ticket carries a pin: SHA-256 of the SubjectPublicKeyInfo. */
#ifndef VALISE_SERVER_WEB_TLS_H
#define VALISE_SERVER_WEB_TLS_H

#include "base/buf.h"
#include "base/sha256.h"

/* What libmicrohttpd calls the same: TLS 1.2 and 1.3, no renegotiation, AEAD ciphers first. */
#define WEB_TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE"

struct web_tls {
	char *cert, *key; /* PEM texts, heap; key is wiped by web_tls_done */
	void *ticket_key; /* gnutls_datum_t: session tickets, new with every process */
	uint8_t pin[SHA256_SIZE];
};

/* Reads both and checks that they belong together and are not over (now_s). */
bool web_tls_load(struct web_tls *ret, int state_dir, const char *cert_path,
		  const char *key_path, int64_t now_s, struct err *e) MUST_USE;
void web_tls_done(struct web_tls *t);

/* A key and a self-signed certificate for the names (DNS names or addresses), valid for ten years. */
bool web_tls_make(struct buf *ret_cert, struct buf *ret_key, const char *const *names, size_t n,
		  int64_t now_s, struct err *e) MUST_USE;

#endif
