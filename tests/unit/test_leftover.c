/* SPDX-License-Identifier: MIT */
/* Leftovers: what bears a mark is found and killed, and nothing else. */
#include "spawning.h"

#include <spawn.h>
#include <sys/resource.h>

/* A process in a session of its own, as setsid(1) makes it. */
static pid_t start_with(const char *program, const char *const *argv, const char *const *env)
{
	posix_spawnattr_t attributes;
	pid_t pid;

	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
	assert_int_equal(posix_spawn(&pid, program, NULL, &attributes, (char *const *)argv,
				     (char *const *)env),
			 0);
	posix_spawnattr_destroy(&attributes);
	return pid;
}

/* posix_spawn() returns a moment before the new program has its own memory: what would be seen is
 * us. */
static bool is_sleep(pid_t pid)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[64], name[64] = "";

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	file = fopen(path, "r");
	return file && fgets(name, sizeof(name), file) && !strcmp(name, "sleep\n");
}

static pid_t start_sleep(const char *const *env)
{
	pid_t pid = start_with("/bin/sleep", (const char *const[]){"sleep", "100", NULL}, env);

	wait_until(is_sleep(pid));
	return pid;
}

static pid_t start_stray(const char *variable)
{
	return start_sleep((const char *const[]){"A=1", variable, NULL});
}

/* How it ended: the signal, 0 when it had to be ended here. */
static int end_stray(pid_t pid)
{
	int status;
	pid_t ended = waitpid(pid, &status, WNOHANG);

	if (!ended) {
		kill(pid, SIGTERM);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(WTERMSIG(status), SIGTERM);
		return 0;
	}
	return WTERMSIG(status);
}

static void assert_clean(const char *mark, bool prefix, pid_t since)
{
	struct hookbox_error error = {0};

	if (leftover_kill(mark, prefix, (struct spawn_since){.pid = since}, &error))
		fail_msg("%s", error.message);
}

static void assert_killed(pid_t pid)
{
	assert_false(is_running(pid));
	assert_int_equal(end_stray(pid), SIGKILL);
}

static void test_only_what_bears_the_mark(void **state)
{
	pid_t before = fork();
	pid_t marked, other, longer, inside, unmarked;

	if (!before)
		_exit(0);
	waitpid(before, NULL, 0);
	marked = start_stray(mark_text(SPAWN_MARK "=", "mark-1"));
	other = start_stray(mark_text(SPAWN_MARK "=", "mark-2"));
	longer = start_stray(mark_text(SPAWN_MARK "=", "mark-11"));
	inside = start_stray(mark_text("X=" SPAWN_MARK "=", "mark-1"));
	unmarked = start_stray("B=2");
	assert_clean(mark_text("", "mark-1"), false, before);
	assert_killed(marked);
	assert_int_equal(end_stray(other), 0);
	assert_int_equal(end_stray(longer), 0);
	assert_int_equal(end_stray(inside), 0);
	assert_int_equal(end_stray(unmarked), 0);
}

static void test_a_prefix_takes_all_that_begin_with_it(void **state)
{
	pid_t one = start_stray(mark_text(SPAWN_MARK "=", "owner-1"));
	pid_t two = start_stray(mark_text(SPAWN_MARK "=", "owner-22"));
	pid_t other = start_stray(mark_text(SPAWN_MARK "=", "own"));

	assert_clean(mark_text("", "owner-"), true, 0);
	assert_killed(one);
	assert_killed(two);
	assert_int_equal(end_stray(other), 0);
}

static void test_nothing_to_find(void **state)
{
	assert_clean(mark_text("", "nobody-has-this"), false, 0);
	assert_clean(mark_text("", "nobody-has-this"), true, 0);
	assert_clean(mark_text("", "nobody-has-this"), false, getpid());
}

/* Pids came round: what was made since has lower ones than the process that made it. */
static void test_a_pid_that_wraps(void **state)
{
	pid_t pid = start_stray(mark_text(SPAWN_MARK "=", "wrap"));

	assert_clean(mark_text("", "wrap"), false, pid + 5000);
	assert_killed(pid);
}

static void test_only_later_ones_are_looked_at(void **state)
{
	pid_t pid = start_stray(mark_text(SPAWN_MARK "=", "since"));

	assert_clean(mark_text("", "since"), false, pid);
	assert_int_equal(end_stray(pid), 0);
}

/* The environment is read in pieces; the mark may lie across their border, or far behind it. */
static void test_a_mark_anywhere_in_a_large_environment(void **state)
{
	static char padding[40000];

	for (size_t size = 8192 - 60; size < 8192 + 60; size += 3) {
		size_t length = size == 8192 - 60 ? sizeof(padding) - 1 : size;
		const char *const env[] = {padding, mark_text(SPAWN_MARK "=", "large"), "Z=1",
					   NULL};
		pid_t pid;

		memset(padding, 'x', length);
		padding[1] = '=';
		padding[length] = '\0';
		pid = start_sleep(env);
		assert_clean(mark_text("", "large"), false, pid - 1);
		assert_killed(pid);
	}
}

/* In the middle of execve() the environment is empty: no such moment is missed. */
static void test_a_process_that_is_just_starting(void **state)
{
	for (int i = 0; i < 200; i++) {
		_cleanup_run_ struct run run;
		struct hookbox_error error = {0};

		run_prepare(&run, SH("setsid sh -c 'exec sleep 100' >/dev/null 2>&1 </dev/null &"));
		run.request.env = (const char *const[]){"PATH=/usr/bin:/bin",
							mark_text(SPAWN_MARK "=", "start"), NULL};
		run_start(&run);
		assert_exited(&run, 0);
		assert_int_equal(
			leftover_kill(mark_text("", "start"), false, run.result.since, &error),
			0);
	}
	/* A scan of everything finds none either. */
	for (int i = 0; i < 3; i++)
		assert_clean(mark_text("", "start"), false, 0);
}

static void test_what_multiplies_is_caught(void **state)
{
	_cleanup_run_ struct run run;

	run_prepare(&run, SH("setsid sh -c 'while :; do setsid sleep 20 & sleep 0.002; done' "
			     ">/dev/null 2>&1 </dev/null & sleep 0.05"));
	run.request.env = (const char *const[]){"PATH=/usr/bin:/bin",
						mark_text(SPAWN_MARK "=", "multiply"), NULL};
	run_start(&run);
	assert_exited(&run, 0);
	assert_clean(mark_text("", "multiply"), false, run.result.since.pid);
	assert_clean(mark_text("", "multiply"), false, 0);
}

static void test_an_empty_environment_is_no_doubt(void **state)
{
	const char *const env[] = {NULL};
	pid_t pid = start_sleep(env);

	assert_clean(mark_text("", "empty"), false, pid - 1);
	assert_int_equal(end_stray(pid), 0);
}

/* Runs in a child process of another user. */
static int find_hidden(void)
{
	struct spawn_since since = {.pid = getpid()};
	struct hookbox_error error = {0};
	pid_t hidden, stray;
	int code, beside, older;

	if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
		return 2;
	/* Who changed its user cannot be looked into by others, and nor can its children. */
	hidden = fork();
	if (!hidden) {
		pause();
		_exit(0);
	}
	code = leftover_kill(mark_text("", "hidden"), false, since, &error);
	/* Nor does it look like something that was killed and does not end. */
	stray = start_stray(mark_text(SPAWN_MARK "=", "hidden"));
	beside = leftover_kill(mark_text("", "hidden"), false, since, &error);
	if (end_stray(stray) != SIGKILL)
		return 4;
	since.ticks = spawn_since_now().ticks + 1;
	older = leftover_kill(mark_text("", "hidden"), false, since, &error);
	kill(hidden, SIGKILL);
	waitpid(hidden, NULL, 0);
	if (hidden < since.pid) /* pids have just come round: all of /proc was looked at instead */
		return 0;
	if (code != -EACCES || beside != -EACCES ||
	    !strstr(error.message, "does not show its environment"))
		return 1;
	/* It is no doubt when its pid lies among the later ones only because pids came round. */
	return older ? 3 : 0;
}

static void test_what_hides_its_environment_is_reported(void **state)
{
	pid_t pid;
	int status;

	if (geteuid())
		skip();
	pid = fork();
	if (!pid)
		_exit(find_hidden());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_never_ourselves(void **state)
{
	static const char self[] = "/proc/self/exe";
	pid_t pid = start_with(self, (const char *const[]){self, "--bearing-the-mark", NULL},
			       (const char *const[]){mark_text(SPAWN_MARK "=", "self"), NULL});
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void *wait_to_be_told(void *data)
{
	pthread_mutex_lock(data);
	pthread_mutex_unlock(data);
	return NULL;
}

/* Bears the mark itself, with a thread that has a later pid. */
static int bear_the_mark(void)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	struct hookbox_error error = {0};
	pthread_t thread;
	int code;

	pthread_mutex_lock(&mutex);
	pthread_create(&thread, NULL, wait_to_be_told, &mutex);
	code = leftover_kill(getenv(SPAWN_MARK), false, (struct spawn_since){.pid = getpid()},
			     &error);
	if (!code)
		code = leftover_kill(getenv(SPAWN_MARK), false, (struct spawn_since){0}, &error);
	pthread_mutex_unlock(&mutex);
	pthread_join(thread, NULL);
	return code ? 1 : 0;
}

/* What could not be looked at for want of descriptors is not taken for gone. */
static void test_no_descriptor_is_no_proof(void **state)
{
	pid_t pid = start_stray(mark_text(SPAWN_MARK "=", "blind"));
	const char *mark = mark_text("", "blind");
	struct hookbox_error error = {0};
	struct rlimit old, few;
	int code, next = dup(0);
	uint64_t start;
	bool runs;

	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = (struct rlimit){.rlim_cur = (rlim_t)next + 1, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	code = leftover_kill(mark, false, (struct spawn_since){.pid = pid - 1}, &error);
	runs = process_group_runs(pid);
	few.rlim_cur = (rlim_t)next;
	setrlimit(RLIMIT_NOFILE, &few);
	start = process_start_time(pid);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(code, -EMFILE);
	assert_contains(error.message, "limit of open files");
	assert_true(runs);
	assert_true(start == PROCESS_START_UNKNOWN);
	assert_clean(mark, false, pid - 1);
	assert_killed(pid);
}

static void test_start_times_and_groups(void **state)
{
	pid_t pid = start_stray("B=2");

	assert_true(process_start_time(getpid()) > 0);
	assert_true(process_start_time(pid) >= process_start_time(getpid()));
	assert_true(process_group_runs(pid));
	assert_true(process_group_runs(getpgrp()));
	kill(pid, SIGKILL);
	/* A zombie runs no more, and nor does its group. */
	wait_until(!is_running(pid));
	assert_false(process_group_runs(pid));
	waitpid(pid, NULL, 0);
	assert_int_equal(process_start_time(pid), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		engine_test(test_only_what_bears_the_mark),
		engine_test(test_a_prefix_takes_all_that_begin_with_it),
		engine_test(test_nothing_to_find),
		engine_test(test_a_pid_that_wraps),
		engine_test(test_only_later_ones_are_looked_at),
		engine_test(test_a_mark_anywhere_in_a_large_environment),
		engine_test(test_a_process_that_is_just_starting),
		engine_test(test_what_multiplies_is_caught),
		engine_test(test_an_empty_environment_is_no_doubt),
		engine_test(test_what_hides_its_environment_is_reported),
		engine_test(test_never_ourselves),
		engine_test(test_no_descriptor_is_no_proof),
		engine_test(test_start_times_and_groups),
	};

	if (argc > 1 && !strcmp(argv[1], "--bearing-the-mark"))
		return bear_the_mark();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
