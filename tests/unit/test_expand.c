/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "cleanup.h"
#include "expand.h"

static void check(const char *text, const char *expected)
{
	_cleanup_free_ char *expanded = NULL;
	struct hookbox_error error = {0};

	if (expand_text(text, &expanded, &error))
		fail_msg("%s: %s", text, error.message);
	assert_string_equal(expanded, expected);
}

static void refuse(const char *text, const char *part)
{
	char *expanded = NULL;
	struct hookbox_error error = {0};

	assert_int_equal(expand_text(text, &expanded, &error), -EINVAL);
	assert_int_equal(error.code, -EINVAL);
	assert_contains(error.message, part);
	assert_null(expanded);
}

static void test_variables_are_replaced(void **state)
{
	setenv("HB_ONE", "1", 1);
	setenv("HB_EMPTY", "", 1);
	unsetenv("HB_NONE");
	check("", "");
	check("plain", "plain");
	check("${HB_ONE}", "1");
	check("a${HB_ONE}b${HB_ONE}", "a1b1");
	check("[${HB_EMPTY}]", "[]");
	check("${HB_ONE:-2}", "1");
	check("${HB_NONE:-2 3:-4}", "2 3:-4");
	check("${HB_NONE:-}", "");
	check("${HB_EMPTY:-x}", "x");
}

static void test_what_is_no_variable_stays(void **state)
{
	check("$", "$");
	check("$$", "$$");
	check("$HOME a$b {x} $(y) %d", "$HOME a$b {x} $(y) %d");
	check("$${HB_NONE}", "${HB_NONE}");
	check("$$${HB_NONE}", "$${HB_NONE}");
	check("\xff}\xc3\xa9", "\xff}\xc3\xa9");
}

static void test_a_value_is_not_expanded_again(void **state)
{
	setenv("HB_INNER", "${HB_ONE} $${ ; [x]\n=", 1);
	check("<${HB_INNER}>", "<${HB_ONE} $${ ; [x]\n=>");
}

static void test_mistakes_are_named(void **state)
{
	unsetenv("HB_NONE");
	refuse("x${HB_NONE}", "the environment variable HB_NONE is not set; set it, or write "
			      "${HB_NONE:-default}");
	refuse("a ${HB_ONE", "no closing brace");
	refuse("${}", "\"${}\" names no environment variable; write $${ for a plain ${");
	refuse("${1X}", "\"${1X}\" names no");
	refuse("${A-b}", "\"${A-b}\" names no");
	refuse("${A=b}", "\"${A=b}\" names no");
	refuse("${:-x}", "\"${:-x}\" names no");
	refuse("${A:-${B}}", "the default of ${A:-...} holds another ${");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_variables_are_replaced),
		cmocka_unit_test(test_what_is_no_variable_stays),
		cmocka_unit_test(test_a_value_is_not_expanded_again),
		cmocka_unit_test(test_mistakes_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
