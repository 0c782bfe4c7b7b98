#include "hypervisor/kvm.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <linux/kvm.h>

enum {
	PROBE_LIMIT_MS = 2000, /* the whole child, process start included */
	LOOP_LIMIT_MS = 50,    /* a million iterations take 1 ms; emulated they take 500 */
	MEMORY_SIZE = 0x10000,
	RESULT_PORT = 0xf4,
};

/* Guest-physical layout, one page each; identity mapped by one 2 MiB page. */
enum {
	AT_PML4 = 0x1000,
	AT_PDPT = 0x2000,
	AT_PD = 0x3000,
	AT_GDT = 0x4000,
	AT_IDT = 0x5000,
	AT_TSS = 0x6000,
	AT_CODE = 0x7000,
	AT_STACK = 0x9000, /* grows down from here */
	AT_USER_STACK = 0xb000,
};

enum { SEL_KCODE = 0x08, SEL_KDATA = 0x10, SEL_UCODE = 0x18, SEL_UDATA = 0x20, SEL_TSS = 0x28 };

/* What the guest reports, a bit a step; the numbers stand in the assembly below too. */
enum { STEP_INT3 = 1, STEP_CMPXCHG16B = 2, STEP_USER = 4, STEP_ALL = 7, STEP_FAULT = 0x80 };

/* The guest.  Runs at AT_CODE; all addresses are relative to probe_guest.  %r12 collects the
 * steps; port 0xf4 takes 0xaa before and 0xbb after the loop, and at the end the steps. */
__asm__(".pushsection .rodata\n"
	".globl probe_guest, probe_guest_int3, probe_guest_int80, probe_guest_fault, probe_guest_end\n"
	"probe_guest:\n"
	"	xor %r12d, %r12d\n"
	"	int3\n"
	"	mov $0xaa, %al\n"
	"	out %al, $0xf4\n"
	"	mov $1000000, %ecx\n"
	"1:	dec %ecx\n"
	"	jnz 1b\n"
	"	mov $0xbb, %al\n"
	"	out %al, $0xf4\n"
	"	xor %eax, %eax\n"
	"	xor %edx, %edx\n"
	"	mov $1, %ebx\n"
	"	xor %ecx, %ecx\n"
	"	lock cmpxchg16b 0xc000\n"
	"	jnz probe_guest_fault\n"
	"	cmpq $1, 0xc000\n"
	"	jne probe_guest_fault\n"
	"	or $2, %r12d\n"
	"	pushq $0x23\n"   /* SS: user data, RPL 3 */
	"	pushq $0xb000\n" /* RSP */
	"	pushq $0x2\n"    /* RFLAGS: the bit that is always one */
	"	pushq $0x1b\n"   /* CS: user code, RPL 3 */
	"	lea 2f(%rip), %rax\n"
	"	push %rax\n"
	"	iretq\n"
	"2:	int $0x80\n"
	"	jmp 2b\n"
	"probe_guest_int3:\n"
	"	or $1, %r12d\n"
	"	iretq\n"
	"probe_guest_int80:\n"
	"	mov 8(%rsp), %rax\n" /* the CS that was interrupted */
	"	cmp $0x1b, %rax\n"
	"	jne probe_guest_fault\n"
	"	or $4, %r12d\n"
	"	mov %r12d, %eax\n"
	"	out %al, $0xf4\n"
	"	hlt\n"
	"probe_guest_fault:\n"
	"	mov $0x80, %al\n"
	"	out %al, $0xf4\n"
	"	hlt\n"
	"probe_guest_end:\n"
	".popsection\n");
extern const uint8_t probe_guest[], probe_guest_int3[], probe_guest_int80[],
	probe_guest_fault[], probe_guest_end[];

static void put_u64(uint8_t *memory, unsigned at, uint64_t v)
{
	memcpy(memory + at, &v, sizeof(v));
}

/* A 64-bit interrupt gate (Intel SDM volume 3, 6.14.1). */
static void put_gate(uint8_t *memory, unsigned vector, const uint8_t *handler, unsigned dpl)
{
	uint64_t at = AT_CODE + (uint64_t)(handler - probe_guest);

	put_u64(memory, AT_IDT + vector * 16,
		(at & 0xffff) | (uint64_t)SEL_KCODE << 16 | (0x8e00ull | dpl << 13) << 32);
	put_u64(memory, AT_IDT + vector * 16 + 8, 0);
}

static void build_guest(uint8_t *memory)
{
	enum { PRESENT_RW_USER = 7, PAGE_2M = 0x80 };

	put_u64(memory, AT_PML4, AT_PDPT | PRESENT_RW_USER);
	put_u64(memory, AT_PDPT, AT_PD | PRESENT_RW_USER);
	put_u64(memory, AT_PD, PRESENT_RW_USER | PAGE_2M);

	put_u64(memory, AT_GDT + SEL_KCODE, 0x00209a0000000000); /* L, present, code */
	put_u64(memory, AT_GDT + SEL_KDATA, 0x0000920000000000);
	put_u64(memory, AT_GDT + SEL_UCODE, 0x0020fa0000000000);
	put_u64(memory, AT_GDT + SEL_UDATA, 0x0000f20000000000);
	put_u64(memory, AT_GDT + SEL_TSS, 0x00008b0000000067 | (uint64_t)AT_TSS << 16);
	put_u64(memory, AT_TSS + 4, AT_STACK); /* RSP0: int 0x80 from CPL 3 lands here */

	for (unsigned v = 0; v < 32; v++)
		put_gate(memory, v, probe_guest_fault, 0);
	put_gate(memory, 3, probe_guest_int3, 0);
	put_gate(memory, 0x80, probe_guest_int80, 3);
	memcpy(memory + AT_CODE, probe_guest, (size_t)(probe_guest_end - probe_guest));
}

static bool set_registers(int vcpu, struct err *e)
{
	struct kvm_regs regs = { .rip = AT_CODE, .rsp = AT_STACK, .rflags = 2 };
	struct kvm_sregs s;

	if (ioctl(vcpu, KVM_GET_SREGS, &s) != 0)
		return err_sys(e, errno, "KVM_GET_SREGS");
	s.cr3 = AT_PML4;
	s.cr4 = 1 << 5;                                   /* PAE */
	s.cr0 = 1u << 31 | 1 << 16 | 1 << 5 | 1 << 4 | 1; /* PG WP NE ET PE */
	s.efer = 1 << 8 | 1 << 10;                        /* LME LMA */
	s.cs = (struct kvm_segment){ .selector = SEL_KCODE,
				     .limit = UINT32_MAX,
				     .type = 11,
				     .present = 1,
				     .s = 1,
				     .l = 1,
				     .g = 1 };
	s.ss = s.ds = s.es = s.fs = s.gs = (struct kvm_segment){ .selector = SEL_KDATA,
								 .limit = UINT32_MAX,
								 .type = 3,
								 .present = 1,
								 .s = 1,
								 .db = 1,
								 .g = 1 };
	s.tr = (struct kvm_segment){
		.selector = SEL_TSS, .base = AT_TSS, .limit = 0x67, .type = 11, .present = 1
	};
	s.gdt = (struct kvm_dtable){ .base = AT_GDT, .limit = SEL_TSS + 15 };
	s.idt = (struct kvm_dtable){ .base = AT_IDT, .limit = 0x81 * 16 - 1 };
	if (ioctl(vcpu, KVM_SET_SREGS, &s) != 0)
		return err_sys(e, errno, "KVM_SET_SREGS");
	if (ioctl(vcpu, KVM_SET_REGS, &regs) != 0)
		return err_sys(e, errno, "KVM_SET_REGS");
	return true;
}

/* A guest kernel asks CPUID; cmpxchg16b is only offered with the host's leaves. */
static bool set_cpuid(int kvm, int vcpu, struct err *e)
{
	enum { LEAVES = 256 };
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[LEAVES];
	} cpuid;

	cpuid.head.nent = LEAVES;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) != 0)
		return err_sys(e, errno, "KVM_GET_SUPPORTED_CPUID");
	if (ioctl(vcpu, KVM_SET_CPUID2, &cpuid) != 0)
		return err_sys(e, errno, "KVM_SET_CPUID2");
	return true;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool judge(unsigned steps, int64_t loop_ms, struct err *e)
{
	if (steps != STEP_ALL)
		return err_set(e, E_UNSUPPORTED, "the test guest failed (steps %#x of %#x)",
			       steps, STEP_ALL);
	if (loop_ms > LOOP_LIMIT_MS)
		return err_set(e, E_UNSUPPORTED,
			       "guest code is emulated (a loop of 1 ms took %d ms)",
			       (int)loop_ms);
	return true;
}

static bool run_guest(int vcpu, const struct kvm_run *run, struct err *e)
{
	int64_t loop_began = 0, loop_ms = 0;

	for (;;) {
		if (ioctl(vcpu, KVM_RUN, 0) != 0)
			return err_sys(e, errno, "KVM_RUN");
		if (run->exit_reason != KVM_EXIT_IO || run->io.port != RESULT_PORT)
			return err_set(e, E_UNSUPPORTED, "the test guest stopped with exit %u",
				       run->exit_reason);
		uint8_t said = *((const uint8_t *)run + run->io.data_offset);

		if (said == 0xaa)
			loop_began = now_ms();
		else if (said == 0xbb)
			loop_ms = now_ms() - loop_began;
		else
			return judge(said, loop_ms, e);
	}
}

static bool run_probe(struct err *e)
{
	CLEANUP(fd_closep) int vm = -1;
	CLEANUP(fd_closep) int vcpu = -1;
	CLEANUP(fd_closep) int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		return err_sys(e, errno, "/dev/kvm");
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return err_set(e, E_UNSUPPORTED, "/dev/kvm speaks another API version");
	if ((vm = ioctl(kvm, KVM_CREATE_VM, 0)) < 0)
		return err_sys(e, errno, "KVM_CREATE_VM");

	uint8_t *memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return err_sys(e, errno, "mmap");
	build_guest(memory);
	struct kvm_userspace_memory_region region = { .memory_size = MEMORY_SIZE,
						      .userspace_addr = (uintptr_t)memory };
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) != 0)
		return err_sys(e, errno, "KVM_SET_USER_MEMORY_REGION");
	if ((vcpu = ioctl(vm, KVM_CREATE_VCPU, 0)) < 0)
		return err_sys(e, errno, "KVM_CREATE_VCPU");

	int run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (run_size < (int)sizeof(struct kvm_run))
		return err_sys(e, errno, "KVM_GET_VCPU_MMAP_SIZE");
	struct kvm_run *run =
		mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		return err_sys(e, errno, "mmap of kvm_run");

	return set_cpuid(kvm, vcpu, e) && set_registers(vcpu, e) && run_guest(vcpu, run, e);
	/* The mappings end with the probe's child process. */
}

#else

enum { PROBE_LIMIT_MS = 2000 };

static bool run_probe(struct err *e)
{
	return err_set(e, E_UNSUPPORTED, "the KVM probe knows x86-64 only");
}

#endif

/* The child's answer: an err with code E_NONE for yes.  Same program, so the struct travels. */
static void run_child(int report)
{
	struct err e = { .code = E_NONE, .text = "" };

	if (run_probe(&e))
		e.code = E_NONE;
	e.hint = NULL; /* a pointer means nothing to the reader */
	ssize_t ignored = write(report, &e, sizeof(e));
	(void)ignored; /* a short answer counts as none */
	_exit(0);
}

bool kvm_probe(struct err *e)
{
	struct err answer;
	ssize_t n = 0;
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC) != 0)
		return err_sys(e, errno, "pipe");
	CLEANUP(fd_closep) int from = pipe_fds[0];
	CLEANUP(fd_closep) int to = pipe_fds[1];

	pid_t child = fork();
	if (child < 0)
		return err_sys(e, errno, "fork");
	if (child == 0)
		run_child(to);

	struct pollfd p = { .fd = from, .events = POLLIN };
	int64_t deadline = PROBE_LIMIT_MS;
	if (poll(&p, 1, (int)deadline) == 1)
		n = read(from, &answer, sizeof(answer));
	kill(child, SIGKILL);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	if (n != (ssize_t)sizeof(answer))
		return err_set(e, E_UNSUPPORTED, "the test guest hung for %d ms",
			       (int)deadline);
	if (answer.code != E_NONE)
		return err_set(e, E_UNSUPPORTED, "%s", answer.text);
	return true;
}
