/* proto/tus.h - header fields of resumable uploads, tus 1.0.0 (https://tus.io/protocols/resumable-upload)
 * with the extensions creation, checksum, expiration and termination.
 *
 * All parsers take (value, length), refuse what the protocol's grammar does not allow with
 * E_FORMAT and change results on success only. */
#ifndef VALISE_PROTO_TUS_H
#define VALISE_PROTO_TUS_H

#include "base/err.h"
#include "base/sha256.h"

#define TUS_VERSION "1.0.0"
#define TUS_EXTENSIONS "creation,checksum,expiration,termination"
#define TUS_CHECKSUMS "sha256"
#define TUS_CONTENT_TYPE "application/offset+octet-stream"
#define TUS_STATUS_CHECKSUM_MISMATCH 460

/* Tus-Resumable must be TUS_VERSION, else E_UNSUPPORTED (HTTP 412 in the protocol). */
bool tus_version_check(const char *value, size_t n, struct err *e) MUST_USE;

/* Upload-Length, Upload-Offset: digits only; at most max, else E_TOO_BIG. */
bool tus_number_parse(uint64_t *ret, const char *value, size_t n, uint64_t max,
		      struct err *e) MUST_USE;

/* Upload-Metadata: "key base64value, key2, ..."; keys are unique and have no blank or comma.  We need
 * "sha256" (64 hex digits of the complete bytes) and ignore the rest; without it E_FORMAT. */
bool tus_metadata_parse(uint8_t ret_sha256[static SHA256_SIZE], const char *value, size_t n,
			struct err *e) MUST_USE;
enum { TUS_METADATA_SIZE = 7 + 88 + 1 };
void tus_metadata_format(char out[static TUS_METADATA_SIZE],
			 const uint8_t sha256[static SHA256_SIZE]);

/* Upload-Checksum: "sha256 <base64 of 32 bytes>"; another algorithm is E_UNSUPPORTED (400). */
bool tus_checksum_parse(uint8_t ret[static SHA256_SIZE], const char *value, size_t n,
			struct err *e) MUST_USE;
enum { TUS_CHECKSUM_SIZE = 7 + 44 + 1 };
void tus_checksum_format(char out[static TUS_CHECKSUM_SIZE],
			 const uint8_t sha256[static SHA256_SIZE]);

#endif
