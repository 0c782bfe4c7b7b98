/* valise-delta: makes deltas, applies them, tells what is in them, measures. */
#include "base/cli.h"
#include "base/io.h"
#include "base/progress.h"
#include "base/sandbox.h"
#include "delta/delta.h"
#include "delta/tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *opt_output = "table";
static bool opt_quiet, opt_resume;
static uint64_t opt_threads, opt_files = 20;

/* Images and deltas are read and written here and there: what has no length and no places is none. */
static bool open_file(int *ret, const char *path, int flags, struct err *e)
{
	struct stat st;

	if (!file_open_at(ret, AT_FDCWD, path, flags, 0644, e))
		return false;
	if (fstat(*ret, &st) != 0)
		return err_sys(e, errno, "%s", path);
	if (S_ISREG(st.st_mode))
		return true;
	err_set(e, E_USAGE, "%s is no file", path);
	return err_hint(
		e, "give files; what comes from a pipe or a device has to go into one first");
}

/* Half a delta is none.  Only the file itself goes: the path may be a link, to /dev/stdout as well. */
static void remove_output(const char *path, int fd)
{
	struct stat a, b;

	if (fstat(fd, &a) != 0 || !S_ISREG(a.st_mode))
		return;
	(void)!ftruncate(fd, 0);
	if (lstat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		unlink(path);
}

/* The delta that is being made; signals that end the program take it along. */
static struct {
	const char *path;
	int fd;
} unfinished;

static void end_with(int signal)
{
	remove_output(unfinished.path, unfinished.fd);
	raise(signal);
}

/* Opens it.  From when it is there it is taken along, so no signal comes between. */
static bool open_unfinished(int *ret, const char *path, struct err *e)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	const struct sigaction act = { .sa_handler = end_with,
				       .sa_flags = (int)(SA_RESETHAND | SA_NODEFER) };
	struct sigaction was;
	sigset_t all, before;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	bool ok = open_file(ret, path, O_RDWR | O_CREAT, e);
	unfinished.path = path;
	unfinished.fd = *ret;
	for (size_t i = 0; ok && i < ARRAY_SIZE(signals); i++)
		if (sigaction(signals[i], NULL, &was) == 0 && was.sa_handler == SIG_DFL)
			sigaction(signals[i], &act, NULL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return ok;
}

/* What is written must not be what is read: it would be gone before it was looked at. */
static bool is_another(const char *out, const char *in, int in_fd, struct err *e)
{
	struct stat a, b;

	if (fstat(in_fd, &a) != 0)
		return err_sys(e, errno, "%s", in);
	if (stat(out, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		return err_set(e, E_USAGE, "%s is %s: name another file to write to", out, in);
	return true;
}

static bool is_json(void)
{
	return strcmp(opt_output, "json") == 0;
}

static bool want_json(bool *ret, struct err *e)
{
	*ret = is_json();
	return *ret || strcmp(opt_output, "table") == 0 ||
	       err_set(e, E_USAGE, "-o is table or json");
}

/* ---- what a delta is like ---- */

static const struct {
	const char *word, *help;
} kinds[DELTA_KINDS] = {
#define XX(name, word, help) { word, help },
	DELTA_KIND_MAP(XX)
#undef XX
};

static const struct {
	const char *word, *help;
} contents[DELTA_CONTENTS] = {
#define XX(name, word, help) { word, help },
	DELTA_CONTENT_MAP(XX)
#undef XX
};

static void print_account_json(const struct delta_account *a)
{
	printf(", \"made\": {\"index\": %" PRIu64 ", \"commands\": %" PRIu64
	       ", \"recipes\": %" PRIu64,
	       a->index_bytes, a->command_bytes, a->recipe_bytes);
	for (unsigned k = 0; k < DELTA_CONTENTS; k++)
		printf(", \"%s\": %" PRIu64, contents[k].word, a->content_bytes[k]);
	printf("}, \"encoders\": [");
	for (unsigned k = 0; k < a->n_encoders; k++) {
		const struct delta_encoder *x = &a->encoders[k];

		printf("%s{\"name\": \"%s\", \"streams\": %" PRIu64
		       ", \"packed_bytes\": %" PRIu64 ", \"plain_bytes\": %" PRIu64
		       ", \"spent_bytes\": %" PRIu64 "}",
		       k ? ", " : "", x->name, x->streams, x->packed_bytes, x->plain_bytes,
		       x->spent_bytes);
	}
	printf("], \"files_all\": %zu, \"files\": [", a->paths_all);
	for (size_t k = 0; k < a->n_paths && k < opt_files; k++) {
		printf("%s{\"path\": \"", k ? ", " : "");
		for (const char *c = a->paths[k].path; *c; c++)
			printf(*c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
		printf("\", \"spent_bytes\": %" PRIu64 "}", a->paths[k].spent_bytes);
	}
	printf("]");
}

/* The encoder tells it of deltas of some KiB and more. */
static bool is_told(const struct delta_info *i)
{
	uint64_t all = 0;

	for (unsigned k = 0; k < DELTA_KINDS; k++)
		all += i->spent_bytes[k];
	return all > 0;
}

/* a: NULL when nobody looked at the contents. */
static void print_json(const struct delta_info *i, const struct delta_account *a)
{
	printf("{\"old_size\": %" PRIu64 ", \"new_size\": %" PRIu64 ", \"delta_size\": %" PRIu64
	       ", \"segment_bytes\": %" PRIu32 ", \"segments\": %" PRIu32
	       ", \"frames\": %" PRIu32 ", \"commands\": %" PRIu64 ", \"streams_old\": %" PRIu32
	       ", \"streams_new\": %" PRIu32 ", \"spent\": {",
	       i->old_size, i->new_size, i->delta_size, i->segment_bytes, i->segments,
	       i->frames, i->ops, i->streams_old, i->streams_new);
	for (unsigned k = 0; is_told(i) && k < DELTA_KINDS; k++)
		printf("%s\"%s\": %" PRIu64, k ? ", " : "", kinds[k].word, i->spent_bytes[k]);
	printf("}");
	if (a)
		print_account_json(a);
	puts("}");
}

static double percent(uint64_t part, uint64_t all)
{
	return all ? 100.0 * (double)part / (double)all : 0;
}

static void print_row(const char *name, uint64_t bytes, uint64_t all, const char *help)
{
	printf("%-11s %14" PRIu64 " bytes %5.1f %%  %s\n", name, bytes, percent(bytes, all),
	       help);
}

static void print_encoders(const struct delta_account *a)
{
	printf("\n%-26s %8s %14s %14s %14s\n", "streams packed by", "number", "packed", "plain",
	       "bytes spent");
	for (unsigned k = 0; k < a->n_encoders; k++) {
		const struct delta_encoder *x = &a->encoders[k];

		printf("%-26s %8" PRIu64 " %14" PRIu64 " %14" PRIu64 " %14" PRIu64 "\n",
		       x->name, x->streams, x->packed_bytes, x->plain_bytes, x->spent_bytes);
	}
}

static void print_files(const struct delta_account *a, uint64_t all)
{
	size_t n = a->n_paths < opt_files ? a->n_paths : (size_t)opt_files;

	printf("\n%zu of %zu files that cost something:\n", n, a->paths_all);
	for (size_t k = 0; k < n; k++)
		printf("%14" PRIu64 " bytes %5.1f %%  %s\n", a->paths[k].spent_bytes,
		       percent(a->paths[k].spent_bytes, all), a->paths[k].path);
}

/* Every byte of the delta once, files and encoders beside it. */
static void print_account(const struct delta_account *a, uint64_t all)
{
	puts("\nby what they make:");
	print_row("index", a->index_bytes, all, "header, hashes, table of old streams");
	print_row("commands", a->command_bytes, all, "which old ranges go where");
	print_row("recipes", a->recipe_bytes, all, "how streams are packed again");
	for (unsigned k = 0; k < DELTA_CONTENTS; k++)
		if (a->content_bytes[k])
			print_row(contents[k].word, a->content_bytes[k], all, contents[k].help);
	if (a->n_encoders)
		print_encoders(a);
	if (a->n_paths && opt_files)
		print_files(a, all);
}

static void print_table(const struct delta_info *i, const struct delta_account *a)
{
	printf("old image   %14" PRIu64 " bytes\n", i->old_size);
	printf("new image   %14" PRIu64 " bytes\n", i->new_size);
	printf("segments    %14" PRIu32 " of %" PRIu32 " bytes\n", i->segments,
	       i->segment_bytes);
	printf("delta       %14" PRIu64 " bytes, %.3f %% of the new image\n", i->delta_size,
	       i->new_size ? 100.0 * (double)i->delta_size / (double)i->new_size : 0);
	printf("frames      %14" PRIu32 "\n", i->frames);
	printf("commands    %14" PRIu64 "\n", i->ops);
	printf("streams     %14" PRIu32 " seen through, with the help of %" PRIu32
	       " old ones\n",
	       i->streams_new, i->streams_old);
	if (is_told(i))
		puts("");
	for (unsigned k = 0; is_told(i) && k < DELTA_KINDS; k++)
		print_row(kinds[k].word, i->spent_bytes[k], i->delta_size, kinds[k].help);
	if (a)
		print_account(a, i->delta_size);
}

static bool print_info(const struct delta_info *i, const struct delta_account *a, struct err *e)
{
	bool json = false;

	if (!want_json(&json, e))
		return false;
	if (json)
		print_json(i, a);
	else
		print_table(i, a);
	return true;
}

/* ---- progress ---- */

struct telling {
	const char *name; /* of the bar, which begins when there is something to tell */
	struct progress bar;
	bool begun;
};

static void tell(void *ctx, uint64_t done, uint64_t total)
{
	struct telling *t = ctx;

	if (!t->begun)
		progress_start(&t->bar, clock_system(), !opt_quiet, t->name, total);
	t->begun = true;
	progress_set(&t->bar, done < total ? done : total);
}

static void tell_end(struct telling *t, bool ok)
{
	if (t->begun)
		progress_end(&t->bar, ok);
	t->begun = false;
}

/* ---- create ---- */

static bool tell_create(void *ctx, uint64_t done, uint64_t total)
{
	tell(ctx, done, total);
	return true;
}

/* Unpacked streams go to an unlinked file beside the delta: they need not fit into memory. */
static int scratch_beside(const char *path)
{
	char dir[4096];
	const char *slash = strrchr(path, '/');

	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path + 1) : 1,
		 slash ? path : ".");
	return open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static unsigned threads(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t n = opt_threads ? opt_threads : (uint64_t)cores;

	return n < TASKS_THREADS_MAX ? (unsigned)n : TASKS_THREADS_MAX;
}

static bool create_files(const char *old, const char *new, const char *out,
			 struct delta_info *ret, struct err *e)
{
	CLEANUP(fd_closep) int old_fd = -1, new_fd = -1, out_fd = -1;
	CLEANUP(fd_closep) int scratch = scratch_beside(out);
	struct telling t = { .name = "create" };

	if (!open_file(&old_fd, old, O_RDONLY, e) || !open_file(&new_fd, new, O_RDONLY, e) ||
	    !is_another(out, old, old_fd, e) || !is_another(out, new, new_fd, e) ||
	    !open_unfinished(&out_fd, out, e))
		return false;
	if (ftruncate(out_fd, 0) != 0)
		return err_sys(e, errno, "%s", out);
	struct delta_job job = { .old_fd = old_fd,
				 .new_fd = new_fd,
				 .out_fd = out_fd,
				 .scratch_fd = scratch,
				 .threads = threads(),
				 .progress = tell_create,
				 .ctx = &t };
	bool ok = delta_create(&job, ret, e);
	tell_end(&t, ok);
	if (!ok)
		remove_output(out, out_fd);
	unfinished.fd = -1; /* it is, or it is gone */
	return ok;
}

static bool cmd_create(int argc UNUSED, char **argv, struct err *e)
{
	struct delta_info info;
	bool json;

	return want_json(&json, e) && create_files(argv[0], argv[1], argv[2], &info, e) &&
	       print_info(&info, NULL, e);
}

/* ---- apply ---- */

static bool open_told(struct delta **ret, int delta_fd, int old_fd, struct telling *t,
		      struct err *e)
{
	t->name = "check";
	bool ok = delta_open_told(ret, delta_fd, old_fd, tell, t, e);
	tell_end(t, ok);
	return ok;
}

struct applying {
	int old_fd, delta_fd, out_fd;
	uint64_t first, size;
	struct telling telling;
};

static bool write_segment(void *ctx, uint64_t offset, const uint8_t *p, size_t n, struct err *e)
{
	struct applying *a = ctx;

	tell(&a->telling, offset + n, a->size);
	return a->out_fd < 0 || pwrite_all(a->out_fd, p, n, offset, e);
}

/* Where to go on: behind what is there and right, whatever a crash has left. */
static bool find_first(struct applying *a, const struct delta *d, const struct delta_info *info,
		       struct err *e)
{
	uint8_t *p = malloc(info->segment_bytes);
	bool ok = true, more = true;

	if (!p)
		return err_nomem(e);
	while (ok && more && a->first < info->new_size) {
		uint64_t left = info->new_size - a->first;
		size_t n = left < info->segment_bytes ? (size_t)left : info->segment_bytes;

		if (pread_all(a->out_fd, p, n, a->first, e))
			more = delta_has(d, a->first, p, n);
		else
			ok = e->code == E_CORRUPT, more = false; /* it ends here */
		a->first += more ? n : 0;
	}
	free(p);
	return ok;
}

static bool apply_in_child(void *ctx, struct err *e)
{
	struct applying *a = ctx;
	CLEANUP(delta_freep) struct delta *d = NULL;
	struct delta_info info;

	if (!open_told(&d, a->delta_fd, a->old_fd, &a->telling, e))
		return false;
	a->telling.name = "apply";
	delta_describe(d, &info);
	if (opt_resume && !find_first(a, d, &info, e))
		return err_wrap(e, "what is there of the output");
	if (a->first == info.new_size)
		return true;
	/* Only now, as the two files fit: from here on all that is in it is right. */
	if (ftruncate(a->out_fd, (off_t)a->first) != 0)
		return err_sys(e, errno, "output");
	a->size = info.new_size;
	bool ok = delta_apply(d, a->first, write_segment, a, e);
	tell_end(&a->telling, ok);
	return ok;
}

static const struct sandbox box = { .profile = SANDBOX_COMPUTE, .memory_bytes = 256 << 20 };

static bool apply_files(const char *old, const char *delta, const char *out, struct err *e)
{
	CLEANUP(fd_closep) int old_fd = -1, delta_fd = -1, out_fd = -1;
	struct applying a = { .first = 0 };
	struct delta_info info;
	int keep[3];

	if (!open_file(&old_fd, old, O_RDONLY, e) || !open_file(&delta_fd, delta, O_RDONLY, e))
		return false;
	if (!delta_look(&info, delta_fd, e))
		return err_wrap(e, "%s", delta);
	if (!is_another(out, old, old_fd, e) || !is_another(out, delta, delta_fd, e) ||
	    !open_file(&out_fd, out, O_RDWR | O_CREAT, e))
		return false;
	a.old_fd = keep[0] = old_fd;
	a.delta_fd = keep[1] = delta_fd;
	a.out_fd = keep[2] = out_fd;
	if (!sandbox_call(&box, apply_in_child, &a, keep, ARRAY_SIZE(keep), e))
		return err_wrap(e, "%s", delta);
	if (ftruncate(out_fd, (off_t)info.new_size) != 0)
		return err_sys(e, errno, "%s", out);
	return fd_sync(out_fd, e);
}

static bool cmd_apply(int argc UNUSED, char **argv, struct err *e)
{
	return apply_files(argv[0], argv[1], argv[2], e);
}

/* ---- info ---- */

static const char *opt_old;

/* An unlinked file where there is room for an image. */
static bool scratch_open(int *ret, struct err *e)
{
	const char *dir = getenv("TMPDIR");
	char path[4096];

	snprintf(path, sizeof(path), "%s/valise-delta.XXXXXX", dir && *dir ? dir : "/tmp");
	*ret = mkostemp(path, O_CLOEXEC);
	if (*ret < 0 || unlink(path) != 0)
		return err_sys(e, errno, "%s", path);
	return true;
}

static bool account_files(int delta_fd, struct delta_account *ret, struct err *e)
{
	CLEANUP(fd_closep) int old_fd = -1, image_fd = -1;
	CLEANUP(delta_freep) struct delta *d = NULL;
	struct telling t = { .begun = false };

	if (!open_file(&old_fd, opt_old, O_RDONLY, e) || !scratch_open(&image_fd, e) ||
	    !open_told(&d, delta_fd, old_fd, &t, e))
		return false;
	t.name = "account";
	bool ok = delta_account(d, image_fd, ret, e);
	tell_end(&t, ok);
	return ok;
}

static bool cmd_info(int argc UNUSED, char **argv, struct err *e)
{
	CLEANUP(delta_account_done) struct delta_account a = { .n_paths = 0 };
	CLEANUP(fd_closep) int fd = -1;
	struct delta_info info;
	bool json;

	if (!want_json(&json, e) || !open_file(&fd, argv[0], O_RDONLY, e))
		return false;
	if (!delta_look(&info, fd, e) || (opt_old && !account_files(fd, &a, e)))
		return err_wrap(e, "%s", argv[0]);
	return print_info(&info, opt_old ? &a : NULL, e);
}

/* ---- bench ---- */

struct measure {
	double cpu_s, wall_s;
	long peak_kib;
};

/* Runs a step in a child of its own, so that its time and peak memory are its own. */
static bool measured(struct measure *ret, bool (*step)(void *ctx, struct err *e), void *ctx,
		     struct err *e)
{
	int64_t start = clock_boot_ms(clock_system());
	struct rusage used;
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return err_sys(e, errno, "fork");
	if (pid == 0) {
		bool ok = step(ctx, e);

		if (!ok)
			cli_print_error("valise-delta", e);
		_exit(ok ? 0 : 1);
	}
	if (wait4(pid, &status, 0, &used) != pid)
		return err_sys(e, errno, "wait4");
	if (status != 0)
		return err_set(e, E_INTERNAL, "the step failed, see above");
	ret->wall_s = (double)(clock_boot_ms(clock_system()) - start) / 1000;
	ret->cpu_s = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
		     (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
	ret->peak_kib = used.ru_maxrss;
	return true;
}

struct benching {
	const char *old, *new, *out;
	struct applying applying;
};

static bool bench_create(void *ctx, struct err *e)
{
	struct benching *b = ctx;
	struct delta_info info;

	return create_files(b->old, b->new, b->out, &info, e);
}

/* What comes out must be the new image. */
static bool compare_segment(void *ctx, uint64_t offset, const uint8_t *p, size_t n,
			    struct err *e)
{
	struct applying *a = ctx;
	uint8_t part[65536];

	for (size_t at = 0; at < n; at += sizeof(part)) {
		size_t k = n - at < sizeof(part) ? n - at : sizeof(part);

		if (!pread_all(a->out_fd, part, k, offset + at, e))
			return false;
		if (memcmp(part, p + at, k) != 0)
			return err_set(e, E_CORRUPT, "wrong bytes at %" PRIu64, offset + at);
	}
	return true;
}

static bool bench_apply(void *ctx, struct err *e)
{
	struct benching *b = ctx;
	CLEANUP(delta_freep) struct delta *d = NULL;

	return delta_open(&d, b->applying.delta_fd, b->applying.old_fd, e) &&
	       delta_apply(d, 0, compare_segment, &b->applying, e);
}

static bool print_bench(const struct delta_info *i, const struct measure *create,
			const struct measure *apply, struct err *e)
{
	double mib = (double)i->new_size / 1048576;
	bool json = false;

	if (!want_json(&json, e))
		return false;
	if (json) {
		printf("{\"delta_size\": %" PRIu64
		       ", \"create_cpu_ms\": %.0f, \"create_ms\": %.0f, "
		       "\"create_kib\": %ld, \"apply_cpu_ms\": %.0f, \"apply_kib\": %ld}\n",
		       i->delta_size, create->cpu_s * 1000, create->wall_s * 1000,
		       create->peak_kib, apply->cpu_s * 1000, apply->peak_kib);
		return true;
	}
	print_table(i, NULL);
	printf("\ncreate      %14.2f CPU s, %.2f s, %ld KiB\n", create->cpu_s, create->wall_s,
	       create->peak_kib);
	printf("apply       %14.2f CPU s, %.0f MiB/s, %ld KiB; output verified\n", apply->cpu_s,
	       apply->cpu_s > 0 ? mib / apply->cpu_s : 0, apply->peak_kib);
	return true;
}

static bool cmd_bench(int argc, char **argv, struct err *e)
{
	struct benching b = { .old = argv[0],
			      .new = argv[1],
			      .out = argc > 2 ? argv[2] : NULL };
	CLEANUP(fd_closep) int old_fd = -1, delta_fd = -1, new_fd = -1;
	struct measure create, apply;
	struct delta_info info;
	const char *dir = getenv("TMPDIR");
	char temp[4096];
	bool json;

	if (!want_json(&json, e))
		return false;
	if (!b.out) {
		snprintf(temp, sizeof(temp), "%s/valise-delta.XXXXXX",
			 dir && *dir ? dir : "/tmp");
		CLEANUP(fd_closep) int fd = mkostemp(temp, O_CLOEXEC);
		if (fd < 0)
			return err_sys(e, errno, "%s", temp);
		b.out = temp;
	}
	bool ok = measured(&create, bench_create, &b, e) &&
		  open_file(&old_fd, b.old, O_RDONLY, e) &&
		  open_file(&new_fd, b.new, O_RDONLY, e) &&
		  open_file(&delta_fd, b.out, O_RDONLY, e);
	b.applying =
		(struct applying){ .old_fd = old_fd, .delta_fd = delta_fd, .out_fd = new_fd };
	ok = ok && measured(&apply, bench_apply, &b, e) && delta_look(&info, delta_fd, e) &&
	     print_bench(&info, &create, &apply, e);
	if (argc <= 2)
		unlink(temp);
	return ok;
}

static const struct cli_opt common_opts[] = {
	{ "output", 'o', "FORMAT", "table or json", CLI_STRING, &opt_output },
	{ 0 },
};

static const struct cli_opt create_opts[] = {
	{ "threads", 't', "N", "threads (default: one per core); at most 8 are used", CLI_UINT,
	  &opt_threads },
	{ "quiet", 'q', NULL, "no progress bar", CLI_FLAG, &opt_quiet },
	{ 0 },
};

static const struct cli_opt apply_opts[] = {
	{ "resume", 'r', NULL, "go on behind what OUT has already", CLI_FLAG, &opt_resume },
	{ "quiet", 'q', NULL, "no progress bar", CLI_FLAG, &opt_quiet },
	{ 0 },
};

static const struct cli_opt info_opts[] = {
	{ "old", 0, "OLD", "apply it to this image, and tell by content, file and encoder too",
	  CLI_STRING, &opt_old },
	{ "files", 'f', "N", "with --old: at most this many files (default: 20, at most 1000)",
	  CLI_UINT, &opt_files },
	{ "quiet", 'q', NULL, "no progress bar", CLI_FLAG, &opt_quiet },
	{ 0 },
};

static const struct cli_command commands[] = {
	{ .name = "create",
	  .args = "OLD NEW DELTA",
	  .help = "make a delta that turns OLD into NEW",
	  .opts = create_opts,
	  .min_args = 3,
	  .max_args = 3,
	  .run = cmd_create,
	  .long_help =
		  "Any two files; time is linear in their sizes and memory stays below 1 GiB.\n"
		  "The same files give the same delta, whatever the number of threads." },
	{ .name = "apply",
	  .args = "OLD DELTA OUT",
	  .help = "make the new file from OLD and the delta",
	  .opts = apply_opts,
	  .min_args = 3,
	  .max_args = 3,
	  .run = cmd_apply,
	  .long_help =
		  "Output is written in order, in segments that are verified first, so a failure\n"
		  "never leaves wrong bytes behind. After a crash or a full disk give --resume:\n"
		  "what OUT has is compared with the delta's hashes, and the work goes on behind\n"
		  "it. A delta that is small for its image has one hash for all of it, so the image\n"
		  "is made twice, first as a check. Less than 32 MiB of memory beside a segment; runs\n"
		  "in a sandbox." },
	{ .name = "info",
	  .args = "DELTA",
	  .help = "tell what the bytes of a delta are spent on",
	  .opts = info_opts,
	  .min_args = 1,
	  .max_args = 1,
	  .run = cmd_info,
	  .long_help =
		  "The first table is what the encoder noted: by what was coded. With --old the new image\n"
		  "is made in a file below $TMPDIR, and every byte of the delta is sorted by what it made:\n"
		  "tables of erofs and ext4, parts of ELF files, members of zip and gzip files and PNG, and\n"
		  "the rest judged by its looks; then the files that cost most, and for compressed streams\n"
		  "who packed them. To make deltas smaller: leave out or pin what changes in every build for\n"
		  "nothing, as times and counters in `inodes` and `records` (see `valise image check`);\n"
		  "do not ship `symbols`; what is `packed` is compressed by something deltas do not see\n"
		  "through; a corrected encoder costs recipes." },
	{ .name = "bench",
	  .args = "OLD NEW [DELTA]",
	  .help = "create and apply in processes of their own; print time and memory",
	  .opts = create_opts,
	  .min_args = 2,
	  .max_args = 3,
	  .run = cmd_bench },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const struct cli_program program = {
		.name = "valise-delta",
		.summary = "makes and applies deltas between images",
		.opts = common_opts,
		.commands = commands,
		.wants_json = is_json,
	};

	return cli_main(&program, argc, argv);
}
