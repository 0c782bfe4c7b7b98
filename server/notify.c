#include "server/notify.h"
#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

bool notify_send(const char *text, struct err *e)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n;

	if (!name || !name[0])
		return true;
	n = strlen(name);
	if ((name[0] != '/' && name[0] != '@') || n >= sizeof(a.sun_path))
		return err_set(e, E_CONFIG, "NOTIFY_SOCKET: not a socket's name");
	memcpy(a.sun_path, name, n);
	if (name[0] == '@')
		a.sun_path[0] = 0; /* abstract */

	CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, errno, "notify socket");
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&a,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		return err_sys(e, errno, "notify socket");
	return true;
}

uint64_t notify_watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t us, p;

	if (!usec || !u64_parse(&us, usec, strlen(usec)))
		return 0;
	if (pid && (!u64_parse(&p, pid, strlen(pid)) || p != (uint64_t)getpid()))
		return 0;
	return us / 2000;
}
