/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "agent.h"
#include "system.h"

#define LAST_WORDS_MS 1000
#define LAST_ANSWER_MS 60000
#define QUIET_US 1000

int64_t agent_clock_us(void)
{
	return reap_clock_us();
}

void agent_wake_at(struct agent *agent, int64_t us)
{
	if (us < agent->next_us)
		agent->next_us = us;
}

/* Everything that is due. Each looks at the clock again only when something may be. */
static void keep_time(struct agent *agent)
{
	struct call *next;

	if (agent->now_us < agent->next_us && !agent->stray_us)
		return;
	agent->next_us = NEVER;
	keepers_keep_time(agent);
	for (struct call *call = agent->calls; call; call = next) {
		next = call->next;
		agent_wake_at(agent, call_keep_time(call));
	}
	if (agent->silence_us == NEVER)
		return;
	if (agent->now_us - agent->heard_us >= agent->silence_us)
		channel_close(agent, FRAME_BYE_SILENCE, "the host has been silent for too long");
	agent_wake_at(agent, agent->heard_us + agent->silence_us);
}

static int timeout_ms(const struct agent *agent)
{
	int64_t left;

	if (agent->ready && bytes_size(&agent->outbox) < OUT_HIGH)
		return 0;
	if (agent->next_us == NEVER)
		return -1;
	left = agent->next_us - agent_clock_us();
	if (left <= 0)
		return 0;
	return left > 60000000 ? 60000 : (int)((left + 999) / 1000);
}

static void turn(struct agent *agent)
{
	if (watch_wait(&agent->watch, timeout_ms(agent))) {
		channel_close(agent, FRAME_BYE_FAILED, "the agent cannot wait for events");
		return;
	}
	agent->now_us = agent_clock_us();
	watch_serve(&agent->watch, agent);
	keep_time(agent);
	alone_look(agent);
	outputs_read(agent);
	channel_flush(agent);
	calls_free_buried(agent);
	keepers_free_buried(agent);
}

void agent_warm_up(struct agent *agent)
{
	/* Ourselves, where that can be done: an exec that fails warms less. */
	static const char block[] = "\0/proc/self/exe\0--version";
	static const unsigned char input[1024];
	const int64_t begun_us = agent_clock_us();
	const struct frame_call asked = {
		.flags = FRAME_STDIN_WHOLE,
		.timeout_ms = 1000,
		.limit = {FRAME_NO_LIMIT, FRAME_NO_LIMIT},
		.window = {FRAME_DATA_MAX, FRAME_DATA_MAX},
		.argc = 2,
		.block_size = sizeof(block),
		.block_here = sizeof(block),
		.block = (const unsigned char *)block,
		.stdin_size = sizeof(input),
		.stdin_data = input,
	};


	agent->in.fd = agent->out.fd = -1;
	if (call_run(agent, 1, &asked))
		return;
	while (agent->calls && !agent->closing)
		turn(agent);
	agent->usual_us = agent_clock_us() - begun_us;
	bytes_take(&agent->outbox, bytes_size(&agent->outbox));
}

/* What was said last is written, if the host takes it soon; nobody is heard any more. */
static void say_last_words(struct agent *agent)
{
	int64_t until = agent_clock_us() + (agent->done ? LAST_ANSWER_MS : LAST_WORDS_MS) * 1000;

	channel_flush(agent);
	while (bytes_size(&agent->outbox) && agent_clock_us() < until) {
		reap_pause_us(1000);
		channel_flush(agent);
	}
}

int agent_serve(struct agent *agent)
{
	while (!agent->closing)
		turn(agent);
	/* The host reads the answer first: all that is left to do here may need its processor. */
	if (agent->done)
		reap_pause_us(QUIET_US);
	calls_close(agent);
	keepers_close(agent);
	say_last_words(agent);
	return agent->failed;
}
