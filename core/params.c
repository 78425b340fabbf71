/* SPDX-License-Identifier: MIT */
/* A backend's parameter table, and an instance filled from it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "near.h"
#include "params_store.h"
#include "plugin.h"

static const char *const reserved[] = {
	"mode", "env", "workdir", "shell", "timeout_ms", "stdout_limit", "stderr_limit", "agent",
	"agent_idle", "pool", "pool_max_age", "multiplex", "network_keeper", NULL,
};

static const struct {
	const char *name;
	size_t size;	/* of the value in the instance */
} types[] = {
	[SANDBOX_BOOL] = {"bool", sizeof(bool)},
	[SANDBOX_UINT] = {"uint", sizeof(uint64_t)},
	[SANDBOX_SIZE] = {"size", sizeof(uint64_t)},
	[SANDBOX_DURATION] = {"duration", sizeof(int64_t)},
	[SANDBOX_STRING] = {"string", sizeof(char *)},
	[SANDBOX_PATH] = {"path", sizeof(char *)},
	[SANDBOX_PROGRAM] = {"program", sizeof(char *)},
	[SANDBOX_LIST] = {"list", sizeof(struct sandbox_list)},
	[SANDBOX_MOUNT_LIST] = {"mounts", sizeof(struct sandbox_mount_list)},
};
#define N_TYPES (sizeof(types) / sizeof(types[0]))

/* ---- The table ---- */

void param_get(const struct sandbox_plugin_v1 *plugin, uint32_t i, struct sandbox_param *param)
{
	size_t size = plugin->param_size < sizeof(*param) ? plugin->param_size : sizeof(*param);

	memset(param, 0, sizeof(*param));
	memcpy(param, (const char *)plugin->params + (size_t)i * plugin->param_size, size);
}

bool param_find(const struct sandbox_plugin_v1 *plugin, const char *key,
		struct sandbox_param *param)
{
	for (uint32_t i = 0; i < plugin->n_params; i++) {
		param_get(plugin, i, param);
		if (!strcmp(param->key, key))
			return true;
	}
	return false;
}

bool param_reserved(const char *key)
{
	for (const char *const *word = reserved; *word; word++)
		if (!strcmp(*word, key))
			return true;
	return !strncmp(key, "hookbox", 7);
}

const char *param_type_name(uint32_t type)
{
	return type > 0 && type < N_TYPES ? types[type].name : "unknown";
}

static bool is_list(uint32_t type)
{
	return type == SANDBOX_LIST || type == SANDBOX_MOUNT_LIST;
}

static bool fits(const struct sandbox_plugin_v1 *plugin, size_t offset, size_t size)
{
	return offset <= plugin->instance_size && size <= plugin->instance_size - offset;
}

/* Fills one parameter of a scratch instance with its default, to see that it parses. */
static int check_default(const struct sandbox_plugin_v1 *plugin, const struct sandbox_param *param,
			 struct hookbox_error *error)
{
	_cleanup_free_ void *instance = calloc(1, plugin->instance_size);
	struct param_store *store = param_store_new();
	int code;

	if (!instance || !store) {
		param_store_free(store);
		return error_no_memory(error);
	}
	code = param_store_set(store, param, &param->dflt, 1, "default", "/", instance, error);
	param_store_free(store);
	return code;
}

static int check_param(const struct sandbox_plugin_v1 *plugin, uint32_t i,
		       struct hookbox_error *error)
{
	struct sandbox_param param, other;

	param_get(plugin, i, &param);
	if (!param.key || !plugin_name_ok(param.key))
		return error_set(error, -EINVAL, "parameter %u has no key of the form [a-z][a-z0-9_]*", i);
	if (param_reserved(param.key))
		return error_set(error, -EINVAL, "parameter \"%s\" has a key that belongs to hookbox; "
				 "rename it", param.key);
	if (!param.type || param.type >= N_TYPES)
		return error_set(error, -EINVAL, "parameter \"%s\" has the type %u, which this hookbox does "
				 "not know; update hookbox", param.key, param.type);
	if (!param.help || !param.help[0])
		return error_set(error, -EINVAL, "parameter \"%s\" has no help", param.key);
	if (!fits(plugin, param.offset, types[param.type].size) ||
	    (param.set_offset && !fits(plugin, param.set_offset, sizeof(bool))))
		return error_set(error, -EINVAL, "parameter \"%s\" lies outside of the instance: check "
				 "offset and instance_size", param.key);
	if (param.dflt && (param.flags & SANDBOX_PARAM_REQUIRED))
		return error_set(error, -EINVAL, "parameter \"%s\" is required and has a default: drop one",
				 param.key);
	for (uint32_t j = 0; j < i; j++) {
		param_get(plugin, j, &other);
		if (!strcmp(other.key, param.key))
			return error_set(error, -EINVAL, "parameter \"%s\" is in the table twice", param.key);
	}
	return param.dflt ? check_default(plugin, &param, error) : 0;
}

int params_check(const struct sandbox_plugin_v1 *plugin, struct hookbox_error *error)
{
	if (!plugin->n_params)
		return 0;
	if (!plugin->params)
		return error_set(error, -EINVAL, "n_params is %u but params is NULL", plugin->n_params);
	if (plugin->param_size < offsetof(struct sandbox_param, metavar))
		return error_set(error, -EINVAL, "param_size is %u; set it to sizeof(struct sandbox_param)",
				 plugin->param_size);
	for (uint32_t i = 0; i < plugin->n_params; i++) {
		int code = check_param(plugin, i, error);

		if (code)
			return code;
	}
	return 0;
}

/* ---- Filling ---- */

static int unknown_key(const struct sandbox_plugin_v1 *plugin, const struct param_value *value,
		       struct hookbox_error *error)
{
	_cleanup_strv_ struct strv keys = {0};

	for (uint32_t i = 0; i < plugin->n_params; i++) {
		struct sandbox_param param;

		param_get(plugin, i, &param);
		strv_add(&keys, param.key);
	}
	for (const char *const *word = reserved; *word; word++)
		strv_add(&keys, *word);
	return near_error(error, -EINVAL, value->key, strv_view(&keys),
			  "%s: %s has no such parameter", value->where, plugin->name);
}

static int fill_value(const struct sandbox_plugin_v1 *plugin, const struct param_value *value,
		      void *instance, struct param_store *store, struct hookbox_error *error)
{
	struct sandbox_param param;

	if (!param_find(plugin, value->key, &param))
		return unknown_key(plugin, value, error);
	if (value->n_values != 1 && !is_list(param.type))
		return error_set(error, -EINVAL, "%s: it stands here more than once; keep one", value->where);
	if (param.set_offset)
		*(bool *)((char *)instance + param.set_offset) = true;
	return param_store_set(store, &param, value->values, value->n_values, value->where,
			       value->base_dir, instance, error);
}

static const struct param_value *find_value(const struct param_value *values, size_t n,
					    const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(values[i].key, key))
			return &values[i];
	return NULL;
}

static int fill_defaults(const struct sandbox_plugin_v1 *plugin, const struct param_value *values,
			 size_t n_values, const char *where, void *instance,
			 struct param_store *store, struct hookbox_error *error)
{
	for (uint32_t i = 0; i < plugin->n_params; i++) {
		struct sandbox_param param;
		int code = 0;

		param_get(plugin, i, &param);
		if (find_value(values, n_values, param.key))
			continue;
		if (param.flags & SANDBOX_PARAM_REQUIRED)
			return error_set(error, -EINVAL, "%s: %s needs the key \"%s\": %s; add \"%s = ...\"",
					 where, plugin->name, param.key, param.help, param.key);
		if (param.dflt)
			code = param_store_set(store, &param, &param.dflt, 1, where, NULL, instance, error);
		if (code)
			return code;
	}
	return 0;
}

int params_fill(const struct sandbox_plugin_v1 *plugin, const struct param_value *values,
		size_t n_values, const char *where, void **instance_result,
		struct param_store **store_result, struct hookbox_error *error)
{
	size_t size = plugin->instance_size ? plugin->instance_size : 1;
	void *instance = calloc(1, size);
	struct param_store *store = param_store_new();
	int code = instance && store ? 0 : error_no_memory(error);

	for (size_t i = 0; i < n_values && !code; i++)
		code = fill_value(plugin, &values[i], instance, store, error);
	if (!code)
		code = fill_defaults(plugin, values, n_values, where, instance, store, error);
	if (code) {
		params_free(instance, store);
		return code;
	}
	*instance_result = instance;
	*store_result = store;
	return 0;
}

void params_free(void *instance, struct param_store *store)
{
	free(instance);
	param_store_free(store);
}
