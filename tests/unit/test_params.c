/* SPDX-License-Identifier: MIT */
/* Parameters: the scalars' grammar, and instances filled from a table. */
#include "unit.h"

#include "plugin.h"

static void test_bool(void **state)
{
	static const char *const yes[] = {"yes", "true", "on", "1", "YES"};
	static const char *const no[] = {"no", "false", "off", "0", "False"};
	static const char *const bad[] = {"", "2", "yes ", "maybe"};
	bool value;

	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(param_parse_bool(yes[i], &value), 0);
		assert_true(value);
		assert_int_equal(param_parse_bool(no[i], &value), 0);
		assert_false(value);
	}
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(param_parse_bool(bad[i], &value), -EINVAL);
}

static void test_numbers(void **state)
{
	uint64_t value;
	int64_t ms;

	assert_int_equal(param_parse_uint("18446744073709551615", &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(param_parse_uint("18446744073709551616", &value), -ERANGE);
	assert_int_equal(param_parse_uint("-1", &value), -EINVAL);
	assert_int_equal(param_parse_uint("0x10", &value), -EINVAL);
	assert_int_equal(param_parse_uint("", &value), -EINVAL);
	assert_int_equal(param_parse_size("512m", &value), 0);
	assert_true(value == 512ull << 20);
	assert_int_equal(param_parse_size("2G", &value), 0);
	assert_true(value == 2ull << 30);
	assert_int_equal(param_parse_size("1mb", &value), -EINVAL);
	assert_int_equal(param_parse_size("99999999999g", &value), -ERANGE);
	assert_int_equal(param_parse_duration("10s", &ms), 0);
	assert_int_equal(ms, 10000);
	assert_int_equal(param_parse_duration("250", &ms), 0);
	assert_int_equal(ms, 250);
	assert_int_equal(param_parse_duration("2h", &ms), 0);
	assert_int_equal(ms, 7200000);
	assert_int_equal(param_parse_duration("1.5s", &ms), -EINVAL);
	assert_int_equal(param_parse_duration("9223372036854775807h", &ms), -ERANGE);
}

struct instance {
	bool flag;
	bool flag_set;
	uint64_t size;
	int64_t wait;
	const char *name;
	const char *path;
	const char *program;
	struct sandbox_list list;
	struct sandbox_mount_list mounts;
	uint64_t number;
	const char *secret;
};

#define PARAM(k, t, f, d)                                                                          \
	{                                                                                          \
		.key = #k, .type = (t), .flags = (f), .dflt = (d), .help = "help",                 \
		.offset = offsetof(struct instance, k),                                            \
	}

static const struct sandbox_param params[] = {
	{.key = "flag",
	 .type = SANDBOX_BOOL,
	 .help = "help",
	 .offset = offsetof(struct instance, flag),
	 .set_offset = offsetof(struct instance, flag_set)},
	PARAM(size, SANDBOX_SIZE, 0, "1k"),
	PARAM(wait, SANDBOX_DURATION, 0, NULL),
	PARAM(name, SANDBOX_STRING, SANDBOX_PARAM_REQUIRED | SANDBOX_PARAM_WORD, NULL),
	PARAM(path, SANDBOX_PATH, 0, NULL),
	PARAM(program, SANDBOX_PROGRAM, 0, "docker"),
	PARAM(list, SANDBOX_LIST, 0, NULL),
	PARAM(mounts, SANDBOX_MOUNT_LIST, 0, NULL),
	PARAM(number, SANDBOX_UINT, 0, NULL),
	PARAM(secret, SANDBOX_STRING, SANDBOX_PARAM_SECRET | SANDBOX_PARAM_WORD, NULL),
};

static const struct sandbox_plugin_v1 plugin = {
	.magic = SANDBOX_PLUGIN_MAGIC,
	.struct_size = sizeof(plugin),
	.name = "tested",
	.version = "1",
	.summary = "A backend for tests",
	.flags = SANDBOX_KEPT,
	.params = params,
	.n_params = sizeof(params) / sizeof(params[0]),
	.param_size = sizeof(params[0]),
	.instance_size = sizeof(struct instance),
};

#define VALUE(k, ...)                                                                              \
	{                                                                                          \
		.key = (k), .values = (const char *const[]){__VA_ARGS__, NULL},                    \
		.n_values = sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),                \
		.where = "f.ini:3: [sandbox s] " k, .base_dir = "/etc/hookbox",                    \
	}

static void test_fill(void **state)
{
	const struct param_value values[] = {
		VALUE("flag", "no"),
		VALUE("wait", "3s"),
		VALUE("name", "n"),
		VALUE("path", "./sub/file"),
		VALUE("program", "bin/docker"),
		VALUE("list", "one", "two"),
		VALUE("mounts", "./hooks", "/data:/d:rw", "sub:/s:ro", "/x:/y"),
	};
	struct hookbox_error error = {0};
	struct param_store *store;
	struct instance *instance;
	void *filled;

	assert_int_equal(params_check(&plugin, &error), 0);
	if (params_fill(&plugin, values, 7, "f.ini:1: [sandbox s]", &filled, &store, &error))
		fail_msg("%s", error.message);
	instance = filled;
	assert_false(instance->flag);
	assert_true(instance->flag_set);
	assert_int_equal(instance->size, 1024);
	assert_int_equal(instance->wait, 3000);
	assert_string_equal(instance->name, "n");
	assert_string_equal(instance->path, "/etc/hookbox/sub/file");
	assert_string_equal(instance->program, "/etc/hookbox/bin/docker");
	assert_int_equal(instance->list.n, 2);
	assert_string_equal(instance->list.v[1], "two");
	assert_int_equal(instance->mounts.n, 4);
	assert_string_equal(instance->mounts.v[0].host_path, "/etc/hookbox/hooks");
	assert_string_equal(instance->mounts.v[0].box_path, "/etc/hookbox/hooks");
	assert_true(instance->mounts.v[0].read_only);
	assert_string_equal(instance->mounts.v[1].box_path, "/d");
	assert_false(instance->mounts.v[1].read_only);
	assert_string_equal(instance->mounts.v[2].host_path, "/etc/hookbox/sub");
	assert_true(instance->mounts.v[3].read_only);
	params_free(instance, store);
}

static void test_fill_errors(void **state)
{
	const struct {
		struct param_value value;
		const char *message;
	} cases[] = {
		{VALUE("nam", "x"), "f.ini:3: [sandbox s] nam"},
		{VALUE("nam", "x"), "did you mean \"name\""},
		{VALUE("size", "big"), "a size such as 512m"},
		{VALUE("size", "1k", "2k"), "stand here once, but does so 2 times"},
		{VALUE("quite_another", "x"), "there is flag, size, wait, name"},
		{VALUE("timeout", "x"), "did you mean \"timeout_ms\"?"},
		{VALUE("pool", "2"), "this release of hookbox does not have the key yet"},
		{VALUE("hookbox_x", "2"), "this release of hookbox does not have the key yet"},
		{VALUE("number", "-1"), "\"-1\" is not of the right form; write a number"},
		{VALUE("number", "18446744073709551616"), "is too large"},
		{VALUE("secret", "-hush"), "\"(secret)\" begins with a dash"},
		{VALUE("path", ""), "empty"},
		{VALUE("path", "a\tb"), "control character"},
		{VALUE("program", "./a\x7f"), "control character"},
		{VALUE("mounts", ""), "empty"},
		{VALUE("mounts", ":/b"), "HOST:/ABSOLUTE"},
		{VALUE("mounts", ":ro"), "HOST:/ABSOLUTE"},
		{VALUE("mounts", "/a:"), "HOST:/ABSOLUTE"},
		{VALUE("mounts", "/a:/b:rx"), "HOST:/ABSOLUTE"},
		{VALUE("mounts", "/a:/b\n"), "control character"},
		{VALUE("flag", "perhaps"), "yes or no"},
		{VALUE("wait", "soon"), "500ms"},
		{VALUE("name", "-x"), "begins with a dash"},
		{VALUE("name", "a\nb"), "control character"},
		{VALUE("name", ""), "empty"},
		{VALUE("mounts", "/a:b"), "HOST:/ABSOLUTE"},
		{VALUE("mounts", "/a:/b:/c"), "HOST:/ABSOLUTE"},
		{VALUE("list", "a", ""), "empty"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct param_value name = VALUE("name", "n");
		const struct param_value values[] = {cases[i].value, name};
		size_t n = strcmp(cases[i].value.key, "name") ? 2 : 1;
		struct hookbox_error error = {0};
		struct param_store *store = NULL;
		void *instance = NULL;

		assert_true(params_fill(&plugin, values, n, "f.ini:1", &instance, &store, &error) <
			    0);
		assert_null(instance);
		assert_contains(error.message, cases[i].message);
		assert_contains(error.message, cases[i].value.where);
		assert_null(strstr(error.message, "hush"));
	}
}

static void test_fill_defaults(void **state)
{
	const struct param_value values[] = {
		VALUE("name", "n"),
		VALUE("mounts", "/with,comma=\"x\" y:rw", "/a:/b:rw"),
		VALUE("path", "/as/it/is"),
	};
	struct hookbox_error error = {0};
	struct param_store *store;
	struct instance *instance;
	void *filled;

	if (params_fill(&plugin, values, 3, "f.ini:1: [sandbox s]", &filled, &store, &error))
		fail_msg("%s", error.message);
	instance = filled;
	assert_string_equal(instance->program, "docker");
	assert_int_equal(instance->size, 1024);
	assert_false(instance->flag_set);
	assert_null(instance->secret);
	assert_int_equal(instance->list.n, 0);
	assert_string_equal(instance->path, "/as/it/is");
	assert_string_equal(instance->mounts.v[0].host_path, "/with,comma=\"x\" y");
	assert_string_equal(instance->mounts.v[0].box_path, "/with,comma=\"x\" y");
	assert_false(instance->mounts.v[0].read_only);
	assert_string_equal(instance->mounts.v[1].host_path, "/a");
	assert_string_equal(instance->mounts.v[1].box_path, "/b");
	params_free(instance, store);
}

static void test_fill_misses_required(void **state)
{
	struct hookbox_error error = {0};
	struct param_store *store;
	void *instance;

	assert_true(params_fill(&plugin, NULL, 0, "f.ini:1: [sandbox s]", &instance, &store,
				&error) < 0);
	assert_contains(error.message, "f.ini:1: [sandbox s]");
	assert_contains(error.message, "add \"name = ...\"");
}

static void test_relative_paths_need_a_file(void **state)
{
	struct param_value values[] = {VALUE("name", "n"), VALUE("path", "sub")};
	struct hookbox_error error = {0};
	struct param_store *store;
	void *instance;

	values[1].base_dir = NULL;
	assert_true(params_fill(&plugin, values, 2, "text", &instance, &store, &error) < 0);
	assert_contains(error.message, "write it from / on");
}

static void test_reserved(void **state)
{
	assert_true(param_reserved("mode"));
	assert_true(param_reserved("pool"));
	assert_true(param_reserved("hookbox_future"));
	assert_false(param_reserved("image"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bool),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_fill_defaults),
		cmocka_unit_test(test_fill_errors),
		cmocka_unit_test(test_fill_misses_required),
		cmocka_unit_test(test_relative_paths_need_a_file),
		cmocka_unit_test(test_reserved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
