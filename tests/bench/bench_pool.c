/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "bench.h"
#include "host.h"
#include "pool.h"

#define POOL_SIZE 4
#define POOL_MS 60000

static struct pool *pool_of(struct hookbox *box)
{
	return sandbox_pool(host_sandbox(box, "bench"));
}

static void fill_pool(struct pool *pool)
{
	if (!pool || !pool_wait_full(pool, POOL_MS))
		fail("the pool", "it does not become full");
}

static struct hookbox *open_pool(const char *mode, const char *settings)
{
	static const char *const argv[] = {"/hook", NULL};
	char config[1024];
	struct hookbox *box;

	snprintf(config, sizeof(config), "[sandbox bench]\nmode = %s\npool = %d\n%s", mode,
		 POOL_SIZE, settings);
	box = open_box(config);
	time_exec(box, "bench", argv);
	return box;
}

/* Hits alone: each call finds a full pool that has nothing else to do. */
static void measure_hits(const char *mode, struct hookbox *box, double f_bar)
{
	static const char *const argv[] = {"/hook", NULL};
	const char *const base_argv[] = {options.hook, NULL};
	struct samples samples = samples_new(options.runs / 10);
	struct pool_stats before, after;
	char name[64];

	fill_pool(pool_of(box));
	pool_get_stats(pool_of(box), &before);
	for (size_t i = 0; i < samples.n; i++) {
		fill_pool(pool_of(box));
		samples.base[i] = time_floor(base_argv);
		samples.ours[i] = time_exec(box, "bench", argv);
	}
	pool_get_stats(pool_of(box), &after);
	if (after.hits - before.hits != samples.n)
		fail(mode, "calls missed a full pool");
	snprintf(name, sizeof(name), "%s, pool", mode);
	print_result(name, floor_median(samples.ours, samples.n), "F",
		     floor_median(samples.base, samples.n), f_bar);
	/* The median is the middle one of the sorted samples. */
	snprintf(name, sizeof(name), "%s, pool p99", mode);
	print_result(name, samples.ours[(samples.n * 99 + 99) / 100 - 1], "F",
		     floor_median(samples.base, samples.n), 10);
	samples_free(&samples);
}

/* From an empty pool to a full one, for each box. */
static double time_refill(struct hookbox *box)
{
	static const char *const argv[] = {"/hook", NULL};
	struct pool_stats before, after;
	int64_t begun;

	fill_pool(pool_of(box));
	pool_get_stats(pool_of(box), &before);
	for (int i = 0; i < POOL_SIZE; i++)
		time_exec(box, "bench", argv);
	begun = floor_now_us();
	fill_pool(pool_of(box));
	pool_get_stats(pool_of(box), &after);
	return (double)(floor_now_us() - begun) / (double)(after.refills - before.refills);
}

static void measure_refill(const char *mode, struct hookbox *box)
{
	struct samples samples = samples_new(options.runs / 100);
	char name[64];

	for (size_t i = 0; i < samples.n; i++)
		samples.ours[i] = time_refill(box);
	snprintf(name, sizeof(name), "%s, refill", mode);
	print_result(name, floor_median(samples.ours, samples.n), NULL, 0, 0);
	samples_free(&samples);
}

void measure_pool(void)
{
	char settings[512];
	struct hookbox *box;

	snprintf(settings, sizeof(settings), "image = %s\ndocker_path = %s\n", options.image,
		 options.docker);
	box = open_pool("docker_run", settings);
	measure_hits("docker_run", box, 4);
	measure_refill("docker_run", box);
	hookbox_close(box);
}
