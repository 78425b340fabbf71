/* SPDX-License-Identifier: MIT */
/* One box of a pool: how it comes to be, and its end. */
#include <stdio.h>
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
 * Where the agent's file and the socket show: every box has a /dev of its own that mounts can be
 * made in, also where its root is read-only.
 */
#define MOUNT_PATH "/dev/hookbox-agent"
#define SOCKET_PATH "/dev/hookbox-socket"

static int make_plan(struct sandbox *sandbox, enum pool_way way, const struct pool_box *box,
		     const struct listener *listener, struct plan *plan,
		     struct hookbox_error *error)
{
	static const char *const none[] = {NULL};
	_cleanup_strv_ struct strv argv = {0};
	_cleanup_strv_ struct strv labels = {0};
	_cleanup_free_ char *file = NULL;
	bool mounted = way == POOL_MOUNTED || way == POOL_SOCKET;
	struct sandbox_mount mounts[] = {
		{.box_path = MOUNT_PATH, .read_only = true},
		{.host_path = listener->path, .box_path = SOCKET_PATH, .read_only = true},
	};
	struct sandbox_plan_request request = {
		.size = sizeof(request),
		.purpose = SANDBOX_PURPOSE_POOL,
		.call_id = box->id,
		.network_of = box->network_of[0] ? box->network_of : NULL,
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
		request.mounts = (struct sandbox_mount_list){listener->path ? 2 : 1, mounts};
	}
	if (listener->path) {
		strv_add(&argv, "--connect");
		strv_add(&argv, SOCKET_PATH);
	}
	call_add_labels(sandbox, box->id, &labels);
	if (argv.failed || labels.failed || (mounted && !file))
		return error_no_memory(error);
	request.argv = strv_view(&argv);
	request.labels = strv_view(&labels);
	return plan_make(sandbox->plugin, sandbox->instance, &request, plan, error);
}

/* A box without an agent is of no use, but it may be there; one that said so was. */
static void end_failed(struct sandbox *sandbox, const char *id, int problem,
		       const struct process_fate *end)
{
	char reason[SANDBOX_ERROR_SIZE] = "";

	if (!ending_box(sandbox, id, end, problem == CHANNEL_NO_AGENT, reason))
		log_write(sandbox->context.log, SANDBOX_LOG_WARNING,
			  "[sandbox %s] a box that failed to join the pool may be left: %s",
			  sandbox->name, reason);
}

int pool_box_check_network(struct sandbox *sandbox, struct hookbox_error *error)
{
	static const struct pool_box box = {.id = "check", .network_of = "network"};
	_cleanup_listener_ struct listener listener = {.fd = -1};
	_cleanup_plan_ struct plan plan = {0};

	return make_plan(sandbox, POOL_SENT, &box, &listener, &plan, error);
}

int pool_box_create(const struct pool *pool, const struct pool_wish *wish,
		    struct pool_box **created, struct hookbox_error *error)
{
	struct sandbox *sandbox = pool->sandbox;
	_cleanup_free_ struct pool_box *box = calloc(1, sizeof(*box));
	_cleanup_plan_ struct plan plan = {0};
	_cleanup_listener_ struct listener listener = {.fd = -1};
	struct process_fate end = {0};
	const char *dir = ledger_state_dir(sandbox->context.ledger);
	const struct channel_start start = {
		.plan = &plan,
		.agent_dir = sandbox->context.agent_dir,
		.listener = &listener,
		.once = true,
		.program = wish->program,
		.silence_ms = pool->keeps_network && !wish->network_of[0] ? 0 : pool->silence_ms,
		.deadline_us = clock_deadline_us(CREATE_MS),
		.cancel_fd = pool->cancel_fd,
		.end = &end,
	};
	int problem;

	if (!box) {
		error_no_memory(error);
		return CHANNEL_NO_WAY;
	}
	ledger_new_call_id(sandbox->context.ledger, box->id);
	snprintf(box->network_of, sizeof(box->network_of), "%s", wish->network_of);
	if (wish->way == POOL_SOCKET && dir)
		listener_open(&listener, dir, box->id);
	if (make_plan(sandbox, wish->way, box, &listener, &plan, error))
		return CHANNEL_NO_WAY;
	problem = channel_open(&start, &box->channel, error);
	if (problem) {
		end_failed(sandbox, box->id, problem, &end);
		return problem;
	}
	box->born_us = clock_us();
	*created = take_pointer(box);
	return 0;
}

bool pool_box_end(struct sandbox *sandbox, struct pool_box *box, char reason[SANDBOX_ERROR_SIZE])
{
	int64_t patience = END_MS - (box->over_us ? (clock_us() - box->over_us) / 1000 : 0);
	struct process_fate end;
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
