#include "server/web_tls.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/secret.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <inttypes.h>

enum { PEM_MAX = 256 << 10, CHAIN_MAX = 16 };
#define TEN_YEARS_S (INT64_C(3653) * 86400)

static bool failed(struct err *e, int rc, const char *what)
{
	return err_set(e, rc == GNUTLS_E_MEMORY_ERROR ? E_NOMEM : E_CONFIG, "%s: %s", what,
		       gnutls_strerror(rc));
}

/* ---- loading ------------------------------------------------------------------------------ */

static bool load_pem(char **ret, int state_dir, const char *path, const char *dflt,
		     struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(PEM_MAX);
	const char *name = path[0] ? path : dflt;

	if (!read_file_at(state_dir, name, &b, e))
		return false;
	return buf_take(&b, ret, NULL, e) || err_wrap(e, "%s", name);
}

struct pair {
	gnutls_x509_crt_t chain[CHAIN_MAX];
	unsigned n;
	gnutls_x509_privkey_t key;
};

static void pair_done(struct pair *p)
{
	for (unsigned i = 0; i < p->n; i++)
		gnutls_x509_crt_deinit(p->chain[i]);
	if (p->key)
		gnutls_x509_privkey_deinit(p->key);
}

static bool parse_pair(struct pair *p, const struct web_tls *t, struct err *e)
{
	gnutls_datum_t cert = { (unsigned char *)t->cert, (unsigned)strlen(t->cert) };
	gnutls_datum_t key = { (unsigned char *)t->key, (unsigned)strlen(t->key) };
	unsigned n = CHAIN_MAX;
	int rc;

	rc = gnutls_x509_crt_list_import(p->chain, &n, &cert, GNUTLS_X509_FMT_PEM, 0);
	if (rc < 0)
		return failed(e, rc, "certificate");
	p->n = (unsigned)rc;
	rc = gnutls_x509_privkey_init(&p->key);
	if (rc == 0)
		rc = gnutls_x509_privkey_import2(p->key, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (rc < 0)
		return failed(e, rc, "key");
	return p->n > 0 ? true : err_set(e, E_CONFIG, "certificate: none in the file");
}

static bool key_id_of_cert(uint8_t out[static SHA256_SIZE], gnutls_x509_crt_t crt,
			   struct err *e)
{
	size_t n = SHA256_SIZE;
	int rc = gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, out, &n);

	return rc == 0 && n == SHA256_SIZE ? true : failed(e, rc, "certificate");
}

static bool check_pair(struct web_tls *t, const struct pair *p, int64_t now_s, struct err *e)
{
	uint8_t of_key[SHA256_SIZE];
	size_t n = sizeof(of_key);
	int64_t until = gnutls_x509_crt_get_expiration_time(p->chain[0]);
	char text[TIME_TEXT_SIZE];
	int rc;

	if (!key_id_of_cert(t->pin, p->chain[0], e))
		return false;
	rc = gnutls_x509_privkey_get_key_id(p->key, GNUTLS_KEYID_USE_SHA256, of_key, &n);
	if (rc < 0)
		return failed(e, rc, "key");
	if (memcmp(of_key, t->pin, SHA256_SIZE) != 0)
		return err_set(e, E_CONFIG, "the certificate is for another key");
	if (until <= now_s) {
		time_format(text, until);
		return err_set(e, E_CONFIG, "the certificate ended at %s", text);
	}
	return true;
}

bool web_tls_load(struct web_tls *ret, int state_dir, const char *cert_path,
		  const char *key_path, int64_t now_s, struct err *e)
{
	CLEANUP(pair_done) struct pair p = { .n = 0 };
	struct web_tls t = { .cert = NULL };
	gnutls_datum_t *ticket = calloc(1, sizeof(*ticket));
	int rc;

	t.ticket_key = ticket;
	if (!ticket) {
		err_nomem(e);
	} else if ((rc = gnutls_session_ticket_key_generate(ticket)) < 0) {
		failed(e, rc, "ticket key");
	} else if (load_pem(&t.cert, state_dir, cert_path, "tls/cert.pem", e) &&
		   load_pem(&t.key, state_dir, key_path, "tls/key.pem", e) &&
		   parse_pair(&p, &t, e) && check_pair(&t, &p, now_s, e)) {
		*ret = t;
		return true;
	}
	web_tls_done(&t);
	return err_wrap(e, "TLS");
}

void web_tls_done(struct web_tls *t)
{
	gnutls_datum_t *ticket = t->ticket_key;

	if (t->key)
		wipe(t->key, strlen(t->key));
	free(t->cert);
	free(t->key);
	if (ticket && ticket->data) {
		wipe(ticket->data, ticket->size);
		gnutls_free(ticket->data);
	}
	free(ticket);
	*t = (struct web_tls){ .cert = NULL };
}

/* ---- making ------------------------------------------------------------------------------- */

static int add_name(gnutls_x509_crt_t crt, const char *name)
{
	unsigned char a[16];

	if (inet_pton(AF_INET, name, a) == 1)
		return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, a, 4,
							    GNUTLS_FSAN_APPEND);
	if (inet_pton(AF_INET6, name, a) == 1)
		return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, a, 16,
							    GNUTLS_FSAN_APPEND);
	return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name,
						    (unsigned)strlen(name), GNUTLS_FSAN_APPEND);
}

static int fill(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const char *const *names,
		size_t n, int64_t now_s)
{
	unsigned char serial[16], id[64];
	size_t id_n = sizeof(id);
	int rc;

	if ((rc = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial))) < 0)
		return rc;
	serial[0] = (unsigned char)((serial[0] & 0x7f) |
				    0x40); /* positive, RFC 5280 section 4.1.2.2 */
	if ((rc = gnutls_x509_crt_set_version(crt, 3)) < 0 ||
	    (rc = gnutls_x509_crt_set_serial(crt, serial, sizeof(serial))) < 0 ||
	    (rc = gnutls_x509_crt_set_activation_time(crt, (time_t)(now_s - 86400))) < 0 ||
	    (rc = gnutls_x509_crt_set_expiration_time(crt, (time_t)(now_s + TEN_YEARS_S))) <
		    0 ||
	    (rc = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, "valised",
						7)) < 0 ||
	    (rc = gnutls_x509_crt_set_key(crt, key)) < 0 ||
	    (rc = gnutls_x509_crt_get_key_id(crt, 0, id, &id_n)) < 0 ||
	    (rc = gnutls_x509_crt_set_subject_key_id(crt, id, id_n)) < 0 ||
	    (rc = gnutls_x509_crt_set_basic_constraints(crt, 0, -1)) < 0 ||
	    (rc = gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE)) < 0 ||
	    (rc = gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0)) < 0)
		return rc;
	for (size_t i = 0; i < n && rc >= 0; i++)
		rc = add_name(crt, names[i]);
	if (rc < 0)
		return rc;
	return gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0);
}

static int make(struct pair *p, const char *const *names, size_t n, int64_t now_s)
{
	int rc = gnutls_x509_privkey_init(&p->key);

	if (rc >= 0)
		rc = gnutls_x509_privkey_generate(
			p->key, GNUTLS_PK_ECDSA,
			GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	if (rc >= 0 && (rc = gnutls_x509_crt_init(&p->chain[0])) >= 0)
		p->n = 1;
	return rc < 0 ? rc : fill(p->chain[0], p->key, names, n, now_s);
}

static void free_datum(gnutls_datum_t *d)
{
	if (d->data)
		wipe(d->data, d->size);
	gnutls_free(d->data);
}

bool web_tls_make(struct buf *ret_cert, struct buf *ret_key, const char *const *names, size_t n,
		  int64_t now_s, struct err *e)
{
	CLEANUP(pair_done) struct pair p = { .n = 0 };
	CLEANUP(free_datum) gnutls_datum_t cert = { NULL, 0 };
	CLEANUP(free_datum) gnutls_datum_t key = { NULL, 0 };
	int rc = make(&p, names, n, now_s);

	if (rc >= 0)
		rc = gnutls_x509_crt_export2(p.chain[0], GNUTLS_X509_FMT_PEM, &cert);
	if (rc >= 0)
		rc = gnutls_x509_privkey_export2_pkcs8(p.key, GNUTLS_X509_FMT_PEM, NULL,
						       GNUTLS_PKCS_PLAIN, &key);
	if (rc < 0)
		return failed(e, rc, "making a certificate");
	return buf_add(ret_cert, cert.data, cert.size, e) &&
	       buf_add(ret_key, key.data, key.size, e);
}
