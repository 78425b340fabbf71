/* SPDX-License-Identifier: MIT */
/* docker_exec: every call in a container that runs already, and goes on running. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "docker.h"

struct docker_exec {
	struct docker_cli cli;
	const char *container;
	const char *user;
	bool privileged;
	struct sandbox_list extra_args;
};

#define AT(member) .offset = offsetof(struct docker_exec, member)

static const struct sandbox_param params[] = {
	{.key = "container", .type = SANDBOX_STRING,
	 .flags = SANDBOX_PARAM_REQUIRED | SANDBOX_PARAM_WORD,
	 .help = "The running container's name or id", AT(container), .metavar = "CONTAINER"},
	{.key = "user", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,
	 .help = "Whom commands run as; else the container's own user", AT(user),
	 .metavar = "USER[:GROUP]"},
	{.key = "privileged", .type = SANDBOX_BOOL, .dflt = "no",
	 .help = "Whether commands get all of the engine's privileges", AT(privileged)},
	{.key = "extra_args", .type = SANDBOX_LIST,
	 .help = "More options for the exec command", AT(extra_args),
	 .metavar = "--OPTION[=VALUE]"},
	DOCKER_CLI_PARAMS(docker_exec),
};

static const char *const refused_options[] = {
	"detach", "help", "interactive", "tty", NULL,
};

static int docker_exec_open(void *instance, const struct sandbox_host *host,
			    char error[SANDBOX_ERROR_SIZE])
{
	struct docker_exec *exec = instance;
	int code = docker_check_cli(&exec->cli, error);

	exec->cli.table = host;
	return code ? code : docker_check_extra_args(&exec->extra_args, refused_options, error);
}

static int docker_exec_plan(const void *instance, const struct sandbox_plan_request *request,
			    const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	const struct docker_exec *exec = instance;
	struct backend_args args = docker_args_begin(&exec->cli, sink);
	int code;

	backend_arg(&args, "exec");
	backend_arg(&args, "--interactive");
	if (request->tty)
		backend_arg(&args, "--tty");
	if (exec->user)
		backend_arg(&args, "--user=%s", exec->user);
	if (exec->privileged)
		backend_arg(&args, "--privileged");
	code = docker_args_request(&args, request, error);
	if (code)
		return code;
	for (size_t i = 0; i < exec->extra_args.n; i++)
		backend_arg(&args, "%s", exec->extra_args.v[i]);
	backend_arg(&args, "--");
	backend_arg(&args, "%s", exec->container);
	for (const char *const *arg = request->argv; *arg; arg++)
		backend_arg(&args, "%s", *arg);
	return backend_args_end(&args, error);
}

static struct docker_place place_of(const struct docker_exec *exec)
{
	return (struct docker_place){.kind = "container", .name = exec->container};
}

static void docker_exec_classify(const void *instance, const struct sandbox_process_end *end,
				 struct sandbox_verdict *verdict)
{
	const struct docker_place place = place_of(instance);

	docker_classify(&place, end, verdict);
}

/* ---- sandbox.probe/1 ---- */

#define EXIT_NO_SWEEP 3

/* Runs a shell as a call would be run, which looks for what a call's leftovers are found with. */
static void probe_call(const struct docker_probe *probe, const struct docker_exec *exec)
{
	static const char *const argv[] = {"sh", "-c", BACKEND_CAN_SWEEP " || exit 3", NULL};
	const struct sandbox_plan_request request = backend_probe_request(argv, NULL);
	char error[SANDBOX_ERROR_SIZE] = "";
	struct docker_failure failure;
	struct backend_command command;
	int status;

	backend_command_init(&command);
	command.failed = docker_exec_plan(exec, &request, &command.sink, error) != 0;
	if (docker_probe_run(probe, &command, &failure, &status))
		backend_report(probe->sink, SANDBOX_PROBE_OK, NULL,
			       "commands start in the container %s, and it has sh",
			       exec->container);
	else if (status == EXIT_NO_SWEEP)
		backend_report(probe->sink, SANDBOX_PROBE_WARNING,
			       "install grep there and mount /proc, or what calls leave is "
			       "not found",
			       "the container %s has no grep or no readable /proc",
			       exec->container);
	else
		/* Without sh, calls still run where the sandbox says shell = none. */
		docker_probe_report_failure(probe, &failure, failure.error_number == ENOENT);
	backend_command_free(&command);
}

static void docker_exec_probe(void *instance, int64_t timeout_ms,
			      const struct sandbox_probe_sink *sink)
{
	const struct docker_exec *exec = instance;
	const struct docker_place place = place_of(exec);
	const struct docker_probe probe = docker_probe_begin(&exec->cli, &place, timeout_ms, sink);

	if (docker_probe_engine(&probe))
		probe_call(&probe, exec);
}

static const void *docker_exec_extension(const char *id)
{
	static const struct sandbox_probe_v1 probe = {
		.size = sizeof(probe),
		.probe = docker_exec_probe,
	};

	return !strcmp(id, SANDBOX_PROBE_EXTENSION) ? &probe : NULL;
}

SANDBOX_PLUGIN_EXPORT const struct sandbox_plugin_v1 sandbox_plugin_v1 = {
	.magic = SANDBOX_PLUGIN_MAGIC,
	.struct_size = sizeof(struct sandbox_plugin_v1),
	.name = "docker_exec",
	.version = PACKAGE_VERSION,
	.summary = "Every call in a Docker container that is running already",
	.flags = SANDBOX_KEPT | SANDBOX_SIGNALS_AS_128N | SANDBOX_SHELL,
	.params = params,
	.n_params = N_ELEMENTS(params),
	.param_size = sizeof(struct sandbox_param),
	.instance_size = sizeof(struct docker_exec),
	.open = docker_exec_open,
	.plan = docker_exec_plan,
	.classify = docker_exec_classify,
	.get_extension = docker_exec_extension,
};
