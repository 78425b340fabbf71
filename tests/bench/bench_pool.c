/* SPDX-License-Identifier: MIT */
/* Pools: how a call finds them, and how fast they fill. */
#include <unistd.h>

#include "bench.h"
#include "host.h"
#include "pool.h"

#define FULL_MS 60000
#define REST_US 100000		/* an engine works on for a while when its box runs */

static struct pool *pool_of(struct hookbox *box)
{
	return sandbox_pool(host_sandbox(box, "bench"));
}

static struct pool_stats stats_of(struct hookbox *box)
{
	struct pool_stats stats;

	pool_get_stats(pool_of(box), &stats);
	return stats;
}

static void fill(struct hookbox *box)
{
	if (!pool_of(box) || !pool_wait_full(pool_of(box), FULL_MS))
		fail("the pool", "it does not become full");
}

/* ---- What a call finds ---- */

static struct pool_stats before;

bool pool_fits(struct hookbox *box, enum pool_use use)
{
	struct pool_stats stats;

	if (use != POOL_SOCKET)
		return true;
	fill(box);
	stats = stats_of(box);
	return stats.sockets == stats.refills;
}

void pool_prepare(struct hookbox *box, enum pool_use use)
{
	const char *const argv[] = {"/hook", NULL};

	if (use == NO_POOL)
		return;
	fill(box);
	while (use == POOL_MISS && stats_of(box).waiting)
		time_exec(box, argv);
	if (use != POOL_MISS)
		usleep(REST_US);
	before = stats_of(box);
}

bool pool_was_used(struct hookbox *box, enum pool_use use)
{
	struct pool_stats after;

	if (use == NO_POOL)
		return true;
	after = stats_of(box);
	return use == POOL_MISS ? after.misses > before.misses : after.hits > before.hits;
}

/* ---- How fast it fills ---- */

#define REFILL_SIZE 8
#define REFILL_SETTINGS "pool = 8\n"

static const struct refill {
	const char *id, *title, *settings;
	enum backend backend;
	double bar;		/* of the rate of back-to-back runs by hand */
} refills[] = {
	{"pool.bwrap_run.refill", "bwrap_run, refill", REFILL_SETTINGS, BWRAP_RUN, 0},
	{"pool.docker_run.refill", "docker_run, refill", REFILL_SETTINGS, DOCKER_RUN, 0},
	{"pool.docker_run.keeper", "docker_run, refill, network keeper",
	 REFILL_SETTINGS "network_keeper = yes\n", DOCKER_RUN, 1.6},
};

/* Boxes a second, from a full pool that is used up at once to a full one. */
static double rate_of_refill(struct hookbox *box)
{
	const char *const argv[] = {"/hook", NULL};
	struct pool_stats first, last;
	int64_t begun;

	fill(box);
	first = stats_of(box);
	begun = floor_now_us();
	for (int i = 0; i < REFILL_SIZE; i++)
		time_exec(box, argv);
	fill(box);
	last = stats_of(box);
	return 1e6 * (double)(last.refills - first.refills) / (double)(floor_now_us() - begun);
}

static double rate_by_hand(enum backend backend)
{
	const char *const argv[] = {backend_hook(backend), NULL};
	const char *const *by_hand = backend_by_hand(backend, argv);
	int64_t begun = floor_now_us();

	for (int i = 0; i < REFILL_SIZE; i++)
		time_floor(by_hand);
	return 1e6 * REFILL_SIZE / (double)(floor_now_us() - begun);
}

static void measure_refill(const struct refill *refill)
{
	const char *const argv[] = {backend_hook(refill->backend), NULL};
	struct hookbox *box = backend_open(refill->backend, refill->settings);
	struct samples ours = {0}, base = {0};
	char title[64];

	time_exec(box, argv);
	for (int round = 0; round < bench_rounds(); round++) {
		report_progress(refill->title, round + 1, bench_rounds());
		/* Nothing of the pool's goes on meanwhile. */
		fill(box);
		samples_add(&base, rate_by_hand(refill->backend));
		samples_add(&ours, rate_of_refill(box));
	}
	hookbox_close(box);
	snprintf(title, sizeof(title), "%s by hand", backend_mode(refill->backend));
	report_row(&(struct row){
		.id = refill->id,
		.title = refill->title,
		.unit = "boxes/s",
		.value = samples_quantile(&ours, 0.5),
		.n = ours.n,
		.base = title,
		.base_value = samples_quantile(&base, 0.5),
		.bar = refill->bar,
		.at_least = true,
	});
	samples_free(&ours);
	samples_free(&base);
}

void measure_pools(void)
{
	for (size_t i = 0; i < N_ELEMENTS(refills); i++) {
		const char *problem = backend_problem(refills[i].backend);

		if (problem)
			report_skip(refills[i].id, problem);
		else
			measure_refill(&refills[i]);
	}
}
