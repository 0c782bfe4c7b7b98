/* Tasks over threads: each runs once, the first failure is the result, cancelling ends it. */
#include "tests/support/unit.h"

#include "delta/tasks.h"

#include <stdatomic.h>

enum { N = 500 };

struct run {
	atomic_uint times[N];
	size_t fails_at, cancel_at;
};

static bool count(void *ctx, size_t index, unsigned thread, struct err *e)
{
	struct run *r = ctx;

	r->times[index]++;
	if (thread >= TASKS_THREADS_MAX || index == r->fails_at)
		return err_set(e, E_CORRUPT, "task %zu", index);
	return true;
}

static bool progress(void *ctx, size_t done)
{
	const struct run *r = ctx;

	return done < r->cancel_at;
}

static void each_task_runs_once_with_any_number_of_threads(void **state UNUSED)
{
	static const unsigned threads[] = { 0, 1, 2, 7, 1000 };
	static const size_t sizes[] = { 0, 1, 3, N };

	for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
		for (unsigned k = 0; k < ARRAY_SIZE(sizes); k++) {
			struct run r = { .fails_at = SIZE_MAX };
			struct tasks t = {
				.n = sizes[k], .threads = threads[i], .run = count, .ctx = &r
			};
			struct err e;

			assert_ok(tasks_run(&t, &e), &e);
			for (size_t n = 0; n < N; n++)
				assert_int_equal(r.times[n], n < sizes[k]);
		}
}

static void a_failure_is_told_and_ends_the_work(void **state UNUSED)
{
	for (unsigned threads = 1; threads < 4; threads++) {
		struct run r = { .fails_at = 20 };
		struct tasks t = { .n = N, .threads = threads, .run = count, .ctx = &r };
		struct err e;

		assert_fails(tasks_run(&t, &e), &e, E_CORRUPT);
		assert_string_equal(e.text, "task 20");
		if (threads == 1)
			assert_int_equal(r.times[21], 0);
	}
}

static void progress_may_cancel(void **state UNUSED)
{
	struct run r = { .fails_at = SIZE_MAX, .cancel_at = 5 };
	struct tasks t = { .n = N, .run = count, .progress = progress, .ctx = &r };
	struct err e;

	assert_fails(tasks_run(&t, &e), &e, E_CANCELLED);
	assert_int_equal(r.times[4], 1);
	assert_int_equal(r.times[5], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_task_runs_once_with_any_number_of_threads),
		cmocka_unit_test(a_failure_is_told_and_ends_the_work),
		cmocka_unit_test(progress_may_cancel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
