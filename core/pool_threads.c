/* SPDX-License-Identifier: MIT */
/*
 * The pool's threads. Two fillers start boxes, and live as long as these do: a backend may tie a
 * box to the thread that started it. The warden watches the boxes that wait, and ends those that
 * are used, old or dead. The lock is never held while one of them waits for anything else.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "call.h"
#include "clock.h"
#include "pool_parts.h"

/* From the first to the longest pause after boxes that could not be made. */
#define PAUSE_FIRST_US 250000
#define PAUSE_LONGEST_US 60000000
/* A box that dies as young as that was not made well. */
#define YOUNG_US 10000000
#define YOUNG_TOLD 4 /* how many in a row are worth a warning */
/* While more than so many wait to be ended beyond the pool's size, none is made. */
#define ENDING_MAX 16
#define EVENTS_AT_ONCE 16

/* ---- Waking and moving ---- */

void pool_signal(int fd)
{
	const uint64_t one = 1;

	/* A counter that is full wakes as well. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

void pool_wake_later(struct pool *pool)
{
	const struct itimerspec quiet = {.it_value.tv_nsec = POOL_QUIET_US * 1000};

	if (pool->warden_busy) {
		pthread_cond_broadcast(&pool->changed);
		return;
	}
	/* Calls that come one after the other must not put it off for ever. */
	if (!pool->later)
		pool->later = !timerfd_settime(pool->later_fd, 0, &quiet, NULL);
}

void pool_wait_until(struct pool *pool, int64_t us)
{
	const struct timespec at = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	if (us == CLOCK_NEVER)
		pthread_cond_wait(&pool->changed, &pool->lock);
	else
		pthread_cond_timedwait(&pool->changed, &pool->lock, &at);
}

void pool_retire(struct pool *pool, struct pool_box *box)
{
	box->over_us = clock_us();
	TAILQ_INSERT_TAIL(&pool->ending, box, link);
	pool->stats.ending++;
}

/* One that cannot be watched is looked at when it is taken. */
static void watch_box(struct pool *pool, struct pool_box *box)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = box};

	epoll_ctl(pool->watch_fd, EPOLL_CTL_ADD, channel_fd(box->channel), &event);
}

static void unwatch_box(struct pool *pool, struct pool_box *box)
{
	epoll_ctl(pool->watch_fd, EPOLL_CTL_DEL, channel_fd(box->channel), NULL);
}

void pool_put_in(struct pool *pool, struct pool_box *box, bool first)
{
	watch_box(pool, box);
	if (first)
		TAILQ_INSERT_HEAD(&pool->waiting, box, link);
	else
		TAILQ_INSERT_TAIL(&pool->waiting, box, link);
	pool->stats.waiting++;
}

void pool_take_out(struct pool *pool, struct pool_box *box)
{
	unwatch_box(pool, box);
	TAILQ_REMOVE(&pool->waiting, box, link);
	pool->stats.waiting--;
}

/* One that waits no longer need not be waited for when its turn to be ended comes. */
static void retire_waiting(struct pool *pool, struct pool_box *box)
{
	pool_take_out(pool, box);
	channel_hang_up(box->channel);
	pool_retire(pool, box);
}

bool pool_box_is_too_old(const struct pool *pool, const struct pool_box *box)
{
	return pool->max_age_us != CLOCK_NEVER && clock_us() - box->born_us >= pool->max_age_us;
}

/* ---- The network keeper ---- */

/*
 * To make a network for each box takes as long as all the rest of it. One box more can keep one for
 * all: it is a box like any other, whose agent is never asked for anything.
 */
const char *pool_network(const struct pool *pool)
{
	return pool->network_keeper ? pool->network_keeper->id : "";
}

/* Was the box made for a network that is no longer the pool's? */
static bool is_of_old_network(const struct pool *pool, const char *network_of)
{
	return *network_of && strcmp(network_of, pool_network(pool)) != 0;
}

static void retire_keeper(struct pool *pool)
{
	struct pool_box *keeper = pool->network_keeper;

	pool->network_keeper = NULL;
	unwatch_box(pool, keeper);
	channel_hang_up(keeper->channel);
	pool_retire(pool, keeper);
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

	if (pool->hopeless || pool->network_coming || pool->stats.ending > pool->size + ENDING_MAX)
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

/* Where files cannot be shown, the box's shell may still take the agent's. */
static enum pool_way way_after(const struct pool *pool, enum pool_way way)
{
	bool mounts = pool->sandbox->plugin->flags & SANDBOX_MOUNTS;

	switch (way) {
	case POOL_SOCKET:
		return POOL_MOUNTED;
	case POOL_MOUNTED:
		return pool->sandbox->shell ? POOL_SENT : pool->mounted;
	case POOL_SENT:
		return mounts ? pool->mounted : POOL_SENT;
	default:
		return way;
	}
}

/* False: what failed is what will be done the next time. */
static bool try_other_way(struct pool *pool, enum pool_way way)
{
	if (pool->way == way && !pool->way_works)
		pool->way = way_after(pool, way);
	return pool->way != way;
}

/* Under the lock; true when it is to be told. */
static bool take_failure(struct pool *pool, enum pool_way way, int problem, const char *network_of)
{
	bool first = !pool->failed_in_row;
	bool other;

	if (problem == CHANNEL_CANCELLED || is_of_old_network(pool, network_of))
		return false;
	other = try_other_way(pool, way);
	pool->stats.failures++;
	/* Without a socket it is slower, and that is all. */
	if (way == POOL_SOCKET && other)
		return false;
	pool->hopeless = problem == CHANNEL_NO_AGENT && !other;
	put_off(pool);
	return first || pool->hopeless;
}

static void take_way(struct pool *pool, enum pool_way way, const struct pool_box *box)
{
	/* An agent that did not find the socket came by its stdout; so will the others. */
	pool->way = way == POOL_SOCKET && !channel_has_socket(box->channel) ? POOL_MOUNTED : way;
	pool->way_works = true;
	pool->failed_in_row = pool->died_young;
}

/* Without the lock meanwhile. */
static void take_early_death(struct pool *pool, const struct pool_box *box)
{
	if (clock_us() - box->born_us >= YOUNG_US)
		return;
	put_off(pool);
	if (++pool->died_young != YOUNG_TOLD)
		return;
	pthread_mutex_unlock(&pool->lock);
	log_write(pool->sandbox->context.log, SANDBOX_LOG_WARNING,
		  "[sandbox %s] boxes of the pool end before a call comes; they are made more and "
		  "more seldom until one is used", pool->sandbox->name);
	pthread_mutex_lock(&pool->lock);
}

static void take_keeper(struct pool *pool, struct pool_box *box)
{
	pool->stats.keepers++;
	pool->network_keeper = box;
	watch_box(pool, box);
}

static void take_box(struct pool *pool, struct pool_box *box)
{
	pool->stats.refills++;
	pool->stats.sockets += channel_has_socket(box->channel);
	pool_put_in(pool, box, false);
	if (is_of_old_network(pool, box->network_of))
		retire_waiting(pool, box);
	else if (pool->stats.waiting > pool->size)
		retire_waiting(pool, TAILQ_FIRST(&pool->waiting));
}

/* Makes one, without the lock meanwhile. */
static void create_one(struct pool *pool)
{
	struct sandbox *sandbox = pool->sandbox;
	bool is_keeper = pool->keeps_network && !pool->network_keeper;
	struct pool_wish wish = {.way = pool->way};
	struct hookbox_error error = {0};
	struct pool_box *box = NULL;
	bool tell = false;
	int problem;

	strcpy(wish.network_of, pool_network(pool));
	strcpy(wish.program, pool->program);
	pool->network_coming |= is_keeper;
	pool->stats.creating++;
	pthread_mutex_unlock(&pool->lock);
	problem = pool_box_create(pool, &wish, &box, &error);
	pthread_mutex_lock(&pool->lock);
	pool->stats.creating--;
	pool->network_coming &= !is_keeper;
	if (problem) {
		tell = take_failure(pool, wish.way, problem, wish.network_of);
	} else {
		take_way(pool, wish.way, box);
		(is_keeper ? take_keeper : take_box)(pool, box);
	}
	pool_signal(pool->wake_fd);
	pthread_cond_broadcast(&pool->changed);
	if (!tell)
		return;
	pthread_mutex_unlock(&pool->lock);
	log_write(sandbox->context.log, SANDBOX_LOG_WARNING,
		  "[sandbox %s] no box can be made for the pool, calls start cold%s: %s",
		  sandbox->name, problem == CHANNEL_NO_AGENT ? "" : " until one can",
		  error.message);
	pthread_mutex_lock(&pool->lock);
}

/* 0; 1 when another way is worth a try; or an error. */
static int probe_once(struct pool *pool, struct pool_box **box, struct hookbox_error *error)
{
	struct pool_wish wish = {0};
	bool other;

	pthread_mutex_lock(&pool->lock);
	wish.way = pool->way;
	pthread_mutex_unlock(&pool->lock);
	if (!pool_box_create(pool, &wish, box, error))
		return 0;
	pthread_mutex_lock(&pool->lock);
	other = try_other_way(pool, wish.way);
	pthread_mutex_unlock(&pool->lock);
	return other ? 1 : -EIO;
}

int pool_probe(struct pool *pool, struct frame_agent_hello *agent, bool *over_socket,
	       struct hookbox_error *error)
{
	char reason[SANDBOX_ERROR_SIZE] = "";
	struct pool_box *box = NULL;
	int code = 1;

	for (int tries = 0; tries < POOL_WAYS_FOR_ONE && code > 0; tries++)
		code = probe_once(pool, &box, error);
	if (code)
		return -EIO;
	*agent = *channel_agent(box->channel);
	*over_socket = channel_has_socket(box->channel);
	if (!pool_box_end(pool->sandbox, box, reason))
		return error_set(error, -EIO, "the box may be left: %s", reason);
	return 0;
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
	pool_signal(pool->wake_fd);
	pthread_cond_broadcast(&pool->changed);
}

void *pool_fill(void *data)
{
	struct pool *pool = data;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stopping) {
		int64_t when = next_fill(pool);

		if (when > clock_us())
			pool_wait_until(pool, when);
		else
			create_one(pool);
	}
	/* At the close it helps, and stays as long as there is a box. */
	while (!pool->over) {
		if (TAILQ_EMPTY(&pool->ending))
			pool_wait_until(pool, CLOCK_NEVER);
		else
			end_one(pool);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* ---- The warden ---- */

/* Something came from a box that waits: most likely its end. Without the lock meanwhile. */
static void look_at(struct pool *pool, struct pool_box *box)
{
	bool usable;

	pool_take_out(pool, box);
	pthread_mutex_unlock(&pool->lock);
	usable = channel_is_usable(box->channel);
	pthread_mutex_lock(&pool->lock);
	if (usable) {
		pool_put_in(pool, box, true);
		return;
	}
	pool->stats.deaths++;
	take_early_death(pool, box);
	pool_retire(pool, box);
	pthread_cond_broadcast(&pool->changed);
}

/* The same from the network keeper: what network there was has gone with it. */
static void look_at_keeper(struct pool *pool)
{
	struct pool_box *keeper = pool->network_keeper;
	struct sandbox *sandbox = pool->sandbox;
	bool usable;

	pthread_mutex_unlock(&pool->lock);
	usable = channel_is_usable(keeper->channel);
	if (!usable)
		log_write(sandbox->context.log, SANDBOX_LOG_WARNING,
			  "[sandbox %s] the box that keeps the pool's network ended; the boxes "
			  "that wait are replaced", sandbox->name);
	pthread_mutex_lock(&pool->lock);
	if (usable)
		return;
	take_early_death(pool, keeper);
	while (!TAILQ_EMPTY(&pool->waiting))
		retire_waiting(pool, TAILQ_FIRST(&pool->waiting));
	retire_keeper(pool);
	pthread_cond_broadcast(&pool->changed);
}

/* Somebody may have taken it since. */
static bool is_waiting(struct pool *pool, const struct pool_box *asked)
{
	struct pool_box *box;

	TAILQ_FOREACH(box, &pool->waiting, link)
		if (box == asked)
			return true;
	return false;
}

static void wake_fillers(struct pool *pool)
{
	pool->later = false;
	pthread_cond_broadcast(&pool->changed);
}

static void take_wake(struct pool *pool, const int *fd)
{
	uint64_t count;

	if (read(*fd, &count, sizeof(count)) == sizeof(count) && fd == &pool->later_fd)
		wake_fillers(pool);
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
	struct epoll_event events[EVENTS_AT_ONCE];
	int timeout_ms = next_look_ms(pool), n;

	pthread_mutex_unlock(&pool->lock);
	n = epoll_wait(pool->watch_fd, events, EVENTS_AT_ONCE, timeout_ms);
	pthread_mutex_lock(&pool->lock);
	for (int i = 0; i < n; i++) {
		void *what = events[i].data.ptr;

		if (what == &pool->wake_fd || what == &pool->later_fd)
			take_wake(pool, what);
		else if (what == pool->network_keeper)
			look_at_keeper(pool);
		else if (is_waiting(pool, what))
			look_at(pool, what);
	}
}

static void retire_old(struct pool *pool)
{
	struct pool_box *box;

	while ((box = TAILQ_FIRST(&pool->waiting)) &&
	       (pool->stopping || pool_box_is_too_old(pool, box)))
		retire_waiting(pool, box);
	/* Nobody will look for its network any more. */
	if (pool->stopping && pool->network_keeper && !pool->stats.creating)
		retire_keeper(pool);
}

void *pool_watch(void *data)
{
	struct pool *pool = data;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stopping || pool->stats.creating || pool->stats.waiting ||
	       pool->network_keeper || pool->stats.ending) {
		retire_old(pool);
		if (TAILQ_EMPTY(&pool->ending)) {
			watch(pool);
			continue;
		}
		/* It may take long, and the fillers are not to wait for it. */
		wake_fillers(pool);
		pool->warden_busy = true;
		end_one(pool);
		pool->warden_busy = false;
	}
	pool->over = true;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}
