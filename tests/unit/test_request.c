/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "buf.h"
#include "hook.h"

static void builds(enum hook_type type, const char *phase, const char *json, const char *expected)
{
	struct hookbox_error error = {0};
	char *request = NULL;
	size_t size = 0;

	if (request_build(type, phase, json, strlen(json), &request, &size, &error) < 0)
		fail_msg("refused: %s", error.message);
	assert_int_equal(size, strlen(expected));
	assert_string_equal(request, expected);
	free(request);
}

static void refuses(enum hook_type type, const char *phase, const char *json, size_t size,
		    const char *why)
{
	struct hookbox_error error = {0};
	char *request = NULL;

	assert_true(request_build(type, phase, json, size, &request, &size, &error) < 0);
	assert_null(request);
	assert_contains(error.message, "the event's JSON");
	assert_contains(error.message, why);
}

static void test_hook_and_phase_go_in_front(void **state)
{
	builds(HOOK_PROVIDER, "before_call", "{\"request\":{}}",
	       "{\"hook\":\"provider\",\"phase\":\"before_call\",\"request\":{}}");
	builds(HOOK_TOOL, "after_execution", "{}",
	       "{\"hook\":\"tool\",\"phase\":\"after_execution\"}");
	builds(HOOK_SESSION, "session_start", " \n{ }\n",
	       " \n{\"hook\":\"session\",\"phase\":\"session_start\" }\n");
}

static void test_everything_else_stays_byte_for_byte(void **state)
{
	builds(HOOK_PROVIDER, "before_call",
	       "\t{ \"z\" : 1.10,\r\n\"a\":123456789012345678901234567890 ,\"n\":1E+05, "
	       "\"s\":\"\\u0041\\/\","
	       "\"u\":\"\xc3\xa9\\u0000\" , \"unknown\":null}\n\n",
	       "\t{\"hook\":\"provider\",\"phase\":\"before_call\", \"z\" : 1.10,\r\n"
	       "\"a\":123456789012345678901234567890 ,\"n\":1E+05, \"s\":\"\\u0041\\/\","
	       "\"u\":\"\xc3\xa9\\u0000\" , \"unknown\":null}\n\n");
}

static void test_what_is_there_already_must_agree(void **state)
{
	builds(HOOK_PROVIDER, "before_call", "{\"phase\":\"before_call\",\"hook\":\"provider\"}",
	       "{\"phase\":\"before_call\",\"hook\":\"provider\"}");
	builds(HOOK_PROVIDER, "before_call", "{\"hook\":\"provider\"}",
	       "{\"phase\":\"before_call\",\"hook\":\"provider\"}");
	builds(HOOK_PROVIDER, "before_call", "{\"a\":1,\"phase\":\"before_c\\u0061ll\"}",
	       "{\"hook\":\"provider\",\"a\":1,\"phase\":\"before_c\\u0061ll\"}");
#define REFUSES(json, why) refuses(HOOK_PROVIDER, "before_call", json, strlen(json), why)
	REFUSES("{\"hook\":\"tool\"}", "has a \"hook\" that is not \"provider\"");
	REFUSES("{\"phase\":\"after_call\"}", "has a \"phase\" that is not \"before_call\"");
	REFUSES("{\"phase\":\"before_call\\u0000\"}", "has a \"phase\"");
	REFUSES("{\"hook\":null}", "has a \"hook\"");
	REFUSES("{\"hook\":{\"a\":1}}", "has a \"hook\"");
}

static void test_nested_hook_and_phase_do_not_count(void **state)
{
	builds(HOOK_TOOL, "before_execution", "{\"event\":{\"hook\":\"session\",\"phase\":1}}",
	       "{\"hook\":\"tool\",\"phase\":\"before_execution\","
	       "\"event\":{\"hook\":\"session\",\"phase\":1}}");
}

static void test_eval_passes_as_it_is(void **state)
{
	builds(HOOK_EVAL, NULL, "{\"hook\":1, \"content\":\"x\"}\n",
	       "{\"hook\":1, \"content\":\"x\"}\n");
	refuses(HOOK_EVAL, NULL, "[]", 2, "array");
}

static void test_bad_events_are_refused(void **state)
{
	refuses(HOOK_TOOL, "before_execution", NULL, 0, "empty");
	REFUSES("", "empty");
	REFUSES("[]", "array");
	REFUSES("{", "ends before");
	REFUSES("{}{}", "follows");
	REFUSES("{\"a\":1,\"a\":2}", "before");
	REFUSES("{\"a\":NaN}", "not JSON");
	REFUSES("{\"a\":\"\xff\"}", "UTF-8");
	refuses(HOOK_PROVIDER, "before_call", "", (size_t)1 << 30, "over the limit of 64 MiB");
}

static void test_large_events_pass(void **state)
{
	size_t size = (size_t)12 << 20;
	struct buf json = {0};
	struct hookbox_error error = {0};
	char *request;
	size_t request_size;

	buf_add_string(&json, "{\"request\":\"");
	while (json.size < size)
		buf_add_string(&json, "0123456789abcdef0123456789abcdef");
	buf_add_string(&json, "\"}");
	assert_int_equal(request_build(HOOK_PROVIDER, "before_call", json.data, json.size, &request,
				       &request_size, &error), 0);
	assert_memory_equal(request + request_size - json.size + 1, json.data + 1, json.size - 1);
	free(request);
	buf_free(&json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hook_and_phase_go_in_front),
		cmocka_unit_test(test_everything_else_stays_byte_for_byte),
		cmocka_unit_test(test_what_is_there_already_must_agree),
		cmocka_unit_test(test_nested_hook_and_phase_do_not_count),
		cmocka_unit_test(test_eval_passes_as_it_is),
		cmocka_unit_test(test_bad_events_are_refused),
		cmocka_unit_test(test_large_events_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
