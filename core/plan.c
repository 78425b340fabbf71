/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void sink_arg(const struct sandbox_plan_sink *sink, const char *arg)
{
	struct plan *plan = sink->host_data;

	strv_add(&plan->argv, arg);
}

static void sink_env(const struct sandbox_plan_sink *sink, const char *assignment)
{
	struct plan *plan = sink->host_data;

	strv_set_env(&plan->env, assignment);
}

static void sink_dir(const struct sandbox_plan_sink *sink, const char *path)
{
	struct plan *plan = sink->host_data;

	free(plan->dir);
	plan->dir = strdup(path);
	plan->failed |= !plan->dir;
}

static void sink_before_stdin(const struct sandbox_plan_sink *sink, const void *bytes, size_t n)
{
	struct plan *plan = sink->host_data;

	buf_add(&plan->before_stdin, bytes, n);
}

static struct sandbox_plan_sink sink_for(struct plan *plan)
{
	for (char **entry = environ; entry && *entry; entry++)
		strv_add(&plan->env, *entry);
	return (struct sandbox_plan_sink){
		.size = sizeof(struct sandbox_plan_sink),
		.host_data = plan,
		.arg = sink_arg,
		.env = sink_env,
		.dir = sink_dir,
		.before_stdin = sink_before_stdin,
	};
}

static int plan_check(const struct sandbox_plugin_v1 *plugin, const struct plan *plan, int code,
		      const char *message, struct hookbox_error *error)
{
	if (code)
		return error_set(error, code < 0 ? code : -EINVAL, "%s: %s", plugin->name,
				 message[0] ? message : "the backend gave no reason");
	if (plan->failed || plan->argv.failed || plan->env.failed || plan->before_stdin.failed)
		return error_no_memory(error);
	if (!plan->argv.n)
		return error_set(error, -EINVAL, "%s: the backend planned an empty command",
				 plugin->name);
	return 0;
}

int plan_make(const struct sandbox_plugin_v1 *plugin, const void *instance,
	      const struct sandbox_plan_request *request, struct plan *plan,
	      struct hookbox_error *error)
{
	struct sandbox_plan_sink sink = sink_for(plan);
	char message[SANDBOX_ERROR_SIZE] = "";
	int code = plugin->plan(instance, request, &sink, message);

	return plan_check(plugin, plan, code, message, error);
}

int plan_make_end(const struct sandbox_plugin_v1 *plugin, const void *instance,
		  const struct sandbox_end_request *request, struct plan *plan,
		  struct hookbox_error *error)
{
	struct sandbox_plan_sink sink = sink_for(plan);
	char message[SANDBOX_ERROR_SIZE] = "";
	int code = plugin->plan_end(instance, request, &sink, message);

	return plan_check(plugin, plan, code, message, error);
}

int plan_start(const struct plan *plan, struct process *process, struct spawn_result *result)
{
	struct spawn_request request = {
		.argv = (const char *const *)plan->argv.v,
		.env = (const char *const *)plan->env.v,
		.cwd = plan->dir,
		.keep_stdin = true,
	};

	for (size_t i = 0; i < plan->env.n; i++)
		if (!strncmp(plan->env.v[i], "PATH=", 5))
			request.path = plan->env.v[i] + 5;
	return process_start(&request, process, result);
}

void plan_free(struct plan *plan)
{
	strv_free(&plan->argv);
	strv_free(&plan->env);
	free(plan->dir);
	buf_free(&plan->before_stdin);
	*plan = (struct plan){0};
}
