/* SPDX-License-Identifier: MIT */
/* [sandbox NAME]: the host's keys; the backend's own are left to it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "config_keys.h"
#include "plugin.h"

#define AGENT_IDLE_MS (5 * 60 * 1000)
#define POOL_MAX_AGE_MS (10 * 60 * 1000)

static int set_env(const struct key_place *place, void *settings)
{
	return key_env(place, &((struct config_sandbox *)settings)->env);
}

static int set_workdir(const struct key_place *place, void *settings)
{
	struct config_sandbox *sandbox = settings;
	int code = key_string(place, &sandbox->workdir);

	if (!code && sandbox->workdir[0] != '/')
		return key_error(place,
				 "\"%s\" is not absolute; write the path in the sandbox from / on",
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

static int set_agent(const struct key_place *place, void *settings)
{
	struct config_sandbox *sandbox = settings;
	const char *text = NULL;
	int code = key_scalar(place, &text);

	if (code)
		return code;
	sandbox->agent = strcmp(text, "off");
	if (!sandbox->agent || !strcmp(text, "auto"))
		return 0;
	if (text[0] != '/')
		return key_error(place, "\"%s\" is neither auto nor off nor an absolute path of an "
				 "agent in the sandbox", text);
	return key_string(place, &sandbox->agent_path);
}

static int set_agent_idle(const struct key_place *place, void *settings)
{
	return key_time(place, 10000, 86400000,
			&((struct config_sandbox *)settings)->agent_idle_ms);
}

static int set_multiplex(const struct key_place *place, void *settings)
{
	bool yes;
	int code = key_bool(place, &yes);

	if (!code)
		((struct config_sandbox *)settings)->multiplex = yes ? CONFIG_YES : CONFIG_NO;
	return code;
}

static int set_pool(const struct key_place *place, void *settings)
{
	const char *text = NULL;
	uint64_t number;
	int code = key_scalar(place, &text);

	if (code)
		return code;
	if (param_parse_uint(text, &number) || number > CONFIG_POOL_MAX)
		return key_error(place, "\"%s\" is no number of waiting boxes; write 0 to %d", text,
				 CONFIG_POOL_MAX);
	((struct config_sandbox *)settings)->pool = (unsigned int)number;
	return 0;
}

static int set_pool_max_age(const struct key_place *place, void *settings)
{
	struct config_sandbox *sandbox = settings;
	int code = key_time(place, 0, 86400000, &sandbox->pool_max_age_ms);

	if (!code && sandbox->pool_max_age_ms && sandbox->pool_max_age_ms < 1000)
		return key_error(place,
				 "a box needs longer than that to be made; write 1s or more, "
				 "or 0 for no limit");
	return code;
}

static int set_network_keeper(const struct key_place *place, void *settings)
{
	return key_bool(place, &((struct config_sandbox *)settings)->network_keeper);
}

static int set_socket(const struct key_place *place, void *settings)
{
	const char *text = NULL;
	int code = key_scalar(place, &text);

	if (code)
		return code;
	((struct config_sandbox *)settings)->socket = strcmp(text, "off");
	return strcmp(text, "off") && strcmp(text, "auto") ?
		       key_error(place, "\"%s\" is neither auto nor off", text) : 0;
}

static const struct key_setter setters[] = {
	{"agent", set_agent},
	{"agent_idle", set_agent_idle},
	{"env", set_env},
	{"multiplex", set_multiplex},
	{"network_keeper", set_network_keeper},
	{"pool", set_pool},
	{"pool_max_age", set_pool_max_age},
	{"socket", set_socket},
	{"workdir", set_workdir},
	{"shell", set_shell},
	{"timeout_ms", set_timeout},
	{"stdout_limit", set_stdout_limit},
	{"stderr_limit", set_stderr_limit},
	{0},
};

static int read_mode(const struct ini_section *section, struct config_sandbox *sandbox,
		     struct hookbox_error *error)
{
	const struct key_place place = {section, key_named(section, "mode"), error};
	int code;

	if (!place.key)
		return key_missing(section, "mode", "name a backend, such as mode = docker_run",
				   error);
	code = key_string(&place, &sandbox->mode);
	if (!code && !plugin_name_ok(sandbox->mode))
		return key_error(&place,
				 "\"%s\" is no name of a backend; see `hookbox plugins list`",
				 sandbox->mode);
	return code;
}

/* ---- Keys that count for one mode alone ---- */

/* *name is what the key counts as: the part of "MODE.key" behind the dot; NULL in other modes. */
static int name_for_mode(const struct key_place *place, const char *mode, char **name)
{
	char *dot = strchr(place->key->key, '.');
	_cleanup_free_ char *prefix = NULL;

	*name = place->key->key;
	if (!dot)
		return 0;
	prefix = strndup(place->key->key, (size_t)(dot - place->key->key));
	if (!prefix)
		return error_no_memory(place->error);
	if (!plugin_name_ok(prefix) || !dot[1] || strchr(dot + 1, '.'))
		return key_error(
			place, "a key with a dot is MODE.KEY, for one mode alone; name the backend "
			       "before the dot and its key behind it");
	*name = strcmp(prefix, mode) ? NULL : dot + 1;
	return 0;
}

/* Fills sandbox->params with the keys that count, under the names they count as. */
static int take_keys(const struct ini_section *section, struct config_sandbox *sandbox,
		     struct hookbox_error *error)
{
	sandbox->params = calloc(section->n_keys, sizeof(*sandbox->params));
	if (!sandbox->params)
		return error_no_memory(error);
	for (size_t i = 0; i < section->n_keys; i++) {
		struct ini_key key = section->keys[i];
		const struct key_place place = {section, &key, error};
		char *name;
		int code = name_for_mode(&place, sandbox->mode, &name);

		if (code)
			return code;
		if (!name)
			continue;
		key.key = name;
		for (size_t k = 0; k < sandbox->n_params; k++)
			if (!strcmp(sandbox->params[k].key, key.key))
				return key_error(&place,
						 "it stands at %s already; keep one of them",
						 sandbox->params[k].where);
		sandbox->params[sandbox->n_params++] = key;
	}
	return 0;
}

/* Takes the host's keys out of sandbox->params. */
static int set_host_keys(const struct ini_section *section, struct config_sandbox *sandbox,
			 struct hookbox_error *error)
{
	size_t kept = 0;
	int code = 0;

	for (size_t i = 0; i < sandbox->n_params && !code; i++) {
		const struct key_place place = {section, &sandbox->params[i], error};
		const struct key_setter *setter = key_find(setters, place.key->key);

		if (setter)
			code = setter->set(&place, sandbox);
		else if (strcmp(place.key->key, "mode"))
			sandbox->params[kept++] = sandbox->params[i];
	}
	sandbox->n_params = kept;
	return code;
}

static int read_keys(const struct ini_section *section, struct config_sandbox *sandbox,
		     struct hookbox_error *error)
{
	int code = read_mode(section, sandbox, error);

	if (!code)
		code = take_keys(section, sandbox, error);
	return code ? code : set_host_keys(section, sandbox, error);
}

int config_read_sandbox(const struct ini_section *section, struct config_sandbox *sandbox,
			struct hookbox_error *error)
{
	int code;

	if (!section->name || !config_name_ok(section->name))
		return error_set(error, -EINVAL,
				 "%s: [sandbox %s]: a sandbox's name begins with a letter or a "
				 "digit; write [sandbox NAME]",
				 section->where, section->name ? section->name : "");
	sandbox->section = section;
	sandbox->shell = sandbox->agent = sandbox->socket = true;
	sandbox->agent_idle_ms = AGENT_IDLE_MS;
	sandbox->pool_max_age_ms = POOL_MAX_AGE_MS;
	sandbox->name = strdup(section->name);
	sandbox->where = strdup(section->where);
	if (section->dir)
		sandbox->dir = strdup(section->dir);
	if (!sandbox->name || !sandbox->where || (section->dir && !sandbox->dir))
		return error_no_memory(error);
	code = read_keys(section, sandbox, error);
	if (code)
		return code;
	if (!strcmp(sandbox->name, "direct") && strcmp(sandbox->mode, "direct"))
		return error_set(error, -EINVAL,
				 "%s: [sandbox direct]: the name \"direct\" stands for no "
				 "isolation; give a sandbox with mode = %s another name",
				 section->where, sandbox->mode);
	return 0;
}

const char *config_key_where(const struct config_sandbox *sandbox, const char *key)
{
	const struct ini_section *section = sandbox->section;
	size_t length = strlen(sandbox->mode);

	for (size_t i = 0; section && i < section->n_keys; i++) {
		const char *name = section->keys[i].key;

		if (!strncmp(name, sandbox->mode, length) && name[length] == '.')
			name += length + 1;
		if (!strcmp(name, key))
			return section->keys[i].where;
	}
	return sandbox->where;
}

void config_sandbox_clear(struct config_sandbox *sandbox)
{
	free(sandbox->name);
	free(sandbox->where);
	free(sandbox->dir);
	free(sandbox->mode);
	free(sandbox->workdir);
	free(sandbox->agent_path);
	strv_free(&sandbox->env);
	free(sandbox->params);
}
