/* SPDX-License-Identifier: MIT */
/* The spawn engine: how what runs is ended, and what ends by itself leaves. */
#include "spawning.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

/* The process ids that a run printed are no running processes any more. */
static void assert_none_runs(const struct run *run, int expected)
{
	char *next;
	int n = 0;

	for (const char *at = run_out(run, 0);; at = next, n++) {
		long pid = strtol(at, &next, 10);

		if (next == at)
			break;
		assert_false(is_running((pid_t)pid));
	}
	assert_int_equal(n, expected);
}

static void run_for(struct run *run, const char *const *argv, int64_t ms, int64_t grace_ms)
{
	run_prepare(run, argv);
	run->request.deadline_us = clock_deadline_us(ms);
	run->request.grace_ms = grace_ms;
	run_start(run);
	assert_int_equal(run->result.end, SPAWN_TIMED_OUT);
	assert_true(run->result.killed);
	assert_true(run->result.group_gone);
}

static void test_a_timeout_ends_children_and_grandchildren(void **state)
{
	_cleanup_run_ struct run run;

	run_for(&run, SH("sleep 100 & echo $! $$; sh -c 'sleep 100 & echo $! $$; wait' & wait"),
		100, 2000);
	assert_none_runs(&run, 4);
	assert_int_equal(run.result.status, SIGTERM);
	assert_false(run.result.truncated);
}

static void test_a_deadline_in_the_past(void **state)
{
	_cleanup_run_ struct run run;

	run_for(&run, SH("sleep 100"), 0, 2000);
}

static void test_term_lets_it_tidy_up(void **state)
{
	_cleanup_run_ struct run run;

	run_for(&run, SH("trap 'echo bye; exit 3' TERM; sleep 100 & wait"), 100, 20000);
	assert_string_equal(run_out(&run, 0), "bye\n");
	assert_int_equal(run.result.status, 3);
}

static void test_who_ignores_term_is_killed(void **state)
{
	_cleanup_run_ struct run run;

	run_for(&run, SH("trap '' TERM; echo $$; while :; do sleep 100; done"), 100, 30);
	assert_int_equal(run.result.status, SIGKILL);
	assert_none_runs(&run, 1);
}

static void test_the_rest_of_the_group_has_its_grace_too(void **state)
{
	_cleanup_run_ struct run run;

	/* The leader dies of TERM at once; its child needs a moment. */
	run_for(&run, SH("(trap 'sleep 0.1; echo tidied up; exit' TERM; sleep 100 & wait) & wait"),
		100, 20000);
	assert_string_equal(run_out(&run, 0), "tidied up\n");
	assert_int_equal(run.result.status, SIGTERM);
}

static void test_the_rest_of_the_group_is_killed_in_the_end(void **state)
{
	_cleanup_run_ struct run run;

	run_for(&run, SH("(trap '' TERM; exec sleep 100) & echo $!; wait"), 100, 30);
	assert_none_runs(&run, 1);
	assert_int_equal(run.result.status, SIGTERM);
}

static void test_what_the_end_leaves_in_the_group_is_killed(void **state)
{
	_cleanup_run_ struct run run;

	run_prepare(&run, SH("(trap '' TERM HUP; exec sleep 100) & echo $!; exit 7"));
	run_start(&run);
	assert_exited(&run, 7);
	assert_none_runs(&run, 1);
	assert_false(run.result.truncated);
	assert_false(run.result.killed);
}

static void test_zombies_that_nobody_reaps_are_gone_all_the_same(void **state)
{
	_cleanup_run_ struct run run;
	pid_t orphan;

	/* As in a container whose first process does not reap: the orphan stays a zombie, ours. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	run_prepare(&run, SH("sleep 100 & echo $!; exit 0"));
	run_start(&run);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
	assert_exited(&run, 0);
	orphan = (pid_t)atoi(run_out(&run, 0));
	assert_int_equal(waitpid(orphan, NULL, 0), orphan);
}

static void test_a_stray_that_holds_the_output_is_cut_off(void **state)
{
	struct hookbox_error error = {0};
	_cleanup_run_ struct run run;
	pid_t stray;

	run_prepare(
		&run,
		SH("setsid sleep 100 & echo $!; until [ \"$(cut -d' ' -f6 /proc/$!/stat)\" = $! ]; "
		   "do sleep 0.01; done; exit 7"));
	run.request.env = (const char *const[]){"PATH=/usr/bin:/bin",
						mark_text(SPAWN_MARK "=", "holds"), NULL};
	run_start(&run);
	assert_int_equal(run.result.end, SPAWN_EXITED);
	assert_int_equal(run.result.status, 7);
	assert_true(run.result.truncated);
	assert_true(run.result.group_gone);
	stray = (pid_t)atoi(run_out(&run, 0));
	assert_true(is_running(stray));
	assert_int_equal(leftover_kill(mark_text("", "holds"), false, run.result.since, &error),
			 0);
	assert_false(is_running(stray));
}

static void test_the_consumer_stops_it(void **state)
{
	static const enum spawn_end ends[] = {
		[SPAWN_STOP_LIMIT] = SPAWN_OUTPUT_LIMIT,
		[SPAWN_STOP_CANCEL] = SPAWN_CANCELLED,
	};

	for (int stop = SPAWN_STOP_LIMIT; stop <= SPAWN_STOP_CANCEL; stop++) {
		for (int stream = 0; stream < 2; stream++) {
			_cleanup_run_ struct run run;

			run_prepare(&run, stream ? SH("exec yes >&2") : SH("exec yes"));
			run.stream[stream].limit = 100000;
			run.stream[stream].stop = stop;
			run_start(&run);
			assert_int_equal(run.result.end, ends[stop]);
			assert_int_equal(run.stream[stream].kept.size, 100000);
			assert_true(run.result.killed);
			assert_true(run.result.group_gone);
		}
	}
}

static void test_a_limit_counts_when_the_process_has_ended(void **state)
{
	_cleanup_run_ struct run run;

	run_prepare(&run, SH("printf 1234567890; exit 0"));
	run.stream[0].limit = 9;
	run.stream[0].stop = SPAWN_STOP_LIMIT;
	run_start(&run);
	assert_int_equal(run.result.end, SPAWN_OUTPUT_LIMIT);
	assert_int_equal(run.stream[0].total, 10);
}

static void test_done_gives_it_time_to_end_by_itself(void **state)
{
	_cleanup_run_ struct run run, slow;

	run_prepare(&run, SH("echo x; sleep 0.05; exit 4"));
	run.stream[0].limit = 0;
	run.stream[0].stop = SPAWN_STOP_DONE;
	run.request.done_grace_ms = 20000;
	run_start(&run);
	assert_exited(&run, 4);
	assert_false(run.result.killed);

	run_prepare(&slow, SH("echo x; exec sleep 100"));
	slow.stream[0].limit = 0;
	slow.stream[0].stop = SPAWN_STOP_DONE;
	slow.request.done_grace_ms = 20;
	run_start(&slow);
	assert_int_equal(slow.result.end, SPAWN_SIGNALED);
	assert_int_equal(slow.result.status, SIGTERM);
	assert_true(slow.result.killed);
}

static void test_cancelled_before_it_began(void **state)
{
	int event = eventfd(1, EFD_CLOEXEC);
	_cleanup_run_ struct run run;
	uint64_t value = 0;

	run_prepare(&run, SH("sleep 100"));
	run.request.cancel_fd = event;
	run_start(&run);
	assert_int_equal(run.result.end, SPAWN_CANCELLED);
	assert_true(run.result.group_gone);
	/* It was looked at, not read. */
	assert_int_equal(read(event, &value, sizeof(value)), sizeof(value));
	assert_int_equal(value, 1);
	close(event);
}

static void *cancel_soon(void *data)
{
	sleep_ms(50);
	assert_int_equal(eventfd_write(*(int *)data, 1), 0);
	return NULL;
}

static void test_cancelled_by_another_thread(void **state)
{
	int event = eventfd(0, EFD_CLOEXEC);
	_cleanup_run_ struct run run;
	pthread_t thread;

	run_prepare(&run, SH("sleep 100 & echo $!; wait"));
	run.request.cancel_fd = event;
	pthread_create(&thread, NULL, cancel_soon, &event);
	run_start(&run);
	pthread_join(thread, NULL);
	close(event);
	assert_int_equal(run.result.end, SPAWN_CANCELLED);
	assert_none_runs(&run, 1);
}

static void on_alarm(int signo)
{
}

static void test_signals_of_the_caller_do_not_disturb(void **state)
{
	const struct sigaction action = {.sa_handler = on_alarm};
	struct sigaction old;
	_cleanup_run_ struct run run;
	timer_t timer;
	const struct itimerspec often = {{0, 300000}, {0, 300000}};

	sigaction(SIGALRM, &action, &old);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
	assert_int_equal(timer_settime(timer, 0, &often, NULL), 0);
	run_for(&run, SH("head -c 1000000 /dev/zero; exec sleep 100"), 200, 2000);
	timer_delete(timer);
	sigaction(SIGALRM, &old, NULL);
	assert_int_equal(run.stream[0].total, 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		engine_test(test_a_timeout_ends_children_and_grandchildren),
		engine_test(test_a_deadline_in_the_past),
		engine_test(test_term_lets_it_tidy_up),
		engine_test(test_who_ignores_term_is_killed),
		engine_test(test_the_rest_of_the_group_has_its_grace_too),
		engine_test(test_the_rest_of_the_group_is_killed_in_the_end),
		engine_test(test_what_the_end_leaves_in_the_group_is_killed),
		engine_test(test_zombies_that_nobody_reaps_are_gone_all_the_same),
		engine_test(test_a_stray_that_holds_the_output_is_cut_off),
		engine_test(test_the_consumer_stops_it),
		engine_test(test_a_limit_counts_when_the_process_has_ended),
		engine_test(test_done_gives_it_time_to_end_by_itself),
		engine_test(test_cancelled_before_it_began),
		engine_test(test_cancelled_by_another_thread),
		engine_test(test_signals_of_the_caller_do_not_disturb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
