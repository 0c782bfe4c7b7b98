#include "admin-cli/home.h"

#include "admin-cli/private.h"
#include "base/conf.h"
#include "base/file.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROW(name, text)                                                             \
	{                                                                           \
#name, CONF_STRING, offsetof(struct home_settings, name), "", text, \
			.max = 4096                                                 \
	}
static const struct conf_row rows[] = {
	ROW(server, "URL of the server, https://HOST[:PORT][/PREFIX]"),
	ROW(pin, "SHA-256 of the server's public key, in hex"),
	ROW(ca_file, "file of certificate authorities, instead of the system's"),
	ROW(proxy, "proxy URL, instead of the environment's"),
};

bool home_none(struct err *e)
{
	err_set(e, E_CONFIG, "no folder for keys: HOME is not set to an absolute path");
	return err_hint(e, "set HOME, or name the folder: --home DIR");
}

static bool default_path(char **ret, struct err *e)
{
	const char *home = getenv("VALISE_HOME");
	const char *xdg = getenv("XDG_CONFIG_HOME");
	const char *user = getenv("HOME");
	int n;

	if (home && *home)
		n = asprintf(ret, "%s", home);
	else if (xdg && *xdg == '/')
		n = asprintf(ret, "%s/valise", xdg);
	else if (user && *user == '/')
		n = asprintf(ret, "%s/.config/valise", user);
	else
		n = asprintf(ret, "%s", "");
	if (n < 0) {
		*ret = NULL;
		return err_nomem(e);
	}
	return true;
}

static bool load_settings(struct home *h, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_SETTINGS_FILE);
	CLEANUP(fd_closep) int fd = -1;

	if (!conf_defaults(&h->set, rows, ARRAY_SIZE(rows), e))
		return false;
	fd = open(h->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return true;
	if (fd < 0)
		return err_sys(e, errno, "%s", h->path);
	/* Whoever could name another server there would be sent the token. */
	if (!dir_check(fd, h->path, e))
		return false;
	if (!private_check_config(fd, "config", e) || !read_file_at(fd, "config", &text, e))
		return e->code == E_NOT_FOUND || err_wrap(e, "%s", h->path);
	return conf_parse(&h->set, rows, ARRAY_SIZE(rows), "config", buf_str(&text), text.n,
			  e) ||
	       err_wrap(e, "%s", h->path);
}

bool home_open(struct home *ret, const char *path, struct err *e)
{
	CLEANUP(home_done) struct home h = { 0 };

	if (path)
		h.path = strdup(path);
	else if (!default_path(&h.path, e))
		return false;
	if (!h.path)
		return err_nomem(e);
	if (!load_settings(&h, e))
		return false;
	*ret = h;
	memset(&h, 0, sizeof(h));
	return true;
}

void home_done(struct home *h)
{
	conf_done(&h->set, rows, ARRAY_SIZE(rows));
	free(h->path);
	h->path = NULL;
}

static bool open_top(const struct home *h, int *ret, struct err *e)
{
	return h->path[0] ? dir_open(ret, h->path, 0700, e) : home_none(e);
}

static bool add_line(struct buf *b, const char *key, const char *value, struct err *e)
{
	if (!value || !*value)
		return true;
	if (strpbrk(value, "\r\n#"))
		return err_set(e, E_USAGE, "%s may not hold line ends or '#'", key);
	return buf_printf(b, e, "%s = %s\n", key, value);
}

bool home_save(struct home *h, const char *server, const char *pin_hex, const char *ca_file,
	       const char *proxy, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_SETTINGS_FILE);
	CLEANUP(fd_closep) int fd = -1;

	return add_line(&b, "server", server, e) && add_line(&b, "pin", pin_hex, e) &&
	       add_line(&b, "ca_file", ca_file, e) && add_line(&b, "proxy", proxy, e) &&
	       open_top(h, &fd, e) && file_replace(fd, "config", 0600, b.p, b.n, e) &&
	       conf_parse(&h->set, rows, ARRAY_SIZE(rows), "config", buf_str(&b), b.n, e);
}

bool home_load_token(const struct home *h, struct secret **ret, struct err *e)
{
	CLEANUP(fd_closep) int dir = open(h->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(fd_closep) int fd = -1;

	if (dir < 0)
		return err_sys(e, errno, "%s/token", h->path);
	if (!file_open_at(&fd, dir, "token", O_RDONLY | O_NOFOLLOW, 0, e))
		return err_wrap(e, "%s", h->path);
	return (private_check(fd, "", e) && secret_read_fd(ret, fd, e)) ||
	       err_wrap(e, "%s/token", h->path);
}

bool home_save_token(const struct home *h, const char *token, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	char line[256];
	int n = snprintf(line, sizeof(line), "%s\n", token);
	bool ok;

	if (n < 0 || (size_t)n >= sizeof(line))
		return err_set(e, E_TOO_BIG, "token of %d bytes", n);
	ok = open_top(h, &fd, e) && file_replace(fd, "token", 0600, line, (size_t)n, e);
	wipe(line, sizeof(line));
	return ok;
}

bool home_folder(const struct home *h, const char *name, int *ret_fd, struct err *e)
{
	CLEANUP(fd_closep) int top = -1;

	return open_top(h, &top, e) && dir_open_at(ret_fd, top, name, 0700, e);
}

static bool folder_if_there(const struct home *h, const char *folder, int *ret, struct err *e)
{
	CLEANUP(fd_closep) int top = open(h->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*ret = top >= 0 ? openat(top, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	return *ret >= 0 || err_sys(e, errno, "%s/%s", h->path, folder);
}

bool home_read(const struct home *h, const char *folder, const char *name, struct buf *ret,
	       struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;

	return folder_if_there(h, folder, &fd, e) &&
	       (read_file_at(fd, name, ret, e) || err_wrap(e, "%s/%s", h->path, folder));
}

bool home_write(const struct home *h, const char *folder, const char *name, unsigned mode,
		const void *p, size_t n, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;

	return home_folder(h, folder, &fd, e) && file_replace(fd, name, mode, p, n, e);
}

bool home_remove(const struct home *h, const char *folder, const char *name, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;

	if (!folder_if_there(h, folder, &fd, e))
		return e->code == E_NOT_FOUND;
	return file_remove(fd, name, e);
}
