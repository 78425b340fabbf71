/* SPDX-License-Identifier: MIT */
#include "spawn.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "cancel.h"
#include "clock.h"
#include "process.h"
#include "pump.h"

#define GRACE_MS 100
/* The kernel cannot go through all process ids in this time. */
#define SINCE_US 1000000

/* ---- SIGPIPE, for this thread and only while it writes to pipes ---- */

void pipe_guard_set(struct pipe_guard *guard)
{
	sigset_t pipe, pending;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigpending(&pending);
	guard->pending = sigismember(&pending, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, &guard->old);
}

void pipe_guard_release(struct pipe_guard *guard)
{
	const struct timespec now = {0};
	sigset_t pipe;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	if (!guard->pending)
		while (sigtimedwait(&pipe, NULL, &now) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &guard->old, NULL);
}

void spawn_run(const struct spawn_request *request, struct spawn_result *result)
{
	struct pipe_guard guard;
	struct process process;

	*result = (struct spawn_result){.since = spawn_since_now()};
	pipe_guard_set(&guard);
	if (!process_start(request, &process, result)) {
		result->pid = process.pid;
		result->started_us = clock_us();
		pump_run(request, &process, result);
		if (clock_us() - result->started_us < SINCE_US)
			result->since.pid = process.pid;
	} else if (result->end == SPAWN_LOST) {
		result->pid = process.pid;
	}
	pipe_guard_release(&guard);
}

/* ---- Commands of the host's own ---- */

struct keeper {
	struct buf *kept;
	uint64_t *total;
	size_t limit;
};

static int keep(void *data, const char *bytes, size_t n)
{
	struct keeper *keeper = data;
	size_t room = keeper->limit - keeper->kept->size;

	*keeper->total += n;
	buf_add(keeper->kept, bytes, n < room ? n : room);
	return 0;
}

void spawn_run_captured(const struct spawn_command *command, struct spawn_capture *capture)
{
	struct spawn_result *result = &capture->result;
	struct keeper out = {&capture->out, &capture->out_total, command->limit};
	struct keeper err = {&capture->err, &capture->err_total, command->limit};
	const struct spawn_request request = {
		.argv = command->argv,
		.env = command->env,
		.cwd = command->cwd,
		.stdin_data = command->stdin_data,
		.stdin_size = command->stdin_size,
		.stdin_fd = -1,
		.stream = {{keep, &out, -1, NULL}, {keep, &err, -1, NULL}},
		.deadline_us = clock_deadline_us(command->timeout_ms),
		.grace_ms = GRACE_MS,
		.cancel_fd = cancel_fd(command->cancel),
	};

	spawn_run(&request, result);
	if (result->end == SPAWN_TIMED_OUT) {
		snprintf(result->message, sizeof(result->message),
			 "\"%s\" had not ended after %lld ms", command->argv[0],
			 (long long)command->timeout_ms);
	} else if (result->end == SPAWN_EXITED && (capture->out.failed || capture->err.failed)) {
		result->end = SPAWN_LOST;
		snprintf(result->message, sizeof(result->message),
			 "out of memory for the output of \"%s\"", command->argv[0]);
	}
}

void spawn_capture_free(struct spawn_capture *capture)
{
	buf_free(&capture->out);
	buf_free(&capture->err);
}
