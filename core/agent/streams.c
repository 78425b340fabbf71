/* SPDX-License-Identifier: MIT */
/* The streams of calls. What is read goes into the channel's outbox directly; nothing else is kept
 * but stdin that the command has not read yet, up to the window. */
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "system.h"

#define SETTLE_US 1000 /* the first output waits so long for the call's end */
#define READS_AT_ONCE 64
#define LATE_MAX (1u << 20) /* more than a pipe can hold when its call has ended */

/* ---- stdin ---- */

static void put_eof(struct input *input)
{
	struct agent *agent = input->call->agent;
	unsigned char *room = channel_room(agent, FRAME_SMALL_MAX);

	if (room)
		channel_sent(agent, frame_put_eof(room, FRAME_SMALL_MAX, input->call->id));
}

void input_close(struct input *input)
{
	if (input->item.fd >= 0) {
		watch_remove(&input->call->agent->watch, &input->item);
		close(input->item.fd);
		input->item.fd = -1;
	}
	bytes_free(&input->bytes);
	input->gone = true;
}

static void grant(struct input *input, size_t n)
{
	struct agent *agent = input->call->agent;
	struct frame_credit credit = {.stream = 0};
	unsigned char *room;

	input->owed += (uint32_t)n;
	if (input->eof || input->owed < STDIN_WINDOW / 2)
		return;
	room = channel_room(agent, FRAME_SMALL_MAX);
	if (!room)
		return;
	credit.bytes = input->owed;
	channel_sent(agent, frame_put_credit(room, FRAME_SMALL_MAX, input->call->id, &credit));
	input->credit += input->owed;
	input->owed = 0;
}

/* How much of it the command's pipe took; it is closed when nobody reads it. */
static size_t feed(struct input *input, const unsigned char *data, size_t n)
{
	size_t fed = 0;

	while (fed < n) {
		ssize_t written = write(input->item.fd, data + fed, n - fed);

		if (written >= 0) {
			fed += (size_t)written;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			break;
		} else if (errno != EINTR) {
			input_close(input);
			if (!input->eof)
				put_eof(input);
			return fed;
		}
	}
	if (fed)
		grant(input, fed);
	return fed;
}

static void input_settle(struct input *input)
{
	size_t waiting = bytes_size(&input->bytes);
	struct agent *agent = input->call->agent;

	if (!waiting && input->eof)
		input_close(input);
	/* Half an input must not look like a whole one. */
	else if (watch_set(&agent->watch, &input->item, waiting ? WATCH_WRITE : 0))
		channel_close(agent, FRAME_BYE_FAILED, "the agent cannot watch a call's stdin");
}

int input_take(struct input *input, const void *data, size_t n)
{
	unsigned char *room;
	size_t fed = 0;

	if (n > input->credit || input->eof)
		return FRAME_BAD_VALUE;
	input->credit -= (uint32_t)n;
	if (input->gone)
		return 0;
	if (!bytes_size(&input->bytes))
		fed = feed(input, data, n);
	if (input->gone || fed == n)
		return 0;
	room = bytes_reserve(&input->bytes, n - fed);
	if (!room) {
		channel_close(input->call->agent, FRAME_BYE_FAILED, "the agent has no memory left");
		return 0;
	}
	memcpy(room, (const unsigned char *)data + fed, n - fed);
	input->bytes.end += n - fed;
	input_settle(input);
	return 0;
}

void input_end(struct input *input)
{
	input->eof = true;
	if (!input->gone)
		input_settle(input);
}

void input_ready(void *data, struct watch_item *item, int events)
{
	struct input *input = (struct input *)((char *)item - offsetof(struct input, item));

	size_t fed = feed(input, input->bytes.data + input->bytes.start, bytes_size(&input->bytes));

	if (input->gone)
		return;
	bytes_take(&input->bytes, fed);
	input_settle(input);
}

/* ---- stdout and stderr ---- */

void output_close(struct output *output)
{
	if (output->item.fd < 0)
		return;
	watch_remove(&output->call->agent->watch, &output->item);
	close(output->item.fd);
	output->item.fd = -1;
}

void output_queue(struct output *output)
{
	struct agent *agent = output->call->agent;

	if (output->queued || output->item.fd < 0)
		return;
	watch_set(&agent->watch, &output->item, 0);
	output->queued = true;
	output->next = NULL;
	*agent->ready_end = output;
	agent->ready_end = &output->next;
}

int output_credit(struct output *output, uint32_t bytes)
{
	if (bytes > FRAME_WINDOW_MAX - output->credit)
		return FRAME_BAD_VALUE;
	output->credit += bytes;
	if (output->stalled)
		output_queue(output);
	output->stalled = false;
	return 0;
}

/*
 * A small answer is not worth a write of its own: its call is about to end, and then all of it
 * goes out together. So a call's first output waits a moment.
 */
void output_ready(void *data, struct watch_item *item, int events)
{
	struct output *output = (struct output *)((char *)item - offsetof(struct output, item));
	struct call *call = output->call;

	if (call->settled) {
		output_queue(output);
		return;
	}
	for (int i = 0; i < 2; i++)
		watch_set(&call->agent->watch, &call->out[i].item, 0);
	call->settled = true;
	call->settle_us = call->agent->now_us + SETTLE_US;
	agent_wake_at(call->agent, call->settle_us);
}

/* What was read is in the room behind the outbox, with space for a header before it. */
static void take_output(struct output *output, unsigned char *room, size_t n, bool drop)
{
	struct call *call = output->call;

	output->total += n;
	if (!drop) {
		output->credit -= (uint32_t)n;
		frame_put_data_header(room, FRAME_HEADER_SIZE,
				      output->index ? FRAME_ERR : FRAME_OUT, call->id, n);
		channel_sent(call->agent, FRAME_HEADER_SIZE + n);
		return;
	}
	output->dropped += n;
	if (!output->index && !call->drop_stdout)
		call_stop(call, FRAME_OUTPUT_LIMIT, call->grace_ms);
}

/* Nothing is there now. */
static void wait_for_output(struct output *output)
{
	if (watch_set(&output->call->agent->watch, &output->item, WATCH_READ)) {
		output->call->truncated = true;
		output_close(output);
	}
}

/* Reads once, if the host and the limit allow it. */
static void read_output(struct output *output)
{
	uint64_t left = output->limit - (output->total - output->dropped);
	struct call *call = output->call;
	size_t most = FRAME_DATA_MAX;
	unsigned char *room;
	ssize_t n;

	if (left && !output->credit) {
		output->stalled = true;
		return;
	}
	if (left && left < most)
		most = (size_t)left;
	if (left && output->credit < most)
		most = output->credit;
	room = channel_room(call->agent, FRAME_HEADER_SIZE + FRAME_DATA_MAX);
	if (!room)
		return;
	n = read(output->item.fd, room + FRAME_HEADER_SIZE, most);
	if (n > 0) {
		take_output(output, room, (size_t)n, !left);
		if (call->reported)
			output->late += (uint32_t)n;
		if (output->late > LATE_MAX) {
			call->truncated = true;
			output_close(output);
		} else if ((size_t)n < most && !call->reported) {
			wait_for_output(output);
		} else {
			output_queue(output);
		}
	} else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
		wait_for_output(output);
	} else if (n == 0 || errno != EINTR) {
		output_close(output);
	} else {
		output_queue(output);
	}
}

void outputs_read(struct agent *agent)
{
	for (int i = 0; i < READS_AT_ONCE && agent->ready; i++) {
		struct output *output = agent->ready;

		if (agent->closing || bytes_size(&agent->outbox) >= OUT_HIGH)
			return;
		agent->ready = output->next;
		if (!agent->ready)
			agent->ready_end = &agent->ready;
		output->queued = false;
		if (output->item.fd >= 0)
			read_output(output);
		call_finish_if_done(output->call);
	}
}
