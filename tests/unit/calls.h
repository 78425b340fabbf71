/* SPDX-License-Identifier: MIT */
/* Calls through a sandbox of a backend that the test itself is. Include unit.h first. */
#ifndef TESTS_CALLS_H
#define TESTS_CALLS_H

#include "call.h"

#define BACKEND(backend_flags)                                                   \
	.magic = SANDBOX_PLUGIN_MAGIC, .struct_size = sizeof(struct sandbox_plugin_v1), \
	.version = "1", .summary = "a backend of this test", .flags = (backend_flags), \
	.param_size = sizeof(struct sandbox_param), .instance_size = 1

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

static struct sandbox *open_sandbox(struct fixture *fixture, const struct sandbox_plugin_v1 *plugin)
{
	struct config_sandbox config = {
		.name = (char *)"box",
		.where = (char *)"test:1",
		.mode = (char *)plugin->name,
		.shell = true,
	};
	struct hookbox_error error = {0};

	*fixture = (struct fixture){.context.ledger = ledger_new()};
	fixture->context.log = &fixture->log;
	assert_non_null(fixture->context.ledger);
	if (sandbox_open(&config, plugin, &fixture->context, &fixture->sandbox, &error))
		fail_msg("%s", error.message);
	return fixture->sandbox;
}

static void close_sandbox(struct fixture *fixture)
{
	sandbox_close(fixture->sandbox);
	ledger_free(fixture->context.ledger);
}

static struct hookbox_result *run(struct sandbox *sandbox, struct hookbox_call call,
				  const char *const *argv)
{
	struct hookbox_result *result = NULL;
	struct hookbox_error error = {0};

	call.size = sizeof(call);
	call.argv = argv;
	if (sandbox_call(sandbox, &call, &result, &error))
		fail_msg("%s", error.message);
	return result;
}

#define RUN(sandbox, call, ...) run(sandbox, call, (const char *const[]){__VA_ARGS__, NULL})
#define PLAIN ((struct hookbox_call){0})

#endif
