/* SPDX-License-Identifier: MIT */
/* Calls in boxes of the pool. */
#include "call.h"
#include "pool.h"
#include "result.h"

/* The agent's word is enough that nothing of the call runs; without it, the box has to be gone. */
static bool is_over(const struct channel_result *ended)
{
	return ended->lost ? !ended->sent : ended->exit.cleanup == FRAME_PROVEN;
}

bool call_run_pool(struct call *call)
{
	struct pool *pool = call->sandbox->pool;
	struct pool_box *box = pool ? pool_take(pool) : NULL;
	char reason[SANDBOX_ERROR_SIZE] = "";
	struct channel_result ended;

	if (!box)
		return false;
	call_run_through(call, pool_box_channel(box), &ended);
	call->result->cleanup = HOOKBOX_CLEANUP_PROVEN;
	if (is_over(&ended)) {
		pool_end_later(pool, box);
	} else if (!pool_end_now(pool, box, reason)) {
		call->result->cleanup = HOOKBOX_CLEANUP_UNKNOWN;
		result_set_cleanup_reason(call->result, "%s", reason);
	}
	return true;
}
