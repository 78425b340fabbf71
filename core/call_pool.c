/* SPDX-License-Identifier: MIT */
/* Calls in boxes of the pool. */
#include <stdlib.h>

#include "call.h"
#include "cleanup.h"
#include "pool.h"
#include "result.h"

/* The agent's word is enough that nothing of the call runs; without it, the box has to be gone. */
static bool is_over(const struct channel_result *ended)
{
	return ended->lost ? !ended->sent : ended->exit.cleanup == FRAME_PROVEN;
}

/* The box died before the call was on its way: nothing is used up. */
static bool may_go_elsewhere(const struct channel_result *ended)
{
	return ended->lost && !ended->sent && !ended->read && !ended->overdue;
}

static void end_box(struct call *call, struct pool *pool, struct pool_box *box, bool over)
{
	char reason[SANDBOX_ERROR_SIZE] = "";

	call->result->cleanup = HOOKBOX_CLEANUP_PROVEN;
	if (over) {
		pool_end_later(pool, box);
	} else if (!pool_end_now(pool, box, reason)) {
		call->result->cleanup = HOOKBOX_CLEANUP_UNKNOWN;
		result_set_cleanup_reason(call->result, "%s", reason);
	}
}

bool call_run_pool(struct call *call)
{
	struct pool *pool = call->sandbox->pool;
	struct pool_box *box;

	while (pool && (box = pool_take(pool, call->asked.argv[0]))) {
		enum call_way way = channel_has_socket(pool_box_channel(box)) ? CALL_BY_SOCKET
									      : CALL_POOLED;
		struct channel_result ended;

		call_run_through(call, pool_box_channel(box), &ended);
		end_box(call, pool, box, is_over(&ended));
		if (!may_go_elsewhere(&ended)) {
			call->way = way;
			return true;
		}
		free(take_pointer(call->result->message));
	}
	/* Its own box is sooner made with the pool's network. Should that go, it runs anew. */
	if (pool && call->scripted && !call->asked.use_stdin_fd && !call->anew)
		pool_get_network(pool, call->network_of);
	return false;
}
