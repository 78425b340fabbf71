/* SPDX-License-Identifier: MIT */
/*
 * The agent of a box with one call runs it itself: there is nobody to be kept apart from, and what
 * it cannot end goes with the box. So the call waits for no other process to wake up.
 */
#include <signal.h>
#include <sys/wait.h>

#include "agent.h"
#include "system.h"

#define PATIENCE_MS 2000 /* no frame is read meanwhile */

void alone_prepare(struct agent *agent)
{
	sigset_t child;

	if (!agent->surroundings.adopts || !watch_hears_signals())
		return;
	/* Children that are there already would be taken for the call's. */
	if (waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD)
		return;
	/* It comes while events are waited for, and at no other time. */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	system_wake_by(SIGCHLD);
	/* Unlike one that is ignored, a signal that is handled has its default in the command. */
	system_wake_by(SIGPIPE);
	agent->alone = true;
	agent->max_calls = 1;
}

void alone_run(struct call *call, const struct keeper_task *task)
{
	struct agent *agent = call->agent;

	agent->own = (struct run){
		.surroundings = &agent->surroundings,
		.patience_ms = PATIENCE_MS,
	};
	agent->own_call = call;
	run_begin(&agent->own, task);
}

void alone_look(struct agent *agent)
{
	struct call *call = agent->own_call;
	int64_t again_us;

	if (!agent->alone)
		return;
	if (!call) {
		/* Orphans of the box, which may wait for long. */
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		return;
	}
	if (!run_is_over(&agent->own, &again_us)) {
		agent_wake_at(agent, again_us);
		return;
	}
	agent->own_call = NULL;
	call_take_report(call, &agent->own.report);
}
