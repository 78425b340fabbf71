/* SPDX-License-Identifier: MIT */
/*
 * What an agent reads from a host: any bytes behind magic and HELLO, through all of the agent but
 * its keepers, in whose place calls end by themselves, by some byte of theirs. Whatever the agent
 * answers must be frames that a host takes.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define AGENT_VERSION "fuzz"
/* What it tells the operator is not looked at. */
#define fprintf(file, ...) snprintf((char[1024]){0}, 1024, __VA_ARGS__)
/* The host, which is linked as well, has its own end of a channel. */
#define channel_open agent_channel_open
#define channel_greet agent_channel_greet
#define channel_flush agent_channel_flush
#define channel_close agent_channel_close
#define channel_room agent_channel_room
#define channel_sent agent_channel_sent
#include "../../core/agent/bytes.c"
#include "../../core/agent/calls.c"
#include "../../core/agent/channel.c"
#include "../../core/agent/loop.c"
#include "../../core/agent/reap.c"
#include "../../core/agent/streams.c"
#include "../../core/agent/system.c"
#include "../../core/agent/watch.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- In place of keepers ---- */

static struct keeper nobody;
static const struct keeper_report exited = {.end = FRAME_EXITED, .cleanup = FRAME_PROVEN};

int keepers_run(struct agent *agent, struct call *call, const struct keeper_task *task)
{
	const char **argv, **env;

	if (call->id % 8 == 7)
		return EAGAIN;
	argv = calloc(task->message.argc + 1, sizeof(*argv));
	env = calloc(task->message.envc + 1, sizeof(*env));
	frame_block_split(task->block, task->message.argc, task->message.envc, argv, env);
	call->keeper = &nobody;
	/* Some end at once, some when they are told to, some have something to say. */
	if (argv[0][0] & 1 && write(task->fds[1], "output", 6) != 6)
		abort();
	if (argv[0][0] & 2)
		call->settle_us = 0;
	if (argv[0][0] & 4)
		call_take_report(call, &exited);
	free(argv);
	free(env);
	return 0;
}

void keepers_end_call(struct call *call, uint32_t grace_ms)
{
}

void keeper_kill(struct keeper *keeper)
{
}

void keepers_keep_time(struct agent *agent)
{
}

void keepers_close(struct agent *agent)
{
}

void keepers_free_buried(struct agent *agent)
{
}

void alone_look(struct agent *agent)
{
}

/* ---- The host ---- */

/* It takes all that waits. */
static void check_answers(struct agent *agent, struct frame_reader *host)
{
	union {
		struct frame_exit exit;
		struct frame_bye bye;
		struct frame_credit credit;
	} to;
	struct frame frame;
	size_t room;
	int r;

	while (bytes_size(&agent->outbox)) {
		void *at = frame_reader_room(host, &room);
		size_t n = bytes_size(&agent->outbox);

		n = n < room ? n : room;
		memcpy(at, agent->outbox.data + agent->outbox.start, n);
		bytes_take(&agent->outbox, n);
		frame_reader_add(host, n);
		while ((r = frame_reader_next(host, &frame)) > 0)
			if ((frame.type == FRAME_EXIT && frame_get_exit(&frame, &to.exit)) ||
			    (frame.type == FRAME_BYE && frame_get_bye(&frame, &to.bye)) ||
			    (frame.type == FRAME_CREDIT && frame_get_credit(&frame, &to.credit)))
				abort();
		if (r < 0)
			abort();
	}
}

/* A turn of the loop, without waiting for anything. */
static void take_a_turn(struct agent *agent, struct frame_reader *host)
{
	agent->now_us += 700;
	take_frames(agent);
	keep_time(agent);
	outputs_read(agent);
	check_answers(agent, host);
	calls_free_buried(agent);
}

static void end_calls(struct agent *agent, struct frame_reader *host)
{
	struct call *next;

	for (struct call *call = agent->calls; call; call = next) {
		next = call->next;
		if (!call->reported)
			call_take_report(call, &exited);
	}
	take_a_turn(agent, host);
	calls_close(agent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned char in[FRAME_READER_MIN], out[FRAME_READER_MIN];
	static struct agent agent;
	struct frame_host_hello hello = {FRAME_VERSION, 0, 50, ""};
	size_t step = size ? 1 + data[0] * 16u : 1;
	struct frame_reader host;
	size_t room;

	signal(SIGPIPE, SIG_IGN);
	memset(&agent, 0, sizeof(agent));
	agent.in.fd = agent.out.fd = -1;
	agent.ready_end = &agent.ready;
	agent.next_us = agent.silence_us = NEVER;
	agent.max_calls = 12;
	agent.surroundings.null_fd = 0;
	if (watch_open(&agent.watch))
		abort();
	frame_reader_init(&host, FRAME_FROM_AGENT, out, sizeof(out));
	host.begun = host.greeted = true;
	frame_reader_init(&agent.reader, FRAME_FROM_HOST, in, sizeof(in));
	frame_reader_add(
		&agent.reader,
		frame_put_host_hello(frame_reader_room(&agent.reader, &room), 100, &hello));
	for (size_t at = 1; at < size && !agent.closing;) {
		size_t n = size - at < step ? size - at : step;
		void *to = frame_reader_room(&agent.reader, &room);

		if (!room)
			abort();
		n = n < room ? n : room;
		memcpy(to, data + at, n);
		frame_reader_add(&agent.reader, n);
		at += n;
		agent.heard_us = agent.now_us;
		take_a_turn(&agent, &host);
	}
	end_calls(&agent, &host);
	bytes_free(&agent.outbox);
	bytes_free(&agent.block);
	watch_close(&agent.watch);
	return 0;
}
