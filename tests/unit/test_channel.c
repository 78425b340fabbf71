/* SPDX-License-Identifier: MIT */
/* The channel to the real agent on this machine. */
#include "channels.h"

#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "files.h"

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

/*
 * Somebody who does not read his answer, though his command has ended, holds nobody else back. He
 * is alone while more comes than a pipe and we hold for him, and so reads for all when the other
 * one begins; in what he reads next is his command's end. $1 is a directory of the test's.
 */
static void *be_unread(void *data)
{
	struct crowd *crowd = data;
	struct answer answer;
	struct channel_request request = request_for(
		ARGV("sh", "-c",
		     "head -c 150000 /dev/zero; until [ -e \"$1/other\" ]; do sleep 0.02; "
		     "done; head -c 50000 /dev/zero; : >\"$1/end\"",
		     "sh", files_dir),
		&answer);

	/* Held back, the other one would go on when this time is over, and the answer be cut
	 * off. */
	request.deadline_us = clock_deadline_us(30000);
	request.stream[0].out_fd = crowd->number;
	request.stream[0].relay = &answer.out[0];
	run(crowd->channel, &request, &answer);
	crowd->wrong = answer.result.lost || answer.result.exit.end != FRAME_EXITED ||
		       answer.result.exit.flags;
	answer_free(&answer);
	return NULL;
}

static void wait_until_full(int fd, int size)
{
	int there = 0;

	while (there < size) {
		usleep(10000);
		assert_int_equal(ioctl(fd, FIONREAD, &there), 0);
	}
}

static void test_an_unread_answer(void **state)
{
	struct channel *channel = open_agent();
	struct answer answer;
	struct channel_request request =
		request_for(ARGV("sh", "-c",
				 "sleep 0.2; : >\"$1/other\"; until [ -e \"$1/end\" ]; do "
				 "sleep 0.02; done; sleep 0.5; echo b", "sh", files_dir), &answer);
	struct crowd unread = {channel, -1, 1};
	pthread_t thread;
	char bytes[4096];
	size_t got = 0;
	ssize_t n;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	unread.number = fds[1];
	assert_int_equal(pthread_create(&thread, NULL, be_unread, &unread), 0);
	wait_until_full(fds[0], fcntl(fds[1], F_GETPIPE_SZ));
	request.deadline_us = CLOCK_NEVER;
	run(channel, &request, &answer);
	assert_out(&answer, "b\n");
	assert_int_equal(answer.result.exit.end, FRAME_EXITED);
	close(fds[1]);
	while ((n = read(fds[0], bytes, sizeof(bytes))) > 0)
		got += (size_t)n;
	pthread_join(thread, NULL);
	assert_int_equal(unread.wrong, 0);
	assert_int_equal(got, 200000);
	close(fds[0]);
	answer_free(&answer);
	channel_release(channel);
}

/* A call that talks and needs no word of ours: the agent hears from us all the same. */
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
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
