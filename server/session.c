#include "server/session.h"
#include "base/bytes.h"
#include "base/sha256.h"
#include "base/text.h"

#include <inttypes.h>

void session_make(char id[static SESSION_ID_SIZE], const char *device, int64_t expires_s,
		  const struct rng *rng)
{
	uint64_t r;

	rng_fill(rng, &r, sizeof(r));
	snprintf(id, SESSION_ID_SIZE, "%.32s.%010" PRIx64 ".%016" PRIx64, device,
		 (uint64_t)expires_s & UINT64_C(0xffffffffff), r);
}

void session_key(uint8_t out[static SESSION_KEY], const struct secret *secret,
		 const uint8_t identity[static IDENTITY_KEY], const char *id)
{
	enum { TAG = 17 };
	uint8_t text[TAG + IDENTITY_KEY + SESSION_ID_SIZE] = "valise-session-2";
	size_t n = strnlen(id, SESSION_ID_SIZE - 1);

	memcpy(text + TAG, identity, IDENTITY_KEY);
	memcpy(text + TAG + IDENTITY_KEY, id, n);
	hmac_sha256(out, secret->p, secret->n, text, TAG + IDENTITY_KEY + n);
}

bool session_parse(char ret_device[static DEVICE_ID_SIZE], const char *id, int64_t now_s,
		   struct err *e)
{
	char device[DEVICE_ID_SIZE];
	uint8_t expires[5], random[8];
	uint64_t at = 0;

	if (strlen(id) != SESSION_ID_SIZE - 1 || id[32] != '.' || id[43] != '.' ||
	    !hex_decode(expires, 5, id + 33, 10) || !hex_decode(random, 8, id + 44, 16))
		return err_set(e, E_AUTH, "not a session");
	memcpy(device, id, 32);
	device[32] = 0;
	for (int i = 0; i < 5; i++)
		at = at << 8 | expires[i];
	if (!device_id_is_valid(device))
		return err_set(e, E_AUTH, "not a session");
	if ((int64_t)at <= now_s) {
		err_set(e, E_AUTH, "the session is over");
		return err_hint(e, "start a new session");
	}
	memcpy(ret_device, device, sizeof(device));
	return true;
}
