/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "system.h"

#define SETTLE_LEAST_US 1000
#define SETTLE_MOST_US 20000
#define DRAIN_MS 500 /* a stream may stay open so long after the end */
#define OBEY_MS 12000 /* a keeper has so long, beyond the grace, to end a call */

struct call *call_find(struct agent *agent, uint32_t id)
{
	struct call *call = agent->buckets[id % CALL_BUCKETS];

	while (call && call->id != id)
		call = call->hash_next;
	return call;
}

static void add_call(struct call *call)
{
	struct agent *agent = call->agent;
	struct call **bucket = &agent->buckets[call->id % CALL_BUCKETS];

	call->hash_next = *bucket;
	*bucket = call;
	call->next = agent->calls;
	call->link = &agent->calls;
	if (call->next)
		call->next->link = &call->next;
	agent->calls = call;
	agent->n_calls++;
}

/* Events of this turn may still name it: it is freed when the turn is over. */
static void bury_call(struct call *call)
{
	struct agent *agent = call->agent;
	struct call **at = &agent->buckets[call->id % CALL_BUCKETS];

	while (*at != call)
		at = &(*at)->hash_next;
	*at = call->hash_next;
	*call->link = call->next;
	if (call->next)
		call->next->link = call->link;
	agent->n_calls--;
	call->finished = true;
	call->next = agent->buried;
	agent->buried = call;
}

void calls_free_buried(struct agent *agent)
{
	struct call **at = &agent->buried;

	while (*at) {
		struct call *call = *at;

		/* The row of those to be read has it still. */
		if (call->out[0].queued || call->out[1].queued) {
			at = &call->next;
			continue;
		}
		*at = call->next;
		free(call);
	}
}

static void close_streams(struct call *call)
{
	input_close(&call->in);
	output_close(&call->out[0]);
	output_close(&call->out[1]);
}

void calls_close(struct agent *agent)
{
	while (agent->calls) {
		close_streams(agent->calls);
		bury_call(agent->calls);
	}
	agent->own_call = NULL;
	agent->ready = NULL;
	agent->ready_end = &agent->ready;
	while (agent->buried) {
		struct call *call = agent->buried;

		agent->buried = call->next;
		free(call);
	}
}

/* ---- EXIT ---- */

static void send_exit(struct agent *agent, uint32_t id, const struct frame_exit *exit)
{
	unsigned char *room = channel_room(agent, FRAME_SMALL_MAX);

	if (room)
		channel_sent(agent, frame_put_exit(room, FRAME_SMALL_MAX, id, exit));
	if (agent->once && !agent->n_calls)
		channel_close(agent, FRAME_BYE_DONE, "the call is done");
}

static void not_started(struct agent *agent, uint32_t id, int code)
{
	const struct frame_exit exit = {
		.end = FRAME_NOT_STARTED,
		.step = FRAME_STEP_RESOURCES,
		.cleanup = FRAME_PROVEN,
		.error_number = system_error_number(code),
	};

	send_exit(agent, id, &exit);
}

static void exit_from_report(const struct call *call, struct frame_exit *exit)
{
	const struct keeper_report *report = &call->report;

	exit->end = report->end;
	exit->step = report->step;
	exit->cleanup = report->cleanup;
	if (report->end == FRAME_EXITED || report->end == FRAME_SIGNALED)
		exit->status = (uint32_t)report->status;
	if (report->end == FRAME_NOT_STARTED)
		exit->error_number = system_error_number(report->error_number);
	if (report->killed)
		exit->flags |= FRAME_KILLED;
	if (report->started_us > call->begun_us)
		exit->start_us = (uint64_t)(report->started_us - call->begun_us);
	strcpy(exit->text, report->text);
	/* Why it was ended counts, not how it then went; but a command that never was cannot be. */
	if (call->reason && report->end != FRAME_NOT_STARTED && report->end != FRAME_LOST) {
		exit->end = call->reason;
		exit->status = 0;
	}
}

void call_finish_if_done(struct call *call)
{
	struct agent *agent = call->agent;
	struct frame_exit exit = {0};

	if (call->finished || !call->reported || call->out[0].item.fd >= 0 ||
	    call->out[1].item.fd >= 0)
		return;
	exit_from_report(call, &exit);
	if (call->truncated)
		exit.flags |= FRAME_TRUNCATED;
	for (int i = 0; i < 2; i++) {
		exit.total[i] = call->out[i].total;
		exit.dropped[i] = call->out[i].dropped;
	}
	exit.duration_us = (uint64_t)(agent_clock_us() - call->begun_us);
	bury_call(call);
	send_exit(agent, call->id, &exit);
}

/* ---- Ending ---- */

static void cut_streams(struct call *call)
{
	if (call->out[0].item.fd >= 0 || call->out[1].item.fd >= 0)
		call->truncated = true;
	output_close(&call->out[0]);
	output_close(&call->out[1]);
	call_finish_if_done(call);
}

void call_stop(struct call *call, enum frame_end reason, uint32_t grace_ms)
{
	if (!call->reason)
		call->reason = reason;
	if (call->reported) {
		/* It has ended by itself, and only its output was still on the way. */
		if (reason != FRAME_OUTPUT_LIMIT) {
			call->drain_us = call->agent->now_us;
			agent_wake_at(call->agent, call->drain_us);
		}
		return;
	}
	input_close(&call->in);
	keepers_end_call(call, grace_ms);
	if (call->keeper && !call->told) {
		call->told = true;
		call->watchdog_us = call->agent->now_us + ((int64_t)grace_ms + OBEY_MS) * 1000;
		agent_wake_at(call->agent, call->watchdog_us);
	}
}

void call_take_report(struct call *call, const struct keeper_report *report)
{
	call->report = *report;
	call->report.text[sizeof(call->report.text) - 1] = '\0';
	call->reported = true;
	call->settled = true;
	input_close(&call->in);
	call->drain_us = agent_clock_us() + DRAIN_MS * 1000;
	agent_wake_at(call->agent, call->drain_us);
	for (int i = 0; i < 2; i++)
		if (!call->out[i].stalled)
			output_queue(&call->out[i]);
	call_finish_if_done(call);
}

/* ---- Time ---- */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Until now output was left alone; from now on it is passed on as it comes. */
static void settle(struct call *call)
{
	call->settle_us = NEVER;
	for (int i = 0; i < 2; i++) {
		struct output *output = &call->out[i];

		if (call->settled)
			output_queue(output);
		else if (watch_set(&call->agent->watch, &output->item, WATCH_READ))
			output_queue(output);
	}
}

/* A stream that has something for a host that is slow has the call's whole time; one that is only
 * held by somebody has not. */
static void drain(struct call *call, int64_t now)
{
	bool slow = false;

	for (int i = 0; i < 2; i++)
		slow |= call->out[i].item.fd >= 0 && (call->out[i].stalled || call->out[i].queued);
	if (slow && !call->reason && now < call->deadline_us)
		call->drain_us = earlier(now + DRAIN_MS * 1000, call->deadline_us);
	else
		cut_streams(call);
}

int64_t call_keep_time(struct call *call)
{
	int64_t now = call->agent->now_us;
	int64_t due;

	if (call->reported) {
		if (now >= call->drain_us)
			drain(call, now);
		return call->finished ? NEVER : call->drain_us;
	}
	if (now >= call->settle_us)
		settle(call);
	if (now >= call->deadline_us && !call->reason)
		call_stop(call, FRAME_TIMED_OUT, call->grace_ms);
	if (now >= call->watchdog_us) {
		call->watchdog_us = NEVER;
		if (call->keeper)
			keeper_kill(call->keeper);
	}
	due = earlier(call->settle_us, call->watchdog_us);
	return call->reason ? due : earlier(due, call->deadline_us);
}

/* ---- Beginning ---- */

int call_take_block(struct agent *agent, const struct frame *frame)
{
	unsigned char *room;

	if (call_find(agent, frame->call))
		return FRAME_BAD_CALL;
	if (bytes_size(&agent->block) && agent->block_call != frame->call)
		return FRAME_BAD_ORDER;
	if (frame->size > FRAME_BLOCK_MAX - bytes_size(&agent->block))
		return FRAME_BAD_SIZE;
	agent->block_call = frame->call;
	room = bytes_reserve(&agent->block, frame->size);
	if (!room) {
		channel_close(agent, FRAME_BYE_FAILED, "the agent has no memory left");
		return 0;
	}
	memcpy(room, frame->data, frame->size);
	agent->block.end += frame->size;
	return 0;
}

/* The whole block, put together from what came before and what is here; NULL: no memory. */
static const unsigned char *whole_block(struct agent *agent, const struct frame_call *asked)
{
	unsigned char *room;

	if (!bytes_size(&agent->block))
		return asked->block;
	room = bytes_reserve(&agent->block, asked->block_here);
	if (!room)
		return NULL;
	memcpy(room, asked->block, asked->block_here);
	agent->block.end += asked->block_here;
	return agent->block.data + agent->block.start;
}

static int check_call(struct agent *agent, uint32_t id, const struct frame_call *asked)
{
	size_t before = bytes_size(&agent->block);

	if (call_find(agent, id))
		return FRAME_BAD_CALL;
	if (before && agent->block_call != id)
		return FRAME_BAD_ORDER;
	if (before + asked->block_here != asked->block_size)
		return FRAME_BAD_BLOCK;
	return asked->stdin_size > STDIN_WINDOW ? FRAME_BAD_VALUE : 0;
}

/* A pipe; `ours` does not block, theirs does, as commands expect. */
static int make_pipe(int *ours, int *theirs, bool we_write)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return errno;
	*ours = fds[we_write];
	*theirs = fds[!we_write];
	return fcntl(*ours, F_SETFL, O_NONBLOCK) ? errno : 0;
}

/* Without stdin there is no pipe. */
static int make_streams(struct call *call, const struct frame_call *asked, int theirs[3])
{
	int code = 0;

	if (asked->flags & FRAME_STDIN_WHOLE && !asked->stdin_size) {
		call->in.gone = call->in.eof = true;
		theirs[0] = fcntl(call->agent->surroundings.null_fd, F_DUPFD_CLOEXEC, 3);
		code = theirs[0] < 0 ? errno : 0;
	} else {
		code = make_pipe(&call->in.item.fd, &theirs[0], true);
	}
	for (int i = 0; i < 2 && !code; i++)
		code = make_pipe(&call->out[i].item.fd, &theirs[i + 1], false);
	return code;
}

/* It goes in before the command is started, and finds it there. */
static void put_first_stdin(struct call *call, const struct frame_call *asked)
{
	if (call->in.gone)
		return;
	if (asked->stdin_size)
		input_take(&call->in, asked->stdin_data, asked->stdin_size);
	if (asked->flags & FRAME_STDIN_WHOLE)
		input_end(&call->in);
}

/* How long output is left alone: nearly all calls end before, and their answer is read at once.
 * The more of them run, the longer each one takes. */
static int64_t settle_time(const struct agent *agent)
{
	int64_t us = agent->usual_us;

	if (us < SETTLE_LEAST_US)
		us = SETTLE_LEAST_US;
	else if (us > SETTLE_MOST_US)
		us = SETTLE_MOST_US;
	return us + (agent->n_calls < 72 ? agent->n_calls : 72) * 125;
}

static struct call *make_call(struct agent *agent, uint32_t id, const struct frame_call *asked)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->id = id;
	call->agent = agent;
	call->begun_us = agent->now_us;
	call->settle_us = call->begun_us + settle_time(agent);
	call->deadline_us = call->drain_us = call->watchdog_us = NEVER;
	if (asked->timeout_ms && asked->timeout_ms < (uint64_t)INT64_MAX / 2000)
		call->deadline_us = call->begun_us + (int64_t)asked->timeout_ms * 1000;
	call->grace_ms = asked->grace_ms;
	call->drop_stdout = asked->flags & FRAME_DROP_STDOUT;
	call->in.item = (struct watch_item){.fd = -1, .ready = input_ready};
	call->in.call = call;
	call->in.credit = STDIN_WINDOW;
	for (int i = 0; i < 2; i++) {
		call->out[i].item = (struct watch_item){.fd = -1, .ready = output_ready};
		call->out[i].call = call;
		call->out[i].index = (unsigned char)i;
		call->out[i].credit = asked->window[i];
		call->out[i].limit = asked->limit[i];
	}
	add_call(call);
	agent_wake_at(agent, earlier(call->settle_us, call->deadline_us));
	return call;
}

/* 0 or an errno value: what is missing to run it. */
static int start_call(struct call *call, const struct frame_call *asked, const unsigned char *block)
{
	struct keeper_task task = {
		.message =
			{
				.kind = KEEPER_TASK,
				.clean_env = asked->flags & FRAME_CLEAN_ENV,
				.argc = asked->argc,
				.envc = asked->envc,
				.block_size = asked->block_size,
			},
		.block = (const char *)block,
		.fds = {-1, -1, -1},
	};
	int code = make_streams(call, asked, task.fds);

	if (!code) {
		put_first_stdin(call, asked);
		code = keepers_run(call->agent, call, &task);
	}
	for (int i = 0; i < 3; i++)
		if (task.fds[i] >= 0)
			close(task.fds[i]);
	return code;
}

int call_run(struct agent *agent, uint32_t id, const struct frame_call *asked)
{
	const unsigned char *block = whole_block(agent, asked);
	struct call *call;
	int code;

	if (!block) {
		not_started(agent, id, ENOMEM);
		return 0;
	}
	if (frame_block_check(block, asked->block_size, asked->argc, asked->envc))
		return FRAME_BAD_BLOCK;
	if (agent->n_calls >= agent->max_calls) {
		not_started(agent, id, EAGAIN);
		return 0;
	}
	call = make_call(agent, id, asked);
	if (!call) {
		not_started(agent, id, ENOMEM);
		return 0;
	}
	code = start_call(call, asked, block);
	if (code) {
		close_streams(call);
		bury_call(call);
		not_started(agent, id, code);
	}
	return 0;
}

int call_begin(struct agent *agent, const struct frame *frame)
{
	struct frame_call asked;
	int error = frame_get_call(frame, &asked);

	if (!error)
		error = check_call(agent, frame->call, &asked);
	if (!error)
		error = call_run(agent, frame->call, &asked);
	bytes_free(&agent->block);
	return error;
}
