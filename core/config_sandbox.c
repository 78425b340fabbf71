/* SPDX-License-Identifier: MIT */
/* [sandbox NAME]: the host's keys; the backend's own are left to it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_keys.h"
#include "plugin.h"

static int set_mode(const struct key_place *place, void *settings)
{
	struct config_sandbox *sandbox = settings;
	int code = key_string(place, &sandbox->mode);

	if (code)
		return code;
	if (!plugin_name_ok(sandbox->mode))
		return key_error(place, "\"%s\" is no name of a backend; see `hookbox plugins list`",
				 sandbox->mode);
	return 0;
}

static int set_env(const struct key_place *place, void *settings)
{
	return key_env(place, &((struct config_sandbox *)settings)->env);
}

static int set_workdir(const struct key_place *place, void *settings)
{
	struct config_sandbox *sandbox = settings;
	int code = key_string(place, &sandbox->workdir);

	if (!code && sandbox->workdir[0] != '/')
		return key_error(place, "\"%s\" is not absolute; write the path in the sandbox from / on",
				 sandbox->workdir);
	return code;
}

static int set_shell(const struct key_place *place, void *settings)
{
	const char *text = NULL;
	int code = key_scalar(place, &text);

	if (code)
		return code;
	if (strcmp(text, "sh") && strcmp(text, "none"))
		return key_error(place, "\"%s\" is neither sh nor none", text);
	((struct config_sandbox *)settings)->shell = !strcmp(text, "sh");
	return 0;
}

static int set_timeout(const struct key_place *place, void *settings)
{
	return key_time(place, 0, 86400000, &((struct config_sandbox *)settings)->timeout_ms);
}

static int set_stdout_limit(const struct key_place *place, void *settings)
{
	return key_size(place, &((struct config_sandbox *)settings)->stdout_limit);
}

static int set_stderr_limit(const struct key_place *place, void *settings)
{
	return key_size(place, &((struct config_sandbox *)settings)->stderr_limit);
}

static const struct key_setter setters[] = {
	{"mode", set_mode},
	{"env", set_env},
	{"workdir", set_workdir},
	{"shell", set_shell},
	{"timeout_ms", set_timeout},
	{"stdout_limit", set_stdout_limit},
	{"stderr_limit", set_stderr_limit},
	{0},
};

/*
 * Keeps a key for the backend. "MODE.key" counts for that mode alone, so that a section can hold
 * the keys of several and the mode be changed in one line.
 */
static int keep_param(const struct key_place *place, struct config_sandbox *sandbox)
{
	const char *dot = strchr(place->key->key, '.');
	struct ini_key param = *place->key;
	struct ini_key *params;

	if (dot) {
		size_t length = (size_t)(dot - place->key->key);

		if (strlen(sandbox->mode) != length || strncmp(sandbox->mode, place->key->key, length))
			return 0;
		param.key += length + 1;
	}
	for (size_t i = 0; i < sandbox->n_params; i++)
		if (!strcmp(sandbox->params[i].key, param.key))
			return key_error(place, "it stands at %s already; keep one of them",
					 sandbox->params[i].where);
	params = reallocarray(sandbox->params, sandbox->n_params + 1, sizeof(*params));
	if (!params)
		return error_no_memory(place->error);
	sandbox->params = params;
	params[sandbox->n_params++] = param;
	return 0;
}

static int read_keys(const struct ini_section *section, struct config_sandbox *sandbox,
		     struct hookbox_error *error)
{
	int code = 0;

	for (size_t i = 0; i < section->n_keys && !code; i++) {
		struct key_place place = {section, &section->keys[i], error};
		const struct key_setter *setter = key_find(setters, place.key->key);

		if (setter)
			code = setter->set(&place, sandbox);
	}
	if (!code && !sandbox->mode)
		code = key_missing(section, "mode", "name a backend, such as mode = docker_run", error);
	for (size_t i = 0; i < section->n_keys && !code; i++) {
		struct key_place place = {section, &section->keys[i], error};

		if (!key_find(setters, place.key->key))
			code = keep_param(&place, sandbox);
	}
	return code;
}

int config_read_sandbox(const struct ini_section *section, struct config_sandbox *sandbox,
			struct hookbox_error *error)
{
	if (!section->name || !config_name_ok(section->name))
		return error_set(error, -EINVAL, "%s: [sandbox %s]: a sandbox's name is of letters, digits, "
				 "_, . and -, up to 48", section->where, section->name ? section->name : "");
	sandbox->shell = true;
	sandbox->name = strdup(section->name);
	sandbox->where = strdup(section->where);
	if (section->dir)
		sandbox->dir = strdup(section->dir);
	if (!sandbox->name || !sandbox->where || (section->dir && !sandbox->dir))
		return error_no_memory(error);
	if (read_keys(section, sandbox, error))
		return -EINVAL;
	if (!strcmp(sandbox->name, "direct") && strcmp(sandbox->mode, "direct"))
		return error_set(error, -EINVAL, "%s: [sandbox direct]: the name \"direct\" stands for no "
				 "isolation; give a sandbox with mode = %s another name", section->where,
				 sandbox->mode);
	return 0;
}

void config_sandbox_clear(struct config_sandbox *sandbox)
{
	free(sandbox->name);
	free(sandbox->where);
	free(sandbox->dir);
	free(sandbox->mode);
	free(sandbox->workdir);
	strv_free(&sandbox->env);
	free(sandbox->params);
}
