/* SPDX-License-Identifier: MIT */
/* Large input and output, and what a small call beside it waits. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define LARGEST (64u << 20)
#define CALLS_PER_TURN 20	/* small ones, alone or beside a stream */

static const struct {
	size_t bytes;
	const char *name;
} sizes[] = {
	{1 << 10, "1 KB"}, {64 << 10, "64 KB"}, {1 << 20, "1 MB"}, {8 << 20, "8 MB"},
	{LARGEST, "64 MB"},
};

/* What the command does with them. */
static const struct flow {
	const char *id, *title;
	bool in, out;
} flows[] = {
	{"in", "in", true, false},
	{"out", "out", false, true},
	{"both", "in and out", true, true},
};

enum line { BY_PROCESS, BY_CLI, BY_CHANNEL, N_LINES };
static const struct {
	const char *id, *title;
	enum backend backend;
} lines[] = {
	[BY_PROCESS] = {"direct", "direct", DIRECT},
	[BY_CLI] = {"docker_exec.by_hand", "docker exec by hand", DOCKER_EXEC},
	[BY_CHANNEL] = {"docker_exec.channel", "docker_exec, channel", DOCKER_EXEC},
};

static char *bytes;			/* LARGEST of them */
static struct hookbox *boxes[N_LINES];	/* the CLI by hand is a plain process of ours */

static void open_boxes(void)
{
	bytes = malloc(LARGEST);
	if (!bytes)
		fail("the stream", strerror(ENOMEM));
	for (size_t i = 0; i < LARGEST; i++)
		bytes[i] = (char)(i * 2654435761u >> 13);
	for (int i = 0; i < N_LINES; i++)
		if (!backend_problem(lines[i].backend))
			boxes[i] = backend_open(i == BY_CLI ? DIRECT : lines[i].backend, NULL);
}

static void close_boxes(void)
{
	for (int i = 0; i < N_LINES; i++)
		if (boxes[i])
			hookbox_close(boxes[i]);
	free(bytes);
}

static void check_stream(const struct flow *flow, size_t size, const struct hookbox_result *result)
{
	if (result->end != HOOKBOX_EXITED || result->status)
		fail("a stream", result->message ? result->message : result->err);
	if (flow->in && flow->out && (result->out_size != size || memcmp(result->out, bytes, size)))
		fail("a stream", "it did not come back as it went");
	if (!flow->in && result->out_size != size)
		fail("a stream", "it did not come whole");
	if (!flow->out && strtoull(result->out, NULL, 10) != size)
		fail("a stream", "it did not arrive whole");
}

/* Microseconds. */
static double time_stream(enum line line, const struct flow *flow, size_t size)
{
	char number[24];
	const char *const cat[] = {"cat", NULL}, *const count[] = {"wc", "-c", NULL};
	const char *const make[] = {"head", "-c", number, "/dev/zero", NULL};
	const char *const *argv = !flow->in ? make : flow->out ? cat : count;
	const struct hookbox_call call = {
		.size = sizeof(call),
		.argv = line == BY_CLI ? backend_by_hand(lines[line].backend, argv) : argv,
		.stdin_data = bytes,
		.stdin_size = flow->in ? size : 0,
		.stdout_limit = 2 * LARGEST,
	};
	struct hookbox_result *result;
	struct hookbox_error error;
	int64_t begun = floor_now_us();
	double us;

	snprintf(number, sizeof(number), "%zu", size);
	if (hookbox_exec(boxes[line], "bench", &call, &result, &error))
		fail("a stream", error.message);
	us = (double)(floor_now_us() - begun);
	check_stream(flow, size, result);
	hookbox_result_free(result);
	return us;
}

/* ---- How fast ---- */

/* MB a second. */
static double rate_of(struct samples *us, size_t size)
{
	return (double)size / (1 << 20) / samples_quantile(us, 0.5) * 1e6;
}

static void measure_size(const struct flow *flow, size_t size, const char *name)
{
	struct samples us[N_LINES] = {0};

	for (int round = 0; round < bench_rounds(); round++)
		for (int i = 0; i < N_LINES; i++)
			if (boxes[i])
				samples_add(&us[i], time_stream((enum line)i, flow, size));
	for (int i = 0; i < N_LINES; i++) {
		bool judged = i == BY_CHANNEL && size == LARGEST && flow->in && flow->out;
		char id[64], title[64];

		if (!boxes[i])
			continue;
		snprintf(id, sizeof(id), "stream.%s.%s.%zu", flow->id, lines[i].id, size >> 10);
		snprintf(title, sizeof(title), "%s %s, %s", name, flow->title, lines[i].title);
		report_row(&(struct row){
			.id = id,
			.title = title,
			.unit = "MB/s",
			.value = rate_of(&us[i], size),
			.n = us[i].n,
			.base = i == BY_CHANNEL ? lines[BY_CLI].title : NULL,
			.base_value = rate_of(&us[BY_CLI], size),
			.bar = judged ? 0.5 : 0,
			.at_least = true,
			.line = lines[i].title,
			.x = (double)size,
		});
	}
	for (int i = 0; i < N_LINES; i++)
		samples_free(&us[i]);
}

/* ---- A small call beside a large one, on the same channel ---- */

struct streamer {
	pthread_t thread;
	atomic_bool stop;
	atomic_uint streams;		/* that have ended */
};

static void *stream_on(void *data)
{
	struct streamer *streamer = data;
	const struct flow *both = &flows[N_ELEMENTS(flows) - 1];

	while (!streamer->stop) {
		time_stream(BY_CHANNEL, both, LARGEST);
		streamer->streams++;
	}
	return NULL;
}

static void time_small(struct samples *samples, size_t n)
{
	const char *const argv[] = {backend_hook(DOCKER_EXEC), NULL};

	while (n--)
		samples_add(samples, time_exec(boxes[BY_CHANNEL], argv));
}

/* In turns of some calls each; a stream runs from before the first call beside it until after the
 * last. */
static void time_beside(struct samples *samples)
{
	struct streamer streamer = {0};
	struct samples warm = {0};

	if (pthread_create(&streamer.thread, NULL, stream_on, &streamer))
		fail("a thread", "none can be made");
	time_small(&warm, 3);
	time_small(samples, CALLS_PER_TURN);
	streamer.stop = true;
	pthread_join(streamer.thread, NULL);
	samples_free(&warm);
}

static void measure_beside(void)
{
	struct samples alone = {0}, beside = {0};
	size_t turns = bench_share(CALLS_PER_TURN, 2);

	for (size_t i = 0; i < turns; i++) {
		report_progress("a small call beside a large one", (int)i + 1, (int)turns);
		time_small(&alone, CALLS_PER_TURN);
		time_beside(&beside);
	}
	report_row(&(struct row){
		.id = "stream.small.alone",
		.title = "a small call alone",
		.unit = "us",
		.value = samples_quantile(&alone, 0.5),
		.p90 = samples_quantile(&alone, 0.9),
		.p99 = samples_quantile(&alone, 0.99),
		.n = alone.n,
	});
	report_row(&(struct row){
		.id = "stream.small.beside",
		.title = "a small call beside 64 MB",
		.unit = "us",
		.value = samples_quantile(&beside, 0.5),
		.p90 = samples_quantile(&beside, 0.9),
		.p99 = samples_quantile(&beside, 0.99),
		.n = beside.n,
		.base = "alone",
		.base_value = samples_quantile(&alone, 0.5),
	});
	report_row(&(struct row){
		.id = "stream.small.beside.p99",
		.title = "a small call beside 64 MB, p99",
		.unit = "us",
		.value = samples_quantile(&beside, 0.99),
		.n = beside.n,
		.base = "its p99 alone",
		.base_value = samples_quantile(&alone, 0.99),
		.bar = 20,
	});
	samples_free(&alone);
	samples_free(&beside);
}

/* ---- The whole ---- */

void measure_streams(void)
{
	open_boxes();
	for (size_t flow = 0; flow < N_ELEMENTS(flows); flow++)
		for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
			report_progress("streams", (int)(flow * N_ELEMENTS(sizes) + i) + 1,
					(int)(N_ELEMENTS(flows) * N_ELEMENTS(sizes)));
			measure_size(&flows[flow], sizes[i].bytes, sizes[i].name);
		}
	if (boxes[BY_CHANNEL])
		measure_beside();
	else
		report_skip("stream.docker_exec", backend_problem(DOCKER_EXEC));
	close_boxes();
}
