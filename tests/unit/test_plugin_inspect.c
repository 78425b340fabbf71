/* SPDX-License-Identifier: MIT */
/* Looking at a plugin in a child process, which bad ones end, hold or disturb without harm. */
#include "unit.h"

#include <limits.h>
#include <sys/resource.h>

#include "files.h"
#include "plugin.h"

#define PATIENT_MS 60000
#define HASTY_MS 300

/* This very program is the one that looks: see main(). */
static int look(const char *path)
{
	const struct sandbox_plugin_v1 *plugin;
	struct hookbox_error error = {0};
	char *json;

	if (plugin_load(path, &plugin, &error) || plugin_describe(plugin, &json, &error)) {
		fprintf(stderr, "%s\n", error.message);
		return 1;
	}
	puts(json);
	free(json);
	return 0;
}

static const char *fixture(const char *name)
{
	static char resolved[PATH_MAX];
	const char *build = getenv("top_builddir");
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/tests/fixtures/.libs/%s.so", build ? build : ".", name);
	if (!realpath(path, resolved))
		fail_msg("%s: %s", path, strerror(errno));
	return resolved;
}

static void refuse(const char *path, int64_t timeout_ms, const char *message)
{
	struct hookbox_error error = {0};
	char *json = NULL;

	assert_true(plugin_inspect("/proc/self/exe", path, timeout_ms, &json, &error) < 0);
	assert_null(json);
	assert_contains(error.message, path);
	assert_contains(error.message, message);
	assert_null(strchr(error.message, '\n'));
}

static void test_good(void **state)
{
	struct hookbox_error error = {0};
	char *json;

	if (plugin_inspect("/proc/self/exe", fixture("good"), PATIENT_MS, &json, &error))
		fail_msg("%s", error.message);
	assert_contains(json, "{\"name\":\"good\",\"version\":\"1.2\"");
	free(json);
	if (plugin_inspect("/proc/self/exe", fixture("run_only"), PATIENT_MS, &json, &error))
		fail_msg("%s", error.message);
	assert_contains(json, "\"extensions\":[\"sandbox.run/1\"]");
	free(json);
}

static void test_refused(void **state)
{
	refuse(fixture("undefined"), PATIENT_MS, "no_such_function_anywhere");
	refuse(fixture("bad_magic"), PATIENT_MS, "its magic is 0x12345678");
	refuse(files_write("text.so", "text"), PATIENT_MS, "no ELF file");
	refuse("/no/such/plugin.so", PATIENT_MS, "No such file or directory");
}

/* That others can write the directory is no fault of the plugin's constructor. */
static void test_open_directory(void **state)
{
	const char *path = files_write("open/text.so", "text");

	assert_int_equal(chmod(files_path("open"), 0777), 0);
	refuse(path, PATIENT_MS, "can be changed by others");
}

static void test_constructors(void **state)
{
	refuse(fixture("aborting"), PATIENT_MS, "crashed when it was loaded (signal 6, Aborted)");
	refuse(fixture("hanging"), HASTY_MS, "had not loaded after 300 ms; its constructor hangs");
	refuse(fixture("leaving"), PATIENT_MS, "ended its loader with status 0");
	refuse(fixture("failing"), PATIENT_MS, "ended its loader with status 1");
	refuse(fixture("talking"), PATIENT_MS, "wrote on stdout when it was loaded");
}

static void test_no_program(void **state)
{
	struct hookbox_error error = {0};
	char *json;

	assert_true(plugin_inspect("/no/such/program", "/x.so", PATIENT_MS, &json, &error) < 0);
	assert_contains(error.message, "the plugin \"/x.so\" cannot be inspected: ");
	assert_contains(error.message, "/no/such/program");
}

int main(int argc, char **argv)
{
	const struct rlimit no_core = {0, 0};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_open_directory),
		cmocka_unit_test(test_constructors),
		cmocka_unit_test(test_no_program),
	};

	if (argc == 3 && !strcmp(argv[1], "--inspect-plugin"))
		return look(argv[2]);
	setrlimit(RLIMIT_CORE, &no_core);
	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
