/* SPDX-License-Identifier: MIT */
/* Pools over a backend whose boxes are plain processes of this machine, with the real agent. */
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "agent_file.h"
#include "call.h"
#include "cleanup.h"
#include "clock.h"
#include "pool.h"
#include "processes.h"

#define FULL_MS 60000

/* ---- The backend ---- */

/* What becomes of the boxes of pools. */
static struct {
	_Atomic(const char *) instead;	/* a script that is run instead of the agent */
	atomic_bool no_mounts;		/* a plan with a mount fails */
	atomic_uint planned;
	char pids[64];			/* a file with the pids of all agents */
} boxes;

/* A box sees the host's file at its place in the host. */
static const char *seen_at(const struct sandbox_plan_request *request, const char *arg)
{
	for (size_t i = 0; i < request->mounts.n; i++)
		if (!strcmp(request->mounts.v[i].box_path, arg))
			return request->mounts.v[i].host_path;
	return arg;
}

static void plan_pool(const struct sandbox_plan_request *request,
		      const struct sandbox_plan_sink *sink)
{
	const char *instead = boxes.no_mounts && request->mounts.n ? "exit 127" : boxes.instead;

	boxes.planned++;
	sink->arg(sink, "sh");
	sink->arg(sink, "-c");
	sink->arg(sink, instead ? instead : "echo $$ >>\"$0\"; exec \"$@\"");
	sink->arg(sink, boxes.pids);
}

static int here_plan(const void *instance, const struct sandbox_plan_request *request,
		     const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	if (request->purpose == SANDBOX_PURPOSE_POOL)
		plan_pool(request, sink);
	for (const char *const *arg = request->argv; *arg; arg++)
		sink->arg(sink, seen_at(request, *arg));
	return 0;
}

/* An engine that cannot say what is left. */
static int dumb_plan_end(const void *instance, const struct sandbox_end_request *request,
			 const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	sink->arg(sink, "sh");
	sink->arg(sink, "-c");
	sink->arg(sink, "echo the engine is dumb >&2; exit 1");
	return 0;
}

#define BACKEND(backend_flags)                                                   \
	.magic = SANDBOX_PLUGIN_MAGIC, .struct_size = sizeof(struct sandbox_plugin_v1), \
	.version = "1", .summary = "a backend of this test", .flags = (backend_flags), \
	.param_size = sizeof(struct sandbox_param), .instance_size = 1, .plan = here_plan

static const struct sandbox_plugin_v1 sent_plugin = {
	BACKEND(SANDBOX_FRESH | SANDBOX_SHELL | SANDBOX_ENDS_WITH_PROCESS), .name = "sent",
};
static const struct sandbox_plugin_v1 mounted_plugin = {
	BACKEND(SANDBOX_FRESH | SANDBOX_SHELL | SANDBOX_MOUNTS | SANDBOX_ENDS_WITH_PROCESS),
	.name = "mounted",
};
static const struct sandbox_plugin_v1 dumb_plugin = {
	BACKEND(SANDBOX_FRESH | SANDBOX_SHELL | SANDBOX_MOUNTS), .name = "dumb",
	.plan_end = dumb_plan_end,
};
static const struct sandbox_plugin_v1 kept_plugin = {
	BACKEND(SANDBOX_KEPT | SANDBOX_SHELL), .name = "kept",
};

/* ---- One sandbox for each test ---- */

struct fixture {
	struct log log;
	struct sandbox_host_context context;
	struct config_sandbox config;
	struct sandbox *sandbox;
	struct pool *pool;
	pthread_mutex_t lock;
	struct buf logged;
};

static void take_line(void *data, int level, const char *message)
{
	struct fixture *f = data;

	pthread_mutex_lock(&f->lock);
	buf_printf(&f->logged, "%s\n", message);
	pthread_mutex_unlock(&f->lock);
}

static void prepare(struct fixture *f, unsigned int size)
{
	*f = (struct fixture){
		.log = {take_line, f},
		.context = {.log = &f->log, .ledger = ledger_new(), .agent_dir = agent_file_dir()},
		.config = {
			.name = (char *)"box", .where = (char *)"test:1", .mode = (char *)"test",
			.shell = true, .agent = true, .pool = size,
		},
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	if (!f->context.agent_dir)
		fail_msg("HOOKBOX_AGENT_DIR does not say where hookbox-agent is");
	boxes.instead = NULL;
	boxes.no_mounts = false;
	boxes.planned = 0;
	fclose(fopen(boxes.pids, "w"));
}

static void open_prepared(struct fixture *f, const struct sandbox_plugin_v1 *plugin)
{
	struct hookbox_error error = {0};

	if (sandbox_open(&f->config, plugin, &f->context, &f->sandbox, &error))
		fail_msg("%s", error.message);
	f->pool = sandbox_pool(f->sandbox);
	assert_non_null(f->pool);
}

static void open_pool(struct fixture *f, const struct sandbox_plugin_v1 *plugin, unsigned int size)
{
	prepare(f, size);
	open_prepared(f, plugin);
}

/* Nothing may be left of it: no child, and no agent that lost its parent. */
static void close_pool(struct fixture *f)
{
	FILE *pids = fopen(boxes.pids, "r");
	int pid;

	sandbox_close(f->sandbox);
	ledger_free(f->context.ledger);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	while (fscanf(pids, "%d", &pid) == 1)
		assert_int_equal(process_start_time(pid), 0);
	fclose(pids);
	buf_free(&f->logged);
}

static struct hookbox_result *run(struct sandbox *sandbox, struct hookbox_call call,
				  const char *const *argv)
{
	struct hookbox_result *result = NULL;
	struct hookbox_error error = {0};

	call.size = sizeof(call);
	call.argv = argv;
	if (sandbox_call(sandbox, &call, &result, &error))
		fail_msg("%s", error.message);
	return result;
}

#define RUN(f, call, ...) run((f)->sandbox, call, (const char *const[]){__VA_ARGS__, NULL})
#define PLAIN ((struct hookbox_call){0})

/* A call that must come out well, and fills the pool afterwards. */
static void call_and_fill(struct fixture *f)
{
	struct hookbox_result *r = RUN(f, PLAIN, "sh", "-c", "echo $((6 * 7))");

	assert_int_equal(r->end, HOOKBOX_EXITED);
	assert_string_equal(r->out, "42\n");
	assert_int_equal(r->cleanup, HOOKBOX_CLEANUP_PROVEN);
	hookbox_result_free(r);
	if (!pool_wait_full(f->pool, FULL_MS))
		fail_msg("the pool does not become full: %s", f->logged.data);
}

static struct pool_stats stats_of(struct fixture *f)
{
	struct pool_stats stats;

	pool_get_stats(f->pool, &stats);
	return stats;
}

/* Waits for what the pool's threads will do. */
#define WAIT_FOR(condition)                                                       \
	do {                                                                      \
		int64_t until_ = clock_deadline_us(FULL_MS);                      \
		while (!(condition) && clock_us() < until_)                       \
			usleep(5000);                                             \
		assert_true(condition);                                           \
	} while (0)

/* ---- Filling and taking ---- */

static void test_the_first_call_misses_and_the_others_hit(void **state)
{
	static const struct sandbox_plugin_v1 *const plugins[] = {&sent_plugin, &mounted_plugin};

	for (size_t i = 0; i < 2; i++) {
		struct pool_stats stats;
		struct fixture f;

		open_pool(&f, plugins[i], 2);
		for (int n = 0; n < 6; n++)
			call_and_fill(&f);
		stats = stats_of(&f);
		assert_int_equal(stats.misses, 1);
		assert_int_equal(stats.hits, 5);
		assert_int_equal(stats.refills, 7);
		assert_int_equal(stats.failures, 0);
		assert_int_equal(stats.waiting, 2);
		assert_int_equal(boxes.planned, 7);
		close_pool(&f);
	}
}

static void test_a_hit_is_a_call_like_any_other(void **state)
{
	const char *const env[] = {"A=1", "B=two\nlines", NULL};
	struct hookbox_call call = {
		.env = env, .workdir = "/usr", .stdin_data = "in\0put", .stdin_size = 6,
	};
	struct hookbox_result *r;
	struct fixture f;

	open_pool(&f, &mounted_plugin, 2);
	call_and_fill(&f);
	r = RUN(&f, call, "sh", "-c", "cat; printf '|%s|' \"$A\" \"$B\"; pwd; echo e >&2; exit 42");
	assert_int_equal(r->end, HOOKBOX_EXITED);
	assert_int_equal(r->status, 42);
	assert_int_equal(r->out_size, 25);
	assert_memory_equal(r->out, "in\0put|1||two\nlines|/usr\n", 25);
	assert_string_equal(r->err, "e\n");
	assert_int_equal(r->cleanup, HOOKBOX_CLEANUP_PROVEN);
	hookbox_result_free(r);
	r = RUN(&f, PLAIN, "no-such-command");
	assert_int_equal(r->end, HOOKBOX_NOT_STARTED);
	assert_int_equal(r->error_number, ENOENT);
	hookbox_result_free(r);
	assert_int_equal(stats_of(&f).hits, 2);
	close_pool(&f);
}

static void test_a_timeout_leaves_nothing(void **state)
{
	struct hookbox_call call = {.timeout_ms = 300};
	struct hookbox_result *r;
	pid_t pid, stray;
	struct fixture f;

	open_pool(&f, &mounted_plugin, 1);
	call_and_fill(&f);
	r = RUN(&f, call, "sh", "-c",
		"trap '' TERM; setsid sleep 3600 & echo $$ $!; while :; do sleep 3600; done");
	assert_int_equal(r->end, HOOKBOX_TIMED_OUT);
	assert_int_equal(sscanf(r->out, "%d %d", &pid, &stray), 2);
	assert_int_equal(process_start_time(pid), 0);
	assert_int_equal(process_start_time(stray), 0);
	assert_int_equal(r->cleanup, HOOKBOX_CLEANUP_PROVEN);
	hookbox_result_free(r);
	assert_int_equal(stats_of(&f).hits, 1);
	close_pool(&f);
}

/* Dwells where the agent is granted more; by then all that is left fits into the pipe. */
static int take_slowly(void *data, int stream, const void *bytes, size_t n)
{
	size_t *taken = data;

	if (*taken < 65536 && *taken + n >= 65536)
		usleep(300000);
	*taken += n;
	return 0;
}

/* The agent has ended before the host has read, or wanted to grant it more. */
static void test_an_agent_that_is_done_before_its_output_is_read(void **state)
{
	size_t taken = 0;
	struct hookbox_call call = {.sink = take_slowly, .sink_data = &taken};
	struct hookbox_result *r;
	struct fixture f;

	open_pool(&f, &mounted_plugin, 1);
	call_and_fill(&f);
	r = RUN(&f, call, "head", "-c", "128000", "/dev/zero");
	if (r->end != HOOKBOX_EXITED)
		fail_msg("%s: %s", hookbox_end_name(r->end), r->message);
	assert_int_equal(taken, 128000);
	hookbox_result_free(r);
	assert_int_equal(stats_of(&f).hits, 1);
	close_pool(&f);
}

static void *call_often(void *data)
{
	struct fixture *f = data;

	for (int i = 0; i < 10; i++) {
		struct hookbox_call call = {.stdin_data = "0123456789", .stdin_size = 10};
		struct hookbox_result *r = RUN(f, call, "cat");

		assert_int_equal(r->end, HOOKBOX_EXITED);
		assert_string_equal(r->out, "0123456789");
		hookbox_result_free(r);
	}
	return NULL;
}

static void test_many_threads_take_at_once(void **state)
{
	struct pool_stats stats;
	pthread_t threads[6];
	struct fixture f;

	open_pool(&f, &mounted_plugin, 3);
	call_and_fill(&f);
	for (int i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_often, &f), 0);
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	stats = stats_of(&f);
	assert_int_equal(stats.hits + stats.misses, 61);
	assert_true(stats.hits >= 3);
	assert_true(pool_wait_full(f.pool, FULL_MS));
	close_pool(&f);
}

/* ---- Boxes that go ---- */

/* Kills the agents of every box there was. */
static void kill_agents(void)
{
	FILE *pids = fopen(boxes.pids, "r");
	int pid;

	while (fscanf(pids, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	fclose(pids);
}

static void test_a_box_that_dies_waiting_is_replaced(void **state)
{
	struct pool_stats stats;
	struct fixture f;

	open_pool(&f, &mounted_plugin, 2);
	call_and_fill(&f);
	kill_agents();
	WAIT_FOR(stats_of(&f).deaths == 2);
	assert_true(pool_wait_full(f.pool, FULL_MS));
	call_and_fill(&f);
	stats = stats_of(&f);
	assert_int_equal(stats.hits, 1);
	assert_int_equal(stats.deaths, 2);
	assert_int_equal(stats.refills, 5);
	close_pool(&f);
}

static void test_a_box_grows_old(void **state)
{
	struct fixture f;

	prepare(&f, 2);
	f.config.pool_max_age_ms = 1000;
	open_prepared(&f, &mounted_plugin);
	call_and_fill(&f);
	WAIT_FOR(stats_of(&f).refills >= 6);
	assert_int_equal(stats_of(&f).deaths, 0);
	close_pool(&f);
}

/* The agent that was started last. */
static int newest_agent(void)
{
	FILE *pids = fopen(boxes.pids, "r");
	int pid = 0;

	assert_non_null(pids);
	while (fscanf(pids, "%d", &pid) == 1)
		;
	fclose(pids);
	return pid;
}

static void test_a_call_that_kills_its_agent_is_lost(void **state)
{
	struct hookbox_result *r;
	struct fixture f;
	char script[64], mark[128];

	open_pool(&f, &mounted_plugin, 1);
	call_and_fill(&f);
	/* Once the call runs, the next box may be there. */
	snprintf(script, sizeof(script), "setsid sleep 3600 & kill -9 %d; sleep 3600", newest_agent());
	r = RUN(&f, PLAIN, "sh", "-c", script);
	assert_int_equal(r->end, HOOKBOX_LOST);
	assert_non_null(r->message);
	assert_int_equal(r->cleanup, HOOKBOX_CLEANUP_PROVEN);
	/* What owned the command outlives the agent, for as long as that takes. */
	snprintf(mark, sizeof(mark), SPAWN_MARK "=%s", r->call_id);
	wait_until_none_has_env(mark);
	hookbox_result_free(r);
	assert_true(pool_wait_full(f.pool, FULL_MS));
	call_and_fill(&f);
	assert_int_equal(stats_of(&f).hits, 2);
	close_pool(&f);
}

/* It is told, and what it may have left is for the next host to find. */
static void test_a_box_that_cannot_be_ended(void **state)
{
	_cleanup_free_ char *note = NULL;
	struct fixture f;
	struct buf logged;

	open_pool(&f, &dumb_plugin, 1);
	call_and_fill(&f);
	assert_true(asprintf(&note, "%s/%s", ledger_state_dir(f.context.ledger),
			     ledger_owner(f.context.ledger)) > 0);
	kill_agents();
	WAIT_FOR(stats_of(&f).deaths == 1 && !stats_of(&f).ending);
	logged = f.logged;
	f.logged = (struct buf){0};
	assert_contains(logged.data, "a box of the pool may be left");
	assert_contains(logged.data, "the engine is dumb");
	buf_free(&logged);
	close_pool(&f);
	assert_int_equal(access(note, F_OK), 0);
	unlink(note);
}

/* ---- Boxes that do not come ---- */

static void test_failures_put_the_next_try_off(void **state)
{
	struct hookbox_result *r;
	struct pool_stats stats;
	struct fixture f;

	open_pool(&f, &sent_plugin, 4);
	boxes.instead = "echo no space >&2; exit 1";
	for (int i = 0; i < 2; i++) {
		r = RUN(&f, PLAIN, "echo", "cold");
		assert_string_equal(r->out, "cold\n");
		hookbox_result_free(r);
	}
	WAIT_FOR(stats_of(&f).failures);
	usleep(1000000);
	/* 0.25 s, 0.5 s, 1 s ...; two fillers may have begun at the same time. */
	assert_in_range(stats_of(&f).failures, 1, 5);
	pthread_mutex_lock(&f.lock);
	assert_contains(f.logged.data, "no space");
	pthread_mutex_unlock(&f.lock);
	boxes.instead = NULL;
	WAIT_FOR(stats_of(&f).waiting == 4);
	call_and_fill(&f);
	stats = stats_of(&f);
	assert_int_equal(stats.misses, 2);
	assert_int_equal(stats.hits, 1);
	close_pool(&f);
}

static void test_a_file_that_cannot_be_shown_is_sent(void **state)
{
	struct fixture f;

	prepare(&f, 2);
	boxes.no_mounts = true;
	open_prepared(&f, &mounted_plugin);
	call_and_fill(&f);
	call_and_fill(&f);
	assert_int_equal(stats_of(&f).hits, 1);
	close_pool(&f);
}

static void test_a_box_where_no_agent_can_run(void **state)
{
	struct hookbox_result *r;
	struct fixture f;

	prepare(&f, 1);
	boxes.instead = "printf '\\036agent  Linux x86_64\\n'; read -r n; exit 125";
	open_prepared(&f, &sent_plugin);
	for (int i = 0; i < 2; i++) {
		r = RUN(&f, PLAIN, "echo", "cold");
		assert_string_equal(r->out, "cold\n");
		hookbox_result_free(r);
		WAIT_FOR(stats_of(&f).failures && !stats_of(&f).creating);
	}
	usleep(600000);
	assert_int_equal(stats_of(&f).failures, 1);
	close_pool(&f);
}

/* ---- The close ---- */

static void test_boxes_that_are_being_made_are_ended(void **state)
{
	static const char *const scripts[] = {
		"sleep 0.3; echo $$ >>\"$0\"; exec \"$@\"",
		"echo $$ >>\"$0\"; exec sleep 3600",
	};

	for (size_t i = 0; i < 2; i++) {
		struct hookbox_result *r;
		struct fixture f;

		prepare(&f, 2);
		boxes.instead = scripts[i];
		open_prepared(&f, &sent_plugin);
		r = RUN(&f, PLAIN, "true");
		hookbox_result_free(r);
		WAIT_FOR(stats_of(&f).creating == 2);
		close_pool(&f);
	}
}

static void test_a_pool_that_nobody_asked(void **state)
{
	struct fixture f;

	open_pool(&f, &sent_plugin, 2);
	assert_true(pool_wait_full(f.pool, 0));
	close_pool(&f);
	assert_int_equal(boxes.planned, 0);
}

/* The boxes are the parent's; the child's calls start cold. */
static void test_a_process_that_was_forked(void **state)
{
	struct fixture f;
	int status;
	pid_t child;

	open_pool(&f, &mounted_plugin, 1);
	call_and_fill(&f);
	child = fork();
	if (!child) {
		struct hookbox_result *r = RUN(&f, PLAIN, "echo", "child");

		_exit(r->end == HOOKBOX_EXITED && !strcmp(r->out, "child\n") ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	call_and_fill(&f);
	assert_int_equal(stats_of(&f).hits, 1);
	close_pool(&f);
}

/* ---- Where there can be none ---- */

static void test_sandboxes_that_can_have_none(void **state)
{
	struct hookbox_error error = {0};
	struct fixture f;

	prepare(&f, 1);
	assert_true(sandbox_open(&f.config, &kept_plugin, &f.context, &f.sandbox, &error) < 0);
	assert_contains(error.message, "test:1: [sandbox box] pool: kept starts no fresh box");
	f.config.agent = false;
	assert_true(sandbox_open(&f.config, &sent_plugin, &f.context, &f.sandbox, &error) < 0);
	assert_contains(error.message, "agent = off");
	ledger_free(f.context.ledger);
}

static void test_without_an_agent_calls_start_cold(void **state)
{
	struct hookbox_error error = {0};
	struct hookbox_result *r;
	struct fixture f;

	prepare(&f, 1);
	f.context.agent_dir = NULL;
	assert_int_equal(sandbox_open(&f.config, &sent_plugin, &f.context, &f.sandbox, &error), 0);
	assert_null(sandbox_pool(f.sandbox));
	assert_contains(f.logged.data, "hookbox-agent is not installed");
	r = RUN(&f, PLAIN, "echo", "cold");
	assert_string_equal(r->out, "cold\n");
	hookbox_result_free(r);
	close_pool(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_call_misses_and_the_others_hit),
		cmocka_unit_test(test_a_hit_is_a_call_like_any_other),
		cmocka_unit_test(test_a_timeout_leaves_nothing),
		cmocka_unit_test(test_an_agent_that_is_done_before_its_output_is_read),
		cmocka_unit_test(test_many_threads_take_at_once),
		cmocka_unit_test(test_a_box_that_dies_waiting_is_replaced),
		cmocka_unit_test(test_a_box_grows_old),
		cmocka_unit_test(test_a_call_that_kills_its_agent_is_lost),
		cmocka_unit_test(test_a_box_that_cannot_be_ended),
		cmocka_unit_test(test_failures_put_the_next_try_off),
		cmocka_unit_test(test_a_file_that_cannot_be_shown_is_sent),
		cmocka_unit_test(test_a_box_where_no_agent_can_run),
		cmocka_unit_test(test_boxes_that_are_being_made_are_ended),
		cmocka_unit_test(test_a_pool_that_nobody_asked),
		cmocka_unit_test(test_a_process_that_was_forked),
		cmocka_unit_test(test_sandboxes_that_can_have_none),
		cmocka_unit_test(test_without_an_agent_calls_start_cold),
	};
	int failed, fd;

	snprintf(boxes.pids, sizeof(boxes.pids), "/tmp/hookbox-test-pids-XXXXXX");
	fd = mkstemp(boxes.pids);
	if (fd < 0)
		return 1;
	close(fd);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(boxes.pids);
	return failed;
}
