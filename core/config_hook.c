/* SPDX-License-Identifier: MIT */
/* [hook NAME] */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "config_keys.h"
#include "near.h"

#define DEFAULT_TIMEOUT_MS 10000
#define MAX_TIMEOUT_MS 86400000

/* ---- Words ---- */

static const char *const provider_phases[] = {"before_call", "after_call", NULL};
static const char *const tool_phases[] = {"before_execution", "after_execution", NULL};
static const char *const session_phases[] = {"session_start", "session_update", "session_end",
					     NULL};
static const char *const no_phases[] = {NULL};

static const struct {
	const char *name;
	const char *const *phases;
} hook_types[] = {
	[HOOK_PROVIDER] = {"provider", provider_phases},
	[HOOK_TOOL] = {"tool", tool_phases},
	[HOOK_SESSION] = {"session", session_phases},
	[HOOK_EVAL] = {"eval", no_phases},
};

const char *hook_type_name(enum hook_type type)
{
	return hook_types[type].name;
}

enum hook_type hook_type_from(const char *name)
{
	for (enum hook_type type = HOOK_PROVIDER; type <= HOOK_EVAL; type++)
		if (!strcmp(hook_types[type].name, name))
			return type;
	return 0;
}

const char *const *hook_type_phases(enum hook_type type)
{
	return hook_types[type].phases;
}

const char *hook_mode_name(enum hook_mode mode)
{
	return mode == HOOK_OBSERVE ? "observe" : "filter";
}

/* ---- Setters ---- */

static int set_command(const struct key_place *place, void *settings)
{
	struct config_hook *hook = settings;
	const char *text = NULL;
	int code = key_scalar(place, &text);

	if (code)
		return code;
	if (text[0] == '-')
		return key_error(place,
				 "\"%s\" begins with a dash; name the command with its directory",
				 text);
	if (strcspn(text, " \t") < strcspn(text, "/"))
		return key_error(
			place,
			"\"%s\" is not split at blanks; name one program here, and put what "
			"follows it into args",
			text);
	if (strchr(text, '/') || text[0] == '~')
		return key_path(place, text, &hook->command);
	hook->command = strdup(text);
	return hook->command ? 0 : error_no_memory(place->error);
}

static int set_args(const struct key_place *place, void *settings)
{
	return key_list(place, &((struct config_hook *)settings)->args);
}

static int set_env(const struct key_place *place, void *settings)
{
	return key_env(place, &((struct config_hook *)settings)->env);
}

static int set_type(const struct key_place *place, void *settings)
{
	struct config_hook *hook = settings;
	const char *text = NULL;
	int code = key_scalar(place, &text);

	if (code)
		return code;
	hook->type = hook_type_from(text);
	return hook->type ? 0
			  : key_error(place,
				      "\"%s\" is no type of hook; write provider, tool, session "
				      "or eval",
				      text);
}

static int set_phases(const struct key_place *place, void *settings)
{
	return key_words(place, &((struct config_hook *)settings)->phases);
}

static int set_mode(const struct key_place *place, void *settings)
{
	struct config_hook *hook = settings;
	const char *text = NULL;
	int code = key_scalar(place, &text);

	if (code)
		return code;
	if (!strcmp(text, "filter"))
		hook->mode = HOOK_FILTER;
	else if (!strcmp(text, "observe"))
		hook->mode = HOOK_OBSERVE;
	else
		return key_error(place, "\"%s\" is neither filter nor observe", text);
	return 0;
}

static int set_timeout(const struct key_place *place, void *settings)
{
	return key_time(place, 1, MAX_TIMEOUT_MS, &((struct config_hook *)settings)->timeout_ms);
}

static int set_sandbox(const struct key_place *place, void *settings)
{
	return key_string(place, &((struct config_hook *)settings)->sandbox);
}

/* The bit of a failure's word. */
static int find_cause(const struct key_place *place, const char *word, cause_set *bit)
{
	const char *words[HOOKBOX_CAUSE_BAD_ANSWER + 1] = {NULL};

	for (int cause = HOOKBOX_CAUSE_EXIT; cause <= HOOKBOX_CAUSE_BAD_ANSWER; cause++) {
		words[cause - HOOKBOX_CAUSE_EXIT] = hookbox_cause_name(cause);
		if (!strcmp(hookbox_cause_name(cause), word)) {
			*bit = 1u << cause;
			return 0;
		}
	}
	return near_error(place->error, -EINVAL, word, words,
			  "%s: [hook %s] on_error: \"%s\" is no cause", place->key->where,
			  place->section->name, word);
}

/* "CAUSE:allow" or "CAUSE:deny"; *named are the causes that were there before. */
static int set_on_error_cause(const struct key_place *place, const char *word, cause_set *named,
			      cause_set *allow_on)
{
	_cleanup_free_ char *cause = strndup(word, strcspn(word, ":"));
	const char *verdict = word + strcspn(word, ":");
	cause_set bit = 0;
	int code;

	if (!cause)
		return error_no_memory(place->error);
	if (strcmp(verdict, ":allow") && strcmp(verdict, ":deny"))
		return key_error(place,
				 "\"%s\" is not understood; write deny, allow, or a list such as "
				 "timeout:allow, lost:deny",
				 word);
	code = find_cause(place, cause, &bit);
	if (code)
		return code;
	if (*named & bit)
		return key_error(place, "the cause %s stands twice; keep one of them", cause);
	*named |= bit;
	if (!strcmp(verdict, ":allow"))
		*allow_on |= bit;
	return 0;
}

static int set_on_error(const struct key_place *place, void *settings)
{
	struct config_hook *hook = settings;
	_cleanup_strv_ struct strv words = {0};
	cause_set named = 0;
	int code = key_words(place, &words);

	if (!code && words.n == 1 && !strcmp(words.v[0], "deny"))
		return 0;
	if (!code && words.n == 1 && !strcmp(words.v[0], "allow")) {
		for (int cause = HOOKBOX_CAUSE_EXIT; cause <= HOOKBOX_CAUSE_BAD_ANSWER; cause++)
			hook->allow_on |= 1u << cause;
		return 0;
	}
	for (size_t i = 0; i < words.n && !code; i++)
		code = set_on_error_cause(place, words.v[i], &named, &hook->allow_on);
	return code;
}

static const struct key_setter setters[] = {
	{"command", set_command},
	{"args", set_args},
	{"env", set_env},
	{"hook", set_type},
	{"phases", set_phases},
	{"mode", set_mode},
	{"timeout_ms", set_timeout},
	{"on_error", set_on_error},
	{"sandbox", set_sandbox},
	{0},
};

/* ---- The section ---- */

static bool among(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(*words, word))
			return true;
	return false;
}

/* The phases must be of the hook's type; none named means all of them. */
static int check_phases(const struct ini_section *section, struct config_hook *hook,
			struct hookbox_error *error)
{
	const char *const *known = hook_type_phases(hook->type);
	const struct key_place place = {section, key_named(section, "phases"), error};

	if (hook->phases.n && !known[0])
		return key_error(&place, "an %s hook has none; remove the key",
				 hook_type_name(hook->type));
	for (size_t i = 0; i < hook->phases.n; i++)
		if (!among(hook->phases.v[i], known))
			return near_error(error, -EINVAL, hook->phases.v[i], known,
					  "%s: [hook %s] phases: \"%s\" is no phase of a %s hook",
					  place.key->where, hook->name, hook->phases.v[i],
					  hook_type_name(hook->type));
	if (!hook->phases.n)
		for (; *known; known++)
			strv_add(&hook->phases, *known);
	return hook->phases.failed ? error_no_memory(error) : 0;
}

static int complete_hook(const struct ini_section *section, struct config_hook *hook,
			 struct hookbox_error *error)
{
	if (!hook->command)
		return key_missing(section, "command", "name the program to run", error);
	if (!hook->type)
		return key_missing(section, "hook", "write hook = provider, tool, session or eval",
				   error);
	if (!hook->sandbox)
		hook->sandbox = strdup("direct");
	if (!hook->sandbox)
		return error_no_memory(error);
	return check_phases(section, hook, error);
}

int config_read_hook(const struct ini_section *section, struct config_hook *hook,
		     struct hookbox_error *error)
{
	int code = 0;

	if (!section->name || !config_name_ok(section->name))
		return error_set(error, -EINVAL,
				 "%s: [hook %s]: a hook's name begins with a letter or a "
				 "digit; write [hook NAME]",
				 section->where, section->name ? section->name : "");
	hook->name = strdup(section->name);
	hook->where = strdup(section->where);
	if (!hook->name || !hook->where)
		return error_no_memory(error);
	hook->mode = HOOK_FILTER;
	hook->timeout_ms = DEFAULT_TIMEOUT_MS;
	for (size_t i = 0; i < section->n_keys && !code; i++) {
		struct key_place place = {section, &section->keys[i], error};
		const struct key_setter *setter = key_find(setters, place.key->key);

		code = setter ? setter->set(&place, hook) : key_unknown(&place, setters);
	}
	return code ? code : complete_hook(section, hook, error);
}

void config_hook_clear(struct config_hook *hook)
{
	free(hook->name);
	free(hook->where);
	free(hook->command);
	free(hook->sandbox);
	strv_free(&hook->args);
	strv_free(&hook->env);
	strv_free(&hook->phases);
}
