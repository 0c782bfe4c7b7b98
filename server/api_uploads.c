/* server/api_uploads.c - tus 1.0: creation, checksum, expiration, termination. */
#include "server/api.h"
#include "base/text.h"
#include "proto/tus.h"
#include "storage/uploads.h"

#include <inttypes.h>
#include <time.h>

struct patch {
	struct upload_append *append;
	bool has_checksum;
	uint8_t checksum[SHA256_SIZE];
};

static bool header_text(const struct req *r, const char *name, const char **ret, size_t *ret_n)
{
	*ret = req_header(r, name);
	*ret_n = *ret ? strlen(*ret) : 0;
	return *ret != NULL;
}

/* Every request of the protocol says its version (tus 1.0, "Tus-Resumable"). */
static bool check_version(struct req *r, struct err *e)
{
	const char *value;
	size_t n;

	reply_header(&r->reply, "Tus-Resumable", TUS_VERSION);
	header_text(r, "Tus-Resumable", &value, &n);
	if (value && tus_version_check(value, n, e))
		return true;
	r->reply.status = 412;
	reply_header(&r->reply, "Tus-Version", TUS_VERSION);
	return err_set(e, E_UNSUPPORTED, "Tus-Resumable: only %s", TUS_VERSION);
}

static void expires_header(struct req *r, const struct upload *u)
{
	struct tm tm;
	char text[40];
	time_t t = (time_t)u->expires_at;

	/* RFC 9110 section 5.6.7; the C locale's names are the right ones. */
	if (gmtime_r(&t, &tm) &&
	    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0)
		reply_header(&r->reply, "Upload-Expires", "%s", text);
}

static bool number_header(const struct req *r, const char *name, uint64_t max, uint64_t *ret,
			  struct err *e)
{
	const char *value;
	size_t n;

	if (!header_text(r, name, &value, &n))
		return err_set(e, E_FORMAT, "%s: missing", name);
	return tus_number_parse(ret, value, n, max, e) || err_wrap(e, "%s", name);
}

bool api_upload_new(struct req *r, struct err *e)
{
	uint8_t sha[SHA256_SIZE];
	struct upload u;
	const char *value;
	uint64_t size;
	size_t n;

	if (!check_version(r, e) ||
	    !number_header(r, "Upload-Length", r->web->settings->upload_max, &size, e))
		return false;
	if (!header_text(r, "Upload-Metadata", &value, &n))
		return err_set(e, E_FORMAT, "Upload-Metadata: sha256 is needed");
	if (!tus_metadata_parse(sha, value, n, e) ||
	    !uploads_create(r->web->store, sha, size, r->token.number, &u, e))
		return false;
	log_info("upload.created", "id=%s upload=%s size=%" PRIu64 " actor=%s", r->id, u.id,
		 size, r->actor);
	reply_header(&r->reply, "Location", "/v1/uploads/%s", u.id);
	expires_header(r, &u);
	return reply_empty(r, 201);
}

bool api_upload_get(struct req *r, struct err *e)
{
	struct upload u;

	if (!check_version(r, e) ||
	    !uploads_get(r->web->store, r->params[0], r->token.number, &u, e))
		return false;
	reply_header(&r->reply, "Upload-Offset", "%" PRIu64, u.offset);
	reply_header(&r->reply, "Upload-Length", "%" PRIu64, u.size);
	reply_header(&r->reply, "Cache-Control", "no-store");
	expires_header(r, &u);
	return reply_empty(r, 200);
}

bool api_upload_delete(struct req *r, struct err *e)
{
	if (!check_version(r, e) ||
	    !uploads_delete(r->web->store, r->params[0], r->token.number, e))
		return false;
	log_info("upload.deleted", "id=%s upload=%s actor=%s", r->id, r->params[0], r->actor);
	return reply_empty(r, 204);
}

/* ---- PATCH --------------------------------------------------------------------------------- */

static bool read_checksum(struct req *r, struct patch *p, struct err *e)
{
	const char *value;
	size_t n;

	p->has_checksum = header_text(r, "Upload-Checksum", &value, &n);
	if (!p->has_checksum || tus_checksum_parse(p->checksum, value, n, e))
		return true;
	/* Of the protocol: 400, also for an algorithm that is not ours. */
	r->reply.status = 400;
	return false;
}

bool api_upload_begin(struct req *r, struct err *e)
{
	const char *type = req_header(r, "Content-Type");
	struct patch *p;
	uint64_t offset;

	if (!check_version(r, e))
		return false;
	if (!type || strcmp(type, TUS_CONTENT_TYPE) != 0) {
		r->reply.status = 415;
		return err_set(e, E_FORMAT, "Content-Type: must be %s", TUS_CONTENT_TYPE);
	}
	if (!number_header(r, "Upload-Offset", LIMIT_COMPONENT_SIZE, &offset, e))
		return false;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_nomem(e);
	if (!read_checksum(r, p, e) || !upload_begin(&p->append, r->web->store, r->params[0],
						     r->token.number, offset, e)) {
		free(p);
		return false;
	}
	r->stream = p;
	return true;
}

bool api_upload_data(struct req *r, const void *bytes, size_t n, struct err *e)
{
	struct patch *p = r->stream;
	struct upload u;
	struct err ignored;

	if (upload_write(p->append, bytes, n, e))
		return true;
	/* What was written before stays, unless a checksum was to cover it. */
	if (p->has_checksum)
		upload_drop(TAKE(p->append));
	else
		(void)!upload_end(&p->append, NULL, &u, &ignored);
	free(TAKE(r->stream));
	return false;
}

bool api_upload_end(struct req *r, struct err *e)
{
	struct patch *p = TAKE(r->stream);
	struct upload u;
	bool had = p->has_checksum, ok;

	ok = upload_end(&p->append, had ? p->checksum : NULL, &u, e);
	free(p);
	if (!ok) {
		struct upload now;
		struct err gone;

		/* The piece was damaged and the upload is still there: the protocol's own status. */
		if (e->code == E_CORRUPT && had &&
		    uploads_get(r->web->store, r->params[0], r->token.number, &now, &gone))
			r->reply.status = TUS_STATUS_CHECKSUM_MISMATCH;
		return false;
	}
	if (u.done)
		log_info("upload.done", "id=%s upload=%s size=%" PRIu64 " actor=%s", r->id,
			 u.id, u.size, r->actor);
	reply_header(&r->reply, "Upload-Offset", "%" PRIu64, u.offset);
	expires_header(r, &u);
	return reply_empty(r, 204);
}

void api_upload_cut(struct req *r)
{
	struct patch *p = TAKE(r->stream);
	struct upload u;
	struct err e;

	if (!p)
		return;
	if (p->has_checksum)
		upload_drop(TAKE(p->append));
	else if (!upload_end(&p->append, NULL, &u, &e))
		log_warn("upload.cut", "id=%s upload=%s %s", r->id, r->params[0],
			 log_err(&e).s);
	free(p);
}
