/* SPDX-License-Identifier: MIT */
/* Hooks: an event becomes a request, a call, an answer, a decision. */
#ifndef CORE_HOOK_H
#define CORE_HOOK_H

#include "config.h"
#include "sandbox.h"

/*
 * Runs one hook for an event whose type and phase it listens to, and fills *outcome (owned by the
 * caller, hook_outcome_clear). Negative only when memory ran out: everything else is an outcome.
 */
int hook_run(const struct config_hook *hook, struct sandbox *sandbox, const char *phase,
	     const char *request, size_t request_size, struct hookbox_cancel *cancel,
	     struct hookbox_hook_outcome *outcome, struct hookbox_error *error);
void hook_outcome_clear(struct hookbox_hook_outcome *outcome);

/*
 * The bytes that the hook reads on stdin (request.c): the event's JSON object with "hook" and
 * "phase" put in front, everything else byte for byte as it came. For eval the object as it is. An
 * error says what is wrong with the event's JSON.
 */
int request_build(enum hook_type type, const char *phase, const char *json, size_t size,
		  char **request, size_t *request_size, struct hookbox_error *error);

/* What a hook's stdout says (answer.c). */
struct answer {
	bool has_allow;
	bool allow;
	bool enforced;
	bool ack;
	char *reason;	/* NULL: none */
	char *metadata;	/* NULL: none, or a JSON object */
};

/*
 * Parses exactly one JSON object, strictly: no duplicate keys, no trailing bytes, UTF-8, at most
 * 1 MiB and 64 levels, known fields of their types (unknown fields are ignored). An error is one
 * sentence without the hook's name.
 */
int answer_parse(const char *text, size_t size, struct answer *answer,
		 struct hookbox_error *error);
void answer_clear(struct answer *answer);

/* Strict JSON for both: an object within the limits, or an error that says where. (json_strict.c) */
struct json_t;
int json_parse_object(const char *text, size_t size, size_t size_limit, struct json_t **object,
		      struct hookbox_error *error);

#endif
