/* SPDX-License-Identifier: MIT */
/* Channels that break: agents that are killed, do not get in, or do not keep to the protocol. */
#include "channels.h"

#include <sys/stat.h>

#include "files.h"
#include "processes.h"

/* ---- Losses ---- */

static void test_the_agent_is_killed(void **state)
{
	struct channel *channel = open_agent();
	struct answer answer;
	struct channel_request request;
	char script[64], mark[64];
	const char *const env[] = {mark, NULL};

	snprintf(mark, sizeof(mark), "CHANNEL_TEST_MARK=%d", (int)getpid());
	snprintf(script, sizeof(script), "setsid sleep 3600 & kill -9 %u; sleep 3600",
		 channel_agent(channel)->pid);
	request = request_for(ARGV("sh", "-c", script), &answer);
	request.env = env;
	run(channel, &request, &answer);
	assert_true(answer.result.lost);
	assert_true(answer.result.sent);
	assert_false(channel_is_usable(channel));
	/* The next one is not even sent. */
	run(channel, &request, &answer);
	assert_true(answer.result.lost);
	assert_false(answer.result.sent);
	answer_free(&answer);
	channel_release(channel);
	wait_until_none_has_env(mark);
}

static void assert_problem(int problem, const char *script, const char *arg, const char *sentence)
{
	struct hookbox_error error = {0};
	struct channel *channel = NULL;

	assert_int_equal(open_script(script, arg, &channel, &error), problem);
	assert_null(channel);
	assert_contains(error.message, sentence);
}

static void test_no_agent(void **state)
{
	assert_problem(CHANNEL_NO_WAY, "echo no such box >&2; exit 3", "",
		       "ended (status 3): no such box");
	assert_problem(CHANNEL_NO_WAY, "echo OCI runtime exec failed; exit 126", "",
		       "OCI runtime exec failed");
	assert_problem(CHANNEL_NO_WAY, "head -c 100000 /dev/zero; sleep 60", "", "no agent");
	assert_problem(CHANNEL_NO_AGENT, "printf '\\036agent  Linux x86_64\\n'; cat", "",
		       "no directory where a file can be made and executed");
	assert_problem(CHANNEL_NO_AGENT, "printf '\\036agent here Linux pdp11\\n'; cat", "",
		       "hookbox-agent-Linux-pdp11");
	assert_problem(CHANNEL_NO_AGENT, "printf '\\036agent here  \\n'; cat", "", "uname");
	assert_problem(CHANNEL_NO_AGENT, "printf '\\036agent here ../x y/z\\n'; cat", "", "uname");
	assert_problem(CHANNEL_NO_AGENT,
		       "printf '\\036agent here %s %s\\n' $(uname -s) $(uname -m); exit 1", "",
		       "ended (status 1)");
}

/* ---- An agent that is played: what it says once it has heard so much ---- */

static void play(const void *frames, size_t size)
{
	struct frame_agent_hello hello = {
		.version = 1, .oldest = 1, .max_calls = 10, .max_block = 1 << 20,
		.stdin_window = 65536, .name = "played", .system = "Linux", .machine = "any",
	};
	char greeting[FRAME_SMALL_MAX];
	size_t n = frame_put_agent_hello(greeting, sizeof(greeting), &hello);

	assert_int_not_equal(n, 0);
	files_write_bytes("greeting", greeting, n);
	files_write_bytes("frames", frames, size);
}

/* The host's magic, HELLO and the first byte of CALL are 33 bytes. */
static const char player[] = "cat \"$1/greeting\"; head -c 33 >/dev/null; cat \"$1/frames\"; "
			     "exec sleep 60";

static void assert_breaks(const void *frames, size_t size, const char *sentence)
{
	struct hookbox_error error = {0};
	struct channel *channel = NULL;
	struct answer answer;
	struct channel_request request = request_for(ARGV("true"), &answer);

	play(frames, size);
	if (open_script(player, files_dir, &channel, &error))
		fail_msg("%s", error.message);
	run(channel, &request, &answer);
	assert_true(answer.result.lost);
	assert_contains(answer.result.message, sentence);
	answer_free(&answer);
	channel_release(channel);
}

static void test_protocol_errors(void **state)
{
	const struct frame_credit credit = {.stream = 0, .bytes = FRAME_WINDOW_MAX};
	const struct frame_bye bye = {.code = FRAME_BYE_FAILED, .text = "no memory here"};
	struct frame_exit exit = {.end = FRAME_EXITED, .cleanup = FRAME_PROVEN};
	char bytes[FRAME_SMALL_MAX];

	exit.total[0] = 5;
	assert_breaks(bytes, frame_put_exit(bytes, sizeof(bytes), 1, &exit), "output is missing");
	assert_breaks(bytes, frame_put_eof(bytes, sizeof(bytes), 7), "a call that there is not");
	assert_breaks(bytes, frame_put_credit(bytes, sizeof(bytes), 1, &credit),
		      "a credit is too large");
	assert_breaks(bytes, frame_put_bye(bytes, sizeof(bytes), &bye), "no memory here");
	assert_breaks("rubbish that is no frame", 24, "broke the protocol");
}

/* Answers to one who reads none are not kept for ever. */
static void test_pings_without_end(void **state)
{
	struct buf pings = {0};
	char ping[FRAME_SMALL_MAX];
	size_t n = frame_put_ping(ping, sizeof(ping), FRAME_PING, "12345678");

	for (int i = 0; i < 20000; i++)
		buf_add(&pings, ping, n);
	assert_breaks(pings.data, pings.size, "asks again and again");
	buf_free(&pings);
}

/* The answer to the last word of an agent that is gone must not end us by a signal. */
static void test_a_last_ping(void **state)
{
	const struct frame_exit exit = {.end = FRAME_EXITED, .cleanup = FRAME_PROVEN};
	struct hookbox_error error = {0};
	struct channel *channel = NULL;
	struct answer answer;
	struct channel_request request = request_for(ARGV("true"), &answer);
	char bytes[FRAME_SMALL_MAX];

	play(bytes, frame_put_exit(bytes, sizeof(bytes), 1, &exit));
	files_write_bytes("ping", bytes,
			  frame_put_ping(bytes, sizeof(bytes), FRAME_PING, "12345678"));
	if (open_script("cat \"$1/greeting\"; head -c 33 >/dev/null; cat \"$1/frames\"; "
			"sleep 0.2; exec <&-; cat \"$1/ping\"; exec sleep 60",
			files_dir, &channel, &error))
		fail_msg("%s", error.message);
	run(channel, &request, &answer);
	assert_false(answer.result.lost);
	for (int i = 0; i < 1000 && channel_is_usable(channel); i++)
		usleep(10000);
	assert_false(channel_is_usable(channel));
	answer_free(&answer);
	channel_release(channel);
}

/* An agent that cannot work says so in place of a greeting, and is not taken for one that can. */
static void test_bye_for_a_greeting(void **state)
{
	const struct frame_bye bye = {.code = FRAME_BYE_FAILED, .text = "no memory in this box"};
	char bytes[FRAME_SMALL_MAX];
	size_t n = frame_put_bye(bytes, sizeof(bytes), &bye);

	files_write_bytes("magic", FRAME_MAGIC, FRAME_MAGIC_SIZE);
	files_write_bytes("bye", bytes, n);
	assert_problem(CHANNEL_NO_WAY, "cat \"$1/magic\" \"$1/bye\"; exec sleep 60", files_dir,
		       "no memory in this box");
}

/* A truncated answer is no answer. */
static void test_half_an_answer(void **state)
{
	struct frame_exit exit = {.end = FRAME_EXITED, .cleanup = FRAME_PROVEN};
	struct hookbox_error error = {0};
	struct channel *channel = NULL;
	struct answer answer;
	const char *const *argv = ARGV("true");
	struct channel_request request = request_for(argv, &answer);
	char bytes[1000];
	size_t n = frame_put_data(bytes, sizeof(bytes), FRAME_OUT, 1, "{\"allow\":true}", 14);

	exit.total[0] = 14;
	n += frame_put_exit(bytes + n, sizeof(bytes) - n, 1, &exit);
	for (size_t cut = 1; cut < n; cut += 9) {
		play(bytes, n - cut);
		if (open_script("cat \"$1/greeting\"; head -c 33 >/dev/null; cat \"$1/frames\"",
				files_dir, &channel, &error))
			fail_msg("%s", error.message);
		run(channel, &request, &answer);
		assert_true(answer.result.lost);
		answer_free(&answer);
		channel_release(channel);
		request = request_for(argv, &answer);
	}
}

/* ---- Getting in ---- */

static void test_the_file_is_brought(void **state)
{
	_cleanup_plan_ struct plan plan = {0};
	struct hookbox_error error = {0};
	struct channel *channel = NULL;
	struct answer answer;
	struct channel_request request =
		request_for(ARGV("sh", "-c", "ls -a \"$TMPDIR\"; umask"), &answer);
	mode_t mask = umask(0027);

	agent_file_argv(&plan.argv);
	setenv("TMPDIR", files_dir, 1);
	if (open_plan(&plan, 60000, &channel, &error))
		fail_msg("%s", error.message);
	run(channel, &request, &answer);
	assert_false(answer.result.lost);
	assert_null(strstr(answer.out[0].data, "hookbox-agent"));
	assert_contains(answer.out[0].data, "0027\n");
	umask(mask);
	answer_free(&answer);
	channel_release(channel);
}

/* Whatever the box got of the file, it keeps nothing of it. */
static void test_half_a_file(void **state)
{
	static const char *const inputs[] = {"", "0\n", "x\n", "1000\n", "1000\nabc", "3\nabc"};

	setenv("TMPDIR", files_dir, 1);
	for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
		_cleanup_strv_ struct strv argv = {0};
		struct spawn_capture capture = {0};
		struct spawn_command command = {
			.env = (const char *const *)environ,
			.stdin_data = inputs[i],
			.stdin_size = strlen(inputs[i]),
			.timeout_ms = 20000,
			.limit = 4096,
		};

		agent_file_argv(&argv);
		command.argv = strv_view(&argv);
		spawn_run_captured(&command, &capture);
		assert_int_equal(capture.result.end, SPAWN_EXITED);
		assert_int_not_equal(capture.result.status, 0);
		assert_contains(capture.out.data, "agent here");
		spawn_capture_free(&capture);
		command.argv = ARGV("sh", "-c", "ls -A \"$TMPDIR\" | grep hookbox-agent");
		spawn_run_captured(&command, &capture);
		assert_int_equal(capture.out.size, 0);
		spawn_capture_free(&capture);
		memset(&capture, 0, sizeof(capture));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_agent_is_killed),
		cmocka_unit_test(test_no_agent),
		cmocka_unit_test(test_protocol_errors),
		cmocka_unit_test(test_pings_without_end),
		cmocka_unit_test(test_a_last_ping),
		cmocka_unit_test(test_bye_for_a_greeting),
		cmocka_unit_test(test_half_an_answer),
		cmocka_unit_test(test_the_file_is_brought),
		cmocka_unit_test(test_half_a_file),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
