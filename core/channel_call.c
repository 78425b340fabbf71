/* SPDX-License-Identifier: MIT */
/* One call through a channel, as its own thread sees it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "channel_parts.h"
#include "cleanup.h"
#include "clock.h"
#include "relay.h"

#define BLOCK_HERE 16384	/* of a call's block, in its CALL frame */
#define RELAY_HIGH (64 * 1024)
/*
 * An agent that was to end a call and has not done so this long after the grace is asked whether it
 * is there, and given up when it does not answer. One that does may be busy killing what hardly
 * ends: all other calls would go with the channel.
 */
#define OVERDUE_US 2000000
#define ANSWER_US 3000000
#define HOPELESS_US 30000000

struct runner {
	struct channel *channel;
	const struct channel_request *request;
	struct channel_result *result;
	struct channel_call call;
	const char *stdin_next;		/* of stdin_data */
	size_t stdin_left;
	int source;			/* stdin_fd while more may come from it, else -1 */
	bool stdin_ended;		/* EOF was sent, or nobody reads */
	struct relay relay[2];
	uint64_t granted[2];		/* consumed since the last CREDIT */
	enum frame_end stopping;	/* why it was to end; 0: nobody wanted it to */
	int64_t overdue_us;
	int64_t asked_us;		/* 0: the agent was not asked for it yet */
	bool answered;
	bool broken;			/* the channel, when the call was over */
};

/* ---- Sending ---- */

static void send_block_front(struct runner *runner, const char *block, size_t size)
{
	struct channel *channel = runner->channel;

	while (size && !channel->broken) {
		size_t n = size < FRAME_PAYLOAD_MAX ? size : FRAME_PAYLOAD_MAX;
		void *to = channel_reserve(channel, &channel->control, n + FRAME_HEADER_SIZE);

		if (!to)
			return;
		channel_commit(&channel->control,
			       frame_put_data(to, n + FRAME_HEADER_SIZE, FRAME_BLOCK,
					      runner->call.id, block, n));
		block += n;
		size -= n;
	}
}

/* Sends CALL with the beginning of stdin; an errno when the call cannot be put into frames. */
static int send_call(struct runner *runner)
{
	const struct channel_request *request = runner->request;
	struct channel *channel = runner->channel;
	int64_t left = request->deadline_us == CLOCK_NEVER ? 0 :
			request->deadline_us - clock_us();
	struct frame_call call = {
		.flags = request->drop_stdout ? FRAME_DROP_STDOUT : 0,
		.grace_ms = (uint32_t)request->grace_ms,
		.timeout_ms = request->deadline_us == CLOCK_NEVER ? 0 :
			      left > 1000 ? (uint64_t)(left / 1000) : 1,
		.limit = {request->limit[0], request->limit[1]},
		.window = {CHANNEL_WINDOW, CHANNEL_WINDOW},
	};
	size_t size = frame_block_make(NULL, request->cwd, request->argv, request->env, &call.argc,
				       &call.envc);
	_cleanup_free_ char *block = size ? malloc(size) : NULL;
	size_t room;
	void *to;

	if (!size || size > channel->agent.max_block)
		return E2BIG;
	if (!block)
		return ENOMEM;
	frame_block_make(block, request->cwd, request->argv, request->env, &call.argc, &call.envc);
	call.block_size = (uint32_t)size;
	call.block_here = size < BLOCK_HERE ? (uint32_t)size : BLOCK_HERE;
	call.block = (const unsigned char *)block + size - call.block_here;
	call.stdin_size = runner->stdin_left < FRAME_DATA_MAX ? (uint32_t)runner->stdin_left :
								  FRAME_DATA_MAX;
	if (call.stdin_size > channel->agent.stdin_window)
		call.stdin_size = channel->agent.stdin_window;
	call.stdin_data = (const unsigned char *)runner->stdin_next;
	runner->stdin_left -= call.stdin_size;
	runner->stdin_next += call.stdin_size;
	runner->call.credit = channel->agent.stdin_window - call.stdin_size;
	runner->stdin_ended = !runner->stdin_left && runner->source < 0;
	if (runner->stdin_ended)
		call.flags |= FRAME_STDIN_WHOLE;
	send_block_front(runner, block, size - call.block_here);
	room = FRAME_SMALL_MAX + call.block_here + call.stdin_size;
	to = channel_reserve(channel, &channel->control, room);
	if (!to)
		return ENOMEM;
	channel_commit(&channel->control, frame_put_call(to, room, runner->call.id, &call));
	runner->call.batch = channel->batch + 1;
	return 0;
}

/* The first reason counts, also when the command has ended meanwhile. */
static void stop_call(struct runner *runner, enum frame_end reason)
{
	const struct frame_kill kill = {.reason = reason, .grace_ms = FRAME_CALLS_GRACE};
	struct channel *channel = runner->channel;
	void *to;

	if (runner->stopping)
		return;
	runner->stopping = reason;
	if (runner->call.done)
		return;
	runner->overdue_us = clock_us() + runner->request->grace_ms * 1000 + OVERDUE_US;
	runner->asked_us = 0;
	runner->source = -1;
	to = channel_reserve(channel, &channel->control, FRAME_SMALL_MAX);
	if (to)
		channel_commit(&channel->control,
			       frame_put_kill(to, FRAME_SMALL_MAX, runner->call.id, &kill));
}

static enum frame_end reason_of(int stop)
{
	return stop == SPAWN_STOP_LIMIT ? FRAME_OUTPUT_LIMIT : FRAME_CANCELLED;
}

/* The same without the lock, when the call is over: there is nobody to tell. A lost one stays so. */
static void stop_late(struct runner *runner, enum frame_end reason)
{
	if (!runner->stopping && runner->call.done)
		runner->stopping = reason;
}

static void send_credit(struct runner *runner, int index)
{
	struct channel *channel = runner->channel;
	const struct frame_credit credit = {
		.stream = (uint8_t)(index + 1),
		.bytes = (uint32_t)runner->granted[index],
	};
	void *to = channel_reserve(channel, &channel->control, FRAME_SMALL_MAX);

	if (!to)
		return;
	channel_commit(&channel->control,
		       frame_put_credit(to, FRAME_SMALL_MAX, runner->call.id, &credit));
	runner->call.window[index] += runner->granted[index];
	runner->granted[index] = 0;
}

/* ---- Standard input ---- */

static bool may_send_stdin(const struct runner *runner)
{
	return !runner->stdin_ended && !runner->stopping && !runner->call.reads_no_more &&
	       runner->call.credit && runner->channel->data.size < CHANNEL_STDIN_MAX;
}

static size_t stdin_piece(const struct runner *runner, size_t most)
{
	size_t n = most < FRAME_DATA_MAX ? most : FRAME_DATA_MAX;

	return n < runner->call.credit ? n : (size_t)runner->call.credit;
}

static void end_stdin(struct runner *runner)
{
	struct channel *channel = runner->channel;
	void *to = channel_reserve(channel, &channel->data, FRAME_SMALL_MAX);

	runner->stdin_ended = true;
	if (to)
		channel_commit(&channel->data,
			       frame_put_eof(to, FRAME_SMALL_MAX, runner->call.id));
}

static void send_stdin(struct runner *runner)
{
	struct channel *channel = runner->channel;

	while (may_send_stdin(runner) && runner->stdin_left) {
		size_t n = stdin_piece(runner, runner->stdin_left);
		void *to = channel_reserve(channel, &channel->data, n + FRAME_HEADER_SIZE);

		if (!to)
			return;
		channel_commit(&channel->data,
			       frame_put_data(to, n + FRAME_HEADER_SIZE, FRAME_IN, runner->call.id,
					      runner->stdin_next, n));
		runner->stdin_next += n;
		runner->stdin_left -= n;
		runner->call.credit -= n;
	}
	if (!runner->stdin_ended && !runner->stdin_left && runner->source < 0 && !runner->stopping)
		end_stdin(runner);
}

/* The lock is let go meanwhile: a disk may be slow, and somebody else may have read it empty. */
static void read_source(struct runner *runner)
{
	struct channel *channel = runner->channel;
	size_t most = stdin_piece(runner, FRAME_DATA_MAX);
	char bytes[FRAME_DATA_MAX];
	ssize_t n;
	void *to;

	channel_hand_on(channel);
	pthread_mutex_unlock(&channel->lock);
	n = read(runner->source, bytes, most);
	pthread_mutex_lock(&channel->lock);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		/* Half an input must not look like a whole one. */
		snprintf(runner->result->message, sizeof(runner->result->message),
			 "the input cannot be read: %s", strerror(errno));
		stop_call(runner, FRAME_CANCELLED);
		return;
	}
	if (!n) {
		runner->source = -1;
		return;
	}
	runner->result->read = true;
	to = channel_reserve(channel, &channel->data, FRAME_HEADER_SIZE + (size_t)n);
	if (!to)
		return;
	channel_commit(&channel->data, frame_put_data(to, FRAME_HEADER_SIZE + (size_t)n, FRAME_IN,
						      runner->call.id, bytes, (size_t)n));
	runner->call.credit -= (size_t)n;
}

/* ---- Output ---- */

static bool relay_is_full(const struct runner *runner, int index)
{
	return runner->relay[index].fd >= 0 &&
	       runner->request->stream[index].relay->size >= RELAY_HIGH;
}

/* Hands on what came; the lock is let go meanwhile. True when there was something. */
static bool take_output(struct runner *runner, int index)
{
	const struct spawn_stream *stream = &runner->request->stream[index];
	struct buf came = runner->call.came[index];
	int stop;

	if (!came.size || relay_is_full(runner, index))
		return false;
	runner->call.came[index] = (struct buf){0};
	channel_hand_on(runner->channel);
	pthread_mutex_unlock(&runner->channel->lock);
	stop = stream->consume(stream->data, came.data, came.size);
	if (stream->relay && runner->relay[index].fd < 0)
		buf_consume(stream->relay, stream->relay->size);
	pthread_mutex_lock(&runner->channel->lock);
	runner->granted[index] += came.size;
	buf_free(&came);
	if (stop)
		stop_call(runner, reason_of(stop));
	if (runner->granted[index] >= CHANNEL_WINDOW / 4 && !runner->call.done)
		send_credit(runner, index);
	return true;
}

static size_t relay_waiting(const struct runner *runner, int index)
{
	return runner->relay[index].fd < 0 ? 0 : runner->request->stream[index].relay->size;
}

/* A reader that is gone ends the call, whether or not there is something to write. */
static void write_relay(struct runner *runner, int index)
{
	struct buf *waiting = runner->request->stream[index].relay;

	if (!waiting->size)
		relay_close(&runner->relay[index]);
	if (!waiting->size || relay_write(&runner->relay[index], waiting))
		stop_call(runner, FRAME_CANCELLED);
}

/* ---- The whole ---- */

enum { OWN_CANCEL, OWN_SOURCE, OWN_RELAY, OWN_COUNT = OWN_RELAY + 2 };
_Static_assert(OWN_COUNT <= CHANNEL_OWN_FDS, "a call watches no more");

static void fill_own(const struct runner *runner, struct pollfd own[OWN_COUNT])
{
	bool reads = may_send_stdin(runner) && !runner->stdin_left;

	own[OWN_CANCEL] = (struct pollfd){
		.fd = runner->stopping ? -1 : runner->request->cancel_fd, .events = POLLIN,
	};
	own[OWN_SOURCE] = (struct pollfd){.fd = reads ? runner->source : -1, .events = POLLIN};
	for (int i = 0; i < 2; i++)
		own[OWN_RELAY + i] = (struct pollfd){
			.fd = runner->relay[i].fd,
			.events = relay_waiting(runner, i) ? POLLOUT : 0,
		};
}

static void serve_own(struct runner *runner, const struct pollfd own[OWN_COUNT])
{
	if (own[OWN_CANCEL].revents)
		stop_call(runner, FRAME_CANCELLED);
	/* Meanwhile others may have filled the queue. */
	if (own[OWN_SOURCE].revents && runner->source >= 0 && may_send_stdin(runner))
		read_source(runner);
	for (int i = 0; i < 2; i++)
		if (own[OWN_RELAY + i].revents && runner->relay[i].fd >= 0)
			write_relay(runner, i);
}

static void see_overdue(struct runner *runner)
{
	struct channel *channel = runner->channel;
	int64_t now = clock_us();

	if (now < runner->overdue_us)
		return;
	if (!runner->asked_us) {
		runner->asked_us = now;
		runner->overdue_us = now + ANSWER_US;
		runner->answered = false;
		channel_ask(channel);
	} else if (!runner->answered && channel->heard_us > runner->asked_us) {
		runner->answered = true;
		runner->overdue_us = runner->asked_us + HOPELESS_US;
	} else {
		channel_break(channel, "the agent did not end a call in time");
	}
}

static void turn(struct runner *runner)
{
	struct channel *channel = runner->channel;
	struct pollfd own[OWN_COUNT];
	bool busy = false;

	for (int i = 0; i < 2; i++)
		busy |= take_output(runner, i);
	if (runner->call.reads_no_more) {
		runner->stdin_left = 0;
		runner->source = -1;
		runner->stdin_ended = true;
	}
	send_stdin(runner);
	channel_flush(channel);
	if (busy || runner->call.done)
		return;
	fill_own(runner, own);
	channel_wait(channel, &runner->call, own, OWN_COUNT, runner->overdue_us);
	serve_own(runner, own);
	if (!runner->call.done && !channel->broken)
		see_overdue(runner);
}

/* A slow reader of the caller's has the call's whole time for what is left. */
static void drain_relays(struct runner *runner)
{
	struct pollfd fds[3];

	while (relay_waiting(runner, 0) || relay_waiting(runner, 1)) {
		int64_t left = runner->request->deadline_us == CLOCK_NEVER ?
				       60000000 : runner->request->deadline_us - clock_us();

		for (int i = 0; i < 2; i++)
			fds[i] = (struct pollfd){
				.fd = relay_waiting(runner, i) ? runner->relay[i].fd : -1,
				.events = POLLOUT,
			};
		fds[2] = (struct pollfd){.fd = runner->request->cancel_fd, .events = POLLIN};
		if (left > 0 &&
		    poll(fds, 3, (int)(left / 1000 < 60000 ? left / 1000 + 1 : 60000)) > 0 &&
		    fds[2].revents)
			stop_late(runner, FRAME_CANCELLED);
		if (left <= 0 || fds[2].revents) {
			runner->call.exit.flags |= FRAME_TRUNCATED;
			return;
		}
		for (int i = 0; i < 2; i++)
			if (fds[i].revents &&
			    relay_write(&runner->relay[i], runner->request->stream[i].relay))
				stop_late(runner, FRAME_CANCELLED);
	}
}

static int take_id(struct channel *channel, struct channel_call *call)
{
	size_t i = 0, n = channel->n_calls;

	while (i < n && channel->calls[i])
		i++;
	if (i == CHANNEL_CALLS_MAX)
		return EAGAIN;
	if (i == n) {
		size_t more = !n ? 16 : n < CHANNEL_CALLS_MAX / 2 ? 2 * n : CHANNEL_CALLS_MAX;
		struct channel_call **calls = reallocarray(channel->calls, more, sizeof(*calls));

		if (!calls)
			return ENOMEM;
		memset(calls + n, 0, (more - n) * sizeof(*calls));
		channel->calls = calls;
		channel->n_calls = more;
	}
	channel->calls[i] = call;
	/* Nobody heard it while no call ran. */
	if (!channel->n_running++) {
		channel->heard_us = clock_us();
		channel->pinged_us = 0;
	}
	call->id = CHANNEL_ID(i, channel->n_begun++);
	return 0;
}

static void leave_id(struct channel *channel, struct channel_call *call)
{
	channel->calls[CHANNEL_SLOT(call->id)] = NULL;
	if (!--channel->n_running) {
		channel_trim(channel);
		channel_wake_minder(channel);
	}
	channel_hand_on(channel);
}

/* It never went on its way. */
static void not_sent(struct runner *runner, int error_number)
{
	runner->call.done = true;
	runner->call.exit = (struct frame_exit){
		.end = FRAME_NOT_STARTED,
		.step = error_number == E2BIG ? FRAME_STEP_EXEC : FRAME_STEP_RESOURCES,
		.cleanup = FRAME_PROVEN,
		.error_number = (uint32_t)error_number,
	};
	snprintf(runner->call.exit.text, sizeof(runner->call.exit.text), "%s",
		 error_number == E2BIG ? "the arguments and environment are too large; hand large "
					 "data over by stdin" : strerror(error_number));
}

/* Under the lock. */
static void run(struct runner *runner)
{
	struct channel *channel = runner->channel;
	int code;

	if (channel->broken || channel->n_running >= channel->agent.max_calls)
		return;
	code = take_id(channel, &runner->call);
	if (code) {
		not_sent(runner, code);
		return;
	}
	code = send_call(runner);
	if (code)
		not_sent(runner, code);
	while (!channel->broken && (!runner->call.done || runner->call.came[0].size ||
				    runner->call.came[1].size)) {
		bool full = relay_is_full(runner, 0) || relay_is_full(runner, 1);

		if (runner->call.done && full) {
			channel_hand_on(channel);
			pthread_mutex_unlock(&channel->lock);
			drain_relays(runner);
			pthread_mutex_lock(&channel->lock);
			if (runner->call.exit.flags & FRAME_TRUNCATED)
				break;
		}
		turn(runner);
	}
	runner->result->sent = runner->call.batch &&
			       runner->call.batch <= channel->batches_sent;
	leave_id(channel, &runner->call);
}

/* Was it to have ended already? The channel may have broken for another one's sake. */
static bool is_overdue(const struct runner *runner)
{
	int64_t deadline_us = runner->request->deadline_us;

	return runner->asked_us || (deadline_us != CLOCK_NEVER &&
				    clock_us() >= deadline_us + runner->request->grace_ms * 1000);
}

static void finish(struct runner *runner)
{
	struct channel_result *result = runner->result;

	for (int i = 0; i < 2; i++) {
		const struct spawn_stream *stream = &runner->request->stream[i];

		int stop = 0;

		/* What came before the channel broke is the command's all the same. */
		if (runner->call.came[i].size)
			stop = stream->consume(stream->data, runner->call.came[i].data,
					       runner->call.came[i].size);
		if (stop)
			stop_late(runner, reason_of(stop));
		buf_free(&runner->call.came[i]);
	}
	drain_relays(runner);
	result->exit = runner->call.exit;
	result->lost = !runner->call.done;
	result->overdue = result->lost && is_overdue(runner);
	result->stopping = runner->stopping;
	if (result->lost)
		snprintf(result->message, sizeof(result->message), "%s",
			 runner->broken ? runner->channel->reason
					: "the agent runs as many calls as it can");
	for (int i = 0; i < 2; i++)
		relay_close(&runner->relay[i]);
	cleanup_close(&runner->call.event_fd);
}

void channel_run(struct channel *channel, const struct channel_request *request,
		 struct channel_result *result)
{
	struct pipe_guard guard;
	struct runner runner = {
		.channel = channel,
		.request = request,
		.result = result,
		.call = {.window = {CHANNEL_WINDOW, CHANNEL_WINDOW}, .event_fd = -1},
		.stdin_next = request->stdin_data,
		.stdin_left = request->stdin_size,
		.source = request->stdin_fd,
		.overdue_us = request->deadline_us == CLOCK_NEVER ? CLOCK_NEVER :
			      request->deadline_us + request->grace_ms * 1000 + OVERDUE_US,
	};

	*result = (struct channel_result){0};
	for (int i = 0; i < 2; i++)
		relay_open(&runner.relay[i], request->stream[i].out_fd);
	pipe_guard_set(&guard);
	pthread_mutex_lock(&channel->lock);
	run(&runner);
	runner.broken = channel->broken;
	pthread_mutex_unlock(&channel->lock);
	finish(&runner);
	pipe_guard_release(&guard);
}
