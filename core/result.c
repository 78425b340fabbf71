/* SPDX-License-Identifier: MIT */
#include "result.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hook.h"

struct hookbox_result *result_new(void)
{
	struct hookbox_result *result = calloc(1, sizeof(*result));

	if (!result)
		return NULL;
	result->end = HOOKBOX_LOST;
	result->out = strdup("");
	result->err = strdup("");
	if (!result->out || !result->err) {
		hookbox_result_free(result);
		return NULL;
	}
	return result;
}

static int replace_text(char **text, const char *format, va_list args)
{
	char *fresh;

	if (vasprintf(&fresh, format, args) < 0)
		return -ENOMEM;
	free(*text);
	*text = fresh;
	return 0;
}

int result_set_message(struct hookbox_result *result, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = replace_text(&result->message, format, args);
	va_end(args);
	return r;
}

int result_set_cleanup_reason(struct hookbox_result *result, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = replace_text(&result->cleanup_reason, format, args);
	va_end(args);
	return r;
}

static int replace_bytes(char **data, size_t *size, struct buf *buf)
{
	size_t fresh_size = buf->size;
	char *fresh = buf_take(buf);

	if (!fresh)
		return -ENOMEM;
	free(*data);
	*data = fresh;
	*size = fresh_size;
	return 0;
}

int result_take_out(struct hookbox_result *result, struct buf *out)
{
	return replace_bytes(&result->out, &result->out_size, out);
}

int result_take_err(struct hookbox_result *result, struct buf *err)
{
	return replace_bytes(&result->err, &result->err_size, err);
}

void hookbox_result_free(struct hookbox_result *result)
{
	if (!result)
		return;
	free(result->message);
	free(result->cleanup_reason);
	free(result->out);
	free(result->err);
	free(result->call_id);
	free(result);
}

void hookbox_decision_free(struct hookbox_decision *decision)
{
	if (!decision)
		return;
	for (size_t i = 0; i < decision->n_outcomes; i++)
		hook_outcome_clear(&decision->outcomes[i]);
	free(decision->outcomes);
	free(decision);
}

const char *hookbox_end_name(enum hookbox_end end)
{
	switch (end) {
	case HOOKBOX_EXITED:
		return "exited";
	case HOOKBOX_SIGNALED:
		return "signaled";
	case HOOKBOX_TIMED_OUT:
		return "timed out";
	case HOOKBOX_CANCELLED:
		return "cancelled";
	case HOOKBOX_OUTPUT_LIMIT:
		return "output limit";
	case HOOKBOX_NOT_STARTED:
		return "not started";
	case HOOKBOX_LOST:
		return "lost";
	}
	return "invalid";
}

const char *hookbox_cleanup_name(enum hookbox_cleanup cleanup)
{
	switch (cleanup) {
	case HOOKBOX_CLEANUP_UNKNOWN:
		return "unknown";
	case HOOKBOX_CLEANUP_SWEPT:
		return "swept";
	case HOOKBOX_CLEANUP_PROVEN:
		return "proven";
	}
	return "invalid";
}

const char *hookbox_verdict_name(enum hookbox_verdict verdict)
{
	switch (verdict) {
	case HOOKBOX_ALLOW:
		return "allow";
	case HOOKBOX_DENY:
		return "deny";
	case HOOKBOX_ENFORCED:
		return "enforced";
	}
	return "invalid";
}

const char *hookbox_cause_name(enum hookbox_cause cause)
{
	switch (cause) {
	case HOOKBOX_CAUSE_ANSWER:
		return "answer";
	case HOOKBOX_CAUSE_NOT_GATING:
		return "not_gating";
	case HOOKBOX_CAUSE_EXIT:
		return "exit";
	case HOOKBOX_CAUSE_SIGNAL:
		return "signal";
	case HOOKBOX_CAUSE_TIMEOUT:
		return "timeout";
	case HOOKBOX_CAUSE_CANCELLED:
		return "cancelled";
	case HOOKBOX_CAUSE_OUTPUT_LIMIT:
		return "output_limit";
	case HOOKBOX_CAUSE_NOT_STARTED:
		return "not_started";
	case HOOKBOX_CAUSE_LOST:
		return "lost";
	case HOOKBOX_CAUSE_BAD_ANSWER:
		return "bad_answer";
	}
	return "invalid";
}
