/* SPDX-License-Identifier: MIT */
/* The channel: the real agent on this machine, and agents that do not keep to the protocol. */
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "agent_file.h"
#include "buf.h"
#include "channel.h"
#include "cleanup.h"
#include "clock.h"
#include "files.h"

extern char **environ;

/* ---- Opening ---- */

static void add_environment(struct plan *plan)
{
	for (char **entry = environ; *entry; entry++)
		strv_add(&plan->env, *entry);
}

static int open_plan(struct plan *plan, int64_t silence_ms, struct channel **channel,
		     struct hookbox_error *error)
{
	const struct channel_start start = {
		.plan = plan,
		.agent_dir = agent_file_dir(),
		.silence_ms = silence_ms,
		.deadline_us = clock_deadline_us(20000),
		.cancel_fd = -1,
	};

	add_environment(plan);
	return channel_open(&start, channel, error);
}

/* The agent that was built, as a process of this machine. */
static struct channel *open_silent_agent(int64_t silence_ms)
{
	_cleanup_plan_ struct plan plan = {0};
	struct hookbox_error error = {0};
	struct channel *channel = NULL;

	assert_non_null(agent_file_dir());
	strv_printf(&plan.argv, "%s/hookbox-agent", agent_file_dir());
	if (open_plan(&plan, silence_ms, &channel, &error))
		fail_msg("%s", error.message);
	return channel;
}

static struct channel *open_agent(void)
{
	return open_silent_agent(60000);
}

static int open_script(const char *script, const char *arg, struct channel **channel,
		       struct hookbox_error *error)
{
	_cleanup_plan_ struct plan plan = {0};

	strv_add(&plan.argv, "sh");
	strv_add(&plan.argv, "-c");
	strv_add(&plan.argv, script);
	strv_add(&plan.argv, "sh");
	strv_add(&plan.argv, arg);
	return open_plan(&plan, 60000, channel, error);
}

/* ---- Calls ---- */

struct answer {
	struct buf out[2];
	struct channel_result result;
};

static int keep(void *data, const char *bytes, size_t n)
{
	buf_add(data, bytes, n);
	return 0;
}

static struct channel_request request_for(const char *const *argv, struct answer *answer)
{
	*answer = (struct answer){0};
	return (struct channel_request){
		.argv = argv,
		.stdin_fd = -1,
		.stream = {{keep, &answer->out[0], -1, NULL}, {keep, &answer->out[1], -1, NULL}},
		.limit = {FRAME_NO_LIMIT, FRAME_NO_LIMIT},
		.deadline_us = clock_deadline_us(60000),
		.grace_ms = 100,
		.cancel_fd = -1,
	};
}

static void answer_free(struct answer *answer)
{
	buf_free(&answer->out[0]);
	buf_free(&answer->out[1]);
}

static void run(struct channel *channel, const struct channel_request *request,
		struct answer *answer)
{
	channel_run(channel, request, &answer->result);
}

static void assert_out(const struct answer *answer, const char *expected)
{
	assert_false(answer->result.lost);
	assert_string_equal(answer->out[0].data ? answer->out[0].data : "", expected);
}

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_a_call(void **state)
{
	struct channel *channel = open_agent();
	const char *const env[] = {"A=b c", NULL};
	struct answer answer;
	struct channel_request request =
		request_for(ARGV("sh", "-c", "cat; pwd; echo \"$A\"; echo e >&2; exit 7"), &answer);

	request.env = env;
	request.cwd = "/";
	request.stdin_data = "in\n";
	request.stdin_size = 3;
	run(channel, &request, &answer);
	assert_out(&answer, "in\n/\nb c\n");
	assert_string_equal(answer.out[1].data, "e\n");
	assert_int_equal(answer.result.exit.end, FRAME_EXITED);
	assert_int_equal(answer.result.exit.status, 7);
	assert_int_equal(answer.result.exit.cleanup, FRAME_PROVEN);
	assert_true(channel_is_usable(channel));
	answer_free(&answer);
	channel_release(channel);
}

static void test_not_started(void **state)
{
	struct channel *channel = open_agent();
	struct answer answer;
	struct channel_request request = request_for(ARGV("no-such-command"), &answer);
	_cleanup_free_ char *large = malloc(FRAME_BLOCK_MAX + 1);

	run(channel, &request, &answer);
	assert_int_equal(answer.result.exit.end, FRAME_NOT_STARTED);
	assert_int_equal(answer.result.exit.error_number, ENOENT);
	memset(large, 'x', FRAME_BLOCK_MAX);
	large[FRAME_BLOCK_MAX] = '\0';
	request.argv = ARGV("true", large);
	run(channel, &request, &answer);
	assert_int_equal(answer.result.exit.end, FRAME_NOT_STARTED);
	assert_int_equal(answer.result.exit.error_number, E2BIG);
	request.argv = ARGV("true");
	run(channel, &request, &answer);
	assert_int_equal(answer.result.exit.end, FRAME_EXITED);
	answer_free(&answer);
	channel_release(channel);
}

static void test_large_arguments(void **state)
{
	struct channel *channel = open_agent();
	_cleanup_strv_ struct strv argv = {0};
	struct answer answer;
	struct channel_request request;

	strv_add(&argv, "sh");
	strv_add(&argv, "-c");
	strv_add(&argv, "echo $#");
	strv_add(&argv, "sh");
	for (int i = 0; i < 20; i++)
		strv_printf(&argv, "%010000d", i);
	request = request_for(strv_view(&argv), &answer);
	run(channel, &request, &answer);
	assert_out(&answer, "20\n");
	answer_free(&answer);
	channel_release(channel);
}

static void test_large_streams(void **state)
{
	const size_t size = 8 << 20;
	_cleanup_free_ char *bytes = malloc(size);
	struct channel *channel = open_agent();
	struct answer answer;
	struct channel_request request = request_for(ARGV("cat"), &answer);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 31 + (i >> 13));
	request.stdin_data = bytes;
	request.stdin_size = size;
	run(channel, &request, &answer);
	assert_false(answer.result.lost);
	assert_int_equal(answer.out[0].size, size);
	assert_memory_equal(answer.out[0].data, bytes, size);
	answer_free(&answer);
	/* Who does not read is no hindrance. */
	request = request_for(ARGV("sh", "-c", "exec <&-; echo done"), &answer);
	request.stdin_data = bytes;
	request.stdin_size = size;
	run(channel, &request, &answer);
	assert_out(&answer, "done\n");
	answer_free(&answer);
	channel_release(channel);
}

static void test_stdin_from_a_descriptor(void **state)
{
	struct channel *channel = open_agent();
	struct answer answer;
	struct channel_request request = request_for(ARGV("cat"), &answer);
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "piped", 5), 5);
	close(fds[1]);
	request.stdin_fd = fds[0];
	run(channel, &request, &answer);
	assert_out(&answer, "piped");
	close(fds[0]);
	answer_free(&answer);
	channel_release(channel);
}

static void test_stops(void **state)
{
	struct channel *channel = open_agent();
	struct answer answer;
	struct channel_request request =
		request_for(ARGV("sh", "-c", "trap '' TERM; while :; do sleep 1; done"), &answer);
	int fds[2];

	request.deadline_us = clock_deadline_us(200);
	run(channel, &request, &answer);
	assert_int_equal(answer.result.exit.end, FRAME_TIMED_OUT);
	assert_int_equal(answer.result.exit.cleanup, FRAME_PROVEN);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	request.deadline_us = CLOCK_NEVER;
	request.cancel_fd = fds[0];
	run(channel, &request, &answer);
	assert_int_equal(answer.result.exit.end, FRAME_CANCELLED);
	request.cancel_fd = -1;
	request.argv = ARGV("cat", "/dev/zero");
	request.limit[0] = 100000;
	run(channel, &request, &answer);
	assert_int_equal(answer.result.exit.end, FRAME_OUTPUT_LIMIT);
	assert_int_equal(answer.out[0].size, 100000);
	close(fds[0]);
	close(fds[1]);
	answer_free(&answer);
	channel_release(channel);
}

/* ---- Many at once ---- */

#define THREADS 32
#define ROUNDS 12

struct crowd {
	struct channel *channel;
	int number;
	int wrong;
};

static void *be_one(void *data)
{
	struct crowd *crowd = data;

	for (int i = 0; i < ROUNDS; i++) {
		size_t size = (size_t)(crowd->number * 7919 + i * 104729) % (i % 4 ? 2000 : 400000);
		char *bytes = malloc(size + 1);
		struct answer answer;
		struct channel_request request = request_for(ARGV("cat"), &answer);

		memset(bytes, 'a' + crowd->number % 26, size);
		request.stdin_data = bytes;
		request.stdin_size = size;
		run(crowd->channel, &request, &answer);
		crowd->wrong += answer.result.lost || answer.result.exit.end != FRAME_EXITED ||
				answer.out[0].size != size ||
				(size && memcmp(answer.out[0].data, bytes, size));
		answer_free(&answer);
		free(bytes);
	}
	return NULL;
}

static void test_many_at_once(void **state)
{
	struct channel *channel = open_agent();
	struct crowd crowd[THREADS];
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		crowd[i] = (struct crowd){channel, i, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, be_one, &crowd[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(crowd[i].wrong, 0);
	}
	channel_release(channel);
}

/* Half of the calls leave their input unread; it must not turn up in the others. */
static void *leave_input(void *data)
{
	struct crowd *crowd = data;
	_cleanup_free_ char *bytes = calloc(1, 400000);

	for (int i = 0; i < 4 * ROUNDS; i++) {
		bool reads = (i + crowd->number) % 2;
		struct answer answer;
		struct channel_request request =
			request_for(reads ? ARGV("cat") : ARGV("true"), &answer);

		request.stdin_data = reads ? "mine" : bytes;
		request.stdin_size = reads ? 4 : 400000;
		run(crowd->channel, &request, &answer);
		crowd->wrong += answer.result.lost || answer.result.exit.end != FRAME_EXITED ||
				(reads && (answer.out[0].size != 4 ||
					   memcmp(answer.out[0].data, "mine", 4)));
		answer_free(&answer);
	}
	return NULL;
}

static void test_input_left_unread(void **state)
{
	struct channel *channel = open_agent();
	struct crowd crowd[THREADS];
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		crowd[i] = (struct crowd){channel, i, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, leave_input, &crowd[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(crowd[i].wrong, 0);
	}
	channel_release(channel);
}

/* A sink that takes its time holds nobody else back. */
static int dawdle(void *data, const char *bytes, size_t n)
{
	usleep(300000);
	return keep(data, bytes, n);
}

static void *be_slow(void *data)
{
	struct crowd *crowd = data;
	struct answer answer;
	struct channel_request request = request_for(ARGV("sh", "-c", "echo a; sleep 0.1; echo b"),
						     &answer);

	request.stream[0].consume = dawdle;
	run(crowd->channel, &request, &answer);
	crowd->wrong = strcmp(answer.out[0].data ? answer.out[0].data : "", "a\nb\n");
	answer_free(&answer);
	return NULL;
}

static void test_a_slow_sink(void **state)
{
	struct channel *channel = open_agent();
	struct crowd slow[4], quick = {channel, 5, 0};
	pthread_t threads[4];

	for (int i = 0; i < 4; i++) {
		slow[i] = (struct crowd){channel, i, 1};
		assert_int_equal(pthread_create(&threads[i], NULL, be_slow, &slow[i]), 0);
	}
	be_one(&quick);
	assert_int_equal(quick.wrong, 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(slow[i].wrong, 0);
	}
	channel_release(channel);
}

/* Nobody waits to be woken who has no descriptor for it. */
static void test_no_descriptor_is_free(void **state)
{
	struct channel *channel = open_agent();
	struct rlimit files, none;
	struct crowd crowd[8];
	pthread_t threads[8];
	int first_fd = dup(0), fd = first_fd;

	while (fd < 63)
		assert_true((fd = dup(0)) > 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	none = files;
	none.rlim_cur = (rlim_t)fd + 1;
	for (int i = 0; i < 8; i++) {
		crowd[i] = (struct crowd){channel, i, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, be_one, &crowd[i]), 0);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	}
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	for (; fd >= first_fd; fd--)
		close(fd);
	for (int i = 0; i < 8; i++)
		assert_int_equal(crowd[i].wrong, 0);
	channel_release(channel);
}

/* Somebody who does not read his answer, though his command has ended, holds nobody else back. */
static void *be_unread(void *data)
{
	struct crowd *crowd = data;
	struct answer answer;
	struct channel_request request =
		request_for(ARGV("sh", "-c", "sleep 0.5; head -c 300000 /dev/zero"), &answer);

	request.stream[0].out_fd = crowd->number;
	request.stream[0].relay = &answer.out[0];
	run(crowd->channel, &request, &answer);
	crowd->wrong = answer.result.lost || answer.result.exit.end != FRAME_EXITED ||
		       answer.result.exit.flags;
	answer_free(&answer);
	return NULL;
}

static void test_an_unread_answer(void **state)
{
	struct channel *channel = open_agent();
	struct answer answer;
	struct channel_request request = request_for(ARGV("sh", "-c", "sleep 1; echo b"), &answer);
	struct crowd unread = {channel, -1, 1};
	pthread_t thread;
	char bytes[4096];
	size_t got = 0;
	ssize_t n;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	unread.number = fds[1];
	assert_int_equal(pthread_create(&thread, NULL, be_unread, &unread), 0);
	usleep(100000);
	request.deadline_us = clock_deadline_us(30000);
	run(channel, &request, &answer);
	assert_out(&answer, "b\n");
	assert_int_equal(answer.result.exit.end, FRAME_EXITED);
	for (; got < 300000; got += (size_t)n)
		assert_true((n = read(fds[0], bytes, sizeof(bytes))) > 0);
	pthread_join(thread, NULL);
	assert_int_equal(unread.wrong, 0);
	close(fds[0]);
	close(fds[1]);
	answer_free(&answer);
	channel_release(channel);
}

/* A call that talks all the time and needs no word of ours: the agent hears from us all the same. */
static void test_a_talkative_call(void **state)
{
	struct channel *channel = open_silent_agent(3000);
	struct answer answer;
	struct channel_request request =
		request_for(ARGV("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do "
				 "echo $i; sleep 0.4; done"), &answer);

	run(channel, &request, &answer);
	assert_out(&answer, "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n");
	answer_free(&answer);
	channel_release(channel);
}

/* An agent that can run one call gets one. */
static void test_a_full_agent(void **state)
{
	struct hookbox_error error = {0};
	struct channel *channel = NULL;
	struct answer answer;
	struct channel_request request = request_for(ARGV("true"), &answer);
	struct crowd slow = {.wrong = 1};
	pthread_t thread;

	if (open_script("ulimit -n 37; exec \"$1/hookbox-agent\"", agent_file_dir(), &channel,
			&error))
		fail_msg("%s", error.message);
	assert_int_equal(channel_agent(channel)->max_calls, 1);
	slow.channel = channel;
	assert_int_equal(pthread_create(&thread, NULL, be_slow, &slow), 0);
	while (!channel_is_full(channel))
		usleep(1000);
	run(channel, &request, &answer);
	assert_true(answer.result.lost);
	assert_false(answer.result.sent);
	assert_contains(answer.result.message, "as many calls as it can");
	pthread_join(thread, NULL);
	assert_int_equal(slow.wrong, 0);
	run(channel, &request, &answer);
	assert_int_equal(answer.result.exit.end, FRAME_EXITED);
	answer_free(&answer);
	channel_release(channel);
}

/* ---- Losses ---- */

static void test_the_agent_is_killed(void **state)
{
	struct channel *channel = open_agent();
	struct answer answer;
	struct channel_request request;
	char script[64];

	snprintf(script, sizeof(script), "kill -9 %u; sleep 60", channel_agent(channel)->pid);
	request = request_for(ARGV("sh", "-c", script), &answer);
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
	struct channel_request request = request_for(ARGV("true"), &answer);
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
		answer = (struct answer){0};
		request = request_for(ARGV("true"), &answer);
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

/* A host that dies before it has sent the file, or sends what does not run there. */
static void test_a_file_that_does_not_arrive(void **state)
{
	static const char *const sent[] = {"printf ''", "echo 100000; echo short",
					   "echo 5; printf '\\177ELFx'"};
	_cleanup_strv_ struct strv argv = {0};

	agent_file_argv(&argv);
	files_write_bytes("stager", argv.v[2], strlen(argv.v[2]));
	for (size_t i = 0; i < sizeof(sent) / sizeof(*sent); i++) {
		_cleanup_free_ char *command = NULL;

		assert_true(asprintf(&command,
				     "cd '%s' && mkdir -p t && { %s; } | TMPDIR=\"$PWD/t\" sh stager "
				     ">said 2>&1; [ $? -ne 0 ] && grep -q 'agent here' said && "
				     "rmdir t", files_dir, sent[i]) > 0);
		assert_int_equal(system(command), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_call),
		cmocka_unit_test(test_not_started),
		cmocka_unit_test(test_large_arguments),
		cmocka_unit_test(test_large_streams),
		cmocka_unit_test(test_stdin_from_a_descriptor),
		cmocka_unit_test(test_stops),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_input_left_unread),
		cmocka_unit_test(test_a_slow_sink),
		cmocka_unit_test(test_no_descriptor_is_free),
		cmocka_unit_test(test_a_full_agent),
		cmocka_unit_test(test_an_unread_answer),
		cmocka_unit_test(test_a_talkative_call),
		cmocka_unit_test(test_the_agent_is_killed),
		cmocka_unit_test(test_no_agent),
		cmocka_unit_test(test_protocol_errors),
		cmocka_unit_test(test_pings_without_end),
		cmocka_unit_test(test_a_last_ping),
		cmocka_unit_test(test_bye_for_a_greeting),
		cmocka_unit_test(test_half_an_answer),
		cmocka_unit_test(test_the_file_is_brought),
		cmocka_unit_test(test_a_file_that_does_not_arrive),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
