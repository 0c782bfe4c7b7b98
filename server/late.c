#include "server/late.h"
#include "base/io.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 65536, PIECES = 16 }; /* of one, before it is the next one's turn */

struct late_socket {
	int fd;
	int64_t until_ms;
	uint64_t left; /* bytes */
};

struct late {
	const struct clock *clock;
	int64_t max_ms;
	uint64_t max_bytes;
	pthread_t thread;
	int wake; /* eventfd */
	pthread_mutex_t lock;
	bool ending;
	size_t n;
	/* Others append behind n; only the thread looks into those before, and takes out. */
	struct late_socket v[LATE_MAX];
};

/* False: it has ended, or has sent too much. */
static bool drop(struct late_socket *s)
{
	uint8_t junk[PIECE];

	for (int i = 0; i < PIECES; i++) {
		ssize_t n = recv(s->fd, junk, sizeof(junk), MSG_DONTWAIT);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n == 0 || (uint64_t)n >= s->left)
			return false;
		s->left -= (uint64_t)n;
	}
	return true;
}

/* What to wait for; returns how many sockets, and in *ret_ms how long. */
static size_t list(struct late *l, struct pollfd *to, int64_t now_ms, int *ret_ms)
{
	int64_t first = INT32_MAX;
	size_t n;

	pthread_mutex_lock(&l->lock);
	n = l->n;
	pthread_mutex_unlock(&l->lock);
	to[0] = (struct pollfd){ .fd = l->wake, .events = POLLIN };
	for (size_t i = 0; i < n; i++) {
		int64_t ms = l->v[i].until_ms - now_ms;

		to[i + 1] = (struct pollfd){ .fd = l->v[i].fd, .events = POLLIN };
		if (ms < first)
			first = ms > 0 ? ms : 0;
	}
	*ret_ms = n > 0 ? (int)first : -1;
	return n;
}

static void take_out(struct late *l, size_t i)
{
	int fd = l->v[i].fd;

	pthread_mutex_lock(&l->lock);
	l->v[i] = l->v[--l->n];
	pthread_mutex_unlock(&l->lock);
	close(fd);
}

static bool is_ending(struct late *l)
{
	bool ending;

	pthread_mutex_lock(&l->lock);
	ending = l->ending;
	pthread_mutex_unlock(&l->lock);
	return ending;
}

static void *run(void *late)
{
	struct late *l = late;

	while (!is_ending(l)) {
		struct pollfd p[1 + LATE_MAX];
		uint64_t wakes;
		int ms;
		size_t n = list(l, p, clock_boot_ms(l->clock), &ms);

		if (poll(p, n + 1, ms) < 0 && errno != EINTR)
			break; /* without memory; late_free closes them */
		if (p[0].revents)
			(void)!read(l->wake, &wakes, sizeof(wakes));
		for (size_t i = n; i-- > 0;) {
			if ((p[i + 1].revents && !drop(&l->v[i])) ||
			    clock_boot_ms(l->clock) >= l->v[i].until_ms)
				take_out(l, i);
		}
	}
	return NULL;
}

static void wake(const struct late *l)
{
	const uint64_t one = 1;

	(void)!write(l->wake, &one, sizeof(one));
}

bool late_new(struct late **ret, const struct clock *clock, int64_t max_ms, uint64_t max_bytes,
	      struct err *e)
{
	struct late *l = calloc(1, sizeof(*l));

	if (!l)
		return err_nomem(e);
	l->clock = clock;
	l->max_ms = max_ms;
	l->max_bytes = max_bytes;
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake < 0) {
		free(l);
		return err_sys(e, errno, "eventfd");
	}
	pthread_mutex_init(&l->lock, NULL);
	if (pthread_create(&l->thread, NULL, run, l) != 0) {
		close(l->wake);
		free(l);
		return err_set(e, E_NOMEM, "no thread for connections that end");
	}
	*ret = l;
	return true;
}

void late_free(struct late *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->ending = true;
	pthread_mutex_unlock(&l->lock);
	wake(l);
	pthread_join(l->thread, NULL);
	for (size_t i = 0; i < l->n; i++)
		close(l->v[i].fd);
	close(l->wake);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void late_take(struct late *l, int fd)
{
	struct late_socket s = { .fd = fd,
				 .until_ms = clock_boot_ms(l->clock) + l->max_ms,
				 .left = l->max_bytes };
	bool taken;

	(void)shutdown(fd, SHUT_WR);
	pthread_mutex_lock(&l->lock);
	taken = l->n < LATE_MAX && !l->ending;
	if (taken)
		l->v[l->n++] = s;
	pthread_mutex_unlock(&l->lock);
	if (taken)
		wake(l);
	else
		close(fd);
}
