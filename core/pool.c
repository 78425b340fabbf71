/* SPDX-License-Identifier: MIT */
/*
 * The pool's threads. Two fillers start boxes, and live as long as these do: a backend may tie a box
 * to the thread that started it. The keeper watches the boxes that wait, and ends those that are
 * used, old or dead. The lock is never held while one of them waits for anything else.
 */
#include "pool.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent_file.h"
#include "call.h"
#include "cleanup.h"
#include "clock.h"
#include "pool_parts.h"

#define FILLERS 2
#define POOL_MAX 256
/* How long after the first call's end the filling begins. */
#define BEGIN_US 50000
/* A call that found a box has the processors to itself for so long: most are over by then. */
#define QUIET_US 5000
/* From the first to the longest pause after boxes that could not be made. */
#define PAUSE_FIRST_US 250000
#define PAUSE_LONGEST_US 60000000
/* A box that dies as young as that was not made well. */
#define YOUNG_US 10000000
/* While more than so many wait to be ended beyond the pool's size, none is made. */
#define ENDING_MAX 16
/* What boxes that are being made get at the close, before they are given up. */
#define CLOSE_US 3000000
/* Beyond its greatest age an agent that hears nothing ends of itself. */
#define SILENCE_MORE_MS 60000

TAILQ_HEAD(pool_list, pool_box);

struct pool {
	struct sandbox *sandbox;
	size_t size;
	int64_t max_age_us;		/* CLOCK_NEVER: none */
	int64_t silence_ms;
	_Atomic pid_t pid;		/* whose threads they are; 0: none were started */
	int wake_fd;			/* wakes the keeper */
	int cancel_fd;			/* readable: boxes that are being made are given up */
	pthread_t fillers[FILLERS];
	size_t n_fillers;
	pthread_t keeper;
	pthread_mutex_t lock;		/* of what follows */
	pthread_cond_t changed;
	bool stopping;
	bool over;			/* the keeper has ended the last box */
	bool hopeless;			/* no agent can run in these boxes */
	int64_t fill_from_us;
	enum pool_way way;
	bool way_works;
	unsigned int failed_in_row;
	struct pool_list waiting;	/* the oldest first */
	struct pool_list ending;
	struct pool_stats stats;
};

/* ---- Waking ---- */

static void signal_fd(int fd)
{
	const uint64_t one = 1;

	/* A counter that is full wakes as well. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

static void wait_until(struct pool *pool, int64_t us)
{
	const struct timespec at = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	if (us == CLOCK_NEVER)
		pthread_cond_wait(&pool->changed, &pool->lock);
	else
		pthread_cond_timedwait(&pool->changed, &pool->lock, &at);
}

/* Hands a box, which is in no list, to the keeper. Under the lock. */
static void retire(struct pool *pool, struct pool_box *box)
{
	box->over_us = clock_us();
	TAILQ_INSERT_TAIL(&pool->ending, box, link);
	pool->stats.ending++;
	signal_fd(pool->wake_fd);
	if (pool->stopping)
		pthread_cond_broadcast(&pool->changed);
}

static void take_out(struct pool *pool, struct pool_box *box)
{
	TAILQ_REMOVE(&pool->waiting, box, link);
	pool->stats.waiting--;
}

/* One that waits no longer need not be waited for when its turn to be ended comes. */
static void retire_waiting(struct pool *pool, struct pool_box *box)
{
	take_out(pool, box);
	channel_hang_up(box->channel);
	retire(pool, box);
}

static bool is_too_old(const struct pool *pool, const struct pool_box *box)
{
	return pool->max_age_us != CLOCK_NEVER && clock_us() - box->born_us >= pool->max_age_us;
}

/* ---- Fillers ---- */

/* When a box's successor is made: early enough to be there when it goes. */
static int64_t ripe_at(const struct pool *pool, const struct pool_box *box)
{
	return pool->max_age_us == CLOCK_NEVER ? CLOCK_NEVER :
						 box->born_us + pool->max_age_us / 8 * 7;
}

/* When the next box is to be made. Under the lock. */
static int64_t next_fill(struct pool *pool)
{
	size_t n = pool->stats.creating;
	int64_t now = clock_us(), until = CLOCK_NEVER;
	struct pool_box *box;

	if (pool->hopeless || pool->stats.ending > pool->size + ENDING_MAX)
		return CLOCK_NEVER;
	/* One is enough to see whether it works again. */
	if (pool->failed_in_row && pool->stats.creating)
		return CLOCK_NEVER;
	TAILQ_FOREACH(box, &pool->waiting, link) {
		int64_t ripe = ripe_at(pool, box);

		if (ripe > now)
			n++;
		if (ripe > now && ripe < until)
			until = ripe;
	}
	return n < pool->size ? pool->fill_from_us : until;
}

static void put_off(struct pool *pool)
{
	int64_t pause = PAUSE_FIRST_US;

	for (unsigned int i = 0; i < pool->failed_in_row && pause < PAUSE_LONGEST_US; i++)
		pause *= 2;
	pool->failed_in_row++;
	pool->fill_from_us = clock_us() + (pause < PAUSE_LONGEST_US ? pause : PAUSE_LONGEST_US);
}

/* Where the agent's file cannot be shown, the box's shell may still take it. */
static bool try_other_way(struct pool *pool, enum pool_way way)
{
	if (pool->way_works || way == POOL_THERE || !pool->sandbox->shell)
		return false;
	if (pool->way == way)
		pool->way = way == POOL_SENT && pool->sandbox->plugin->flags & SANDBOX_MOUNTS ?
				    POOL_MOUNTED : POOL_SENT;
	return pool->way != way;
}

/* Under the lock; true when it is to be told. */
static bool take_failure(struct pool *pool, enum pool_way way, int problem)
{
	bool first = !pool->failed_in_row;
	bool other;

	if (problem == CHANNEL_CANCELLED)
		return false;
	other = try_other_way(pool, way);
	pool->stats.failures++;
	pool->hopeless = problem == CHANNEL_NO_AGENT && !other;
	put_off(pool);
	return first || pool->hopeless;
}

static void take_box(struct pool *pool, enum pool_way way, struct pool_box *box)
{
	pool->way = way;
	pool->way_works = true;
	pool->failed_in_row = 0;
	pool->stats.refills++;
	TAILQ_INSERT_TAIL(&pool->waiting, box, link);
	pool->stats.waiting++;
	if (pool->stats.waiting > pool->size)
		retire_waiting(pool, TAILQ_FIRST(&pool->waiting));
}

/* Makes one, without the lock meanwhile. */
static void create_one(struct pool *pool)
{
	struct sandbox *sandbox = pool->sandbox;
	enum pool_way way = pool->way;
	struct hookbox_error error = {0};
	struct pool_box *box = NULL;
	bool tell = false;
	int problem;

	pool->stats.creating++;
	pthread_mutex_unlock(&pool->lock);
	problem = pool_box_create(sandbox, way, pool->silence_ms, pool->cancel_fd, &box, &error);
	pthread_mutex_lock(&pool->lock);
	pool->stats.creating--;
	if (problem)
		tell = take_failure(pool, way, problem);
	else
		take_box(pool, way, box);
	signal_fd(pool->wake_fd);
	pthread_cond_broadcast(&pool->changed);
	if (!tell)
		return;
	pthread_mutex_unlock(&pool->lock);
	log_write(sandbox->context.log, SANDBOX_LOG_WARNING,
		  "[sandbox %s] no box can be made for the pool, calls start cold%s: %s",
		  sandbox->name, problem == CHANNEL_NO_AGENT ? "" : " until one can", error.message);
	pthread_mutex_lock(&pool->lock);
}

/* Without the lock meanwhile. */
static void end_one(struct pool *pool)
{
	struct pool_box *box = TAILQ_FIRST(&pool->ending);
	struct sandbox *sandbox = pool->sandbox;
	char reason[SANDBOX_ERROR_SIZE] = "";

	TAILQ_REMOVE(&pool->ending, box, link);
	pthread_mutex_unlock(&pool->lock);
	if (!pool_box_end(sandbox, box, reason))
		log_write(sandbox->context.log, SANDBOX_LOG_WARNING,
			  "[sandbox %s] a box of the pool may be left: %s", sandbox->name, reason);
	pthread_mutex_lock(&pool->lock);
	pool->stats.ending--;
	signal_fd(pool->wake_fd);
	pthread_cond_broadcast(&pool->changed);
}

static void *fill(void *data)
{
	struct pool *pool = data;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stopping) {
		int64_t when = next_fill(pool);

		if (when > clock_us())
			wait_until(pool, when);
		else
			create_one(pool);
	}
	/* At the close it helps, and stays as long as there is a box. */
	while (!pool->over) {
		if (TAILQ_EMPTY(&pool->ending))
			wait_until(pool, CLOCK_NEVER);
		else
			end_one(pool);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* ---- The keeper ---- */

/* Something came from a box that waits: most likely its end. Without the lock meanwhile. */
static void look_at(struct pool *pool, struct pool_box *box)
{
	bool usable;

	take_out(pool, box);
	pthread_mutex_unlock(&pool->lock);
	usable = channel_is_usable(box->channel);
	pthread_mutex_lock(&pool->lock);
	if (usable) {
		TAILQ_INSERT_HEAD(&pool->waiting, box, link);
		pool->stats.waiting++;
		return;
	}
	pool->stats.deaths++;
	if (clock_us() - box->born_us < YOUNG_US)
		put_off(pool);
	retire(pool, box);
	pthread_cond_broadcast(&pool->changed);
}

static struct pool_box *find_by_fd(struct pool *pool, int fd)
{
	struct pool_box *box;

	TAILQ_FOREACH(box, &pool->waiting, link)
		if (channel_fd(box->channel) == fd)
			return box;
	return NULL;
}

static int next_look_ms(struct pool *pool)
{
	struct pool_box *oldest = TAILQ_FIRST(&pool->waiting);
	int64_t left;

	if (!oldest || pool->max_age_us == CLOCK_NEVER)
		return -1;
	left = oldest->born_us + pool->max_age_us - clock_us();
	return left <= 0 ? 0 : left > 60000000 ? 60000 : (int)((left + 999) / 1000);
}

/* Waits until there is something to do. Without the lock meanwhile. */
static void watch(struct pool *pool)
{
	struct pollfd fds[1 + POOL_MAX] = {{.fd = pool->wake_fd, .events = POLLIN}};
	int timeout_ms = next_look_ms(pool);
	struct pool_box *box;
	uint64_t count;
	nfds_t n = 1;

	TAILQ_FOREACH(box, &pool->waiting, link)
		fds[n++] = (struct pollfd){.fd = channel_fd(box->channel), .events = POLLIN};
	pthread_mutex_unlock(&pool->lock);
	if (poll(fds, n, timeout_ms) < 0)
		n = 0;
	if (n && fds[0].revents && read(pool->wake_fd, &count, sizeof(count)) < 0)
		n = 1;
	pthread_mutex_lock(&pool->lock);
	for (nfds_t i = 1; i < n; i++)
		if (fds[i].revents && (box = find_by_fd(pool, fds[i].fd)))
			look_at(pool, box);
}

static void retire_old(struct pool *pool)
{
	struct pool_box *box;

	while ((box = TAILQ_FIRST(&pool->waiting)) && (pool->stopping || is_too_old(pool, box)))
		retire_waiting(pool, box);
}

static void *keep(void *data)
{
	struct pool *pool = data;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stopping || pool->stats.creating || pool->stats.waiting ||
	       pool->stats.ending) {
		retire_old(pool);
		if (TAILQ_EMPTY(&pool->ending))
			watch(pool);
		else
			end_one(pool);
	}
	pool->over = true;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* ---- Open, start, stop, close ---- */

static int check(struct sandbox *sandbox, const struct config_sandbox *config,
		 struct hookbox_error *error)
{
	const struct sandbox_plugin_v1 *plugin = sandbox->plugin;

	if (!(plugin->flags & SANDBOX_FRESH) || plugin->flags & SANDBOX_HOST_PROCESS ||
	    !plugin->plan || sandbox->run.run || sandbox->box.find || sandbox->box.start)
		return error_set(error, -EINVAL,
				 "%s: [sandbox %s] pool: %s starts no fresh box for each call; remove "
				 "the key", config->where, config->name, plugin->name);
	if (!config->agent)
		return error_set(error, -EINVAL,
				 "%s: [sandbox %s] pool: a box can only wait with an agent in it; "
				 "remove agent = off, or the pool", config->where, config->name);
	return 0;
}

static struct pool *pool_new(struct sandbox *sandbox, const struct config_sandbox *config)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	pthread_condattr_t monotonic;

	if (!pool)
		return NULL;
	pool->sandbox = sandbox;
	pool->size = config->pool;
	pool->max_age_us = config->pool_max_age_ms ? config->pool_max_age_ms * 1000 : CLOCK_NEVER;
	pool->silence_ms = config->pool_max_age_ms ? config->pool_max_age_ms + SILENCE_MORE_MS : 0;
	pool->fill_from_us = CLOCK_NEVER;
	pool->way = sandbox->agent_path ? POOL_THERE :
		    sandbox->plugin->flags & SANDBOX_MOUNTS ? POOL_MOUNTED : POOL_SENT;
	TAILQ_INIT(&pool->waiting);
	TAILQ_INIT(&pool->ending);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pool->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pool->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return pool;
}

int pool_open(struct sandbox *sandbox, const struct config_sandbox *config, struct pool **pool,
	      struct hookbox_error *error)
{
	int code;

	if (!config->pool)
		return 0;
	code = check(sandbox, config, error);
	if (code)
		return code;
	if (!sandbox->agent || (!sandbox->shell && !sandbox->agent_path &&
				!(sandbox->plugin->flags & SANDBOX_MOUNTS))) {
		log_write(sandbox->context.log, SANDBOX_LOG_WARNING,
			  "[sandbox %s] there is no pool, calls start cold: %s", sandbox->name,
			  sandbox->agent ? "without a shell no agent gets into the box; set agent to "
					   "the path of one there"
					 : "hookbox-agent is not installed");
		return 0;
	}
	*pool = pool_new(sandbox, config);
	if (*pool && (*pool)->wake_fd >= 0 && (*pool)->cancel_fd >= 0)
		return 0;
	pool_close(take_pointer(*pool));
	return error_set(error, -ENOMEM, "out of memory or descriptors");
}

static int start_thread(pthread_t *thread, void *(*run)(void *), struct pool *pool,
			const char *name)
{
	int code = pthread_create(thread, NULL, run, pool);

	if (!code)
		pthread_setname_np(*thread, name);
	return code;
}

/* The program's signals are its own threads' affair. Under the lock. */
static void start_threads(struct pool *pool)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pool->hopeless = true;
	if (!start_thread(&pool->keeper, keep, pool, "hookbox-keeper")) {
		pool->pid = getpid();
		while (pool->n_fillers < FILLERS &&
		       !start_thread(&pool->fillers[pool->n_fillers], fill, pool, "hookbox-filler"))
			pool->n_fillers++;
		pool->hopeless = !pool->n_fillers;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pool->hopeless)
		log_write(pool->sandbox->context.log, SANDBOX_LOG_WARNING,
			  "[sandbox %s] no thread can be started for the pool, calls start cold; "
			  "raise the limit of processes", pool->sandbox->name);
}

static void stop_threads(struct pool *pool)
{
	int64_t until = clock_us() + CLOSE_US;

	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->changed);
	signal_fd(pool->wake_fd);
	/* A box that is there is ended sooner than one that may still come. */
	while (pool->stats.creating && clock_us() < until)
		wait_until(pool, until);
	signal_fd(pool->cancel_fd);
	pthread_mutex_unlock(&pool->lock);
	for (size_t i = 0; i < pool->n_fillers; i++)
		pthread_join(pool->fillers[i], NULL);
	pthread_join(pool->keeper, NULL);
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
	cleanup_close(&pool->wake_fd);
	cleanup_close(&pool->cancel_fd);
	free(pool);
}

/* ---- For calls ---- */

static bool is_here(const struct pool *pool)
{
	return pool->pid == getpid();
}

/* The first call starts the threads, the second the filling. Under the lock. */
static void begin(struct pool *pool)
{
	if (!pool->pid && !pool->hopeless)
		start_threads(pool);
	else if (pool->fill_from_us == CLOCK_NEVER)
		pool->fill_from_us = clock_us();
}

struct pool_box *pool_take(struct pool *pool)
{
	struct pool_box *box;

	if (pool->pid && !is_here(pool))
		return NULL;
	pthread_mutex_lock(&pool->lock);
	begin(pool);
	while ((box = TAILQ_FIRST(&pool->waiting))) {
		bool usable;

		take_out(pool, box);
		pthread_mutex_unlock(&pool->lock);
		usable = !is_too_old(pool, box) && channel_is_usable(box->channel);
		pthread_mutex_lock(&pool->lock);
		if (usable)
			break;
		retire(pool, box);
	}
	if (!box)
		pool->stats.misses++;
	else if (pool->stats.hits++, pool->fill_from_us < clock_us())
		pool->fill_from_us = clock_us() + QUIET_US;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	return box;
}

void pool_end_later(struct pool *pool, struct pool_box *box)
{
	pthread_mutex_lock(&pool->lock);
	retire(pool, box);
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
			wait_until(pool, until);
	} while (!full && clock_us() < until);
	pthread_mutex_unlock(&pool->lock);
	return full;
}
