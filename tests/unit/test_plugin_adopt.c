/* SPDX-License-Identifier: MIT */
/* Descriptors that a program brings: what of them, and of their tables, is refused, and how. */
#include "unit.h"

#include "plugin.h"

struct instance {
	const char *word;
	uint64_t number;
	bool number_set;
	struct sandbox_list list;
};

static int plan(const void *instance, const struct sandbox_plan_request *request,
		const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	return 0;
}

static const struct sandbox_param good_params[] = {
	{.key = "word",
	 .type = SANDBOX_STRING,
	 .help = "a word",
	 .dflt = "w",
	 .offset = offsetof(struct instance, word)},
	{.key = "number",
	 .type = SANDBOX_UINT,
	 .help = "a number",
	 .offset = offsetof(struct instance, number),
	 .set_offset = offsetof(struct instance, number_set)},
};

static struct sandbox_plugin_v1 good(void)
{
	return (struct sandbox_plugin_v1){
		.magic = SANDBOX_PLUGIN_MAGIC,
		.struct_size = sizeof(struct sandbox_plugin_v1),
		.name = "brought",
		.version = "1",
		.summary = "A backend for tests",
		.flags = SANDBOX_FRESH,
		.params = good_params,
		.n_params = 2,
		.param_size = sizeof(struct sandbox_param),
		.instance_size = sizeof(struct instance),
		.plan = plan,
	};
}

static void refuse(const struct sandbox_plugin_v1 *raw, const char *message)
{
	const struct sandbox_plugin_v1 *plugin = NULL;
	struct hookbox_error error = {0};

	assert_int_equal(plugin_adopt(raw, "here", &plugin, &error), -EINVAL);
	assert_null(plugin);
	assert_int_equal(error.code, -EINVAL);
	assert_true(!strncmp(error.message, "here: ", 6));
	assert_contains(error.message, message);
}

static void test_descriptors(void **state)
{
	struct sandbox_plugin_v1 raw;

#define REFUSE(field, value, message)                                                              \
	do {                                                                                       \
		raw = good();                                                                      \
		raw.field = (value);                                                               \
		refuse(&raw, message);                                                             \
	} while (0)
	REFUSE(magic, 0x31786268, "its magic is 0x31786268");
	REFUSE(struct_size, offsetof(struct sandbox_plugin_v1, find_own_line) - 1, "at least");
	REFUSE(struct_size, 0, "struct_size is 0");
	REFUSE(name, NULL, "its name is not of the form");
	REFUSE(name, "", "its name is not of the form");
	REFUSE(name, "Docker", "its name is not of the form");
	REFUSE(name, "9p", "its name is not of the form");
	REFUSE(name, "a/b", "its name is not of the form");
	REFUSE(name, "abcdefghijklmnopqrstuvwxyzabcdefg", "up to 32 letters");
	REFUSE(version, NULL, "version and summary");
	REFUSE(summary, "two\nlines", "version and summary");
	REFUSE(summary, "", "version and summary");
	REFUSE(flags, 0, "SANDBOX_FRESH");
	REFUSE(flags, SANDBOX_FRESH | UINT64_C(1) << 32, "flags 0x100000000");
	REFUSE(flags, SANDBOX_FRESH | UINT64_C(1) << 63, "update hookbox");
	REFUSE(plan, NULL, "neither plan nor sandbox.run/1");
	REFUSE(params, NULL, "n_params is 2 but params is NULL");
	REFUSE(n_params, 257, "n_params is 257");
	REFUSE(param_size, 0, "param_size is 0");
	REFUSE(param_size, offsetof(struct sandbox_param, metavar) - 8,
	       "sizeof(struct sandbox_param)");
	REFUSE(param_size, sizeof(struct sandbox_param) + 1, "sizeof(struct sandbox_param)");
	REFUSE(param_size, 4096, "sizeof(struct sandbox_param)");
	REFUSE(instance_size, 0, "\"word\" does not lie in the instance");
	REFUSE(instance_size, offsetof(struct instance, number) + 7, "\"number\" does not lie");
#undef REFUSE
}

static void test_hints_are_ignored(void **state)
{
	struct sandbox_plugin_v1 raw = good();
	const struct sandbox_plugin_v1 *plugin;
	struct hookbox_error error = {0};

	raw.flags |= UINT64_C(1) << 31;
	assert_int_equal(plugin_adopt(&raw, "here", &plugin, &error), 0);
}

/* The table with its second entry changed. */
static void refuse_second(struct sandbox_param second, const char *message)
{
	const struct sandbox_param params[] = {good_params[0], second};
	struct sandbox_plugin_v1 raw = good();

	raw.params = params;
	refuse(&raw, message);
}

static void test_tables(void **state)
{
	struct sandbox_param param;

#define REFUSE(field, value, message)                                                              \
	do {                                                                                       \
		param = good_params[1];                                                            \
		param.field = (value);                                                             \
		refuse_second(param, message);                                                     \
	} while (0)
	REFUSE(key, NULL, "parameter 1 has no key");
	REFUSE(key, "Number", "parameter 1 has no key");
	REFUSE(key, "word", "\"word\" is in the table twice");
	REFUSE(key, "timeout_ms", "belongs to hookbox");
	REFUSE(key, "pool", "belongs to hookbox");
	REFUSE(key, "hookbox_number", "belongs to hookbox");
	REFUSE(type, 0, "has the type 0");
	REFUSE(type, SANDBOX_MOUNT_LIST + 1, "has the type 10, which this hookbox does not know");
	REFUSE(flags, 1u << 16, "flags (0x10000) that this hookbox does not know");
	REFUSE(help, NULL, "each be one line of text");
	REFUSE(help, "", "each be one line of text");
	REFUSE(help, "two\nlines", "each be one line of text");
	REFUSE(metavar, "", "each be one line of text");
	REFUSE(offset, sizeof(struct instance) - 4, "does not lie in the instance");
	REFUSE(offset, SIZE_MAX - 7, "does not lie in the instance");
	REFUSE(offset, offsetof(struct instance, number) + 1, "does not lie in the instance");
	REFUSE(offset, offsetof(struct instance, word), "has the place of \"word\"");
	REFUSE(set_offset, sizeof(struct instance), "does not lie in the instance");
	REFUSE(set_offset, offsetof(struct instance, word) + 3, "has the place of \"word\"");
	REFUSE(set_offset, offsetof(struct instance, number) + 3, "set_offset in its own value");
	REFUSE(dflt, "-1", "parameter \"number\": its default: \"-1\" is not of the right form");
#undef REFUSE
	param = good_params[1];
	param.flags = SANDBOX_PARAM_REQUIRED;
	param.dflt = "1";
	refuse_second(param, "is required and has a default");
	param = (struct sandbox_param){.key = "list",
				       .type = SANDBOX_PATH,
				       .dflt = "relative",
				       .help = "help",
				       .offset = offsetof(struct instance, list)};
	refuse_second(param, "its default: the path \"relative\" is relative");
	param.flags = SANDBOX_PARAM_SECRET | SANDBOX_PARAM_WORD;
	param.dflt = "-hidden";
	refuse_second(param, "\"(secret)\" begins with a dash");
}

static void test_copies(void **state)
{
	const struct sandbox_plugin_v1 *first, *again, *changed;
	struct sandbox_plugin_v1 raw = good();
	struct hookbox_error error = {0};

	assert_int_equal(plugin_adopt(&raw, "here", &first, &error), 0);
	assert_ptr_not_equal(first, &raw);
	assert_int_equal(plugin_adopt(&raw, "here", &again, &error), 0);
	assert_ptr_equal(first, again);
	raw.name = "other";
	assert_int_equal(plugin_adopt(&raw, "here", &changed, &error), 0);
	assert_string_equal(changed->name, "other");
	assert_string_equal(first->name, "brought");
}

/* The same descriptor, but the table that it points to has become bad. */
static void test_known_ones_are_checked_again(void **state)
{
	struct sandbox_param params[] = {good_params[0], good_params[1]};
	const struct sandbox_plugin_v1 *plugin;
	struct sandbox_plugin_v1 raw = good();
	struct hookbox_error error = {0};

	raw.params = params;
	assert_int_equal(plugin_adopt(&raw, "here", &plugin, &error), 0);
	params[1].offset = sizeof(struct instance);
	refuse(&raw, "does not lie in the instance");
}

static void test_describe(void **state)
{
	static const char latin1[] = "caf\xe9";
	struct sandbox_param params[] = {good_params[0], good_params[1]};
	struct sandbox_plugin_v1 raw = good();
	struct hookbox_error error = {0};
	char *json;

	raw.params = params;
	raw.flags = SANDBOX_KEPT | SANDBOX_SHELL | SANDBOX_MOUNTS;
	params[1].flags = SANDBOX_PARAM_REQUIRED | SANDBOX_PARAM_SECRET;
	params[1].metavar = "N";
	assert_int_equal(plugin_describe(&raw, &json, &error), 0);
	assert_string_equal(
		json, "{\"name\":\"brought\",\"version\":\"1\",\"summary\":\"A backend for tests\","
		      "\"abi\":1,\"flags\":[\"kept\",\"mounts\",\"shell\"],\"params\":["
		      "{\"key\":\"word\",\"type\":\"string\",\"required\":false,\"secret\":false,"
		      "\"default\":\"w\",\"help\":\"a word\",\"metavar\":null},"
		      "{\"key\":\"number\",\"type\":\"uint\",\"required\":true,\"secret\":true,"
		      "\"default\":null,\"help\":\"a number\",\"metavar\":\"N\"}],"
		      "\"extensions\":[]}");
	free(json);
	params[1].help = latin1;
	assert_true(plugin_describe(&raw, &json, &error) < 0);
	assert_contains(error.message, "\"brought\" has a text that is no UTF-8");
	params[1].help = "help";
	raw.summary = latin1;
	assert_true(plugin_describe(&raw, &json, &error) < 0);
	assert_contains(error.message, "no UTF-8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_hints_are_ignored),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_known_ones_are_checked_again),
		cmocka_unit_test(test_describe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
