/* SPDX-License-Identifier: MIT */
/* The two streams of a channel: queues, frames that come, and who waits for them. */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel_parts.h"
#include "cleanup.h"
#include "clock.h"

#define PING_US 5000000		/* a silence after which we ask, while calls run */
#define DEAF_US 15000000	/* ... and for which we wait for an answer */
#define LOOK_US 10000		/* how often a call looks that cannot be woken */
#define SAID_MAX 4096
#define PONGS_MAX 64		/* that wait to be written */
#define QUEUE_BUSY (1024 * 1024) /* of memory that an empty queue keeps while calls run */
#define QUEUE_IDLE (4 * FRAME_MAX)	/* ... and while none does: what a call takes at most */

/* ---- Waking ---- */

static void wake(int fd)
{
	const uint64_t one = 1;

	/* A counter that is full wakes as well. */
	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
		return;
}

static void wake_call(const struct channel_call *call)
{
	if (call->waits)
		wake(call->event_fd);
}

static void wake_all(struct channel *channel)
{
	for (size_t i = 0; i < channel->n_calls; i++)
		if (channel->calls[i])
			wake_call(channel->calls[i]);
	wake(channel->wake_fd);
}

void channel_break(struct channel *channel, const char *format, ...)
{
	va_list args;

	if (channel->broken)
		return;
	channel->broken = true;
	va_start(args, format);
	vsnprintf(channel->reason, sizeof(channel->reason), format, args);
	va_end(args);
	/* Whatever the agent runs ends with its stdin, before somebody looks for what is left. */
	if (!channel->over)
		channel_hang_up(channel);
	wake_all(channel);
}

void channel_hand_on(struct channel *channel)
{
	if (channel->led || !channel->n_running)
		return;
	for (size_t i = 0; i < channel->n_calls; i++)
		if (channel->calls[i] && channel->calls[i]->waits) {
			wake_call(channel->calls[i]);
			return;
		}
}

/* ---- Writing ---- */

void *channel_reserve(struct channel *channel, struct buf *queue, size_t room)
{
	if (queue->capacity - queue->size <= room) {
		size_t capacity = (queue->size + room + 1) * 2;
		char *grown = realloc(queue->data, capacity);

		if (!grown) {
			channel_break(channel, "out of memory");
			return NULL;
		}
		queue->data = grown;
		queue->capacity = capacity;
	}
	return queue->data + queue->size;
}

void channel_commit(struct buf *queue, size_t n)
{
	queue->size += n;
	queue->data[queue->size] = '\0';
}

/* A queue that is empty gives back what it had beyond that. */
static void trim_queue(struct buf *queue, size_t most)
{
	if (!queue->size && queue->capacity > most)
		buf_free(queue);
}

void channel_trim(struct channel *channel)
{
	trim_queue(&channel->writing, QUEUE_IDLE);
	trim_queue(&channel->control, QUEUE_IDLE);
	trim_queue(&channel->data, QUEUE_IDLE);
}

static void swap_queue(struct buf *a, struct buf *b)
{
	struct buf other = *a;

	*a = *b;
	*b = other;
}

/* What goes next; false: nothing waits. */
static bool choose_queue(struct channel *channel)
{
	if (channel->writing.size)
		return true;
	channel->writes_control = channel->control.size;
	if (channel->writes_control) {
		channel->batch++;
		channel->n_pongs = 0;
	}
	swap_queue(&channel->writing, channel->writes_control ? &channel->control : &channel->data);
	return channel->writing.size;
}

/* Those who wait for room may go on. */
static void tell_room(struct channel *channel)
{
	for (size_t i = 0; i < channel->n_calls; i++)
		if (channel->calls[i] && channel->calls[i]->credit)
			wake_call(channel->calls[i]);
}

static ssize_t write_some(const struct channel *channel)
{
	const struct buf *bytes = &channel->writing;

	if (channel->socket >= 0)
		return send(channel->socket, bytes->data, bytes->size, MSG_NOSIGNAL);
	return write(channel->process.in, bytes->data, bytes->size);
}

static void drop_unheard(struct channel *channel)
{
	buf_consume(&channel->writing, channel->writing.size);
	buf_consume(&channel->control, channel->control.size);
	buf_consume(&channel->data, channel->data.size);
}

void channel_flush(struct channel *channel)
{
	bool was_full = channel->data.size >= CHANNEL_STDIN_MAX;

	if (channel->unheard)
		drop_unheard(channel);
	while (!channel->broken && choose_queue(channel)) {
		ssize_t n = write_some(channel);

		if (n >= 0) {
			buf_consume(&channel->writing, (size_t)n);
			trim_queue(&channel->writing, QUEUE_BUSY);
			channel->sent_us = clock_us();
			if (channel->writes_control)
				channel->batches_sent = channel->batch;
		} else if (errno == EAGAIN) {
			break;
		} else if (errno != EINTR) {
			/* An agent that ends may have said all that counts: reading tells. */
			channel->unheard = true;
			drop_unheard(channel);
			break;
		}
	}
	if (was_full && channel->data.size < CHANNEL_STDIN_MAX)
		tell_room(channel);
}

static bool has_more_to_write(const struct channel *channel)
{
	return channel->writing.size || channel->control.size || channel->data.size;
}

/* ---- Frames that come ---- */

static void break_protocol(struct channel *channel, const char *what)
{
	channel_break(channel, "the agent broke the protocol: %s; nothing that it says is believed",
		      what);
}

static void take_output(struct channel *channel, struct channel_call *call,
			const struct frame *frame)
{
	int index = frame->type == FRAME_ERR;

	if (frame->size > call->window[index]) {
		break_protocol(channel, "more output than it may send");
		return;
	}
	call->window[index] -= frame->size;
	call->total[index] += frame->size;
	buf_add(&call->came[index], frame->data, frame->size);
	if (call->came[index].failed)
		channel_break(channel, "out of memory");
}

static void take_exit(struct channel *channel, struct channel_call *call, const struct frame *frame)
{
	int code = frame_get_exit(frame, &call->exit);

	if (code) {
		break_protocol(channel, frame_error_text(code));
		return;
	}
	for (int i = 0; i < 2; i++)
		if (call->exit.total[i] - call->exit.dropped[i] != call->total[i]) {
			break_protocol(channel, "output is missing");
			return;
		}
	call->done = true;
}

static void take_credit(struct channel *channel, struct channel_call *call,
			const struct frame *frame)
{
	struct frame_credit credit;
	int code = frame_get_credit(frame, &credit);

	if (code || credit.stream || call->credit + credit.bytes > FRAME_WINDOW_MAX)
		break_protocol(channel, code ? frame_error_text(code) : "a credit is too large");
	else
		call->credit += credit.bytes;
}

static void take_call_frame(struct channel *channel, const struct frame *frame)
{
	uint32_t slot = CHANNEL_SLOT(frame->call);
	struct channel_call *call = slot < channel->n_calls ? channel->calls[slot] : NULL;

	if (!call || call->id != frame->call || call->done) {
		break_protocol(channel, "a frame of a call that there is not");
		return;
	}
	switch (frame->type) {
	case FRAME_OUT:
	case FRAME_ERR:
		take_output(channel, call, frame);
		break;
	case FRAME_EXIT:
		take_exit(channel, call, frame);
		break;
	case FRAME_CREDIT:
		take_credit(channel, call, frame);
		break;
	default:
		call->reads_no_more = true;
	}
	wake_call(call);
}

/* Who asks without reading the answers would have us keep them all. */
static void answer_ping(struct channel *channel, const struct frame *frame)
{
	void *to = channel_reserve(channel, &channel->control, FRAME_SMALL_MAX);

	if (!to)
		return;
	channel_commit(&channel->control,
		       frame_put_ping(to, FRAME_SMALL_MAX, FRAME_PONG, frame->data));
	channel->n_pongs++;
	channel_flush(channel);
	if (channel->n_pongs > PONGS_MAX)
		break_protocol(channel, "it asks again and again, and reads no answer");
}

/* When it has served its one call, what carries it is told later, at the close. */
static void take_bye(struct channel *channel, const struct frame *frame)
{
	struct frame_bye bye;
	bool read = !frame_get_bye(frame, &bye);

	channel->over = channel->once && read && bye.code == FRAME_BYE_DONE;
	channel_break(channel, "the agent ended: %s",
		      read && bye.text[0] ? bye.text : "it did not say why");
}

static void take_frame(struct channel *channel, const struct frame *frame)
{
	if (frame->call) {
		take_call_frame(channel, frame);
	} else if (frame->type == FRAME_PING) {
		answer_ping(channel, frame);
	} else if (frame->type == FRAME_BYE) {
		take_bye(channel, frame);
	}
}

bool channel_read(struct channel *channel)
{
	struct frame frame;
	size_t room;
	void *to;
	ssize_t n;
	int code;

	to = frame_reader_room(&channel->reader, &room);
	n = read(channel_frames_in(channel), to, room);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		char end[512];

		channel_describe_end(channel, end, sizeof(end));
		channel_break(channel, "%s", end);
		return false;
	}
	frame_reader_add(&channel->reader, (size_t)n);
	channel->heard_us = clock_us();
	channel->pinged_us = 0;
	while (!channel->broken && (code = frame_reader_next(&channel->reader, &frame)) != 0) {
		if (code < 0)
			break_protocol(channel, frame_error_text(code));
		else
			take_frame(channel, &frame);
	}
	return !channel->broken;
}

/* What the CLI has to say of itself; only its end counts. */
bool channel_read_words(struct channel *channel, int index)
{
	char words[4096];
	ssize_t n = read(channel->process.out[index], words, sizeof(words));

	if (n > 0) {
		buf_add(&channel->said, words, (size_t)n);
		if (channel->said.size > SAID_MAX)
			buf_consume(&channel->said, channel->said.size - SAID_MAX);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		cleanup_close(&channel->process.out[index]);
		return false;
	}
	return true;
}

/*
 * When the carrier has ended the box has as well, and what is in the socket is all that comes. Else
 * it was the carrier alone, and a box that we do not hold is not believed.
 */
void channel_read_carrier(struct channel *channel)
{
	struct pollfd fd = {.fd = channel->socket, .events = POLLIN};
	char end[512];

	if (channel->process.out[0] < 0 || channel_read_words(channel, 0))
		return;
	while (!channel->broken && poll(&fd, 1, 0) > 0)
		channel_read(channel);
	if (channel->broken)
		return;
	channel_describe_end(channel, end, sizeof(end));
	channel_break(channel, "%s", end);
}

/* ---- Waiting ---- */

void channel_ask(struct channel *channel)
{
	static const char eight_bytes[8] = "hookbox";
	void *to = channel_reserve(channel, &channel->control, FRAME_SMALL_MAX);

	if (!to)
		return;
	channel_commit(&channel->control,
		       frame_put_ping(to, FRAME_SMALL_MAX, FRAME_PING, eight_bytes));
	channel->sent_us = clock_us();
	if (!channel->pinged_us)
		channel->pinged_us = channel->sent_us;
	channel_flush(channel);
}

/* When we must have said something: an agent that talks a lot waits for our words all the same. */
static int64_t speak_by(const struct channel *channel)
{
	return channel->silence_ms ? channel->sent_us + channel->silence_ms * 1000 / 3
				   : CLOCK_NEVER;
}

/* When a silent agent is to be asked whether it is there, and then when it is given up. */
static int64_t hear_by(const struct channel *channel)
{
	return channel->pinged_us ? channel->pinged_us + DEAF_US : channel->heard_us + PING_US;
}

/* Sees to it that neither side takes the other for gone; returns when to do so again. */
static int64_t keep_alive(struct channel *channel)
{
	int64_t now = clock_us();

	if (channel->pinged_us && now >= hear_by(channel))
		channel_break(channel, "the agent has not answered for %d s; see whether the box "
			      "still runs", DEAF_US / 1000000);
	else if (now >= speak_by(channel) || now >= hear_by(channel))
		channel_ask(channel);
	return speak_by(channel) < hear_by(channel) ? speak_by(channel) : hear_by(channel);
}

enum { LEAD_IN, LEAD_WORDS, LEAD_CARRIER, LEAD_OUT, LEAD_WAKE, LEAD_COUNT };

static void lead(struct channel *channel, struct pollfd *own, nfds_t n_own, int64_t until_us)
{
	/* First: it may have something to write. */
	int64_t ask = keep_alive(channel);
	struct pollfd fds[LEAD_COUNT + CHANNEL_OWN_FDS] = {
		[LEAD_IN] = {.fd = channel_frames_in(channel), .events = POLLIN},
		[LEAD_WORDS] = {.fd = channel->process.out[1], .events = POLLIN},
		[LEAD_CARRIER] = {.fd = channel->socket >= 0 ? channel->process.out[0] : -1,
				  .events = POLLIN},
		[LEAD_OUT] = {.fd = has_more_to_write(channel) ? channel_frames_out(channel) : -1,
			      .events = POLLOUT},
		[LEAD_WAKE] = {.fd = channel->wake_fd, .events = POLLIN},
	};
	uint64_t count;

	if (channel->broken)
		return;
	memcpy(fds + LEAD_COUNT, own, n_own * sizeof(*own));
	channel->led = true;
	pthread_mutex_unlock(&channel->lock);
	if (poll(fds, LEAD_COUNT + n_own, clock_poll_ms(ask < until_us ? ask : until_us)) < 0)
		memset(fds + LEAD_COUNT, 0, n_own * sizeof(*fds));
	pthread_mutex_lock(&channel->lock);
	memcpy(own, fds + LEAD_COUNT, n_own * sizeof(*own));
	if (fds[LEAD_WAKE].revents && read(channel->wake_fd, &count, sizeof(count)) < 0)
		channel_break(channel, "the channel cannot be watched: %s", strerror(errno));
	if (fds[LEAD_WORDS].revents)
		channel_read_words(channel, 1);
	if (fds[LEAD_OUT].revents)
		channel_flush(channel);
	if (fds[LEAD_IN].revents)
		channel_read(channel);
	if (fds[LEAD_CARRIER].revents)
		channel_read_carrier(channel);
	channel->led = false;
}

int64_t channel_stand_in(struct channel *channel, struct pollfd *own)
{
	if (channel->broken || !channel->n_running)
		return CLOCK_NEVER;
	if (!channel->led && clock_us() >= speak_by(channel))
		channel_ask(channel);
	/* An answer that nobody has read must not look like none. */
	while (!channel->broken && !channel->led && channel->pinged_us && !own->revents)
		lead(channel, own, 1, CLOCK_NEVER);
	channel_hand_on(channel);
	return speak_by(channel);
}

static void follow(struct channel *channel, struct channel_call *call, struct pollfd *own,
		   nfds_t n_own, int64_t until_us)
{
	struct pollfd fds[1 + CHANNEL_OWN_FDS] = {{.fd = call->event_fd, .events = POLLIN}};
	uint64_t count;

	memcpy(fds + 1, own, n_own * sizeof(*own));
	call->waits = call->event_fd >= 0;
	if (has_more_to_write(channel))
		wake(channel->wake_fd);
	pthread_mutex_unlock(&channel->lock);
	if (poll(fds, 1 + n_own, clock_poll_ms(until_us)) < 0)
		memset(fds, 0, sizeof(fds));
	pthread_mutex_lock(&channel->lock);
	call->waits = false;
	memcpy(own, fds + 1, n_own * sizeof(*own));
	/* It may have been written to since. */
	if (call->event_fd >= 0 && read(call->event_fd, &count, sizeof(count)) < 0)
		return;
}

void channel_wait(struct channel *channel, struct channel_call *call, struct pollfd *own,
		  nfds_t n_own, int64_t until_us)
{
	for (nfds_t i = 0; i < n_own; i++)
		own[i].revents = 0;
	if (channel->broken)
		return;
	if (!channel->led) {
		lead(channel, own, n_own, until_us);
		return;
	}
	if (call->event_fd < 0)
		call->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	/* Without a free descriptor nobody can wake us, and we look by ourselves. */
	if (call->event_fd < 0 && until_us > clock_us() + LOOK_US)
		until_us = clock_us() + LOOK_US;
	follow(channel, call, own, n_own, until_us);
}
