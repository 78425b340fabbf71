/* SPDX-License-Identifier: MIT */
/* The agent: how calls and the channel end, and that nothing is left of them. */
#include "agent_marks.h"

static const char *program;

static void start(struct agent_host *host)
{
	host_start_as(host, (const char *const[]){program, NULL}, NULL);
	host_greet(host, 0, 0);
}

static void test_nothing_is_left_of_a_call(void **state)
{
	struct agent_host host;
	struct host_call *call;

	start(&host);
	for (int i = 0; i < 3; i++) {
		call = host_run(&host, ASK(LEAVE("exit 5")));
		assert_int_equal(count_marked(), 0);
		assert_ended(call, FRAME_EXITED, 5, FRAME_PROVEN);
		assert_string_equal(host_text(call, 0), "ready\n");
		assert_int_equal(call->exit.flags, 0);
	}
	host_stop(&host);
}

static void test_signaled(void **state)
{
	struct agent_host host;

	start(&host);
	assert_ended(host_run(&host, ASK("kill -SEGV $$")), FRAME_SIGNALED, SIGSEGV, FRAME_PROVEN);
	assert_ended(host_run(&host, ASK("kill -9 $$")), FRAME_SIGNALED, SIGKILL, FRAME_PROVEN);
	host_stop(&host);
}

static void test_timeout(void **state)
{
	struct agent_host host;
	struct host_call *call;

	start(&host);
	call = host_run(&host, ASK("trap 'echo bye; exit 1' TERM; sleep 1000 & wait",
				   .call = {.timeout_ms = 300, .grace_ms = 20000}));
	assert_ended(call, FRAME_TIMED_OUT, 0, FRAME_PROVEN);
	assert_string_equal(host_text(call, 0), "bye\n");
	assert_int_equal(call->exit.flags, FRAME_KILLED);
	assert_int_equal(count_marked(), 0);
	/* What ignores TERM gets KILL. */
	call = host_run(&host, ASK("trap '' TERM; " LEAVE("sleep 1000"),
				   .call = {.timeout_ms = 1500, .grace_ms = 200}));
	assert_ended(call, FRAME_TIMED_OUT, 0, FRAME_PROVEN);
	assert_int_equal(count_marked(), 0);
	host_stop(&host);
}

static void test_rest_of_the_group_has_its_grace(void **state)
{
	struct agent_host host;
	struct host_call *call;

	start(&host);
	call = host_run(&host, ASK("sh -c 'trap \"sleep 0.3; echo late; exit\" TERM; "
				   "while :; do sleep 0.05; done' & echo ready; exec sleep 1000",
				   .call = {.timeout_ms = 500, .grace_ms = 20000}));
	assert_ended(call, FRAME_TIMED_OUT, 0, FRAME_PROVEN);
	assert_string_equal(host_text(call, 0), "ready\nlate\n");
	host_stop(&host);
}

static void test_kill(void **state)
{
	static const enum frame_end reasons[] = {FRAME_CANCELLED, FRAME_TIMED_OUT,
						 FRAME_OUTPUT_LIMIT};
	struct agent_host host;

	start(&host);
	for (int i = 0; i < 3; i++) {
		uint32_t id = host_ask(&host, ASK("trap '' TERM; " LEAVE("wait; sleep 1000")));

		wait_until_ready(&host, id);
		/* The second one does not wait as long. */
		host_kill(&host, id, reasons[i], FRAME_CALLS_GRACE);
		host_kill(&host, id, FRAME_CANCELLED, 50);
		assert_ended(host_wait(&host, id), reasons[i], 0, FRAME_PROVEN);
		assert_int_equal(count_marked(), 0);
		/* It crossed the EXIT. */
		host_kill(&host, id, FRAME_CANCELLED, 0);
	}
	assert_ended(host_run(&host, ASK("true")), FRAME_EXITED, 0, FRAME_PROVEN);
	host_stop(&host);
}

static void test_end_of_the_channel(void **state)
{
	struct agent_host host;

	start(&host);
	for (int i = 0; i < 4; i++)
		wait_until_ready(&host, host_ask(&host, ASK("trap '' TERM; " LEAVE("sleep 1000"))));
	assert_true(count_marked() > 20);
	host_stop(&host);
	assert_int_equal(count_marked(), 0);
}

/* The other end of its stdout is closed, and that alone. */
static void test_end_of_stdout(void **state)
{
	struct agent_host host;
	int status;

	start(&host);
	wait_until_ready(&host, host_ask(&host, ASK(LEAVE("while :; do echo x; done"),
						    .stingy = true, .call.window = {20, 20})));
	close(host.out);
	host.out = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(write(host.in, "\x08\0\0\0\3\0\0\0\0\0\0\0pingping", 20), 20);
	assert_int_equal(waitpid(host.pid, &status, 0), host.pid);
	assert_int_equal(count_marked(), 0);
	host.ended = true;
	host.pid = fork();
	if (!host.pid)
		_exit(0);
	host_end(&host);
}

static void test_bye(void **state)
{
	const struct frame_bye bye = {FRAME_BYE_DONE, "closing"};
	unsigned char bytes[FRAME_SMALL_MAX];
	struct agent_host host;

	start(&host);
	wait_until_ready(&host, host_ask(&host, ASK(LEAVE("sleep 1000"))));
	host_add(&host, bytes, frame_put_bye(bytes, sizeof(bytes), &bye));
	assert_int_equal(host_end(&host), 0);
	assert_int_equal(count_marked(), 0);
}

static void test_silence(void **state)
{
	struct agent_host host;

	host_start_as(&host, (const char *const[]){program, NULL}, NULL);
	host_greet(&host, 0, 700);
	for (int i = 0; i < 6; i++) {
		host_add(&host, "\x08\0\0\0\3\0\0\0\0\0\0\0pingping", 20);
		host_until(&host, host.pongs == (unsigned int)i + 1);
		poll(NULL, 0, 200);
	}
	host_ask(&host, ASK("sleep 1000"));
	assert_int_equal(host_end(&host), 1);
	assert_true(host.bye_came);
	assert_int_equal(host.bye.code, FRAME_BYE_SILENCE);
	assert_int_equal(count_marked(), 0);
}

static void test_once(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct agent_host host;
		struct host_call *call;
		uint32_t id;

		host_start_as(&host, (const char *const[]){program, i ? "--once" : NULL, NULL},
			      NULL);
		host_greet(&host, i ? 0 : FRAME_ONCE, 0);
		id = host_ask(&host, ASK("head -c 1000000 /dev/zero; sleep 1000 & exit 7"));
		call = host_wait(&host, id);
		assert_ended(call, FRAME_EXITED, 7, FRAME_PROVEN);
		assert_int_equal(call->out[0].size, 1000000);
		assert_int_equal(host_end(&host), 0);
		assert_int_equal(host.bye.code, FRAME_BYE_DONE);
		assert_int_equal(count_marked(), 0);
	}
}

/* ---- A host that breaks the protocol ---- */

static void breaks(const void *bytes, size_t n)
{
	struct agent_host host;

	start(&host);
	wait_until_ready(&host, host_ask(&host, ASK("trap '' TERM; echo ready; exec sleep 1000",
						    .input_open = true)));
	host.calls[1].credit = 0;
	host_add(&host, bytes, n);
	assert_int_equal(host_end(&host), 1);
	assert_true(host.bye_came);
	assert_int_equal(host.bye.code, FRAME_BYE_PROTOCOL);
	assert_contains(host.bye.text, "the host broke the protocol: ");
	assert_int_equal(count_marked(), 0);
}

static void test_broken_protocol(void **state)
{
	unsigned char bytes[FRAME_SMALL_MAX];
	const struct frame_credit credit = {1, FRAME_WINDOW_MAX}, of_stdin = {0, 1};
	struct frame_call call = {.argc = 1, .block_size = 3, .block_here = 3,
				  .block = (const unsigned char *)"\0a\0"};

	breaks("\1\0\0\0\x20\0\0\0\1\0\0\0x", 13);		/* OUT */
	breaks("\0\0\0\0\x7f\0\0\0\1\0\0\0", 12);			/* no such type */
	breaks("\0\0\1\0\x12\0\0\0\1\0\0\0", 12);			/* IN of 64 KiB */
	breaks("\0\0\0\0\x13\0\0\0\0\0\0\0", 12);			/* EOF of no call */
	breaks(bytes, frame_put_credit(bytes, sizeof(bytes), 1, &credit));
	breaks(bytes, frame_put_credit(bytes, sizeof(bytes), 1, &of_stdin));
	breaks(bytes, frame_put_call(bytes, sizeof(bytes), 1, &call));	/* it runs */
	call.argc = 2;
	breaks(bytes, frame_put_call(bytes, sizeof(bytes), 2, &call));	/* one string */
	call.argc = 1;
	call.block_here = 2;
	breaks(bytes, frame_put_call(bytes, sizeof(bytes), 2, &call));	/* no BLOCK came */
	call.block_here = 3;
	memcpy(bytes, "\1\0\0\0\x11\0\0\0\3\0\0\0x", 13);			/* BLOCK of 3 */
	breaks(bytes, 13 + frame_put_call(bytes + 13, sizeof(bytes) - 13, 2, &call));
}

/* More stdin than there is credit for. */
static void test_stdin_beyond_the_window(void **state)
{
	size_t one = FRAME_HEADER_SIZE + FRAME_DATA_MAX;
	unsigned char *bytes = calloc(6, one);

	for (size_t i = 0; i < 6; i++)
		frame_put_data_header(bytes + i * one, one, FRAME_IN, 1, FRAME_DATA_MAX);
	breaks(bytes, 6 * one);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_left_of_a_call),
		cmocka_unit_test(test_signaled),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_rest_of_the_group_has_its_grace),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_end_of_the_channel),
		cmocka_unit_test(test_end_of_stdout),
		cmocka_unit_test(test_bye),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_broken_protocol),
		cmocka_unit_test(test_stdin_beyond_the_window),
	};

	signal(SIGPIPE, SIG_IGN);
	program = strdup(agent_path("hookbox-agent"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
