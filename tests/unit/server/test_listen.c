#include "tests/support/unit.h"

#include "server/listen.h"
#include "base/io.h"

#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct place {
	char dir[64], path[96];
};

static void place_make(struct place *p)
{
	snprintf(p->dir, sizeof(p->dir), "/tmp/valise-listen.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/front.sock", p->dir);
}

static void place_done(struct place *p)
{
	(void)unlink(p->path);
	assert_int_equal(rmdir(p->dir), 0);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static bool connects(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, path, strlen(path));
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

static void only_its_owner_and_group_may_connect(void **state)
{
	CLEANUP(place_done) struct place p;
	const struct group *own = getgrgid(getgid());
	struct err e;
	int fd;

	(void)state;
	place_make(&p);
	assert_ok(listen_unix(&fd, p.path, "", &e), &e);
	assert_int_equal(mode_of(p.path), 0600);
	assert_true(connects(p.path));
	close(fd);
	if (!own)
		return;
	assert_ok(listen_unix(&fd, p.path, own->gr_name, &e), &e);
	assert_int_equal(mode_of(p.path), 0660);
	close(fd);
}

static void a_dead_socket_is_replaced_and_nothing_else(void **state)
{
	CLEANUP(place_done) struct place p;
	struct err e;
	int fd, other = -7;

	(void)state;
	place_make(&p);
	assert_ok(listen_unix(&fd, p.path, "", &e), &e);
	assert_fails(listen_unix(&other, p.path, "", &e), &e, E_BUSY);
	assert_true(connects(p.path));
	close(fd);
	assert_false(connects(p.path));
	assert_ok(listen_unix(&fd, p.path, "", &e), &e);
	close(fd);

	assert_int_equal(unlink(p.path), 0);
	FILE *f = fopen(p.path, "w");
	assert_non_null(f);
	fclose(f);
	assert_fails(listen_unix(&other, p.path, "", &e), &e, E_EXISTS);
	assert_int_equal(mode_of(p.path) & 0400, 0400);
	assert_int_equal(other, -7);
}

static void bad_places_and_groups_are_refused(void **state)
{
	CLEANUP(place_done) struct place p;
	char deep[200];
	struct err e;
	int fd = -7;

	(void)state;
	place_make(&p);
	assert_fails(listen_unix(&fd, p.path, "no-such-group", &e), &e, E_CONFIG);
	assert_fails(listen_unix(&fd, "front.sock", "", &e), &e, E_CONFIG);
	memset(deep, 'x', sizeof(deep));
	deep[0] = '/';
	deep[sizeof(deep) - 1] = 0;
	assert_fails(listen_unix(&fd, deep, "", &e), &e, E_CONFIG);
	assert_int_equal(chmod(p.dir, 0777), 0);
	assert_fails(listen_unix(&fd, p.path, "", &e), &e, E_CONFIG);
	assert_int_equal(chmod(p.dir, 01777), 0);
	assert_fails(listen_unix(&fd, p.path, "", &e), &e, E_CONFIG);
	assert_int_equal(access(p.path, F_OK), -1);
	assert_int_equal(fd, -7);
}

static void addresses_are_numbers(void **state)
{
	uint16_t port = 7;
	struct err e;
	int fd = -7;

	(void)state;
	assert_fails(listen_tcp(&fd, &port, "localhost", 0, &e), &e, E_CONFIG);
	assert_fails(listen_tcp(&fd, &port, "127.0.0.1:80", 0, &e), &e, E_CONFIG);
	assert_int_equal(fd, -7);
	assert_ok(listen_tcp(&fd, &port, "127.0.0.1", 0, &e), &e);
	assert_true(port > 7);
	close(fd);
	assert_ok(listen_tcp(&fd, &port, "*", 0, &e), &e);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_its_owner_and_group_may_connect),
		cmocka_unit_test(a_dead_socket_is_replaced_and_nothing_else),
		cmocka_unit_test(bad_places_and_groups_are_refused),
		cmocka_unit_test(addresses_are_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
