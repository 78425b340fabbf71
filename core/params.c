/* SPDX-License-Identifier: MIT */
/* A backend's parameter table, and an instance filled from it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "near.h"
#include "params_store.h"
#include "plugin.h"

/* The host's own keys of a [sandbox], and those that later releases will give a meaning. */
static const struct {
	const char *key;
	bool later;
} reserved[] = {
	{"mode"},
	{"env"},
	{"workdir"},
	{"shell"},
	{"timeout_ms"},
	{"stdout_limit"},
	{"stderr_limit"},
	{"agent"},
	{"agent_idle"},
	{"pool"},
	{"pool_max_age"},
	{"socket"},
	{"multiplex", true},
	{"network_keeper", true},
};
#define N_RESERVED (sizeof(reserved) / sizeof(reserved[0]))

#define TYPE(name, type)                                                                           \
	{                                                                                          \
		name, sizeof(type), _Alignof(type)                                                 \
	}
static const struct {
	const char *name;
	size_t size; /* of the value in the instance */
	size_t align;
} types[] = {
	[SANDBOX_BOOL] = TYPE("bool", bool),
	[SANDBOX_UINT] = TYPE("uint", uint64_t),
	[SANDBOX_SIZE] = TYPE("size", uint64_t),
	[SANDBOX_DURATION] = TYPE("duration", int64_t),
	[SANDBOX_STRING] = TYPE("string", char *),
	[SANDBOX_PATH] = TYPE("path", char *),
	[SANDBOX_PROGRAM] = TYPE("program", char *),
	[SANDBOX_LIST] = TYPE("list", struct sandbox_list),
	[SANDBOX_MOUNT_LIST] = TYPE("mounts", struct sandbox_mount_list),
};
#define N_TYPES (sizeof(types) / sizeof(types[0]))

/* More than any backend has: a larger table is a mistake in its numbers. */
#define N_PARAMS_MAX 256
#define PARAM_SIZE_MAX 1024
#define MUST_UNDERSTAND 0xffff0000u

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
	for (size_t i = 0; i < N_RESERVED; i++)
		if (!strcmp(reserved[i].key, key))
			return true;
	return !strncmp(key, "hookbox", 7);
}

bool param_text_ok(const char *text)
{
	if (!text || !*text)
		return false;
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c < ' ' || *c == 127)
			return false;
	return true;
}

const char *param_type_name(uint32_t type)
{
	return type > 0 && type < N_TYPES ? types[type].name : "unknown";
}

static bool is_list(uint32_t type)
{
	return type == SANDBOX_LIST || type == SANDBOX_MOUNT_LIST;
}

/* ---- Checking the table ---- */

/* Where the parameter writes: its value, and its set_offset when it has one. */
struct place {
	size_t begin;
	size_t size;
	size_t align;
};

static size_t param_places(const struct sandbox_param *param, struct place places[2])
{
	places[0] =
		(struct place){param->offset, types[param->type].size, types[param->type].align};
	places[1] = (struct place){param->set_offset, sizeof(bool), _Alignof(bool)};
	return param->set_offset ? 2 : 1;
}

static bool places_overlap(const struct sandbox_param *a, const struct sandbox_param *b)
{
	struct place of_a[2], of_b[2];
	size_t n_a = param_places(a, of_a), n_b = param_places(b, of_b);

	for (size_t i = 0; i < n_a; i++)
		for (size_t j = 0; j < n_b; j++)
			if (of_a[i].begin < of_b[j].begin + of_b[j].size &&
			    of_b[j].begin < of_a[i].begin + of_a[i].size)
				return true;
	return false;
}

static int check_places(const struct sandbox_plugin_v1 *plugin, const struct sandbox_param *param,
			struct hookbox_error *error)
{
	struct place places[2];
	size_t n = param_places(param, places);

	for (size_t i = 0; i < n; i++)
		if (places[i].begin > plugin->instance_size ||
		    places[i].size > plugin->instance_size - places[i].begin ||
		    places[i].begin % places[i].align)
			return error_set(error, -EINVAL,
					 "parameter \"%s\" does not lie in the instance: "
					 "check offset, set_offset and instance_size",
					 param->key);
	if (n == 2 && places[1].begin - places[0].begin < places[0].size)
		return error_set(error, -EINVAL,
				 "parameter \"%s\" has its set_offset in its own value",
				 param->key);
	return 0;
}

/* Against those before it. */
static int check_unique(const struct sandbox_plugin_v1 *plugin, const struct sandbox_param *param,
			uint32_t i, struct hookbox_error *error)
{
	for (uint32_t j = 0; j < i; j++) {
		struct sandbox_param other;

		param_get(plugin, j, &other);
		if (!strcmp(other.key, param->key))
			return error_set(error, -EINVAL, "parameter \"%s\" is in the table twice",
					 param->key);
		if (places_overlap(&other, param))
			return error_set(error, -EINVAL,
					 "parameter \"%s\" has the place of \"%s\" in the "
					 "instance: check its offsets",
					 param->key, other.key);
	}
	return 0;
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
	code = param_store_set(store, param, &param->dflt, 1, "its default", NULL, instance, error);
	param_store_free(store);
	return code ? error_prefix(error, "parameter \"%s\"", param->key) : 0;
}

static int check_entry(const struct sandbox_param *param, uint32_t i, struct hookbox_error *error)
{
	if (!param->key || !plugin_name_ok(param->key))
		return error_set(error, -EINVAL,
				 "parameter %u has no key of the form [a-z][a-z0-9_]*", i);
	if (param_reserved(param->key))
		return error_set(error, -EINVAL,
				 "parameter \"%s\" has a key that belongs to hookbox; "
				 "rename it",
				 param->key);
	if (!param->type || param->type >= N_TYPES)
		return error_set(error, -EINVAL,
				 "parameter \"%s\" has the type %u, which this hookbox does "
				 "not know; update hookbox",
				 param->key, param->type);
	if (param->flags & MUST_UNDERSTAND)
		return error_set(error, -EINVAL,
				 "parameter \"%s\" has flags (%#x) that this hookbox does "
				 "not know; update hookbox",
				 param->key, param->flags & MUST_UNDERSTAND);
	if (!param_text_ok(param->help) || (param->metavar && !param_text_ok(param->metavar)))
		return error_set(error, -EINVAL,
				 "parameter \"%s\": help, and metavar if there is one, must "
				 "each be one line of text",
				 param->key);
	if (param->dflt && (param->flags & SANDBOX_PARAM_REQUIRED))
		return error_set(error, -EINVAL,
				 "parameter \"%s\" is required and has a default: drop one",
				 param->key);
	return 0;
}

static int check_param(const struct sandbox_plugin_v1 *plugin, uint32_t i,
		       struct hookbox_error *error)
{
	struct sandbox_param param;
	int code;

	param_get(plugin, i, &param);
	code = check_entry(&param, i, error);
	if (!code)
		code = check_places(plugin, &param, error);
	if (!code)
		code = check_unique(plugin, &param, i, error);
	return code || !param.dflt ? code : check_default(plugin, &param, error);
}

int params_check(const struct sandbox_plugin_v1 *plugin, struct hookbox_error *error)
{
	if (!plugin->n_params)
		return 0;
	if (!plugin->params)
		return error_set(error, -EINVAL, "n_params is %u but params is NULL",
				 plugin->n_params);
	if (plugin->n_params > N_PARAMS_MAX)
		return error_set(error, -EINVAL, "n_params is %u, which is more than %d",
				 plugin->n_params, N_PARAMS_MAX);
	if (plugin->param_size < offsetof(struct sandbox_param, metavar) ||
	    plugin->param_size > PARAM_SIZE_MAX || plugin->param_size % _Alignof(void *))
		return error_set(error, -EINVAL,
				 "param_size is %u; set it to sizeof(struct sandbox_param)",
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

	if (param_reserved(value->key))
		return error_set(error, -EINVAL,
				 "%s: this release of hookbox does not have the key yet; "
				 "remove it",
				 value->where);
	for (uint32_t i = 0; i < plugin->n_params; i++) {
		struct sandbox_param param;

		param_get(plugin, i, &param);
		strv_add(&keys, param.key);
	}
	for (size_t i = 0; i < N_RESERVED; i++)
		if (!reserved[i].later)
			strv_add(&keys, reserved[i].key);
	if (keys.failed)
		return error_no_memory(error);
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
		return error_set(error, -EINVAL,
				 "%s: it must stand here once, but does so %zu times; keep "
				 "one",
				 value->where, value->n_values);
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
			return error_set(error, -EINVAL,
					 "%s: %s needs the key \"%s\": %s; add \"%s = ...\"", where,
					 plugin->name, param.key, param.help, param.key);
		if (param.dflt)
			code = param_store_set(store, &param, &param.dflt, 1, where, NULL, instance,
					       error);
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
