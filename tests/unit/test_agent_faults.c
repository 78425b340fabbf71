/* SPDX-License-Identifier: MIT */
/* The agent among commands of its own user that turn against it. */
#include "agent_strangers.h"

#include <sys/stat.h>

static const char *program;

static void start(struct agent_host *host)
{
	host_start_as(host, (const char *const[]){program, NULL}, NULL);
	host_greet(host, 0, 0);
}

static void runs_the_next_call(struct agent_host *host)
{
	assert_ended(host_run(host, ASK("exit 3")), FRAME_EXITED, 3, FRAME_PROVEN);
}

static void test_command_that_kills_its_keeper(void **state)
{
	struct agent_host host;
	uint32_t other, id;

	start(&host);
	other = host_ask(&host, ASK("echo ready; sleep 1; echo well"));
	wait_until_ready(&host, other);
	for (int i = 0; i < 3; i++) {
		id = host_ask(&host, ASK("trap '' TERM; " LEAVE("kill -9 $PPID; sleep 1000")));
		host_wait(&host, id);
		assert_int_equal(host.calls[id].exit.end, FRAME_LOST);
		assert_int_equal(host.calls[id].exit.cleanup, FRAME_PROVEN);
		assert_contains(host.calls[id].exit.text, "killed the agent's helper");
		assert_true(count_marked() <= 2);
		runs_the_next_call(&host);
	}
	/* Nobody else's call is touched. */
	assert_ended(host_wait(&host, other), FRAME_EXITED, 0, FRAME_PROVEN);
	assert_string_equal(host_text(&host.calls[other], 0), "ready\nwell\n");
	host_stop(&host);
}

static void test_command_that_stops_its_keeper(void **state)
{
	struct agent_host host;
	uint32_t id;

	start(&host);
	id = host_ask(&host, ASK("kill -STOP $PPID; " LEAVE("sleep 1000"), .call.grace_ms = 100));
	wait_until_ready(&host, id);
	host_kill(&host, id, FRAME_CANCELLED, FRAME_CALLS_GRACE);
	assert_ended(host_wait(&host, id), FRAME_CANCELLED, 0, FRAME_PROVEN);
	assert_int_equal(count_marked(), 0);
	runs_the_next_call(&host);
	id = host_ask(&host, ASK("kill -STOP $PPID; " LEAVE("sleep 1000")));
	wait_until_ready(&host, id);
	host_stop(&host);
	assert_int_equal(count_marked(), 0);
}

static void test_command_that_kills_the_agent(void **state)
{
	struct agent_host host;
	char script[1024];

	start(&host);
	wait_until_ready(&host, host_ask(&host, ASK(LEAVE("sleep 1000"))));
	snprintf(script, sizeof(script), "kill -9 %d; sleep 1000", (int)host.hello.pid);
	host_ask(&host, ASK(script));
	assert_int_equal(host_end(&host), -SIGKILL);
	wait_until_none_is_left();
}

static void test_signals_to_the_agent(void **state)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	struct agent_host host;

	for (int i = 0; i < 3; i++) {
		start(&host);
		wait_until_ready(&host, host_ask(&host, ASK(LEAVE("sleep 1000"))));
		kill(host.pid, signals[i]);
		assert_int_equal(host_end(&host), 128 + signals[i]);
		wait_until_none_is_left();
	}
}

/* ---- As a user who is nobody else ---- */

static void test_fork_bomb(void **state)
{
	char directory[] = "/tmp/agent-XXXXXX";
	struct agent_host host;
	struct host_call *call;

	if (!start_as_stranger(&host, directory, become_stranger))
		return;
	for (int i = 0; i < 2; i++) {
		call = host_run(&host, ASK("b() { b | b & }; b; i=0; "
					   "while [ $i -lt 300000 ]; do i=$((i+1)); done; exit 4",
					   .call.timeout_ms = 20000));
		assert_ended(call, FRAME_EXITED, 4, FRAME_PROVEN);
		assert_int_equal(count_marked(), 0);
		call = host_run(
			&host, ASK("while :; do setsid sh -c 'sleep 0.1 & sleep 0.1 & exit' & done",
				   .call = {.timeout_ms = 700, .grace_ms = 10}));
		assert_int_equal(call->exit.cleanup, FRAME_PROVEN);
		assert_int_equal(count_marked(), 0);
	}
	runs_the_next_call(&host);
	host_stop(&host);
	stop_stranger(directory);
}

static void test_command_that_kills_all_it_can(void **state)
{
	char directory[] = "/tmp/agent-XXXXXX";
	struct agent_host host;

	if (!start_as_stranger(&host, directory, become_stranger))
		return;
	wait_until_ready(&host,
			 host_ask(&host, ASK("trap '' TERM; setsid sh -c 'sleep 1000 & wait' & "
					     "echo ready; sleep 1000")));
	/* What it started afterwards would stay: nobody is there any more to own it. */
	host_ask(&host, ASK("sleep 1000 & kill -9 -1; while :; do :; done"));
	assert_int_equal(host_end(&host), -SIGKILL);
	stop_stranger(directory);
}

/* It neither reads the agent's environment nor writes frames into its stdout. */
static void test_agent_is_hidden(void **state)
{
	char directory[] = "/tmp/agent-XXXXXX", script[512];
	struct agent_host host;
	struct host_call *call;

	if (!start_as_stranger(&host, directory, become_stranger))
		return;
	snprintf(script, sizeof(script),
		 "for p in %d $PPID; do cat /proc/$p/environ; echo forged >/proc/$p/fd/1; done; "
		 "exit 6", (int)host.hello.pid);
	call = host_run(&host, ASK(script));
	assert_ended(call, FRAME_EXITED, 6, FRAME_PROVEN);
	assert_int_equal(call->out[0].size, 0);
	assert_contains(host_text(call, 1), "ermission denied");
	host_stop(&host);
	stop_stranger(directory);
}

/* A box may have no /proc: then a call's own children still die, and what does not is told. */
static void test_box_without_proc(void **state)
{
	struct agent_host host;
	struct host_call *call;

#ifdef __SANITIZE_ADDRESS__
	return;		/* the sanitizer needs /proc itself */
#endif
	if (geteuid() || system("unshare -m true 2>/dev/null"))
		return;
	host_start_as(&host, (const char *const[]){"/bin/sh", "-c",
		"exec unshare -m sh -c 'mount -t tmpfs none /proc && exec \"$0\"' \"$0\"", program,
		NULL}, NULL);
	host_greet(&host, 0, 0);
	call = host_run(&host, ASK("cat; exit 2", .input = "in", .input_size = 2));
	assert_ended(call, FRAME_EXITED, 2, FRAME_PROVEN);
	call = host_run(&host, ASK("setsid sleep 2 & sleep 0.3; exit 2"));
	assert_int_equal(call->exit.end, FRAME_EXITED);
	assert_int_equal(call->exit.cleanup, FRAME_UNKNOWN);
	assert_contains(call->exit.text, "/proc cannot be read");
	runs_the_next_call(&host);
	host_stop(&host);
	wait_until_none_is_left();
}

static void test_by_hand(void **state)
{
	char command[8192];

	snprintf(command, sizeof(command), "%s --version | grep -q '^hookbox-agent [0-9]'",
		 program);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command),
		 "%s --what 2>&1 </dev/null | grep -q 'hookbox starts this program'; "
		 "%s --what 2>/dev/null; [ $? = 2 ]", program, program);
	assert_int_equal(system(command), 0);
	/* What comes from a host that is none. */
	snprintf(command, sizeof(command),
		 "echo hello there | %s 2>&1 >/dev/null | grep -q 'first bytes are not hookbox'",
		 program);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_that_kills_its_keeper),
		cmocka_unit_test(test_command_that_stops_its_keeper),
		cmocka_unit_test(test_command_that_kills_the_agent),
		cmocka_unit_test(test_signals_to_the_agent),
		cmocka_unit_test(test_fork_bomb),
		cmocka_unit_test(test_command_that_kills_all_it_can),
		cmocka_unit_test(test_agent_is_hidden),
		cmocka_unit_test(test_box_without_proc),
		cmocka_unit_test(test_by_hand),
	};

	signal(SIGPIPE, SIG_IGN);
	program = strdup(agent_path("hookbox-agent"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
