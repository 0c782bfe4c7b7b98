#include "server/slow.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

struct slow {
	pthread_mutex_t lock;
	struct slow_link all; /* ring */
	uint64_t rate;
	int64_t window_ms;
};

bool slow_new(struct slow **ret, uint64_t rate, int64_t window_ms, struct err *e)
{
	struct slow *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem(e);
	pthread_mutex_init(&s->lock, NULL);
	s->all.prev = s->all.next = &s->all;
	s->rate = rate;
	s->window_ms = window_ms;
	*ret = s;
	return true;
}

void slow_free(struct slow *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void slow_add(struct slow *s, struct slow_link *l, int fd, int64_t now_ms)
{
	*l = (struct slow_link){ .fd = fd, .since_ms = now_ms };
	pthread_mutex_lock(&s->lock);
	l->next = &s->all;
	l->prev = s->all.prev;
	l->prev->next = l->next->prev = l;
	pthread_mutex_unlock(&s->lock);
}

void slow_remove(struct slow *s, struct slow_link *l)
{
	pthread_mutex_lock(&s->lock);
	l->prev->next = l->next;
	l->next->prev = l->prev;
	pthread_mutex_unlock(&s->lock);
}

void slow_ended(struct slow_link *l)
{
	__atomic_store_n(&l->is_new, true, __ATOMIC_RELAXED);
}

void slow_waits(struct slow_link *l, bool ours)
{
	__atomic_store_n(&l->is_new, true, __ATOMIC_RELAXED);
	__atomic_store_n(&l->is_ours, ours, __ATOMIC_RELAXED);
}

static uint64_t bytes_moved(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t n = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0)
		return 0;
	return info.tcpi_bytes_acked + info.tcpi_bytes_received;
}

/* Whether it has been too slow for a whole window. */
static bool is_slow(const struct slow *s, struct slow_link *l, int64_t now_ms)
{
	bool again = __atomic_exchange_n(&l->is_new, false, __ATOMIC_RELAXED) ||
		     __atomic_load_n(&l->is_ours, __ATOMIC_RELAXED);
	uint64_t moved;

	if (!again && now_ms - l->since_ms < s->window_ms)
		return false;
	moved = bytes_moved(l->fd);
	if (!again && moved - l->moved_bytes < s->rate * (uint64_t)s->window_ms / 1000)
		return true;
	l->moved_bytes = moved;
	l->since_ms = now_ms;
	return false;
}

unsigned slow_look(struct slow *s, int64_t now_ms)
{
	unsigned n = 0;

	if (s->rate == 0)
		return 0;
	pthread_mutex_lock(&s->lock);
	for (struct slow_link *l = s->all.next; l != &s->all; l = l->next) {
		if (!is_slow(s, l, now_ms))
			continue;
		/* Its thread notices and closes it; until then it is not looked at again. */
		(void)shutdown(l->fd, SHUT_RDWR);
		l->since_ms = INT64_MAX / 2;
		n++;
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}
