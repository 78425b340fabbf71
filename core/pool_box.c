/* SPDX-License-Identifier: MIT */
/* One box of a pool: how it comes to be, and its end. */
#include <stdlib.h>

#include "agent_file.h"
#include "call.h"
#include "cleanup.h"
#include "clock.h"
#include "pool_parts.h"

/* An image may have to be fetched first. */
#define CREATE_MS 120000
/* A box ends when its agent does; an engine that has much to do takes its time over it. */
#define END_MS 10000
/*
 * Where the agent's file and the door show: every box has a /dev of its own that mounts can be made
 * in, also where its root is read-only.
 */
#define MOUNT_PATH "/dev/hookbox-agent"
#define DOOR_PATH "/dev/hookbox-door"

static int make_plan(struct sandbox *sandbox, enum pool_way way, const char *id,
		     const struct door *door, struct plan *plan, struct hookbox_error *error)
{
	static const char *const none[] = {NULL};
	_cleanup_strv_ struct strv argv = {0};
	_cleanup_strv_ struct strv labels = {0};
	_cleanup_free_ char *file = NULL;
	bool mounted = way == POOL_MOUNTED || way == POOL_SOCKET;
	struct sandbox_mount mounts[] = {
		{.box_path = MOUNT_PATH, .read_only = true},
		{.host_path = door->path, .box_path = DOOR_PATH, .read_only = true},
	};
	struct sandbox_plan_request request = {
		.size = sizeof(request),
		.purpose = SANDBOX_PURPOSE_POOL,
		.call_id = id,
		.env = none,
		.state_dir = ledger_state_dir(sandbox->context.ledger),
	};

	if (way == POOL_SENT) {
		agent_file_argv(&argv);
	} else {
		strv_add(&argv, way == POOL_THERE ? sandbox->agent_path : MOUNT_PATH);
		strv_add(&argv, "--once");
	}
	if (mounted) {
		mounts[0].host_path = file = agent_file_path(sandbox->context.agent_dir);
		request.mounts = (struct sandbox_mount_list){door->path ? 2 : 1, mounts};
	}
	if (door->path) {
		strv_add(&argv, "--connect");
		strv_add(&argv, DOOR_PATH);
	}
	call_add_labels(sandbox, id, &labels);
	if (argv.failed || labels.failed || (mounted && !file))
		return error_no_memory(error);
	request.argv = strv_view(&argv);
	request.labels = strv_view(&labels);
	return plan_make(sandbox->plugin, sandbox->instance, &request, plan, error);
}

/* A box without an agent is of no use, but it may be there. */
static void end_failed(struct sandbox *sandbox, const char *id, const struct channel_end *end)
{
	char reason[SANDBOX_ERROR_SIZE] = "";

	if (!ending_box(sandbox, id, end, false, reason))
		log_write(sandbox->context.log, SANDBOX_LOG_WARNING,
			  "[sandbox %s] a box that failed to join the pool may be left: %s",
			  sandbox->name, reason);
}

int pool_box_create(struct sandbox *sandbox, enum pool_way way, int64_t silence_ms, int cancel_fd,
		    struct pool_box **created, struct hookbox_error *error)
{
	_cleanup_free_ struct pool_box *box = calloc(1, sizeof(*box));
	_cleanup_plan_ struct plan plan = {0};
	_cleanup_door_ struct door door = {.fd = -1};
	struct channel_end end = {0};
	const char *dir = ledger_state_dir(sandbox->context.ledger);
	const struct channel_start start = {
		.plan = &plan,
		.agent_dir = sandbox->context.agent_dir,
		.door = &door,
		.once = true,
		.silence_ms = silence_ms,
		.deadline_us = clock_deadline_us(CREATE_MS),
		.cancel_fd = cancel_fd,
		.end = &end,
	};
	int problem;

	if (!box) {
		error_no_memory(error);
		return CHANNEL_NO_WAY;
	}
	ledger_new_call_id(sandbox->context.ledger, box->id);
	if (way == POOL_SOCKET && dir)
		door_open(&door, dir, box->id);
	if (make_plan(sandbox, way, box->id, &door, &plan, error))
		return CHANNEL_NO_WAY;
	problem = channel_open(&start, &box->channel, error);
	if (problem) {
		end_failed(sandbox, box->id, &end);
		return problem;
	}
	box->born_us = clock_us();
	*created = take_pointer(box);
	return 0;
}

bool pool_box_end(struct sandbox *sandbox, struct pool_box *box, char reason[SANDBOX_ERROR_SIZE])
{
	int64_t patience = END_MS - (box->over_us ? (clock_us() - box->over_us) / 1000 : 0);
	struct channel_end end;
	bool gone;

	channel_close(box->channel, patience > 0 ? (int)patience : 0, &end);
	gone = ending_box(sandbox, box->id, &end, true, reason);
	free(box);
	return gone;
}

struct channel *pool_box_channel(struct pool_box *box)
{
	return box->channel;
}
