/* SPDX-License-Identifier: MIT */
/* The box that a call enters: found, started, cleared of what killed hosts left, forgotten. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "cancel.h"
#include "cleanup.h"
#include "clock.h"
#include "result.h"

#define BOX_START_MS 120000
#define LOOK_MS 20

/* ---- What a killed host left ---- */

struct owners {
	struct sandbox *sandbox;
	bool unlisted;
};

/* A backend that does not list boxes for one owner is not asked for each of the others as well:
 * an engine that hangs would cost a step's time for each. */
static bool left_by_owner(void *data, const char *owner)
{
	struct owners *owners = data;

	return !owners->unlisted && ending_owner(owners->sandbox, owner, &owners->unlisted);
}

static bool left_in_box(void *data, const char *owner)
{
	return ending_owner_in_box(data, owner);
}

static int note(struct sandbox *sandbox, const char *box_id,
		bool (*left)(void *data, const char *owner), void *data,
		struct hookbox_error *error)
{
	const struct ledger_use use = {
		.mode = sandbox->plugin->name,
		.sandbox = sandbox->name,
		.place = ending_place(sandbox, box_id),
		.box = box_id,
	};

	return ledger_use(sandbox->context.ledger, &use, left, data, error);
}

/* Before the first call: what a killed host left in the sandbox goes. */
static int note_use(struct sandbox *sandbox, struct hookbox_error *error)
{
	struct owners owners = {.sandbox = sandbox};
	int code = 0;

	if (!sandbox->noted)
		code = note(sandbox, NULL, left_by_owner, &owners, error);
	sandbox->noted = !code;
	return code;
}

/* Before the first call in a box that was found. One that we started held nothing. */
static int note_box(struct sandbox *sandbox, struct hookbox_error *error)
{
	int code = 0;

	if (!sandbox->box_noted && sandbox->box.find && !sandbox->started_box_id)
		code = note(sandbox, sandbox->box_id, left_in_box, sandbox, error);
	sandbox->box_noted = !code;
	return code;
}

/* ---- The box ---- */

struct text_holder {
	char *text;
};

static void hold_text(const struct sandbox_text_sink *sink, const char *text)
{
	struct text_holder *holder = sink->host_data;

	free(holder->text);
	holder->text = strdup(text);
}

/* Looking is part of the call and its time; starting is for all calls, however short the first. */
static int64_t box_time_ms(const struct call *call)
{
	int64_t left = (call->deadline_us - clock_us()) / 1000;

	if (call->timeout_ms < 0 || !sandbox_only_finds(call->sandbox))
		return BOX_START_MS;
	return left > 0 ? left : 1;
}

/* Finding and starting a box is the call's, and ends with it; clearing up after others is not. */
static void set_prepare_cancel(struct sandbox *sandbox, const struct hookbox_cancel *cancel)
{
	pthread_mutex_lock(&sandbox->lock);
	sandbox->prepare_cancel = cancel;
	pthread_mutex_unlock(&sandbox->lock);
}

/* Asks the backend for a box; -ENOENT: there is none. */
static int seek_box(struct sandbox *sandbox, const struct call *call,
		    const struct sandbox_text_sink *id, char message[SANDBOX_ERROR_SIZE])
{
	struct sandbox_box_request request = sandbox_box_request(sandbox, box_time_ms(call));
	int code = -ENOENT;

	set_prepare_cancel(sandbox, call->asked.cancel);
	request.not_box_id = sandbox->gone_box_id;
	if (sandbox->box.find)
		code = sandbox->box.find(sandbox->instance, &request, id, message);
	/* It may have come back under its name, or only the connection to it was broken. */
	if (code == -ENOENT && request.not_box_id && !sandbox->started_box_id) {
		request.not_box_id = NULL;
		request.timeout_ms = box_time_ms(call);
		code = sandbox->box.find(sandbox->instance, &request, id, message);
	}
	set_prepare_cancel(sandbox, NULL);
	return code;
}

/* Makes a new one; what is left of an older one of ours goes first. */
static int start_box(struct sandbox *sandbox, const struct call *call,
		     const struct sandbox_text_sink *id, char message[SANDBOX_ERROR_SIZE])
{
	struct sandbox_box_request request = sandbox_box_request(sandbox, box_time_ms(call));
	struct text_holder *holder = id->host_data;
	int code;

	sandbox_stop_box(sandbox);
	set_prepare_cancel(sandbox, call->asked.cancel);
	code = sandbox->box.start(sandbox->instance, &request, id, message);
	set_prepare_cancel(sandbox, NULL);
	if (!code && holder->text) {
		sandbox->started_box_id = strdup(holder->text);
		if (!sandbox->started_box_id)
			code = -ENOMEM;
	}
	/* What a start that failed may have left bears our name: the next host looks for it. */
	if (code)
		ledger_keep(sandbox->context.ledger);
	return code;
}

/* Finds or starts the sandbox's box. */
static int find_box(struct sandbox *sandbox, const struct call *call,
		    char message[SANDBOX_ERROR_SIZE])
{
	struct text_holder holder = {0};
	const struct sandbox_text_sink id = {
		.size = sizeof(id),
		.host_data = &holder,
		.text = hold_text,
	};
	int code = seek_box(sandbox, call, &id, message);

	if (code == -ENOENT && sandbox->box.start)
		code = start_box(sandbox, call, &id, message);
	/* A note of the ledger is one line. */
	if (!code && (!holder.text || strchr(holder.text, '\n'))) {
		snprintf(message, SANDBOX_ERROR_SIZE,
			 "the backend found a box but gave no id for it");
		code = -EINVAL;
	}
	if (code) {
		free(holder.text);
		return code;
	}
	free(sandbox->gone_box_id);
	sandbox->gone_box_id = NULL;
	sandbox->box_id = holder.text;
	return 0;
}

/* ---- Entering ---- */

/* Nothing of what is waited for is the call's: not its time either, but for looking. */
static bool may_wait(const struct sandbox *sandbox, const struct call *call)
{
	if (cancel_fired(call->asked.cancel))
		return false;
	return !sandbox_only_finds(sandbox) || clock_us() < call->deadline_us;
}

/* Waits while another call sees to the box. Under the lock, which it lets go meanwhile. */
static bool wait_for_other(struct sandbox *sandbox, const struct call *call)
{
	struct pollfd cancel = {.fd = cancel_fd(call->asked.cancel), .events = POLLIN};

	while (sandbox->preparing) {
		if (!may_wait(sandbox, call))
			return false;
		pthread_mutex_unlock(&sandbox->lock);
		poll(&cancel, 1, LOOK_MS);
		pthread_mutex_lock(&sandbox->lock);
	}
	return true;
}

/* Is there a box, and nothing to be done about it? Under the lock. */
static bool is_prepared(const struct sandbox *sandbox)
{
	bool has_boxes = sandbox->box.find || sandbox->box.start;

	return (sandbox->noted || sandbox_only_finds(sandbox)) && (!has_boxes || sandbox->box_id) &&
	       (sandbox->box_noted || !sandbox->box_id);
}

/*
 * Sees to the box, which may take long: without the lock. What it changes is nobody else's to touch
 * while `preparing` is set. 0; 1 when there is no box; or an error.
 */
static int prepare_box(struct sandbox *sandbox, struct call *call, char message[SANDBOX_ERROR_SIZE],
		       struct hookbox_error *error)
{
	bool new = !sandbox->box_id && (sandbox->box.find || sandbox->box.start);
	int code = 0, found = 0;

	sandbox->preparing = true;
	sandbox->preparer = pthread_self();
	pthread_mutex_unlock(&sandbox->lock);
	if (!sandbox_only_finds(sandbox))
		code = note_use(sandbox, error);
	if (!code && new)
		found = find_box(sandbox, call, message);
	call->box_is_new = new && !code && !found;
	if (!code && !found && sandbox->box_id)
		code = note_box(sandbox, error);
	pthread_mutex_lock(&sandbox->lock);
	sandbox->preparing = false;
	sandbox->n_started += call->box_is_new && sandbox->started_box_id;
	return code ? code : found != 0;
}

static void set_no_box(struct call *call, const char *message)
{
	struct hookbox_result *result = call->result;

	result->cleanup = HOOKBOX_CLEANUP_PROVEN;
	if (cancel_fired(call->asked.cancel)) {
		result->end = HOOKBOX_CANCELLED;
		result_set_message(result, "it was cancelled before there was a box for it");
	} else if (!message) {
		result->end = HOOKBOX_TIMED_OUT;
		result_set_message(result, "its time was over before there was a box for it");
	} else {
		result->end = HOOKBOX_NOT_STARTED;
		result_set_message(result, "%s: %s", call->sandbox->plugin->name,
				   message[0] ? message
					      : "the backend has no box and gave no reason");
	}
}

int call_enter_box(struct call *call, struct hookbox_error *error)
{
	struct sandbox *sandbox = call->sandbox;
	char message[SANDBOX_ERROR_SIZE] = "";
	unsigned int n_started;
	bool in_time;
	int code = 0;

	pthread_mutex_lock(&sandbox->lock);
	n_started = sandbox->n_started;
	in_time = wait_for_other(sandbox, call);
	if (in_time && !is_prepared(sandbox))
		code = prepare_box(sandbox, call, message, error);
	/* A box takes longer to start than most calls may last: their time begins with it. */
	if (sandbox->n_started != n_started)
		call->deadline_us = clock_deadline_us(call->timeout_ms);
	if (in_time && !code && sandbox->box_id) {
		call->box_id = strdup(sandbox->box_id);
		if (!call->box_id)
			code = error_no_memory(error);
	}
	pthread_mutex_unlock(&sandbox->lock);
	if (in_time && code <= 0)
		return code;
	set_no_box(call, in_time ? message : NULL);
	return 1;
}

void call_forget_box(struct call *call)
{
	struct sandbox *sandbox = call->sandbox;
	enum hookbox_end end = call->result->end;

	if (!call->box_id || call->trunk_unused ||
	    (end != HOOKBOX_LOST && (end != HOOKBOX_NOT_STARTED || call->result->error_number)))
		return;
	pthread_mutex_lock(&sandbox->lock);
	/* Whoever sees to it just now will know more. */
	if (!sandbox->preparing && sandbox->box_id && !strcmp(sandbox->box_id, call->box_id)) {
		free(sandbox->gone_box_id);
		sandbox->gone_box_id = take_pointer(sandbox->box_id);
		sandbox->box_noted = false;
	}
	pthread_mutex_unlock(&sandbox->lock);
}
