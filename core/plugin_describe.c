/* SPDX-License-Identifier: MIT */
/* What a backend says of itself, as JSON. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "plugin.h"
#include "spawn.h"

#define INSPECT_MS 10000
#define INSPECT_LIMIT (1024 * 1024)

static json_t *describe_flags(uint64_t flags)
{
	static const struct {
		uint64_t flag;
		const char *word;
	} words[] = {
		{SANDBOX_FRESH, "fresh"},
		{SANDBOX_KEPT, "kept"},
		{SANDBOX_MOUNTS, "mounts"},
		{SANDBOX_SIGNALS_AS_128N, "signals_as_128n"},
		{SANDBOX_SHELL, "shell"},
		{SANDBOX_ENDS_WITH_PROCESS, "ends_with_process"},
		{SANDBOX_HOST_PROCESS, "host_process"},
	};
	json_t *array = json_array();

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (flags & words[i].flag)
			json_array_append_new(array, json_string(words[i].word));
	return array;
}

static json_t *describe_param(const struct sandbox_plugin_v1 *plugin, uint32_t i)
{
	struct sandbox_param param;

	param_get(plugin, i, &param);
	return json_pack("{s:s, s:s, s:b, s:b, s:s?, s:s, s:s?}",
			 "key", param.key, "type", param_type_name(param.type),
			 "required", (param.flags & SANDBOX_PARAM_REQUIRED) != 0,
			 "secret", (param.flags & SANDBOX_PARAM_SECRET) != 0,
			 "default", param.dflt, "help", param.help, "metavar", param.metavar);
}

static json_t *describe_extensions(const struct sandbox_plugin_v1 *plugin)
{
	static const char *const ids[] = {
		SANDBOX_BOX_EXTENSION, SANDBOX_RUN_EXTENSION, SANDBOX_PROBE_EXTENSION,
	};
	json_t *array = json_array();

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		if (plugin_extension(plugin, ids[i]))
			json_array_append_new(array, json_string(ids[i]));
	return array;
}

int plugin_describe(const struct sandbox_plugin_v1 *plugin, char **json,
		    struct hookbox_error *error)
{
	json_t *params = json_array();
	json_t *object;

	for (uint32_t i = 0; i < plugin->n_params; i++)
		json_array_append_new(params, describe_param(plugin, i));
	object = json_pack("{s:s, s:s, s:s, s:i, s:o, s:o, s:o}",
			   "name", plugin->name, "version", plugin->version,
			   "summary", plugin->summary, "abi", 1,
			   "flags", describe_flags(plugin->flags), "params", params,
			   "extensions", describe_extensions(plugin));
	*json = object ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	if (!*json)
		return error_set(error, -EINVAL, "the plugin \"%s\" has a text that is no UTF-8", plugin->name);
	return 0;
}

/* How the child that looked at the plugin came to grief. */
static int inspect_failed(const char *path, const struct spawn_capture *capture,
			  struct hookbox_error *error)
{
	const struct spawn_result *result = &capture->result;
	const char *said = capture->err.size ? capture->err.data : "it gave no reason";

	if (result->end == SPAWN_EXITED && result->status == 1)
		return error_set(error, -EINVAL, "%.*s", (int)strcspn(said, "\n"), said);
	if (result->end == SPAWN_EXITED)
		return error_set(error, -EINVAL, "the plugin \"%s\" ended its loader with status %d; its "
				 "constructor must not exit", path, result->status);
	if (result->end == SPAWN_SIGNALED)
		return error_set(error, -EINVAL, "the plugin \"%s\" crashed when it was loaded (signal %d, %s); "
				 "check its constructors", path, result->status,
				 sigdescr_np(result->status));
	if (result->end == SPAWN_TIMED_OUT)
		return error_set(error, -ETIMEDOUT, "the plugin \"%s\" had not loaded after %d s; its "
				 "constructor hangs", path, INSPECT_MS / 1000);
	return error_set(error, -EIO, "the plugin \"%s\" cannot be inspected: %s", path, result->message);
}

int plugin_inspect(const char *program, const char *path, char **json, struct hookbox_error *error)
{
	const char *const argv[] = {program, "--inspect-plugin", path, NULL};
	const struct spawn_command command = {
		.argv = argv,
		.env = (const char *const *)environ,
		.timeout_ms = INSPECT_MS,
		.limit = INSPECT_LIMIT,
	};
	struct spawn_capture capture = {0};
	json_error_t reason;
	json_t *object = NULL;
	int code = 0;

	spawn_run_captured(&command, &capture);
	if (capture.result.end != SPAWN_EXITED || capture.result.status)
		code = inspect_failed(path, &capture, error);
	else if (!(object = json_loadb(capture.out.data ? capture.out.data : "", capture.out.size, 0,
				       &reason)))
		code = error_set(error, -EINVAL, "the plugin \"%s\" disturbed its loader's output: %s", path,
				 reason.text);
	if (!code) {
		*json = json_dumps(object, JSON_COMPACT);
		code = *json ? 0 : error_no_memory(error);
	}
	json_decref(object);
	spawn_capture_free(&capture);
	return code;
}
