/* SPDX-License-Identifier: MIT */
#include "pump.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"

#define CHUNK (64 * 1024)
#define RELAY_HIGH (64 * 1024)
/* How long a stream may stay open after its process has ended. */
#define DRAIN_MS 500
/* A process that outlives SIGKILL that long hangs in the kernel. */
#define KILL_MS 10000

struct pump {
	const struct spawn_request *request;
	struct process *process;
	struct spawn_result *result;
	int source;			/* stdin_fd while more may come from it, else -1 */
	const char *in_next[2];		/* what is left of before_stdin and stdin_data */
	size_t in_left[2];
	struct buf in_buffer;		/* read from the source, not yet written */
	int relay_fd[2];		/* out_fd while it takes bytes, else -1 */
	bool relay_is_file[2];
	enum spawn_end stopping;	/* why we end the process; 0: we do not */
	bool ended;			/* the process was waited for */
	bool signalled;			/* TERM was sent */
	bool killing;			/* KILL was sent */
	int64_t done_us;		/* SPAWN_STOP_DONE's patience ends */
	int64_t kill_us;		/* the next step of ending it is due */
	int64_t drain_us;		/* the streams are cut */
	char chunk[CHUNK];
};

enum { WATCH_PID, WATCH_IN, WATCH_OUT, WATCH_ERR, WATCH_SOURCE, WATCH_RELAY_OUT, WATCH_RELAY_ERR,
       WATCH_CANCEL, WATCH_COUNT };

/* ---- Ending ---- */

static void signal_group(struct pump *pump, int signo)
{
	kill(-pump->process->pid, signo);
	pump->result->killed = true;
}

/* Begins to end the process; the first reason counts. */
static void stop_process(struct pump *pump, enum spawn_end reason)
{
	/* Once the caller has all it wants, how the process ends is its own affair. */
	if (!pump->stopping && pump->done_us == CLOCK_NEVER)
		pump->stopping = reason;
	if (pump->ended || pump->signalled)
		return;
	pump->signalled = true;
	signal_group(pump, SIGTERM);
	pump->kill_us = clock_deadline_us(pump->request->grace_ms);
	cleanup_close(&pump->process->in);
	pump->source = -1;
}

static void set_lost(struct pump *pump, const char *why)
{
	pump->ended = true;
	pump->result->end = SPAWN_LOST;
	snprintf(pump->result->message, sizeof(pump->result->message), "%s", why);
	pump->drain_us = clock_us();
}

/* Kills what is left of the group while the zombie still pins its id, then reaps. */
static void reap(struct pump *pump)
{
	struct process *process = pump->process;
	struct spawn_result *result = pump->result;
	siginfo_t info = {0};

	if (waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED | WNOHANG | WNOWAIT)) {
		set_lost(pump, "somebody else reaped the process; do not ignore SIGCHLD and do not wait "
			       "for foreign children");
		return;
	}
	kill(-process->pid, SIGKILL);
	if (waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED)) {
		set_lost(pump, "somebody else reaped the process; do not wait for foreign children");
		return;
	}
	pump->ended = true;
	pump->drain_us = clock_deadline_us(DRAIN_MS);
	result->end = info.si_code == CLD_EXITED ? SPAWN_EXITED : SPAWN_SIGNALED;
	result->status = info.si_status;
	cleanup_close(&process->pidfd);
	cleanup_close(&process->in);
	pump->source = -1;
}

static void keep_time(struct pump *pump)
{
	int64_t now = clock_us();

	if (pump->ended)
		return;
	if (now >= pump->request->deadline_us)
		stop_process(pump, SPAWN_TIMED_OUT);
	if (now >= pump->done_us)
		stop_process(pump, 0);
	if (!pump->signalled || now < pump->kill_us)
		return;
	if (pump->killing) {
		set_lost(pump, "the process does not end although it was killed; it hangs in the kernel");
		return;
	}
	pump->killing = true;
	signal_group(pump, SIGKILL);
	pump->kill_us = clock_deadline_us(KILL_MS);
}

/* ---- Standard input ---- */

/* The next bytes to write; false when none are at hand. */
static bool input_at_hand(const struct pump *pump, const char **bytes, size_t *n)
{
	for (int i = 0; i < 2; i++) {
		if (pump->in_left[i]) {
			*bytes = pump->in_next[i];
			*n = pump->in_left[i];
			return true;
		}
	}
	*bytes = pump->in_buffer.data;
	*n = pump->in_buffer.size;
	return *n > 0;
}

static void input_written(struct pump *pump, size_t n)
{
	for (int i = 0; i < 2; i++) {
		if (pump->in_left[i]) {
			pump->in_next[i] += n;
			pump->in_left[i] -= n;
			return;
		}
	}
	buf_consume(&pump->in_buffer, n);
}

/* A command that answers without reading closes its end: no error of anybody's. */
static void feed_input(struct pump *pump)
{
	const char *bytes;
	size_t n;

	while (pump->process->in >= 0 && input_at_hand(pump, &bytes, &n)) {
		ssize_t written = write(pump->process->in, bytes, n);

		if (written < 0 && errno == EAGAIN)
			return;
		if (written < 0 && errno != EINTR) {
			cleanup_close(&pump->process->in);
			pump->source = -1;
		}
		if (written > 0)
			input_written(pump, (size_t)written);
	}
	if (pump->source < 0)
		cleanup_close(&pump->process->in);
}

static void read_source(struct pump *pump)
{
	ssize_t n = read(pump->source, pump->chunk, CHUNK);

	if (n > 0)
		buf_add(&pump->in_buffer, pump->chunk, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		pump->source = -1;
	feed_input(pump);
}

/* ---- Output ---- */

static void obey(struct pump *pump, int stop)
{
	if (pump->ended)
		return;
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
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	cleanup_close(&pump->process->out[index]);
}

/*
 * Writes what waits. A pipe that poll() calls writable takes PIPE_BUF bytes without blocking; a
 * regular file takes all. A reader that is gone ends the call.
 */
static void write_relay(struct pump *pump, int index)
{
	struct buf *relay = pump->request->stream[index].relay;
	size_t n = relay->size;
	ssize_t written;

	if (n > PIPE_BUF && !pump->relay_is_file[index])
		n = PIPE_BUF;
	written = write(pump->relay_fd[index], relay->data, n);
	if (written >= 0) {
		buf_consume(relay, (size_t)written);
	} else if (errno != EAGAIN && errno != EINTR) {
		pump->relay_fd[index] = -1;
		stop_process(pump, SPAWN_CANCELLED);
	}
}

static size_t relay_waiting(const struct pump *pump, int index)
{
	return pump->relay_fd[index] < 0 ? 0 : pump->request->stream[index].relay->size;
}

/* ---- The loop ---- */

static void fill_poll(struct pump *pump, struct pollfd *fds)
{
	const struct process *process = pump->process;
	const char *bytes;
	size_t n;

	for (int i = 0; i < WATCH_COUNT; i++)
		fds[i] = (struct pollfd){.fd = -1, .events = POLLIN};
	fds[WATCH_PID].fd = process->pidfd;
	fds[WATCH_IN].fd = process->in;
	fds[WATCH_IN].events = input_at_hand(pump, &bytes, &n) ? POLLOUT : 0;
	if (process->in >= 0 && !fds[WATCH_IN].events)
		fds[WATCH_SOURCE].fd = pump->source;
	for (int i = 0; i < 2; i++) {
		if (relay_waiting(pump, i) < RELAY_HIGH)
			fds[WATCH_OUT + i].fd = process->out[i];
		if (relay_waiting(pump, i)) {
			fds[WATCH_RELAY_OUT + i].fd = pump->relay_fd[i];
			fds[WATCH_RELAY_OUT + i].events = POLLOUT;
		}
	}
	if (!pump->stopping)
		fds[WATCH_CANCEL].fd = pump->request->cancel_fd;
}

static int poll_timeout(const struct pump *pump)
{
	int64_t until = CLOCK_NEVER, left;

	if (pump->ended) {
		until = pump->drain_us;
	} else {
		if (!pump->signalled)
			until = pump->request->deadline_us < pump->done_us ?
				pump->request->deadline_us : pump->done_us;
		else
			until = pump->kill_us;
	}
	if (until == CLOCK_NEVER)
		return -1;
	left = until - clock_us();
	if (left <= 0)
		return 0;
	return left > 60000000 ? 60000 : (int)((left + 999) / 1000);
}

static void serve(struct pump *pump, const struct pollfd *fds)
{
	if (fds[WATCH_CANCEL].revents)
		stop_process(pump, SPAWN_CANCELLED);
	if (fds[WATCH_IN].revents & POLLERR) {
		cleanup_close(&pump->process->in);
		pump->source = -1;
	} else if (fds[WATCH_IN].revents & POLLOUT) {
		feed_input(pump);
	}
	if (fds[WATCH_SOURCE].revents && pump->source >= 0)
		read_source(pump);
	for (int i = 0; i < 2; i++) {
		if (fds[WATCH_OUT + i].revents)
			read_output(pump, i);
		if (fds[WATCH_RELAY_OUT + i].revents)
			write_relay(pump, i);
	}
	if (fds[WATCH_PID].revents && !pump->ended)
		reap(pump);
}

/* Is there nothing more to wait for? */
static bool finished(struct pump *pump)
{
	bool open = pump->process->out[0] >= 0 || pump->process->out[1] >= 0;
	bool waiting = relay_waiting(pump, 0) || relay_waiting(pump, 1);

	if (!pump->ended)
		return false;
	if (!open && !waiting)
		return true;
	/* A slow reader of ours has the call's whole time; a stranger who holds a stream has not. */
	if (waiting && !pump->stopping && pump->result->end != SPAWN_LOST &&
	    clock_us() < pump->request->deadline_us) {
		pump->drain_us = clock_deadline_us(DRAIN_MS);
		return false;
	}
	if (clock_us() < pump->drain_us)
		return false;
	pump->result->truncated = true;
	return true;
}

/* Waits until the killed rest of the group has gone. */
static void settle_group(struct pump *pump)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	struct spawn_result *result = pump->result;

	if (result->end == SPAWN_LOST)
		return;
	for (int i = 0; i < 2000; i++) {
		if (kill(-pump->process->pid, 0) && errno == ESRCH) {
			result->group_gone = true;
			return;
		}
		nanosleep(&pause, NULL);
	}
}

static void pump_init(struct pump *pump, const struct spawn_request *request,
		      struct process *process, struct spawn_result *result)
{
	pump->request = request;
	pump->process = process;
	pump->result = result;
	pump->source = request->stdin_fd;
	pump->in_next[0] = request->before_stdin;
	pump->in_left[0] = request->before_stdin_size;
	pump->in_next[1] = request->stdin_data;
	pump->in_left[1] = request->stdin_size;
	pump->in_buffer = (struct buf){0};
	pump->stopping = 0;
	pump->ended = pump->signalled = pump->killing = false;
	pump->done_us = pump->kill_us = pump->drain_us = CLOCK_NEVER;
	for (int i = 0; i < 2; i++) {
		struct stat st;

		pump->relay_fd[i] = request->stream[i].out_fd;
		pump->relay_is_file[i] = pump->relay_fd[i] >= 0 &&
					 !fstat(pump->relay_fd[i], &st) && S_ISREG(st.st_mode);
	}
}

void pump_run(const struct spawn_request *request, struct process *process,
	      struct spawn_result *result)
{
	struct pollfd fds[WATCH_COUNT];
	struct pump pump;

	pump_init(&pump, request, process, result);
	feed_input(&pump);
	while (!finished(&pump)) {
		fill_poll(&pump, fds);
		if (poll(fds, WATCH_COUNT, poll_timeout(&pump)) < 0) {
			if (errno != EINTR) {
				stop_process(&pump, SPAWN_CANCELLED);
				set_lost(&pump, "the system refuses to watch the process; raise the limit of "
						"open files");
			}
			continue;
		}
		serve(&pump, fds);
		keep_time(&pump);
	}
	settle_group(&pump);
	if (pump.stopping && result->end != SPAWN_LOST)
		result->end = pump.stopping;
	buf_free(&pump.in_buffer);
	process_close(process);
}
