/* SPDX-License-Identifier: MIT */
#include "hook.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "result.h"
#include "text.h"

/* Bytes of stderr that a reason quotes. */
#define STDERR_QUOTE 200

void hook_outcome_clear(struct hookbox_hook_outcome *outcome)
{
	free(outcome->hook);
	free(outcome->reason);
	free(outcome->metadata);
	hookbox_result_free(outcome->result);
	*outcome = (struct hookbox_hook_outcome){0};
}

/*
 * Runs the command. A call that the sandbox refuses is a result too: it did not start. Negative
 * only when memory ran out.
 */
static int hook_call(const struct config_hook *hook, struct sandbox *sandbox, const char *request,
		     size_t request_size, struct hookbox_cancel *cancel,
		     struct hookbox_result **result, struct hookbox_error *error)
{
	_cleanup_strv_ struct strv argv = {0};
	struct hookbox_error refused = {0};
	struct hookbox_call call = {
		.size = sizeof(call),
		.env = strv_view(&hook->env),
		.stdin_data = request,
		.stdin_size = request_size,
		.timeout_ms = hook->timeout_ms,
		.cancel = cancel,
	};
	int r;

	strv_add(&argv, hook->command);
	for (size_t i = 0; i < hook->args.n; i++)
		strv_add(&argv, hook->args.v[i]);
	if (argv.failed)
		return error_no_memory(error);
	call.argv = strv_view(&argv);

	r = sandbox_call(sandbox, &call, result, &refused);
	if (!r)
		return 0;
	if (r == -ENOMEM)
		return error_no_memory(error);
	*result = result_new();
	if (!*result || result_set_message(*result, "%s", refused.message) < 0) {
		hookbox_result_free(take_pointer(*result));
		return error_no_memory(error);
	}
	(*result)->end = HOOKBOX_NOT_STARTED;
	(*result)->error_number = -r;
	(*result)->cleanup = HOOKBOX_CLEANUP_PROVEN;
	return 0;
}

/* What went wrong with the call itself; HOOKBOX_CAUSE_ANSWER for nothing. */
static enum hookbox_cause hook_end_cause(const struct hookbox_result *result)
{
	switch (result->end) {
	case HOOKBOX_EXITED:
		return result->status ? HOOKBOX_CAUSE_EXIT : HOOKBOX_CAUSE_ANSWER;
	case HOOKBOX_SIGNALED:
		return HOOKBOX_CAUSE_SIGNAL;
	case HOOKBOX_TIMED_OUT:
		return HOOKBOX_CAUSE_TIMEOUT;
	case HOOKBOX_CANCELLED:
		return HOOKBOX_CAUSE_CANCELLED;
	case HOOKBOX_OUTPUT_LIMIT:
		return HOOKBOX_CAUSE_OUTPUT_LIMIT;
	case HOOKBOX_NOT_STARTED:
		return HOOKBOX_CAUSE_NOT_STARTED;
	case HOOKBOX_LOST:
		break;
	}
	return HOOKBOX_CAUSE_LOST;
}

/* How the call ended, as what the hook did. */
static void hook_add_end(struct buf *reason, const struct hookbox_result *result)
{
	static const char *const words[] = {
		[HOOKBOX_TIMED_OUT] = "timed out",
		[HOOKBOX_CANCELLED] = "was cancelled",
		[HOOKBOX_OUTPUT_LIMIT] = "printed too much",
		[HOOKBOX_NOT_STARTED] = "was not started",
		[HOOKBOX_LOST] = "was lost",
	};
	const char *signal_name = sigabbrev_np(result->status);

	if (result->end == HOOKBOX_EXITED) {
		buf_printf(reason, "exited with code %d", result->status);
	} else if (result->end == HOOKBOX_SIGNALED) {
		buf_printf(reason, "was ended by signal %d", result->status);
		if (signal_name)
			buf_printf(reason, " (SIG%s)", signal_name);
	} else {
		buf_add_string(reason, words[result->end]);
		if (result->message)
			buf_printf(reason, ": %s", result->message);
	}
}

/* One sentence about a failure: who, what, and the last thing it said on stderr. */
static void hook_add_reason(struct buf *reason, const struct config_hook *hook,
			    const struct hookbox_result *result, const char *bad_answer)
{
	_cleanup_buf_ struct buf last = {0};

	buf_printf(reason, "hook \"%s\" ", hook->name);
	hook_add_end(reason, result);
	if (bad_answer)
		buf_printf(reason, ", but %s", bad_answer);
	text_add_last_line(&last, result->err, result->err_size, STDERR_QUOTE);
	if (last.size)
		buf_printf(reason, "; the end of its stderr: %s", last.data);
	reason->failed |= last.failed;
}

static bool hook_gates(const struct config_hook *hook)
{
	return hook->mode == HOOK_FILTER && hook->type != HOOK_EVAL;
}

/* The one place where a failure becomes a verdict: a deny, unless on_error says otherwise. */
static int hook_fail(const struct config_hook *hook, enum hookbox_cause cause,
		     const char *bad_answer, struct hookbox_hook_outcome *outcome,
		     struct hookbox_error *error)
{
	_cleanup_buf_ struct buf reason = {0};

	hook_add_reason(&reason, hook, outcome->result, bad_answer);
	outcome->reason = buf_take(&reason);
	if (!outcome->reason)
		return error_no_memory(error);
	outcome->cause = cause;
	outcome->verdict = HOOKBOX_DENY;
	if (!hook_gates(hook)) {
		outcome->cause = HOOKBOX_CAUSE_NOT_GATING;
		outcome->verdict = HOOKBOX_ALLOW;
	} else if (hook->allow_on & (UINT32_C(1) << cause)) {
		outcome->loosened = true;
		outcome->verdict = HOOKBOX_ALLOW;
	}
	return 0;
}

/* A hook that answered as the protocol asks. Takes reason and metadata out of the answer. */
static void hook_accept(struct answer *answer, struct hookbox_hook_outcome *outcome)
{
	outcome->cause = HOOKBOX_CAUSE_ANSWER;
	outcome->verdict = answer->allow ? HOOKBOX_ALLOW :
			   answer->enforced ? HOOKBOX_ENFORCED : HOOKBOX_DENY;
	outcome->ack = answer->ack;
	outcome->reason = take_pointer(answer->reason);
	outcome->metadata = take_pointer(answer->metadata);
}

/* Fills the outcome of a hook that exited with 0, from its stdout. */
static int hook_judge_answer(const struct config_hook *hook, struct hookbox_hook_outcome *outcome,
			     struct hookbox_error *error)
{
	_cleanup_(answer_clear) struct answer answer = {0};
	struct hookbox_error bad = {0};
	int r = answer_parse(outcome->result->out, outcome->result->out_size, &answer, &bad);

	if (r == -ENOMEM)
		return error_no_memory(error);
	if (!hook_gates(hook) || hook->type == HOOK_SESSION) {
		/* Judged by how the command ended, which was well. */
		outcome->verdict = HOOKBOX_ALLOW;
		outcome->cause = hook_gates(hook) ? HOOKBOX_CAUSE_ANSWER : HOOKBOX_CAUSE_NOT_GATING;
		outcome->ack = answer.ack;
		return 0;
	}
	if (r < 0)
		return hook_fail(hook, HOOKBOX_CAUSE_BAD_ANSWER, bad.message, outcome, error);
	if (!answer.has_allow)
		return hook_fail(hook, HOOKBOX_CAUSE_BAD_ANSWER,
				 "its answer on stdout does not hold \"allow\"", outcome, error);
	hook_accept(&answer, outcome);
	return 0;
}

int hook_run(const struct config_hook *hook, struct sandbox *sandbox, const char *request,
	     size_t request_size, struct hookbox_cancel *cancel,
	     struct hookbox_hook_outcome *outcome, struct hookbox_error *error)
{
	enum hookbox_cause cause;
	int r;

	*outcome = (struct hookbox_hook_outcome){0};
	outcome->hook = strdup(hook->name);
	if (!outcome->hook)
		return error_no_memory(error);
	r = hook_call(hook, sandbox, request, request_size, cancel, &outcome->result, error);
	if (!r) {
		cause = hook_end_cause(outcome->result);
		if (cause == HOOKBOX_CAUSE_ANSWER)
			r = hook_judge_answer(hook, outcome, error);
		else
			r = hook_fail(hook, cause, NULL, outcome, error);
	}
	if (r < 0)
		hook_outcome_clear(outcome);
	return r;
}
