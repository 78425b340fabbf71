/* SPDX-License-Identifier: MIT */
/* Events become decisions: which hooks run, and what their outcomes come to. */
#include "host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "hook.h"
#include "near.h"

static bool hook_listens(const struct config_hook *hook, enum hook_type type, const char *phase)
{
	if (hook->type != type)
		return false;
	for (size_t i = 0; phase && i < hook->phases.n; i++)
		if (!strcmp(hook->phases.v[i], phase))
			return true;
	return !phase;
}

static int event_type(const char *name, enum hook_type *type, struct hookbox_error *error)
{
	const char *names[HOOK_EVAL + 1] = {NULL};

	*type = hook_type_from(name);
	if (*type)
		return 0;
	for (enum hook_type i = HOOK_PROVIDER; i <= HOOK_EVAL; i++)
		names[i - HOOK_PROVIDER] = hook_type_name(i);
	return near_error(error, -EINVAL, name, names, "\"%s\" is no hook type", name);
}

/* Is it a phase of the type? eval has none. */
static int event_phase_check(enum hook_type type, const char *phase, struct hookbox_error *error)
{
	const char *const *phases = hook_type_phases(type);

	if (type == HOOK_EVAL) {
		if (!phase)
			return 0;
		return error_set(error, -EINVAL, "an eval event has no phase: leave \"%s\" out",
				 phase);
	}
	if (!phase)
		return near_error(error, -EINVAL, "", phases, "a %s event needs a phase",
				  hook_type_name(type));
	for (size_t i = 0; phases[i]; i++)
		if (!strcmp(phases[i], phase))
			return 0;
	return near_error(error, -EINVAL, phase, phases, "\"%s\" is no phase of %s", phase,
			  hook_type_name(type));
}

/* The phase that a run of this one hook is for. */
static int event_phase_of_hook(const struct config_hook *hook, const char **phase,
			       struct hookbox_error *error)
{
	const char *const *phases = strv_view(&hook->phases);
	int r;

	if (!*phase && hook->phases.n > 1)
		return near_error(error, -EINVAL, "", phases,
				  "hook \"%s\" has several phases, say which", hook->name);
	if (!*phase)
		*phase = phases[0];
	r = event_phase_check(hook->type, *phase, error);
	if (r < 0 || hook_listens(hook, hook->type, *phase))
		return r;
	return near_error(error, -EINVAL, *phase, phases, "hook \"%s\" does not listen to %s",
			  hook->name, *phase);
}

/* What the outcomes come to. */
static void decision_settle(struct hookbox_decision *decision)
{
	const struct hookbox_hook_outcome *decisive = NULL;

	decision->verdict = HOOKBOX_ALLOW;
	for (size_t i = 0; i < decision->n_outcomes; i++) {
		const struct hookbox_hook_outcome *outcome = &decision->outcomes[i];

		if (outcome->verdict == HOOKBOX_DENY ||
		    (outcome->verdict == HOOKBOX_ENFORCED && !decisive))
			decisive = outcome;
	}
	if (!decisive)
		return;
	decision->verdict = decisive->verdict;
	decision->hook = decisive->hook;
	decision->reason = decisive->reason;
	decision->metadata = decisive->metadata;
}

/* Runs the hooks that listen (or, with `only`, that one hook) until one denies. */
static int host_decide(struct hookbox *box, const struct config_hook *only, enum hook_type type,
		       const char *phase, const struct hookbox_event *event,
		       struct hookbox_decision *decision, struct hookbox_error *error)
{
	const struct config *config = host_config(box);
	_cleanup_free_ char *request = NULL;
	size_t size;
	int r = request_build(type, phase, event->json, event->json_size, &request, &size, error);

	if (r < 0)
		return r;
	decision->outcomes = calloc(config->n_hooks + 1, sizeof(*decision->outcomes));
	if (!decision->outcomes)
		return error_no_memory(error);
	for (size_t i = 0; i < config->n_hooks; i++) {
		const struct config_hook *hook = &config->hooks[i];
		struct hookbox_hook_outcome *outcome = &decision->outcomes[decision->n_outcomes];

		if (only ? hook != only : !hook_listens(hook, type, phase))
			continue;
		r = hook_run(hook, host_hook_sandbox(box, hook), request, size, event->cancel,
			     outcome, error);
		if (r < 0)
			return r;
		decision->n_outcomes++;
		if (outcome->verdict == HOOKBOX_DENY)
			break;
	}
	decision_settle(decision);
	return 0;
}

static int host_decide_new(struct hookbox *box, const struct config_hook *only,
			   enum hook_type type, const char *phase,
			   const struct hookbox_event *event, struct hookbox_decision **decision,
			   struct hookbox_error *error)
{
	struct hookbox_decision *made = calloc(1, sizeof(*made));
	int r;

	if (!made)
		return error_no_memory(error);
	r = host_decide(box, only, type, phase, event, made, error);
	if (r < 0) {
		hookbox_decision_free(made);
		return r;
	}
	*decision = made;
	return 0;
}

static int host_read_event(struct hookbox_event *event, const struct hookbox_event *theirs,
			   struct hookbox_error *error)
{
	int r = host_read_struct(event, sizeof(*event), theirs, "hookbox_event", error);

	if (!r && !event->json && event->json_size)
		return error_set(error, -EINVAL, "event.json is NULL but json_size is not 0");
	return r;
}

int hookbox_emit(struct hookbox *box, const struct hookbox_event *their_event,
		 struct hookbox_decision **decision, struct hookbox_error *error)
{
	struct hookbox_event event = {0};
	enum hook_type type;
	int r = host_read_event(&event, their_event, error);

	*decision = NULL;
	if (r < 0)
		return r;
	r = event_type(event.type ? event.type : "", &type, error);
	if (!r)
		r = event_phase_check(type, event.phase, error);
	if (r < 0)
		return r;
	return host_decide_new(box, NULL, type, event.phase, &event, decision, error);
}

static int host_find_hook(const struct hookbox *box, const char *name,
			  const struct config_hook **hook, struct hookbox_error *error)
{
	const struct config *config = host_config(box);
	_cleanup_strv_ struct strv names = {0};

	for (size_t i = 0; i < config->n_hooks; i++) {
		*hook = &config->hooks[i];
		if (!strcmp((*hook)->name, name))
			return 0;
		strv_add(&names, (*hook)->name);
	}
	if (names.failed)
		return error_no_memory(error);
	return near_error(error, -ENOENT, name, strv_view(&names), "no hook \"%s\" is configured",
			  name);
}

int hookbox_run(struct hookbox *box, const char *name, const struct hookbox_event *their_event,
		struct hookbox_decision **decision, struct hookbox_error *error)
{
	struct hookbox_event event = {0};
	const struct config_hook *hook = NULL;
	int r = host_read_event(&event, their_event, error);

	*decision = NULL;
	if (r < 0)
		return r;
	r = host_find_hook(box, name, &hook, error);
	if (r < 0)
		return r;
	if (event.type && strcmp(event.type, hook_type_name(hook->type)))
		return error_set(error, -EINVAL, "hook \"%s\" is of type %s, not %s", name,
				 hook_type_name(hook->type), event.type);
	r = event_phase_of_hook(hook, &event.phase, error);
	if (r < 0)
		return r;
	return host_decide_new(box, hook, hook->type, event.phase, &event, decision, error);
}
