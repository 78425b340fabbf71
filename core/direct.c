/* SPDX-License-Identifier: MIT */
/* The built-in backend: the command is a plain process of the host, isolated by nothing. */
#include <string.h>

#include "sandbox.h"

static int direct_plan(const void *instance, const struct sandbox_plan_request *request,
		       const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	for (const char *const *arg = request->argv; *arg; arg++)
		sink->arg(sink, *arg);
	for (const char *const *entry = request->env; *entry; entry++)
		sink->env(sink, *entry);
	if (request->cwd)
		sink->dir(sink, request->cwd);
	return 0;
}

static void direct_probe(void *instance, int64_t timeout_ms, const struct sandbox_probe_sink *sink)
{
	sink->finding(sink, SANDBOX_PROBE_WARNING, "commands run on the host, isolated by nothing",
		      "use another mode for code that you do not trust");
}

static const void *direct_extension(const char *id)
{
	static const struct sandbox_probe_v1 probe = {
		.size = sizeof(probe),
		.probe = direct_probe,
	};

	return strcmp(id, SANDBOX_PROBE_EXTENSION) ? NULL : &probe;
}

const struct sandbox_plugin_v1 direct_plugin = {
	.magic = SANDBOX_PLUGIN_MAGIC,
	.struct_size = sizeof(direct_plugin),
	.name = "direct",
	.version = PACKAGE_VERSION,
	.summary = "Runs commands on the host itself, without isolation",
	.flags = SANDBOX_HOST_PROCESS,
	.param_size = sizeof(struct sandbox_param),
	.instance_size = 1,
	.plan = direct_plan,
	.get_extension = direct_extension,
};
