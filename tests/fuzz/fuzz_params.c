/* SPDX-License-Identifier: MIT */
/* Values of a backend's keys: one line of the input for each, the first byte chooses the key. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_VALUES_MAX 64
#define BASE "/base"

struct instance {
	bool flag;
	uint64_t number;
	uint64_t size;
	int64_t wait;
	const char *string;
	const char *word;
	const char *path;
	const char *program;
	struct sandbox_list list;
	struct sandbox_mount_list mounts;
};

#define PARAM(field, kind, bits)                                                                   \
	{                                                                                          \
		.key = #field, .type = (kind), .flags = (bits), .help = "help",                    \
		.offset = offsetof(struct instance, field),                                        \
	}

static const struct sandbox_param params[] = {
	PARAM(flag, SANDBOX_BOOL, 0),	  PARAM(number, SANDBOX_UINT, 0),
	PARAM(size, SANDBOX_SIZE, 0),	  PARAM(wait, SANDBOX_DURATION, 0),
	PARAM(string, SANDBOX_STRING, 0), PARAM(word, SANDBOX_STRING, SANDBOX_PARAM_WORD),
	PARAM(path, SANDBOX_PATH, 0),	  PARAM(program, SANDBOX_PROGRAM, 0),
	PARAM(list, SANDBOX_LIST, 0),	  PARAM(mounts, SANDBOX_MOUNT_LIST, 0),
};
#define N_PARAMS (sizeof(params) / sizeof(params[0]))

static const struct sandbox_plugin_v1 plugin = {
	.name = "fuzzed",
	.params = params,
	.n_params = N_PARAMS,
	.param_size = sizeof(params[0]),
	.instance_size = sizeof(struct instance),
};

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_path(const char *path)
{
	require(!path || (path[0] == '/' && param_text_ok(path)));
}

static void check_instance(const struct instance *instance)
{
	require(instance->wait >= 0);
	require(!instance->string || param_text_ok(instance->string));
	require(!instance->word || (param_text_ok(instance->word) && instance->word[0] != '-'));
	check_path(instance->path);
	require(!instance->program || !strchr(instance->program, '/') ||
		instance->program[0] == '/');
	for (size_t i = 0; i < instance->list.n; i++)
		require(param_text_ok(instance->list.v[i]));
	for (size_t i = 0; i < instance->mounts.n; i++) {
		const struct sandbox_mount *mount = &instance->mounts.v[i];

		require(mount->host_path && mount->box_path);
		check_path(mount->host_path);
		check_path(mount->box_path);
		require(!strchr(mount->host_path, ':') && !strchr(mount->box_path, ':'));
	}
}

/* With a base directory and without one, where relative paths must be refused. */
static void fill(const char *key, const char *const *values, size_t n, const char *base_dir)
{
	const struct param_value value = {
		.key = key,
		.values = values,
		.n_values = n,
		.where = "fuzz:1",
		.base_dir = base_dir,
	};
	struct hookbox_error error = {0};
	struct param_store *store = NULL;
	void *instance = NULL;

	if (!params_fill(&plugin, &value, 1, "fuzz", &instance, &store, &error))
		check_instance(instance);
	else
		require(!instance && !store && error.code < 0 &&
			!strncmp(error.message, "fuzz:1: ", 8));
	if (instance)
		params_free(instance, store);
}

/* What one parser takes, written out plainly, it takes again. */
static void check_scalars(const char *text)
{
	uint64_t number = 1, again = 0;
	int64_t ms = 1;
	bool flag;
	char plain[32];

	(void)param_parse_bool(text, &flag);
	if (!param_parse_duration(text, &ms))
		require(ms >= 0);
	if (!param_parse_uint(text, &number)) {
		snprintf(plain, sizeof(plain), "%llu", (unsigned long long)number);
		require(!param_parse_size(plain, &again) && again == number);
	}
	if (!param_parse_size(text, &number)) {
		snprintf(plain, sizeof(plain), "%llu", (unsigned long long)number);
		require(!param_parse_uint(plain, &again) && again == number);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *values[N_VALUES_MAX];
	size_t n = 0;
	char *text, *rest, *line;

	if (!size)
		return 0;
	text = malloc(size);
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	rest = text;
	while (n < N_VALUES_MAX && (line = strsep(&rest, "\n")))
		values[n++] = line;
	fill(params[data[0] % N_PARAMS].key, values, n, BASE);
	fill(params[data[0] % N_PARAMS].key, values, n, NULL);
	check_scalars(text);
	free(text);
	return 0;
}
