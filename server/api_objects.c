/* server/api_objects.c - bytes by their hash: what handsets, caches and CDNs fetch. */
#include "server/api.h"
#include "server/api_json.h"
#include "base/text.h"
#include "proto/range.h"
#include "storage/objects.h"
#include "storage/tuf.h"

#include <inttypes.h>

/* RFC 9110 section 13.1.2: any of the listed tags; weak ones count as equal here. */
static bool tag_listed(const char *list, const char *tag)
{
	size_t n = strlen(tag);

	if (!list)
		return false;
	while (*list) {
		list += strspn(list, " \t,");
		if (*list == '*')
			return true;
		if (strncmp(list, "W/", 2) == 0)
			list += 2;
		if (strncmp(list, tag, n) == 0 && strchr(" \t,", list[n]))
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

static void send_part(struct req *r, uint64_t size, const char *tag)
{
	const char *value = req_header(r, "Range"), *if_range = req_header(r, "If-Range");
	struct reply *p = &r->reply;
	char text[CONTENT_RANGE_SIZE];

	/* If-Range with anything but our strong tag: the whole (RFC 9110 section 13.1.5).  Of other methods
	 * than GET a Range is ignored (section 14.2). */
	if (r->is_head || (if_range && strcmp(if_range, tag) != 0))
		value = NULL;
	p->offset = 0;
	p->n = size;
	p->status = 200;
	switch (range_parse(&p->offset, &p->n, value, value ? strlen(value) : 0, size)) {
	case RANGE_PART:
		p->status = 206;
		content_range_format(text, p->offset, p->n, size);
		reply_header(p, "Content-Range", "%s", text);
		break;
	case RANGE_NONE:
		p->status = 416;
		p->offset = p->n = 0;
		content_range_format(text, 0, 0, size);
		reply_header(p, "Content-Range", "%s", text);
		break;
	case RANGE_WHOLE:
		p->offset = 0;
		p->n = size;
		break;
	}
}

static bool send_object(struct req *r, const uint8_t sha256[static SHA256_SIZE], struct err *e)
{
	struct reply *p = &r->reply;
	char hex[HEX_SIZE(SHA256_SIZE)], tag[HEX_SIZE(SHA256_SIZE) + 2];
	uint64_t size;

	if (!objects_open(r->web->store, sha256, &p->fd, &size, e))
		return false;
	hex_encode(hex, sha256, SHA256_SIZE);
	snprintf(tag, sizeof(tag), "\"%s\"", hex);
	reply_header(p, "ETag", "%s", tag);
	reply_header(p, "Cache-Control", "public, max-age=31536000, immutable");
	reply_header(p, "Accept-Ranges", "bytes");
	p->type = "application/octet-stream";
	if (tag_listed(req_header(r, "If-None-Match"), tag)) {
		/* No body follows, but a Content-Length, which has to be the object's: caches keep
		 * it (RFC 9110 section 8.6, RFC 9111 section 4.3.4). */
		p->status = 304;
		p->offset = 0;
		p->n = size;
		p->type = NULL;
	} else {
		send_part(r, size, tag);
	}
	if (p->n == 0) {
		reply_close_file(p);
		p->type = NULL;
	}
	return true;
}

bool api_object(struct req *r, struct err *e)
{
	uint8_t sha[SHA256_SIZE];

	if (!hex_decode(sha, sizeof(sha), r->params[0], strlen(r->params[0])))
		return err_set(e, E_NOT_FOUND, "an object's name is 64 lower-case hex digits");
	return send_object(r, sha, e);
}

/* "<dir>/<sha256>.<name>": a target under the name of a consistent snapshot. */
bool api_image_target(struct req *r, struct err *e)
{
	char *path = r->params[0], *slash = strrchr(path, '/');
	uint8_t sha[SHA256_SIZE];
	uint64_t size;

	if (!slash || strlen(slash + 1) < 2 * SHA256_SIZE + 2 ||
	    slash[1 + 2 * SHA256_SIZE] != '.' ||
	    !hex_decode(sha, sizeof(sha), slash + 1, 2 * SHA256_SIZE))
		return err_set(e, E_NOT_FOUND, "no such target");
	*slash = 0;
	if (!tuf_target(r->web->store, path, slash + 2 + 2 * SHA256_SIZE, sha, &size, e))
		return false;
	return send_object(r, sha, e);
}

bool api_objects_missing(struct req *r, struct err *e)
{
	static const char *const keys[] = { "sha256", NULL };
	uint8_t hashes[STORE_PAGE_MAX][SHA256_SIZE];
	bool missing[STORE_PAGE_MAX];
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct jval *list;
	struct jw w;
	size_t n;

	if (!api_body(r, keys, false, &d, e) ||
	    !jobj_arr(&list, jdoc_root(d), "sha256", STORE_PAGE_MAX, e))
		return false;
	n = jarr_n(list);
	for (size_t i = 0; i < n; i++) {
		if (!jval_get_hex(hashes[i], SHA256_SIZE, jarr_at(list, i), e))
			return err_wrap(e, "sha256");
	}
	if (n > 0 && !objects_missing(r->web->store, hashes, n, missing, e))
		return false;
	reply_json(r, 200, &w);
	jw_obj(&w, NULL);
	jw_arr(&w, "missing");
	for (size_t i = 0; i < n; i++) {
		if (missing[i])
			jw_hex(&w, NULL, hashes[i], SHA256_SIZE);
	}
	jw_end(&w);
	jw_end(&w);
	return reply_json_end(&w, e);
}
