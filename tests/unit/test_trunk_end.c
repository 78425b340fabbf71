/* SPDX-License-Identifier: MIT */
/* Trunks that end, and whose hosts do: calls go on, and nothing is left. */
#include "trunks.h"

/* ---- One that ends ---- */

static void test_one_that_dies_is_replaced(void **state)
{
	struct fixture f;

	open_box(&f, KEEP);
	for (unsigned int i = 1; i <= 3; i++) {
		call_until_through(&f);
		assert_int_equal(ways.n_trunks, i);
		kill(read_pid(ways.pid_file), SIGKILL);
		unlink(ways.pid_file);
		call_goes_through(&f);
	}
	close_box(&f);
}

/* A call that broke off may have broken the trunk: it gets no other one, and is replaced. */
static void test_one_under_which_a_call_is_lost(void **state)
{
	struct hookbox_result *r;
	struct fixture f;

	open_box(&f, KEEP);
	call_until_through(&f);
	r = RUN(f.sandbox, PLAIN, "sh", "-c", "kill -KILL $PPID; sleep 3600");
	assert_int_equal(r->end, HOOKBOX_LOST);
	hookbox_result_free(r);
	call_until_through(&f);
	assert_int_equal(ways.n_trunks, 2);
	close_box(&f);
}

static void *be_cancelled(void *data)
{
	struct fixture *f = data;
	struct hookbox_result *r = RUN(f->sandbox, ((struct hookbox_call){.cancel = f->cancel}), "true");

	assert_int_equal(r->end, HOOKBOX_CANCELLED);
	hookbox_result_free(r);
	return NULL;
}

static void *sleep_in_it(void *data)
{
	struct fixture *f = data;

	hookbox_result_free(RUN(f->sandbox, PLAIN, "sh", "-c", "echo $$ >\"$0\"; sleep 3600",
				f->begun));
	return NULL;
}

/* A call that was cancelled before it began says nothing about it, while another one is in it. */
static void test_a_cancelled_call_does_not_retire_it(void **state)
{
	pthread_t other, cancelled;
	struct fixture f;
	pid_t command;
	unsigned int n;
	int fd;

	open_box(&f, KEEP);
	snprintf(f.begun, sizeof(f.begun), "%s/begun", ways.dir);
	f.cancel = hookbox_cancel_new();
	call_until_through(&f);
	pthread_create(&other, NULL, sleep_in_it, &f);
	command = read_pid(f.begun);
	fd = creat(ways.hold, 0600);
	assert_true(fd >= 0);
	n = ways.n_through;
	pthread_create(&cancelled, NULL, be_cancelled, &f);
	while (ways.n_through == n)
		usleep(1000);
	hookbox_cancel_fire(f.cancel);
	pthread_join(cancelled, NULL);
	unlink(ways.hold);
	assert_true(call_goes_through(&f));
	kill(command, SIGKILL);
	pthread_join(other, NULL);
	assert_int_equal(ways.n_trunks, 1);
	hookbox_cancel_free(f.cancel);
	unlink(f.begun);
	close(fd);
	close_box(&f);
}

/* A word and an end: it would do so again. */
static void test_one_that_ends_unused_is_left_alone(void **state)
{
	struct fixture f;

	open_box(&f, "echo welcome; exit 127");
	for (int i = 0; i < 10; i++) {
		call_goes_through(&f);
		usleep(20000);
	}
	assert_in_range(ways.n_trunks, 1, 2);
	assert_true(log_has(&f, "ended before a call used it"));
	close_box(&f);
}

#define N_THREADS 8
#define N_CALLS 15

static void *call_often(void *data)
{
	for (int i = 0; i < N_CALLS; i++)
		call_goes_through(data);
	return NULL;
}

static void test_many_threads_while_it_dies(void **state)
{
	pthread_t threads[N_THREADS];
	struct fixture f;

	open_box(&f, KEEP);
	call_until_through(&f);
	for (int i = 0; i < N_THREADS; i++)
		pthread_create(&threads[i], NULL, call_often, &f);
	for (int i = 0; i < 3; i++) {
		pid_t pid = read_pid(ways.pid_file);

		unlink(ways.pid_file);
		usleep(50000);
		kill(pid, SIGKILL);
		usleep(100000);
		if (access(ways.pid_file, F_OK))
			break;
	}
	ways.n_refused = 2;
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	close_box(&f);
}

/* ---- Hosts that end ---- */

/* The host is a process of its own, and killed while its trunk carries a call that does not end. */
static void test_none_outlives_a_killed_host(void **state)
{
	char begun[96];
	pid_t host, keeper, command;
	struct fixture f;

	snprintf(begun, sizeof(begun), "%s/begun", ways.dir);
	unlink(ways.pid_file);
	host = fork();
	assert_true(host >= 0);
	if (!host) {
		open_box(&f, KEEP);
		call_until_through(&f);
		RUN(f.sandbox, PLAIN, "sh", "-c", "echo $$ >\"$0\"; exec sleep 3600", begun);
		_exit(1);
	}
	command = read_pid(begun);
	keeper = read_pid(ways.pid_file);
	kill(host, SIGKILL);
	assert_int_equal(waitpid(host, NULL, 0), host);
	for (int i = 0; i < WAIT_MS / 10 && !kill(keeper, 0); i++)
		usleep(10000);
	assert_int_equal(kill(keeper, 0), -1);
	/* The call itself is left to the next host, who finds it in the box by its mark. */
	assert_int_equal(kill(command, SIGKILL), 0);
	unlink(begun);
	expect_nothing();
}

static void test_one_that_hangs_does_not_outlive_it_either(void **state)
{
	pid_t host = fork();
	struct fixture f;

	assert_true(host >= 0);
	if (!host) {
		open_box(&f, "trap '' TERM; echo $$ >\"$1\"; while :; do sleep 3600; done");
		for (int i = 0; i < 2; i++)
			call_goes_through(&f);
		read_pid(ways.pid_file);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(host, NULL, 0), host);
	expect_nothing();
}

/* In a process that was forked the trunk is the parent's. */
static void test_a_forked_process_leaves_it_alone(void **state)
{
	struct fixture f;
	pid_t child;
	int status;

	open_box(&f, KEEP);
	call_until_through(&f);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		bool through = call_goes_through(&f);

		sandbox_close(f.sandbox);
		_exit(through);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(call_goes_through(&f));
	assert_int_equal(ways.n_trunks, 1);
	close_box(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_that_dies_is_replaced),
		cmocka_unit_test(test_one_under_which_a_call_is_lost),
		cmocka_unit_test(test_a_cancelled_call_does_not_retire_it),
		cmocka_unit_test(test_one_that_ends_unused_is_left_alone),
		cmocka_unit_test(test_many_threads_while_it_dies),
		cmocka_unit_test(test_none_outlives_a_killed_host),
		cmocka_unit_test(test_one_that_hangs_does_not_outlive_it_either),
		cmocka_unit_test(test_a_forked_process_leaves_it_alone),
	};

	return cmocka_run_group_tests(tests, trunks_setup, trunks_teardown);
}
