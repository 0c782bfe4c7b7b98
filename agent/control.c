#include "agent/control.h"

#include "base/io.h"
#include "proto/jread.h"
#include "proto/jwrite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_NAME "control"

const char *const control_verb_names[] = { "status",   "start",      "stop",    "install",
					   "check-in", "rotate-key", "console", NULL };

/* Below the limit of sun_path whatever the state folder's length. */
static void address_of(struct sockaddr_un *a, int dirfd)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/" SOCKET_NAME, dirfd);
}

bool control_init(struct control *c, int state_dirfd, struct err *e)
{
	struct sockaddr_un a;

	c->fd = -1;
	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		c->clients[i] =
			(struct control_client){ .fd = -1, .in = BUF_INIT(LIMIT_CONTROL_LINE) };
	CLEANUP(fd_closep)
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, errno, "control socket");
	if (unlinkat(state_dirfd, SOCKET_NAME, 0) < 0 && errno != ENOENT)
		return err_sys(e, errno, "control socket");
	/* Never open to others, not even between bind and chmod. */
	if (fchmod(fd, 0600) < 0)
		return err_sys(e, errno, "control socket");
	address_of(&a, state_dirfd);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    fchmodat(state_dirfd, SOCKET_NAME, 0600, 0) < 0 || listen(fd, 8) < 0)
		return err_sys(e, errno, "control socket");
	c->fd = TAKE_FD(fd);
	return true;
}

void control_drop(struct control_client *client)
{
	fd_closep(&client->fd);
	buf_reset(&client->in);
	client->console = false;
}

void control_done(struct control *c, int state_dirfd)
{
	if (c->fd < 0)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		control_drop(&c->clients[i]);
		buf_done(&c->clients[i].in);
	}
	fd_closep(&c->fd);
	unlinkat(state_dirfd, SOCKET_NAME, 0);
}

void control_accept(struct control *c)
{
	CLEANUP(fd_closep) int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	for (size_t i = 0; fd >= 0 && i < CONTROL_CLIENTS; i++)
		if (c->clients[i].fd < 0)
			c->clients[i].fd = TAKE_FD(fd);
}

static bool parse_verb(enum control_verb *ret, const void *p, size_t n, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	unsigned verb;

	if (!jdoc_parse(&d, p, n, e) || !jval_is_obj(jdoc_root(d), e) ||
	    !jobj_choice(&verb, jdoc_root(d), "cmd", control_verb_names, e))
		return false;
	*ret = (enum control_verb)verb;
	return true;
}

bool control_read(struct control_client *client, enum control_verb *ret, bool *ret_have)
{
	uint8_t bytes[1024];
	struct err e;

	*ret_have = false;
	ssize_t n = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	if (!buf_add(&client->in, bytes, (size_t)n, &e)) {
		control_fail(client, &e);
		return false;
	}
	uint8_t *end = memchr(client->in.p, '\n', client->in.n);
	if (!end)
		return true;
	size_t line = (size_t)(end - client->in.p);
	bool ok = parse_verb(ret, client->in.p, line, &e);
	memmove(client->in.p, end + 1, client->in.n - line - 1);
	client->in.n -= line + 1;
	if (!ok) {
		control_fail(client, &e);
		return false;
	}
	*ret_have = true;
	return true;
}

static bool send_line(struct control_client *client, struct buf *line)
{
	struct err ignored;

	if (!buf_add_str(line, "\n", &ignored))
		return false;
	return send(client->fd, line->p, line->n, MSG_NOSIGNAL | MSG_DONTWAIT) ==
	       (ssize_t)line->n;
}

bool control_ok(struct control_client *client, const struct buf *status)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(LIMIT_CONTROL_LINE);
	struct err ignored;
	struct jw w;

	jw_init(&w, &out);
	jw_obj(&w, NULL);
	jw_bool(&w, "ok", true);
	if (status)
		jw_raw(&w, "status", buf_str(status), status->n);
	jw_end(&w);
	return jw_finish(&w, &ignored) && send_line(client, &out);
}

bool control_fail(struct control_client *client, const struct err *why)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(LIMIT_CONTROL_LINE);
	struct err ignored;
	struct jw w;

	jw_init(&w, &out);
	jw_obj(&w, NULL);
	jw_bool(&w, "ok", false);
	jw_str(&w, "code", err_name(why->code));
	jw_lossy(&w, "message", why->text, strlen(why->text));
	jw_str(&w, "hint", why->hint ? why->hint : "");
	jw_end(&w);
	return jw_finish(&w, &ignored) && send_line(client, &out);
}

/* ---- the other end ----------------------------------------------------------------------- */

static bool connect_agent(int *ret, const char *state_dir, struct err *e)
{
	CLEANUP(fd_closep) int dirfd = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = 30 };
	struct sockaddr_un a;

	if (dirfd < 0) {
		err_sys(e, errno, "%s", state_dir);
		return e->code != E_NOT_FOUND
			       ? false
			       : err_hint(e, "this handset is not enrolled (valise-agent enrol "
					     "TICKET), or its state_dir is another one");
	}
	if (fd < 0)
		return err_sys(e, errno, "socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	address_of(&a, dirfd);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		if (errno != ENOENT && errno != ECONNREFUSED)
			return err_sys(e, errno, "%s/" SOCKET_NAME, state_dir);
		err_set(e, E_UNAVAILABLE, "no agent runs with %s", state_dir);
		return err_hint(e, "start it: valise-agent run");
	}
	*ret = TAKE_FD(fd);
	return true;
}

/* Byte by byte: what follows the line may be the console's. */
static bool read_line(struct buf *out, int fd, struct err *e)
{
	for (;;) {
		char c;
		ssize_t n = recv(fd, &c, 1, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, E_TIMEOUT, "the agent does not answer");
		if (n == 0)
			return err_set(e, E_UNAVAILABLE, "the agent hung up");
		if (c == '\n')
			return true;
		if (!buf_add(out, &c, 1, e))
			return false;
	}
}

static bool take_answer(struct buf *ret, const struct buf *line, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	/* struct err borrows it; a command line asks once. */
	static char kept_hint[LIMIT_TEXT + 1];
	const char *code, *message;
	bool ok;

	if (!jdoc_parse(&d, line->p, line->n, e) || !jval_is_obj(jdoc_root(d), e) ||
	    !jobj_bool(&ok, jdoc_root(d), "ok", e))
		return err_wrap(e, "the agent's answer");
	if (!ok) {
		if (!jobj_str(&code, jdoc_root(d), "code", LIMIT_NAME, e) ||
		    !jobj_text(&message, NULL, jdoc_root(d), "message", LIMIT_TEXT, e) ||
		    !jobj_copy(kept_hint, sizeof(kept_hint), jdoc_root(d), "hint", e))
			return false;
		err_from_name(e, code, "%s", message);
		return err_hint(e, kept_hint);
	}
	/* The agent's own writer made it: X stands between this head and the last brace. */
	static const char head[] = "{\"ok\":true,\"status\":";
	size_t n = sizeof(head) - 1;
	if (line->n > n && memcmp(line->p, head, n) == 0)
		return buf_add(ret, line->p + n, line->n - n - 1, e);
	return true;
}

bool control_call(struct buf *ret, int *ret_fd, const char *state_dir, enum control_verb verb,
		  struct err *e)
{
	CLEANUP(buf_done) struct buf line = BUF_INIT(LIMIT_CONTROL_LINE);
	CLEANUP(fd_closep) int fd = -1;
	char command[64];
	int n = snprintf(command, sizeof(command), "{\"cmd\":\"%s\"}\n",
			 control_verb_names[verb]);

	if (!connect_agent(&fd, state_dir, e) || !write_all(fd, command, (size_t)n, e) ||
	    !read_line(&line, fd, e) || !take_answer(ret, &line, e))
		return false;
	if (ret_fd)
		*ret_fd = TAKE_FD(fd);
	return true;
}
