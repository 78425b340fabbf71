/* SPDX-License-Identifier: MIT */
/* soak PLUGIN-DIR CONTAINER-ID CALLS THREADS SEED */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "soak.h"

#define MEMORY_GROWTH_KB 8192
#define WRONG_MAX 20		/* lines about it */

static struct {
	struct soak soak;
	long next;
	long n_wrong;
	long warm_kb;
} run;

int64_t soak_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

void soak_wrong(const char *format, ...)
{
	va_list args;

	if (__atomic_add_fetch(&run.n_wrong, 1, __ATOMIC_RELAXED) > WRONG_MAX)
		return;
	va_start(args, format);
	flockfile(stdout);
	printf("wrong: ");
	vprintf(format, args);
	printf("\n");
	fflush(stdout);
	funlockfile(stdout);
	va_end(args);
}

/* xorshift: the same on every C library. */
unsigned int soak_random(unsigned int *seed, unsigned int below)
{
	unsigned int x = *seed ? *seed : 1;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	*seed = x;
	return x % below;
}

static void *make_calls(void *data)
{
	long number;

	while ((number = __atomic_fetch_add(&run.next, 1, __ATOMIC_RELAXED)) < run.soak.n_calls) {
		soak_call(&run.soak, number);
		if (number == run.soak.n_calls / 5)
			run.warm_kb = soak_memory_kb();
	}
	return NULL;
}

static void *make_faults(void *data)
{
	soak_kill(&run.soak, &run.next);
	return NULL;
}

static void run_threads(void)
{
	pthread_t threads[64], killer;
	int n = run.soak.n_threads < 1 ? 1 : run.soak.n_threads > 64 ? 64 : run.soak.n_threads;

	if (pthread_create(&killer, NULL, make_faults, NULL))
		abort();
	for (int i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, make_calls, NULL))
			abort();
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	pthread_join(killer, NULL);
}

/* While the channel is open, one agent and its keepers are all there may be. */
static void check_open(long memory_kb)
{
	if (memory_kb - run.warm_kb > MEMORY_GROWTH_KB)
		soak_wrong("memory grew from %ld to %ld kB", run.warm_kb, memory_kb);
	for (int i = 0; i < 150 && (soak_count(&run.soak, SOAK_OTHER) ||
				    soak_count(&run.soak, SOAK_AGENT) > 1); i++)
		usleep(100000);
	if (soak_count(&run.soak, SOAK_OTHER))
		soak_wrong("%d processes are left of calls", soak_count(&run.soak, SOAK_OTHER));
	if (soak_count(&run.soak, SOAK_AGENT) > 1)
		soak_wrong("%d agents run", soak_count(&run.soak, SOAK_AGENT));
	if (soak_count(&run.soak, SOAK_CLI) > 1)
		soak_wrong("%d CLIs run", soak_count(&run.soak, SOAK_CLI));
}

static void check_closed(int descriptors)
{
	for (int i = 0; i < 100 && soak_count(&run.soak, SOAK_AGENT); i++)
		usleep(100000);
	if (soak_count(&run.soak, SOAK_AGENT) || soak_count(&run.soak, SOAK_KEEPER))
		soak_wrong("an agent is left");
	if (soak_count(&run.soak, SOAK_CLI))
		soak_wrong("a CLI is left");
	if (soak_n_descriptors() != descriptors)
		soak_wrong("%d descriptors were open before, and %d are now", descriptors,
			   soak_n_descriptors());
}

static struct hookbox *open_box(const char *plugin_dir, const char *container)
{
	const char *const dirs[] = {plugin_dir, NULL};
	struct hookbox_error error;
	struct hookbox *box;
	char config[512];

	snprintf(config, sizeof(config), "[sandbox soak]\nmode = docker_exec\ncontainer = %s\n",
		 container);
	box = hookbox_open(&(struct hookbox_options){.size = sizeof(struct hookbox_options),
						     .config_text = config, .plugin_dirs = dirs},
			   &error);
	if (!box)
		fprintf(stderr, "soak: %s\n", error.message);
	return box;
}

int main(int argc, char **argv)
{
	int descriptors = soak_n_descriptors();
	int64_t begun_us = soak_now_us();
	long memory_kb;

	if (argc != 6) {
		fprintf(stderr, "usage: soak PLUGIN-DIR CONTAINER-ID CALLS THREADS SEED\n");
		return 2;
	}
	run.soak = (struct soak){
		.box = open_box(argv[1], argv[2]),
		.container = argv[2],
		.n_calls = atol(argv[3]),
		.n_threads = atoi(argv[4]),
		.seed = (unsigned int)atol(argv[5]),
	};
	if (!run.soak.box)
		return 2;
	printf("%ld calls by %d threads, seed %u\n", run.soak.n_calls, run.soak.n_threads,
	       run.soak.seed);
	fflush(stdout);
	run_threads();
	memory_kb = soak_memory_kb();
	check_open(memory_kb);
	hookbox_close(run.soak.box);
	check_closed(descriptors);
	soak_print_calls();
	soak_print_faults();
	printf("memory: %ld kB after a fifth of the calls, %ld kB at the end\n", run.warm_kb, memory_kb);
	printf("%s: %ld wrong in %ld s\n", run.n_wrong ? "FAILED" : "passed", run.n_wrong,
	       (long)((soak_now_us() - begun_us) / 1000000));
	return run.n_wrong != 0;
}
