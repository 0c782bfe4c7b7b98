#include "server/listen.h"
#include "base/io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

union any_addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static bool parse_address(union any_addr *ret, socklen_t *ret_n, const char *address,
			  uint16_t port)
{
	memset(ret, 0, sizeof(*ret));
	if (strcmp(address, "*") == 0)
		address = "::";
	if (inet_pton(AF_INET, address, &ret->v4.sin_addr) == 1) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons(port);
		*ret_n = sizeof(ret->v4);
		return true;
	}
	if (inet_pton(AF_INET6, address, &ret->v6.sin6_addr) == 1) {
		ret->v6.sin6_family = AF_INET6;
		ret->v6.sin6_port = htons(port);
		*ret_n = sizeof(ret->v6);
		return true;
	}
	return false;
}

static bool open_tcp(int *ret, const union any_addr *a, socklen_t n, bool both, struct err *e)
{
	int one = 1, only_v6 = !both;

	CLEANUP(fd_closep)
	int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, errno, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		return err_sys(e, errno, "socket option");
	if (a->sa.sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6)) < 0)
		return err_sys(e, errno, "socket option");
	if (bind(fd, &a->sa, n) < 0)
		return err_sys(e, errno, "bind");
	if (listen(fd, BACKLOG) < 0)
		return err_sys(e, errno, "listen");
	*ret = TAKE_FD(fd);
	return true;
}

bool listen_tcp(int *ret, uint16_t *ret_port, const char *address, uint16_t port, struct err *e)
{
	bool any = strcmp(address, "*") == 0;
	union any_addr a;
	socklen_t n;

	if (!parse_address(&a, &n, address, port))
		return err_set(e, E_CONFIG, "listen.address: \"%s\" is not a numeric address",
			       address);

	CLEANUP(fd_closep) int fd = -1;
	if (!open_tcp(&fd, &a, n, any, e)) {
		/* A machine without IPv6. */
		bool again = any && parse_address(&a, &n, "0.0.0.0", port) &&
			     open_tcp(&fd, &a, n, false, e);
		if (!again)
			return err_wrap(e, "%s port %u", address, port);
	}
	n = sizeof(a);
	if (getsockname(fd, &a.sa, &n) < 0)
		return err_sys(e, errno, "getsockname");
	*ret_port = ntohs(a.sa.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
	*ret = TAKE_FD(fd);
	return true;
}

static bool remove_dead_socket(const struct sockaddr_un *a, struct err *e)
{
	struct stat st;

	if (lstat(a->sun_path, &st) < 0)
		return errno == ENOENT ? true : err_sys(e, errno, "%s", a->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, E_EXISTS, "%s: there is something that is not a socket",
			       a->sun_path);

	CLEANUP(fd_closep) int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (probe < 0)
		return err_sys(e, errno, "socket");
	if (connect(probe, (const struct sockaddr *)a, sizeof(*a)) == 0)
		return err_set(e, E_BUSY, "%s: somebody listens there", a->sun_path);
	if (unlink(a->sun_path) < 0 && errno != ENOENT)
		return err_sys(e, errno, "%s", a->sun_path);
	return true;
}

/* Where everybody may write, somebody else's socket may stand in the place of ours: who connects
 * there would hand them every request, tokens included. */
static bool check_folder(const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)] = "/";
	struct stat st;

	if (slash != path)
		snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	if (stat(folder, &st) < 0)
		return err_sys(e, errno, "%s", folder);
	if (st.st_mode & S_IWOTH) {
		err_set(e, E_CONFIG, "listen.unix: everybody may write in %s", folder);
		return err_hint(e, "use a folder of its own, like /run/valised");
	}
	return true;
}

/* -1 for "" */
static bool find_group(gid_t *ret, const char *name, struct err *e)
{
	struct group gr, *found = NULL;
	char room[16384];
	int rc;

	*ret = (gid_t)-1;
	if (!name[0])
		return true;
	rc = getgrnam_r(name, &gr, room, sizeof(room), &found);
	if (!found)
		return rc ? err_sys(e, rc, "group %s", name)
			  : err_set(e, E_CONFIG, "listen.unix_group: there is no group \"%s\"",
				    name);
	*ret = found->gr_gid;
	return true;
}

/* Nobody else gets in before the group is set. */
static bool bind_for(int fd, const struct sockaddr_un *a, gid_t group, struct err *e)
{
	mode_t old = umask(0177);
	int rc = bind(fd, (const struct sockaddr *)a, sizeof(*a));

	umask(old);
	if (rc < 0 || (group != (gid_t)-1 && (lchown(a->sun_path, (uid_t)-1, group) < 0 ||
					      chmod(a->sun_path, 0660) < 0)))
		return err_sys(e, errno, "%s", a->sun_path);
	return true;
}

bool listen_unix(int *ret, const char *path, const char *group, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	gid_t gid;

	if (path[0] != '/' || strlen(path) >= sizeof(a.sun_path))
		return err_set(e, E_CONFIG, "%s: not absolute, or too long for a socket", path);
	memcpy(a.sun_path, path, strlen(path));
	if (!find_group(&gid, group, e) || !check_folder(path, e) || !remove_dead_socket(&a, e))
		return false;

	CLEANUP(fd_closep)
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, errno, "socket");
	if (!bind_for(fd, &a, gid, e))
		return false;
	if (listen(fd, BACKLOG) < 0)
		return err_sys(e, errno, "%s", path);
	*ret = TAKE_FD(fd);
	return true;
}
