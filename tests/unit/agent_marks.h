/* SPDX-License-Identifier: MIT */
/* Finding what calls left behind: every process they make has a mark in its environment. */
#ifndef TESTS_AGENT_MARKS_H
#define TESTS_AGENT_MARKS_H

#include "agent_host.h"

#include "processes.h"

/* An environment with a mark that is this test program's alone. */
static inline const char *const *marked_env(void)
{
	static char mark[64];
	static const char *env[] = {mark, NULL};

	snprintf(mark, sizeof(mark), "AGENT_TEST_MARK=%d", (int)getpid());
	return env;
}

/* How many processes bear it. */
static inline int count_marked(void)
{
	return count_with_env(*marked_env());
}

#define ASK(script, ...) \
	(&(struct ask){.argv = (const char *const[]){"/bin/sh", "-c", (script), NULL}, \
		       .env = marked_env(), __VA_ARGS__})

/* All that a command can do to be left behind: a group and a session of its own, a parent that is
 * gone, and the command's streams held. Then it says so and does what is behind. */
#define LEAVE(then)                                                                                \
	"setsid sh -c 'sleep 1000 & sleep 1000 & exec sleep 1000' & (sh -c 'sleep 1000 & "         \
	"setsid setsid sleep 1000 &' &) ; set -m; sleep 1000 & "                                   \
	"while [ $(grep -las AGENT_TEST_MARK=$AGENT_TEST_MARK /proc/[0-9]*/environ | wc -l) "   \
	"-lt 7 ]; "                                                                                \
	"do sleep 0.05; done; echo ready; " then

static inline void wait_until_none_is_left(void)
{
	wait_until_none_has_env(*marked_env());
}

/* Waits until a call's command has said that it is ready, and runs. */
static inline void wait_until_ready(struct agent_host *host, uint32_t id)
{
	host_until(host, strstr(host_text(&host->calls[id], 0), "ready") || host->calls[id].done);
	assert_false(host->calls[id].done);
}

#endif
