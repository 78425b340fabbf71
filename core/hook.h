/* SPDX-License-Identifier: MIT */
/* Hooks: an event becomes a request, a call, an answer, an outcome. */
#ifndef CORE_HOOK_H
#define CORE_HOOK_H

#include "config.h"
#include "sandbox.h"

/*
 * [any] Runs one hook with a request from request_build(), and fills *outcome (owned by the caller,
 * hook_outcome_clear), whose result is never NULL then. Negative only when memory ran out:
 * everything else is an outcome.
 */
int hook_run(const struct config_hook *hook, struct sandbox *sandbox, const char *request,
	     size_t request_size, struct hookbox_cancel *cancel,
	     struct hookbox_hook_outcome *outcome, struct hookbox_error *error);
void hook_outcome_clear(struct hookbox_hook_outcome *outcome);

/*
 * The bytes that the hook reads on stdin (request.c): the event's JSON object with "hook" and
 * "phase" put in front where it lacks them, everything else byte for byte as it came. For eval
 * (phase NULL) the object as it is. At most 64 MiB. An error says what is wrong with the event.
 */
int request_build(enum hook_type type, const char *phase, const char *json, size_t size,
		  char **request, size_t *request_size, struct hookbox_error *error);

/* What a hook's stdout says (answer.c). */
struct answer {
	bool has_allow;
	bool allow;
	bool enforced;
	bool ack;
	char *reason;	/* NULL: none; a NUL character in it has become U+FFFD */
	char *metadata;	/* NULL: none, or a JSON object as the hook wrote it */
};

/*
 * Parses exactly one JSON object, strictly: no duplicate keys, no trailing bytes, UTF-8, at most
 * 1 MiB and 64 levels, known fields of their types (null is as good as left out, except for
 * "allow"; unknown fields are ignored). An error is one sentence without the hook's name.
 */
int answer_parse(const char *text, size_t size, struct answer *answer,
		 struct hookbox_error *error);
void answer_clear(struct answer *answer);

/*
 * ---- Strict JSON for both (json_strict.c) ----
 */
struct json_t;

/* The offset of the first byte from `at` on that is no white space of JSON; size for none. */
size_t json_skip_space(const char *text, size_t size, size_t at);

/* One object within the limits, all its numbers read as reals, or an error that says where. */
int json_parse_object(const char *text, size_t size, size_t size_limit, struct json_t **object,
		      struct hookbox_error *error);

/* How a member's value is written in the text that the object was parsed from; NULL: no such key.
 * Lent. */
const char *json_member_text(const struct json_t *object, const char *text, size_t size,
			     const char *key, size_t *length);

#endif
