/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "hook.h"
#include "near.h"
#include "text.h"

static struct answer parsed(const char *text)
{
	struct hookbox_error error = {0};
	struct answer answer;

	if (answer_parse(text, strlen(text), &answer, &error) < 0)
		fail_msg("refused: %s", error.message);
	return answer;
}

static void refuses(const char *text, const char *why)
{
	struct hookbox_error error = {0};
	struct answer answer;

	assert_true(answer_parse(text, strlen(text), &answer, &error) < 0);
	assert_contains(error.message, "the answer on stdout is refused: ");
	assert_contains(error.message, why);
	assert_false(answer.has_allow);
	assert_null(answer.reason);
	assert_null(answer.metadata);
}

static void test_all_fields_are_read(void **state)
{
	struct answer answer = parsed(
		" {\"metadata\": {\"kinds\":[\"ssn\"], \"n\":1.10,\"big\":123456789012345678901} "
		",\n\"allow\":false,\"reason\":\"no \\u00e9\",\"enforced\":true,"
		"\"ack\":true,\"x\":[1]}\n");

	assert_true(answer.has_allow);
	assert_false(answer.allow);
	assert_true(answer.enforced);
	assert_true(answer.ack);
	assert_string_equal(answer.reason, "no \xc3\xa9");
	assert_string_equal(answer.metadata,
			    "{\"kinds\":[\"ssn\"], \"n\":1.10,\"big\":123456789012345678901}");
	answer_clear(&answer);
	assert_null(answer.reason);
}

static void test_fields_may_be_missing(void **state)
{
	struct answer answer = parsed("{}");

	assert_false(answer.has_allow);
	answer = parsed("{\"allow\":true}");
	assert_true(answer.has_allow);
	assert_true(answer.allow);
	assert_false(answer.enforced);
	assert_false(answer.ack);
	assert_null(answer.reason);
	assert_null(answer.metadata);
	answer = parsed("{\"allow\":false,\"reason\":\"\"}");
	assert_null(answer.reason);
	answer_clear(&answer);
}

static void test_null_is_as_good_as_missing(void **state)
{
	struct answer answer = parsed("{\"allow\":true,\"reason\":null,"
				      "\"enforced\":null,\"ack\":null,"
				      "\"metadata\":null}");

	assert_true(answer.allow);
	assert_null(answer.reason);
	assert_null(answer.metadata);
	refuses("{\"allow\":null}", "\"allow\" must be true or false");
}

static void test_types_are_strict(void **state)
{
	refuses("{\"allow\":1}", "\"allow\" must be true or false");
	refuses("{\"allow\":\"true\"}", "\"allow\" must be true or false");
	refuses("{\"allow\":true,\"enforced\":1}", "\"enforced\" must be true or false");
	refuses("{\"allow\":true,\"ack\":\"yes\"}", "\"ack\" must be true or false");
	refuses("{\"allow\":true,\"reason\":[]}", "\"reason\" must be a string");
	refuses("{\"allow\":true,\"reason\":\"r\",\"metadata\":[]}",
		"\"metadata\" must be an object");
	refuses("{\"allow\":true,\"metadata\":\"{}\"}", "\"metadata\" must be an object");
}

static void test_case_matters(void **state)
{
	struct answer answer = parsed("{\"Allow\":true,\"ALLOW\":true}");

	assert_false(answer.has_allow);
}

static void test_only_one_object_counts(void **state)
{
	refuses("", "empty");
	refuses("{\"allow\":true", "ends before");
	refuses("{\"allow\":true}{\"allow\":true}", "follows");
	refuses("{\"allow\":true}\nok\n", "follows");
	refuses("ok\n{\"allow\":true}", "not JSON");
	refuses("{\"allow\":false,\"allow\":true}", "before");
	refuses("{\"allow\":true,\"n\":NaN}", "not JSON");
	refuses("[{\"allow\":true}]", "array");
}

static void test_nul_does_not_hide_the_rest_of_a_reason(void **state)
{
	struct answer answer = parsed("{\"allow\":false,\"reason\":\"a\\u0000b\"}");

	assert_string_equal(answer.reason, "a\xef\xbf\xbd" "b");
	answer_clear(&answer);
}

static void test_size_is_limited(void **state)
{
	struct hookbox_error error = {0};
	struct answer answer;

	assert_true(answer_parse("", ((size_t)1 << 20) + 1, &answer, &error) < 0);
	assert_contains(error.message, "over the limit of 1 MiB");
}

static void last_line_is(const char *bytes, size_t limit, const char *expected)
{
	_cleanup_buf_ struct buf sentence = {0};

	buf_add_string(&sentence, ":");
	text_add_last_line(&sentence, bytes, strlen(bytes), limit);
	assert_string_equal(sentence.data + 1, expected);
}

static void test_last_line_is_fit_for_a_sentence(void **state)
{
	last_line_is("", 20, "");
	last_line_is(" \n\r\n", 20, "");
	last_line_is("one", 20, "one");
	last_line_is("one\n \ttwo \r\n\n", 20, "two");
	last_line_is("a\033[31mb\x7f\tc", 20, "a?[31mb??c");
	last_line_is("\xc3\xa9\xff\xc3", 20, "\xc3\xa9??");
	last_line_is("\xc2\x9b" "31m", 20, "??31m");
	last_line_is("\xed\xa0\x80\xf4\x90\x80\x80\xc0\xaf\xe0\x80\xaf", 40, "????????????");
	last_line_is("\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf", 20, "\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf");
	last_line_is("12345678", 8, "12345678");
	last_line_is("123456789", 8, "12345678...");
	last_line_is("1234\xc3\xa9\xc3\xa9", 8, "1234\xc3\xa9\xc3\xa9");
	last_line_is("1234\xc3\xa9\xc3\xa9" "5", 7, "1234\xc3\xa9...");
}

static void test_near_words_are_found(void **state)
{
	const char *const words[] = {"before_call", "after_call", "pii_redactor", "a", NULL};

	assert_string_equal(near_word("befor_call", words), "before_call");
	assert_string_equal(near_word("after_cal", words), "after_call");
	assert_string_equal(near_word("pii", words), "pii_redactor");
	assert_string_equal(near_word("pii-redactor", words), "pii_redactor");
	assert_null(near_word("session_start", words));
	assert_null(near_word("", words));
	assert_null(near_word("x", words + 4));
}

static void test_near_error_says_what_to_do(void **state)
{
	const char *const words[] = {"provider", "tool", NULL};
	struct hookbox_error error = {0};

	assert_int_equal(near_error(&error, -ENOENT, "tol", words, "no type \"%s\"", "tol"),
			 -ENOENT);
	assert_string_equal(error.message, "no type \"tol\": did you mean \"tool\"?");
	near_error(&error, -ENOENT, "", words, "no type");
	assert_string_equal(error.message, "no type: there is provider, tool");
	near_error(&error, -ENOENT, "x", words + 2, "no type");
	assert_string_equal(error.message, "no type: there is none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_fields_are_read),
		cmocka_unit_test(test_fields_may_be_missing),
		cmocka_unit_test(test_null_is_as_good_as_missing),
		cmocka_unit_test(test_types_are_strict),
		cmocka_unit_test(test_case_matters),
		cmocka_unit_test(test_only_one_object_counts),
		cmocka_unit_test(test_nul_does_not_hide_the_rest_of_a_reason),
		cmocka_unit_test(test_size_is_limited),
		cmocka_unit_test(test_last_line_is_fit_for_a_sentence),
		cmocka_unit_test(test_near_words_are_found),
		cmocka_unit_test(test_near_error_says_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
