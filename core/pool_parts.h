/* SPDX-License-Identifier: MIT */
/* What pool.c, pool_threads.c and pool_box.c share. */
#ifndef CORE_POOL_PARTS_H
#define CORE_POOL_PARTS_H

#include <pthread.h>
#include <sys/queue.h>

#include "channel.h"
#include "ledger.h"
#include "pool.h"

struct pool_box {
	char id[LEDGER_CALL_ID_SIZE];	/* the call id that the backend made it for */
	char network_of[LEDGER_CALL_ID_SIZE]; /* whose network it shares; "": it has its own */
	struct channel *channel;
	int64_t born_us;		/* when it became ready */
	int64_t over_us;		/* when its agent was to end; 0: it is not yet */
	TAILQ_ENTRY(pool_box) link;
};

/* How the agent gets into a box. */
enum pool_way {
	POOL_THERE,			/* it lies in the box */
	POOL_SOCKET,			/* we make our file visible there, and a socket beside it */
	POOL_MOUNTED,			/* our file alone */
	POOL_SENT,			/* the box's shell asks for it */
};
#define POOL_WAYS_FOR_ONE 3		/* a sandbox has no more of them */

/* How a box is made. */
struct pool_wish {
	enum pool_way way;
	char network_of[LEDGER_CALL_ID_SIZE];	/* the box whose network it shares, or "" */
	char program[FRAME_PROGRAM_MAX + 1];	/* what its call is likely to run, or "" */
};

#define POOL_FILLERS 2
/* A call that found a box has the processors to itself for so long: most are over by then. */
#define POOL_QUIET_US 5000

TAILQ_HEAD(pool_list, pool_box);

struct pool {
	struct sandbox *sandbox;
	size_t size;
	bool keeps_network;		/* the boxes share the network of one more, their keeper */
	int64_t max_age_us;		/* CLOCK_NEVER: none */
	int64_t silence_ms;
	_Atomic pid_t pid;		/* whose threads they are; 0: none were started */
	int watch_fd;			/* what the warden waits for: boxes, and these two */
	int wake_fd;			/* wakes it now */
	int later_fd;			/* a timer that wakes it when a call has had its quiet */
	int cancel_fd;			/* readable: boxes that are being made are given up */
	pthread_t fillers[POOL_FILLERS];
	size_t n_fillers;
	pthread_t warden;
	pthread_mutex_t lock;		/* of what follows */
	pthread_cond_t changed;
	bool stopping;
	bool over;			/* the warden has ended the last box */
	bool later;			/* the timer runs */
	bool warden_busy;		/* it ends a box, and no timer wakes it */
	bool hopeless;			/* no agent can run in these boxes */
	int64_t fill_from_us;
	char program[FRAME_PROGRAM_MAX + 1]; /* what the last call ran; "": too long to be kept */
	enum pool_way way;
	enum pool_way mounted;		/* POOL_MOUNTED, or POOL_SOCKET where that is wanted */
	bool way_works;
	unsigned int failed_in_row;
	unsigned int died_young;	/* since a call took a box */
	struct pool_box *network_keeper; /* NULL: it has to be made before the others */
	bool network_coming;		/* it is being made */
	struct pool_list waiting;	/* the oldest first */
	struct pool_list ending;
	struct pool_stats stats;
};

/* ---- One box (pool_box.c) ---- */

/*
 * [any, blocking] Starts a box and waits until its agent has greeted. 0, or an enum
 * channel_problem: then nothing of it is left, or the ledger knows. With network_of = "" in a pool
 * that keeps a network it is the network keeper: its agent waits without end, and for nothing.
 */
int pool_box_create(const struct pool *pool, const struct pool_wish *wish, struct pool_box **box,
		    struct hookbox_error *error);
/* [any] Would the backend let boxes share a network, with these settings? */
int pool_box_check_network(struct sandbox *sandbox, struct hookbox_error *error);
/* [any, blocking] Ends it, and frees it. False, with a reason: something may be left. */
bool pool_box_end(struct sandbox *sandbox, struct pool_box *box, char reason[SANDBOX_ERROR_SIZE]);

/* ---- Boxes that wait and go (pool_threads.c), under the lock ---- */

/* Lets it wait, as the first or the last. */
void pool_put_in(struct pool *pool, struct pool_box *box, bool first);
/* Takes one out of those that wait. */
void pool_take_out(struct pool *pool, struct pool_box *box);
/* Leaves one, which is in no list, to the warden, without waking it. */
void pool_retire(struct pool *pool, struct pool_box *box);
/* The id of the network keeper, or "": there is none, or not now. */
const char *pool_network(const struct pool *pool);
bool pool_box_is_too_old(const struct pool *pool, const struct pool_box *box);
/* Waits for a change until then. */
void pool_wait_until(struct pool *pool, int64_t us);
/* Wakes the threads in a moment: a call runs, and each of them would take a processor from it. */
void pool_wake_later(struct pool *pool);
/* Makes an eventfd readable. */
void pool_signal(int fd);

/* The threads; `pool` is theirs. */
void *pool_fill(void *pool);
void *pool_watch(void *pool);

#endif
