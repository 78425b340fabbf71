/* SPDX-License-Identifier: MIT */
/* kubectl_exec: every call in a container of a pod that runs already, and goes on running. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kubectl.h"

#define NAME_MAX_LENGTH 253
#define LABEL_MAX_LENGTH 63
/* Some labels; a URL must hold it, and messages. */
#define SELECTOR_MAX_LENGTH 1024

#define AT(member) .offset = offsetof(struct kubectl_exec, member)

static const struct sandbox_param params[] = {
	{.key = "pod", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,
	 .help = "The pod's name; or else a selector", AT(pod), .metavar = "NAME"},
	{.key = "selector", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,
	 .help = "Labels that a ready pod is found by", AT(selector), .metavar = "KEY=VALUE,..."},
	{.key = "namespace", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,
	 .help = "The pod's namespace; else the context's", AT(namespace), .metavar = "NAME"},
	{.key = "container", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,
	 .help = "The container in the pod; else its default one", AT(container),
	 .metavar = "NAME"},
	{.key = "kubeconfig", .type = SANDBOX_PATH,
	 .help = "The file that says where the cluster is; else kubectl's own choice",
	 AT(kubeconfig)},
	{.key = "context", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,
	 .help = "The kubeconfig's context to use", AT(context), .metavar = "NAME"},
	{.key = "request_timeout", .type = SANDBOX_DURATION, .dflt = "10s",
	 .help = "How long looking for the pod may take", AT(request_timeout)},
	{.key = "extra_args", .type = SANDBOX_LIST,
	 .help = "More of kubectl's global options, such as --as=USER", AT(extra_args),
	 .metavar = "--OPTION[=VALUE]"},
	{.key = "kubectl_path", .type = SANDBOX_PROGRAM, .flags = SANDBOX_PARAM_WORD,
	 .dflt = "kubectl", .help = "The kubectl to use", AT(kubectl_path)},
};

/* ---- Settings ---- */

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool kubectl_name_is_valid(const char *name, size_t max, bool dots)
{
	size_t length = strlen(name);

	if (!length || length > max)
		return false;
	for (size_t i = 0; i < length; i++) {
		bool edge = i == 0 || i == length - 1 || name[i - 1] == '.' || name[i + 1] == '.';

		if (!is_alphanumeric(name[i]) && (edge || name[i] != '-') &&
		    !(dots && name[i] == '.' && i && i < length - 1 &&
		      is_alphanumeric(name[i - 1]) && is_alphanumeric(name[i + 1])))
			return false;
	}
	return true;
}

static int check_name(const char *key, const char *name, size_t max, bool dots,
		      char error[SANDBOX_ERROR_SIZE])
{
	if (!name || kubectl_name_is_valid(name, max, dots))
		return 0;
	return backend_refuse(error,
			      "%s = \"%.80s\" is no name that Kubernetes has: write small letters, "
			      "digits and -%s, at most %zu",
			      key, name, dots ? " and ." : "", max);
}

static int check_pod(const struct kubectl_exec *exec, char error[SANDBOX_ERROR_SIZE])
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=!, ()";

	if (!exec->pod == !exec->selector)
		return backend_refuse(
			error, exec->pod ? "pod and selector both name a pod; keep one of them"
					 : "set pod = NAME, or selector = KEY=VALUE to find a "
					   "ready pod by its "
					   "labels");
	if (exec->selector && (!*exec->selector || exec->selector[strspn(exec->selector, allowed)]))
		return backend_refuse(error,
				      "selector = \"%.80s\" is no label selector; write KEY=VALUE, "
				      "several with commas between them",
				      exec->selector);
	if (exec->selector && strlen(exec->selector) > SELECTOR_MAX_LENGTH)
		return backend_refuse(error,
				      "selector = \"%.80s...\" is longer than %d bytes; name fewer "
				      "labels",
				      exec->selector, SELECTOR_MAX_LENGTH);
	return 0;
}

static int check_extra_args(const struct sandbox_list *extra_args, char error[SANDBOX_ERROR_SIZE])
{
	static const char *const secret[] = {"token", "password", NULL};
	static const char *const own[] = {"kubeconfig", "context", "namespace", NULL};
	/* These print between the command's bytes, or end its stream. */
	static const char *const harmful[] = {
		"help", "v", "vmodule", "request-timeout", "profile", "profile-output",
		"warnings-as-errors", NULL,
	};

	for (size_t i = 0; i < extra_args->n; i++) {
		const char *arg = extra_args->v[i];
		int code = backend_check_option(arg, error);

		if (code)
			return code;
		if (backend_option_is(arg, secret))
			return backend_refuse(
				error,
				"extra_args: \"--%.*s\" shows the secret to every user "
				"of the machine; put it into the kubeconfig",
				(int)strcspn(arg + 2, "="), arg + 2);
		if (backend_option_is(arg, own))
			return backend_refuse(error,
					      "extra_args: \"%s\" has a key of its own; set %.*s = "
					      "instead",
					      arg, (int)strcspn(arg + 2, "="), arg + 2);
		if (backend_option_is(arg, harmful))
			return backend_refuse(error,
					      "extra_args: \"%s\" would break how hookbox runs a "
					      "call; remove it",
					      arg);
	}
	return 0;
}

static int kubectl_open(void *instance, const struct sandbox_host *host,
			char error[SANDBOX_ERROR_SIZE])
{
	struct kubectl_exec *exec = instance;
	int code = check_pod(exec, error);

	exec->host = host;
	if (!code)
		code = check_name("pod", exec->pod, NAME_MAX_LENGTH, true, error);
	if (!code)
		code = check_name("namespace", exec->namespace, LABEL_MAX_LENGTH, false, error);
	if (!code)
		code = check_name("container", exec->container, LABEL_MAX_LENGTH, false, error);
	if (!code && exec->request_timeout <= 0)
		code = backend_refuse(error, "request_timeout must be more than 0");
	return code ? code : check_extra_args(&exec->extra_args, error);
}

/* ---- plan ---- */

struct backend_args kubectl_args_begin(const struct kubectl_exec *exec,
				       const struct sandbox_plan_sink *sink)
{
	struct backend_args args = {.sink = sink};

	backend_arg(&args, "%s", exec->kubectl_path);
	if (exec->kubeconfig)
		backend_arg(&args, "--kubeconfig=%s", exec->kubeconfig);
	if (exec->context)
		backend_arg(&args, "--context=%s", exec->context);
	if (exec->namespace)
		backend_arg(&args, "--namespace=%s", exec->namespace);
	backend_arg_items(&args, &exec->extra_args);
	return args;
}

void kubectl_arg_timeout(struct backend_args *args, const struct kubectl_exec *exec)
{
	backend_arg(args, "--request-timeout=%lldms", (long long)exec->request_timeout);
}

int kubectl_plan(const void *instance, const struct sandbox_plan_request *request,
		 const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	const struct kubectl_exec *exec = instance;
	const char *pod = exec->pod ? exec->pod : request->box_id;
	struct backend_args args;

	if (*request->env || request->cwd)
		return backend_refuse(error,
				      "kubectl_exec needs a shell in the pod for env and workdir; "
				      "remove shell = none, or these");
	if (!pod)
		return backend_refuse(error, "no pod has been found by the selector \"%s\"",
				      exec->selector);
	args = kubectl_args_begin(exec, sink);
	backend_arg(&args, "exec");
	backend_arg(&args, "--stdin");
	if (request->tty)
		backend_arg(&args, "--tty");
	if (exec->container)
		backend_arg(&args, "--container=%s", exec->container);
	backend_arg(&args, "%s", pod);
	backend_arg(&args, "--");
	for (const char *const *arg = request->argv; *arg; arg++)
		backend_arg(&args, "%s", *arg);
	return backend_args_end(&args, error);
}

static const void *kubectl_extension(const char *id)
{
	static const struct sandbox_box_v1 box = {
		.size = sizeof(box),
		.find = kubectl_find,
	};
	static const struct sandbox_probe_v1 probe = {
		.size = sizeof(probe),
		.probe = kubectl_probe,
	};

	if (!strcmp(id, SANDBOX_BOX_EXTENSION))
		return &box;
	return !strcmp(id, SANDBOX_PROBE_EXTENSION) ? &probe : NULL;
}

SANDBOX_PLUGIN_EXPORT const struct sandbox_plugin_v1 sandbox_plugin_v1 = {
	.magic = SANDBOX_PLUGIN_MAGIC,
	.struct_size = sizeof(struct sandbox_plugin_v1),
	.name = "kubectl_exec",
	.version = PACKAGE_VERSION,
	.summary = "Every call in a container of a Kubernetes pod that is running already",
	.flags = SANDBOX_KEPT | SANDBOX_SIGNALS_AS_128N | SANDBOX_SHELL,
	.params = params,
	.n_params = N_ELEMENTS(params),
	.param_size = sizeof(struct sandbox_param),
	.instance_size = sizeof(struct kubectl_exec),
	.open = kubectl_open,
	.plan = kubectl_plan,
	.classify = kubectl_classify,
	.get_extension = kubectl_extension,
	.find_own_line = kubectl_find_own_line,
};
