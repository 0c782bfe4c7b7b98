/* tests/unit/agent/fixture.h - a small installed release, and a policy that forbids little. */
#ifndef VALISE_TESTS_AGENT_FIXTURE_H
#define VALISE_TESTS_AGENT_FIXTURE_H

#include "tests/support/unit.h"

#include "agent/policyd.h"
#include "agent/slots.h"
#include "base/file.h"

enum { FIXTURE_KERNEL = 5000, FIXTURE_DISK = 20000 };

static inline void fixture_component(struct component *c, const char *product,
				     const char *version, const char *name,
				     enum component_kind kind, const uint8_t *p, size_t n)
{
	CLEANUP(verity_build_freep) struct verity_build *b = NULL;
	struct err e;

	*c = (struct component){
		.kind = kind, .size = n, .object_size = 1000, .frame_size = 1048576
	};
	memcpy(c->name, name, strlen(name) + 1);
	sha256(c->sha256, p, n);
	sha256(c->tree_sha256, "", 0);
	release_salt(c->salt, product, version, name);
	assert_ok(verity_build_new(&b, c->salt, false, &e), &e);
	assert_ok(verity_build_add(b, p, n, &e), &e);
	assert_ok(verity_build_finish(b, c->root, &e), &e);
}

static inline void fixture_file(int dirfd, const char *name, const uint8_t *p, size_t n)
{
	size_t padded = (n + VERITY_BLOCK - 1) / VERITY_BLOCK * VERITY_BLOCK;
	uint8_t *all = calloc(1, padded);

	assert_non_null(all);
	memcpy(all, p, n);
	write_file_at(dirfd, name, all, padded);
	free(all);
}

/* Puts acme/<version> with model "compact" into a slot below the test's folder. */
static inline struct release_id fixture_install(void **state, uint8_t slot, const char *version,
						uint64_t schema)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_RELEASE_JSON);
	CLEANUP(fd_closep) int dirfd = -1;
	static uint8_t plain[FIXTURE_DISK];
	struct component c[2];
	struct model m = { .name = "compact",
			   .arch = ARCH_X86_64,
			   .memory_mib = 512,
			   .vcpus = 2,
			   .cmdline = "console=ttyS0",
			   .kernel = 0,
			   .initrd = -1,
			   .disks = { 1 },
			   .n_disks = 1 };
	struct release r = { .product = "acme",
			     .security_version = 1,
			     .data_schema = schema,
			     .health_deadline_s = 300,
			     .components = c,
			     .n_components = 2,
			     .models = &m,
			     .n_models = 1 };
	struct release_id id = { .product = "acme",
				 .security_version = 1,
				 .data_schema = schema };
	struct err e;

	memset(plain, 'x', sizeof(plain));
	memcpy(r.version, version, strlen(version) + 1);
	memcpy(id.version, version, strlen(version) + 1);
	fixture_component(&c[0], "acme", version, "kernel", COMPONENT_KERNEL, plain,
			  FIXTURE_KERNEL);
	fixture_component(&c[1], "acme", version, "system", COMPONENT_DISK, plain,
			  FIXTURE_DISK);
	assert_ok(release_encode(&r, &text, &e), &e);
	sha256(id.manifest, text.p, text.n);
	assert_ok(slot_open(&dirfd, tmpdir_fd(state), slot, &e), &e);
	fixture_file(dirfd, "kernel", plain, FIXTURE_KERNEL);
	fixture_file(dirfd, "system", plain, FIXTURE_DISK);
	write_file_at(dirfd, "release.json", text.p, text.n);
	return id;
}

#endif
