/* SPDX-License-Identifier: MIT */
/* A call, from the request to the result, and the way of a process for each. */
#include "call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cancel.h"
#include "cleanup.h"
#include "clock.h"
#include "pool.h"
#include "prologue.h"
#include "result.h"
#include "trunk.h"

#define STDOUT_LIMIT (8ull * 1024 * 1024)
#define STDERR_LIMIT (1ull * 1024 * 1024)
/* A CLI whose command has ended: how long it may take to end as well, and its fresh box with it. */
#define DONE_KEPT_MS 500
#define DONE_FRESH_MS 10000

/* ---- The request ---- */

static int check_request(const struct hookbox_call *asked, struct hookbox_error *error)
{
	if (!asked->argv || !asked->argv[0] || !asked->argv[0][0])
		return error_set(error, -EINVAL, "the call names no command");
	if (asked->argv[0][0] == '-')
		return error_set(
			error, -EINVAL,
			"the command \"%s\" begins with a dash; name it with its directory",
			asked->argv[0]);
	if (asked->workdir && asked->workdir[0] != '/')
		return error_set(error, -EINVAL,
				 "the working directory \"%s\" is not absolute; write it from / on",
				 asked->workdir);
	if (asked->use_stdin_fd ? asked->stdin_fd < 0 : asked->stdin_size && !asked->stdin_data)
		return error_set(error, -EINVAL,
				 "the call's input is %s; leave it out for an empty one",
				 asked->use_stdin_fd ? "the descriptor of no file"
						     : "at NULL, but its size is not 0");
	for (const char *const *entry = asked->env; entry && *entry; entry++) {
		if (!env_entry_ok(*entry))
			return error_set(
				error, -EINVAL,
				"\"%.*s\" is no name for an environment variable; use letters, "
				"digits and _",
				(int)strcspn(*entry, "="), *entry);
		if (!strncmp(*entry, SPAWN_MARK, strlen(SPAWN_MARK)) &&
		    strchr("=", (*entry)[strlen(SPAWN_MARK)]))
			return error_set(error, -EINVAL,
					 SPAWN_MARK " is hookbox's own; use another name");
	}
	return 0;
}

/* A bare NAME passes on this process's variable, if it has one. */
static void add_env(struct strv *env, const char *entry)
{
	const char *value;

	if (strchr(entry, '=')) {
		strv_set_env(env, entry);
		return;
	}
	value = getenv(entry);
	if (value) {
		_cleanup_free_ char *assignment = NULL;

		if (asprintf(&assignment, "%s=%s", entry, value) < 0)
			env->failed = true;
		else
			strv_set_env(env, assignment);
	}
}

void call_add_labels(const struct sandbox *sandbox, const char *id, struct strv *labels)
{
	strv_printf(labels, "hookbox.owner=%s", ledger_owner(sandbox->context.ledger));
	strv_printf(labels, "hookbox.call=%s", id);
	strv_printf(labels, "hookbox.sandbox=%s", sandbox->name);
}

static int prepare_env(struct call *call, struct hookbox_error *error)
{
	for (size_t i = 0; i < call->sandbox->env.n; i++)
		add_env(&call->env, call->sandbox->env.v[i]);
	for (const char *const *entry = call->asked.env; entry && *entry; entry++)
		add_env(&call->env, *entry);
	for (size_t i = 0; i < call->env.n && call->scripted; i++)
		if (!strncmp(call->env.v[i], PROLOGUE_PREFIX, strlen(PROLOGUE_PREFIX)))
			return error_set(
				error, -EINVAL,
				"the variable \"%.*s\": names that begin with " PROLOGUE_PREFIX
				" are hookbox's own; use another name",
				(int)strcspn(call->env.v[i], "="), call->env.v[i]);
	call_add_labels(call->sandbox, call->id, &call->labels);
	return call->env.failed || call->labels.failed ? error_no_memory(error) : 0;
}

static void prepare_output(struct call *call, int index, uint64_t limit, uint64_t configured,
			   uint64_t standard)
{
	bool streamed = call->asked.sink || call->asked.use_output_fds;

	call->output[index] = (struct call_output){
		.call = call,
		.stream = index + 1,
		.limit = limit	      ? limit
			 : configured ? configured
			 : streamed   ? UINT64_MAX
				      : standard,
		.ends_call = index == 0 && !(call->asked.flags & HOOKBOX_DROP_OUTPUT),
	};
}

/* What is fresh for each run of the command. */
static int prepare_run(struct call *call, struct hookbox_error *error)
{
	struct sandbox *sandbox = call->sandbox;

	prepare_output(call, 0, call->asked.stdout_limit, sandbox->stdout_limit, STDOUT_LIMIT);
	prepare_output(call, 1, call->asked.stderr_limit, sandbox->stderr_limit, STDERR_LIMIT);
	if (call->scripted && mark_nonce(call->nonce))
		return error_set(error, -EIO, "the system gives no random bytes");
	for (int i = 0; i < 2; i++)
		mark_stream_init(&call->marks[i], call->scripted ? call->nonce : NULL,
				 call_output_take, &call->output[i]);
	call->own_lines = (struct own_lines){
		.plugin = sandbox->plugin,
		.instance = sandbox->instance,
		.emit = call_feed_marks,
		.data = &call->marks[1],
	};
	call->result = result_new();
	if (!call->result)
		return error_no_memory(error);
	call->result->call_id = strdup(call->id);
	return call->result->call_id ? 0 : error_no_memory(error);
}

static void free_run(struct call *call)
{
	for (int i = 0; i < 2; i++) {
		mark_stream_free(&call->marks[i]);
		call->marks[i] = (struct mark_stream){0};
		buf_free(&call->output[i].kept);
		buf_free(&call->output[i].relay);
	}
	buf_free(&call->own_lines.hold);
	plan_free(&call->plan);
	hookbox_result_free(call->result);
	call->result = NULL;
	free(call->box_id);
	call->box_id = NULL;
	call->spawn = (struct spawn_result){0};
	call->network_of[0] = '\0';
	call->alone |= call->trunk_unused;
	call->trunk_unused = false;
}

static int prepare(struct call *call, struct hookbox_error *error)
{
	struct sandbox *sandbox = call->sandbox;
	int code;

	ledger_new_call_id(sandbox->context.ledger, call->id);
	call->timeout_ms = call->asked.timeout_ms ? call->asked.timeout_ms : sandbox->timeout_ms;
	if (!call->timeout_ms)
		call->timeout_ms = -1;
	call->begun_us = clock_us();
	call->deadline_us = clock_deadline_us(call->timeout_ms);
	call->cwd = call->asked.workdir ? call->asked.workdir : sandbox->workdir;
	call->scripted = sandbox->shell;
	code = prepare_env(call, error);
	return code ? code : prepare_run(call, error);
}

struct sandbox_plan_request call_request(const struct call *call, uint32_t purpose)
{
	static const char *const none[] = {NULL};

	return (struct sandbox_plan_request){
		.size = sizeof(struct sandbox_plan_request),
		.purpose = purpose,
		.call_id = call->id,
		.box_id = call->box_id,
		.argv = call->scripted ? prologue_argv() : call->asked.argv,
		.env = call->scripted ? none : strv_view(&call->env),
		.cwd = call->scripted ? NULL : call->cwd,
		.labels = strv_view(&call->labels),
		.state_dir = ledger_state_dir(call->sandbox->context.ledger),
		.network_of = call->network_of[0] ? call->network_of : NULL,
	};
}

/* ---- The box ---- */

/*
 * A box of an earlier call has gone, or the one whose network was to be shared, and nothing was
 * started for certain: another one may be there, and a network can be made. What was read from a
 * descriptor cannot be read again. Or a trunk did not take the call.
 */
static bool may_run_anew(const struct call *call)
{
	const struct hookbox_result *result = call->result;
	bool box_may_be_gone = call->box_id && !call->box_is_new &&
			       sandbox_only_finds(call->sandbox) && !result->error_number;
	bool network_may_be_gone = call->network_of[0] && !call->marks[0].started;

	if (call->trunk_unused)
		return true;
	return (box_may_be_gone || network_may_be_gone) && call->scripted &&
	       !call->asked.use_stdin_fd && !call->spawn.killed &&
	       result->end == HOOKBOX_NOT_STARTED && result->cleanup == HOOKBOX_CLEANUP_PROVEN;
}

/* ---- The process ---- */

/* The value of NAME in an environment, or NULL. */
static const char *env_value(const struct strv *env, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < env->n; i++)
		if (!strncmp(env->v[i], name, length) && env->v[i][length] == '=')
			return env->v[i] + length + 1;
	return NULL;
}

static void start_process(struct call *call)
{
	struct spawn_request request = {
		.argv = strv_view(&call->plan.argv),
		.env = strv_view(&call->plan.env),
		.path = env_value(&call->plan.env, "PATH"),
		.cwd = call->plan.dir,
		.before_stdin = call->plan.before_stdin.data,
		.before_stdin_size = call->plan.before_stdin.size,
		.stdin_data = call->asked.use_stdin_fd ? NULL : call->asked.stdin_data,
		.stdin_size = call->asked.use_stdin_fd ? 0 : call->asked.stdin_size,
		.stdin_fd = call->asked.use_stdin_fd ? call->asked.stdin_fd : -1,
		.stream = {call_stream(call, 0, call_output_consume, &call->marks[0]),
			   call_stream(call, 1, call_output_consume, &call->marks[1])},
		.deadline_us = call->deadline_us,
		.grace_ms = CALL_GRACE_MS,
		.done_grace_ms =
			call->sandbox->plugin->flags & SANDBOX_FRESH ? DONE_FRESH_MS : DONE_KEPT_MS,
		.cancel_fd = cancel_fd(call->asked.cancel),
	};

	spawn_run(&request, &call->spawn);
	call_output_finish(call);
}

static void add_mark(struct call *call)
{
	_cleanup_free_ char *mark = NULL;

	if (asprintf(&mark, SPAWN_MARK "=%s", call->id) < 0)
		call->plan.env.failed = true;
	else
		strv_set_env(&call->plan.env, mark);
}

/* Runs the call through a planned process. */
static void run_planned(struct call *call)
{
	struct sandbox *sandbox = call->sandbox;
	struct sandbox_plan_request request = call_request(call, SANDBOX_PURPOSE_CALL);
	struct hookbox_error error = {0};

	request.trunk = call->trunk;
	if (plan_make(sandbox->plugin, sandbox->instance, &request, &call->plan, &error)) {
		call->result->end = HOOKBOX_NOT_STARTED;
		call->result->cleanup = HOOKBOX_CLEANUP_PROVEN;
		result_set_message(call->result, "%s", error.message);
		return;
	}
	/* In a box the prologue marks the command; a CLI bears no mark, lest a sweep end it first.
	 */
	if (sandbox->plugin->flags & SANDBOX_HOST_PROCESS)
		add_mark(call);
	if (call->scripted)
		prologue_build(&call->plan.before_stdin, call->nonce, call->id,
			       !(sandbox->plugin->flags & SANDBOX_FRESH), call->asked.argv,
			       strv_view(&call->env), call->cwd);
	if (call->plan.env.failed || call->plan.before_stdin.failed) {
		call->result->end = HOOKBOX_NOT_STARTED;
		call->result->cleanup = HOOKBOX_CLEANUP_PROVEN;
		result_set_message(call->result, "out of memory");
		return;
	}
	start_process(call);
	call_judge(call);
	call_output_flush(call);
	call_end(call);
}

static void run_one_off(struct call *call)
{
	struct trunk *trunk = call->sandbox->trunk;

	call->trunk = trunk_enter(trunk, call);
	run_planned(call);
	call->way = call->trunk && !call->trunk_unused ? CALL_SHARED : CALL_ONE_OFF;
	trunk_leave(trunk, call);
	call->trunk = NULL;
}

/* ---- The whole ---- */

static bool cancelled_already(struct call *call)
{
	if (!cancel_fired(call->asked.cancel))
		return false;
	call->result->end = HOOKBOX_CANCELLED;
	call->result->cleanup = HOOKBOX_CLEANUP_PROVEN;
	result_set_message(call->result, "it was cancelled before it started");
	return true;
}

static int finish_result(struct call *call, struct hookbox_error *error)
{
	struct hookbox_result *result = call->result;

	result->out_total = call->output[0].total;
	result->err_total = call->output[1].total;
	result->out_dropped = call->output[0].total - call->output[0].passed;
	result->err_dropped = call->output[1].total - call->output[1].passed;
	result->truncated = call->spawn.truncated;
	if (result_take_out(result, &call->output[0].kept) ||
	    result_take_err(result, &call->output[1].kept))
		return error_no_memory(error);
	if (call->spawn.started_us > call->begun_us)
		result->start_us = (uint64_t)(call->spawn.started_us - call->begun_us);
	result->duration_us = (uint64_t)(clock_us() - call->begun_us);
	return 0;
}

static void call_free(struct call *call)
{
	free_run(call);
	strv_free(&call->env);
	strv_free(&call->labels);
	free(call);
}

const char *const call_way_names[CALL_N_WAYS] = {
	[CALL_ONE_OFF] = "one-off",
	[CALL_SHARED] = "shared",
	[CALL_BY_AGENT] = "agent",
	[CALL_POOLED] = "pool",
	[CALL_BY_SOCKET] = "socket",
};

static void count_way(const struct call *call)
{
	pthread_mutex_lock(&call->sandbox->lock);
	call->sandbox->ways[call->way]++;
	pthread_mutex_unlock(&call->sandbox->lock);
}

/* 0: it ran; 1: it has no box, as its result says; or an error. */
static int run_in_box(struct call *call, struct hookbox_error *error)
{
	int code = call_enter_box(call, error);

	if (code)
		return code;
	if (call->sandbox->run.run)
		call_run_extension(call);
	else if (!call_run_pool(call) && !call_run_channel(call))
		run_one_off(call);
	call_forget_box(call);
	return 0;
}

int sandbox_call(struct sandbox *sandbox, const struct hookbox_call *asked,
		 struct hookbox_result **result, struct hookbox_error *error)
{
	struct call *call = calloc(1, sizeof(*call));
	int code;

	if (!call)
		return error_no_memory(error);
	call->sandbox = sandbox;
	call->asked = *asked;
	code = check_request(asked, error);
	if (!code)
		code = prepare(call, error);
	if (!code && !cancelled_already(call)) {
		code = run_in_box(call, error);
		if (!code && may_run_anew(call)) {
			free_run(call);
			call->anew = true;
			code = prepare_run(call, error);
			if (!code)
				code = run_in_box(call, error);
		}
		if (!code)
			count_way(call);
	}
	if (sandbox->pool)
		pool_call_ended(sandbox->pool);
	if (code >= 0)
		code = finish_result(call, error);
	if (!code)
		*result = take_pointer(call->result);
	call_free(call);
	return code;
}
