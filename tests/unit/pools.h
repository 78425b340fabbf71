/* SPDX-License-Identifier: MIT */
/* Pools over a backend whose boxes are plain processes of this machine, with the real agent. */
#ifndef TESTS_POOLS_H
#define TESTS_POOLS_H

#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "agent_file.h"
#include "calls.h"
#include "cleanup.h"
#include "clock.h"
#include "pool.h"

#define FULL_MS 60000

/* ---- The backend ---- */

/* What becomes of the boxes of pools. */
static struct {
	_Atomic(const char *) instead;	/* a script that is run instead of the agent */
	atomic_bool no_mounts;		/* a plan with a mount fails */
	atomic_bool no_sockets;		/* a plan with two does */
	atomic_bool blind;		/* what is shown as the second cannot be seen */
	atomic_uint planned;
	char pids[64];			/* a file with the pids of all agents */
} boxes;

/* A box sees the host's file at its place in the host. */
static inline const char *seen_at(const struct sandbox_plan_request *request, const char *arg)
{
	for (size_t i = 0; i < request->mounts.n && !(boxes.blind && i); i++)
		if (!strcmp(request->mounts.v[i].box_path, arg))
			return request->mounts.v[i].host_path;
	return arg;
}

static inline void plan_pool(const struct sandbox_plan_request *request,
		      const struct sandbox_plan_sink *sink)
{
	bool fails = (boxes.no_mounts && request->mounts.n) ||
		     (boxes.no_sockets && request->mounts.n > 1);
	const char *instead = fails ? "exit 127" : boxes.instead;

	boxes.planned++;
	sink->arg(sink, "sh");
	sink->arg(sink, "-c");
	sink->arg(sink, instead ? instead : "echo $$ >>\"$0\"; exec \"$@\"");
	sink->arg(sink, boxes.pids);
}

static inline int pool_plan(const void *instance, const struct sandbox_plan_request *request,
		     const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	if (request->purpose == SANDBOX_PURPOSE_POOL)
		plan_pool(request, sink);
	for (const char *const *arg = request->argv; *arg; arg++)
		sink->arg(sink, seen_at(request, *arg));
	return 0;
}

/* An engine that cannot say what is left. */
static inline int dumb_plan_end(const void *instance, const struct sandbox_end_request *request,
			 const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	sink->arg(sink, "sh");
	sink->arg(sink, "-c");
	sink->arg(sink, "echo the engine is dumb >&2; exit 1");
	return 0;
}

static const struct sandbox_plugin_v1 sent_plugin __attribute__((unused)) = {
	BACKEND(SANDBOX_FRESH | SANDBOX_SHELL | SANDBOX_ENDS_WITH_PROCESS),
	.plan = pool_plan,
	.name = "sent",
};
static const struct sandbox_plugin_v1 mounted_plugin __attribute__((unused)) = {
	BACKEND(SANDBOX_FRESH | SANDBOX_SHELL | SANDBOX_MOUNTS | SANDBOX_ENDS_WITH_PROCESS),
	.plan = pool_plan,
	.name = "mounted",
};
static const struct sandbox_plugin_v1 dumb_plugin __attribute__((unused)) = {
	BACKEND(SANDBOX_FRESH | SANDBOX_SHELL | SANDBOX_MOUNTS), .plan = pool_plan, .name = "dumb",
	.plan_end = dumb_plan_end,
};
static const struct sandbox_plugin_v1 kept_plugin __attribute__((unused)) = {
	BACKEND(SANDBOX_KEPT | SANDBOX_SHELL), .plan = pool_plan, .name = "kept",
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

static inline void take_line(void *data, int level, const char *message)
{
	struct fixture *f = data;

	pthread_mutex_lock(&f->lock);
	buf_printf(&f->logged, "%s\n", message);
	pthread_mutex_unlock(&f->lock);
}

static inline void prepare(struct fixture *f, unsigned int size)
{
	*f = (struct fixture){
		.log = {take_line, f},
		.context = {.log = &f->log, .ledger = ledger_new(), .agent_dir = agent_file_dir()},
		.config = {
			.name = (char *)"box", .where = (char *)"test:1", .mode = (char *)"test",
			.shell = true, .agent = true, .socket = true, .pool = size,
		},
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	if (!f->context.agent_dir)
		fail_msg("HOOKBOX_AGENT_DIR does not say where hookbox-agent is");
	boxes.instead = NULL;
	boxes.no_mounts = boxes.no_sockets = boxes.blind = false;
	boxes.planned = 0;
	fclose(fopen(boxes.pids, "w"));
}

static inline void open_prepared(struct fixture *f, const struct sandbox_plugin_v1 *plugin)
{
	struct hookbox_error error = {0};

	if (sandbox_open(&f->config, plugin, &f->context, &f->sandbox, &error))
		fail_msg("%s", error.message);
	f->pool = sandbox_pool(f->sandbox);
	assert_non_null(f->pool);
}

static inline void open_pool(struct fixture *f, const struct sandbox_plugin_v1 *plugin,
			     unsigned int size)
{
	prepare(f, size);
	open_prepared(f, plugin);
}

/* Nothing may be left of it: no child, and no agent that lost its parent. */
static inline void close_pool(struct fixture *f)
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

/* A call that must come out well, and fills the pool afterwards. */
static inline void call_and_fill(struct fixture *f)
{
	struct hookbox_result *r = RUN(f->sandbox, PLAIN, "sh", "-c", "echo $((6 * 7))");

	assert_int_equal(r->end, HOOKBOX_EXITED);
	assert_string_equal(r->out, "42\n");
	assert_int_equal(r->cleanup, HOOKBOX_CLEANUP_PROVEN);
	hookbox_result_free(r);
	if (!pool_wait_full(f->pool, FULL_MS))
		fail_msg("the pool does not become full: %s", f->logged.data);
}

static inline struct pool_stats stats_of(struct fixture *f)
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

/* ---- The whole program ---- */

static inline int pools_setup(void **state)
{
	int fd;

	snprintf(boxes.pids, sizeof(boxes.pids), "/tmp/hookbox-test-pids-XXXXXX");
	fd = mkstemp(boxes.pids);
	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static inline int pools_teardown(void **state)
{
	return unlink(boxes.pids);
}

#endif
