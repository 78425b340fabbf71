/* SPDX-License-Identifier: MIT */
/* What pool.c and pool_box.c share. */
#ifndef CORE_POOL_PARTS_H
#define CORE_POOL_PARTS_H

#include <sys/queue.h>

#include "channel.h"
#include "ledger.h"
#include "pool.h"

struct pool_box {
	char id[LEDGER_CALL_ID_SIZE];	/* the call id that the backend made it for */
	struct channel *channel;
	int64_t born_us;		/* when it became ready */
	int64_t over_us;		/* when its agent was to end; 0: it is not yet */
	TAILQ_ENTRY(pool_box) link;
};

/* How the agent gets into a box. */
enum pool_way {
	POOL_THERE,			/* it lies in the box */
	POOL_MOUNTED,			/* we make our file visible there */
	POOL_SENT,			/* the box's shell asks for it */
};

/*
 * [any, blocking] Starts a box and waits until its agent has greeted. 0, or an enum channel_problem:
 * then nothing of it is left, or the ledger knows.
 */
int pool_box_create(struct sandbox *sandbox, enum pool_way way, int64_t silence_ms, int cancel_fd,
		    struct pool_box **box, struct hookbox_error *error);
/* [any, blocking] Ends it, and frees it. False, with a reason: something may be left. */
bool pool_box_end(struct sandbox *sandbox, struct pool_box *box, char reason[SANDBOX_ERROR_SIZE]);

#endif
