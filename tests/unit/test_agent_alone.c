/* SPDX-License-Identifier: MIT */
/* The agent of a box with one call, which runs that itself. */
#include "agent_marks.h"

#include <sys/inotify.h>
#include <sys/stat.h>

#include "cleanup.h"

static const char *program;

static void start(struct agent_host *host)
{
	host_start_as(host, (const char *const[]){program, "--once", NULL}, NULL);
	host_greet(host, 0, 0);
}

/* A box's only call, to its end and the agent's. */
static void run_alone(const struct ask *ask, struct host_call *call)
{
	struct agent_host host;
	struct host_call *ended;

	start(&host);
	ended = host_run(&host, ask);
	*call = *ended;
	ended->out[0] = ended->out[1] = (struct buf){0};
	assert_int_equal(count_marked(), 0);
	assert_int_equal(host_end(&host), 0);
	assert_int_equal(host.bye.code, FRAME_BYE_DONE);
}

static void free_call(struct host_call *call)
{
	buf_free(&call->out[0]);
	buf_free(&call->out[1]);
}

static void test_nothing_is_left_of_a_call(void **state)
{
	struct host_call call;

	run_alone(ASK(LEAVE("exit 5")), &call);
	assert_ended(&call, FRAME_EXITED, 5, FRAME_PROVEN);
	assert_string_equal(host_text(&call, 0), "ready\n");
	assert_int_equal(call.exit.flags, 0);
	free_call(&call);
}

static void test_ends(void **state)
{
	struct host_call call;

	run_alone(ASK("kill -SEGV $$"), &call);
	assert_ended(&call, FRAME_SIGNALED, SIGSEGV, FRAME_PROVEN);
	free_call(&call);
	/* No signal is ignored there. */
	run_alone(ASK("kill -PIPE $$; exit 3"), &call);
	assert_ended(&call, FRAME_SIGNALED, SIGPIPE, FRAME_PROVEN);
	free_call(&call);
	run_alone(&(struct ask){.argv = (const char *const[]){"/no/such", NULL}}, &call);
	assert_ended(&call, FRAME_NOT_STARTED, 0, FRAME_PROVEN);
	assert_int_equal(call.exit.error_number, ENOENT);
	free_call(&call);
}

static void test_timeout(void **state)
{
	struct host_call call;

	run_alone(ASK("trap 'echo bye; exit 1' TERM; sleep 1000 & wait",
		      .call = {.timeout_ms = 300, .grace_ms = 20000}),
		  &call);
	assert_ended(&call, FRAME_TIMED_OUT, 0, FRAME_PROVEN);
	assert_string_equal(host_text(&call, 0), "bye\n");
	assert_int_equal(call.exit.flags, FRAME_KILLED);
	free_call(&call);
	run_alone(ASK("trap '' TERM; " LEAVE("sleep 1000"),
		      .call = {.timeout_ms = 1500, .grace_ms = 200}),
		  &call);
	assert_ended(&call, FRAME_TIMED_OUT, 0, FRAME_PROVEN);
	free_call(&call);
}

static void test_output_limit(void **state)
{
	struct host_call call;
	int64_t begun_us = clock_us();

	run_alone(ASK("trap '' TERM; head -c 100000 /dev/zero; sleep 1000",
		      .call = {.limit = {1000, 1000}, .grace_ms = 200}),
		  &call);
	assert_ended(&call, FRAME_OUTPUT_LIMIT, 0, FRAME_PROVEN);
	/* Nothing but the end of the grace wakes it. The watchdog would come after 12 s. */
	assert_true(clock_us() - begun_us < 11000000);
	free_call(&call);
}

/* Both come at once: there is no process to be ended. */
static void test_a_call_that_never_was_is_cancelled(void **state)
{
	struct agent_host host;
	uint32_t id;

	start(&host);
	id = host_ask(&host, &(struct ask){.argv = (const char *const[]){"/no/such", NULL}});
	host_kill(&host, id, FRAME_CANCELLED, 0);
	assert_ended(host_wait(&host, id), FRAME_NOT_STARTED, 0, FRAME_PROVEN);
	assert_int_equal(host_end(&host), 0);
}

static void test_rest_of_the_group_has_its_grace(void **state)
{
	struct host_call call;

	run_alone(ASK("sh -c 'trap \"sleep 0.3; echo late; exit\" TERM; "
		      "while :; do sleep 0.05; done' & echo ready; exec sleep 1000",
		      .call = {.timeout_ms = 500, .grace_ms = 20000}),
		  &call);
	assert_ended(&call, FRAME_TIMED_OUT, 0, FRAME_PROVEN);
	assert_string_equal(host_text(&call, 0), "ready\nlate\n");
	free_call(&call);
}

static void test_cancel(void **state)
{
	struct agent_host host;
	uint32_t id;

	start(&host);
	id = host_ask(&host, ASK("trap '' TERM; " LEAVE("wait; sleep 1000")));
	wait_until_ready(&host, id);
	host_kill(&host, id, FRAME_CANCELLED, 20000);
	/* The second one does not wait as long. */
	host_kill(&host, id, FRAME_TIMED_OUT, 50);
	assert_ended(host_wait(&host, id), FRAME_CANCELLED, 0, FRAME_PROVEN);
	assert_int_equal(host_end(&host), 0);
	assert_int_equal(count_marked(), 0);
}

static void test_end_of_the_channel(void **state)
{
	struct agent_host host;

	start(&host);
	wait_until_ready(&host, host_ask(&host, ASK("trap '' TERM; " LEAVE("sleep 1000"))));
	host_stop(&host);
	assert_int_equal(count_marked(), 0);
}

static void test_there_is_one_call(void **state)
{
	struct agent_host host;
	struct host_call *second;
	uint32_t id;

	start(&host);
	assert_int_equal(host.hello.max_calls, 1);
	id = host_ask(&host, ASK("echo ready; sleep 1000"));
	wait_until_ready(&host, id);
	second = host_run(&host, ASK("true"));
	assert_int_equal(second->exit.end, FRAME_NOT_STARTED);
	assert_int_equal(second->exit.error_number, EAGAIN);
	host_stop(&host);
	assert_int_equal(count_marked(), 0);
}

static int count_children(pid_t pid)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[64];
	int n = 0, child;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	file = fopen(path, "r");
	if (!file) /* a kernel that keeps no such list */
		return 1;
	while (fscanf(file, "%d", &child) == 1)
		n++;
	return n;
}

/* One that has children already could not tell them from the call's. */
static void test_children_from_before_are_left_alone(void **state)
{
	struct agent_host host;

	host_start_as(&host,
		      (const char *const[]){"/bin/sh", "-c", "sleep 1000 >&2 & exec \"$0\" --once",
					    program, NULL},
		      NULL);
	host_greet(&host, 0, 0);
	assert_true(host.hello.max_calls > 1);
	wait_until_ready(&host, host_ask(&host, ASK("echo ready; exec sleep 1000")));
	/* With the helper. */
	assert_int_equal(count_children(host.pid), 2);
	host_stop(&host);
}

/* What has lost its parent and ends while the command runs takes no place. */
static void test_orphans_that_end_are_waited_for(void **state)
{
	struct agent_host host;
	int tries = 0;

	start(&host);
	wait_until_ready(&host,
			 host_ask(&host, ASK("for i in 1 2 3 4 5 6 7 8 9; do (setsid true &) ; "
					     "done; echo ready; exec sleep 1000")));
	while (count_children(host.pid) > 1 && tries++ < 3000)
		poll(NULL, 0, 10);
	assert_int_equal(count_children(host.pid), 1);
	host_stop(&host);
}

/* Greets with that guess and has a call run; was the file opened? */
static bool looks_at(const char *file, const char *guess)
{
	struct frame_host_hello hello = {.version = FRAME_VERSION};
	_cleanup_close_ int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	struct agent_host host;
	struct host_call *call;
	char events[4096];

	assert_true(inotify_add_watch(watch, file, IN_OPEN) >= 0);
	strcpy(hello.program, guess);
	host_start_as(&host, (const char *const[]){program, "--once", NULL}, NULL);
	host_say_hello(&host, &hello);
	call = host_run(&host, ASK("true"));
	assert_ended(call, FRAME_EXITED, 0, FRAME_PROVEN);
	assert_int_equal(host_end(&host), 0);
	return read(watch, events, sizeof(events)) > 0;
}

/* It is a guess: one that names nothing, or what is no program, changes nothing. */
static void test_a_program_that_is_likely_is_looked_at(void **state)
{
	char file[] = "/tmp/hookbox-test.XXXXXX", pipe[64];
	const char *path = getenv("PATH");
	char *before = path ? strdup(path) : NULL;

	close(mkstemp(file));
	assert_int_equal(chmod(file, 0755), 0);
	assert_true(looks_at(file, file));
	setenv("PATH", "/nowhere:/tmp", 1);
	assert_true(looks_at(file, strrchr(file, '/') + 1));
	assert_false(looks_at(file, "no-such-program"));
	assert_false(looks_at(file, "/no/such"));
	assert_false(looks_at(file, "/tmp"));
	if (before)
		setenv("PATH", before, 1);
	else
		unsetenv("PATH");
	free(before);
	snprintf(pipe, sizeof(pipe), "%s.pipe", file);
	assert_int_equal(mkfifo(pipe, 0755), 0);
	assert_false(looks_at(file, pipe));
	unlink(pipe);
	unlink(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_left_of_a_call),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_output_limit),
		cmocka_unit_test(test_a_call_that_never_was_is_cancelled),
		cmocka_unit_test(test_rest_of_the_group_has_its_grace),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_end_of_the_channel),
		cmocka_unit_test(test_there_is_one_call),
		cmocka_unit_test(test_children_from_before_are_left_alone),
		cmocka_unit_test(test_orphans_that_end_are_waited_for),
		cmocka_unit_test(test_a_program_that_is_likely_is_looked_at),
	};

	signal(SIGPIPE, SIG_IGN);
	program = strdup(agent_path("hookbox-agent"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
