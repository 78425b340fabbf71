/* SPDX-License-Identifier: MIT */
/* Calls that find a fresh box ready, over the CLI's streams and over a socket. */
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

static struct hookbox *open_pool(const char *mode, const char *socket, const char *settings)
{
	static const char *const argv[] = {"/hook", NULL};
	char config[2048];
	struct hookbox *box;

	snprintf(config, sizeof(config), "[sandbox bench]\nmode = %s\npool = %d\nsocket = %s\n%s",
		 mode, POOL_SIZE, socket, settings);
	box = open_box(config);
	time_exec(box, "bench", argv);
	return box;
}

/* Hits alone: each call finds a full pool that has nothing else to do. */
static void measure_hits(const char *mode, const char *way, struct hookbox *box, double f_bar)
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
	snprintf(name, sizeof(name), "%s, pool%s", mode, way);
	print_result(name, floor_median(samples.ours, samples.n), "F",
		     floor_median(samples.base, samples.n), f_bar);
	/* The median is the middle one of the sorted samples. */
	snprintf(name, sizeof(name), "%s, pool%s p99", mode, way);
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

/* Is every box reached over a socket? Else something else would be measured. */
static bool has_sockets(struct hookbox *box)
{
	struct pool_stats stats;

	fill_pool(pool_of(box));
	pool_get_stats(pool_of(box), &stats);
	return stats.sockets == stats.refills;
}

static void measure_pools(const char *mode, const char *settings)
{
	struct hookbox *box = open_pool(mode, "off", settings);
	char name[64];

	measure_hits(mode, "", box, 4);
	measure_refill(mode, box);
	hookbox_close(box);
	box = open_pool(mode, "auto", settings);
	snprintf(name, sizeof(name), "%s, pool over a socket", mode);
	if (has_sockets(box))
		measure_hits(mode, " over a socket", box, 1.3);
	else
		print_skip(name, "boxes are not reached over one here");
	hookbox_close(box);
}

void measure_docker_pools(void)
{
	char settings[512];

	snprintf(settings, sizeof(settings), "image = %s\ndocker_path = %s\n", options.image,
		 options.docker);
	measure_pools("docker_run", settings);
}

void measure_bwrap_pools(void)
{
	char settings[1024];

	snprintf(settings, sizeof(settings), "binds = %s:/hook\n", options.hook);
	measure_pools("bwrap_run", settings);
}
