/* SPDX-License-Identifier: MIT */
/*
 * A thousand calls in flight through one channel: each is a `cat` that has answered and waits for
 * the end of its input, which only comes when all of them have answered.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define CROWD 1000
#define PATIENCE_MS 120000
#define STACK_SIZE (256 * 1024)

struct crowd {
	struct hookbox *box;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int answered, ended;
	atomic_int correct;
};

struct member {
	struct crowd *crowd;
	pthread_t thread;
	int number;
	int pipe[2];
	char sent[SMALL_SIZE], came[SMALL_SIZE];
	size_t n_came;
};

static void count_one(struct crowd *crowd, int *counter)
{
	pthread_mutex_lock(&crowd->lock);
	++*counter;
	pthread_cond_signal(&crowd->changed);
	pthread_mutex_unlock(&crowd->lock);
}

static int take(void *data, int stream, const void *bytes, size_t n)
{
	struct member *member = data;

	if (stream != STDOUT_FILENO || n > sizeof(member->came) - member->n_came)
		return -1;
	memcpy(member->came + member->n_came, bytes, n);
	member->n_came += n;
	if (member->n_came == sizeof(member->came))
		count_one(member->crowd, &member->crowd->answered);
	return 0;
}

static void *be_member(void *data)
{
	static const char *const argv[] = {"cat", NULL};
	struct member *member = data;
	const struct hookbox_call call = {
		.size = sizeof(call),
		.argv = argv,
		.use_stdin_fd = true,
		.stdin_fd = member->pipe[0],
		.sink = take,
		.sink_data = member,
		.timeout_ms = PATIENCE_MS,
	};
	struct hookbox_result *result;
	struct hookbox_error error;

	if (hookbox_exec(member->crowd->box, "bench", &call, &result, &error))
		fail("one of the crowd", error.message);
	if (result->end == HOOKBOX_EXITED && !result->status &&
	    result->cleanup == HOOKBOX_CLEANUP_PROVEN && member->n_came == SMALL_SIZE &&
	    !memcmp(member->came, member->sent, SMALL_SIZE))
		member->crowd->correct++;
	else
		fprintf(stderr, "bench: one of the crowd: %s: %s\n", hookbox_end_name(result->end),
			result->message ? result->message : "it answers wrongly");
	hookbox_result_free(result);
	count_one(member->crowd, &member->crowd->ended);
	return NULL;
}

/* Each one's bytes are its own. */
static void start(struct member *member, struct crowd *crowd, int number,
		  const pthread_attr_t *small)
{
	member->crowd = crowd;
	member->number = number;
	memset(member->sent, 'a' + number % 26, SMALL_SIZE);
	memcpy(member->sent, &number, sizeof(number));
	if (pipe2(member->pipe, O_CLOEXEC) ||
	    write(member->pipe[1], member->sent, SMALL_SIZE) != SMALL_SIZE)
		fail("a pipe", strerror(errno));
	if (pthread_create(&member->thread, small, be_member, member))
		fail("a thread", "none can be made");
}

static void wait_for_all(struct crowd *crowd)
{
	pthread_mutex_lock(&crowd->lock);
	while (crowd->answered < CROWD && !crowd->ended)
		pthread_cond_wait(&crowd->changed, &crowd->lock);
	pthread_mutex_unlock(&crowd->lock);
}

static void run_crowd(struct crowd *crowd, struct member *members)
{
	pthread_attr_t small;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, STACK_SIZE);
	for (int i = 0; i < CROWD; i++)
		start(&members[i], crowd, i, &small);
	pthread_attr_destroy(&small);
	wait_for_all(crowd);
	printf("in_flight %d\n", crowd->answered - crowd->ended);
	printf("agent %ld\n", memory_of_agent(MEMORY_SHARE));
	for (int i = 0; i < CROWD; i++)
		close(members[i].pipe[1]);
	for (int i = 0; i < CROWD; i++) {
		pthread_join(members[i].thread, NULL);
		close(members[i].pipe[0]);
	}
}

void be_crowd(void)
{
	const char *const argv[] = {backend_hook(DOCKER_EXEC), NULL};
	struct crowd crowd = {
		.box = backend_open(DOCKER_EXEC, NULL),
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	struct member *members = calloc(CROWD, sizeof(*members));
	long before;

	if (!members)
		fail("the crowd", strerror(ENOMEM));
	time_exec(crowd.box, argv);
	before = memory_of_self(MEMORY_NOW);
	run_crowd(&crowd, members);
	printf("correct %d\n", crowd.correct);
	printf("host_growth %ld\n", memory_of_self(MEMORY_MOST) - before);
	hookbox_close(crowd.box);
	free(members);
}

/* ---- Results ---- */

static const struct {
	const char *figure, *title, *unit;
	double bar;
} results[] = {
	{"in_flight", "calls in flight at once", "calls", CROWD},
	{"correct", "calls that answered rightly", "calls", CROWD},
	{"host_growth", "host, with a thread for each: +", "KiB", 0},
	{"agent", "agent, with a helper for each", "KiB", 0},
};

void measure_crowd(void)
{
	const char *problem = backend_problem(DOCKER_EXEC);
	struct figure figures[N_ELEMENTS(results)];
	size_t n;

	if (problem) {
		report_skip("crowd", problem);
		return;
	}
	n = child_figures("crowd", figures, N_ELEMENTS(figures));
	for (size_t i = 0; i < N_ELEMENTS(results); i++) {
		double value = figure_find(figures, n, results[i].figure);
		char id[64];

		snprintf(id, sizeof(id), "crowd.%s", results[i].figure);
		if (value < 0) {
			report_skip(id, "it cannot be seen from here");
			continue;
		}
		report_row(&(struct row){
			.id = id,
			.title = results[i].title,
			.unit = results[i].unit,
			.value = value,
			.n = 1,
			.bar = results[i].bar,
			.at_least = true,
		});
	}
}
