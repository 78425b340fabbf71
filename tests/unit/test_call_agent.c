/* SPDX-License-Identifier: MIT */
/* Calls through the channel of a sandbox: what they do while it is opened. */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "agent_file.h"
#include "cancel.h"
#include "files.h"
#include "sandboxes.h"

/* ---- A backend that lets an agent in when the file "go" is there ---- */

static const char *go_file;
static atomic_uint openings;

static int slow_plan(const void *instance, const struct sandbox_plan_request *request,
		     const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	if (request->purpose == SANDBOX_PURPOSE_CHANNEL) {
		atomic_fetch_add(&openings, 1);
		sink->arg(sink, "sh");
		sink->arg(sink, "-c");
		sink->arg(sink, "until [ -e \"$0\" ]; do sleep 0.02; done; exec \"$@\"");
		sink->arg(sink, go_file);
	}
	return here_plan(instance, request, sink, error);
}

static const struct sandbox_plugin_v1 slow_plugin = {
	BACKEND(SANDBOX_KEPT | SANDBOX_SHELL | SANDBOX_SIGNALS_AS_128N),
	.name = "slow", .plan = slow_plan,
};

/* ---- Calls at once ---- */

#define CROWD 8

struct caller {
	struct sandbox *sandbox;
	struct hookbox_call call;
	struct hookbox_result *result;
	pthread_t thread;
};

static void *be_caller(void *data)
{
	static const char *const argv[] = {"true", NULL};
	struct caller *caller = data;

	caller->call.size = sizeof(caller->call);
	caller->call.argv = argv;
	/* Who is not woken when an opening is over looks again, but later than this. */
	if (!caller->call.timeout_ms)
		caller->call.timeout_ms = 30000;
	sandbox_call(caller->sandbox, &caller->call, &caller->result, NULL);
	return NULL;
}

static void begin(struct caller *caller, struct sandbox *sandbox)
{
	caller->sandbox = sandbox;
	assert_int_equal(pthread_create(&caller->thread, NULL, be_caller, caller), 0);
}

static void expect_end(struct caller *caller, enum hookbox_end end)
{
	pthread_join(caller->thread, NULL);
	assert_non_null(caller->result);
	assert_int_equal(caller->result->end, end);
	assert_int_equal(caller->result->cleanup, HOOKBOX_CLEANUP_PROVEN);
	hookbox_result_free(caller->result);
}

static void wait_for_opening(void)
{
	while (!atomic_load(&openings))
		usleep(1000);
}

static void go(void)
{
	files_write("go", "");
}

static void open_slow(struct fixture *f)
{
	go_file = files_path("go");
	unlink(go_file);
	atomic_store(&openings, 0);
	open_agent_sandbox(f, &slow_plugin, agent_file_dir());
}

static void test_calls_wait_for_who_opens(void **state)
{
	struct caller callers[CROWD] = {0};
	uint64_t counts[CALL_N_WAYS];
	struct fixture f;

	open_slow(&f);
	for (int i = 0; i < CROWD; i++)
		begin(&callers[i], f.sandbox);
	wait_for_opening();
	go();
	for (int i = 0; i < CROWD; i++)
		expect_end(&callers[i], HOOKBOX_EXITED);
	assert_int_equal(atomic_load(&openings), 1);
	sandbox_count_ways(f.sandbox, counts);
	assert_int_equal(counts[CALL_BY_AGENT], CROWD);
	assert_int_equal(counts[CALL_ONE_OFF], 0);
	close_sandbox(&f);
}

/* Nothing ends the opening before they have ended. */
static void test_who_waits_for_it_can_be_stopped(void **state)
{
	struct caller opener = {0}, late = {.call = {.timeout_ms = 200}}, stopped = {0};
	struct fixture f;

	stopped.call.cancel = hookbox_cancel_new();
	open_slow(&f);
	begin(&opener, f.sandbox);
	wait_for_opening();
	begin(&late, f.sandbox);
	begin(&stopped, f.sandbox);
	expect_end(&late, HOOKBOX_TIMED_OUT);
	hookbox_cancel_fire(stopped.call.cancel);
	expect_end(&stopped, HOOKBOX_CANCELLED);
	go();
	expect_end(&opener, HOOKBOX_EXITED);
	hookbox_cancel_free(stopped.call.cancel);
	close_sandbox(&f);
}

/* An opening that its call's end breaks off is no way that failed: the next one opens. */
static void test_who_opens_can_be_stopped(void **state)
{
	struct caller opener = {.call = {.timeout_ms = 200}}, next = {0};
	struct fixture f;

	open_slow(&f);
	begin(&opener, f.sandbox);
	wait_for_opening();
	begin(&next, f.sandbox);
	expect_end(&opener, HOOKBOX_TIMED_OUT);
	go();
	expect_end(&next, HOOKBOX_EXITED);
	assert_int_equal(atomic_load(&openings), 2);
	close_sandbox(&f);
}

/* In a process that was forked the channel is the parent's. */
static void test_a_forked_process_leaves_it_alone(void **state)
{
	struct caller caller = {0};
	uint64_t counts[CALL_N_WAYS];
	struct fixture f;
	pid_t child;
	int status;

	open_slow(&f);
	go();
	begin(&caller, f.sandbox);
	expect_end(&caller, HOOKBOX_EXITED);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		be_caller(&caller);
		sandbox_count_ways(f.sandbox, counts);
		status = !caller.result || caller.result->end != HOOKBOX_EXITED ||
			 counts[CALL_ONE_OFF] != 1;
		sandbox_close(f.sandbox);
		_exit(status);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	begin(&caller, f.sandbox);
	expect_end(&caller, HOOKBOX_EXITED);
	sandbox_count_ways(f.sandbox, counts);
	assert_int_equal(counts[CALL_BY_AGENT], 2);
	assert_int_equal(atomic_load(&openings), 1);
	close_sandbox(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_wait_for_who_opens),
		cmocka_unit_test(test_who_waits_for_it_can_be_stopped),
		cmocka_unit_test(test_who_opens_can_be_stopped),
		cmocka_unit_test(test_a_forked_process_leaves_it_alone),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
