/* SPDX-License-Identifier: MIT */
/* A call's command, and all that it leaves: run by a keeper, or by the agent of a box with one
 * call. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper.h"
#include "system.h"

void run_begin(struct run *run, const struct keeper_task *task)
{
	run->pid = command_start(task, run->surroundings, &run->report);
	run->report.started_us = reap_clock_us();
}

void run_end(struct run *run, uint32_t grace_ms)
{
	int64_t kill_us = reap_clock_us() + (int64_t)grace_ms * 1000;

	if (run->pid < 0)
		return;
	if (!run->told && !run->ended)
		kill(-run->pid, SIGTERM);
	if (!run->told || kill_us < run->kill_us)
		run->kill_us = kill_us;
	run->told = run->report.killed = true;
}

void run_take_status(struct run *run, int status)
{
	run->ended = true;
	run->report.end = WIFEXITED(status) ? FRAME_EXITED : FRAME_SIGNALED;
	run->report.status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
}

void run_set_cleanup(struct run *run, enum frame_cleanup cleanup, const char *why)
{
	run->report.cleanup = (uint8_t)cleanup;
	strncpy(run->report.text, why, sizeof(run->report.text) - 1);
	if (cleanup == FRAME_UNKNOWN && !run->ended)
		run->report.end = FRAME_LOST;
}

struct group_search {
	pid_t group;
	bool found;
};

static void look_for_group(void *data, pid_t pid)
{
	struct group_search *search = data;

	search->found |= getpgid(pid) == search->group;
}

/* Is one of its group left? Those that have ended were waited for. */
static bool group_runs(const struct run *run)
{
	struct group_search search = {.group = run->pid};

	return system_each_child(look_for_group, &search) && search.found;
}

/* True: no descendant is left. */
static bool wait_for_ended(struct run *run)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == run->pid)
			run_take_status(run, status);
	return pid < 0 && errno == ECHILD;
}

/* Has the rest of the call had all the time that is due to it? */
static bool time_is_up(const struct run *run)
{
	if (run->abandoned || (run->told && reap_clock_us() >= run->kill_us))
		return true;
	return run->ended && !(run->told && group_runs(run));
}

/* The command itself may be gone although something of it does not end. */
static void end_rest(struct run *run)
{
	const char *why = "";
	int status = -1;
	bool gone;

	if (!run->ended)
		kill(-run->pid, SIGKILL);
	gone = reap_all(run->pid, &status, run->patience_ms, &why);
	if (!run->ended && status >= 0)
		run_take_status(run, status);
	run_set_cleanup(run, gone ? FRAME_PROVEN : FRAME_UNKNOWN, gone ? "" : why);
}

bool run_is_over(struct run *run, int64_t *again_us)
{
	if (run->pid < 0) {
		run->report.cleanup = FRAME_PROVEN;
		return true;
	}
	if (!wait_for_ended(run)) {
		if (!time_is_up(run)) {
			*again_us = !run->told ? INT64_MAX
				    : run->ended ? reap_clock_us() + RUN_LOOK_US : run->kill_us;
			return false;
		}
		end_rest(run);
		return true;
	}
	run_set_cleanup(run, FRAME_PROVEN, "");
	return true;
}
