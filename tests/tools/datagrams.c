/* datagrams SOCKET FILE   appends each datagram that comes to a Unix socket to a file, with a line end behind it
 *
 * Stands in for systemd where a service notifies it.  Ends when it is told to. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char text[4097];
	int s, out;

	if (argc != 3 || strlen(argv[1]) >= sizeof(a.sun_path)) {
		fprintf(stderr, "usage: datagrams SOCKET FILE\n");
		return 64;
	}
	memcpy(a.sun_path, argv[1], strlen(argv[1]));
	s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	out = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (s < 0 || out < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0) {
		perror("datagrams");
		return 1;
	}
	for (;;) {
		ssize_t n = recv(s, text, sizeof(text) - 1, 0);

		if (n < 0)
			return 1;
		text[n] = '\n';
		if (write(out, text, (size_t)n + 1) != n + 1)
			return 1;
	}
}
