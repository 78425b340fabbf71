/* SPDX-License-Identifier: MIT */
/* A sandbox of a backend that runs its calls on this machine. Include unit.h first. */
#ifndef TESTS_SANDBOXES_H
#define TESTS_SANDBOXES_H

#include "calls.h"

/* Runs it as it is: the "box" is this machine. */
static int here_plan(const void *instance, const struct sandbox_plan_request *request,
		     const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	for (const char *const *arg = request->argv; *arg; arg++)
		sink->arg(sink, *arg);
	for (const char *const *entry = request->env; *entry; entry++)
		sink->env(sink, *entry);
	return 0;
}

/* ---- One sandbox for each test ---- */

struct fixture {
	struct log log;
	struct sandbox_host_context context;
	struct sandbox *sandbox;
};

/* agent_dir: where its agents lie; NULL: its calls are one-off. */
static struct sandbox *open_agent_sandbox(struct fixture *fixture,
					  const struct sandbox_plugin_v1 *plugin,
					  const char *agent_dir)
{
	struct config_sandbox config = {
		.name = (char *)"box",
		.where = (char *)"test:1",
		.mode = (char *)plugin->name,
		.shell = true,
		.agent = true,
		.agent_idle_ms = 60000,
	};
	struct hookbox_error error = {0};

	*fixture = (struct fixture){.context.ledger = ledger_new()};
	fixture->context.log = &fixture->log;
	fixture->context.agent_dir = agent_dir;
	assert_non_null(fixture->context.ledger);
	if (sandbox_open(&config, plugin, &fixture->context, &fixture->sandbox, &error))
		fail_msg("%s", error.message);
	return fixture->sandbox;
}

static inline struct sandbox *open_sandbox(struct fixture *fixture,
					   const struct sandbox_plugin_v1 *plugin)
{
	return open_agent_sandbox(fixture, plugin, NULL);
}

static void close_sandbox(struct fixture *fixture)
{
	sandbox_close(fixture->sandbox);
	ledger_free(fixture->context.ledger);
}

#endif
