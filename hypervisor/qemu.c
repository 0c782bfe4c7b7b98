#include "hypervisor/qemu.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 65536 };

/* Appends one argument.  Texts move when the buffer grows, so offsets are kept until the end. */
static bool add(struct qemu_args *a, struct err *e, const char *fmt, ...) PRINTF(3, 4);
static bool add(struct qemu_args *a, struct err *e, const char *fmt, ...)
{
	char arg[LAUNCH_CMDLINE_MAX + 256];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(arg, sizeof(arg), fmt, ap);
	va_end(ap);
	if (a->n == QEMU_ARGS_MAX || n < 0 || (size_t)n >= sizeof(arg))
		return err_set(e, E_INTERNAL, "QEMU's command line is too long");
	a->v[a->n++] = (const char *)(uintptr_t)a->text.n;
	return buf_add(&a->text, arg, (size_t)n + 1, e);
}

static void keep(struct qemu_args *a, int fd)
{
	a->keep_fds[a->n_keep_fds++] = fd;
}

static bool add_machine(struct qemu_args *a, const struct launch_spec *s, bool kvm,
			struct err *e)
{
	return add(a, e, QEMU_X86_64) && add(a, e, "-name") && add(a, e, "valise-%s", s->id) &&
	       add(a, e, "-nodefaults") && add(a, e, "-no-user-config") &&
	       add(a, e, "-no-reboot") && add(a, e, "-display") && add(a, e, "none") &&
	       add(a, e, "-sandbox") &&
	       add(a, e,
		   "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny") &&
	       add(a, e, "-machine") && add(a, e, "q35,usb=off,vmport=off,hpet=off,i8042=on") &&
	       add(a, e, "-accel") && add(a, e, "%s", kvm ? "kvm" : "tcg") &&
	       add(a, e, "-cpu") && add(a, e, "%s", kvm ? "host" : "qemu64") &&
	       add(a, e, "-smp") && add(a, e, "%llu", (unsigned long long)s->vcpus) &&
	       add(a, e, "-m") && add(a, e, "%lluM", (unsigned long long)s->memory_mib);
}

static bool add_kernel(struct qemu_args *a, const struct launch_spec *s,
		       const struct qemu_fds *f, struct err *e)
{
	keep(a, f->kernel);
	if (!add(a, e, "-kernel") || !add(a, e, "/proc/self/fd/%d", f->kernel) ||
	    !add(a, e, "-append") || !add(a, e, "%s", s->cmdline))
		return false;
	if (f->initrd < 0)
		return true;
	keep(a, f->initrd);
	return add(a, e, "-initrd") && add(a, e, "/proc/self/fd/%d", f->initrd);
}

/* A descriptor set of one: QEMU opens it as /dev/fdset/N with the access that it has. */
static bool add_disk(struct qemu_args *a, const struct launch_disk *d, size_t i, struct err *e)
{
	const char *ro = d->readonly ? "on" : "off";

	keep(a, d->file.fd);
	return add(a, e, "-add-fd") && add(a, e, "fd=%d,set=%zu", d->file.fd, i + 1) &&
	       add(a, e, "-blockdev") &&
	       add(a, e,
		   "driver=raw,node-name=disk%zu,read-only=%s,discard=unmap,"
		   "file.driver=file,file.filename=/dev/fdset/%zu,file.locking=off",
		   i, ro, i + 1) &&
	       add(a, e, "-device") &&
	       add(a, e, "virtio-blk-pci,drive=disk%zu,serial=%s", i, d->name);
}

static bool add_socket(struct qemu_args *a, const char *id, int fd, struct err *e)
{
	keep(a, fd);
	return add(a, e, "-chardev") && add(a, e, "socket,id=%s,fd=%d", id, fd);
}

static bool add_ports(struct qemu_args *a, const struct qemu_fds *f, struct err *e)
{
	return add_socket(a, "qmp", f->qmp, e) && add(a, e, "-mon") &&
	       add(a, e, "chardev=qmp,mode=control") && add_socket(a, "serial", f->serial, e) &&
	       add(a, e, "-serial") && add(a, e, "chardev:serial") && add(a, e, "-device") &&
	       add(a, e, "virtio-serial-pci") && add_socket(a, "health", f->health, e) &&
	       add(a, e, "-device") &&
	       add(a, e, "virtserialport,chardev=health,name=org.valise.health") &&
	       add_socket(a, "control", f->control, e) && add(a, e, "-device") &&
	       add(a, e, "virtserialport,chardev=control,name=org.valise.control") &&
	       add(a, e, "-device") && add(a, e, "virtio-rng-pci");
}

/* The card is one end of a socket; what it may reach is decided at the other (net/gate.h). */
static bool add_net(struct qemu_args *a, int fd, struct err *e)
{
	if (fd < 0)
		return true;
	keep(a, fd);
	return add(a, e, "-netdev") && add(a, e, "socket,id=net,fd=%d", fd) &&
	       add(a, e, "-device") && add(a, e, "virtio-net-pci,netdev=net,romfile=");
}

bool qemu_args_init(struct qemu_args *a, const struct launch_spec *spec,
		    const struct qemu_fds *fds, bool kvm, struct err *e)
{
	memset(a, 0, sizeof(*a));
	buf_init(&a->text, TEXT_MAX);
	if (strcmp(spec->arch, "x86_64") != 0)
		return err_set(e, E_UNSUPPORTED, "this build runs x86_64 guests only, not %s",
			       spec->arch);
	if (!add_machine(a, spec, kvm, e) || !add_kernel(a, spec, fds, e) ||
	    !add_ports(a, fds, e) || !add_net(a, fds->net, e))
		return false;
	for (size_t i = 0; i < spec->n_disks; i++)
		if (!add_disk(a, &spec->disks[i], i, e))
			return false;
	for (size_t i = 0; i < a->n; i++)
		a->v[i] = (const char *)a->text.p + (uintptr_t)a->v[i];
	a->v[a->n] = NULL;
	return true;
}

void qemu_args_done(struct qemu_args *a)
{
	buf_done(&a->text);
}
