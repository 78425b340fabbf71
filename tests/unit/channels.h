/* SPDX-License-Identifier: MIT */
/* Channels to the agent that was built, and to what a script makes of one. */
#ifndef UNIT_CHANNELS_H
#define UNIT_CHANNELS_H

#include "unit.h"

#include "agent_file.h"
#include "buf.h"
#include "channel.h"
#include "cleanup.h"
#include "clock.h"

extern char **environ;

/* ---- Opening ---- */

static inline void add_environment(struct plan *plan)
{
	for (char **entry = environ; *entry; entry++)
		strv_add(&plan->env, *entry);
}

static inline int open_plan(struct plan *plan, int64_t silence_ms, struct channel **channel,
		     struct hookbox_error *error)
{
	const struct channel_start start = {
		.plan = plan,
		.agent_dir = agent_file_dir(),
		.silence_ms = silence_ms,
		.deadline_us = clock_deadline_us(20000),
		.cancel_fd = -1,
	};

	add_environment(plan);
	return channel_open(&start, channel, error);
}

/* The agent that was built, as a process of this machine. */
static inline struct channel *open_silent_agent(int64_t silence_ms)
{
	_cleanup_plan_ struct plan plan = {0};
	struct hookbox_error error = {0};
	struct channel *channel = NULL;

	assert_non_null(agent_file_dir());
	strv_printf(&plan.argv, "%s/hookbox-agent", agent_file_dir());
	if (open_plan(&plan, silence_ms, &channel, &error))
		fail_msg("%s", error.message);
	return channel;
}

static inline struct channel *open_agent(void)
{
	return open_silent_agent(60000);
}

static inline int open_script(const char *script, const char *arg, struct channel **channel,
		       struct hookbox_error *error)
{
	_cleanup_plan_ struct plan plan = {0};

	strv_add(&plan.argv, "sh");
	strv_add(&plan.argv, "-c");
	strv_add(&plan.argv, script);
	strv_add(&plan.argv, "sh");
	strv_add(&plan.argv, arg);
	return open_plan(&plan, 60000, channel, error);
}

/* ---- Calls ---- */

struct answer {
	struct buf out[2];
	struct channel_result result;
};

static inline int keep(void *data, const char *bytes, size_t n)
{
	buf_add(data, bytes, n);
	return 0;
}

static inline struct channel_request request_for(const char *const *argv, struct answer *answer)
{
	*answer = (struct answer){0};
	return (struct channel_request){
		.argv = argv,
		.stdin_fd = -1,
		.stream = {{keep, &answer->out[0], -1, NULL}, {keep, &answer->out[1], -1, NULL}},
		.limit = {FRAME_NO_LIMIT, FRAME_NO_LIMIT},
		.deadline_us = clock_deadline_us(60000),
		.grace_ms = 100,
		.cancel_fd = -1,
	};
}

static inline void answer_free(struct answer *answer)
{
	buf_free(&answer->out[0]);
	buf_free(&answer->out[1]);
}

static inline void run(struct channel *channel, const struct channel_request *request,
		struct answer *answer)
{
	channel_run(channel, request, &answer->result);
}

static inline void assert_out(const struct answer *answer, const char *expected)
{
	assert_false(answer->result.lost);
	assert_string_equal(answer->out[0].data ? answer->out[0].data : "", expected);
}

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
