/* SPDX-License-Identifier: MIT */
/* Calls a second, of N threads that call all the time. */
#include <pthread.h>
#include <string.h>

#include "bench.h"

#define IN_FLIGHT_MOST 256

enum way_of_load { THE_FLOOR, THROUGH_HOST, BY_HAND };

static const struct load {
	const char *id, *title;
	enum way_of_load way;
	enum backend backend;
	int only_at;		/* in flight; 0: at all levels */
} loads[] = {
	{"floor", "the floor", THE_FLOOR, DIRECT, 0},
	{"direct", "direct", THROUGH_HOST, DIRECT, 0},
	{"docker_exec.channel", "docker_exec, channel", THROUGH_HOST, DOCKER_EXEC, 0},
	{"docker_exec.by_hand", "docker exec by hand", BY_HAND, DOCKER_EXEC, 64},
};

static const int levels[] = {1, 4, 16, 64, 256};

/* What is to be compared, beside each line to the floor. */
static const struct {
	const char *id, *ours, *base;
	int in_flight;
	double bar;
} bars[] = {
	{"load.docker_exec.channel.64.floor", "docker_exec.channel", "floor", 64, 0.8},
	{"load.docker_exec.channel.64.by_hand", "docker_exec.channel", "docker_exec.by_hand", 64,
	 100},
};

static double rates[N_ELEMENTS(loads)][N_ELEMENTS(levels)];

struct crowd {
	struct hookbox *box;		/* NULL: no host */
	const char *const *argv;
	int calls;			/* of each thread */
};

static void *be_one(void *data)
{
	const struct crowd *crowd = data;

	for (int i = 0; i < crowd->calls; i++) {
		if (crowd->box)
			time_exec(crowd->box, crowd->argv);
		else
			time_floor(crowd->argv);
	}
	return NULL;
}

static double rate_of_crowd(const struct crowd *crowd, int n)
{
	pthread_t threads[IN_FLIGHT_MOST];
	int64_t begun = floor_now_us();

	for (int i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, be_one, (void *)crowd))
			fail("a thread", "none can be made");
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	return 1e6 * n * crowd->calls / (double)(floor_now_us() - begun);
}

static double rate_of_load(const struct load *load, struct hookbox *box, int n)
{
	const char *const argv[] = {backend_hook(load->backend), NULL};
	struct crowd crowd = {
		.box = box,
		.argv = load->way == BY_HAND ? backend_by_hand(load->backend, argv) : argv,
		.calls = load->way == BY_HAND ? 1 : (int)bench_share(n, 4),
	};

	return rate_of_crowd(&crowd, n);
}

static bool is_left_out(const struct load *load, int in_flight)
{
	return backend_problem(load->backend) || (load->only_at && load->only_at != in_flight);
}

static void measure_level(size_t level, struct hookbox *const boxes[N_ELEMENTS(loads)])
{
	struct samples samples[N_ELEMENTS(loads)] = {0};
	int n = levels[level];

	for (int round = 0; round < bench_rounds(); round++) {
		report_progress("calls in flight", n, levels[N_ELEMENTS(levels) - 1]);
		for (size_t i = 0; i < N_ELEMENTS(loads); i++)
			if (!is_left_out(&loads[i], n))
				samples_add(&samples[i], rate_of_load(&loads[i], boxes[i], n));
	}
	for (size_t i = 0; i < N_ELEMENTS(loads); i++) {
		char id[64], title[64];

		if (is_left_out(&loads[i], n))
			continue;
		rates[i][level] = samples_quantile(&samples[i], 0.5);
		snprintf(id, sizeof(id), "load.%s.%d", loads[i].id, n);
		snprintf(title, sizeof(title), "%s, %d in flight", loads[i].title, n);
		report_row(&(struct row){
			.id = id,
			.title = title,
			.unit = "calls/s",
			.value = rates[i][level],
			.n = samples[i].n,
			.base = i ? "the floor" : NULL,
			.base_value = rates[0][level],
			.line = loads[i].title,
			.x = n,
		});
		samples_free(&samples[i]);
	}
}

static size_t find_load(const char *id)
{
	size_t i = 0;

	while (strcmp(loads[i].id, id))
		i++;
	return i;
}

static void report_bars(void)
{
	for (size_t i = 0; i < N_ELEMENTS(bars); i++) {
		size_t ours = find_load(bars[i].ours), base = find_load(bars[i].base), level = 0;
		char title[64];

		while (levels[level] != bars[i].in_flight)
			level++;
		if (!rates[ours][level] || !rates[base][level])
			continue;
		snprintf(title, sizeof(title), "%s, at %d", loads[ours].title, bars[i].in_flight);
		report_row(&(struct row){
			.id = bars[i].id,
			.title = title,
			.unit = "calls/s",
			.value = rates[ours][level],
			.n = (size_t)bench_rounds(),
			.base = loads[base].title,
			.base_value = rates[base][level],
			.bar = bars[i].bar,
			.at_least = true,
		});
	}
}

void measure_load(void)
{
	struct hookbox *boxes[N_ELEMENTS(loads)] = {0};

	for (size_t i = 0; i < N_ELEMENTS(loads); i++) {
		const char *problem = backend_problem(loads[i].backend);
		const char *const argv[] = {backend_hook(loads[i].backend), NULL};

		if (problem) {
			report_skip(loads[i].id, problem);
		} else if (loads[i].way == THROUGH_HOST) {
			boxes[i] = backend_open(loads[i].backend, NULL);
			time_exec(boxes[i], argv);
		}
	}
	for (size_t level = 0; level < N_ELEMENTS(levels); level++)
		measure_level(level, boxes);
	report_bars();
	for (size_t i = 0; i < N_ELEMENTS(loads); i++)
		if (boxes[i])
			hookbox_close(boxes[i]);
}
