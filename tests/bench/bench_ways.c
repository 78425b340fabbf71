/* SPDX-License-Identifier: MIT */
/*
 * One call at a time, by every way into every backend. Each takes turns with the floor, and with
 * what it is compared to; all of them take turns with each other, so that what else the machine
 * does falls on all.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

extern char **environ;

#define POOL "pool = 4\nsocket = off\n"
#define SOCKETS "pool = 4\nsocket = auto\n"
#define ALONE "agent = off\nmultiplex = no\n"
#define FLOOR_THERE_EACH 20	/* calls there, as each time takes a CLI */
#define ROUND_TRIPS 2.5		/* that a call may take beside the command itself */

/* What a way is compared to. */
enum base {
	TO_NOTHING,
	TO_FLOOR,
	TO_HAND,	/* the same command through the CLI by hand */
	TO_TRIPS,	/* the floor there, and round trips through an open stream to there */
};

static const struct way {
	const char *id, *title;
	enum backend backend;
	const char *settings;
	enum pool_use pool;
	int share;		/* one in so many of the runs */
	enum base base;
	double bar, p99_bar;
	int warm;		/* calls before the first that counts; there is one at least */
} ways[] = {
	{"direct", "direct", DIRECT, NULL, NO_POOL, 1, TO_FLOOR, 1.15},
	{"bwrap_run.one_off", "bwrap_run", BWRAP_RUN, NULL, NO_POOL, 5, TO_HAND},
	{"bwrap_run.pool", "bwrap_run, pool", BWRAP_RUN, POOL, POOL_HIT, 5, TO_FLOOR},
	{"bwrap_run.socket", "bwrap_run, pool, socket", BWRAP_RUN, SOCKETS, POOL_SOCKET, 5,
	 TO_FLOOR, 1.3},
	{"docker_exec.one_off", "docker_exec", DOCKER_EXEC, "agent = off\n", NO_POOL, 15, TO_HAND,
	 1.05},
	{"docker_exec.channel", "docker_exec, channel", DOCKER_EXEC, NULL, NO_POOL, 1, TO_FLOOR,
	 2.5},
	{"docker_run.one_off", "docker_run", DOCKER_RUN, NULL, NO_POOL, 30, TO_HAND, 1.05},
	{"docker_run.pool", "docker_run, pool", DOCKER_RUN, POOL, POOL_HIT, 5, TO_FLOOR, 4, 10},
	{"docker_run.socket", "docker_run, pool, socket", DOCKER_RUN, SOCKETS, POOL_SOCKET, 5,
	 TO_FLOOR, 1.3, 10},
	{"docker_run.miss", "docker_run, pool is empty", DOCKER_RUN, "pool = 1\n", POOL_MISS, 50,
	 TO_HAND},
	{"kubectl_exec.one_off", "kubectl_exec", KUBECTL_EXEC, "agent = off\n", NO_POOL, 30,
	 TO_HAND},
	{"kubectl_exec.channel", "kubectl_exec, channel", KUBECTL_EXEC, NULL, NO_POOL, 2, TO_TRIPS,
	 1},
	{"smolbsd_ssh.one_off", "smolbsd_ssh", SMOLBSD_SSH, ALONE, NO_POOL, 50, TO_HAND},
	/* The connection comes to be beside the first calls. */
	{"smolbsd_ssh.multiplexed", "smolbsd_ssh, multiplexed", SMOLBSD_SSH, "agent = off\n",
	 NO_POOL, 20, TO_HAND, 0, 0, 5},
	{"ssh_here.one_off", "ssh to this machine", SSH_HERE, ALONE, NO_POOL, 20, TO_HAND},
	{"ssh_here.multiplexed", "ssh to this machine, multiplexed", SSH_HERE, "agent = off\n",
	 NO_POOL, 10, TO_HAND, 0.1, 0, 5},
	{"smolbsd_ssh.channel", "smolbsd_ssh, channel", SMOLBSD_SSH, NULL, NO_POOL, 2, TO_TRIPS, 1},
};

static struct measured {
	struct samples ours, base, floor, floor_there;
	const char *problem;
} measured[N_ELEMENTS(ways)];

/* ---- A `cat` at the other end, through the CLI by hand ---- */

struct echo {
	pid_t pid;
	int in, out;
};

static void echo_open(struct echo *echo, enum backend backend)
{
	const char *const cat[] = {"cat", NULL};
	const char *const *argv = backend_by_hand(backend, cat);
	posix_spawn_file_actions_t actions;
	int in[2], out[2];
	int code;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		fail("a pipe", strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	code = posix_spawn(&echo->pid, argv[0], &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (code)
		fail(argv[0], strerror(code));
	close(in[0]);
	close(out[1]);
	echo->in = in[1];
	echo->out = out[0];
}

static double time_round_trip(const struct echo *echo)
{
	char bytes[SMALL_SIZE];
	int64_t begun = floor_now_us();

	if (write(echo->in, small_input, SMALL_SIZE) != SMALL_SIZE)
		fail("a round trip", strerror(errno));
	for (size_t got = 0; got < sizeof(bytes);) {
		ssize_t n = read(echo->out, bytes, sizeof(bytes) - got);

		if (n <= 0)
			fail("a round trip", "the other end is gone");
		got += (size_t)n;
	}
	return (double)(floor_now_us() - begun);
}

static void echo_close(const struct echo *echo)
{
	close(echo->in);
	close(echo->out);
	waitpid(echo->pid, NULL, 0);
}

/* ---- Taking turns ---- */

static void time_base(const struct way *way, const char *const *argv, const struct echo *echo,
		      struct samples *samples)
{
	if (way->base == TO_HAND)
		samples_add(samples, time_floor(backend_by_hand(way->backend, argv)));
	else if (way->base == TO_TRIPS)
		samples_add(samples, time_round_trip(echo));
}

/* Where the command runs on another processor, F is another as well. It has the pauses that calls
 * there have: one is on its way for so long, and so is its answer. */
static void time_floor_there(enum backend backend, struct samples *samples)
{
	const char *const argv[] = {
		backend_floor(backend), "--runs", "20", "--pause", "2000", backend_hook(backend),
		NULL,
	};
	static const char *const environment[] = {NULL};
	struct floor_output output;
	double us;

	if (!backend_floor(backend))
		return;
	if (floor_call(backend_by_hand(backend, argv), environment, "", 0, &output) ||
	    output.status || sscanf(output.bytes, "%lf us", &us) != 1)
		fail(argv[0], "it measures no floor there");
	samples_add(samples, us);
}

/* A pool that a call found empty though it was full is no sample, and no error either. */
static void time_way(const struct way *way, struct hookbox *box, const char *const *argv,
		     struct samples *samples)
{
	for (int tries = 0; tries < 100; tries++) {
		double us;

		pool_prepare(box, way->pool);
		us = time_exec(box, argv);
		if (pool_was_used(box, way->pool)) {
			samples_add(samples, us);
			return;
		}
	}
	fail(way->title, "no call found the pool as it should");
}

/* Which one begins takes turns as well: each may feel what the one before it left. While a pool is
 * used it is full, and at rest. */
static void run_way(const struct way *way, struct measured *to, size_t n)
{
	const char *const argv[] = {backend_hook(way->backend), NULL};
	const char *const floor_argv[] = {options.hook, NULL};
	struct hookbox *box = backend_open(way->backend, way->settings);
	struct echo echo;

	time_exec(box, argv);
	for (int i = 1; i < way->warm; i++)
		time_exec(box, argv);
	if (!pool_fits(box, way->pool)) {
		to->problem = "boxes are not reached over a socket here";
		hookbox_close(box);
		return;
	}
	if (way->base == TO_TRIPS) {
		echo_open(&echo, way->backend);
		time_round_trip(&echo);
	}
	time_floor(floor_argv);
	for (size_t i = 0; i < n; i++) {
		if (way->base == TO_TRIPS && i % FLOOR_THERE_EACH == 0)
			time_floor_there(way->backend, &to->floor_there);
		if (i % 2 == 0)
			time_way(way, box, argv, &to->ours);
		pool_prepare(box, way->pool == NO_POOL ? NO_POOL : POOL_HIT);
		samples_add(&to->floor, time_floor(floor_argv));
		time_base(way, argv, &echo, &to->base);
		if (i % 2)
			time_way(way, box, argv, &to->ours);
	}
	if (way->base == TO_TRIPS)
		echo_close(&echo);
	hookbox_close(box);
}

/* ---- Results ---- */

static void compare(struct row *row, const struct way *way, struct measured *from)
{
	double base = samples_quantile(&from->base, 0.5);

	row->floor = samples_quantile(&from->floor, 0.5);
	switch (way->base) {
	case TO_NOTHING:
		break;
	case TO_FLOOR:
		row->base = "F";
		row->base_value = row->floor;
		break;
	case TO_HAND:
		row->base = "the same by hand";
		row->base_value = base;
		break;
	case TO_TRIPS:
		row->base = "F there + 2.5 round trips";
		row->base_value = ROUND_TRIPS * base + row->floor;
		if (from->floor_there.n)
			row->base_value = ROUND_TRIPS * base +
					  samples_quantile(&from->floor_there, 0.5);
		break;
	}
}

static void report_way(const struct way *way, struct measured *from)
{
	char id[64], title[64];
	struct row row = {
		.id = way->id,
		.title = way->title,
		.unit = "us",
		.value = samples_quantile(&from->ours, 0.5),
		.p90 = samples_quantile(&from->ours, 0.9),
		.p99 = samples_quantile(&from->ours, 0.99),
		.n = from->ours.n,
		.bar = way->bar,
	};

	compare(&row, way, from);
	report_row(&row);
	if (!way->p99_bar)
		return;
	snprintf(id, sizeof(id), "%s.p99", way->id);
	snprintf(title, sizeof(title), "%s, p99", way->title);
	row.id = id;
	row.title = title;
	row.value = row.p99;
	row.p90 = row.p99 = 0;
	row.bar = way->p99_bar;
	report_row(&row);
}

/* The floor of the first way, which has nothing else around it: F. */
static void report_floor(struct measured *from)
{
	report_row(&(struct row){
		.id = "floor",
		.title = "the floor, F",
		.unit = "us",
		.value = samples_quantile(&from->floor, 0.5),
		.p90 = samples_quantile(&from->floor, 0.9),
		.p99 = samples_quantile(&from->floor, 0.99),
		.n = from->floor.n,
		.floor = samples_quantile(&from->floor, 0.5),
	});
}

/* ---- Opening a host ---- */

/* 100 hooks in 20 sandboxes, half of them direct. */
static char *large_config(void)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	if (!file)
		fail("config", strerror(errno));
	for (int i = 0; i < 20; i++)
		fprintf(file,
			i % 2 ? "[sandbox box_%d]\nmode = docker_run\nimage = image_%d\n"
				"memory = 256m\n"
			      : "[sandbox box_%d]\nmode = direct\nenv = NUMBER=%d\n",
			i, i);
	for (int i = 0; i < 100; i++)
		fprintf(file,
			"[hook hook_%d]\nhook = provider\nphases = before_call\nmode = filter\n"
			"command = /hooks/hook_%d\nargs = --number\n    %d\ntimeout_ms = 3000\n"
			"sandbox = box_%d\n",
			i, i, i, i % 20);
	fclose(file);
	return text;
}

static void measure_open(void)
{
	const char *const floor_argv[] = {options.hook, NULL};
	struct samples ours = {0}, base = {0};
	char *config = large_config();

	hookbox_close(open_box(config));
	for (size_t i = bench_share(5, 3); i > 0; i--) {
		int64_t begun = floor_now_us();
		struct hookbox *box = open_box(config);

		samples_add(&ours, (double)(floor_now_us() - begun));
		hookbox_close(box);
		samples_add(&base, time_floor(floor_argv));
	}
	free(config);
	report_row(&(struct row){
		.id = "open",
		.title = "opening a host of 100 hooks",
		.unit = "us",
		.value = samples_quantile(&ours, 0.5),
		.p90 = samples_quantile(&ours, 0.9),
		.p99 = samples_quantile(&ours, 0.99),
		.n = ours.n,
		.base = "F",
		.base_value = samples_quantile(&base, 0.5),
		.bar = 20,
	});
	samples_free(&ours);
	samples_free(&base);
}

/* ---- The whole ---- */

void measure_ways(void)
{
	int rounds = bench_rounds();

	for (int round = 0; round < rounds; round++)
		for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
			report_progress(ways[i].title, round + 1, rounds);
			measured[i].problem = backend_problem(ways[i].backend);
			if (!measured[i].problem)
				run_way(&ways[i], &measured[i],
					bench_share(ways[i].share * rounds, 1));
		}
	report_floor(&measured[0]);
	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		if (measured[i].problem)
			report_skip(ways[i].id, measured[i].problem);
		else
			report_way(&ways[i], &measured[i]);
		samples_free(&measured[i].ours);
		samples_free(&measured[i].base);
		samples_free(&measured[i].floor);
		samples_free(&measured[i].floor_there);
	}
	measure_open();
}
