#include "admin-cli/upload.h"

#include "base/io.h"
#include "base/text.h"
#include "proto/tus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define UPLOADS "/v1/uploads"

/* One object on its way. */
struct job {
	struct upload *u;
	int fd;
	uint64_t size;
	const uint8_t *sha256;
	char name[HEX_SIZE(SHA256_SIZE)]; /* in the memory of uploads */
	char path[LIMIT_PATH];            /* "/v1/uploads/<id>"; "" for none yet */
	uint64_t offset;                  /* what the server has */
	bool offset_known;
	bool all_sent; /* once in this job, whether it was answered or not */
	uint8_t *chunk;
};

/* ---- where an upload lies ---------------------------------------------------------------- */

/* "/v1/uploads/" and an id: nothing that could lead a request elsewhere. */
static bool path_ok(const char *s)
{
	const char *id = s + sizeof(UPLOADS);
	size_t n;

	if (strncmp(s, UPLOADS "/", sizeof(UPLOADS)) != 0)
		return false;
	n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
	return n > 0 && n <= LIMIT_NAME && id[n] == '\0';
}

/* Location may be a whole URL or a path, with or without the prefix of a proxy. */
static bool take_location(struct job *j, const struct https_answer *a, struct err *e)
{
	char location[LIMIT_PATH] = "";
	const char *path;

	https_answer_header(a, "location", location, sizeof(location));
	path = strstr(location, UPLOADS "/");
	if (!path || !path_ok(path))
		return err_set(e, E_FORMAT, "Location \"%.100s\" of a new upload", location);
	snprintf(j->path, sizeof(j->path), "%s", path);
	return true;
}

/* Without a home a broken upload begins anew. */
static bool remember(struct job *j, struct err *e)
{
	char line[LIMIT_URL + LIMIT_PATH + 4];
	int n = snprintf(line, sizeof(line), "%s %s\n", j->u->server, j->path);

	return !j->u->home->path[0] ||
	       home_write(j->u->home, "uploads", j->name, 0600, line, (size_t)n, e) ||
	       err_wrap(e, "memory of uploads");
}

static bool forget(struct job *j, struct err *e)
{
	j->path[0] = '\0';
	j->offset_known = false;
	return home_remove(j->u->home, "uploads", j->name, e);
}

/* What does not fit (another server, damaged) is as good as nothing. */
static void recall(struct job *j)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_URL + LIMIT_PATH + 4);
	size_t n = strlen(j->u->server);
	const char *line;
	struct err ignored;

	if (!home_read(j->u->home, "uploads", j->name, &b, &ignored))
		return;
	line = buf_str(&b);
	if (strncmp(line, j->u->server, n) != 0 || line[n] != ' ')
		return;
	snprintf(j->path, sizeof(j->path), "%.*s", (int)strcspn(line + n + 1, "\n"),
		 line + n + 1);
	if (!path_ok(j->path))
		j->path[0] = '\0';
}

/* ---- requests ---------------------------------------------------------------------------- */

static bool create(struct job *j, struct https_answer *a, struct err *e)
{
	char length[64], metadata[TUS_METADATA_SIZE + 24];
	char value[TUS_METADATA_SIZE];
	const char *headers[] = { j->u->auth, "Tus-Resumable: " TUS_VERSION, length, metadata };
	struct https_request r = { .method = "POST",
				   .path = UPLOADS,
				   .headers = headers,
				   .n_headers = ARRAY_SIZE(headers),
				   .total_timeout_ms = 60000 };

	snprintf(length, sizeof(length), "Upload-Length: %" PRIu64, j->size);
	tus_metadata_format(value, j->sha256);
	snprintf(metadata, sizeof(metadata), "Upload-Metadata: %s", value);
	if (!https_do(j->u->https, &r, a, e) || !take_location(j, a, e))
		return false;
	j->offset = 0;
	j->offset_known = true;
	return remember(j, e);
}

static bool read_offset(struct job *j, const struct https_answer *a, uint64_t *ret,
			struct err *e)
{
	char text[32] = "";

	https_answer_header(a, "upload-offset", text, sizeof(text));
	return tus_number_parse(ret, text, strlen(text), j->size, e) ||
	       err_wrap(e, "Upload-Offset");
}

static bool ask_offset(struct job *j, struct https_answer *a, struct err *e)
{
	const char *headers[] = { j->u->auth, "Tus-Resumable: " TUS_VERSION };
	struct https_request r = { .method = "HEAD",
				   .path = j->path,
				   .headers = headers,
				   .n_headers = ARRAY_SIZE(headers),
				   .total_timeout_ms = 60000 };
	char length[32] = "";
	uint64_t n;

	if (!https_do(j->u->https, &r, a, e) || !read_offset(j, a, &j->offset, e))
		return false;
	https_answer_header(a, "upload-length", length, sizeof(length));
	if (length[0] && (!u64_parse(&n, length, strlen(length)) || n != j->size))
		return err_set(e, E_CONFLICT, "the upload was begun with another length");
	j->offset_known = true;
	return true;
}

static void chunk_sent(void *arg, uint64_t bytes)
{
	struct job *j = arg;

	if (j->u->progress)
		j->u->progress(j->u->arg, j->offset + bytes);
}

static bool send_chunk(struct job *j, struct https_answer *a, struct err *e)
{
	struct upload *u = j->u;
	uint64_t left = j->size - j->offset, now_at;
	size_t n = left < u->chunk_bytes ? (size_t)left : u->chunk_bytes;
	char offset[64], checksum[TUS_CHECKSUM_SIZE + 24], value[TUS_CHECKSUM_SIZE];
	uint8_t hash[SHA256_SIZE];
	const char *headers[] = { u->auth, "Tus-Resumable: " TUS_VERSION,
				  "Content-Type: " TUS_CONTENT_TYPE, offset, checksum };
	struct https_request r = { .method = "PATCH",
				   .path = j->path,
				   .headers = headers,
				   .n_headers = ARRAY_SIZE(headers),
				   .body = j->chunk,
				   .body_n = n,
				   .once = true,
				   .on_sent = chunk_sent,
				   .arg = j };

	if (!pread_all(j->fd, j->chunk, n, j->offset, e))
		return false;
	sha256(hash, j->chunk, n);
	tus_checksum_format(value, hash);
	snprintf(offset, sizeof(offset), "Upload-Offset: %" PRIu64, j->offset);
	snprintf(checksum, sizeof(checksum), "Upload-Checksum: %s", value);
	j->offset_known = false; /* until it is answered */
	u->sent += n;
	j->all_sent = n == left;
	if (!https_do(u->https, &r, a, e) || !read_offset(j, a, &now_at, e))
		return false;
	if (now_at != j->offset + n)
		return err_set(e, E_FORMAT,
			       "the server took %" PRIu64 " bytes of a chunk of %zu",
			       now_at - j->offset, n);
	j->offset = now_at;
	j->offset_known = true;
	return true;
}

/* ---- the whole --------------------------------------------------------------------------- */

static bool step(struct job *j, struct https_answer *a, struct err *e)
{
	if (!j->path[0])
		return create(j, a, e);
	if (!j->offset_known)
		return ask_offset(j, a, e);
	return send_chunk(j, a, e);
}

static bool is_gone(const struct https_answer *a)
{
	return a->status == 404 || a->status == 410;
}

static bool may_retry(const struct https_answer *a, const struct err *e)
{
	/* 409: our offset is not the server's; 460: the chunk was damaged on its way.  HEAD tells. */
	if (a->status == 408 || a->status == 409 || a->status == 429 ||
	    a->status == TUS_STATUS_CHECKSUM_MISMATCH)
		return true;
	if (a->status >= 500)
		return e->code != E_NO_SPACE && e->code != E_UNSUPPORTED;
	return a->status < 300 && (e->code == E_NETWORK || e->code == E_TIMEOUT);
}

static bool wait_for(struct upload *u, uint64_t ms, struct err *e)
{
	if (u->wait)
		return u->wait(u->arg, ms, e);
	nanosleep(&(struct timespec){ .tv_sec = (time_t)(ms / 1000),
				      .tv_nsec = (long)(ms % 1000) * 1000000 },
		  NULL);
	return true;
}

/* What is to be done about a failure; false ends it with *e. */
static bool after_failure(struct job *j, const struct https_answer *a, bool *restarted,
			  struct err *e)
{
	struct upload *u = j->u;
	struct err ignored;

	/* Completed, only the answer was lost; or somebody else sent the same object meanwhile. */
	if ((is_gone(a) && j->path[0] && j->all_sent) || (!j->path[0] && e->code == E_EXISTS)) {
		j->offset = j->size;
		j->offset_known = true;
		return true;
	}
	if (is_gone(a) && j->path[0] && !*restarted) {
		*restarted = true;
		return forget(j, e);
	}
	if (!may_retry(a, e)) {
		/* The server threw it away; the error is the one to tell, not that of the memory. */
		if (a->status == err_http(E_CORRUPT) && j->path[0])
			(void)!forget(j, &ignored);
		return false;
	}
	backoff_fail(&u->backoff, u->clock, u->rng, a->retry_after_s);
	if (u->backoff.failures >= u->max_failures)
		return err_wrap(e, "gave up after %u failures in a row", u->backoff.failures);
	return wait_for(u, backoff_wait_ms(&u->backoff, u->clock), e);
}

static bool run(struct job *j, struct https_answer *a, struct err *e)
{
	bool restarted = false;
	uint64_t best = 0;

	recall(j);
	while (!j->offset_known || j->offset < j->size) {
		if (!step(j, a, e)) {
			if (!after_failure(j, a, &restarted, e))
				return false;
		} else if (j->offset_known && j->offset > best) {
			best = j->offset;
			backoff_ok(&j->u->backoff);
		}
		if (j->offset_known && j->u->progress)
			j->u->progress(j->u->arg, j->offset);
	}
	return forget(j, e);
}

bool upload_object(struct upload *u, int fd, uint64_t size,
		   const uint8_t sha256_[static SHA256_SIZE], struct err *e)
{
	CLEANUP(https_answer_done) struct https_answer a = HTTPS_ANSWER_INIT;
	struct job j = { .u = u, .fd = fd, .size = size, .sha256 = sha256_ };
	bool ok;

	j.chunk = malloc(u->chunk_bytes);
	if (!j.chunk)
		return err_nomem(e);
	hex_encode(j.name, sha256_, SHA256_SIZE);
	backoff_ok(&u->backoff);
	ok = run(&j, &a, e);
	free(j.chunk);
	return ok || err_wrap(e, "upload of %.12s", j.name);
}
