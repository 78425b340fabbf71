/* SPDX-License-Identifier: MIT */
/*
 * A whole backend to start from: runs every command through nice(1). Build it with the Makefile
 * beside it, put niced.so into a plugin directory, and write
 *
 *	[sandbox polite]
 *	mode = niced
 *	level = 5
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <hookbox/sandbox_plugin.h>

/* The host allocates this and fills in the parameters. */
struct niced {
	uint64_t level;
	const char *nice_path;
};

static const struct sandbox_param niced_params[] = {
	{
		.key = "level",
		.type = SANDBOX_UINT,
		.dflt = "10",
		.help = "how nice the command is, 0 to 19",
		.offset = offsetof(struct niced, level),
	},
	{
		.key = "nice_path",
		.type = SANDBOX_PROGRAM,
		.dflt = "nice",
		.help = "the nice program",
		.offset = offsetof(struct niced, nice_path),
	},
};

/* What the types of the parameters cannot say. */
static int niced_open(void *instance, const struct sandbox_host *host,
		      char error[SANDBOX_ERROR_SIZE])
{
	const struct niced *niced = instance;

	(void)host;
	if (niced->level <= 19)
		return 0;
	snprintf(error, SANDBOX_ERROR_SIZE, "level = %" PRIu64 " is too large; write 0 to 19",
		 niced->level);
	return -EINVAL;
}

/* "Run this" becomes "then start that". */
static int niced_plan(const void *instance, const struct sandbox_plan_request *request,
		      const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	const struct niced *niced = instance;
	char level[32];

	(void)error;
	snprintf(level, sizeof(level), "%" PRIu64, niced->level);
	sink->arg(sink, niced->nice_path);
	sink->arg(sink, "-n");
	sink->arg(sink, level);
	for (const char *const *arg = request->argv; *arg; arg++)
		sink->arg(sink, *arg);
	for (const char *const *entry = request->env; *entry; entry++)
		sink->env(sink, *entry);
	if (request->cwd)
		sink->dir(sink, request->cwd);
	return 0;
}

/* nice(1) exits with 125 to 127 when it could not start the command, and says why. */
static void niced_classify(const void *instance, const struct sandbox_process_end *end,
			   struct sandbox_verdict *verdict)
{
	static const char prefix[] = "nice: ";
	size_t n = end->stderr_total < sizeof(verdict->message) ? (size_t)end->stderr_total : 0;

	(void)instance;
	if (end->signaled || (end->status != 126 && end->status != 127) || end->stdout_total ||
	    !n || n != end->stderr_tail_size || n < sizeof(prefix) ||
	    __builtin_memcmp(end->stderr_tail, prefix, sizeof(prefix) - 1))
		return;
	verdict->end = SANDBOX_END_NOT_STARTED;
	verdict->error_number = end->status == 127 ? ENOENT : EACCES;
	verdict->drop_stderr_tail = n;
	snprintf(verdict->message, sizeof(verdict->message), "%.*s", (int)(n - 1),
		 end->stderr_tail);
}

SANDBOX_PLUGIN_EXPORT const struct sandbox_plugin_v1 sandbox_plugin_v1 = {
	.magic = SANDBOX_PLUGIN_MAGIC,
	.struct_size = sizeof(struct sandbox_plugin_v1),
	.name = "niced",
	.version = "1.0",
	.summary = "Runs commands on the host through nice(1)",
	.flags = SANDBOX_HOST_PROCESS,
	.params = niced_params,
	.n_params = sizeof(niced_params) / sizeof(niced_params[0]),
	.param_size = sizeof(struct sandbox_param),
	.instance_size = sizeof(struct niced),
	.open = niced_open,
	.plan = niced_plan,
	.classify = niced_classify,
};
