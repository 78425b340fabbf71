/* SPDX-License-Identifier: MIT */
/* Pools at work: filling, taking, boxes that go. */
#include "pools.h"

#include "processes.h"

/* ---- Filling and taking ---- */

static void test_the_first_call_misses_and_the_others_hit(void **state)
{
	static const struct sandbox_plugin_v1 *const plugins[] = {&sent_plugin, &mounted_plugin};

	for (size_t i = 0; i < 2; i++) {
		struct pool_stats stats;
		struct fixture f;

		open_pool(&f, plugins[i], 2);
		for (int n = 0; n < 6; n++)
			call_and_fill(&f);
		stats = stats_of(&f);
		assert_int_equal(stats.misses, 1);
		assert_int_equal(stats.hits, 5);
		assert_int_equal(stats.refills, 7);
		assert_int_equal(stats.failures, 0);
		assert_int_equal(stats.waiting, 2);
		assert_int_equal(boxes.planned, 7);
		close_pool(&f);
	}
}

static void test_a_hit_is_a_call_like_any_other(void **state)
{
	const char *const env[] = {"A=1", "B=two\nlines", NULL};
	struct hookbox_call call = {
		.env = env, .workdir = "/usr", .stdin_data = "in\0put", .stdin_size = 6,
	};
	struct hookbox_result *r;
	struct fixture f;

	open_pool(&f, &mounted_plugin, 2);
	call_and_fill(&f);
	r = RUN(f.sandbox, call, "sh", "-c",
		"cat; printf '|%s|' \"$A\" \"$B\"; pwd; echo e >&2; exit 42");
	assert_int_equal(r->end, HOOKBOX_EXITED);
	assert_int_equal(r->status, 42);
	assert_int_equal(r->out_size, 25);
	assert_memory_equal(r->out, "in\0put|1||two\nlines|/usr\n", 25);
	assert_string_equal(r->err, "e\n");
	assert_int_equal(r->cleanup, HOOKBOX_CLEANUP_PROVEN);
	hookbox_result_free(r);
	r = RUN(f.sandbox, PLAIN, "no-such-command");
	assert_int_equal(r->end, HOOKBOX_NOT_STARTED);
	assert_int_equal(r->error_number, ENOENT);
	hookbox_result_free(r);
	assert_int_equal(stats_of(&f).hits, 2);
	close_pool(&f);
}

static void test_a_timeout_leaves_nothing(void **state)
{
	struct hookbox_call call = {.timeout_ms = 300};
	struct hookbox_result *r;
	pid_t pid, stray;
	struct fixture f;

	open_pool(&f, &mounted_plugin, 1);
	call_and_fill(&f);
	r = RUN(f.sandbox, call, "sh", "-c",
		"trap '' TERM; setsid sleep 3600 & echo $$ $!; while :; do sleep 3600; done");
	assert_int_equal(r->end, HOOKBOX_TIMED_OUT);
	assert_int_equal(sscanf(r->out, "%d %d", &pid, &stray), 2);
	assert_int_equal(process_start_time(pid), 0);
	assert_int_equal(process_start_time(stray), 0);
	assert_int_equal(r->cleanup, HOOKBOX_CLEANUP_PROVEN);
	hookbox_result_free(r);
	assert_int_equal(stats_of(&f).hits, 1);
	close_pool(&f);
}

/* Dwells where the agent is granted more; by then all that is left fits into the pipe. */
static int take_slowly(void *data, int stream, const void *bytes, size_t n)
{
	size_t *taken = data;

	if (*taken < 65536 && *taken + n >= 65536)
		usleep(300000);
	*taken += n;
	return 0;
}

/* The agent has ended before the host has read, or wanted to grant it more. */
static void test_an_agent_that_is_done_before_its_output_is_read(void **state)
{
	size_t taken = 0;
	struct hookbox_call call = {.sink = take_slowly, .sink_data = &taken};
	struct hookbox_result *r;
	struct fixture f;

	open_pool(&f, &mounted_plugin, 1);
	call_and_fill(&f);
	r = RUN(f.sandbox, call, "head", "-c", "128000", "/dev/zero");
	if (r->end != HOOKBOX_EXITED)
		fail_msg("%s: %s", hookbox_end_name(r->end), r->message);
	assert_int_equal(taken, 128000);
	hookbox_result_free(r);
	assert_int_equal(stats_of(&f).hits, 1);
	close_pool(&f);
}

static void *call_often(void *data)
{
	struct fixture *f = data;

	for (int i = 0; i < 10; i++) {
		struct hookbox_call call = {.stdin_data = "0123456789", .stdin_size = 10};
		struct hookbox_result *r = RUN(f->sandbox, call, "cat");

		assert_int_equal(r->end, HOOKBOX_EXITED);
		assert_string_equal(r->out, "0123456789");
		hookbox_result_free(r);
	}
	return NULL;
}

static void test_many_threads_take_at_once(void **state)
{
	struct pool_stats stats;
	pthread_t threads[6];
	struct fixture f;

	open_pool(&f, &mounted_plugin, 3);
	call_and_fill(&f);
	for (int i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_often, &f), 0);
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	stats = stats_of(&f);
	assert_int_equal(stats.hits + stats.misses, 61);
	assert_true(stats.hits >= 3);
	assert_true(pool_wait_full(f.pool, FULL_MS));
	close_pool(&f);
}

/* What carried the agent of a box that has served ends in its own time. */
static void test_a_served_box_has_its_time_to_end(void **state)
{
	char ended[80];
	struct fixture f;

	snprintf(ended, sizeof(ended), "%s.ended", boxes.pids);
	open_pool(&f, &mounted_plugin, 1);
	boxes.instead = "echo $$ >>\"$0\"; \"$@\"; sleep 0.4; : >\"$0.ended\"";
	call_and_fill(&f);
	call_and_fill(&f);
	assert_int_equal(stats_of(&f).hits, 1);
	WAIT_FOR(!access(ended, F_OK));
	close_pool(&f);
	unlink(ended);
}

/* ---- Boxes that go ---- */

/* Kills the agents of every box there was. */
static void kill_agents(void)
{
	FILE *pids = fopen(boxes.pids, "r");
	int pid;

	while (fscanf(pids, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	fclose(pids);
}

static void test_a_box_that_dies_waiting_is_replaced(void **state)
{
	struct pool_stats stats;
	struct fixture f;

	open_pool(&f, &mounted_plugin, 2);
	call_and_fill(&f);
	kill_agents();
	WAIT_FOR(stats_of(&f).deaths == 2);
	assert_true(pool_wait_full(f.pool, FULL_MS));
	call_and_fill(&f);
	stats = stats_of(&f);
	assert_int_equal(stats.hits, 1);
	assert_int_equal(stats.deaths, 2);
	assert_int_equal(stats.refills, 5);
	close_pool(&f);
}

static void test_a_box_grows_old(void **state)
{
	struct fixture f;

	prepare(&f, 2);
	f.config.pool_max_age_ms = 1000;
	open_prepared(&f, &mounted_plugin);
	call_and_fill(&f);
	WAIT_FOR(stats_of(&f).refills >= 6);
	assert_int_equal(stats_of(&f).deaths, 0);
	close_pool(&f);
}

/* The agent that was started last. */
static int newest_agent(void)
{
	FILE *pids = fopen(boxes.pids, "r");
	int pid = 0;

	assert_non_null(pids);
	while (fscanf(pids, "%d", &pid) == 1)
		;
	fclose(pids);
	return pid;
}

static void test_a_call_that_kills_its_agent_is_lost(void **state)
{
	struct hookbox_result *r;
	struct fixture f;
	char script[64], mark[128];

	open_pool(&f, &mounted_plugin, 1);
	call_and_fill(&f);
	/* Once the call runs, the next box may be there. */
	snprintf(script, sizeof(script), "kill -9 %d; exec sleep 3600", newest_agent());
	r = RUN(f.sandbox, PLAIN, "sh", "-c", script);
	assert_int_equal(r->end, HOOKBOX_LOST);
	assert_non_null(r->message);
	assert_int_equal(r->cleanup, HOOKBOX_CLEANUP_PROVEN);
	/* The command goes with the agent; all else goes with a real box. */
	snprintf(mark, sizeof(mark), SPAWN_MARK "=%s", r->call_id);
	wait_until_none_has_env(mark);
	hookbox_result_free(r);
	assert_true(pool_wait_full(f.pool, FULL_MS));
	call_and_fill(&f);
	assert_int_equal(stats_of(&f).hits, 2);
	close_pool(&f);
}

/* It is told, and what it may have left is for the next host to find. */
static void test_a_box_that_cannot_be_ended(void **state)
{
	_cleanup_free_ char *note = NULL;
	struct fixture f;
	struct buf logged;

	open_pool(&f, &dumb_plugin, 1);
	call_and_fill(&f);
	assert_true(asprintf(&note, "%s/%s", ledger_state_dir(f.context.ledger),
			     ledger_owner(f.context.ledger)) > 0);
	kill_agents();
	WAIT_FOR(stats_of(&f).deaths == 1 && !stats_of(&f).ending);
	logged = f.logged;
	f.logged = (struct buf){0};
	assert_contains(logged.data, "a box of the pool may be left");
	assert_contains(logged.data, "the engine is dumb");
	buf_free(&logged);
	close_pool(&f);
	assert_int_equal(access(note, F_OK), 0);
	unlink(note);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_call_misses_and_the_others_hit),
		cmocka_unit_test(test_a_hit_is_a_call_like_any_other),
		cmocka_unit_test(test_a_timeout_leaves_nothing),
		cmocka_unit_test(test_an_agent_that_is_done_before_its_output_is_read),
		cmocka_unit_test(test_many_threads_take_at_once),
		cmocka_unit_test(test_a_served_box_has_its_time_to_end),
		cmocka_unit_test(test_a_box_that_dies_waiting_is_replaced),
		cmocka_unit_test(test_a_box_grows_old),
		cmocka_unit_test(test_a_call_that_kills_its_agent_is_lost),
		cmocka_unit_test(test_a_box_that_cannot_be_ended),
	};

	return cmocka_run_group_tests(tests, pools_setup, pools_teardown);
}
