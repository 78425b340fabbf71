/* SPDX-License-Identifier: MIT */
/* Pools whose boxes do not come, pools that close, and sandboxes that can have none. */
#include "pools.h"

/* ---- Boxes that do not come ---- */

static void test_failures_put_the_next_try_off(void **state)
{
	struct hookbox_result *r;
	struct pool_stats stats;
	struct fixture f;

	open_pool(&f, &sent_plugin, 4);
	boxes.instead = "echo no space >&2; exit 1";
	for (int i = 0; i < 2; i++) {
		r = RUN(f.sandbox, PLAIN, "echo", "cold");
		assert_string_equal(r->out, "cold\n");
		hookbox_result_free(r);
	}
	WAIT_FOR(stats_of(&f).failures);
	usleep(1000000);
	/* 0.25 s, 0.5 s, 1 s ...; two fillers may have begun at the same time. */
	assert_in_range(stats_of(&f).failures, 1, 5);
	pthread_mutex_lock(&f.lock);
	assert_contains(f.logged.data, "no space");
	pthread_mutex_unlock(&f.lock);
	boxes.instead = NULL;
	WAIT_FOR(stats_of(&f).waiting == 4);
	call_and_fill(&f);
	stats = stats_of(&f);
	assert_int_equal(stats.misses, 2);
	assert_int_equal(stats.hits, 1);
	close_pool(&f);
}

/* A greeting is no proof that boxes last. */
static void test_boxes_that_die_young_are_made_more_seldom(void **state)
{
	int64_t begun_us = clock_us();
	struct fixture f;

	open_pool(&f, &sent_plugin, 1);
	boxes.instead = "{ sleep 0.1; kill -KILL $$; } >/dev/null 2>&1 </dev/null & exec \"$@\"";
	hookbox_result_free(RUN(f.sandbox, PLAIN, "echo", "cold"));
	WAIT_FOR(stats_of(&f).deaths >= 4);
	/* 0.25 s, 0.5 s and 1 s between them. */
	assert_true(clock_us() - begun_us > 1750000);
	pthread_mutex_lock(&f.lock);
	assert_contains(f.logged.data, "end before a call comes");
	pthread_mutex_unlock(&f.lock);
	boxes.instead = NULL;
	call_and_fill(&f);
	assert_int_equal(stats_of(&f).waiting, 1);
	close_pool(&f);
}

static void test_a_file_that_cannot_be_shown_is_sent(void **state)
{
	struct fixture f;

	prepare(&f, 2);
	boxes.no_mounts = true;
	open_prepared(&f, &mounted_plugin);
	call_and_fill(&f);
	call_and_fill(&f);
	assert_int_equal(stats_of(&f).hits, 1);
	close_pool(&f);
}

static void test_a_box_where_no_agent_can_run(void **state)
{
	struct hookbox_result *r;
	struct fixture f;

	prepare(&f, 1);
	boxes.instead = "printf '\\036agent  Linux x86_64\\n'; read -r n; exit 125";
	open_prepared(&f, &sent_plugin);
	for (int i = 0; i < 2; i++) {
		r = RUN(f.sandbox, PLAIN, "echo", "cold");
		assert_string_equal(r->out, "cold\n");
		hookbox_result_free(r);
		WAIT_FOR(stats_of(&f).failures && !stats_of(&f).creating);
	}
	usleep(600000);
	assert_int_equal(stats_of(&f).failures, 1);
	close_pool(&f);
}

/* ---- The close ---- */

static void test_boxes_that_are_being_made_are_ended(void **state)
{
	static const char *const scripts[] = {
		"sleep 0.3; echo $$ >>\"$0\"; exec \"$@\"",
		"echo $$ >>\"$0\"; exec sleep 3600",
	};

	for (size_t i = 0; i < 2; i++) {
		struct hookbox_result *r;
		struct fixture f;

		prepare(&f, 2);
		boxes.instead = scripts[i];
		open_prepared(&f, &sent_plugin);
		r = RUN(f.sandbox, PLAIN, "true");
		hookbox_result_free(r);
		WAIT_FOR(stats_of(&f).creating == 2);
		close_pool(&f);
	}
}

static void test_a_pool_that_nobody_asked(void **state)
{
	struct fixture f;

	open_pool(&f, &sent_plugin, 2);
	assert_true(pool_wait_full(f.pool, 0));
	close_pool(&f);
	assert_int_equal(boxes.planned, 0);
}

/* The boxes are the parent's; the child's calls start cold. */
static void test_a_process_that_was_forked(void **state)
{
	struct fixture f;
	int status;
	pid_t child;

	open_pool(&f, &mounted_plugin, 1);
	call_and_fill(&f);
	child = fork();
	if (!child) {
		struct hookbox_result *r = RUN(f.sandbox, PLAIN, "echo", "child");

		_exit(r->end == HOOKBOX_EXITED && !strcmp(r->out, "child\n") ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	call_and_fill(&f);
	assert_int_equal(stats_of(&f).hits, 1);
	close_pool(&f);
}

/* ---- Where there can be none ---- */

static void test_sandboxes_that_can_have_none(void **state)
{
	struct hookbox_error error = {0};
	struct fixture f;

	prepare(&f, 1);
	assert_true(sandbox_open(&f.config, &kept_plugin, &f.context, &f.sandbox, &error) < 0);
	assert_contains(error.message, "test:1: [sandbox box] pool: kept starts no fresh box");
	f.config.agent = false;
	assert_true(sandbox_open(&f.config, &sent_plugin, &f.context, &f.sandbox, &error) < 0);
	assert_contains(error.message, "agent = off");
	ledger_free(f.context.ledger);
}

static void test_without_an_agent_calls_start_cold(void **state)
{
	struct hookbox_error error = {0};
	struct hookbox_result *r;
	struct fixture f;

	prepare(&f, 1);
	f.context.agent_dir = NULL;
	assert_int_equal(sandbox_open(&f.config, &sent_plugin, &f.context, &f.sandbox, &error), 0);
	assert_null(sandbox_pool(f.sandbox));
	assert_contains(f.logged.data, "hookbox-agent is not installed");
	r = RUN(f.sandbox, PLAIN, "echo", "cold");
	assert_string_equal(r->out, "cold\n");
	hookbox_result_free(r);
	close_pool(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failures_put_the_next_try_off),
		cmocka_unit_test(test_boxes_that_die_young_are_made_more_seldom),
		cmocka_unit_test(test_a_file_that_cannot_be_shown_is_sent),
		cmocka_unit_test(test_a_box_where_no_agent_can_run),
		cmocka_unit_test(test_boxes_that_are_being_made_are_ended),
		cmocka_unit_test(test_a_pool_that_nobody_asked),
		cmocka_unit_test(test_a_process_that_was_forked),
		cmocka_unit_test(test_sandboxes_that_can_have_none),
		cmocka_unit_test(test_without_an_agent_calls_start_cold),
	};

	return cmocka_run_group_tests(tests, pools_setup, pools_teardown);
}
