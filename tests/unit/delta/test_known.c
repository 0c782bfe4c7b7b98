/* Blocks that another image has: all of them are known, hardly any other. */
#include "tests/support/unit.h"

#include "delta/known.h"

#include <pthread.h>

enum { BLOCKS = 2048, BYTES = BLOCKS * KNOWN_BLOCK };

static uint8_t *image, *other;

static int setup(void **state UNUSED)
{
	uint32_t seed = 5;

	image = malloc(BYTES);
	other = malloc(BYTES);
	assert_true(image && other);
	for (size_t i = 0; i < BYTES; i++) {
		seed = seed * 1664525 + 1013904223;
		image[i] = (uint8_t)(seed >> 24);
		other[i] = (uint8_t)(seed >> 16);
	}
	return 0;
}

static int teardown(void **state UNUSED)
{
	free(image);
	free(other);
	return 0;
}

static struct known empty(uint64_t size)
{
	struct known k;
	struct err e;

	assert_ok(known_init(&k, size, &e), &e);
	return k;
}

static unsigned count_known(const struct known *k, const uint8_t *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < BLOCKS; i++)
		n += known_has(k, p + (size_t)i * KNOWN_BLOCK);
	return n;
}

static void blocks_that_were_added_are_known(void **state UNUSED)
{
	struct known k = empty(BYTES);

	assert_int_equal(count_known(&k, image), 0);
	known_add(&k, image, BYTES);
	assert_int_equal(count_known(&k, image), BLOCKS);
	known_done(&k);
}

/* Two bits of 32 for each: one in 256 at worst. */
static void hardly_any_other_passes_for_known(void **state UNUSED)
{
	struct known k = empty(BYTES);

	known_add(&k, image, BYTES);
	assert_true(count_known(&k, other) < BLOCKS / 100);
	known_done(&k);
}

static void only_whole_blocks_are_added(void **state UNUSED)
{
	struct known k = empty(BYTES);

	known_add(&k, image, KNOWN_BLOCK - 1);
	assert_int_equal(count_known(&k, image), 0);
	known_add(&k, image, 2 * KNOWN_BLOCK - 1);
	assert_int_equal(count_known(&k, image), 1);
	assert_true(known_has(&k, image));
	known_done(&k);
}

static void images_of_any_size_need_64_mib_at_most(void **state UNUSED)
{
	static const uint64_t sizes[] = { 0, 1, KNOWN_BLOCK, UINT64_C(1) << 30,
					  UINT64_C(1) << 40 };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		usage_start();
		struct known k = empty(sizes[i]);
		assert_true(usage_heap_peak() <= 65 << 20);
		known_add(&k, image, KNOWN_BLOCK);
		assert_true(known_has(&k, image));
		assert_false(known_has(&k, other));
		known_done(&k);
	}
}

struct half {
	struct known *known;
	unsigned odd;
};

static void *add_half(void *ctx)
{
	const struct half *h = ctx;

	for (size_t i = h->odd; i < BLOCKS; i += 2)
		known_add(h->known, image + i * KNOWN_BLOCK, KNOWN_BLOCK);
	return NULL;
}

static void threads_give_the_same_in_any_order(void **state UNUSED)
{
	struct known k = empty(BYTES), all = empty(BYTES);
	struct half halves[2] = { { &k, 0 }, { &k, 1 } };
	pthread_t threads[2];

	known_add(&all, image, BYTES);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_half, &halves[i]), 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(k.log, all.log);
	assert_memory_equal(k.bits, all.bits, (size_t)1 << (k.log - 3));
	known_done(&k);
	known_done(&all);
}

static void memory_that_runs_out_is_told(void **state UNUSED)
{
	struct known k;
	struct err e;

	fault_arm(FAULT_ALLOC, 1);
	assert_fails(known_init(&k, BYTES, &e), &e, E_NOMEM);
	fault_disarm();
	known_done(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_that_were_added_are_known),
		cmocka_unit_test(hardly_any_other_passes_for_known),
		cmocka_unit_test(only_whole_blocks_are_added),
		cmocka_unit_test(images_of_any_size_need_64_mib_at_most),
		cmocka_unit_test(threads_give_the_same_in_any_order),
		cmocka_unit_test(memory_that_runs_out_is_told),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
