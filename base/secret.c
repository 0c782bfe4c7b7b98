#include "base/secret.h"
#include "base/io.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <sodium.h>

bool secret_new(struct secret **ret, size_t n, struct err *e)
{
	struct secret *s;

	if (sodium_init() < 0)
		return err_set(e, E_UNAVAILABLE, "libsodium does not start");
	s = malloc(sizeof(*s));
	if (!s)
		return err_nomem(e);
	s->n = n;
	s->p = sodium_malloc(n); /* locked where RLIMIT_MEMLOCK allows; guarded in any case */
	if (!s->p) {
		free(s);
		return err_nomem(e);
	}
	wipe(s->p, n);
	*ret = s;
	return true;
}

bool secret_copy(struct secret **ret, const void *p, size_t n, struct err *e)
{
	struct secret *s;

	if (!secret_new(&s, n, e))
		return false;
	if (n > 0)
		memcpy(s->p, p, n);
	*ret = s;
	return true;
}

void secret_free(struct secret *s)
{
	if (!s)
		return;
	sodium_free(s->p);
	free(s);
}

bool secret_read_fd(struct secret **ret, int fd, struct err *e)
{
	CLEANUP(secret_freep) struct secret *all = NULL;
	size_t n;

	/* One more than allowed, so that a longer file shows, and its newline. */
	if (!secret_new(&all, LIMIT_SECRET_FILE + 2, e) ||
	    !read_up_to(fd, all->p, all->n, &n, e))
		return false;
	if (n > 0 && all->p[n - 1] == '\n')
		n--;
	if (n > LIMIT_SECRET_FILE)
		return err_set(e, E_TOO_BIG, "a secret of more than %d bytes",
			       LIMIT_SECRET_FILE);
	return secret_copy(ret, all->p, n, e);
}

/* The terminal without echo, and without signals: were the program ended while it asks, the shell
 * would be left without echo.  So Ctrl-C arrives as a byte. */
struct silent_tty {
	int fd;
	struct termios before;
};

static void silent_tty_done(struct silent_tty *t)
{
	if (t->fd < 0)
		return;
	tcsetattr(t->fd, TCSAFLUSH, &t->before);
	fd_closep(&t->fd);
}

static bool silent_tty_init(struct silent_tty *t, struct err *e)
{
	struct termios now;

	t->fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
	if (t->fd < 0 || tcgetattr(t->fd, &t->before) < 0) {
		fd_closep(&t->fd);
		err_set(e, E_UNAVAILABLE, "there is no terminal to ask on");
		return err_hint(e, "give the secret in a file");
	}
	now = t->before;
	now.c_lflag &= ~(tcflag_t)(ECHO | ISIG | ICANON);
	now.c_cc[VMIN] = 1;
	now.c_cc[VTIME] = 0;
	if (tcsetattr(t->fd, TCSAFLUSH, &now) < 0)
		return err_sys(e, errno, "terminal");
	return true;
}

enum { CTRL_C = 3, CTRL_D = 4, CTRL_U = 21, BACKSPACE = 8, DELETE = 127 };

static bool read_line(struct secret *line, size_t *ret_n, int fd, struct err *e)
{
	size_t n = 0, got;

	for (;;) {
		uint8_t *c = line->p + line->n - 1; /* also the key just typed is guarded */

		if (!read_up_to(fd, c, 1, &got, e))
			return false;
		if (got == 0 || *c == CTRL_C || (*c == CTRL_D && n == 0))
			return err_set(e, E_CANCELLED, "no secret was given");
		if (*c == '\n' || *c == '\r' || *c == CTRL_D) {
			*ret_n = n;
			return true;
		}
		if (*c == CTRL_U)
			n = 0;
		else if (*c == BACKSPACE || *c == DELETE)
			n -= n > 0;
		else if (n < line->n - 1)
			line->p[n++] = *c;
		else
			return err_set(e, E_TOO_BIG, "a secret of more than %zu bytes", n);
	}
}

bool secret_ask(struct secret **ret, const char *prompt, struct err *e)
{
	CLEANUP(silent_tty_done) struct silent_tty tty = { .fd = -1 };
	CLEANUP(secret_freep) struct secret *line = NULL;
	size_t n;
	bool ok;

	if (!secret_new(&line, LIMIT_SECRET_FILE + 1, e) || !silent_tty_init(&tty, e) ||
	    !write_all(tty.fd, prompt, strlen(prompt), e))
		return false;
	ok = read_line(line, &n, tty.fd, e);
	/* The newline that was not echoed. */
	if (write(tty.fd, "\n", 1) < 0 || !ok)
		return ok ? err_sys(e, errno, "terminal") : false;
	return secret_copy(ret, line->p, n, e);
}

void wipe(void *p, size_t n)
{
	sodium_memzero(p, n);
}
