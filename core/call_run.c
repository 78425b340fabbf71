/* SPDX-License-Identifier: MIT */
/* Calls of backends that run them themselves (sandbox.run/1), such as cloud APIs. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "call.h"
#include "cancel.h"
#include "cleanup.h"
#include "clock.h"
#include "relay.h"
#include "result.h"

struct run_state {
	struct call *call;
	size_t stdin_used;
	struct relay relay[2]; /* to the caller's output descriptors */
	int stop; /* SPAWN_STOP_* that the output asked for */
};

/* Waits for a descriptor of the caller's, but no longer than the call lasts. */
static int wait_for(int fd, short events, int end_fd)
{
	struct pollfd fds[] = {{.fd = fd, .events = events}, {.fd = end_fd, .events = POLLIN}};

	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			return -errno;
	return fds[1].revents ? -ECANCELED : 0;
}

static ptrdiff_t run_read_stdin(const struct sandbox_run_io *io, void *buffer, size_t n)
{
	struct run_state *state = io->host_data;
	const struct hookbox_call *asked = &state->call->asked;
	size_t left;

	if (asked->use_stdin_fd) {
		ssize_t got;

		do {
			int code = wait_for(asked->stdin_fd, POLLIN, io->cancel_fd);

			if (code)
				return code;
			got = read(asked->stdin_fd, buffer, n);
		} while (got < 0 && (errno == EAGAIN || errno == EINTR));
		return got < 0 ? -errno : got;
	}
	left = asked->stdin_size - state->stdin_used;
	if (n > left)
		n = left;
	if (n)
		memcpy(buffer, (const char *)asked->stdin_data + state->stdin_used, n);
	state->stdin_used += n;
	return (ptrdiff_t)n;
}

static int write_all(struct relay *relay, struct buf *bytes, int end_fd)
{
	int code = relay->fd < 0 ? -EPIPE : 0;

	while (bytes->size && !code) {
		code = wait_for(relay->fd, POLLOUT, end_fd);
		if (!code)
			code = relay_write(relay, bytes);
	}
	buf_consume(bytes, bytes->size);
	return code;
}

static int run_write_output(const struct sandbox_run_io *io, int stream, const void *bytes,
			    size_t n)
{
	struct run_state *state = io->host_data;
	struct call_output *output = &state->call->output[stream == 2];
	const struct hookbox_call *asked = &state->call->asked;
	int stop = call_output_take(output, bytes, n);

	if (asked->use_output_fds &&
	    write_all(&state->relay[stream == 2], &output->relay, io->cancel_fd))
		stop = SPAWN_STOP_CANCEL;
	if (stop && !state->stop)
		state->stop = stop;
	return stop;
}

/* One descriptor that is readable at the deadline and at a cancel; *timer is the caller's to close.
 */
static int end_fd(const struct call *call, int *timer)
{
	_cleanup_close_ int both = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};
	int cancel = cancel_fd(call->asked.cancel);

	if (both < 0 || (cancel >= 0 && epoll_ctl(both, EPOLL_CTL_ADD, cancel, &event)))
		return -1;
	if (call->deadline_us != CLOCK_NEVER) {
		const struct itimerspec at = {
			.it_value.tv_sec = call->deadline_us / 1000000,
			.it_value.tv_nsec = call->deadline_us % 1000000 * 1000,
		};

		*timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
		if (*timer < 0 || timerfd_settime(*timer, TFD_TIMER_ABSTIME, &at, NULL) ||
		    epoll_ctl(both, EPOLL_CTL_ADD, *timer, &event))
			return -1;
	}
	return take_fd(&both);
}

/* A backend that was told to end says LOST; why it was told is the truth about the call. */
static void judge_run(struct call *call, const struct run_state *state,
		      const struct sandbox_run_result *result)
{
	if (state->stop == SPAWN_STOP_LIMIT)
		call->spawn.end = SPAWN_OUTPUT_LIMIT;
	else if (clock_us() >= call->deadline_us)
		call->spawn.end = SPAWN_TIMED_OUT;
	else
		call->spawn.end = SPAWN_CANCELLED;
	if (result->verdict.end == SANDBOX_END_LOST && call->spawn.killed)
		call_judge(call);
	else
		call_apply_verdict(call, &result->verdict);
	call->result->cleanup = result->proven ? HOOKBOX_CLEANUP_PROVEN : HOOKBOX_CLEANUP_UNKNOWN;
	if (!result->proven)
		result_set_cleanup_reason(call->result,
					  "%s cannot tell whether it ended all of the call",
					  call->sandbox->plugin->name);
}

void call_run_extension(struct call *call)
{
	struct sandbox *sandbox = call->sandbox;
	struct sandbox_plan_request request;
	struct run_state state = {.call = call};
	struct sandbox_run_result result = {
		.size = sizeof(result),
		.verdict = {.size = sizeof(result.verdict), .end = SANDBOX_END_LOST},
	};
	char message[SANDBOX_ERROR_SIZE] = "";
	_cleanup_close_ int timer = -1;
	_cleanup_close_ int end = end_fd(call, &timer);
	const struct sandbox_run_io io = {
		.size = sizeof(io),
		.host_data = &state,
		.read_stdin = run_read_stdin,
		.write_output = run_write_output,
		.cancel_fd = end,
	};
	struct epoll_event event;
	struct pipe_guard guard;
	int code = -EMFILE;

	call->scripted = false;
	request = call_request(call, SANDBOX_PURPOSE_CALL);
	relay_open(&state.relay[0], call->asked.use_output_fds ? call->asked.stdout_fd : -1);
	relay_open(&state.relay[1], call->asked.use_output_fds ? call->asked.stderr_fd : -1);
	pipe_guard_set(&guard);
	if (end < 0)
		snprintf(message, sizeof(message), "no descriptor is free to watch the call with");
	else
		code = sandbox->run.run(sandbox->instance, &request, &io, &result, message);
	pipe_guard_release(&guard);
	for (int i = 0; i < 2; i++)
		relay_close(&state.relay[i]);
	if (code) {
		call->result->end = HOOKBOX_NOT_STARTED;
		call->result->cleanup = HOOKBOX_CLEANUP_PROVEN;
		result_set_message(call->result, "%s: %s", sandbox->plugin->name,
				   message[0] ? message : "the backend gave no reason");
		return;
	}
	call->spawn.killed = state.stop || epoll_wait(end, &event, 1, 0) > 0;
	judge_run(call, &state, &result);
}
