/* SPDX-License-Identifier: MIT */
/* A sandbox: one configured instance of a backend, and the calls that run in it. */
#ifndef CORE_SANDBOX_H
#define CORE_SANDBOX_H

#include "config.h"
#include "ledger.h"
#include "log.h"
#include "plugin.h"

struct sandbox;

/* What all sandboxes of a host share. */
struct sandbox_host_context {
	const struct log *log;
	struct ledger *ledger;	/* who we are, and what killed hosts left */
	const char *agent_dir;	/* where agents lie; NULL: there are none */
	bool no_pools;		/* the host ends soon */
};

/* The built-in backend that runs the command as a plain process of the host. (direct.c) */
extern const struct sandbox_plugin_v1 direct_plugin;

/* Makes the instance: parameters filled and checked, open() called. Starts nothing. */
int sandbox_open(const struct config_sandbox *config, const struct sandbox_plugin_v1 *plugin,
		 const struct sandbox_host_context *context, struct sandbox **sandbox,
		 struct hookbox_error *error);
/* No call may be running. Stops a box that was started for it. */
void sandbox_close(struct sandbox *sandbox);

const char *sandbox_name(const struct sandbox *sandbox);
const struct sandbox_plugin_v1 *sandbox_plugin(const struct sandbox *sandbox);

/* [any] Runs a call; see hookbox_exec(). (call.c) */
int sandbox_call(struct sandbox *sandbox, const struct hookbox_call *call,
		 struct hookbox_result **result, struct hookbox_error *error);

/* The ways to a box. */
enum call_way {
	CALL_ONE_OFF = 0,	/* by a process of the call's own, or sandbox.run/1 */
	CALL_SHARED,		/* the same, through a connection that calls share */
	CALL_BY_AGENT,		/* through the channel to a box that stays */
	CALL_POOLED,		/* in a box that waited */
	CALL_BY_SOCKET,		/* the same, over a unix socket */
	CALL_N_WAYS,
};

/* "one-off", "agent" ...: as `hookbox plugins check --way` wants them. (call.c) */
extern const char *const call_way_names[CALL_N_WAYS];

/* [any] How many calls have gone which way. */
void sandbox_count_ways(struct sandbox *sandbox, uint64_t counts[CALL_N_WAYS]);

/* [any] Asks sandbox.probe/1; calls `finding` for each. -ENOSYS when the backend has no probe. */
int sandbox_probe(struct sandbox *sandbox, int64_t timeout_ms,
		  void (*finding)(void *data, uint32_t status, const char *what,
				  const char *remedy),
		  void *data);

#endif
