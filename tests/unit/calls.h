/* SPDX-License-Identifier: MIT */
/* Calls, and backends that a test itself is. Include unit.h first. */
#ifndef TESTS_CALLS_H
#define TESTS_CALLS_H

#include "call.h"

#define BACKEND(backend_flags)                                                   \
	.magic = SANDBOX_PLUGIN_MAGIC, .struct_size = sizeof(struct sandbox_plugin_v1), \
	.version = "1", .summary = "a backend of this test", .flags = (backend_flags), \
	.param_size = sizeof(struct sandbox_param), .instance_size = 1

static inline struct hookbox_result *run(struct sandbox *sandbox, struct hookbox_call call,
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
