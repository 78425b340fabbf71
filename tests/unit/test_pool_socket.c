/* SPDX-License-Identifier: MIT */
/* Boxes of a pool that are spoken to over a unix socket. */
#include "pools.h"

#include <dirent.h>
#include <fcntl.h>

#include "listener.h"
#include "spawning.h"

/* The sockets that there are of this host. */
static size_t count_sockets(struct fixture *f)
{
	DIR *dir = opendir(ledger_state_dir(f->context.ledger));
	struct dirent *entry;
	size_t n = 0, length = strlen(ledger_owner(f->context.ledger));

	while ((entry = readdir(dir)))
		n += !strncmp(entry->d_name, ledger_owner(f->context.ledger), length) &&
		     strstr(entry->d_name, LISTENER_SUFFIX);
	closedir(dir);
	return n;
}

static void test_boxes_are_spoken_to_over_a_socket(void **state)
{
	int fds = count_fds();
	struct fixture f;

	open_pool(&f, &mounted_plugin, 2);
	for (int i = 0; i < 3; i++)
		call_and_fill(&f);
	assert_int_equal(stats_of(&f).refills, 4);
	assert_int_equal(stats_of(&f).sockets, 4);
	assert_int_equal(count_sockets(&f), 0);
	close_pool(&f);
	assert_int_equal(count_fds(), fds);
}

/* Answers that are large come whole, also when the agent has gone before we have read them. */
static void test_large_answers_over_a_socket(void **state)
{
	struct fixture f;

	open_pool(&f, &mounted_plugin, 1);
	call_and_fill(&f);
	for (int i = 0; i < 10; i++) {
		struct hookbox_result *r = RUN(f.sandbox, PLAIN, "sh", "-c",
					       "head -c 900000 /dev/zero >&2 & head -c 4000000 "
					       "/dev/zero; wait");

		assert_int_equal(r->end, HOOKBOX_EXITED);
		assert_int_equal(r->out_size, 4000000);
		assert_int_equal(r->err_size, 900000);
		hookbox_result_free(r);
		assert_true(pool_wait_full(f.pool, FULL_MS));
	}
	assert_int_equal(stats_of(&f).hits, 10);
	close_pool(&f);
}

/* Where the socket does not show, cannot be shown, or is not wanted, stdio does. */
static void test_without_a_socket(void **state)
{
	for (int i = 0; i < 3; i++) {
		struct fixture f;

		prepare(&f, 2);
		boxes.blind = i == 0;
		boxes.no_sockets = i == 1;
		f.config.socket = i != 2;
		open_prepared(&f, &mounted_plugin);
		call_and_fill(&f);
		call_and_fill(&f);
		assert_int_equal(stats_of(&f).hits, 1);
		assert_int_equal(stats_of(&f).sockets, 0);
		assert_int_equal(stats_of(&f).waiting, 2);
		assert_int_equal(f.logged.size, 0);
		assert_int_equal(count_sockets(&f), 0);
		close_pool(&f);
	}
}

/* The process that carries the agent ends alone: a call in flight is lost, and nothing runs on. */
static void test_the_carrier_ends(void **state)
{
	struct hookbox_result *r;
	struct fixture f;

	open_pool(&f, &mounted_plugin, 1);
	boxes.instead = "echo $$ >>\"$0\"; exec 3<&0; \"$@\" <&3 3<&- >/dev/null & "
			"echo $! >>\"$0\"; exec 3<&-; wait";
	call_and_fill(&f);
	assert_int_equal(stats_of(&f).sockets, 1);
	/* A real box would take all of it along; here the command goes with the agent. */
	r = RUN(f.sandbox, PLAIN, "sh", "-c", "kill -9 $(head -n 1 \"$0\"); exec sleep 3600",
		boxes.pids);
	assert_int_equal(r->end, HOOKBOX_LOST);
	hookbox_result_free(r);
	boxes.instead = NULL;
	close_pool(&f);
}

/* What a killed host left is removed by the next one's first call. */
static void test_a_socket_of_a_killed_host(void **state)
{
	char name[4200], id[LEDGER_CALL_ID_SIZE];
	struct ledger *dead;
	struct fixture f;
	struct listener listener;
	pid_t pid;
	int to[2];

	prepare(&f, 1);
	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		dead = ledger_new();
		ledger_new_call_id(dead, id);
		_exit(!listener_open(&listener, ledger_state_dir(dead), id) ||
		      write(to[1], listener.path, strlen(listener.path) + 1) < 0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(read(to[0], name, sizeof(name)) > 0);
	assert_int_equal(access(name, F_OK), 0);
	close(to[0]);
	close(to[1]);
	open_prepared(&f, &mounted_plugin);
	call_and_fill(&f);
	assert_int_equal(access(name, F_OK), -1);
	close_pool(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boxes_are_spoken_to_over_a_socket),
		cmocka_unit_test(test_large_answers_over_a_socket),
		cmocka_unit_test(test_without_a_socket),
		cmocka_unit_test(test_the_carrier_ends),
		cmocka_unit_test(test_a_socket_of_a_killed_host),
	};

	return cmocka_run_group_tests(tests, pools_setup, pools_teardown);
}
