#include "delta/models.h"

#include <stdlib.h>
#include <string.h>

enum { TABLE_LOG = 18 }; /* 8 MiB of slots for bytes */

static void bits_init(bitmodel *m, size_t n)
{
	for (size_t i = 0; i < n; i++)
		m[i] = BITMODEL_INIT;
}

static void history_done(struct history *h)
{
	free(h->bytes);
	free(h->far);
	*h = (struct history){ 0 };
}

bool models_remember(struct models *m, uint32_t bytes, struct err *e)
{
	struct history *h = &m->history;

	history_done(h);
	h->mask = bytes - 1;
	h->far_mask = bytes / FAR_STEP - 1;
	h->bytes = calloc(bytes, 1);
	h->far = calloc(bytes / FAR_STEP, sizeof(*h->far));
	if (!h->bytes || !h->far)
		return err_nomem(e);
	memset(m->guesses, 0, sizeof(*m->guesses) << GUESS_LOG);
	m->guess_at = m->guess_length = 0;
	return true;
}

bool code_remember(struct models *m, size_t n_old_streams, size_t n_ops, struct err *e)
{
	return n_old_streams || n_ops > LIMIT_DELTA_OPS / 2 ||
	       models_remember(m, CODE_HISTORY_WIDE, e);
}

static bool models_init(struct models *m, struct err *e)
{
	m->flag_bits = malloc(FLAG_INPUTS * sizeof(*m->flag_bits));
	m->guesses = calloc(1 << GUESS_LOG, sizeof(*m->guesses));
	if (!m->flag_bits || !m->guesses)
		return err_nomem(e);
	if (!models_remember(m, CODE_HISTORY, e) || !tables_init(&m->tables, TABLE_LOG, e) ||
	    !bytemix_init(&m->literals, &m->tables, LITERAL_SETS, LITERAL_INPUTS, 1, e) ||
	    !bytemix_init(&m->diffs, &m->tables, 16, DIFF_INPUTS, 2, e) ||
	    !bytemix_init(&m->recipes, &m->tables, 1, 4, 3, e) ||
	    !flagmix_init(&m->granules, 16, GRANULE_INPUTS, e) ||
	    !flagmix_init(&m->flags, 256, FLAG_INPUTS, e) ||
	    !flagmix_init(&m->habits, 2 * (HABIT_RIGHT + 1), HABIT_INPUTS, e) ||
	    !nummix_init(&m->commands, 2 * NUMS, e) || !fields_init(&m->fields, e))
		return false;
	bits_init(&m->flag_bits[0][0], (size_t)FLAG_INPUTS << FLAG_LOG);
	bits_init(&m->granule_bits[0][0], sizeof(m->granule_bits) / sizeof(bitmodel));
	bits_init(m->page_bits, ARRAY_SIZE(m->page_bits));
	bits_init(m->is_stream, ARRAY_SIZE(m->is_stream));
	bits_init(&m->is_bulk, 1);
	bits_init(&m->is_kept, 1);
	bits_init(m->is_plain, ARRAY_SIZE(m->is_plain));
	bits_init(m->is_run, ARRAY_SIZE(m->is_run));
	bits_init(&m->part_back, 1);
	for (unsigned i = 0; i < 2; i++)
		bits_init(&m->ways[i].is_habit[0][0],
			  sizeof(m->ways[i].is_habit) / sizeof(bitmodel));
	number_init(&m->bulk.filter);
	number_init(&m->bulk.size);
	buf_init(&m->bulk.stream, LIMIT_DELTA_FRAME);
	number_init(&m->gap);
	number_init(&m->packed_size);
	number_init(&m->plain_gain);
	number_init(&m->raw_size);
	number_init(&m->recipe_size);
	number_init(&m->transform);
	number_init(&m->parts);
	number_init(&m->part_size);
	number_init(&m->part_far);
	number_init(&m->part_near);
	number_init(&m->runs);
	number_init(&m->run_size);
	number_init(&m->run_out);
	number_init(&m->run_depth);
	return true;
}

bool models_new(struct models **ret, struct err *e)
{
	CLEANUP(models_freep) struct models *m = calloc(1, sizeof(*m));

	if (!m)
		return err_nomem(e);
	if (!models_init(m, e))
		return false;
	*ret = TAKE(m);
	return true;
}

void models_free(struct models *m)
{
	if (!m)
		return;
	bytemix_done(&m->literals);
	bytemix_done(&m->diffs);
	bytemix_done(&m->recipes);
	flagmix_done(&m->granules);
	flagmix_done(&m->flags);
	flagmix_done(&m->habits);
	nummix_done(&m->commands);
	tables_done(&m->tables);
	fields_done(&m->fields);
	lzma2_dec_free(m->bulk.dec);
	buf_done(&m->bulk.stream);
	free(m->flag_bits);
	history_done(&m->history);
	free(m->guesses);
	free(m);
}

void code_passed(struct models *m, const uint8_t *p, size_t n)
{
	for (size_t i = n > 8 ? n - 8 : 0; i < n; i++)
		models_passed(m, p[i]);
}
