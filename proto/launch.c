#include "proto/launch.h"

#include "base/text.h"
#include "proto/jread.h"
#include "proto/jwrite.h"

#include <stdio.h>
#include <string.h>

enum {
	FD_MIN = 3,
	FD_MAX = 1023,
	SERIAL_MAX = 20 /* virtio 1.2, 5.2.6: VIRTIO_BLK_ID_BYTES */
};
enum { MEMORY_MIB_MIN = 16, MEMORY_MIB_MAX = 65536, VCPUS_MAX = 64, GRACE_MS_MAX = 600000 };

static const char *const engine_names[] = { "auto", "qemu-kvm", "qemu-tcg", NULL };
static const char *const net_names[] = { "none", "allow", NULL };
static const char *const jail_names[] = { "best", "require", NULL };
static const char *const verb_names[] = { "status", "stop", "kill", NULL };
static const char *const event_names[] = { "started", "health", "status", "exited", NULL };
static const char *const exit_names[] = { "poweroff", "reboot", "stopped", "killed",
					  "crashed",  "error",  NULL };

static const struct launch_file no_file = { .fd = -1 };

const char *launch_exit_name(enum launch_exit reason)
{
	return exit_names[reason];
}

void launch_spec_init(struct launch_spec *s)
{
	memset(s, 0, sizeof(*s));
	s->kernel = s->initrd = no_file;
	s->control_fd = s->console_fd = s->serial_log_fd = -1;
}

/* ---- reading ---- */

/* Each descriptor is named once: two names for one file would be two ways to write it. */
struct fds {
	bool used[FD_MAX + 1];
};

static bool read_fd_number(int *ret, struct fds *fds, const struct jval *o, const char *key,
			   struct err *e)
{
	uint64_t fd;

	if (!jobj_u64(&fd, o, key, FD_MIN, FD_MAX, e))
		return false;
	if (fds->used[fd])
		return err_set(e, E_FORMAT, "%s: descriptor %d is named twice", key, (int)fd);
	fds->used[fd] = true;
	*ret = (int)fd;
	return true;
}

static bool read_optional_fd(int *ret, struct fds *fds, const struct jval *o, const char *key,
			     struct err *e)
{
	*ret = -1;
	return !jobj_has(o, key) || read_fd_number(ret, fds, o, key, e);
}

/* "fd" and, all or none of, "size", "salt", "root". */
static bool read_file_fields(struct launch_file *ret, struct fds *fds, const struct jval *o,
			     struct err *e)
{
	*ret = no_file;
	if (!read_fd_number(&ret->fd, fds, o, "fd", e))
		return false;
	if (!jobj_has(o, "size") && !jobj_has(o, "salt") && !jobj_has(o, "root"))
		return true;
	ret->verified = true;
	return jobj_u64(&ret->size, o, "size", 0, LIMIT_COMPONENT_SIZE, e) &&
	       jobj_hex(ret->salt, sizeof(ret->salt), o, "salt", e) &&
	       jobj_hex(ret->root, sizeof(ret->root), o, "root", e);
}

/* Kernel and initrd: code, so never without a root. */
static bool read_code(struct launch_file *ret, struct fds *fds, const struct jval *o,
		      const char *key, struct err *e)
{
	static const char *const keys[] = { "fd", "size", "salt", "root", NULL };
	const struct jval *f;

	if (!jobj_obj(&f, o, key, e))
		return false;
	if (!jobj_only(f, keys, e) || !read_file_fields(ret, fds, f, e))
		return err_wrap(e, "%s", key);
	if (!ret->verified)
		return err_set(e, E_FORMAT, "%s: size, salt and root are missing", key);
	return true;
}

static bool read_disk(struct launch_disk *ret, struct fds *fds, const struct jval *o,
		      struct err *e)
{
	static const char *const keys[] = { "name", "fd",   "readonly", "size",
					    "salt", "root", NULL };

	if (!jval_is_obj(o, e) || !jobj_only(o, keys, e) ||
	    !jobj_copy_name(ret->name, o, "name", e) ||
	    !jobj_bool(&ret->readonly, o, "readonly", e) ||
	    !read_file_fields(&ret->file, fds, o, e))
		return false;
	if (strlen(ret->name) > SERIAL_MAX)
		return err_set(e, E_FORMAT, "name: longer than %d bytes", SERIAL_MAX);
	if (ret->file.verified && !ret->readonly)
		return err_set(e, E_FORMAT, "a disk with a root must be read-only");
	return true;
}

static bool read_disks(struct launch_spec *ret, struct fds *fds, const struct jval *o,
		       struct err *e)
{
	const struct jval *disks;

	if (!jobj_arr(&disks, o, "disks", LAUNCH_DISKS_MAX, e))
		return false;
	for (size_t i = 0; i < jarr_n(disks); i++) {
		if (!read_disk(&ret->disks[i], fds, jarr_at(disks, i), e))
			return err_wrap(e, "disks: %zu", i);
		for (size_t j = 0; j < i; j++)
			if (strcmp(ret->disks[i].name, ret->disks[j].name) == 0)
				return err_set(e, E_FORMAT, "disks: \"%s\" is there twice",
					       ret->disks[i].name);
		ret->n_disks = i + 1;
	}
	return true;
}

static bool read_net(struct launch_spec *ret, const struct jval *o, struct err *e)
{
	static const char *const keys[] = { "mode", "allow", NULL };
	const struct jval *net, *allow;
	unsigned mode;

	if (!jobj_obj(&net, o, "net", e))
		return false;
	if (!jobj_only(net, keys, e) || !jobj_choice(&mode, net, "mode", net_names, e) ||
	    !jobj_arr(&allow, net, "allow", LAUNCH_ALLOW_MAX, e))
		return err_wrap(e, "net");
	ret->net = (enum launch_net)mode;
	for (size_t i = 0; i < jarr_n(allow); i++) {
		const char *s;

		if (!jval_get_str(&s, jarr_at(allow, i), sizeof(ret->allow[i]) - 1, e))
			return err_wrap(e, "net: allow: %zu", i);
		memcpy(ret->allow[i], s, strlen(s) + 1);
		ret->n_allow = i + 1;
	}
	return true;
}

static bool read_machine(struct launch_spec *ret, const struct jval *o, struct err *e)
{
	unsigned engine, jail;

	if (!jobj_version(o, "v", 1, e) || !jobj_copy_name(ret->id, o, "id", e) ||
	    !jobj_copy_name(ret->arch, o, "arch", e) ||
	    !jobj_copy(ret->cmdline, sizeof(ret->cmdline), o, "cmdline", e) ||
	    !jobj_u64(&ret->memory_mib, o, "memory_mib", MEMORY_MIB_MIN, MEMORY_MIB_MAX, e) ||
	    !jobj_u64(&ret->vcpus, o, "vcpus", 1, VCPUS_MAX, e) ||
	    !jobj_choice(&engine, o, "engine", engine_names, e) ||
	    !jobj_choice(&jail, o, "jail", jail_names, e))
		return false;
	ret->engine = (enum launch_engine)engine;
	ret->jail = (enum launch_jail)jail;
	return true;
}

bool launch_spec_parse(struct launch_spec *ret, const void *p, size_t n, struct err *e)
{
	static const char *const keys[] = {
		"v",          "id",         "arch",          "memory_mib", "vcpus",  "cmdline",
		"kernel",     "initrd",     "disks",         "net",        "engine", "jail",
		"control_fd", "console_fd", "serial_log_fd", NULL
	};
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	struct launch_spec s;
	struct fds fds = { .used = { false } };

	if (n > LAUNCH_SPEC_MAX)
		return err_set(e, E_TOO_BIG, "launch spec: %zu bytes, at most %d", n,
			       LAUNCH_SPEC_MAX);
	launch_spec_init(&s);
	if (!jdoc_parse(&doc, p, n, e))
		return err_wrap(e, "launch spec");
	const struct jval *o = jdoc_root(doc);
	if (!jval_is_obj(o, e) || !jobj_only(o, keys, e) || !read_machine(&s, o, e) ||
	    !read_code(&s.kernel, &fds, o, "kernel", e) ||
	    (jobj_has(o, "initrd") && !read_code(&s.initrd, &fds, o, "initrd", e)) ||
	    !read_disks(&s, &fds, o, e) || !read_net(&s, o, e) ||
	    !read_fd_number(&s.control_fd, &fds, o, "control_fd", e) ||
	    !read_optional_fd(&s.console_fd, &fds, o, "console_fd", e) ||
	    !read_optional_fd(&s.serial_log_fd, &fds, o, "serial_log_fd", e))
		return err_wrap(e, "launch spec");
	*ret = s;
	return true;
}

/* ---- writing ---- */

static void write_file_fields(struct jw *w, const struct launch_file *f)
{
	jw_i64(w, "fd", f->fd);
	if (f->verified) {
		jw_u64(w, "size", f->size);
		jw_hex(w, "salt", f->salt, sizeof(f->salt));
		jw_hex(w, "root", f->root, sizeof(f->root));
	}
}

static void write_code(struct jw *w, const char *key, const struct launch_file *f)
{
	jw_obj(w, key);
	write_file_fields(w, f);
	jw_end(w);
}

static void write_disk(struct jw *w, const struct launch_disk *d)
{
	jw_obj(w, NULL);
	jw_str(w, "name", d->name);
	jw_bool(w, "readonly", d->readonly);
	write_file_fields(w, &d->file);
	jw_end(w);
}

bool launch_spec_encode(struct buf *out, const struct launch_spec *s, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_u64(&w, "v", 1);
	jw_str(&w, "id", s->id);
	jw_str(&w, "arch", s->arch);
	jw_u64(&w, "memory_mib", s->memory_mib);
	jw_u64(&w, "vcpus", s->vcpus);
	jw_str(&w, "cmdline", s->cmdline);
	write_code(&w, "kernel", &s->kernel);
	if (s->initrd.fd >= 0)
		write_code(&w, "initrd", &s->initrd);
	jw_arr(&w, "disks");
	for (size_t i = 0; i < s->n_disks; i++)
		write_disk(&w, &s->disks[i]);
	jw_end(&w);
	jw_obj(&w, "net");
	jw_str(&w, "mode", net_names[s->net]);
	jw_arr(&w, "allow");
	for (size_t i = 0; i < s->n_allow; i++)
		jw_str(&w, NULL, s->allow[i]);
	jw_end(&w);
	jw_end(&w);
	jw_str(&w, "engine", engine_names[s->engine]);
	jw_str(&w, "jail", jail_names[s->jail]);
	jw_i64(&w, "control_fd", s->control_fd);
	if (s->console_fd >= 0)
		jw_i64(&w, "console_fd", s->console_fd);
	if (s->serial_log_fd >= 0)
		jw_i64(&w, "serial_log_fd", s->serial_log_fd);
	jw_end(&w);
	return jw_finish(&w, e);
}

/* ---- lines ---- */

bool launch_command_parse(struct launch_command *ret, const void *p, size_t n, struct err *e)
{
	static const char *const keys[] = { "cmd", "grace_ms", NULL };
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	struct launch_command c = { .verb = LAUNCH_STATUS };
	unsigned verb;

	if (!jdoc_parse(&doc, p, n, e))
		return false;
	const struct jval *o = jdoc_root(doc);
	if (!jval_is_obj(o, e) || !jobj_only(o, keys, e) ||
	    !jobj_choice(&verb, o, "cmd", verb_names, e))
		return false;
	c.verb = (enum launch_verb)verb;
	if (c.verb == LAUNCH_STOP && !jobj_u64(&c.grace_ms, o, "grace_ms", 0, GRACE_MS_MAX, e))
		return false;
	*ret = c;
	return true;
}

bool launch_command_encode(struct buf *out, const struct launch_command *c, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_str(&w, "cmd", verb_names[c->verb]);
	if (c->verb == LAUNCH_STOP)
		jw_u64(&w, "grace_ms", c->grace_ms);
	jw_end(&w);
	return jw_finish(&w, e) && buf_add(out, "\n", 1, e);
}

static bool read_exit(struct launch_event *ev, const struct jval *o, struct err *e)
{
	const char *code;
	unsigned reason;
	struct err named;

	if (!jobj_choice(&reason, o, "reason", exit_names, e) ||
	    !jobj_copy(ev->detail, sizeof(ev->detail), o, "detail", e))
		return false;
	ev->reason = (enum launch_exit)reason;
	if (!jobj_has(o, "code"))
		return true;
	if (!jobj_str(&code, o, "code", LIMIT_NAME, e))
		return false;
	(void)err_from_name(&named, code, "%s", ""); /* only for the code */
	ev->code = named.code;
	return true;
}

static bool read_event(struct launch_event *ev, const struct jval *o, struct err *e)
{
	switch (ev->kind) {
	case LAUNCH_STARTED:
		return jobj_copy(ev->engine, sizeof(ev->engine), o, "engine", e) &&
		       jobj_copy(ev->why, sizeof(ev->why), o, "why", e) &&
		       jobj_copy(ev->weak, sizeof(ev->weak), o, "weak", e);
	case LAUNCH_HEALTH:
		return jobj_copy(ev->line, sizeof(ev->line), o, "line", e);
	case LAUNCH_STATE:
		return jobj_copy(ev->engine, sizeof(ev->engine), o, "engine", e) &&
		       jobj_u64(&ev->uptime_ms, o, "uptime_ms", 0, J_INT_MAX, e);
	case LAUNCH_EXITED:
		return read_exit(ev, o, e);
	}
	return err_set(e, E_INTERNAL, "event kind %d", ev->kind);
}

bool launch_event_parse(struct launch_event *ret, const void *p, size_t n, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	struct launch_event ev = { .kind = LAUNCH_STARTED };
	unsigned kind;

	if (!jdoc_parse(&doc, p, n, e))
		return false;
	const struct jval *o = jdoc_root(doc);
	if (!jval_is_obj(o, e) || !jobj_choice(&kind, o, "event", event_names, e))
		return false;
	ev.kind = (enum launch_event_kind)kind;
	if (!read_event(&ev, o, e))
		return err_wrap(e, "%s", event_names[kind]);
	*ret = ev;
	return true;
}

bool launch_event_encode(struct buf *out, const struct launch_event *ev, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_str(&w, "event", event_names[ev->kind]);
	if (ev->kind == LAUNCH_STARTED || ev->kind == LAUNCH_STATE)
		jw_str(&w, "engine", ev->engine);
	if (ev->kind == LAUNCH_STARTED) {
		jw_str(&w, "why", ev->why);
		jw_str(&w, "weak", ev->weak);
	}
	if (ev->kind == LAUNCH_STATE)
		jw_u64(&w, "uptime_ms", ev->uptime_ms);
	if (ev->kind == LAUNCH_HEALTH)
		jw_str(&w, "line", ev->line);
	if (ev->kind == LAUNCH_EXITED) {
		jw_str(&w, "reason", exit_names[ev->reason]);
		jw_lossy(&w, "detail", ev->detail, strlen(ev->detail));
		if (ev->code != E_NONE)
			jw_str(&w, "code", err_name(ev->code));
	}
	jw_end(&w);
	return jw_finish(&w, e) && buf_add(out, "\n", 1, e);
}
