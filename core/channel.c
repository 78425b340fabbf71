/* SPDX-License-Identifier: MIT */
/* Opening a channel, and closing it. */
#include "channel.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent_file.h"
#include "channel_parts.h"
#include "cleanup.h"
#include "clock.h"
#include "text.h"

#define READER_SIZE (2 * FRAME_READER_MIN)
/* How long a CLI may take to end once its stdin is closed. */
#define CLOSE_MS 2000
#define BROKEN_MS 200
#define LAST_READS 32
/* An agent that ends of itself when it hears nothing gets no call shortly before. */
#define SILENCE_MARGIN_MS 2000

/* ---- The process ---- */

void channel_describe_end(struct channel *channel, char *text, size_t size)
{
	_cleanup_buf_ struct buf words = {0};
	siginfo_t info = {0};

	/* Its last words are there once it has ended. */
	if (process_wait(&channel->process, 500))
		waitid(P_PIDFD, (id_t)channel->process.pidfd, &info, WEXITED | WNOHANG | WNOWAIT);
	/* Somebody may go on talking for ever: no more is read than a pipe holds. */
	for (int i = channel->socket < 0; i < 2; i++)
		for (int n = 0; n < LAST_READS && channel->process.out[i] >= 0; n++)
			channel_read_words(channel, i);
	text_add_last_two_lines(&words, channel->said.data ? channel->said.data : "",
				channel->said.size, 300);
	if (!info.si_pid)
		snprintf(text, size, "the connection to the agent ended%s%s",
			 words.size ? ": " : "", words.size ? words.data : "");
	else
		snprintf(text, size, "what carried the connection to the agent ended (%s %d)%s%s",
			 info.si_code == CLD_EXITED ? "status" : "signal", info.si_status,
			 words.size ? ": " : "", words.size ? words.data : "");
}

/* ---- Opening ---- */

/* The box may ask for the agent's file before there is one to greet us. */
struct opening {
	const struct channel_start *start;
	struct channel *channel;
	struct agent_file file;		/* what we send */
	size_t sent;
	bool asked;
};

static int fail(enum channel_problem problem, struct hookbox_error *error, const char *sentence)
{
	error_set(error, -EIO, "%s", sentence);
	return (int)problem;
}

/* The box has a shell, and asks: see to it that it gets what it asks for. */
static int see_request(struct opening *opening, struct hookbox_error *error)
{
	size_t n;
	const char *noise = frame_reader_noise(&opening->channel->reader, &n);

	if (opening->asked)
		return 0;
	switch (agent_file_asked(noise, n, opening->start->agent_dir, &opening->file, error)) {
	case 0:
		return 0;
	case 1:
		opening->asked = true;
		return 0;
	default:
		return CHANNEL_NO_AGENT;
	}
}

/* Somebody ended it, or the connection was lost: that says nothing about what can run in the box. */
static bool was_killed(const struct process *process)
{
	siginfo_t info = {0};

	return waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) ||
	       info.si_code != CLD_EXITED || info.si_status > 128;
}

/* The stream ended, or made no sense, before the agent greeted. */
static int see_end(struct opening *opening, struct hookbox_error *error)
{
	struct channel *channel = opening->channel;
	_cleanup_buf_ struct buf words = {0};
	char end[512];
	size_t n;
	const char *noise = frame_reader_noise(&channel->reader, &n);

	channel_describe_end(channel, end, sizeof(end));
	text_add_last_line(&words, noise, n, 300);
	error_set(error, -EIO, "%s%s%s", end, words.size && !opening->asked ? ": " : "",
		  words.size && !opening->asked ? words.data : "");
	return opening->asked && !was_killed(&channel->process) ? CHANNEL_NO_AGENT : CHANNEL_NO_WAY;
}

static int send_file(struct opening *opening, struct hookbox_error *error)
{
	int fd = opening->channel->process.in;

	while (opening->sent < opening->file.bytes.size) {
		ssize_t n = write(fd, opening->file.bytes.data + opening->sent,
				  opening->file.bytes.size - opening->sent);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && errno != EINTR)
			return see_end(opening, error);
		if (n > 0)
			opening->sent += (size_t)n;
	}
	return 0;
}

/* An agent that cannot work there says why. */
static int see_bye(const struct frame *frame, struct hookbox_error *error)
{
	struct frame_bye bye;

	error_set(error, -EIO, "the agent ended before it greeted: %s",
		  !frame_get_bye(frame, &bye) && bye.text[0] ? bye.text : "it did not say why");
	return CHANNEL_NO_WAY;
}

static int read_greeting(struct opening *opening, bool *greeted, struct hookbox_error *error)
{
	struct channel *channel = opening->channel;
	struct frame frame;
	size_t room;
	void *to = frame_reader_room(&channel->reader, &room);
	ssize_t n = read(channel_frames_in(channel), to, room);
	int code;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return see_end(opening, error);
	frame_reader_add(&channel->reader, (size_t)n);
	code = frame_reader_next(&channel->reader, &frame);
	if (code == 1 && frame.type == FRAME_HELLO)
		code = frame_get_agent_hello(&frame, &channel->agent) ? : 1;
	if (code < 0) {
		error_set(error, -EPROTO, "what answers is no agent: %s", frame_error_text(code));
		return opening->asked ? CHANNEL_NO_AGENT : CHANNEL_NO_WAY;
	}
	if (code == 1 && frame.type == FRAME_BYE)
		return see_bye(&frame, error);
	*greeted = code == 1;
	return code ? 0 : see_request(opening, error);
}

/* From here on all that the process itself says is words. */
static void let_in(struct channel *channel, struct listener *listener)
{
	size_t n;
	const char *noise;
	int fd = listener_accept(listener);

	if (fd < 0)
		return;
	noise = frame_reader_noise(&channel->reader, &n);
	buf_add(&channel->said, noise, n);
	frame_reader_init(&channel->reader, FRAME_FROM_AGENT, channel->buffer, READER_SIZE);
	channel->socket = fd;
}

static int see_time(const struct opening *opening, const struct pollfd *cancel,
		    struct hookbox_error *error)
{
	if (cancel->revents)
		return fail(CHANNEL_CANCELLED, error, "it was cancelled");
	if (clock_us() >= opening->start->deadline_us)
		return fail(CHANNEL_TIMED_OUT, error, "no agent greeted in time");
	return 0;
}

static int wait_for_agent(struct opening *opening, struct hookbox_error *error)
{
	struct channel *channel = opening->channel;
	struct listener *listener = opening->start->listener;
	bool greeted = false;
	int problem = 0;

	while (!problem && !greeted) {
		bool sending = opening->sent < opening->file.bytes.size;
		struct pollfd fds[] = {
			{.fd = channel_frames_in(channel), .events = POLLIN},
			{.fd = sending ? channel->process.in : -1, .events = POLLOUT},
			{.fd = opening->start->cancel_fd, .events = POLLIN},
			{.fd = channel->process.out[1], .events = POLLIN},
			{.fd = listener ? listener->fd : -1, .events = POLLIN},
		};
		int64_t left = opening->start->deadline_us == CLOCK_NEVER ? 60000000 :
				opening->start->deadline_us - clock_us();

		if (poll(fds, 5,
			 left <= 0	   ? 0
			 : left < 60000000 ? (int)(left / 1000) + 1
					   : 60000) < 0)
			continue;
		if (fds[3].revents)
			channel_read_words(channel, 1);
		if (fds[1].revents)
			problem = send_file(opening, error);
		if (fds[4].revents)
			let_in(channel, listener);
		else if (!problem && fds[0].revents)
			problem = read_greeting(opening, &greeted, error);
		if (!problem && !greeted)
			problem = see_time(opening, &fds[2], error);
	}
	return problem;
}

static int greet(struct channel *channel, const struct channel_start *start,
		 struct hookbox_error *error)
{
	struct frame_host_hello hello = {
		.version = channel->agent.version < FRAME_VERSION ? channel->agent.version :
								    FRAME_VERSION,
		.flags = start->once ? FRAME_ONCE : 0,
		.silence_ms = (uint32_t)start->silence_ms,
	};
	void *to = channel_reserve(channel, &channel->control, FRAME_SMALL_MAX);
	char end[512];

	if (!to)
		return fail(CHANNEL_NO_WAY, error, "out of memory");
	if (start->program && strlen(start->program) < sizeof(hello.program))
		strcpy(hello.program, start->program);
	channel_commit(&channel->control, frame_put_host_hello(to, FRAME_SMALL_MAX, &hello));
	channel->heard_us = clock_us();
	channel_flush(channel);
	if (channel->unheard) {
		channel_describe_end(channel, end, sizeof(end));
		error_set(error, -EIO, "the agent ended as soon as it had greeted: %s", end);
		return CHANNEL_NO_WAY;
	}
	return channel->broken ? fail(CHANNEL_NO_WAY, error, channel->reason) : 0;
}

static void channel_free(struct channel *channel)
{
	cleanup_close(&channel->wake_fd);
	cleanup_close(&channel->minder_fd);
	cleanup_close(&channel->socket);
	buf_free(&channel->writing);
	buf_free(&channel->control);
	buf_free(&channel->data);
	buf_free(&channel->said);
	free(channel->calls);
	free(channel->buffer);
	pthread_mutex_destroy(&channel->lock);
	free(channel);
}

static struct channel *channel_new(const struct channel_start *start)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return NULL;
	pthread_mutex_init(&channel->lock, NULL);
	channel->owner = getpid();
	channel->holders = 1;
	channel->once = start->once;
	channel->silence_ms = start->silence_ms;
	channel->socket = -1;
	channel->process = (struct process){.pidfd = -1, .in = -1, .out = {-1, -1}};
	channel->minder_fd = -1;
	channel->buffer = malloc(READER_SIZE);
	channel->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (channel->buffer && channel->wake_fd >= 0) {
		frame_reader_init(&channel->reader, FRAME_FROM_AGENT, channel->buffer, READER_SIZE);
		return channel;
	}
	channel_free(channel);
	return NULL;
}

int channel_open(const struct channel_start *start, struct channel **channel,
		 struct hookbox_error *error)
{
	struct opening opening = {.start = start, .channel = channel_new(start)};
	struct spawn_result result = {0};
	struct pipe_guard guard;
	int problem = 0;

	if (start->end)
		*start->end = (struct process_fate){0};
	if (!opening.channel)
		return fail(CHANNEL_NO_WAY, error, "out of memory or descriptors");
	pipe_guard_set(&guard);
	if (plan_start(start->plan, &opening.channel->process, &result))
		problem = fail(CHANNEL_NO_WAY, error, result.message);
	if (!problem) {
		problem = wait_for_agent(&opening, error);
		if (!problem)
			problem = greet(opening.channel, start, error);
		if (problem)
			cleanup_close(&opening.channel->socket);
		if (problem)
			process_end(&opening.channel->process, 0, start->end);
	}
	pipe_guard_release(&guard);
	agent_file_free(&opening.file);
	if (problem) {
		channel_free(opening.channel);
		return problem;
	}
	/* A pool watches its boxes itself. */
	if (!start->once)
		channel_mind(opening.channel);
	*channel = opening.channel;
	return 0;
}

/* ---- Holding and closing ---- */

struct channel *channel_hold(struct channel *channel)
{
	pthread_mutex_lock(&channel->lock);
	channel->holders++;
	pthread_mutex_unlock(&channel->lock);
	return channel;
}

bool channel_is_ours(const struct channel *channel)
{
	return channel->owner == getpid();
}

void channel_release(struct channel *channel)
{
	unsigned int holders;

	/* The process that was forked leaves all but its descriptors to the other. */
	if (!channel_is_ours(channel)) {
		process_close(&channel->process);
		cleanup_close(&channel->socket);
		return;
	}
	pthread_mutex_lock(&channel->lock);
	holders = --channel->holders;
	pthread_mutex_unlock(&channel->lock);
	if (!holders)
		channel_close(channel, CLOSE_MS, NULL);
}

void channel_close(struct channel *channel, int patience_ms, struct process_fate *end)
{
	struct pipe_guard guard;

	channel_mind_no_more(channel);
	pipe_guard_set(&guard);
	/* The end of its streams tells the agent to end. */
	cleanup_close(&channel->socket);
	if (channel->process.pidfd >= 0)
		process_end(&channel->process,
			    channel->broken && !channel->over ? BROKEN_MS : patience_ms, end);
	pipe_guard_release(&guard);
	channel_free(channel);
}

void channel_bury(struct channel *channel)
{
	struct process process = channel->process;

	channel->process = (struct process){.pidfd = -1, .in = -1, .out = {-1, -1}};
	pthread_mutex_unlock(&channel->lock);
	process_end(&process, BROKEN_MS, NULL);
	pthread_mutex_lock(&channel->lock);
}

void channel_hang_up(struct channel *channel)
{
	cleanup_close(&channel->process.in);
	if (channel->socket >= 0)
		shutdown(channel->socket, SHUT_WR);
}

int channel_fd(const struct channel *channel)
{
	return channel_frames_in(channel);
}

bool channel_is_usable(struct channel *channel)
{
	struct pollfd fds[2] = {{.events = POLLIN}, {.events = POLLIN}};
	struct pipe_guard guard;
	bool usable;

	pipe_guard_set(&guard);
	pthread_mutex_lock(&channel->lock);
	fds[0].fd = channel_frames_in(channel);
	fds[1].fd = channel->socket >= 0 ? channel->process.out[0] : -1;
	/* Nothing comes unasked while no call runs, but the end. */
	if (!channel->broken && !channel->n_running && poll(fds, 2, 0) > 0) {
		if (fds[0].revents)
			channel_read(channel);
		if (fds[1].revents)
			channel_read_carrier(channel);
	}
	usable = !channel->broken && !channel->unheard && (!channel->silence_ms ||
				      (clock_us() - channel->sent_us) / 1000 <
					      channel->silence_ms - SILENCE_MARGIN_MS);
	pthread_mutex_unlock(&channel->lock);
	pipe_guard_release(&guard);
	return usable;
}

bool channel_has_socket(const struct channel *channel)
{
	return channel->socket >= 0;
}

bool channel_is_full(struct channel *channel)
{
	bool full;

	pthread_mutex_lock(&channel->lock);
	full = channel->n_running >= channel->agent.max_calls;
	pthread_mutex_unlock(&channel->lock);
	return full;
}

const struct frame_agent_hello *channel_agent(const struct channel *channel)
{
	return &channel->agent;
}
