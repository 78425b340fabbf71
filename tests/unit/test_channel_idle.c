/* SPDX-License-Identifier: MIT */
/* Channels in which nobody waits: calls whose caller is busy, agents that end, agents that sleep. */
#include "channels.h"

#include <pthread.h>
#include <sys/wait.h>

#include "channel_parts.h"
#include "files.h"
#include "processes.h"

/* ---- The caller is busy ---- */

/* Longer than the agent bears to hear nothing. */
static int sleep_over_it(void *data, const char *bytes, size_t n)
{
	struct buf *out = data;

	if (!out->size)
		usleep(7000000);
	return keep(data, bytes, n);
}

static void test_a_sink_that_blocks(void **state)
{
	struct channel *channel = open_silent_agent(3000);
	struct answer answer;
	struct channel_request request =
		request_for(ARGV("sh", "-c", "head -c 600000 /dev/zero; echo end; exit 3"), &answer);

	request.stream[0].consume = sleep_over_it;
	run(channel, &request, &answer);
	if (answer.result.lost)
		fail_msg("%s", answer.result.message);
	assert_int_equal(answer.result.exit.end, FRAME_EXITED);
	assert_int_equal(answer.result.exit.status, 3);
	assert_int_equal(answer.out[0].size, 600004);
	answer_free(&answer);
	/* Whatever the agent said meanwhile was read, and the next call works. */
	request = request_for(ARGV("echo", "next"), &answer);
	run(channel, &request, &answer);
	assert_out(&answer, "next\n");
	answer_free(&answer);
	channel_release(channel);
}

/* ---- The agent ends while no call runs ---- */

static bool has_children(void)
{
	siginfo_t info = {0};

	return !waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
}

static void test_an_agent_that_ended_is_reaped(void **state)
{
	struct channel *channel = open_silent_agent(1000);
	struct answer answer;
	struct channel_request request = request_for(ARGV("true"), &answer);

	assert_true(has_children());
	for (int i = 0; i < 3000 && has_children(); i++)
		usleep(10000);
	assert_false(has_children());
	assert_false(channel_is_usable(channel));
	run(channel, &request, &answer);
	assert_true(answer.result.lost);
	assert_false(answer.result.sent);
	assert_contains(answer.result.message, "silent for too long");
	answer_free(&answer);
	channel_release(channel);
}

static void test_an_agent_that_was_killed_is_reaped(void **state)
{
	struct channel *channel = open_agent();

	kill((pid_t)channel_agent(channel)->pid, SIGKILL);
	for (int i = 0; i < 3000 && has_children(); i++)
		usleep(10000);
	assert_false(has_children());
	assert_false(channel_is_usable(channel));
	channel_release(channel);
}

static void *lose_a_call(void *data)
{
	struct answer answer;
	struct channel_request request = request_for(ARGV("sleep", "60"), &answer);

	run(data, &request, &answer);
	assert_true(answer.result.lost);
	answer_free(&answer);
	return NULL;
}

static bool is_blind(struct channel *channel)
{
	bool blind;

	pthread_mutex_lock(&channel->lock);
	blind = channel->n_running && channel->minder_blind;
	pthread_mutex_unlock(&channel->lock);
	return blind;
}

/* The thread that minds the channel has looked away, as it does while calls run. */
static void test_an_agent_that_died_under_a_call_is_reaped(void **state)
{
	struct channel *channel = open_agent();
	const uint64_t one = 1;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, lose_a_call, channel), 0);
	for (int i = 0; i < 3000 && !is_blind(channel); i++) {
		assert_int_equal(write(channel->minder_fd, &one, sizeof(one)), sizeof(one));
		usleep(10000);
	}
	assert_true(is_blind(channel));
	kill((pid_t)channel_agent(channel)->pid, SIGKILL);
	pthread_join(thread, NULL);
	/* By itself it looks again after 20 seconds. */
	for (int i = 0; i < 1000 && has_children(); i++)
		usleep(10000);
	assert_false(has_children());
	channel_release(channel);
}

/* ---- Memory ---- */

struct large {
	struct channel *channel;
	char *arg;
};

static void *run_large(void *data)
{
	const struct large *large = data;
	const char *argv[34] = {"true"};
	struct answer answer;
	struct channel_request request;

	for (int i = 1; i < 33; i++)
		argv[i] = large->arg;
	request = request_for(argv, &answer);
	run(large->channel, &request, &answer);
	assert_int_equal(answer.result.lost, 0);
	answer_free(&answer);
	return NULL;
}

static void test_queues_do_not_keep_their_greatest_size(void **state)
{
	struct channel *channel = open_agent();
	struct large large = {channel, malloc(100001)};
	pthread_t threads[8];

	memset(large.arg, 'x', 100000);
	large.arg[100000] = '\0';
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_large, &large), 0);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	assert_true(channel->control.capacity + channel->writing.capacity +
		    channel->data.capacity <= 12 * FRAME_MAX);
	free(large.arg);
	channel_release(channel);
}

/* ---- The agent is stopped ---- */

/* It hears nothing and says nothing, and is given up; once it goes on, it ends with all it has. */
static void test_an_agent_that_is_stopped(void **state)
{
	struct channel *channel = open_agent();
	struct answer answer;
	struct channel_request request;
	char script[64], mark[64];
	const char *const env[] = {mark, NULL};
	pid_t agent = (pid_t)channel_agent(channel)->pid;

	snprintf(mark, sizeof(mark), "CHANNEL_TEST_MARK=%d", (int)getpid());
	snprintf(script, sizeof(script), "kill -STOP %d; exec sleep 3600", (int)agent);
	request = request_for(ARGV("sh", "-c", script), &answer);
	request.env = env;
	run(channel, &request, &answer);
	if (!answer.result.lost)
		fail_msg("the call ended: end %d, status %u, error %u, text %s, stderr %.*s",
			 (int)answer.result.exit.end, (unsigned int)answer.result.exit.status,
			 (unsigned int)answer.result.exit.error_number, answer.result.exit.text,
			 (int)answer.out[1].size, answer.out[1].data ? answer.out[1].data : "");
	assert_false(answer.result.overdue);
	assert_contains(answer.result.message, "has not answered for 15 s");
	assert_false(channel_is_usable(channel));
	kill(agent, SIGCONT);
	wait_until_none_has_env(mark);
	answer_free(&answer);
	channel_release(channel);
}

/* ---- The agent is there, and a call does not end ---- */

/* Plays an agent that answers whatever it is asked, but for the calls. */
static const char lively[] = "cat \"$1/greeting\"; while cat \"$1/pong\"; do sleep 1; done";

struct hopeless {
	struct channel *channel;
	int64_t timeout_ms;
	struct answer answer;
};

static void *run_hopeless(void *data)
{
	struct hopeless *hopeless = data;
	struct channel_request request = request_for(ARGV("true"), &hopeless->answer);

	request.deadline_us = clock_deadline_us(hopeless->timeout_ms);
	run(hopeless->channel, &request, &hopeless->answer);
	return NULL;
}

static void test_a_call_that_is_never_told_to_have_ended(void **state)
{
	const struct frame_agent_hello hello = {
		.version = 1, .oldest = 1, .max_calls = 10, .max_block = 1 << 20,
		.stdin_window = 65536, .name = "played", .system = "Linux", .machine = "any",
	};
	struct hookbox_error error = {0};
	struct channel *channel = NULL;
	struct hopeless calls[2];
	char bytes[FRAME_SMALL_MAX];
	int64_t begun_us = clock_us();
	pthread_t threads[2];

	files_write_bytes("greeting", bytes, frame_put_agent_hello(bytes, sizeof(bytes), &hello));
	files_write_bytes("pong", bytes,
			  frame_put_ping(bytes, sizeof(bytes), FRAME_PONG, "hookbox"));
	if (open_script(lively, files_dir, &channel, &error))
		fail_msg("%s", error.message);
	calls[0] = (struct hopeless){.channel = channel, .timeout_ms = 100};
	calls[1] = (struct hopeless){.channel = channel, .timeout_ms = 300000};
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_hopeless, &calls[i]), 0);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		assert_true(calls[i].answer.result.lost);
		assert_contains(calls[i].answer.result.message, "did not end a call in time");
		answer_free(&calls[i].answer);
	}
	/* It was given its time, as it was there; and only the one call had had all of its own. */
	assert_true(clock_us() - begun_us > 30000000);
	assert_true(calls[0].answer.result.overdue);
	assert_false(calls[1].answer.result.overdue);
	channel_release(channel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sink_that_blocks),
		cmocka_unit_test(test_an_agent_that_ended_is_reaped),
		cmocka_unit_test(test_an_agent_that_was_killed_is_reaped),
		cmocka_unit_test(test_an_agent_that_died_under_a_call_is_reaped),
		cmocka_unit_test(test_queues_do_not_keep_their_greatest_size),
		cmocka_unit_test(test_an_agent_that_is_stopped),
		cmocka_unit_test(test_a_call_that_is_never_told_to_have_ended),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
