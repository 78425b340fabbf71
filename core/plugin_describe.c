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
#include "text.h"

#define INSPECT_LIMIT (1024 * 1024)
#define INSPECT_SENTENCE 1000

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
		{SANDBOX_TRUNK, "trunk"},
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
	return json_pack("{s:s, s:s, s:b, s:b, s:s?, s:s, s:s?}", "key", param.key, "type",
			 param_type_name(param.type), "required",
			 (param.flags & SANDBOX_PARAM_REQUIRED) != 0, "secret",
			 (param.flags & SANDBOX_PARAM_SECRET) != 0, "default", param.dflt, "help",
			 param.help, "metavar", param.metavar);
}

static json_t *describe_extensions(const struct sandbox_plugin_v1 *plugin)
{
	static const char *const ids[] = {
		SANDBOX_BOX_EXTENSION,
		SANDBOX_RUN_EXTENSION,
		SANDBOX_PROBE_EXTENSION,
	};
	json_t *array = json_array();

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		if (plugin_extension(plugin, ids[i]))
			json_array_append_new(array, json_string(ids[i]));
	return array;
}

/* NULL when a text of the table is no UTF-8. */
static json_t *describe_params(const struct sandbox_plugin_v1 *plugin)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < plugin->n_params; i++) {
		if (json_array_append_new(array, describe_param(plugin, i))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

int plugin_describe(const struct sandbox_plugin_v1 *plugin, char **json,
		    struct hookbox_error *error)
{
	json_t *params = describe_params(plugin);
	json_t *object = json_pack("{s:s, s:s, s:s, s:i}", "name", plugin->name, "version",
				   plugin->version, "summary", plugin->summary, "abi", 1);

	*json = NULL;
	if (object && params) {
		json_object_set_new(object, "flags", describe_flags(plugin->flags));
		json_object_set(object, "params", params);
		json_object_set_new(object, "extensions", describe_extensions(plugin));
		*json = json_dumps(object, JSON_COMPACT);
	}
	json_decref(params);
	json_decref(object);
	if (!*json)
		return error_set(error, -EINVAL, "the plugin \"%s\" has a text that is no UTF-8",
				 plugin->name);
	return 0;
}

/* The sentence with which our own code in the child refused the plugin; it holds the path. */
static bool inspect_refused(const char *path, const struct spawn_capture *capture,
			    struct buf *sentence)
{
	if (capture->result.status != 1 || !capture->err.size ||
	    !memmem(capture->err.data, capture->err.size, path, strlen(path)))
		return false;
	text_add_last_line(sentence, capture->err.data, capture->err.size, INSPECT_SENTENCE);
	return sentence->size > 0;
}

/* How the child that looked at the plugin came to grief. */
static int inspect_failed(const char *path, int64_t timeout_ms, const struct spawn_capture *capture,
			  struct hookbox_error *error)
{
	const struct spawn_result *result = &capture->result;
	_cleanup_buf_ struct buf sentence = {0};
	const char *signal_name;

	if (result->end == SPAWN_EXITED && inspect_refused(path, capture, &sentence))
		return error_set(error, -EINVAL, "%s", sentence.data);
	if (result->end == SPAWN_EXITED)
		return error_set(error, -EINVAL,
				 "the plugin \"%s\" ended its loader with status %d; its "
				 "constructor must not exit",
				 path, result->status);
	signal_name = sigdescr_np(result->status);
	if (result->end == SPAWN_SIGNALED)
		return error_set(error, -EINVAL,
				 "the plugin \"%s\" crashed when it was loaded (signal %d, %s); "
				 "check its constructors",
				 path, result->status,
				 signal_name ? signal_name : "a real-time signal");
	if (result->end == SPAWN_TIMED_OUT)
		return error_set(error, -ETIMEDOUT,
				 "the plugin \"%s\" had not loaded after %lld ms; its "
				 "constructor hangs",
				 path, (long long)timeout_ms);
	return error_set(error, -EIO, "the plugin \"%s\" cannot be inspected: %s", path,
			 result->message);
}

int plugin_inspect(const char *program, const char *path, int64_t timeout_ms, char **json,
		   struct hookbox_error *error)
{
	const char *const argv[] = {program, "--inspect-plugin", path, NULL};
	const struct spawn_command command = {
		.argv = argv,
		.env = (const char *const *)environ,
		.timeout_ms = timeout_ms,
		.limit = INSPECT_LIMIT,
	};
	struct spawn_capture capture = {0};
	json_t *object = NULL;
	int code = 0;

	spawn_run_captured(&command, &capture);
	if (capture.result.end != SPAWN_EXITED || capture.result.status || !capture.out.size)
		code = inspect_failed(path, timeout_ms, &capture, error);
	else
		object = json_loadb(capture.out.data, capture.out.size, 0, NULL);
	if (!code && !json_is_object(object))
		code = error_set(error, -EINVAL,
				 "the plugin \"%s\" wrote on stdout when it was loaded; its "
				 "constructor must not",
				 path);
	if (!code) {
		*json = json_dumps(object, JSON_COMPACT);
		code = *json ? 0 : error_no_memory(error);
	}
	json_decref(object);
	spawn_capture_free(&capture);
	return code;
}
