/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define ROUNDS 5
#define STREAM_SIZE (64u << 20)

/* ---- Many calls at once ---- */

struct crowd {
	struct hookbox *box;		/* NULL: the floor */
	int calls;			/* of each thread */
};

static void one_floor(void)
{
	const char *const argv[] = {options.hook, NULL};
	struct floor_output *output = malloc(sizeof(*output));
	int code = output ? floor_call(argv, environment, input, sizeof(input), output) : -ENOMEM;

	if (code || output->status || output->size < 1024)
		fail(options.hook, code ? strerror(-code) : "it does not answer as the hook should");
	free(output);
}

static void one_exec(struct hookbox *box)
{
	static const char *const argv[] = {"/hook", NULL};
	const struct hookbox_call call = {
		.size = sizeof(call), .argv = argv, .stdin_data = input, .stdin_size = sizeof(input),
	};
	struct hookbox_result *result;
	struct hookbox_error error;

	if (hookbox_exec(box, "bench", &call, &result, &error))
		fail("bench", error.message);
	if (result->end != HOOKBOX_EXITED || result->status || result->out_size < 1024)
		fail("bench", result->message);
	hookbox_result_free(result);
}

static void *be_one(void *data)
{
	const struct crowd *crowd = data;

	for (int i = 0; i < crowd->calls; i++) {
		if (crowd->box)
			one_exec(crowd->box);
		else
			one_floor();
	}
	return NULL;
}

/* Microseconds for each call, of `n` threads that call all the time. */
static double time_crowd(struct hookbox *box, int n, int calls)
{
	struct crowd crowd = {box, calls};
	pthread_t threads[256];
	int64_t begun = floor_now_us();

	for (int i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, be_one, &crowd))
			fail("a thread", "none can be made");
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	return (double)(floor_now_us() - begun) / (n * calls);
}

struct hookbox *open_channel(void)
{
	char config[512];
	struct hookbox *box;

	snprintf(config, sizeof(config),
		 "[sandbox bench]\nmode = docker_exec\ncontainer = %s\ndocker_path = %s\n",
		 options.container, options.docker);
	box = open_box(config);
	one_exec(box);
	return box;
}

void measure_load(void)
{
	static const int levels[] = {1, 4, 16, 64, 256};
	struct hookbox *box = open_channel();

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		int n = levels[i], calls = options.runs / n > 4 ? options.runs / n : 4;
		double base[ROUNDS], ours[ROUNDS];
		char name[64];

		for (int round = 0; round < ROUNDS; round++) {
			base[round] = time_crowd(NULL, n, calls);
			ours[round] = time_crowd(box, n, calls);
		}
		snprintf(name, sizeof(name), "%d at once", n);
		/* 0.8 of the floor's calls a second is 1.25 of its time for each. */
		print_result(name, floor_median(ours, ROUNDS), "floor",
			     floor_median(base, ROUNDS), n == 64 ? 1.25 : 2.5);
	}
	hookbox_close(box);
}

/* ---- Large streams ---- */

static double time_stream(struct hookbox *box, const char *const *argv, const char *bytes)
{
	const struct hookbox_call call = {
		.size = sizeof(call), .argv = argv, .stdin_data = bytes, .stdin_size = STREAM_SIZE,
		.stdout_limit = 2 * STREAM_SIZE,
	};
	struct hookbox_result *result;
	struct hookbox_error error;
	int64_t begun = floor_now_us();
	double us;

	if (hookbox_exec(box, "bench", &call, &result, &error))
		fail("bench", error.message);
	us = (double)(floor_now_us() - begun);
	if (result->out_size != STREAM_SIZE || memcmp(result->out, bytes, STREAM_SIZE))
		fail("the stream", "it did not come back as it went");
	hookbox_result_free(result);
	return us;
}

void measure_stream(void)
{
	static const char *const argv[] = {"cat", NULL};
	const char *const by_hand[] = {
		options.docker, "exec", "--interactive", "--", options.container, "cat", NULL};
	struct hookbox *box = open_channel();
	struct hookbox *direct = open_box("[sandbox bench]\nmode = direct\n");
	char *bytes = malloc(STREAM_SIZE);
	double base[ROUNDS], ours[ROUNDS];

	if (!bytes)
		fail("the stream", strerror(ENOMEM));
	memset(bytes, 'x', STREAM_SIZE);
	for (int round = 0; round < ROUNDS; round++) {
		base[round] = time_stream(direct, by_hand, bytes);
		ours[round] = time_stream(box, argv, bytes);
	}
	print_result("64 MB, channel", floor_median(ours, ROUNDS), "docker exec by hand",
		     floor_median(base, ROUNDS), 2);
	free(bytes);
	hookbox_close(direct);
	hookbox_close(box);
}
