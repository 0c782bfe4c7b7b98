/* evil - the attacker of scenarios a400 and up (tests/support/attack.sh).
 *
 *	evil proxy DIR PORT CERT KEY     between handsets and the server at 127.0.0.1:PORT, with the
 *	                                 server's own certificate and key; its port is in DIR/port
 *	evil sign FILE KEY...            FILE's "signed" with signatures by these key files only
 *	evil key FILE                    makes a key file; prints {"keyid": ..., "key": ...}
 *	evil show FILE                   prints the same of a key file
 *	evil search PID KEY...           whether one of the secrets is in the memory of that process
 *	evil ask PID                     as the web process PID: asks keys, through the channel that
 *	                                 web has, for what must not be signed; a line for each
 *
 * Before each answer the proxy reads DIR/rules.  The first line whose pattern fits "METHOD /path" says
 * what happens to the answer; without one it goes through:
 *
 *	PATTERN file NAME      DIR/NAME, or its range    PATTERN filter COMMAND  body through sh -c, in DIR
 *	PATTERN status N       nothing but a status      PATTERN flip N          byte N of the body flipped
 *	PATTERN cut N          the end after N bytes     PATTERN longer N        N bytes more
 *	PATTERN claim N        Content-Length: N         PATTERN endless         never ends
 *	PATTERN drip           one byte a second         PATTERN drop            neither asked nor answered
 *	PATTERN lie NAME       DIR/NAME, not asked       PATTERN through
 *
 * DIR/log has a line per request: rule, status, method, path, body bytes sent. */
#include "base/io.h"
#include "base/text.h"
#include "proto/cjson.h"
#include "proto/keyfile.h"
#include "proto/tuf_make.h"
#include "server/ipc.h"
#include "server/sign.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_BODY = 64 << 20, ENDLESS = 512 << 20 };

static void die(const char *what)
{
	fprintf(stderr, "evil: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void must(bool ok, const struct err *e)
{
	if (ok)
		return;
	fprintf(stderr, "evil: %s\n", e->text);
	exit(1);
}

/* Appears whole. */
static void write_file(const char *name, const void *p, size_t n)
{
	char temp[4096];
	struct err e;

	snprintf(temp, sizeof(temp), "%s.new", name);
	CLEANUP(fd_closep) int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		die(temp);
	must(write_all(fd, p, n, &e), &e);
	if (rename(temp, name) < 0)
		die(name);
}

/* ---- messages --------------------------------------------------------------------------------- */

struct message {
	struct buf all; /* head and body as received */
	size_t head_n;  /* with the empty line */
	char method[16], path[1024];
	int status;
};

static const uint8_t *body_of(const struct message *m, size_t *n)
{
	*n = m->all.n - m->head_n;
	return m->all.p + m->head_n;
}

/* Content-Length, or -1. */
static int64_t length_of(const struct message *m)
{
	const char *end = (const char *)m->all.p + m->head_n;

	for (const char *p = (const char *)m->all.p; p && p + 15 < end;) {
		if (strncasecmp(p, "content-length:", 15) == 0)
			return strtoll(p + 15, NULL, 10);
		p = memchr(p, '\n', (size_t)(end - p));
		p = p ? p + 1 : NULL;
	}
	return -1;
}

/* Reads a message; without a length, up to the end of the stream when it is an answer. */
static bool receive(struct message *m, SSL *ssl, bool answer)
{
	char chunk[65536];
	struct err e;

	m->all = BUF_INIT(MAX_BODY);
	for (;;) {
		if (m->head_n == 0 && m->all.n > 4) {
			const char *end = memmem(m->all.p, m->all.n, "\r\n\r\n", 4);
			if (end)
				m->head_n = (size_t)(end - (const char *)m->all.p) + 4;
		}
		if (m->head_n > 0) {
			int64_t want = length_of(m);
			if (want < 0 && !answer)
				want = 0;
			if (want >= 0 && m->all.n - m->head_n >= (uint64_t)want)
				break;
		}
		int n = SSL_read(ssl, chunk, sizeof(chunk));
		if (n <= 0)
			break;
		must(buf_add(&m->all, chunk, (size_t)n, &e), &e);
	}
	if (m->head_n == 0)
		return false;
	if (answer)
		return sscanf((const char *)m->all.p, "HTTP/1.%*d %d", &m->status) == 1;
	return sscanf((const char *)m->all.p, "%15s %1023s", m->method, m->path) == 2;
}

static bool send_all(SSL *ssl, const void *p, size_t n)
{
	const uint8_t *at = p;

	while (n > 0) {
		int did = SSL_write(ssl, at, n > 65536 ? 65536 : (int)n);
		if (did <= 0)
			return false;
		at += did;
		n -= (size_t)did;
	}
	return true;
}

/* The head without the lines that the proxy sets itself. */
static void copy_head(struct buf *out, const struct message *m, bool with_length)
{
	const char *p = (const char *)m->all.p, *end = p + m->head_n - 2;
	struct err e;

	while (p < end) {
		const char *next = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1;
		if (strncasecmp(p, "connection:", 11) != 0 &&
		    (with_length || strncasecmp(p, "content-length:", 15) != 0))
			must(buf_add(out, p, (size_t)(next - p), &e), &e);
		p = next;
	}
	must(buf_add_str(out, "Connection: close\r\n", &e), &e);
}

static void ask_upstream(struct message *ret, const struct message *q, int port, SSL_CTX *ctx)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	CLEANUP(buf_done) struct buf head = BUF_INIT(MAX_BODY);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct err e;
	size_t n;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("server");
	SSL *ssl = SSL_new(ctx);
	if (!ssl || !SSL_set_fd(ssl, fd) || SSL_connect(ssl) <= 0)
		die("TLS to the server");
	copy_head(&head, q, true);
	must(buf_add_str(&head, "\r\n", &e), &e);
	const uint8_t *body = body_of(q, &n);
	if (!send_all(ssl, head.p, head.n) || !send_all(ssl, body, n) ||
	    !receive(ret, ssl, true))
		die("the server's answer");
	SSL_free(ssl);
	close(fd);
}

/* ---- rules ------------------------------------------------------------------------------------ */

struct rule {
	char pattern[256], action[32], arg[4096];
};

/* false: none fits. */
static bool find_rule(struct rule *ret, const struct message *q)
{
	char line[8192], what[1100];
	FILE *f = fopen("rules", "r");
	bool found = false;

	snprintf(what, sizeof(what), "%s %s", q->method, q->path);
	while (f && !found && fgets(line, sizeof(line), f)) {
		*ret = (struct rule){ "" };
		if (sscanf(line, "%255s %31s %4095[^\n]", ret->pattern, ret->action, ret->arg) <
		    2)
			continue;
		for (char *c = ret->pattern; *c; c++)
			if (*c == ',')
				*c = ' ';
		found = fnmatch(ret->pattern, what, 0) == 0;
	}
	if (f)
		fclose(f);
	return found;
}

static void read_file(struct buf *out, const char *name)
{
	struct err e;

	must(read_file_at(AT_FDCWD, name, out, &e), &e);
}

static void filter(struct buf *out, const uint8_t *p, size_t n, const char *command)
{
	char in[64], run[8192];
	struct err e;

	snprintf(in, sizeof(in), "in.%d", (int)getpid());
	write_file(in, p, n);
	snprintf(run, sizeof(run), "{ %s\n} <%s", command, in);
	FILE *f = popen(run, "r");
	if (!f)
		die("filter");
	must(read_fd(fileno(f), out, &e), &e);
	if (pclose(f) != 0)
		fprintf(stderr, "evil: filter failed: %s\n", command);
	unlink(in);
}

/* "bytes=FROM-TO" of a request: leaves these bytes in b; false: no range. */
static bool take_range(struct buf *b, const struct message *q, struct buf *head)
{
	const char *at = memmem(q->all.p, q->head_n, "Range: bytes=", 13);
	unsigned long long from, to = b->n - 1;
	size_t all = b->n;
	struct err e;

	if (!at || sscanf(at, "Range: bytes=%llu-%llu", &from, &to) < 1 || from >= b->n)
		return false;
	if (to >= b->n)
		to = b->n - 1;
	memmove(b->p, b->p + from, to - from + 1);
	b->n = to - from + 1;
	must(buf_printf(head, &e, "Content-Range: bytes %llu-%llu/%zu\r\n", from, to, all), &e);
	return true;
}

static void change_body(struct buf *out, const struct message *a, const struct rule *r)
{
	size_t n, at = strtoull(r->arg, NULL, 10);
	const uint8_t *body = body_of(a, &n);
	struct err e;

	if (strcmp(r->action, "file") == 0 || strcmp(r->action, "lie") == 0) {
		read_file(out, r->arg);
		return;
	}
	if (strcmp(r->action, "filter") == 0) {
		filter(out, body, n, r->arg);
		return;
	}
	if (strcmp(r->action, "status") == 0)
		return;
	must(buf_add(out, body, n, &e), &e);
	if (strcmp(r->action, "flip") == 0 && at < n)
		out->p[at] ^= 1;
	for (size_t i = 0; strcmp(r->action, "longer") == 0 && i < at; i++)
		must(buf_add(out, "x", 1, &e), &e);
}

/* Bytes of the body that were sent. */
static uint64_t send_body(SSL *ssl, const struct buf *body, const struct rule *r)
{
	static const uint8_t zeros[65536];
	uint64_t sent = 0;

	if (strcmp(r->action, "endless") == 0) {
		while (sent < ENDLESS && send_all(ssl, zeros, sizeof(zeros)))
			sent += sizeof(zeros);
		return sent;
	}
	if (strcmp(r->action, "drip") == 0) {
		for (; sent < body->n && send_all(ssl, body->p + sent, 1); sent++)
			nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
		return sent;
	}
	size_t n = body->n, at = strtoull(r->arg, NULL, 10);
	if (strcmp(r->action, "cut") == 0 && at < n)
		n = at;
	return send_all(ssl, body->p, n) ? n : 0;
}

static uint64_t answer(SSL *ssl, const struct message *q, const struct message *a,
		       const struct rule *r, int *status)
{
	CLEANUP(buf_done) struct buf range = BUF_INIT(128);
	CLEANUP(buf_done) struct buf body = BUF_INIT(MAX_BODY + 65536);
	CLEANUP(buf_done) struct buf head = BUF_INIT(MAX_BODY);
	struct err e;

	change_body(&body, a, r);
	*status = a->status;
	bool file = strcmp(r->action, "file") == 0 || strcmp(r->action, "lie") == 0;
	bool endless = strcmp(r->action, "endless") == 0;
	if (file || endless || strcmp(r->action, "status") == 0) {
		*status = file && take_range(&body, q, &range) ? 206
			  : file || endless                    ? 200
							       : (int)strtol(r->arg, NULL, 10);
		must(buf_printf(&head, &e, "HTTP/1.1 %d evil\r\nConnection: close\r\n%s",
				*status, buf_str(&range)),
		     &e);
	} else {
		copy_head(&head, a, false);
	}
	if (strcmp(r->action, "claim") == 0)
		must(buf_printf(&head, &e, "Content-Length: %s\r\n", r->arg), &e);
	else if (!endless)
		must(buf_printf(&head, &e, "Content-Length: %zu\r\n", body.n), &e);
	must(buf_add_str(&head, "\r\n", &e), &e);
	return send_all(ssl, head.p, head.n) ? send_body(ssl, &body, r) : 0;
}

/* ---- the proxy -------------------------------------------------------------------------------- */

static void serve(int fd, SSL_CTX *in, SSL_CTX *out, int port)
{
	struct message q = { .status = 0 }, a = { .status = 0 };
	struct rule r = { "", "-", "" };
	int status = 0;
	uint64_t sent = 0;
	SSL *ssl = SSL_new(in);

	if (!ssl || !SSL_set_fd(ssl, fd) || SSL_accept(ssl) <= 0 || !receive(&q, ssl, false))
		return;
	bool found = find_rule(&r, &q);
	if (!found)
		r = (struct rule){ "", "-", "" };
	if (strcmp(r.action, "drop") != 0) {
		if (strcmp(r.action, "lie") != 0)
			ask_upstream(&a, &q, port, out);
		sent = answer(ssl, &q, &a, &r, &status);
		SSL_shutdown(ssl);
	}
	FILE *log = fopen("log", "a");
	if (log) {
		fprintf(log, "%s %d %s %s %" PRIu64 "\n", r.action, status, q.method, q.path,
			sent);
		fclose(log);
	}
}

static int listen_on(const char *port_file)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[16];

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 64) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &n) < 0)
		die("listen");
	snprintf(text, sizeof(text), "%d\n", ntohs(at.sin_port));
	write_file(port_file, text, strlen(text));
	return fd;
}

static int proxy(const char *dir, int port, const char *cert, const char *key)
{
	SSL_CTX *in = SSL_CTX_new(TLS_server_method()), *out = SSL_CTX_new(TLS_client_method());

	if (!in || !out || SSL_CTX_use_certificate_chain_file(in, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(in, key, SSL_FILETYPE_PEM) != 1)
		die("certificate");
	if (chdir(dir) < 0)
		die(dir);
	signal(SIGPIPE, SIG_IGN);
	int lfd = listen_on("port");
	for (;;) {
		int fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (fd < 0)
			continue;
		if (fork() == 0) {
			signal(SIGCHLD, SIG_DFL);
			serve(fd, in, out, port);
			_exit(0);
		}
		close(fd);
	}
}

/* ---- signing ---------------------------------------------------------------------------------- */

static struct secret *open_key(struct keyfile_info *info, const char *name)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_SECRET_FILE);
	struct secret *key;
	struct err e;

	read_file(&b, name);
	must(keyfile_open(&key, info, b.p, b.n, NULL, &e), &e);
	return key;
}

/* What no maker of ours would sign is signed too. */
static int sign(const char *file, char **keys, int n)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(MAX_BODY);
	CLEANUP(buf_done) struct buf text = BUF_INIT(MAX_BODY);
	CLEANUP(buf_done) struct buf json = BUF_INIT(MAX_BODY);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct err e;

	if (strcmp(file, "-") == 0)
		must(read_fd(0, &b, &e), &e);
	else
		read_file(&b, file);
	must(jdoc_parse(&d, b.p, b.n, &e), &e);
	const struct jval *what = jobj_opt(jdoc_root(d), "signed");
	if (!what)
		what = jdoc_root(d);
	must(cjson_encode(&text, what, &e) && cjson_encode_json(&json, what, &e), &e);
	printf("{\"signatures\":[");
	for (int i = 0; i < n; i++) {
		struct keyfile_info info;
		struct secret *key = open_key(&info, keys[i]);
		char id[TUF_KEYID_SIZE], hex[HEX_SIZE(SIG_SIZE)];
		uint8_t sig[SIG_SIZE];

		must(sig_sign(sig, key, text.p, text.n, &e) &&
			     tuf_keyid_ed25519(id, info.public, &e),
		     &e);
		hex_encode(hex, sig, sizeof(sig));
		printf("%s{\"keyid\":\"%s\",\"sig\":\"%s\"}", i ? "," : "", id, hex);
		secret_free(key);
	}
	printf("],\"signed\":%s}", buf_str(&json));
	return 0;
}

static int show(const char *name)
{
	struct tuf_pubkey k;
	struct keyfile_info info;
	struct err e;

	secret_free(open_key(&info, name));
	must(tuf_pubkey_ed25519(&k, info.public, &e), &e);
	printf("{\"keyid\": \"%s\", \"key\": %s}\n", k.id, k.json);
	tuf_pubkey_done(&k);
	return 0;
}

static int make_key(const char *name)
{
	struct keyfile_info info = { .type = KEYFILE_ED25519, .role = "evil" };
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_SECRET_FILE);
	CLEANUP(secret_freep) struct secret *key = NULL;
	struct err e;

	must(sig_new(&key, info.public, rng_system(), &e) &&
		     keyfile_encode(&b, &info, key, NULL, NULL, rng_system(), &e),
	     &e);
	write_file(name, b.p, b.n);
	return show(name);
}

/* ---- the web process, taken over -------------------------------------------------------------- */

/* Writable memory is where a copy would be. */
static bool in_memory(int pid, const uint8_t *what, size_t n)
{
	char name[64], line[512];
	bool found = false;

	snprintf(name, sizeof(name), "/proc/%d/mem", pid);
	int mem = open(name, O_RDONLY | O_CLOEXEC);
	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	FILE *maps = fopen(name, "r");
	if (mem < 0 || !maps)
		die(name);
	while (!found && fgets(line, sizeof(line), maps)) {
		unsigned long from, to;
		char mode[8];

		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || mode[1] != 'w' ||
		    to - from > 256UL << 20)
			continue;
		uint8_t *p = malloc(to - from);
		ssize_t got = p ? pread(mem, p, to - from, (off_t)from) : -1;
		found = got > 0 && memmem(p, (size_t)got, what, n);
		free(p);
	}
	fclose(maps);
	close(mem);
	return found;
}

static int search(int pid, char **keys, int n)
{
	for (int i = 0; i < n; i++) {
		struct keyfile_info info;
		struct secret *key = open_key(&info, keys[i]);
		bool found = in_memory(pid, key->p, SIG_SEED_SIZE);

		secret_free(key);
		if (found) {
			printf("%s is in the memory of %d\n", keys[i], pid);
			return 0;
		}
	}
	return 1;
}

/* Copies of the message channels of a process. */
static size_t channels_of(int pid, int ret[static 64])
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	size_t n = 0;

	for (int fd = 3; pidfd >= 0 && fd < 64 && n < 64; fd++) {
		int type = 0, copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
		socklen_t size = sizeof(type);

		if (copy >= 0 && getsockopt(copy, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
		    type == SOCK_SEQPACKET)
			ret[n++] = copy;
		else if (copy >= 0)
			close(copy);
	}
	if (n == 0)
		die("channels");
	return n;
}

/* Takes the mark out of the channel that it came through; -1: none of these. */
static int find_mark(const int *fds, size_t n, const char *mark)
{
	char got[64];

	for (size_t i = 0; i < n; i++) {
		ssize_t have = recv(fds[i], got, sizeof(got), MSG_PEEK | MSG_DONTWAIT);
		if (have == (ssize_t)strlen(mark) && memcmp(got, mark, (size_t)have) == 0)
			return recv(fds[i], got, sizeof(got), MSG_DONTWAIT) > 0 ? fds[i] : -1;
	}
	return -1;
}

static int parent_of(int pid)
{
	char name[64], text[512] = "";
	int ret = -1;

	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	FILE *f = fopen(name, "r");
	if (f && fgets(text, sizeof(text), f) && strrchr(text, ')'))
		sscanf(strrchr(text, ')'), ") %*c %d", &ret);
	if (f)
		fclose(f);
	return ret;
}

/* web's end of the channel between web and keys; all three stand still meanwhile. */
static int find_channel(int web, int keys, int mgr)
{
	int of_web[64], of_keys[64], of_mgr[64], found = -1;
	size_t n_web = channels_of(web, of_web), n_keys = channels_of(keys, of_keys);
	size_t n_mgr = channels_of(mgr, of_mgr);

	for (size_t i = 0; i < n_keys; i++) {
		static const char mark[] = "whose channel is this?";

		if (send(of_keys[i], mark, strlen(mark), MSG_DONTWAIT) < 0)
			continue;
		int fd = find_mark(of_web, n_web, mark);
		if (fd >= 0)
			found = fd;
		else
			find_mark(of_mgr, n_mgr, mark);
	}
	return found;
}

struct asked {
	int fd;
	uint32_t id;
	unsigned signed_n;
};

/* One message, and whether it was signed. */
static void ask(struct asked *a, const char *what, enum ipc_type type,
		const struct buf *payload, bool may)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(IPC_HEADER + IPC_MAX);
	struct ipc_msg m = IPC_MSG_INIT;
	struct err e, why = { .code = E_NONE };

	must(ipc_send(a->fd, type, ++a->id, payload->p, payload->n, -1, &e), &e);
	/* What must not be signed may end without an answer; what may be gets its time. */
	if (!ipc_recv(&m, a->fd, &b, IPC_BIT(IPC_SIGNED) | IPC_BIT(IPC_REFUSED),
		      may ? 60000 : 2000, &e))
		printf("refused: %s: no answer (%s)\n", what, e.text);
	else if (m.type == IPC_REFUSED && !ipc_get_err(&m, &why))
		printf("refused: %s: %s\n", what, why.text);
	else
		printf("%s: %s\n", may ? "signed" : "SIGNED", what);
	if (m.type == IPC_SIGNED && !may)
		a->signed_n++;
	if (may && m.type != IPC_SIGNED) {
		puts("what may be signed was not");
		a->signed_n++;
	}
	ipc_msg_done(&m);
}

static const struct sign_director honest = {
	.device = "0123456789abcdef0123456789abcdef",
	.has_release = true,
	.release = { .name = "acme", .version = "1.0", .number = 1, .size = 1 },
	.security_floor = 1,
	.nonce = "0123456789abcdef0123456789abcdef",
};

static void ask_director(struct asked *a, const char *what, const struct sign_director *d,
			 bool may)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(IPC_MAX);
	struct err e;

	must(sign_director_encode(&b, d, &e), &e);
	ask(a, what, IPC_SIGN_DIRECTOR, &b, may);
}

static void ask_directors(struct asked *a)
{
#define WITH(what, ...)                           \
	do {                                      \
		struct sign_director d = honest;  \
		__VA_ARGS__;                      \
		ask_director(a, what, &d, false); \
	} while (0)
	ask_director(a, "an honest one", &honest, true);
	WITH("a device that is a path", snprintf(d.device, sizeof(d.device), "../x"));
	WITH("a nonce that is none", snprintf(d.nonce, sizeof(d.nonce), "x"));
	WITH("a product that is a path", snprintf(d.release.name, LIMIT_NAME, "../x"));
	WITH("a version that is a path", snprintf(d.release.version, LIMIT_NAME, "../x"));
	WITH("a release below the floor", d.security_floor = 2);
	WITH("a release without a number", d.release.number = 0);
	WITH("a number above all", d.release.number = UINT64_MAX);
	WITH("a size above all", d.release.size = UINT64_MAX);
	WITH("a floor above all", d.security_floor = UINT64_MAX);
	WITH("a release with a level", d.release.level = 1);
	WITH("a negative rollout", d.rollout = -1);
	WITH("versions that run away", d.above = (uint64_t)J_INT_MAX);
	WITH("too many policies", d.policies_n = SIGN_POLICIES + 1);
	WITH("a policy that is a path", d.policies_n = 1; d.policies[0] = honest.release;
	     d.policies[0].version[0] = 0; snprintf(d.policies[0].name, LIMIT_NAME, "../x"));
#undef WITH
}

static void ask_image(struct asked *a, const char *what, const char *one, const char *two,
		      uint64_t version, const char *previous, bool timestamp_only)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(IPC_MAX);
	struct sign_role roles[2] = { { .version = version }, { .version = version } };
	struct sign_image i = { .roles = roles, .timestamp_only = timestamp_only };
	struct err e;

	i.roles_n = (one ? 1 : 0) + (two ? 1 : 0);
	snprintf(roles[0].role, sizeof(roles[0].role), "%s", one ? one : "");
	snprintf(roles[1].role, sizeof(roles[1].role), "%s", two ? two : "");
	i.snapshot = (const uint8_t *)previous;
	i.snapshot_n = previous ? strlen(previous) : 0;
	must(sign_image_encode(&b, &i, &e), &e);
	ask(a, what, IPC_SIGN_IMAGE, &b, false);
}

static void ask_images(struct asked *a)
{
	static const char foreign[] =
		"{\"signatures\":[],\"signed\":{\"_type\":\"snapshot\",\"expires\":"
		"\"2036-01-01T00:00:00Z\",\"meta\":{\"targets.json\":{\"version\":1}},"
		"\"spec_version\":\"1.0.34\",\"version\":1}}";

	ask_image(a, "a snapshot of nothing", NULL, NULL, 1, NULL, false);
	ask_image(a, "a snapshot with a root", "root", NULL, 1, NULL, false);
	ask_image(a, "a snapshot with itself", "snapshot", NULL, 1, NULL, false);
	ask_image(a, "a role that is a path", "releases.../x", NULL, 1, NULL, false);
	ask_image(a, "a role twice", "targets", "targets", 1, NULL, false);
	ask_image(a, "version 0", "targets", NULL, 0, NULL, false);
	ask_image(a, "a version above all", "targets", NULL, UINT64_MAX, NULL, false);
	ask_image(a, "a timestamp for another's snapshot", NULL, NULL, 1, foreign, true);
	ask_image(a, "a snapshot after another's", "targets", NULL, 1, foreign, false);
	ask_image(a, "a timestamp for what is no snapshot", NULL, NULL, 1, "{}", true);
	ask_image(a, "a timestamp with roles", "targets", NULL, 1, foreign, true);
}

static int ask_all(int web)
{
	CLEANUP(buf_done) struct buf some = BUF_INIT(64);
	struct asked a = { .fd = -1, .id = 0x40000000 };
	int mgr = parent_of(web), keys = -1;
	char name[64], kids[256] = "", *at = kids;
	struct err e;

	snprintf(name, sizeof(name), "/proc/%d/task/%d/children", mgr, mgr);
	FILE *f = fopen(name, "r");
	if (!f || !fgets(kids, sizeof(kids), f))
		die(name);
	fclose(f);
	for (int pid; sscanf(at, "%d", &pid) == 1; at = strchr(at, ' ') + 1) {
		char comm[32] = "";
		snprintf(name, sizeof(name), "/proc/%d/comm", pid);
		f = fopen(name, "r");
		if (f && fgets(comm, sizeof(comm), f) && strcmp(comm, "valised-keys\n") == 0)
			keys = pid;
		if (f)
			fclose(f);
	}
	if (keys < 0)
		die("keys");
	kill(mgr, SIGSTOP);
	kill(web, SIGSTOP);
	kill(keys, SIGSTOP);
	a.fd = find_channel(web, keys, mgr);
	kill(keys, SIGCONT);
	kill(mgr, SIGCONT);
	if (a.fd >= 0) {
		ask_directors(&a);
		ask_images(&a);
		must(buf_add_str(&some, "{\"_type\":\"targets\"}", &e), &e);
		ask(&a, "a message of no kind of its own", IPC_SIGN_DIRECTOR, &some, false);
		ask(&a, "a message for somebody else", IPC_FAILED_JOB, &some, false);
	}
	kill(web, SIGCONT);
	return a.fd >= 0 && a.signed_n == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (strcmp(command, "proxy") == 0 && argc == 6)
		return proxy(argv[2], (int)strtol(argv[3], NULL, 10), argv[4], argv[5]);
	if (strcmp(command, "sign") == 0 && argc >= 3)
		return sign(argv[2], argv + 3, argc - 3);
	if (strcmp(command, "key") == 0 && argc == 3)
		return make_key(argv[2]);
	if (strcmp(command, "search") == 0 && argc >= 4)
		return search((int)strtol(argv[2], NULL, 10), argv + 3, argc - 3);
	if (strcmp(command, "ask") == 0 && argc == 3)
		return ask_all((int)strtol(argv[2], NULL, 10));
	if (strcmp(command, "show") == 0 && argc == 3)
		return show(argv[2]);
	fputs("evil proxy|sign|key|show|search|ask, see the source\n", stderr);
	return 64;
}
