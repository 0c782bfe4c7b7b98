/* server/job.h - what a work process is asked to check, and how: pure but for the descriptor.
 *
 * A job is one component of a release that is about to be published: the object as uploaded (a
 * seekable zstd file, hostile until checked) and everything that the signed manifest says of it.
 * Decoding happens in a process that can reach nothing; its only answer is yes or why not. */
#ifndef VALISE_SERVER_JOB_H
#define VALISE_SERVER_JOB_H

#include "base/buf.h"
#include "proto/release.h"

enum { JOB_SIZE_MAX = 1024 };

struct job {
	uint64_t size, object_size, tree_size;
	uint32_t frame_size;
	uint8_t sha256[SHA256_SIZE], salt[VERITY_SALT], root[SHA256_SIZE],
		tree_sha256[SHA256_SIZE];
};

void job_of(struct job *ret, const struct component *c);
bool job_encode(struct buf *out, const struct job *j, struct err *e) MUST_USE;
bool job_parse(struct job *ret, const void *p, size_t n, struct err *e) MUST_USE;

/* Decodes the object from fd and checks plain size and SHA-256, verity root and upper tree.
 * E_CORRUPT names what differs. */
bool job_verify(const struct job *j, int fd, struct err *e) MUST_USE;

/* The same, and the plain bytes are written to plain_fd, from its beginning. */
bool job_unpack(const struct job *j, int fd, int plain_fd, struct err *e) MUST_USE;

#endif
