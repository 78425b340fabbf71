/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "buf.h"

static void test_buf_grows_and_terminates(void **state)
{
	_cleanup_buf_ struct buf buf = {0};
	char *taken;

	for (int i = 0; i < 1000; i++)
		buf_add(&buf, "abc", 3);
	assert_int_equal(buf.size, 3000);
	assert_int_equal(buf.data[3000], '\0');
	buf_consume(&buf, 2998);
	assert_string_equal(buf.data, "bc");
	buf_printf(&buf, "-%d", 7);
	taken = buf_take(&buf);
	assert_string_equal(taken, "bc-7");
	free(taken);
	taken = buf_take(&buf);
	assert_string_equal(taken, "");
	free(taken);
}

static void test_strv_is_terminated_at_every_size(void **state)
{
	_cleanup_strv_ struct strv strv = {0};

	assert_null(strv_view(&strv)[0]);
	for (size_t i = 0; i < 40; i++) {
		strv_printf(&strv, "%zu", i);
		assert_int_equal(strv.n, i + 1);
		assert_null(strv.v[strv.n]);
	}
	assert_string_equal(strv.v[39], "39");
	assert_false(strv.failed);
}

static void test_strv_set_env_replaces_and_removes(void **state)
{
	_cleanup_strv_ struct strv env = {0};

	strv_set_env(&env, "A=1");
	strv_set_env(&env, "AB=2");
	strv_set_env(&env, "A=3");
	assert_int_equal(env.n, 2);
	assert_string_equal(env.v[0], "A=3");
	strv_set_env(&env, "A");
	assert_int_equal(env.n, 1);
	assert_string_equal(env.v[0], "AB=2");
	assert_null(env.v[1]);
	strv_set_env(&env, "NONE");
	assert_int_equal(env.n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buf_grows_and_terminates),
		cmocka_unit_test(test_strv_is_terminated_at_every_size),
		cmocka_unit_test(test_strv_set_env_replaces_and_removes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
