/* SPDX-License-Identifier: MIT */
/*
 * Calls through the channel to an agent in a box that stays. Where there is no way for an agent,
 * and where the box cannot be reached at all, the caller runs the call one-off: that tells what is
 * wrong.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent_file.h"
#include "call.h"
#include "cancel.h"
#include "channel.h"
#include "cleanup.h"
#include "clock.h"
#include "result.h"

/* How long a first greeting may take, and how long a way that failed is left alone. */
#define OPEN_MS 30000
#define RETRY_US 5000000
#define RETRY_NO_AGENT_US 60000000 /* a full disk or a cut line may have looked like it */
#define RETRY_DOUBLINGS 6

/* ---- The sandbox's channel ---- */

static int make_plan(const struct call *call, struct plan *plan, struct hookbox_error *error)
{
	struct sandbox *sandbox = call->sandbox;
	struct sandbox_plan_request request = call_request(call, SANDBOX_PURPOSE_CHANNEL);
	static const char *const none[] = {NULL};
	_cleanup_strv_ struct strv argv = {0};

	if (sandbox->agent_path)
		strv_add(&argv, sandbox->agent_path);
	else
		agent_file_argv(&argv);
	if (argv.failed)
		return error_no_memory(error);
	request.argv = strv_view(&argv);
	request.env = none;
	request.cwd = NULL;
	return plan_make(sandbox->plugin, sandbox->instance, &request, plan, error);
}

static int open_channel(const struct call *call, struct channel **channel,
			struct hookbox_error *error)
{
	const struct sandbox *sandbox = call->sandbox;
	_cleanup_plan_ struct plan plan = {0};
	int64_t deadline = clock_deadline_us(OPEN_MS);
	const struct channel_start start = {
		.plan = &plan,
		.agent_dir = sandbox->context.agent_dir,
		.silence_ms = sandbox->agent_idle_ms,
		.deadline_us = deadline < call->deadline_us ? deadline : call->deadline_us,
		.cancel_fd = cancel_fd(call->asked.cancel),
	};
	int problem = make_plan(call, &plan, error) ? CHANNEL_NO_WAY :
						       channel_open(&start, channel, error);

	/* Within the call's own time, a box that is slow to let the agent in is no box without. */
	if (problem == CHANNEL_TIMED_OUT && clock_us() < call->deadline_us)
		problem = CHANNEL_NO_WAY;
	return problem;
}

/* Is what is known of the last channel known of this box? */
static bool is_same_box(const struct sandbox *sandbox, const char *box_id)
{
	if (!sandbox->channel_box || !box_id)
		return sandbox->channel_box == box_id;
	return !strcmp(sandbox->channel_box, box_id);
}

/* The channel that is open to the box, held; or NULL. Under the lock. */
static struct channel *find_channel(struct sandbox *sandbox, const char *box_id)
{
	if (sandbox->channel && is_same_box(sandbox, box_id) && channel_is_usable(sandbox->channel))
		return channel_hold(sandbox->channel);
	return NULL;
}

/* Why none is to be tried now; 0: one is. Under the lock. */
static int known_problem(const struct sandbox *sandbox, const char *box_id)
{
	if (!is_same_box(sandbox, box_id) || clock_us() >= sandbox->channel_retry_us)
		return 0;
	return sandbox->channel_problem;
}

/* What the opening came to. Of a call that had no time for it nothing is learnt. Under the lock. */
static void note_problem(struct sandbox *sandbox, const char *box_id, int problem)
{
	int64_t wait_us = problem == CHANNEL_NO_AGENT ? RETRY_NO_AGENT_US : RETRY_US;

	if (!problem || !is_same_box(sandbox, box_id))
		sandbox->channel_failures = 0;
	if (problem == CHANNEL_TIMED_OUT || problem == CHANNEL_CANCELLED)
		problem = 0;
	sandbox->channel_problem = problem;
	sandbox->channel_retry_us = clock_us() + (wait_us << sandbox->channel_failures);
	if (problem && sandbox->channel_failures < RETRY_DOUBLINGS)
		sandbox->channel_failures++;
	free(sandbox->channel_box);
	sandbox->channel_box = box_id ? strdup(box_id) : NULL;
}

/* Waits while another thread opens the channel. Under the lock; false: the call's time is over. */
static bool wait_for_opener(struct sandbox *sandbox, const struct call *call)
{
	struct pollfd fds[] = {
		{.fd = cancel_fd(call->asked.cancel), .events = POLLIN},
		{.fd = sandbox->opened_fd, .events = POLLIN},
	};

	while (sandbox->opener == getpid()) {
		if (fds[0].revents || clock_us() >= call->deadline_us)
			return false;
		pthread_mutex_unlock(&sandbox->lock);
		poll(fds, 2, clock_poll_ms(call->deadline_us));
		pthread_mutex_lock(&sandbox->lock);
	}
	return true;
}

/* From now on others wait for us; false: they could not be told when that is over. */
static bool begin_opening(struct sandbox *sandbox)
{
	uint64_t count;

	/* What a forked process inherited wakes the other's threads. */
	if (sandbox->opened_by != getpid())
		cleanup_close(&sandbox->opened_fd);
	sandbox->opened_by = getpid();
	if (sandbox->opened_fd < 0)
		sandbox->opened_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	else if (read(sandbox->opened_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return false;
	if (sandbox->opened_fd < 0)
		return false;
	sandbox->opener = getpid();
	return true;
}

static void end_opening(struct sandbox *sandbox)
{
	const uint64_t one = 1;

	sandbox->opener = 0;
	/* Nobody writes to it but who has read it before: it is not full. */
	if (write(sandbox->opened_fd, &one, sizeof(one)) < 0)
		return;
}

/* Opens one, without the lock meanwhile; an older one is given back to be closed. */
static int replace_channel(struct sandbox *sandbox, const struct call *call,
			   struct channel **channel, struct channel **old)
{
	struct hookbox_error error = {0};
	struct channel *opened = NULL;
	int problem;

	if (!begin_opening(sandbox))
		return CHANNEL_NO_WAY;
	*old = take_pointer(sandbox->channel);
	pthread_mutex_unlock(&sandbox->lock);
	problem = open_channel(call, &opened, &error);
	pthread_mutex_lock(&sandbox->lock);
	end_opening(sandbox);
	note_problem(sandbox, call->box_id, problem);
	if (problem)
		return problem;
	sandbox->channel = opened;
	*channel = channel_hold(opened);
	return 0;
}

bool call_may_have_channel(const struct sandbox *sandbox)
{
	return sandbox->agent && sandbox->plugin->flags & SANDBOX_KEPT && sandbox->plugin->plan &&
	       (sandbox->shell || sandbox->agent_path);
}

/* 0 with *channel held; else a problem. */
static int take_channel(const struct call *call, struct channel **channel)
{
	struct sandbox *sandbox = call->sandbox;
	struct channel *old = NULL;
	int problem = 0;

	pthread_mutex_lock(&sandbox->lock);
	/* What was forked goes its own way, as it does with the pool's boxes. */
	if (sandbox->channel && !channel_is_ours(sandbox->channel))
		problem = CHANNEL_NO_WAY;
	else if (!wait_for_opener(sandbox, call))
		problem = clock_us() >= call->deadline_us ? CHANNEL_TIMED_OUT : CHANNEL_CANCELLED;
	else if (!(*channel = find_channel(sandbox, call->box_id))) {
		problem = known_problem(sandbox, call->box_id);
		if (!problem)
			problem = replace_channel(sandbox, call, channel, &old);
	}
	pthread_mutex_unlock(&sandbox->lock);
	if (*channel && channel_is_full(*channel)) {
		channel_release(take_pointer(*channel));
		problem = CHANNEL_NO_WAY;
	}
	if (old)
		channel_release(old);
	return problem;
}

void call_close_channel(struct sandbox *sandbox)
{
	if (sandbox->channel)
		channel_release(take_pointer(sandbox->channel));
}

int call_probe_channel(struct sandbox *sandbox, const char *box_id, int64_t timeout_ms,
		       struct frame_agent_hello *agent, struct hookbox_error *error)
{
	struct call call = {
		.sandbox = sandbox, .id = "probe", .box_id = (char *)box_id,
		.deadline_us = clock_deadline_us(timeout_ms),
	};
	struct channel *channel = NULL;

	if (open_channel(&call, &channel, error))
		return -EIO;
	*agent = *channel_agent(channel);
	channel_release(channel);
	return 0;
}

/* ---- One call ---- */

static void set_stopped(struct call *call, enum spawn_end end)
{
	call->spawn.end = end;
	call_judge(call);
}

static void set_not_started(struct call *call, const struct frame_exit *end)
{
	int code = (int)end->error_number;

	if (end->step == FRAME_STEP_WORKDIR) {
		call_set_no_workdir(call, end->text[0] ? end->text : "cannot be entered");
	} else if (end->step == FRAME_STEP_COMMAND) {
		call_set_no_command(call, code);
	} else {
		call->result->end = HOOKBOX_NOT_STARTED;
		call->result->error_number = code;
		result_set_message(call->result, "\"%s\" could not be started in the sandbox: %s",
				   call->asked.argv[0], end->text[0] ? end->text : strerror(code));
	}
}

/* We wanted it to end, and why counts, not how it then went. */
static void set_stopped_by(struct call *call, enum frame_end reason)
{
	set_stopped(call, reason == FRAME_CANCELLED	 ? SPAWN_CANCELLED
			  : reason == FRAME_OUTPUT_LIMIT ? SPAWN_OUTPUT_LIMIT
							 : SPAWN_TIMED_OUT);
}

static void judge_exit(struct call *call, const struct channel_result *ended)
{
	const struct frame_exit *end = &ended->exit;
	struct hookbox_result *result = call->result;

	switch (end->end) {
	case FRAME_EXITED:
	case FRAME_SIGNALED:
		if (ended->stopping) {
			set_stopped_by(call, ended->stopping);
			break;
		}
		result->end = end->end == FRAME_EXITED ? HOOKBOX_EXITED : HOOKBOX_SIGNALED;
		result->status = (int)end->status;
		break;
	case FRAME_TIMED_OUT:
		set_stopped(call, SPAWN_TIMED_OUT);
		break;
	case FRAME_OUTPUT_LIMIT:
		set_stopped(call, SPAWN_OUTPUT_LIMIT);
		break;
	case FRAME_NOT_STARTED:
		set_not_started(call, end);
		break;
	case FRAME_CANCELLED:
		set_stopped(call, SPAWN_CANCELLED);
		break;
	default:
		result->end = HOOKBOX_LOST;
		result_set_message(result, "%s",
				   end->text[0] ? end->text : "the agent lost hold of it");
	}
	/* We cancelled it because its input broke. */
	if (ended->message[0]) {
		result->end = HOOKBOX_LOST;
		result_set_message(result, "%s", ended->message);
	}
}

static void set_totals(struct call *call, const struct frame_exit *end)
{
	for (int i = 0; i < 2; i++)
		call->output[i].total = end->total[i];
	call->spawn.truncated = end->flags & FRAME_TRUNCATED;
	/* A time that cannot be is none. */
	if (end->start_us <= end->duration_us && end->duration_us < INT64_MAX / 2)
		call->spawn.started_us = clock_us() - (int64_t)(end->duration_us - end->start_us);
}

static void judge(struct call *call, const struct channel_result *ended)
{
	if (!ended->lost) {
		set_totals(call, &ended->exit);
		judge_exit(call, ended);
	} else if (ended->overdue) {
		set_stopped_by(call, ended->stopping);
	} else {
		call->result->end = ended->sent ? HOOKBOX_LOST : HOOKBOX_NOT_STARTED;
		result_set_message(call->result, "%s: %s", call->sandbox->plugin->name,
				   ended->message);
	}
}

/* The command's environment, and the mark that leftovers are found by if the agent is lost. */
static void fill_env(const struct call *call, struct strv *env)
{
	for (size_t i = 0; i < call->env.n; i++)
		strv_add(env, call->env.v[i]);
	strv_printf(env, SPAWN_MARK "=%s", call->id);
}

void call_run_through(struct call *call, struct channel *channel, struct channel_result *ended)
{
	_cleanup_strv_ struct strv env = {0};
	const struct hookbox_call *asked = &call->asked;
	struct channel_request request = {
		.argv = asked->argv,
		.cwd = call->cwd,
		.stdin_data = asked->use_stdin_fd ? NULL : asked->stdin_data,
		.stdin_size = asked->use_stdin_fd ? 0 : asked->stdin_size,
		.stdin_fd = asked->use_stdin_fd ? asked->stdin_fd : -1,
		.stream = {call_stream(call, 0, call_output_take, &call->output[0]),
			   call_stream(call, 1, call_output_take, &call->output[1])},
		.limit = {call->output[0].limit, call->output[1].limit},
		.drop_stdout = !call->output[0].ends_call,
		.deadline_us = call->deadline_us,
		.grace_ms = CALL_GRACE_MS,
		.cancel_fd = cancel_fd(asked->cancel),
	};

	fill_env(call, &env);
	request.env = strv_view(&env);
	if (env.failed)
		*ended = (struct channel_result){.lost = true, .message = "out of memory"};
	else
		channel_run(channel, &request, ended);
	judge(call, ended);
}

/* 0: it ran; else why there is no channel for it. */
static int run_once(struct call *call, struct channel_result *ended)
{
	struct channel *channel = NULL;
	int problem = take_channel(call, &channel);

	if (problem)
		return problem;
	call_run_through(call, channel, ended);
	call->way = CALL_BY_AGENT;
	call_end_in_channel(call, ended);
	channel_release(channel);
	return 0;
}

bool call_run_channel(struct call *call)
{
	struct channel_result ended;
	int problem;

	if (!call_may_have_channel(call->sandbox))
		return false;
	problem = run_once(call, &ended);
	/* The channel broke, or was full, before the call was on its way: nothing is used up. */
	if (!problem && ended.lost && !ended.sent && !ended.read && !ended.overdue) {
		free(take_pointer(call->result->message));
		problem = run_once(call, &ended);
	}
	if (!problem)
		return true;
	if (problem != CHANNEL_TIMED_OUT && problem != CHANNEL_CANCELLED)
		return false;
	set_stopped(call, problem == CHANNEL_TIMED_OUT ? SPAWN_TIMED_OUT : SPAWN_CANCELLED);
	call->result->cleanup = HOOKBOX_CLEANUP_PROVEN;
	return true;
}
