/* SPDX-License-Identifier: MIT */
#include "pump.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "relay.h"

#define CHUNK (64 * 1024)
#define RELAY_HIGH (64 * 1024)
/* How long a stream may stay open after its process has ended. */
#define DRAIN_MS 500
/* How often we look whether a group has followed its leader. */
#define LOOK_MS 10
/* A process that outlives SIGKILL that long hangs in the kernel. */
#define KILL_MS 10000

/* Bytes on their way into the process. */
struct span {
	const char *next;
	size_t left;
};

struct pump {
	const struct spawn_request *request;
	struct process *process;
	struct spawn_result *result;
	int source;			/* stdin_fd while more may come from it, else -1 */
	struct span input[3];		/* before_stdin, stdin_data, source_chunk: in this order */
	struct relay relay[2];
	enum spawn_end stopping;	/* why we end the process; 0: we do not */
	bool signalled;			/* TERM was sent */
	bool killing;			/* KILL was sent */
	bool zombie;			/* it has ended, and pins its group's id until we reap it */
	bool ended;			/* it was waited for */
	int64_t done_us;		/* SPAWN_STOP_DONE's patience ends */
	int64_t kill_us;		/* the next step of ending it is due */
	int64_t look_us;		/* the zombie's group is looked at again */
	int64_t drain_us;		/* the streams are cut */
	char chunk[CHUNK];
	char source_chunk[CHUNK];
};

enum {
	WATCH_PID,
	WATCH_IN,
	WATCH_OUT,
	WATCH_ERR,
	WATCH_SOURCE,
	WATCH_RELAY_OUT,
	WATCH_RELAY_ERR,
	WATCH_CANCEL,
	WATCH_COUNT
};

/* ---- Ending ---- */

static void set_lost(struct pump *pump)
{
	pump->ended = true;
	pump->result->end = SPAWN_LOST;
	pump->drain_us = clock_us();
}

/* Is it still ours, running or a zombie? If not, its id may be a stranger's by now. */
static bool still_ours(struct pump *pump, siginfo_t *info)
{
	*info = (siginfo_t){0};
	if (!waitid(P_PIDFD, (id_t)pump->process->pidfd, info, WEXITED | WNOHANG | WNOWAIT))
		return true;
	set_lost(pump);
	snprintf(pump->result->message, sizeof(pump->result->message),
		 "process %d was reaped by somebody else; do not ignore SIGCHLD and do not wait "
		 "for foreign children",
		 (int)pump->process->pid);
	return false;
}

static void signal_group(struct pump *pump, int signo)
{
	siginfo_t info;

	if (!still_ours(pump, &info))
		return;
	kill(-pump->process->pid, signo);
	pump->result->killed = true;
}

static void close_input(struct pump *pump)
{
	cleanup_close(&pump->process->in);
	pump->source = -1;
}

/* Begins to end the process; the first reason counts. */
static void stop_process(struct pump *pump, enum spawn_end reason)
{
	/* Once the caller has all it wants, how the process ends is its own affair. */
	if (!pump->stopping && pump->done_us == CLOCK_NEVER)
		pump->stopping = reason;
	if (pump->ended && reason != SPAWN_OUTPUT_LIMIT)
		pump->drain_us = clock_us();
	if (pump->ended || pump->signalled)
		return;
	pump->signalled = true;
	pump->kill_us = clock_deadline_us(pump->request->grace_ms);
	close_input(pump);
	signal_group(pump, SIGTERM);
}

/* We cannot go on: `what` failed. */
static void stop_failed(struct pump *pump, const char *what, int code)
{
	if (!pump->stopping)
		snprintf(pump->result->message, sizeof(pump->result->message), "%s: %s", what,
			 strerror(code));
	stop_process(pump, SPAWN_LOST);
}

/* Kills what is left of the group while the zombie still pins its id, then reaps. */
static void reap(struct pump *pump)
{
	struct process *process = pump->process;
	struct spawn_result *result = pump->result;
	siginfo_t info = {0};

	kill(-process->pid, SIGKILL);
	while (waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED)) {
		if (errno != EINTR) {
			still_ours(pump, &info);
			return;
		}
	}
	pump->ended = true;
	pump->drain_us = clock_deadline_us(DRAIN_MS);
	result->end = info.si_code == CLD_EXITED ? SPAWN_EXITED : SPAWN_SIGNALED;
	result->status = info.si_status;
	cleanup_close(&process->pidfd);
	close_input(pump);
}

/* The process may have ended. The rest of a group that was told to end has its grace as well. */
static void see_end(struct pump *pump)
{
	siginfo_t info;

	if (pump->ended || !still_ours(pump, &info) || !info.si_pid)
		return;
	pump->zombie = true;
	if (pump->signalled && !pump->killing && process_group_runs(pump->process->pid))
		pump->look_us = clock_deadline_us(LOOK_MS);
	else
		reap(pump);
}

static void keep_time(struct pump *pump)
{
	int64_t now = clock_us();

	if (!pump->ended && !pump->zombie && now >= pump->request->deadline_us)
		stop_process(pump, SPAWN_TIMED_OUT);
	if (!pump->ended && now >= pump->done_us)
		stop_process(pump, 0);
	if (pump->signalled && !pump->ended && now >= pump->kill_us) {
		if (pump->killing) {
			set_lost(pump);
			snprintf(pump->result->message, sizeof(pump->result->message),
				 "process %d does not end although it was killed; it hangs in the "
				 "kernel",
				 (int)pump->process->pid);
			return;
		}
		pump->killing = true;
		signal_group(pump, SIGKILL);
		pump->kill_us = clock_deadline_us(KILL_MS);
		pump->look_us = now;
	}
	if (pump->zombie && now >= pump->look_us)
		see_end(pump);
}

/* ---- Standard input ---- */

/* The next bytes to write; NULL when none are at hand. */
static struct span *input_at_hand(struct pump *pump)
{
	for (int i = 0; i < 3; i++)
		if (pump->input[i].left)
			return &pump->input[i];
	return NULL;
}

/* A command that answers without reading closes its end: no error of anybody's. */
static void feed_input(struct pump *pump)
{
	struct span *span;

	while (pump->process->in >= 0 && (span = input_at_hand(pump))) {
		ssize_t written = write(pump->process->in, span->next, span->left);

		if (written >= 0) {
			span->next += written;
			span->left -= (size_t)written;
		} else if (errno == EAGAIN) {
			return;
		} else if (errno != EINTR) {
			close_input(pump);
		}
	}
	if (pump->source < 0)
		cleanup_close(&pump->process->in);
}

static void read_source(struct pump *pump)
{
	ssize_t n = read(pump->source, pump->source_chunk, CHUNK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		stop_failed(pump, "the input cannot be read", errno);
		return;
	}
	if (n == 0)
		pump->source = -1;
	pump->input[2] = (struct span){pump->source_chunk, (size_t)n};
	feed_input(pump);
}

/* ---- Output ---- */

static void obey(struct pump *pump, int stop)
{
	if (stop == SPAWN_STOP_LIMIT)
		stop_process(pump, SPAWN_OUTPUT_LIMIT);
	else if (stop == SPAWN_STOP_CANCEL)
		stop_process(pump, SPAWN_CANCELLED);
	else if (stop == SPAWN_STOP_DONE && pump->done_us == CLOCK_NEVER)
		pump->done_us = clock_deadline_us(pump->request->done_grace_ms);
}

static void read_output(struct pump *pump, int index)
{
	const struct spawn_stream *stream = &pump->request->stream[index];
	ssize_t n = read(pump->process->out[index], pump->chunk, CHUNK);

	if (n > 0) {
		obey(pump, stream->consume(stream->data, pump->chunk, (size_t)n));
		if (stream->relay && pump->relay[index].fd < 0)
			buf_consume(stream->relay, stream->relay->size);
		else if (stream->relay && stream->relay->failed)
			stop_failed(pump, "the output cannot be passed on", ENOMEM);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		cleanup_close(&pump->process->out[index]);
	}
}

/* How the process ends may be its own affair by now; that output was lost is none. */
static void cancel(struct pump *pump, bool loses_output)
{
	if (loses_output && !pump->stopping)
		pump->stopping = SPAWN_CANCELLED;
	stop_process(pump, SPAWN_CANCELLED);
}

/* A reader that is gone ends the call, whether or not there is something to write. */
static void write_relay(struct pump *pump, int index)
{
	struct buf *waiting = pump->request->stream[index].relay;

	if (!waiting->size) {
		relay_close(&pump->relay[index]);
		cancel(pump, false);
	} else if (relay_write(&pump->relay[index], waiting)) {
		cancel(pump, true);
	}
}

static size_t relay_waiting(const struct pump *pump, int index)
{
	return pump->relay[index].fd < 0 ? 0 : pump->request->stream[index].relay->size;
}

static bool any_relay_waiting(const struct pump *pump)
{
	return relay_waiting(pump, 0) || relay_waiting(pump, 1);
}

/* ---- The loop ---- */

static void fill_poll(struct pump *pump, struct pollfd *fds)
{
	const struct process *process = pump->process;

	for (int i = 0; i < WATCH_COUNT; i++)
		fds[i] = (struct pollfd){.fd = -1, .events = POLLIN};
	if (!pump->zombie)
		fds[WATCH_PID].fd = process->pidfd;
	fds[WATCH_IN].fd = process->in;
	fds[WATCH_IN].events = input_at_hand(pump) ? POLLOUT : 0;
	if (process->in >= 0 && !fds[WATCH_IN].events)
		fds[WATCH_SOURCE].fd = pump->source;
	for (int i = 0; i < 2; i++) {
		if (relay_waiting(pump, i) < RELAY_HIGH)
			fds[WATCH_OUT + i].fd = process->out[i];
		/* Without events, poll() still tells of a reader that is gone. */
		fds[WATCH_RELAY_OUT + i].fd =
			pump->ended && !relay_waiting(pump, i) ? -1 : pump->relay[i].fd;
		fds[WATCH_RELAY_OUT + i].events = relay_waiting(pump, i) ? POLLOUT : 0;
	}
	/* What has ended by itself can only be cancelled while its output is not passed on. */
	if (!pump->stopping && (!pump->ended || any_relay_waiting(pump)))
		fds[WATCH_CANCEL].fd = pump->request->cancel_fd;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int poll_timeout(const struct pump *pump)
{
	int64_t until, left;

	if (pump->ended)
		until = pump->drain_us;
	else if (pump->signalled)
		until = earlier(pump->kill_us, pump->look_us);
	else
		until = earlier(pump->request->deadline_us, pump->done_us);
	if (until == CLOCK_NEVER)
		return -1;
	left = until - clock_us();
	if (left <= 0)
		return 0;
	return left > 60000000 ? 60000 : (int)((left + 999) / 1000);
}

static void serve(struct pump *pump, const struct pollfd *fds)
{
	if (fds[WATCH_IN].revents & POLLERR)
		close_input(pump);
	else if (fds[WATCH_IN].revents & POLLOUT)
		feed_input(pump);
	if (fds[WATCH_SOURCE].revents && pump->source >= 0)
		read_source(pump);
	for (int i = 0; i < 2; i++) {
		if (fds[WATCH_OUT + i].revents)
			read_output(pump, i);
		if (fds[WATCH_RELAY_OUT + i].revents && pump->relay[i].fd >= 0)
			write_relay(pump, i);
	}
	if (fds[WATCH_PID].revents)
		see_end(pump);
	if (fds[WATCH_CANCEL].revents && (!pump->ended || any_relay_waiting(pump)))
		cancel(pump, any_relay_waiting(pump));
}

/* Waits and serves. Where the system refuses to poll, the process is ended by the clock alone. */
static void turn(struct pump *pump)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	struct pollfd fds[WATCH_COUNT];

	fill_poll(pump, fds);
	if (poll(fds, WATCH_COUNT, poll_timeout(pump)) >= 0) {
		serve(pump, fds);
	} else if (errno != EINTR) {
		stop_failed(pump, "the process cannot be watched", errno);
		nanosleep(&pause, NULL);
		see_end(pump);
	}
	keep_time(pump);
}

/* Is there nothing more to wait for? */
static bool finished(struct pump *pump)
{
	bool open = pump->process->out[0] >= 0 || pump->process->out[1] >= 0;
	bool waiting = any_relay_waiting(pump);

	if (!pump->ended)
		return false;
	if (!open && !waiting)
		return true;
	/* A slow reader of ours has the call's whole time; a stranger with a stream has not. */
	if (waiting && !pump->stopping && pump->result->end != SPAWN_LOST &&
	    clock_us() < pump->request->deadline_us) {
		pump->drain_us = earlier(clock_deadline_us(DRAIN_MS), pump->request->deadline_us);
		return false;
	}
	if (clock_us() < pump->drain_us)
		return false;
	pump->result->truncated = true;
	return true;
}

static void pump_init(struct pump *pump, const struct spawn_request *request,
		      struct process *process, struct spawn_result *result)
{
	/* Not the chunks: that would touch 128 KiB for nothing. */
	memset(pump, 0, offsetof(struct pump, chunk));
	pump->request = request;
	pump->process = process;
	pump->result = result;
	pump->source = request->stdin_fd;
	pump->input[0] = (struct span){request->before_stdin, request->before_stdin_size};
	pump->input[1] = (struct span){request->stdin_data, request->stdin_size};
	pump->done_us = pump->kill_us = pump->look_us = pump->drain_us = CLOCK_NEVER;
	for (int i = 0; i < 2; i++)
		relay_open(&pump->relay[i], request->stream[i].out_fd);
}

void pump_run(const struct spawn_request *request, struct process *process,
	      struct spawn_result *result)
{
	struct pump pump;

	pump_init(&pump, request, process, result);
	feed_input(&pump);
	while (!finished(&pump))
		turn(&pump);
	if (result->end != SPAWN_LOST)
		result->group_gone = process_group_ends(process->pid);
	if (pump.stopping && result->end != SPAWN_LOST)
		result->end = pump.stopping;
	for (int i = 0; i < 2; i++)
		relay_close(&pump.relay[i]);
	process_close(process);
}
