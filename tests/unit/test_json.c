/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <jansson.h>

#include "buf.h"
#include "hook.h"

#define LIMIT ((size_t)1 << 20)

static void accepts_bytes(const char *text, size_t size)
{
	struct hookbox_error error = {0};
	json_t *object = NULL;

	if (json_parse_object(text, size, LIMIT, &object, &error) < 0)
		fail_msg("refused: %s", error.message);
	assert_true(json_is_object(object));
	json_decref(object);
}

static void accepts(const char *text)
{
	accepts_bytes(text, strlen(text));
}

static void refuses_bytes(const char *text, size_t size, const char *why)
{
	struct hookbox_error error = {0};
	json_t *object = NULL;

	assert_true(json_parse_object(text, size, LIMIT, &object, &error) < 0);
	assert_null(object);
	assert_true(error.code < 0);
	assert_contains(error.message, why);
	assert_null(strchr(error.message, '\n'));
}

static void refuses(const char *text, const char *why)
{
	refuses_bytes(text, strlen(text), why);
}

static void test_objects_are_accepted(void **state)
{
	accepts("{}");
	accepts(" \r\n\t{ } \n");
	accepts("{\"a\":[1,-2.5e3,true,false,null,{\"\":\"\\u00e9\\ud83d\\ude00\"}]}");
	accepts("{\"a\":\"\\u0000\",\"A\":1}");
	accepts("{\"\xc3\xa9\":\"\xf0\x9f\x98\x80\"}");
}

static void test_big_numbers_are_accepted(void **state)
{
	accepts("{\"a\":9223372036854775808,\"b\":-123456789012345678901234567890}");
	accepts("{\"a\":1e308,\"b\":1e-999}");
	refuses("{\"a\":1e999}", "byte 10 (line 1, column 10): the number is larger");
}

static void test_what_is_no_object_is_refused(void **state)
{
	refuses("", "empty");
	refuses(" \n", "empty");
	refuses("[1]", "array");
	refuses("1", "not JSON");
	refuses("null", "not JSON");
	refuses("\"a\"", "not JSON");
	refuses("hello", "not JSON");
}

static void test_what_is_no_json_is_refused(void **state)
{
	refuses("{\"a\":NaN}", "not JSON");
	refuses("{\"a\":Infinity}", "not JSON");
	refuses("{\"a\":-Infinity}", "not JSON");
	refuses("{\"a\":01}", "not JSON");
	refuses("{\"a\":1,}", "not JSON");
	refuses("{'a':1}", "not JSON");
	refuses("{a:1}", "not JSON");
	refuses("{\"a\":\"\n\"}", "not JSON");
	refuses("{\"a\":\"\\x\"}", "not JSON");
	refuses("{\"a\":\"\\ud800\"}", "not JSON");
	refuses("{} // end", "follows");
	refuses("\xef\xbb\xbf{}", "not JSON");
}

static void test_half_and_double_are_refused(void **state)
{
	refuses("{", "ends before");
	refuses("{\"allow\":tru", "not JSON");
	refuses("{\"allow\":true", "ends before");
	refuses("{\"allow\":\"", "ends before");
	refuses("{}{}", "byte 3 (line 1, column 3): something follows");
	refuses("{}\n{}", "line 2, column 1");
	refuses("{\"a\":1}}", "follows");
}

static void test_duplicates_are_refused(void **state)
{
	refuses("{\"a\":1,\"a\":1}", "the key was there before");
	refuses("{\"allow\":true,\"all\\u006fw\":false}", "the key was there before");
	refuses("{\"a\":[{\"b\":1,\"b\":2}]}", "the key was there before");
}

static void test_bad_bytes_are_refused(void **state)
{
	refuses("{\"a\":\"\xff\"}", "not UTF-8");
	refuses("{\"a\":\"\xc3\"}", "not UTF-8");
	refuses("{\"a\":\"\xc0\x80\"}", "not UTF-8");
	refuses("{\"a\":\"\xed\xa0\x80\"}", "not UTF-8");
	refuses_bytes("{\"a\":\"\0\"}", 9, "byte 7: a NUL byte");
	refuses_bytes("{\"a\":true\0}", 11, "byte 10: a NUL byte");
	refuses_bytes("{\"a\":1\0}", 8, "byte 7: a NUL byte");
	refuses_bytes("{}\0", 3, "byte 3: a NUL byte");
	refuses("{\"\\u0000\":1}", "must not hold \\u0000");
}

/* An error may end in a log, which is no place for what an agent was told. */
static void test_errors_do_not_quote(void **state)
{
	struct hookbox_error error = {0};
	const char *text = "{\"a\":secret}";
	json_t *object;

	assert_true(json_parse_object(text, strlen(text), LIMIT, &object, &error) < 0);
	assert_null(strstr(error.message, "secret"));
}

static char *nested(size_t levels, char open, char close)
{
	struct buf text = {0};

	buf_add_string(&text, "{\"[[\\\"[\":");
	for (size_t i = 1; i < levels; i++)
		buf_add_char(&text, open);
	for (size_t i = 1; close && i < levels; i++)
		buf_add_char(&text, close);
	buf_add_char(&text, '}');
	return buf_take(&text);
}

static void test_depth_is_limited(void **state)
{
	char *text = nested(64, '[', ']');

	accepts(text);
	free(text);
	text = nested(65, '[', ']');
	refuses(text, "more than 64 levels deep at byte 73");
	free(text);
	text = nested(900000, '[', 0);
	refuses(text, "more than 64 levels deep");
	free(text);
	text = nested(900000, '{', 0);
	refuses(text, "more than 64 levels deep");
	free(text);
}

static void test_size_is_limited(void **state)
{
	char *text = malloc(LIMIT + 1);

	assert_non_null(text);
	memset(text, ' ', LIMIT + 1);
	memcpy(text, "{}", 2);
	accepts_bytes(text, LIMIT);
	refuses_bytes(text, LIMIT + 1, "1048577 bytes of JSON are over the limit of 1 MiB");
	free(text);
}

/* The size is judged before a byte is read: here there are none. */
static void test_huge_size_is_refused_unread(void **state)
{
	refuses_bytes("", (size_t)1 << 30, "over the limit");
}

static void member_is(const char *text, const char *key, const char *expected)
{
	struct hookbox_error error = {0};
	size_t length = 0;
	const char *found;
	json_t *object;

	assert_int_equal(json_parse_object(text, strlen(text), LIMIT, &object, &error), 0);
	found = json_member_text(object, text, strlen(text), key, &length);
	if (expected) {
		assert_non_null(found);
		assert_int_equal(length, strlen(expected));
		assert_memory_equal(found, expected, length);
	} else {
		assert_null(found);
	}
	json_decref(object);
}

static void test_member_text_is_as_written(void **state)
{
	const char *text =
		"\n{ \"a\" : { \"m\":1 } , \"}\\\"\" :[ \"]\", {} ],\"n\":1.10\t,\"e\":\"\","
		"\"\\u006d\":\n{\"b\" : \"}\", \"c\":[[1],2]} ,\"t\":true}";

	member_is(text, "a", "{ \"m\":1 }");
	member_is(text, "}\"", "[ \"]\", {} ]");
	member_is(text, "n", "1.10");
	member_is(text, "e", "\"\"");
	member_is(text, "m", "{\"b\" : \"}\", \"c\":[[1],2]}");
	member_is(text, "t", "true");
	member_is(text, "b", NULL);
	member_is("{}", "a", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects_are_accepted),
		cmocka_unit_test(test_big_numbers_are_accepted),
		cmocka_unit_test(test_what_is_no_object_is_refused),
		cmocka_unit_test(test_what_is_no_json_is_refused),
		cmocka_unit_test(test_half_and_double_are_refused),
		cmocka_unit_test(test_duplicates_are_refused),
		cmocka_unit_test(test_bad_bytes_are_refused),
		cmocka_unit_test(test_errors_do_not_quote),
		cmocka_unit_test(test_depth_is_limited),
		cmocka_unit_test(test_size_is_limited),
		cmocka_unit_test(test_huge_size_is_refused_unread),
		cmocka_unit_test(test_member_text_is_as_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
