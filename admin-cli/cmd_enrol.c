#include "admin-cli/cmd.h"
#include "admin-cli/opts.h"
#include "admin-cli/qr.h"
#include "base/text.h"
#include "proto/cjson.h"
#include "proto/ticket.h"

#include <string.h>
#include <unistd.h>

static struct cli_list opt_groups;
static bool opt_approve, opt_qr, opt_no_qr;
static const char *opt_ttl = "24h";
static const char *opt_serial = "";
static const char *opt_url;

const struct cli_opt enrol_new_opts[] = {
	{ "group", 'g', "NAME", "group that the handset joins; may be repeated", CLI_LIST,
	  &opt_groups },
	{ "approve", 0, NULL, "the handset waits until it is approved", CLI_FLAG,
	  &opt_approve },
	{ "ttl", 0, "DURATION", "how long the ticket is good; 24h", CLI_STRING, &opt_ttl },
	{ "serial", 0, "TEXT", "only for the handset with this serial number", CLI_STRING,
	  &opt_serial },
	{ "url", 0, "URL", "the server as handsets reach it, if not as here", CLI_STRING,
	  &opt_url },
	{ "qr", 0, NULL, "draw the QR code even where there is no terminal", CLI_FLAG,
	  &opt_qr },
	{ "no-qr", 0, NULL, "only the text", CLI_FLAG, &opt_no_qr },
	{ 0 },
};
static const struct out_col list_cols[] = {
	{ "ID", "id", OUT_TEXT },
	{ "STATE", "state", OUT_WHOLE },
	{ "GROUPS", "groups", OUT_LIST },
	{ "APPROVAL", "approval", OUT_WHOLE },
	{ "SERIAL", "serial", OUT_TEXT },
	{ "TRIES", "tries", OUT_TEXT },
	{ "EXPIRES", "expires_at", OUT_WHOLE },
	{ "DEVICE", "device", OUT_ID },
};

/* ---- making a ticket --------------------------------------------------------------------- */

/* What `init` made here, or what the server shows: over a connection that is trusted by pin or chain. */
static bool root_hash(uint8_t out[static SHA256_SIZE], struct remote *r, const char *kept,
		      enum api_route_id route, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TUF_ROOT);
	static const char *const params[] = { "1.root.json", NULL };
	struct remote_call c = { .route = route, .params = params };

	if (!home_read(&r->home, "roots", kept, &text, e)) {
		if (e->code != E_NOT_FOUND)
			return false;
		if (!remote_text(r, &c, &text, e)) {
			err_wrap(e, "first root of the server");
			return e->code == E_NOT_FOUND ? err_hint(e, "run `valise init` first")
						      : false;
		}
	}
	sha256(out, text.p, text.n);
	return true;
}

static bool request_body(struct buf *body, struct err *e)
{
	uint64_t ttl_s;
	struct jw w;

	if (!duration_parse(&ttl_s, opt_ttl) || ttl_s == 0)
		return err_set(e, E_USAGE, "--ttl=%.40s: wants a duration such as 24h",
			       opt_ttl);
	jw_init(&w, body);
	jw_obj(&w, NULL);
	jw_arr(&w, "groups");
	for (size_t i = 0; i < opt_groups.n; i++) {
		if (!name_check(opt_groups.v[i], LIMIT_NAME, "group", e))
			return false;
		jw_str(&w, NULL, opt_groups.v[i]);
	}
	jw_end(&w);
	jw_str(&w, "approval", opt_approve ? "manual" : "auto");
	jw_u64(&w, "ttl_s", ttl_s);
	jw_str(&w, "serial", opt_serial);
	jw_end(&w);
	return jw_finish(&w, e);
}

static bool fill_ticket(struct ticket *t, struct remote *r, const struct jval *answer,
			struct err *e)
{
	const char *url = opt_url ? opt_url : r->url;

	if (!server_url_check(url, e) ||
	    !jobj_hex(t->token, sizeof(t->token), answer, "token", e))
		return false;
	snprintf(t->url, sizeof(t->url), "%s", url);
	t->has_pin = r->has_pin;
	memcpy(t->pin, r->pin, sizeof(t->pin));
	return true;
}

static bool print_json(const struct jval *answer, const char *text, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_SMALL_BODY);
	struct jw w;

	jw_init(&w, &b);
	jw_obj(&w, NULL);
	for (struct jiter it = jobj_first(answer); it.val; it = jobj_next(answer, it)) {
		CLEANUP(buf_done) struct buf v = BUF_INIT(LIMIT_SMALL_BODY);

		if (strcmp(it.key, "ticket") == 0)
			continue;
		if (!cjson_encode_json(&v, it.val, e))
			return false;
		jw_raw(&w, it.key, buf_str(&v), v.n);
	}
	jw_str(&w, "ticket", text);
	jw_end(&w);
	return jw_finish(&w, e) && buf_add_str(&b, "\n", e) && out_write(&b, e);
}

static bool print_ticket(const struct jval *answer, const char *text, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
	struct qr_style style = { .utf8 = out_utf8(), .color = out_color(stdout) };
	bool draw = opt_qr || (!opt_no_qr && isatty(STDOUT_FILENO));
	const char *until;

	if (opts_json())
		return print_json(answer, text, e);
	if (!jobj_str(&until, answer, "expires_at", TIME_TEXT_SIZE - 1, e) ||
	    !buf_printf(&b, e, "%s\n", text) ||
	    (draw && (!buf_add_str(&b, "\n", e) || !qr_draw(&b, text, style, e))) ||
	    !out_write(&b, e))
		return false;
	cmd_note("Good once, until %s; on the handset: valise-agent enrol TICKET", until);
	return true;
}

bool cmd_enrol_new(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_SMALL_BODY);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct remote_call c = { .route = ROUTE_TICKET_NEW, .body = &body };
	struct ticket t = { .has_pin = false };
	char text[LIMIT_TICKET + 1];

	/* The roots first: a ticket without them would be for nothing. */
	if (!request_body(&body, e) || !remote_open(&r, REMOTE_TOKEN, e) ||
	    !root_hash(t.image_root, &r, "image-1.root.json", ROUTE_TUF_IMAGE, e) ||
	    !root_hash(t.director_root, &r, "director-1.root.json", ROUTE_TUF_DIRECTOR, e) ||
	    !remote_do(&r, &c, NULL, &d, e))
		return false;
	if (!d)
		return err_set(e, E_FORMAT, "the server answered nothing");
	return fill_ticket(&t, &r, jdoc_root(d), e) && ticket_encode(text, &t, e) &&
	       print_ticket(jdoc_root(d), text, e);
}

bool cmd_enrol_list(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };

	return remote_open(&r, REMOTE_TOKEN, e) &&
	       cmd_print_list(&r, ROUTE_TICKET_LIST, NULL, list_cols, ARRAY_SIZE(list_cols),
			      "no tickets", e);
}

bool cmd_enrol_revoke(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	const char *const params[] = { argv[0], NULL };
	struct remote_call c = { .route = ROUTE_TICKET_DELETE, .params = params };

	return remote_open(&r, REMOTE_TOKEN, e) &&
	       cmd_call_and_print(&r, &c, list_cols, ARRAY_SIZE(list_cols), e);
}
