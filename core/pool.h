/* SPDX-License-Identifier: MIT */
/*
 * A pool: fresh boxes that were started ahead of time, each with an agent that waits for one call.
 * Its threads begin with the sandbox's calls and end with pool_close(); a pool in a process that
 * was forked since has none and hands out nothing.
 */
#ifndef CORE_POOL_H
#define CORE_POOL_H

#include "sandbox.h"

struct pool;
struct pool_box;
struct channel;
struct frame_agent_hello;

/* Makes what the config wants; *pool stays NULL when that is none. Starts nothing. */
int pool_open(struct sandbox *sandbox, const struct config_sandbox *config, struct pool **pool,
	      struct hookbox_error *error);
/* Ends every box and every thread. No call may be running. NULL is ignored. */
void pool_close(struct pool *pool);

/*
 * [any] A box that is ready, or NULL: the call starts cold. It is the call's until one of the two
 * below takes it back. Boxes that are made from now on get ready for the same program.
 */
struct pool_box *pool_take(struct pool *pool, const char *program);
/*
 * [any] The id of the box whose network those of the pool share, or "": a box that starts cold may
 * share it as well, and has to do without it when it is gone.
 */
void pool_get_network(struct pool *pool, char id[LEDGER_CALL_ID_SIZE]);
/* [any] The channel of a box. Lent. */
struct channel *pool_box_channel(struct pool_box *box);
/* [any] Nothing of the call runs in the box any more: it is ended in the background. */
void pool_end_later(struct pool *pool, struct pool_box *box);
/* [any, blocking] Ends it at once. False, with a reason: something may be left. */
bool pool_end_now(struct pool *pool, struct pool_box *box, char reason[SANDBOX_ERROR_SIZE]);
/*
 * [any] A call has ended. The pool is not filled before, unless there is a second call: a program
 * that makes one call and closes the sandbox starts no box for nothing.
 */
void pool_call_ended(struct pool *pool);

/*
 * [any, blocking] For doctor: makes one box as the pool would, and ends it. 0 with what its agent
 * said and how it is spoken to; else negative errno.
 */
int pool_probe(struct pool *pool, struct frame_agent_hello *agent, bool *over_socket,
	       struct hookbox_error *error);

struct pool_stats {
	uint64_t hits;
	uint64_t misses;		/* calls that started cold */
	uint64_t refills;		/* boxes that became ready */
	uint64_t sockets;		/* of these, spoken to over one */
	uint64_t failures;		/* that did not */
	uint64_t deaths;		/* that ended while they waited */
	uint64_t keepers;		/* network keepers that became ready */
	size_t waiting;
	size_t creating;
	size_t ending;
};

/* ---- For tests and the benchmark ---- */

/* NULL: it has none. */
struct pool *sandbox_pool(const struct sandbox *sandbox);
/* [any] */
void pool_get_stats(struct pool *pool, struct pool_stats *stats);
/*
 * [any, blocking] Waits until the pool is full and what was used is ended; false: not in that time.
 * True for NULL, and for a pool that no call has asked for a box yet.
 */
bool pool_wait_full(struct pool *pool, int64_t timeout_ms);

#endif
