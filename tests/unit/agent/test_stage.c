#include "tests/support/unit.h"
#include "tests/support/forge.h"

#include "agent/stage.h"
#include "base/file.h"
#include "base/text.h"
#include "delta/delta.h"
#include "delta/format.h"
#include "proto/seekable.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A release with a kernel (small: no tree) and a disk, and a source that serves their objects. */
enum { KERNEL_BYTES = 5000, DISK_BYTES = 9 * 1048576 + 777 };

struct object {
	struct buf b;
	uint8_t sha256[SHA256_SIZE];
};

struct world {
	struct release release;
	struct component components[2];
	struct model model;
	uint8_t *plain[2];
	struct object objects[4]; /* kernel.zst, system.zst, system.tree, none */
	size_t n_objects;

	/* The source's behaviour and what it saw. */
	uint64_t cut_after; /* bytes of answers until the network goes; UINT64_MAX: never */
	uint64_t served;
	unsigned gets;
	atomic_bool *cancel_after; /* set when cancel_at bytes were served; or NULL */
	uint64_t cancel_at;
	unsigned shorter,
		longer; /* bytes that its answers lack, or that frames bring too many */

	struct stage_progress progress;
	struct stage stage;
	int slot, seed_slot;
};

static void fill(uint8_t *p, size_t n, uint64_t x)
{
	/* Half of it compressible, so that frames differ in size. */
	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = i / 4096 % 3 == 1 ? (uint8_t)(i / 64) : (uint8_t)x;
	}
	/* A hole of two groups, as images have. */
	if (n > 3 * VERITY_GROUP)
		memset(p + VERITY_GROUP, 0, 2 * VERITY_GROUP);
}

static bool add_bytes(void *arg, const void *p, size_t n, struct err *e)
{
	return buf_add(arg, p, n, e);
}

static struct object *new_object(struct world *w)
{
	struct object *o = &w->objects[w->n_objects++];

	o->b = BUF_INIT(64 << 20);
	return o;
}

static void make_component(struct world *w, struct component *c, const char *name,
			   enum component_kind kind, const uint8_t *plain, size_t n,
			   uint32_t frame_size)
{
	CLEANUP(verity_build_freep) struct verity_build *b = NULL;
	CLEANUP(seekable_enc_freep) struct seekable_enc *z = NULL;
	struct err e;

	*c = (struct component){ .kind = kind, .size = n, .frame_size = frame_size };
	memcpy(c->name, name, strlen(name) + 1);
	sha256(c->sha256, plain, n);
	release_salt(c->salt, w->release.product, w->release.version, name);
	assert_ok(verity_build_new(&b, c->salt, false, &e), &e);
	assert_ok(verity_build_add(b, plain, n, &e), &e);
	assert_ok(verity_build_finish(b, c->root, &e), &e);

	struct object *object = new_object(w);
	assert_ok(seekable_enc_new(&z, frame_size, 1, 1, add_bytes, &object->b, &e), &e);
	assert_ok(seekable_enc_add(z, plain, n, &e), &e);
	assert_ok(seekable_enc_finish(z, &c->object_size, &e), &e);
	assert_int_equal(c->object_size, object->b.n);
	sha256(object->sha256, object->b.p, object->b.n);
	memcpy(c->object_sha256, object->sha256, SHA256_SIZE);

	struct verity_geo geo;
	assert_ok(verity_geo_init(&geo, n, &e), &e);
	c->tree_size = geo.upper_size;
	if (geo.upper_size > 0) {
		struct object *tree = new_object(w);
		assert_ok(verity_build_upper(b, &tree->b, &e), &e);
		sha256(tree->sha256, tree->b.p, tree->b.n);
		memcpy(c->tree_sha256, tree->sha256, SHA256_SIZE);
	}
}

static bool serve(void *ctx, const uint8_t digest[static SHA256_SIZE], uint64_t object_size,
		  uint64_t from, uint64_t to, stage_sink *sink, void *arg, struct err *e)
{
	struct world *w = ctx;

	w->gets++;
	for (size_t i = 0; i < w->n_objects; i++) {
		const struct object *o = &w->objects[i];

		if (memcmp(o->sha256, digest, SHA256_SIZE) != 0)
			continue;
		assert_true(o->b.n == object_size && from < to && to <= object_size);
		/* What is asked for up to the end is a table or a tree. */
		unsigned longer = to < object_size ? w->longer : 0;
		to -= w->shorter;
		while (from < to) {
			uint64_t n = to - from < 7001 ? to - from : 7001;

			if (n > w->cut_after - w->served)
				n = w->cut_after - w->served;
			if (n == 0)
				return err_set(e, E_NETWORK, "cut");
			w->served += n;
			if (!sink(arg, o->b.p + from, n, e))
				return false;
			if (w->cancel_after && w->served >= w->cancel_at)
				atomic_store(w->cancel_after, true);
			from += n;
		}
		return longer == 0 || sink(arg, "longer", longer, e);
	}
	return err_set(e, E_NOT_FOUND, "no such object");
}

/* What an update does to an image: things move, some are new. */
static void edit(uint8_t *p, size_t n)
{
	memmove(p + 3000000, p + 2999000, 4000000);
	fill(p + 5000000, 30000, 12345);
	memset(p + n - 5000, 'x', 5000);
}

static struct world *world_new_of(void **state, const char *version, uint32_t frame_size,
				  bool edited)
{
	struct world *w = calloc(1, sizeof(*w));
	struct err e;

	assert_non_null(w);
	memcpy(w->release.product, "acme", 5);
	memcpy(w->release.version, version, strlen(version) + 1);
	w->plain[0] = malloc(KERNEL_BYTES);
	w->plain[1] = malloc(DISK_BYTES);
	assert_non_null(w->plain[0]);
	assert_non_null(w->plain[1]);
	fill(w->plain[0], KERNEL_BYTES, 7);
	fill(w->plain[1], DISK_BYTES, 99);
	if (edited)
		edit(w->plain[1], DISK_BYTES);
	make_component(w, &w->components[0], "kernel", COMPONENT_KERNEL, w->plain[0],
		       KERNEL_BYTES, frame_size);
	make_component(w, &w->components[1], "system", COMPONENT_DISK, w->plain[1], DISK_BYTES,
		       frame_size);
	w->release.components = w->components;
	w->release.n_components = 2;
	w->model = (struct model){
		.name = "m", .kernel = 0, .initrd = -1, .disks = { 1 }, .n_disks = 1
	};
	w->release.models = &w->model;
	w->release.n_models = 1;
	w->cut_after = UINT64_MAX;
	w->seed_slot = -1;
	assert_ok(slot_open(&w->slot, tmpdir_fd(state), SLOT_A, &e), &e);
	w->stage = (struct stage){
		.slot_dirfd = w->slot,
		.release = &w->release,
		.model = &w->model,
		.manifest = "the manifest",
		.manifest_n = 12,
		.seed_dirfd = -1,
		.source = { serve, w },
		.threads = 2,
		.progress = &w->progress,
	};
	return w;
}

static struct world *world_new(void **state, const char *version, uint32_t frame_size)
{
	return world_new_of(state, version, frame_size, false);
}

static void world_free(struct world *w)
{
	for (size_t i = 0; i < w->n_objects; i++)
		buf_done(&w->objects[i].b);
	free(w->plain[0]);
	free(w->plain[1]);
	fd_closep(&w->slot);
	fd_closep(&w->seed_slot);
	free(w);
}

/* What is there is exactly the release: plain bytes, zeros behind, and a hash area that fits. */
static void assert_slot_whole(struct world *w, int slot)
{
	for (size_t i = 0; i < 2; i++) {
		const struct component *c = &w->components[i];
		struct verity_geo geo;
		struct err e;
		int fd = -1;

		assert_ok(slot_component(&fd, slot, c, &e), &e);
		assert_ok(verity_geo_init(&geo, c->size, &e), &e);
		uint8_t *all = malloc(geo.padded_size);
		assert_ok(pread_all(fd, all, geo.padded_size, 0, &e), &e);
		assert_memory_equal(all, w->plain[i], c->size);
		for (uint64_t at = c->size; at < geo.padded_size; at++)
			assert_int_equal(all[at], 0);
		free(all);
		close(fd);

		CLEANUP(verity_build_freep) struct verity_build *b = NULL;
		CLEANUP(buf_done) struct buf want = BUF_INIT(geo.area_size);
		CLEANUP(buf_done) struct buf have = BUF_INIT(geo.area_size + 1);
		char name[SLOT_FILE_SIZE];
		uint8_t root[SHA256_SIZE];

		assert_ok(verity_build_new(&b, c->salt, true, &e), &e);
		assert_ok(verity_build_add(b, w->plain[i], c->size, &e), &e);
		assert_ok(verity_build_finish(b, root, &e), &e);
		assert_ok(verity_build_area(b, &want, &e), &e);
		slot_hash_name(name, c->name);
		assert_ok(read_file_at(slot, name, &have, &e), &e);
		assert_int_equal(have.n, want.n);
		assert_memory_equal(have.p, want.p, want.n);
	}
	char manifest[32];
	assert_int_equal(read_back_at(slot, "release.json", manifest, sizeof(manifest)), 12);
}

static uint64_t object_bytes(const struct world *w)
{
	uint64_t n = 0;

	for (size_t i = 0; i < w->n_objects; i++)
		n += w->objects[i].b.n;
	return n;
}

static void a_release_is_staged_whole(void **state)
{
	static const uint32_t frame_sizes[] = { 4096, 131072, VERITY_GROUP, 1048576 };

	for (size_t i = 0; i < ARRAY_SIZE(frame_sizes); i++) {
		struct world *w = world_new(state, "1.0", frame_sizes[i]);
		struct err e;

		assert_int_equal(unlinkat(w->slot, "system", 0) == 0, i > 0);
		assert_ok(stage_run(&w->stage, &e), &e);
		assert_slot_whole(w, w->slot);
		assert_int_equal(atomic_load(&w->progress.done_bytes),
				 KERNEL_BYTES + DISK_BYTES);
		assert_true(w->served <= object_bytes(w));
		world_free(w);
	}
}

static void a_second_run_asks_for_nothing(void **state)
{
	struct world *w = world_new(state, "1.0", 1048576);
	struct err e;

	assert_ok(stage_run(&w->stage, &e), &e);
	w->gets = 0;
	assert_ok(stage_run(&w->stage, &e), &e);
	assert_int_equal(w->gets, 0);
	assert_slot_whole(w, w->slot);
	world_free(w);
}

static void a_cut_anywhere_resumes_without_fetching_twice(void **state)
{
	struct err e;

	for (unsigned eighth = 0; eighth < 16; eighth++) {
		struct world *w = world_new(state, "1.0", 262144);
		uint64_t all = object_bytes(w);

		unlinkat(w->slot, "system", 0);
		unlinkat(w->slot, "system.hash", 0);
		unlinkat(w->slot, "kernel", 0);
		w->cut_after = all * eighth / 16;
		assert_fails(stage_run(&w->stage, &e), &e, E_NETWORK);
		assert_false(file_exists_at(w->slot, "release.json"));
		uint64_t first = w->served;
		w->cut_after = UINT64_MAX;
		w->served = 0;
		assert_ok(stage_run(&w->stage, &e), &e);
		assert_slot_whole(w, w->slot);
		/* Lost are at most the unit that was cut, its neighbour in a thread's hands, and the
		 * table. */
		assert_true(first + w->served <= all + 2 * (VERITY_GROUP + 1024) + 4096);
		world_free(w);
	}
}

static void a_power_cut_at_any_write_leaves_what_can_be_finished(void **state)
{
	struct err e;
	unsigned n = 1;

	for (bool more = true; more; n += 3) {
		struct world *w = world_new(state, "1.0", 1048576);
		struct err ignored;

		unlinkat(w->slot, "system", 0);
		fault_arm(FAULT_WRITE, n);
		bool ok = stage_run(&w->stage, &e);
		more = fault_disarm();
		if (more)
			assert_int_equal(ok ? E_NO_SPACE : e.code, E_NO_SPACE);
		assert_true(ok || !file_exists_at(w->slot, "release.json"));
		assert_ok(stage_run(&w->stage, &ignored), &ignored);
		assert_slot_whole(w, w->slot);
		world_free(w);
	}
	assert_true(n > 20);
}

/* The slot's folder when the old manifest goes; two components with their hash areas; the new manifest and the folder. */
static void all_of_a_slot_is_durable_before_it_is_whole(void **state)
{
	enum { SYNCS = 1 + 2 * 2 + 2 };

	for (unsigned n = 1; n <= SYNCS + 1; n++) {
		struct world *w = world_new(state, "1.0", 1048576);
		struct err e;

		fault_arm(FAULT_SYNC, n);
		bool ok = stage_run(&w->stage, &e);
		assert_int_equal(fault_disarm(), n <= SYNCS);
		assert_int_equal(ok, n > SYNCS);
		assert_int_equal(file_exists_at(w->slot, "release.json"), n >= SYNCS);
		world_free(w);
	}
}

static void a_flipped_bit_in_the_slot_costs_one_frame(void **state)
{
	struct world *w = world_new(state, "1.0", 1048576);
	struct err e;

	assert_ok(stage_run(&w->stage, &e), &e);
	CLEANUP(fd_closep) int fd = openat(w->slot, "system", O_RDWR | O_CLOEXEC);
	uint8_t byte;
	assert_ok(pread_all(fd, &byte, 1, 5000000, &e), &e);
	byte ^= 4;
	assert_ok(pwrite_all(fd, &byte, 1, 5000000, &e), &e);
	w->served = 0;
	assert_ok(stage_run(&w->stage, &e), &e);
	assert_slot_whole(w, w->slot);
	assert_true(w->served > 0 && w->served < 1048576 + 65536);
	world_free(w);
}

static void a_flipped_bit_in_an_object_is_never_written(void **state)
{
	struct err e;

	/* In the kernel's and the system's frames, the table, the tree. */
	for (unsigned where = 0; where < 40; where++) {
		struct world *w = world_new(state, "1.0", 1048576);
		struct object *o = &w->objects[where % w->n_objects];
		size_t bit = (o->b.n - 1) * 8 * (where / w->n_objects) / (40 / w->n_objects);

		unlinkat(w->slot, "system", 0);
		unlinkat(w->slot, "system.hash", 0);
		unlinkat(w->slot, "kernel", 0);
		flip_bit(o->b.p, bit);
		bool ok = stage_run(&w->stage, &e);
		/* zstd has bits that mean nothing; then the result is right all the same. */
		if (ok) {
			assert_slot_whole(w, w->slot);
		} else {
			assert_int_equal(e.code, E_CORRUPT);
			assert_non_null(strstr(e.text, "acme/1.0: "));
			assert_false(file_exists_at(w->slot, "release.json"));
		}
		flip_bit(o->b.p, bit);
		assert_ok(stage_run(&w->stage, &e), &e);
		assert_slot_whole(w, w->slot);
		world_free(w);
	}
}

/* ---- deltas ---- */

/* The old release in slot a, staged; the new one to go to slot b, with an offer of a delta. */
struct pair {
	struct world *old, *new;
	struct object *delta;
	struct offer offer;
	struct err why;
};

static void make_delta(struct object *ret, int old_fd, const uint8_t *p, size_t n)
{
	CLEANUP(fd_closep) int new_fd = memfd_create("new", MFD_CLOEXEC);
	CLEANUP(fd_closep) int out_fd = memfd_create("out", MFD_CLOEXEC);
	const struct delta_job job = {
		.old_fd = old_fd, .new_fd = new_fd, .out_fd = out_fd, .scratch_fd = -1
	};
	struct delta_info made;
	uint8_t *room;
	struct err e;

	assert_ok(pwrite_all(new_fd, p, n, 0, &e), &e);
	assert_ok(delta_create(&job, &made, &e), &e);
	buf_reset(&ret->b);
	assert_ok(buf_reserve(&ret->b, made.delta_size, &room, &e), &e);
	assert_ok(pread_all(out_fd, room, made.delta_size, 0, &e), &e);
	buf_commit(&ret->b, made.delta_size);
}

/* What the server offers are the delta's bytes as they are now. */
static void offer_it(struct pair *p)
{
	const struct component *c = &p->new->components[1];

	sha256(p->delta->sha256, p->delta->b.p, p->delta->b.n);
	p->offer = (struct offer){ .component = "system", .n_deltas = 1 };
	memcpy(p->offer.full.sha256, c->object_sha256, SHA256_SIZE);
	p->offer.full.size = c->object_size;
	memcpy(p->offer.deltas[0].from, p->old->components[1].root, SHA256_SIZE);
	memcpy(p->offer.deltas[0].object.sha256, p->delta->sha256, SHA256_SIZE);
	p->offer.deltas[0].object.size = p->delta->b.n;
	p->offer.deltas[0].coding = FORMAT_VERSION;
	p->new->stage.offers = &p->offer;
	p->new->stage.n_offers = 1;
}

static void pair_make(struct pair *p, void **state)
{
	struct err e;

	*p = (struct pair){ .old = world_new(state, "1.0", 1048576) };
	p->new = world_new_of(state, "1.1", 1048576, true);
	assert_ok(stage_run(&p->old->stage, &e), &e);
	fd_closep(&p->new->slot);
	assert_ok(slot_open(&p->new->slot, tmpdir_fd(state), SLOT_B, &e), &e);
	p->new->stage.slot_dirfd = p->new->slot;
	p->new->stage.seed_dirfd = p->old->slot;
	p->new->stage.seed = &p->old->release;
	p->new->stage.delta_why = &p->why;
	p->delta = new_object(p->new);
	CLEANUP(fd_closep) int fd = openat(p->old->slot, "system", O_RDONLY | O_CLOEXEC);
	make_delta(p->delta, fd, p->new->plain[1], DISK_BYTES);
	assert_true(p->delta->b.n < 60000);
	offer_it(p);
}

static void pair_done(struct pair *p)
{
	world_free(p->old);
	world_free(p->new);
}

/* As before the first attempt. */
static void pair_again(struct pair *p)
{
	char name[HEX_SIZE(SHA256_SIZE) + 1] = "=";

	hex_encode(name + 1, p->delta->sha256, SHA256_SIZE);
	unlinkat(p->new->slot, name, 0);
	unlinkat(p->new->slot, "system", 0);
	unlinkat(p->new->slot, "release.json", 0);
	p->new->served = 0;
	p->why.code = E_NONE;
}

static void a_delta_from_the_active_slot_spares_the_download(void **state)
{
	struct pair p;
	struct err e;

	pair_make(&p, state);
	assert_ok(stage_run(&p.new->stage, &e), &e);
	assert_int_equal(p.why.code, E_NONE);
	assert_slot_whole(p.new, p.new->slot);
	assert_slot_whole(p.old, p.old->slot);
	assert_int_equal(p.new->served, p.delta->b.n + p.new->components[1].tree_size);
	assert_int_equal(atomic_load(&p.new->progress.delta_bytes), p.delta->b.n);
	assert_int_equal(atomic_load(&p.new->progress.reused_bytes), KERNEL_BYTES + DISK_BYTES);
	pair_done(&p);
}

static void offers_that_do_not_fit_are_passed_over(void **state)
{
	struct pair p;
	struct err e;

	pair_make(&p, state);
	for (int i = 0; i < 6; i++) {
		pair_again(&p);
		offer_it(&p);
		if (i == 0) /* from what we do not have */
			p.offer.deltas[0].from[5] ^= 1;
		else if (i == 1) /* to another release */
			p.offer.full.sha256[5] ^= 1;
		else if (i == 2) /* larger than what it spares */
			p.offer.deltas[0].object.size = p.offer.full.size;
		else if (i ==
			 3) /* in a coding that we do not have, or by a server that does not say */
			p.offer.deltas[0].coding = FORMAT_VERSION - 1;
		else if (i == 4)
			p.offer.deltas[0].coding = 0;
		else
			memcpy(p.offer.component, "sys", 4);
		p.new->stage.no_fallback = E_DENIED;
		assert_ok(stage_run(&p.new->stage, &e), &e);
		assert_slot_whole(p.new, p.new->slot);
		assert_int_equal(atomic_load(&p.new->progress.delta_bytes), 0);
	}
	pair_done(&p);
}

static void a_delta_cut_anywhere_goes_on_where_it_was(void **state)
{
	struct pair p;
	struct err e;

	pair_make(&p, state);
	for (unsigned part = 1; part < 6; part++) {
		pair_again(&p);
		uint64_t all = p.delta->b.n;
		p.new->cut_after = all *part / 6;
		assert_fails(stage_run(&p.new->stage, &e), &e, E_NETWORK);
		p.new->cut_after = UINT64_MAX;
		assert_ok(stage_run(&p.new->stage, &e), &e);
		assert_slot_whole(p.new, p.new->slot);
		assert_in_range(p.new->served, all,
				all + (part == 1 ? 2 : 1) * p.new->components[1].tree_size);
	}
	pair_done(&p);
}

static void half_a_delta_of_before_an_upgrade_of_the_coding_is_left(void **state)
{
	char name[1 + HEX_SIZE(SHA256_SIZE)] = "=";
	struct pair p;
	struct err e;

	pair_make(&p, state);
	hex_encode(name + 1, p.delta->sha256, SHA256_SIZE);
	p.new->cut_after = p.delta->b.n / 2;
	assert_fails(stage_run(&p.new->stage, &e), &e, E_NETWORK);
	/* The agent that starts again has what was offered then, and does without. */
	p.new->cut_after = UINT64_MAX;
	p.offer.deltas[0].coding--;
	p.new->stage.no_fallback = E_DENIED;
	assert_true(file_exists_at(p.new->slot, name));
	assert_ok(stage_run(&p.new->stage, &e), &e);
	assert_slot_whole(p.new, p.new->slot);
	assert_int_equal(atomic_load(&p.new->progress.delta_bytes), 0);
	assert_int_equal(p.why.code, E_NONE);
	assert_false(file_exists_at(p.new->slot, name));
	pair_done(&p);
}

static void a_delta_with_a_flipped_bit_is_not_even_opened(void **state)
{
	struct pair p;
	struct err e;

	pair_make(&p, state);
	flip_bit(p.delta->b.p, 8 * p.delta->b.n / 2);
	assert_ok(stage_run(&p.new->stage, &e), &e);
	assert_slot_whole(p.new, p.new->slot);
	assert_int_equal(p.why.code, E_CORRUPT);
	assert_non_null(strstr(p.why.text, "not the bytes that were offered"));

	/* As the policy wants; what is of no use is not paid for twice. */
	pair_again(&p);
	p.new->stage.no_fallback = E_BUSY;
	assert_fails(stage_run(&p.new->stage, &e), &e, E_BUSY);
	assert_false(file_exists_at(p.new->slot, "release.json"));
	assert_true(p.new->served < p.delta->b.n + 65536);
	p.new->served = 0;
	assert_fails(stage_run(&p.new->stage, &e), &e, E_BUSY);
	assert_int_equal(p.new->served, 0);

	/* But what was put together from pieces is fetched anew. */
	pair_again(&p);
	flip_bit(p.delta->b.p, 8 * p.delta->b.n / 2);
	p.new->cut_after = p.delta->b.n / 3;
	assert_fails(stage_run(&p.new->stage, &e), &e, E_NETWORK);
	p.new->cut_after = UINT64_MAX;
	flip_bit(p.delta->b.p, 8 * p.delta->b.n / 2);
	assert_fails(stage_run(&p.new->stage, &e), &e, E_BUSY);
	flip_bit(p.delta->b.p, 8 * p.delta->b.n / 2);
	assert_ok(stage_run(&p.new->stage, &e), &e);
	assert_slot_whole(p.new, p.new->slot);
	pair_done(&p);
}

static void a_hostile_delta_can_only_fail(void **state)
{
	enum { FLIPS = 24 };
	struct pair p;
	struct err e;

	pair_make(&p, state);
	for (size_t i = 0; i < FLIPS; i++) {
		/* Half of them in header, index and hashes. */
		size_t bit = i % 2 ? i * 40 : (p.delta->b.n * 8 - 1) * i / FLIPS;

		flip_bit(p.delta->b.p, bit);
		offer_it(&p);
		pair_again(&p);
		assert_ok(stage_run(&p.new->stage, &e), &e);
		assert_slot_whole(p.new, p.new->slot);
		flip_bit(p.delta->b.p, bit);
	}
	/* A good delta that makes something else. */
	CLEANUP(fd_closep) int fd = openat(p.old->slot, "system", O_RDONLY | O_CLOEXEC);
	make_delta(p.delta, fd, p.old->plain[1], DISK_BYTES);
	offer_it(&p);
	pair_again(&p);
	assert_ok(stage_run(&p.new->stage, &e), &e);
	assert_slot_whole(p.new, p.new->slot);
	assert_int_equal(p.why.code, E_CORRUPT);
	/* One that makes more, and one of an empty file. */
	uint8_t *more = calloc(1, 2 * DISK_BYTES);
	for (int i = 0; i < 2; i++) {
		make_delta(p.delta, fd, more, i == 0 ? 2 * DISK_BYTES : 0);
		offer_it(&p);
		pair_again(&p);
		assert_ok(stage_run(&p.new->stage, &e), &e);
		assert_slot_whole(p.new, p.new->slot);
		assert_int_equal(p.why.code, E_CORRUPT);
	}
	free(more);
	pair_done(&p);
}

/* A tebibyte of zeros, with one hash for all: opening it would make it. */
static void a_delta_of_another_size_is_not_begun(void **state)
{
	const uint64_t tebibyte = UINT64_C(1) << 40;
	const struct op zeros = { .kind = OP_ZERO, .n = tebibyte };
	const struct forge_piece piece = {
		.piece = { .size = tebibyte }, .ops = &zeros, .n_ops = 1, .head_only = true
	};
	enum { SLOT_BYTES = (DISK_BYTES + 4095) / 4096 * 4096 };
	struct forge f;
	struct pair p;
	struct err e;

	pair_make(&p, state);
	forge_init(&f, NULL, 0, SLOT_BYTES, NULL, 0, FORMAT_SEGMENT_LOG_MAX);
	forge_frame(&f, &piece, 1);
	f.format.new_size = tebibyte;
	f.format.is_summed = true;
	CLEANUP(buf_done) struct buf delta = forge_finish(&f);
	buf_reset(&p.delta->b);
	assert_ok(buf_add(&p.delta->b, delta.p, delta.n, &e), &e);
	offer_it(&p);
	assert_ok(stage_run(&p.new->stage, &e), &e);
	assert_slot_whole(p.new, p.new->slot);
	assert_int_equal(p.why.code, E_CORRUPT);
	assert_non_null(strstr(p.why.text, "instead of"));
	pair_done(&p);
}

static void a_delta_that_takes_too_long_is_given_up(void **state)
{
	enum { SLOT_BYTES = (DISK_BYTES + 4095) / 4096 * 4096 };
	struct pair p;
	struct err e;

	pair_make(&p, state);
	CLEANUP(buf_done) struct buf image = { 0 };
	CLEANUP(buf_done)
	struct buf delta = forge_thrash(&image, SLOT_BYTES, p.new->plain[1], DISK_BYTES, 20);
	CLEANUP(fd_closep) int fd = openat(p.old->slot, "system", O_RDWR | O_CLOEXEC);
	assert_ok(pwrite_all(fd, image.p, image.n, 0, &e), &e);
	buf_reset(&p.delta->b);
	assert_ok(buf_add(&p.delta->b, delta.p, delta.n, &e), &e);
	offer_it(&p);
	assert_ok(stage_run(&p.new->stage, &e), &e);
	assert_slot_whole(p.new, p.new->slot);
	assert_int_equal(p.why.code, E_TOO_BIG);
	assert_non_null(strstr(p.why.text, "too long to unpack"));
	pair_done(&p);
}

static void a_damaged_old_image_costs_what_it_touches(void **state)
{
	struct pair p;
	struct err e;

	pair_make(&p, state);
	CLEANUP(fd_closep) int fd = openat(p.old->slot, "system", O_RDWR | O_CLOEXEC);
	assert_ok(pwrite_all(fd, "damage", 6, 8500000, &e), &e);
	assert_ok(stage_run(&p.new->stage, &e), &e);
	assert_slot_whole(p.new, p.new->slot);
	assert_int_equal(p.why.code, E_CORRUPT);
	assert_true(atomic_load(&p.new->progress.reused_bytes) > DISK_BYTES / 3);
	assert_true(p.new->served < p.new->components[1].object_size);
	pair_done(&p);
}

static void assert_no_child(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void cancelling_ends_the_child_that_applies(void **state)
{
	atomic_bool cancel = false;
	struct pair p;
	struct err e;

	pair_make(&p, state);
	p.new->stage.cancel = &cancel;
	p.new->cancel_after = &cancel;
	p.new->cancel_at = p.new->components[1].tree_size + p.delta->b.n;
	assert_fails(stage_run(&p.new->stage, &e), &e, E_CANCELLED);
	assert_no_child();
	assert_int_equal(p.new->served, p.new->cancel_at);
	/* The whole delta is there for the next time. */
	p.new->cancel_after = NULL;
	cancel = false;
	assert_ok(stage_run(&p.new->stage, &e), &e);
	assert_slot_whole(p.new, p.new->slot);
	assert_int_equal(atomic_load(&p.new->progress.delta_bytes), 0);
	pair_done(&p);
}

/* Whether a child that is made stands still at its first step. */
static bool stand_still;

static void begin_of_child(void)
{
	while (stand_still)
		pause();
}

static void a_child_that_makes_nothing_for_too_long_is_ended(void **state)
{
	struct pair p;
	struct err e;

	pair_make(&p, state);
	assert_int_equal(pthread_atfork(NULL, NULL, begin_of_child), 0);
	stand_still = true;
	p.new->stage.stall_ms = 100;
	assert_ok(stage_run(&p.new->stage, &e), &e);
	stand_still = false;
	assert_no_child();
	assert_slot_whole(p.new, p.new->slot);
	assert_int_equal(p.why.code, E_TIMEOUT);
	assert_true(p.new->served > p.new->components[1].object_size);
	pair_done(&p);
}

static void a_power_cut_at_any_write_of_a_delta_can_be_finished(void **state)
{
	unsigned n = 1;
	struct pair p;
	struct err e;

	pair_make(&p, state);
	for (bool more = true; more; n += 9) {
		pair_again(&p);
		fault_arm(FAULT_WRITE, n);
		bool ok = stage_run(&p.new->stage, &e);
		more = fault_disarm();
		assert_true(ok || !file_exists_at(p.new->slot, "release.json"));
		assert_ok(stage_run(&p.new->stage, &e), &e);
		assert_slot_whole(p.new, p.new->slot);
	}
	assert_true(n > 20);
	pair_done(&p);
}

/* Asks for all room but leave_bytes to stay free, and tells how staging ended.  The room is the whole machine's:
 * what others write at that moment may change one answer, not a hundred. */
static bool stage_beside_reserve(struct world *w, uint64_t leave_bytes, bool wanted,
				 struct err *e)
{
	bool ok = !wanted;

	for (int i = 0; i < 100 && ok != wanted && w->gets == 0; i++) {
		uint64_t free_bytes;

		assert_ok(fs_free_bytes(w->slot, &free_bytes, e), e);
		assert_true(free_bytes > leave_bytes);
		w->stage.reserve_bytes = free_bytes - leave_bytes;
		ok = stage_run(&w->stage, e);
	}
	return ok;
}

static void room_is_checked_before_the_first_byte(void **state)
{
	struct world *w = world_new(state, "1.0", 1048576);
	struct err e;

	assert_false(stage_beside_reserve(w, 1048576, false, &e));
	assert_int_equal(e.code, E_NO_SPACE);
	assert_int_equal(w->gets, 0);
	assert_non_null(strstr(e.text, "beside a reserve of"));
	/* What the slot holds counts. */
	w->stage.reserve_bytes = 0;
	assert_ok(stage_run(&w->stage, &e), &e);
	w->gets = 0;
	assert_ok(stage_beside_reserve(w, 4 << 20, true, &e), &e);
	world_free(w);
}

static void the_same_content_in_the_active_slot_is_copied(void **state)
{
	struct world *old = world_new(state, "1.0", 1048576);
	struct world *new = world_new(state, "1.1", 1048576);
	struct err e;

	assert_ok(stage_run(&old->stage, &e), &e);
	fd_closep(&new->slot);
	assert_ok(slot_open(&new->slot, tmpdir_fd(state), SLOT_B, &e), &e);
	new->stage.slot_dirfd = new->slot;
	new->stage.seed_dirfd = old->slot;
	new->stage.seed = &old->release;
	/* Another salt, so another root; the bytes are the same. */
	assert_memory_not_equal(old->components[1].root, new->components[1].root, SHA256_SIZE);
	assert_ok(stage_run(&new->stage, &e), &e);
	assert_slot_whole(new, new->slot);
	assert_slot_whole(old, old->slot);
	assert_true(new->served <= new->components[1].tree_size);

	/* A damaged seed costs the download of what is damaged, and does no harm. */
	CLEANUP(fd_closep) int fd = openat(old->slot, "system", O_RDWR | O_CLOEXEC);
	assert_ok(pwrite_all(fd, "damage", 6, 3000000, &e), &e);
	assert_int_equal(unlinkat(new->slot, "system", 0), 0);
	new->served = 0;
	assert_ok(stage_run(&new->stage, &e), &e);
	assert_slot_whole(new, new->slot);
	assert_true(new->served > 0 && new->served < 1048576 + 65536);
	world_free(old);
	world_free(new);
}

static void a_seed_of_another_length_is_not_taken(void **state)
{
	struct world *old = world_new(state, "1.0", 1048576);
	struct world *new = world_new(state, "1.1", 1048576);
	struct err e;

	assert_ok(stage_run(&old->stage, &e), &e);
	CLEANUP(fd_closep) int fd = openat(old->slot, "system", O_RDWR | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, DISK_BYTES + 1048576), 0);
	fd_closep(&new->slot);
	assert_ok(slot_open(&new->slot, tmpdir_fd(state), SLOT_B, &e), &e);
	new->stage.slot_dirfd = new->slot;
	new->stage.seed_dirfd = old->slot;
	new->stage.seed = &old->release;
	assert_ok(stage_run(&new->stage, &e), &e);
	assert_slot_whole(new, new->slot);
	world_free(old);
	world_free(new);
}

static void answers_of_another_length_than_asked_for_are_refused(void **state)
{
	struct world *w = world_new(state, "1.0", 1048576);
	struct err e;

	w->shorter = 1;
	assert_fails(stage_run(&w->stage, &e), &e, E_CORRUPT);
	w->shorter = 0;
	w->longer = 1;
	assert_fails(stage_run(&w->stage, &e), &e, E_CORRUPT);
	assert_non_null(strstr(e.text, "more bytes than asked for"));
	assert_false(file_exists_at(w->slot, "release.json"));
	w->longer = 0;
	assert_ok(stage_run(&w->stage, &e), &e);
	assert_slot_whole(w, w->slot);
	world_free(w);
}

static void what_another_release_left_is_cleared_first(void **state)
{
	struct world *w = world_new(state, "1.0", 1048576);
	struct err e;

	write_file_at(w->slot, "oldthing", "x", 1);
	write_file_at(w->slot, "oldthing.hash", "x", 1);
	write_file_at(w->slot, "release.json", "{}", 2);
	/* Longer than it will be. */
	uint8_t *junk = malloc(DISK_BYTES + 100000);
	memset(junk, 0xee, DISK_BYTES + 100000);
	write_file_at(w->slot, "system", junk, DISK_BYTES + 100000);
	free(junk);
	w->cut_after = 0;
	assert_fails(stage_run(&w->stage, &e), &e, E_NETWORK);
	assert_false(file_exists_at(w->slot, "oldthing"));
	assert_false(file_exists_at(w->slot, "release.json"));
	w->cut_after = UINT64_MAX;
	assert_ok(stage_run(&w->stage, &e), &e);
	assert_slot_whole(w, w->slot);
	world_free(w);
}

static void components_of_other_models_are_not_fetched(void **state)
{
	struct world *w = world_new(state, "1.0", 1048576);
	struct err e;

	w->model.n_disks = 0;
	assert_ok(stage_run(&w->stage, &e), &e);
	assert_false(file_exists_at(w->slot, "system"));
	assert_true(w->served < 65536);
	world_free(w);
}

static void names_that_would_collide_in_a_slot_are_refused(void **state)
{
	struct world *w = world_new(state, "1.0", 1048576);
	struct err e;

	memcpy(w->components[0].name, "system.hash", 12);
	assert_fails(stage_run(&w->stage, &e), &e, E_FORMAT);
	memcpy(w->components[0].name, "release.json", 13);
	assert_fails(stage_run(&w->stage, &e), &e, E_FORMAT);
	assert_int_equal(w->gets, 0);
	world_free(w);
}

static void cancelling_stops_it(void **state)
{
	struct world *w = world_new(state, "1.0", 1048576);
	atomic_bool cancel = true;
	struct err e;

	w->stage.cancel = &cancel;
	assert_fails(stage_run(&w->stage, &e), &e, E_CANCELLED);
	assert_int_equal(w->gets, 0);
	world_free(w);
}

static void a_component_beyond_4_gib_needs_no_room_for_its_holes(void **state)
{
	enum { MIB = 1048576 };
	uint64_t size = (UINT64_C(4) << 30) + 5 * MIB + 123;
	struct world *w = world_new(state, "1.0", MIB);
	struct component *c = &w->components[1];
	CLEANUP(buf_done) struct buf upper = BUF_INIT(4 << 20);
	struct err e;

	/* A sparse plain file: something at the start, beyond 4 GiB and at the end. */
	CLEANUP(fd_closep)
	int fd = openat(tmpdir_fd(state), "plain", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	static const uint64_t at[] = { 0, 12345678, (UINT64_C(4) << 30) + 77 };
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		assert_ok(pwrite_all(fd, "something", 9, at[i], &e), &e);
	assert_ok(pwrite_all(fd, "end", 3, size - 3, &e), &e);

	c->size = size;
	assert_ok(verity_fd_root(c->root, &upper, -1, fd, size, c->salt, NULL, &e), &e);
	buf_reset(&w->objects[1].b);
	CLEANUP(seekable_enc_freep) struct seekable_enc *z = NULL;
	assert_ok(seekable_enc_new(&z, MIB, 1, 2, add_bytes, &w->objects[1].b, &e), &e);
	uint8_t *piece = malloc(MIB);
	for (uint64_t from = 0; from < size; from += MIB) {
		size_t n = size - from < MIB ? size - from : MIB;
		bool data = n < MIB;

		for (size_t i = 0; i < ARRAY_SIZE(at); i++)
			data |= at[i] / MIB == from / MIB;
		memset(piece, 0, n);
		if (data)
			assert_ok(pread_all(fd, piece, n, from, &e), &e);
		assert_ok(seekable_enc_add(z, piece, n, &e), &e);
	}
	assert_ok(seekable_enc_finish(z, &c->object_size, &e), &e);
	sha256(w->objects[1].sha256, w->objects[1].b.p, w->objects[1].b.n);
	memcpy(c->object_sha256, w->objects[1].sha256, SHA256_SIZE);
	buf_reset(&w->objects[2].b);
	assert_ok(buf_add(&w->objects[2].b, upper.p, upper.n, &e), &e);
	sha256(w->objects[2].sha256, upper.p, upper.n);
	memcpy(c->tree_sha256, w->objects[2].sha256, SHA256_SIZE);
	c->tree_size = upper.n;

	uint64_t free_bytes;
	assert_ok(fs_free_bytes(w->slot, &free_bytes, &e), &e);
	if (free_bytes < size + (UINT64_C(64) << 20)) {
		free(piece);
		world_free(w);
		skip();
	}
	assert_ok(stage_run(&w->stage, &e), &e);
	CLEANUP(fd_closep) int staged = -1;
	assert_ok(slot_component(&staged, w->slot, c, &e), &e);
	assert_ok(verity_fd_check_root(staged, size, c->salt, c->root, NULL, &e), &e);
	struct stat st;
	assert_int_equal(fstat(staged, &st), 0);
	assert_true(st.st_blocks * 512 < 16 * MIB);
	free(piece);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(a_release_is_staged_whole),
		TMPDIR_TEST(a_second_run_asks_for_nothing),
		TMPDIR_TEST(a_cut_anywhere_resumes_without_fetching_twice),
		TMPDIR_TEST(a_power_cut_at_any_write_leaves_what_can_be_finished),
		TMPDIR_TEST(all_of_a_slot_is_durable_before_it_is_whole),
		TMPDIR_TEST(a_flipped_bit_in_the_slot_costs_one_frame),
		TMPDIR_TEST(a_flipped_bit_in_an_object_is_never_written),
		TMPDIR_TEST(a_delta_from_the_active_slot_spares_the_download),
		TMPDIR_TEST(offers_that_do_not_fit_are_passed_over),
		TMPDIR_TEST(a_delta_cut_anywhere_goes_on_where_it_was),
		TMPDIR_TEST(half_a_delta_of_before_an_upgrade_of_the_coding_is_left),
		TMPDIR_TEST(a_delta_with_a_flipped_bit_is_not_even_opened),
		TMPDIR_TEST(a_hostile_delta_can_only_fail),
		TMPDIR_TEST(a_delta_of_another_size_is_not_begun),
		TMPDIR_TEST(a_delta_that_takes_too_long_is_given_up),
		TMPDIR_TEST(a_damaged_old_image_costs_what_it_touches),
		TMPDIR_TEST(cancelling_ends_the_child_that_applies),
		TMPDIR_TEST(a_child_that_makes_nothing_for_too_long_is_ended),
		TMPDIR_TEST(a_power_cut_at_any_write_of_a_delta_can_be_finished),
		TMPDIR_TEST(room_is_checked_before_the_first_byte),
		TMPDIR_TEST(the_same_content_in_the_active_slot_is_copied),
		TMPDIR_TEST(a_seed_of_another_length_is_not_taken),
		TMPDIR_TEST(answers_of_another_length_than_asked_for_are_refused),
		TMPDIR_TEST(what_another_release_left_is_cleared_first),
		TMPDIR_TEST(components_of_other_models_are_not_fetched),
		TMPDIR_TEST(names_that_would_collide_in_a_slot_are_refused),
		TMPDIR_TEST(cancelling_stops_it),
		TMPDIR_TEST(a_component_beyond_4_gib_needs_no_room_for_its_holes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
