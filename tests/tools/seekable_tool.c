/* seekable_tool encode FILE OBJECT FRAME_SIZE LEVEL THREADS
 * seekable_tool read OBJECT PLAIN_SIZE FRAME_SIZE OFFSET BYTES   prints these plain bytes
 *
 * For scenarios and measurements. */
#include "base/io.h"
#include "base/text.h"
#include "proto/seekable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 1 << 20 };

static bool number(uint64_t *ret, const char *s, struct err *e)
{
	return u64_parse(ret, s, strlen(s)) || err_set(e, E_USAGE, "\"%s\" is no number", s);
}

static bool open_file(int *ret, const char *path, int flags, struct err *e)
{
	*ret = open(path, flags | O_CLOEXEC, 0644);
	return *ret >= 0 || err_sys(e, errno, "%s", path);
}

static bool to_fd(void *arg, const void *p, size_t n, struct err *e)
{
	return write_all(*(int *)arg, p, n, e);
}

static bool copy_in(struct seekable_enc *z, int fd, uint8_t *buf, struct err *e)
{
	size_t n;

	do {
		if (!read_up_to(fd, buf, CHUNK, &n, e) || !seekable_enc_add(z, buf, n, e))
			return false;
	} while (n > 0);
	return true;
}

static bool encode(char **a, struct err *e)
{
	CLEANUP(fd_closep) int in = -1;
	CLEANUP(fd_closep) int out = -1;
	CLEANUP(seekable_enc_freep) struct seekable_enc *z = NULL;
	uint64_t frame, level, threads, size;
	uint8_t *buf;
	bool ok;

	if (!open_file(&in, a[0], O_RDONLY, e) ||
	    !open_file(&out, a[1], O_WRONLY | O_CREAT | O_TRUNC, e) ||
	    !number(&frame, a[2], e) || !number(&level, a[3], e) || !number(&threads, a[4], e))
		return false;
	if (!seekable_frame_size_ok(frame))
		return err_set(e, E_USAGE, "frame size");
	buf = malloc(CHUNK);
	if (!buf)
		return err_nomem(e);
	ok = seekable_enc_new(&z, (uint32_t)frame, (int)level, (unsigned)threads, to_fd, &out,
			      e) &&
	     copy_in(z, in, buf, e) && seekable_enc_finish(z, &size, e);
	free(buf);
	return ok;
}

static bool load_table(struct seekable_table **ret, int fd, uint64_t plain, uint32_t frame,
		       struct err *e)
{
	uint64_t n = seekable_table_size(plain, frame), object;
	uint8_t *tail = malloc(n);
	bool ok;

	if (!tail)
		return err_nomem(e);
	ok = fd_size(fd, &object, e) && (object >= n || err_set(e, E_CORRUPT, "too short")) &&
	     pread_all(fd, tail, n, object - n, e) &&
	     seekable_table_parse(ret, tail, n, object, plain, frame, e);
	free(tail);
	return ok;
}

static bool print_part(const struct seekable_table *t, struct zst_dec *z, int fd,
		       uint64_t offset, uint64_t bytes, struct err *e)
{
	while (bytes > 0) {
		struct seekable_frame f = seekable_frame_get(t, seekable_frame_at(t, offset));
		uint64_t skip = offset - f.plain_offset, n = f.plain_bytes - skip;
		uint8_t *packed = malloc(f.object_bytes), *plain = malloc(f.plain_bytes);
		bool ok = packed && plain &&
			  pread_all(fd, packed, f.object_bytes, f.object_offset, e) &&
			  seekable_frame_decode(z, &f, plain, packed, f.object_bytes, e);

		n = n < bytes ? n : bytes;
		ok = ok && write_all(STDOUT_FILENO, plain + skip, n, e);
		free(packed);
		free(plain);
		if (!ok)
			return false;
		offset += n;
		bytes -= n;
	}
	return true;
}

static bool read_part(char **a, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	CLEANUP(seekable_table_freep) struct seekable_table *t = NULL;
	CLEANUP(zst_dec_freep) struct zst_dec *z = NULL;
	uint64_t plain, frame, offset, bytes;

	if (!open_file(&fd, a[0], O_RDONLY, e) || !number(&plain, a[1], e) ||
	    !number(&frame, a[2], e) || !number(&offset, a[3], e) || !number(&bytes, a[4], e))
		return false;
	if (!seekable_frame_size_ok(frame) || offset > plain || bytes > plain - offset)
		return err_set(e, E_USAGE, "outside");
	return load_table(&t, fd, plain, (uint32_t)frame, e) && zst_dec_new(&z, e) &&
	       print_part(t, z, fd, offset, bytes, e);
}

int main(int argc, char **argv)
{
	struct err e;
	bool ok;

	if (argc == 7 && strcmp(argv[1], "encode") == 0)
		ok = encode(argv + 2, &e);
	else if (argc == 7 && strcmp(argv[1], "read") == 0)
		ok = read_part(argv + 2, &e);
	else
		ok = err_set(&e, E_USAGE, "seekable_tool encode|read ...");
	if (!ok)
		fprintf(stderr, "seekable_tool: %s\n", e.text);
	return ok ? 0 : err_exit(e.code);
}
