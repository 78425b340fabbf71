/* SPDX-License-Identifier: MIT */
/* The agent as other systems build it: without epoll, subreapers and /proc. */
#include "agent_marks.h"

static void start(struct agent_host *host)
{
	host_start_as(host, (const char *const[]){agent_path("portable-agent"), NULL}, NULL);
	host_greet(host, 0, 0);
}

static void test_hello_promises_less(void **state)
{
	struct agent_host host;

	start(&host);
	assert_int_equal(host.hello.features, 0);
	host_stop(&host);
}

static void test_calls(void **state)
{
	struct agent_host host;
	char inputs[150][32];
	struct host_call *call;

	start(&host);
	for (int i = 0; i < 150; i++) {
		snprintf(inputs[i], sizeof(inputs[i]), "call %d", i);
		host_ask(&host, ASK("cat; echo err >&2; exit 3", .input = inputs[i],
				    .input_size = strlen(inputs[i])));
	}
	for (uint32_t id = 1; id <= 150; id++) {
		call = host_wait(&host, id);
		assert_ended(call, FRAME_EXITED, 3, FRAME_SWEPT);
		assert_string_equal(host_text(call, 0), inputs[id - 1]);
	}
	call = host_run(&host, ASK("kill -9 $$"));
	assert_ended(call, FRAME_SIGNALED, 9, FRAME_SWEPT);
	call = host_run(&host, &(struct ask){.argv = (const char *const[]){"/no/such", NULL}});
	assert_int_equal(call->exit.end, FRAME_NOT_STARTED);
	assert_int_equal(call->exit.error_number, ENOENT);
	host_stop(&host);
}

static void test_much_in_and_out(void **state)
{
	char *much = calloc(1, 4 << 20);
	struct agent_host host;
	struct host_call *call;

	start(&host);
	call = host_run(&host, ASK("cat", .input = much, .input_size = 4 << 20));
	assert_ended(call, FRAME_EXITED, 0, FRAME_SWEPT);
	assert_int_equal(call->out[0].size, 4 << 20);
	host_stop(&host);
	free(much);
}

static void test_group_is_swept(void **state)
{
	struct agent_host host;
	struct host_call *call;
	uint32_t id;

	start(&host);
	call = host_run(&host, ASK("sleep 1000 & sleep 1000 & echo ready"));
	assert_ended(call, FRAME_EXITED, 0, FRAME_SWEPT);
	assert_int_equal(count_marked(), 0);
	call = host_run(&host, ASK("trap '' TERM; sleep 1000 & sleep 1000",
				   .call = {.timeout_ms = 200, .grace_ms = 100}));
	assert_ended(call, FRAME_TIMED_OUT, 0, FRAME_SWEPT);
	assert_int_equal(count_marked(), 0);
	/* What left the group and holds stdout is cut off from the call. */
	call = host_run(&host, ASK("setsid sleep 3 & sleep 0.2; echo ready"));
	assert_ended(call, FRAME_EXITED, 0, FRAME_SWEPT);
	assert_string_equal(host_text(call, 0), "ready\n");
	assert_int_equal(call->exit.flags, FRAME_TRUNCATED);
	id = host_ask(&host, ASK("sleep 0.5; kill -9 $PPID; sleep 1"));
	call = host_wait(&host, id);
	assert_int_equal(call->exit.end, FRAME_LOST);
	assert_int_equal(call->exit.cleanup, FRAME_UNKNOWN);
	host_stop(&host);
	wait_until_none_is_left();
}

#define SCRIPT(text) ((const char *const[]){"/bin/sh", "-c", (text), NULL})

/* What left the group is found by the host's mark, whatever else is in its environment. */
static void test_marked_is_swept(void **state)
{
	char large[6000], mark[64];
	const char *const env[] = {large, marked_env()[0], mark, NULL};
	struct agent_host host;
	struct host_call *call;

	memset(large, 'x', sizeof(large) - 1);
	memcpy(large, "A=", 2);
	large[sizeof(large) - 1] = '\0';
	snprintf(mark, sizeof(mark), "HOOKBOX_CALL=portable-%d", (int)getpid());
	start(&host);
	call = host_run(&host, &(struct ask){.argv = SCRIPT("setsid sleep 1000 & setsid sleep 1000 "
							    "</dev/null >/dev/null 2>&1 & "
							    "sleep 0.2; echo ready"),
					     .env = env});
	assert_ended(call, FRAME_EXITED, 0, FRAME_SWEPT);
	assert_string_equal(host_text(call, 0), "ready\n");
	assert_int_equal(count_marked(), 0);
	wait_until_ready(
		&host,
		host_ask(&host, &(struct ask){.argv = SCRIPT("setsid sleep 1000 & sleep 0.2; "
							     "echo ready; sleep 1000"),
					      .env = env}));
	host_stop(&host);
	wait_until_none_is_left();
}

static void test_end_of_the_channel(void **state)
{
	struct agent_host host;

	start(&host);
	for (int i = 0; i < 5; i++)
		wait_until_ready(&host,
				 host_ask(&host, ASK("trap '' TERM; sleep 1000 & echo ready; "
						     "sleep 1000")));
	host_stop(&host);
	wait_until_none_is_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hello_promises_less),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_much_in_and_out),
		cmocka_unit_test(test_marked_is_swept),
		cmocka_unit_test(test_end_of_the_channel),
		cmocka_unit_test(test_group_is_swept),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
