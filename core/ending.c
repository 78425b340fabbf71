/* SPDX-License-Identifier: MIT */
/* Ending calls: when a call returns, nothing of it still runs, or the result says why it may. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "call.h"
#include "cleanup.h"
#include "clock.h"
#include "hash.h"
#include "prologue.h"
#include "result.h"

/* How long one command that ends or checks may take. */
#define STEP_MS 10000
/* How long an engine may take to show a box that it was told to make just before its CLI died. */
#define LATE_BOX_MS 3000
#define LATE_EXEC_MS 200
#define OUTPUT_LIMIT 4096

/* What ending a call in its box came to. */
enum outcome { GONE, MAY_BE_LEFT };

static void pause_ms(long ms)
{
	const struct timespec pause = {.tv_nsec = ms * 1000000};

	nanosleep(&pause, NULL);
}

static void run_plan(const struct plan *plan, struct spawn_capture *capture)
{
	const struct spawn_command command = {
		.argv = strv_view(&plan->argv),
		.env = strv_view(&plan->env),
		.cwd = plan->dir,
		.stdin_data = plan->before_stdin.data,
		.stdin_size = plan->before_stdin.size,
		.timeout_ms = STEP_MS,
		.limit = OUTPUT_LIMIT,
	};

	spawn_run_captured(&command, capture);
}

/* What a command of ours that went wrong said: its first line, or why it did not run. */
static void describe_failure(const struct spawn_capture *capture, const char *what,
			     char reason[SANDBOX_ERROR_SIZE])
{
	const char *text = capture->err.size ? capture->err.data : capture->out.data;

	if (capture->result.end != SPAWN_EXITED)
		text = capture->result.message;
	else if (!text || !*text)
		text = "nothing was answered";
	snprintf(reason, SANDBOX_ERROR_SIZE, "%s: %.*s", what, (int)strcspn(text, "\r\n"), text);
}

/* ---- Boxes that are gone with their call: plan_end ---- */

struct step_result {
	bool ran; /* it exited by itself */
	int status;
	bool printed;
	char reason[SANDBOX_ERROR_SIZE];
};

/* What is ended: a call of this sandbox, in a box. */
struct target {
	struct sandbox *sandbox;
	const char *call_id;
	const char *box_id;
};

static struct target target_of(const struct call *call)
{
	return (struct target){call->sandbox, call->id, call->box_id};
}

static void take_step(const struct target *target, enum sandbox_end_step step,
		      struct step_result *result)
{
	const struct sandbox_end_request request = {
		.size = sizeof(request),
		.step = step,
		.call_id = target->call_id,
		.box_id = target->box_id,
		.state_dir = ledger_state_dir(target->sandbox->context.ledger),
	};
	_cleanup_plan_ struct plan plan = {0};
	struct spawn_capture capture = {0};
	struct hookbox_error error = {0};

	*result = (struct step_result){0};
	if (plan_make_end(target->sandbox->plugin, target->sandbox->instance, &request, &plan,
			  &error)) {
		snprintf(result->reason, sizeof(result->reason), "%s", error.message);
		return;
	}
	run_plan(&plan, &capture);
	result->ran = capture.result.end == SPAWN_EXITED;
	result->status = capture.result.status;
	result->printed = capture.out.size > 0;
	if (!result->ran || result->status)
		describe_failure(&capture, "the engine does not say what is left", result->reason);
	spawn_capture_free(&capture);
}

/*
 * A CLI that was ended before the command's start was seen may have told its engine to make a box
 * that is not there yet: then an empty look proves nothing until some time has passed.
 */
static enum outcome end_box(const struct target *target, bool may_come_late,
			    char reason[SANDBOX_ERROR_SIZE])
{
	int64_t late = clock_deadline_us(LATE_BOX_MS);
	int64_t give_up = clock_deadline_us(STEP_MS);
	struct step_result check;

	for (;;) {
		take_step(target, SANDBOX_END_CHECK, &check);
		if (!check.ran || check.status) {
			snprintf(reason, SANDBOX_ERROR_SIZE, "%s", check.reason);
			return MAY_BE_LEFT;
		}
		if (check.printed) {
			struct step_result kill;

			if (clock_us() > give_up) {
				snprintf(reason, SANDBOX_ERROR_SIZE,
					 "what the call started could not be ended");
				return MAY_BE_LEFT;
			}
			take_step(target, SANDBOX_END_KILL, &kill);
			may_come_late = false;
			/* An engine that is removing it already says so, and needs its time. */
			if (!kill.ran || kill.status)
				pause_ms(100);
			continue;
		}
		if (!may_come_late)
			return GONE;
		if (clock_us() > late)
			break;
		pause_ms(100);
	}
	snprintf(reason, SANDBOX_ERROR_SIZE,
		 "the command had to be ended before its box was seen; should the box still come "
		 "up, "
		 "the next hookbox removes it");
	return MAY_BE_LEFT;
}

static enum outcome end_box_of(struct call *call, bool may_come_late)
{
	const struct target target = target_of(call);
	char reason[SANDBOX_ERROR_SIZE] = "";
	enum outcome outcome = end_box(&target, may_come_late, reason);

	if (outcome != GONE)
		result_set_cleanup_reason(call->result, "%s", reason);
	return outcome;
}

/* ---- Boxes that stay: the sweep script ---- */

/*
 * What the sweep script found, SWEEP_*; -1 when it did not say so: the exit code may be the CLI's.
 */
static int sweep_answer(const struct spawn_capture *capture)
{
	const char *word = capture->out.size
				   ? memmem(capture->out.data, capture->out.size, SWEEP_WORD,
					    strlen(SWEEP_WORD))
				   : NULL;

	return word ? atoi(word + strlen(SWEEP_WORD)) : -1;
}

/* Runs the sweep script in the box for a mark; false with a reason when it did not come out clean.
 */
static bool sweep_box(struct sandbox *sandbox, const char *call_id, const char *box_id,
		      const char *mark, char reason[SANDBOX_ERROR_SIZE])
{
	static const char *const none[] = {NULL};
	_cleanup_strv_ struct strv argv = {0};
	_cleanup_plan_ struct plan plan = {0};
	struct spawn_capture capture = {0};
	struct hookbox_error error = {0};
	struct sandbox_plan_request request = {
		.size = sizeof(request),
		.purpose = SANDBOX_PURPOSE_CALL,
		.call_id = call_id,
		.box_id = box_id,
		.env = none,
		.labels = none,
		.state_dir = ledger_state_dir(sandbox->context.ledger),
	};
	int answer;

	sweep_argv(&argv, mark);
	request.argv = strv_view(&argv);
	if (plan_make(sandbox->plugin, sandbox->instance, &request, &plan, &error)) {
		snprintf(reason, SANDBOX_ERROR_SIZE, "%s", error.message);
		return false;
	}
	run_plan(&plan, &capture);
	answer = sweep_answer(&capture);
	if (answer == SWEEP_LEFT)
		snprintf(reason, SANDBOX_ERROR_SIZE,
			 "processes of the call in the box could not be ended");
	else if (answer == SWEEP_CANNOT_SEE)
		snprintf(reason, SANDBOX_ERROR_SIZE,
			 "the box has no grep or no readable /proc to look for leftovers with");
	else if (answer != SWEEP_CLEAN)
		describe_failure(&capture, "the box could not be entered to look for leftovers",
				 reason);
	spawn_capture_free(&capture);
	return answer == SWEEP_CLEAN;
}

static enum outcome sweep_call(struct call *call)
{
	char reason[SANDBOX_ERROR_SIZE] = "";
	bool clean = sweep_box(call->sandbox, call->id, call->box_id, call->id, reason);

	/* What was on its way into the box when the CLI was ended may come only now. */
	if (clean && !call->marks[0].started) {
		pause_ms(LATE_EXEC_MS);
		clean = sweep_box(call->sandbox, call->id, call->box_id, call->id, reason);
	}
	if (!clean)
		result_set_cleanup_reason(call->result, "%s", reason);
	return clean ? GONE : MAY_BE_LEFT;
}

/* ---- One call ---- */

/* Was no command started, for certain? */
static bool nothing_started(const struct call *call)
{
	return call->result->end == HOOKBOX_NOT_STARTED && !call->marks[0].started &&
	       !call->spawn.killed;
}

static void set_cleanup(struct call *call, enum outcome outcome, enum hookbox_cleanup cleanup)
{
	if (outcome == GONE) {
		call->result->cleanup = cleanup;
	} else {
		call->result->cleanup = HOOKBOX_CLEANUP_UNKNOWN;
		ledger_keep(call->sandbox->context.ledger);
	}
}

/* Did anything come out of the box? Without marks, any output may have. */
static bool box_was_seen(const struct call *call)
{
	const struct mark_stream *marks = call->marks;

	return call->scripted ? marks[0].started : marks[0].total || marks[1].total;
}

static void end_fresh(struct call *call)
{
	const struct sandbox_plugin_v1 *plugin = call->sandbox->plugin;
	/* The CLI reports the command's end and then its box's, which is 0: both were seen. */
	bool seen_off = call_marks_complete(call) && call->spawn.end == SPAWN_EXITED &&
			!call->spawn.status && !call->spawn.killed;

	if (seen_off || (plugin->flags & SANDBOX_ENDS_WITH_PROCESS && call->spawn.group_gone)) {
		call->result->cleanup = HOOKBOX_CLEANUP_PROVEN;
	} else if (plugin->plan_end) {
		set_cleanup(call, end_box_of(call, call->spawn.killed && !box_was_seen(call)),
			    HOOKBOX_CLEANUP_PROVEN);
	} else {
		result_set_cleanup_reason(call->result, "the backend has no way to end its boxes");
	}
}

static void end_kept(struct call *call)
{
	const struct sandbox_plugin_v1 *plugin = call->sandbox->plugin;

	if (nothing_started(call)) {
		call->result->cleanup = HOOKBOX_CLEANUP_PROVEN;
	} else if (call->marks[0].ended && call->marks[0].swept == SWEEP_CLEAN) {
		call->result->cleanup = HOOKBOX_CLEANUP_SWEPT;
	} else if (call->scripted) {
		set_cleanup(call, sweep_call(call), HOOKBOX_CLEANUP_SWEPT);
	} else if (plugin->plan_end) {
		set_cleanup(call, end_box_of(call, false), HOOKBOX_CLEANUP_SWEPT);
	} else {
		result_set_cleanup_reason(call->result,
					  "the box has no shell to look for leftovers with");
	}
}

/* The host's side: the command itself, or the CLI and what it started. False: something is left. */
static bool end_host_side(struct call *call)
{
	struct hookbox_error error = {0};

	if (!call->spawn.pid)
		return true;
	if ((call->sandbox->plugin->flags & SANDBOX_HOST_PROCESS) &&
	    leftover_kill(call->id, false, call->spawn.since, &error)) {
		result_set_cleanup_reason(call->result, "%s", error.message);
		return false;
	}
	if (!call->spawn.group_gone) {
		result_set_cleanup_reason(call->result, "the process group %d could not be ended",
					  (int)call->spawn.pid);
		return false;
	}
	return true;
}

void call_end(struct call *call)
{
	uint64_t flags = call->sandbox->plugin->flags;
	bool host_side = end_host_side(call);

	if (!call->spawn.pid)
		call->result->cleanup = HOOKBOX_CLEANUP_PROVEN;
	else if (flags & SANDBOX_HOST_PROCESS)
		call->result->cleanup = HOOKBOX_CLEANUP_SWEPT;
	else if (flags & SANDBOX_FRESH)
		end_fresh(call);
	else
		end_kept(call);
	if (!host_side) {
		call->result->cleanup = HOOKBOX_CLEANUP_UNKNOWN;
		ledger_keep(call->sandbox->context.ledger);
	}
}

void call_end_in_channel(struct call *call, const struct channel_result *ended)
{
	if (ended->lost && !ended->sent) {
		call->result->cleanup = HOOKBOX_CLEANUP_PROVEN;
	} else if (!ended->lost && ended->exit.cleanup == FRAME_PROVEN) {
		call->result->cleanup = HOOKBOX_CLEANUP_PROVEN;
	} else if (!ended->lost && ended->exit.cleanup == FRAME_SWEPT) {
		call->result->cleanup = HOOKBOX_CLEANUP_SWEPT;
	} else if (call->sandbox->shell) {
		set_cleanup(call, sweep_call(call), HOOKBOX_CLEANUP_SWEPT);
	} else {
		result_set_cleanup_reason(call->result,
					  "the agent did not say that all of it ended, and the "
					  "box may not be searched by a shell");
		set_cleanup(call, MAY_BE_LEFT, HOOKBOX_CLEANUP_UNKNOWN);
	}
}

/* ---- A box that was started for an agent ---- */

static enum outcome end_agent_box(struct sandbox *sandbox, const char *call_id,
				  const struct process_fate *process, bool seen,
				  char reason[SANDBOX_ERROR_SIZE])
{
	const struct sandbox_plugin_v1 *plugin = sandbox->plugin;
	const struct target target = {sandbox, call_id, NULL};

	if (!process->group_gone) {
		snprintf(reason, SANDBOX_ERROR_SIZE, "the box's process group could not be ended");
		return MAY_BE_LEFT;
	}
	/* The CLI reports its box's end, which is the agent's, as 0. */
	if ((seen && process->exited && !process->status && !process->killed) ||
	    plugin->flags & SANDBOX_ENDS_WITH_PROCESS)
		return GONE;
	if (plugin->plan_end)
		return end_box(&target, process->killed && !seen, reason);
	snprintf(reason, SANDBOX_ERROR_SIZE, "the backend has no way to end its boxes");
	return MAY_BE_LEFT;
}

bool ending_box(struct sandbox *sandbox, const char *call_id, const struct process_fate *process,
		bool seen, char reason[SANDBOX_ERROR_SIZE])
{
	if (!process->started || end_agent_box(sandbox, call_id, process, seen, reason) == GONE)
		return true;
	ledger_keep(sandbox->context.ledger);
	return false;
}

/* ---- What a killed host left ---- */

struct owner_search {
	const char *owner;
	struct strv boxes;
};

static void search_box(const struct sandbox_box_list_sink *sink, const char *box_id,
		       const char *owner)
{
	struct owner_search *search = sink->host_data;

	if (!strcmp(owner, search->owner))
		strv_add(&search->boxes, box_id);
}

static bool end_owner_boxes(struct sandbox *sandbox, const char *owner, bool *unlisted)
{
	struct sandbox_box_request request = sandbox_box_request(sandbox, STEP_MS);
	struct owner_search search = {.owner = owner};
	const struct sandbox_box_list_sink sink = {
		.size = sizeof(sink),
		.host_data = &search,
		.box = search_box,
	};
	char message[SANDBOX_ERROR_SIZE] = "";
	bool clean = !sandbox->box.list(sandbox->instance, &request, &sink, message);

	*unlisted = !clean;
	for (size_t i = 0; i < search.boxes.n; i++)
		if (!sandbox->box.stop ||
		    sandbox->box.stop(sandbox->instance, &request, search.boxes.v[i], message))
			clean = false;
	if (!clean)
		log_write(sandbox->context.log, SANDBOX_LOG_WARNING,
			  "[sandbox %s] what a killed hookbox left could not be removed: %s",
			  sandbox->name, message);
	strv_free(&search.boxes);
	return clean;
}

static bool may_be_swept(const struct sandbox *sandbox)
{
	return sandbox->plugin->flags & SANDBOX_KEPT && sandbox->shell;
}

static bool sweeps_without_box_id(const struct sandbox *sandbox)
{
	return may_be_swept(sandbox) && !sandbox->box.find && !sandbox->box.start;
}

/* What would be started to look there, with the same call for everybody. */
static int plan_look(struct sandbox *sandbox, const char *box_id, struct plan *plan)
{
	static const char *const argv[] = {"true", NULL}, *const none[] = {NULL};
	const char *state_dir = ledger_state_dir(sandbox->context.ledger);
	const struct sandbox_plan_request enter = {
		.size = sizeof(enter), .purpose = SANDBOX_PURPOSE_CALL, .call_id = "look",
		.box_id = box_id, .argv = argv, .env = none, .labels = none,
		.state_dir = state_dir,
	};
	const struct sandbox_end_request check = {
		.size = sizeof(check), .step = SANDBOX_END_CHECK, .call_id = "look",
		.box_id = box_id, .state_dir = state_dir,
	};
	struct hookbox_error error = {0};

	if (may_be_swept(sandbox) && (box_id || sweeps_without_box_id(sandbox)))
		return plan_make(sandbox->plugin, sandbox->instance, &enter, plan, &error);
	if (sandbox->plugin->plan_end)
		return plan_make_end(sandbox->plugin, sandbox->instance, &check, plan, &error);
	return 0;
}

uint32_t ending_place(struct sandbox *sandbox, const char *box_id)
{
	_cleanup_plan_ struct plan plan = {0};
	uint32_t hash = HASH_START;

	/* What cannot be planned cannot be entered either. */
	if (plan_look(sandbox, box_id, &plan))
		return 0;
	for (size_t i = 0; i < plan.argv.n; i++)
		hash = hash_add(hash, plan.argv.v[i], strlen(plan.argv.v[i]) + 1);
	return hash;
}

bool ending_owner(struct sandbox *sandbox, const char *owner, bool *unlisted)
{
	_cleanup_free_ char *mark = NULL;
	char reason[SANDBOX_ERROR_SIZE] = "";
	struct hookbox_error error = {0};
	bool clean;

	if (asprintf(&mark, "%s-", owner) < 0)
		return false;
	clean = !(sandbox->plugin->flags & SANDBOX_HOST_PROCESS) ||
		!leftover_kill(mark, true, (struct spawn_since){0}, &error);
	if (sandbox->box.list)
		clean &= end_owner_boxes(sandbox, owner, unlisted);
	if (sweeps_without_box_id(sandbox))
		clean &= sweep_box(sandbox, mark, NULL, mark, reason);
	return clean;
}

bool ending_owner_in_box(struct sandbox *sandbox, const char *owner)
{
	_cleanup_free_ char *mark = NULL;
	char reason[SANDBOX_ERROR_SIZE] = "";

	if (asprintf(&mark, "%s-", owner) < 0)
		return false;
	return !may_be_swept(sandbox) || sweep_box(sandbox, mark, sandbox->box_id, mark, reason);
}
