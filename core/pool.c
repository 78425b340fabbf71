/* SPDX-License-Identifier: MIT */
/* A pool as its sandbox and the calls see it. */
#include "pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "call.h"
#include "cleanup.h"
#include "clock.h"
#include "pool_parts.h"
#include "thread.h"

/* How long after the first call's end the filling begins. */
#define BEGIN_US 50000
/* What boxes that are being made get at the close, before they are given up. */
#define CLOSE_US 3000000
/* Beyond its greatest age an agent that hears nothing ends of itself. */
#define SILENCE_MORE_MS 60000

/* ---- Open, start, stop, close ---- */

static int check_network_keeper(struct sandbox *sandbox, const struct config_sandbox *config,
				struct hookbox_error *error)
{
	const char *where = config_key_where(config, "network_keeper");
	int code;

	if (!config->pool)
		return error_set(error, -EINVAL,
				 "%s: [sandbox %s] network_keeper: only the boxes of a pool share "
				 "a network; set pool, or remove the key", where, config->name);
	if (!(sandbox->plugin->flags & SANDBOX_SHARES_NETWORK))
		return error_set(error, -EINVAL,
				 "%s: [sandbox %s] network_keeper: %s has no boxes that could "
				 "share a network; remove the key", where, config->name,
				 sandbox->plugin->name);
	code = pool_box_check_network(sandbox, error);
	if (code)
		error_prefix(error, "%s: [sandbox %s] network_keeper", where, config->name);
	return code;
}

static int check(struct sandbox *sandbox, const struct config_sandbox *config,
		 struct hookbox_error *error)
{
	const struct sandbox_plugin_v1 *plugin = sandbox->plugin;
	const char *key = config->pool ? "pool" : "network_keeper";

	if (!(plugin->flags & SANDBOX_FRESH) || plugin->flags & SANDBOX_HOST_PROCESS ||
	    !plugin->plan || sandbox->run.run || sandbox->box.find || sandbox->box.start)
		return error_set(
			error, -EINVAL,
			"%s: [sandbox %s] %s: %s starts no fresh box for each call; remove the key",
			config_key_where(config, key), config->name, key, plugin->name);
	if (!config->agent)
		return error_set(error, -EINVAL,
				 "%s: [sandbox %s] pool: a box can only wait with an agent in it; "
				 "remove agent = off, or the pool",
				 config_key_where(config, "agent"), config->name);
	return config->network_keeper ? check_network_keeper(sandbox, config, error) : 0;
}

static struct pool *pool_new(struct sandbox *sandbox, const struct config_sandbox *config)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	pthread_condattr_t monotonic;

	if (!pool)
		return NULL;
	pool->sandbox = sandbox;
	pool->size = config->pool;
	pool->keeps_network = config->network_keeper;
	pool->max_age_us = config->pool_max_age_ms ? config->pool_max_age_ms * 1000 : CLOCK_NEVER;
	pool->silence_ms = config->pool_max_age_ms ? config->pool_max_age_ms + SILENCE_MORE_MS : 0;
	pool->fill_from_us = CLOCK_NEVER;
	pool->mounted = config->socket ? POOL_SOCKET : POOL_MOUNTED;
	pool->way = sandbox->agent_path ? POOL_THERE :
		    sandbox->plugin->flags & SANDBOX_MOUNTS ? pool->mounted : POOL_SENT;
	TAILQ_INIT(&pool->waiting);
	TAILQ_INIT(&pool->ending);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pool->watch_fd = epoll_create1(EPOLL_CLOEXEC);
	pool->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pool->later_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	pool->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return pool;
}

/* The warden knows what woke it by the address. */
static bool watch(struct pool *pool, int *fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};

	return !epoll_ctl(pool->watch_fd, EPOLL_CTL_ADD, *fd, &event);
}

int pool_open(struct sandbox *sandbox, const struct config_sandbox *config, struct pool **pool,
	      struct hookbox_error *error)
{
	int code;

	if (!config->pool && !config->network_keeper)
		return 0;
	code = check(sandbox, config, error);
	if (code || sandbox->context.no_pools)
		return code;
	if (!sandbox->agent || (!sandbox->shell && !sandbox->agent_path &&
				!(sandbox->plugin->flags & SANDBOX_MOUNTS))) {
		log_write(sandbox->context.log, SANDBOX_LOG_WARNING,
			  "[sandbox %s] there is no pool, calls start cold: %s", sandbox->name,
			  sandbox->agent
				  ? "without a shell no agent gets into the box; set agent to "
				    "the path of one there"
				  : "hookbox-agent is not installed");
		return 0;
	}
	*pool = pool_new(sandbox, config);
	if (*pool && watch(*pool, &(*pool)->wake_fd) && watch(*pool, &(*pool)->later_fd) &&
	    (*pool)->cancel_fd >= 0)
		return 0;
	pool_close(take_pointer(*pool));
	return error_set(error, -ENOMEM, "out of memory or descriptors");
}

/* Under the lock. */
static bool start_threads(struct pool *pool)
{
	pool->hopeless = true;
	if (!thread_start(&pool->warden, pool_watch, pool, "hookbox-warden")) {
		pool->pid = getpid();
		while (pool->n_fillers < POOL_FILLERS &&
		       !thread_start(&pool->fillers[pool->n_fillers], pool_fill, pool,
				     "hookbox-filler"))
			pool->n_fillers++;
		pool->hopeless = !pool->n_fillers;
	}
	return !pool->hopeless;
}

static void stop_threads(struct pool *pool)
{
	int64_t until = clock_us() + CLOSE_US;

	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->changed);
	pool_signal(pool->wake_fd);
	/* A box that is there is ended sooner than one that may still come. */
	while (pool->stats.creating && clock_us() < until)
		pool_wait_until(pool, until);
	pool_signal(pool->cancel_fd);
	pthread_mutex_unlock(&pool->lock);
	for (size_t i = 0; i < pool->n_fillers; i++)
		pthread_join(pool->fillers[i], NULL);
	pthread_join(pool->warden, NULL);
}

void pool_close(struct pool *pool)
{
	/* In a process that was forked the threads and the boxes are the other's. */
	if (!pool || (pool->pid && pool->pid != getpid()))
		return;
	if (pool->pid)
		stop_threads(pool);
	pthread_cond_destroy(&pool->changed);
	pthread_mutex_destroy(&pool->lock);
	cleanup_close(&pool->watch_fd);
	cleanup_close(&pool->wake_fd);
	cleanup_close(&pool->later_fd);
	cleanup_close(&pool->cancel_fd);
	free(pool);
}

/* ---- For calls ---- */

static bool is_here(const struct pool *pool)
{
	return pool->pid == getpid();
}

/* The first call starts the threads, the second the filling. Under the lock; false: it cannot. */
static bool begin(struct pool *pool)
{
	if (!pool->pid && !pool->hopeless)
		return start_threads(pool);
	if (pool->fill_from_us == CLOCK_NEVER)
		pool->fill_from_us = clock_us();
	return true;
}

static void note_program(struct pool *pool, const char *program)
{
	if (strlen(program) < sizeof(pool->program))
		strcpy(pool->program, program);
	else
		*pool->program = '\0';
}

struct pool_box *pool_take(struct pool *pool, const char *program)
{
	struct pool_box *box;
	bool begun;

	if (pool->pid && !is_here(pool))
		return NULL;
	pthread_mutex_lock(&pool->lock);
	begun = begin(pool);
	note_program(pool, program);
	while ((box = TAILQ_FIRST(&pool->waiting))) {
		bool usable;

		pool_take_out(pool, box);
		pthread_mutex_unlock(&pool->lock);
		usable = !pool_box_is_too_old(pool, box) && channel_is_usable(box->channel);
		pthread_mutex_lock(&pool->lock);
		if (usable) {
			pool->died_young = 0;
			break;
		}
		pool_retire(pool, box);
		pool_signal(pool->wake_fd);
	}
	if (!box)
		pool->stats.misses++;
	else if (pool->stats.hits++, pool->fill_from_us < clock_us())
		pool->fill_from_us = clock_us() + POOL_QUIET_US;
	if (box)
		pool_wake_later(pool);
	else
		pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	if (!begun)
		log_write(pool->sandbox->context.log, SANDBOX_LOG_WARNING,
			  "[sandbox %s] no thread can be started for the pool, calls start cold; "
			  "raise the limit of processes", pool->sandbox->name);
	return box;
}

void pool_get_network(struct pool *pool, char id[LEDGER_CALL_ID_SIZE])
{
	*id = '\0';
	if (!is_here(pool))
		return;
	pthread_mutex_lock(&pool->lock);
	strcpy(id, pool_network(pool));
	pthread_mutex_unlock(&pool->lock);
}

void pool_end_later(struct pool *pool, struct pool_box *box)
{
	pthread_mutex_lock(&pool->lock);
	pool_retire(pool, box);
	pool_wake_later(pool);
	pthread_mutex_unlock(&pool->lock);
}

bool pool_end_now(struct pool *pool, struct pool_box *box, char reason[SANDBOX_ERROR_SIZE])
{
	return pool_box_end(pool->sandbox, box, reason);
}

void pool_call_ended(struct pool *pool)
{
	if (!is_here(pool))
		return;
	pthread_mutex_lock(&pool->lock);
	if (pool->fill_from_us == CLOCK_NEVER) {
		pool->fill_from_us = clock_us() + BEGIN_US;
		pthread_cond_broadcast(&pool->changed);
	}
	pthread_mutex_unlock(&pool->lock);
}

struct pool *sandbox_pool(const struct sandbox *sandbox)
{
	return sandbox->pool;
}

void pool_get_stats(struct pool *pool, struct pool_stats *stats)
{
	pthread_mutex_lock(&pool->lock);
	*stats = pool->stats;
	pthread_mutex_unlock(&pool->lock);
}

bool pool_wait_full(struct pool *pool, int64_t timeout_ms)
{
	int64_t until = clock_deadline_us(timeout_ms);
	bool full;

	if (!pool || !is_here(pool))
		return true;
	pthread_mutex_lock(&pool->lock);
	do {
		full = pool->stats.waiting == pool->size && !pool->stats.creating &&
		       !pool->stats.ending;
		if (!full)
			pool_wait_until(pool, until);
	} while (!full && clock_us() < until);
	pthread_mutex_unlock(&pool->lock);
	return full;
}
