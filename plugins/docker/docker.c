/* SPDX-License-Identifier: MIT */
/* Planned arguments, and what they may be made of. */
#include "docker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- Arguments ---- */

struct backend_args docker_args_begin(const struct docker_cli *cli,
				      const struct sandbox_plan_sink *sink)
{
	struct backend_args args = {.sink = sink};

	backend_arg(&args, "%s", cli->path);
	if (cli->host)
		backend_arg(&args, "--host=%s", cli->host);
	if (cli->context)
		backend_arg(&args, "--context=%s", cli->context);
	return args;
}

int docker_args_remove(const struct docker_cli *cli, const char *container,
		       const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	struct backend_args args = docker_args_begin(cli, sink);

	backend_arg(&args, "rm");
	backend_arg(&args, "--force");
	backend_arg(&args, "--volumes");
	backend_arg(&args, "--");
	backend_arg(&args, "%s", container);
	return backend_args_end(&args, error);
}

/* ---- The request's environment, for a box without a shell ---- */

/* The CLI is a Go program that the dynamic loader starts; these are what both read. */
static const char *const taken_prefixes[] = {
	"LD_", "GLIBC_", "MALLOC_", "GCONV_", "RES_", "GO", "SSL_CERT_", "SSH_", "XDG_", "DOCKER_",
	"BUILDKIT_", "BUILDX_", "MOBY_", "OTEL_", "CONTAINER", "PODMAN", "NERDCTL", "STORAGE_",
	"REGISTRY_", "KUBE", "HOOKBOX_", "LISTEN_", "NOTIFY_", "RESOLV",
};
static const char *const taken_names[] = {
	"PATH", "HOME", "TMPDIR", "LOCPATH", "NLSPATH", "LOCALDOMAIN", "HOSTALIASES",
};

/* Does a variable of that name change what the CLI does? */
static bool name_is_taken(const char *name, size_t length)
{
	static const char proxy[] = "_proxy";
	const size_t proxy_length = sizeof(proxy) - 1;

	for (size_t i = 0; i < N_ELEMENTS(taken_prefixes); i++)
		if (!strncmp(name, taken_prefixes[i], strlen(taken_prefixes[i])))
			return true;
	for (size_t i = 0; i < N_ELEMENTS(taken_names); i++)
		if (strlen(taken_names[i]) == length && !strncmp(name, taken_names[i], length))
			return true;
	return length >= proxy_length &&
	       !strncasecmp(name + length - proxy_length, proxy, proxy_length);
}

/* The length of the UTF-8 sequence at `text`; 0 when it is none (too long, surrogate, cut ...). */
static size_t sequence_length(const unsigned char *text)
{
	size_t length = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 :
			text[0] < 0xf0 ? 3 : text[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
	    (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return length;
}

bool docker_text_is_utf8(const char *text)
{
	while (*text) {
		size_t length = sequence_length((const unsigned char *)text);

		if (!length)
			return false;
		text += length;
	}
	return true;
}

static int add_variable(struct backend_args *args, const char *entry,
			char error[SANDBOX_ERROR_SIZE])
{
	int length = (int)strcspn(entry, "=");

	if (name_is_taken(entry, (size_t)length))
		return backend_refuse(
			error,
			"the variable \"%.*s\" would change what the docker "
			"CLI does, which has to carry it where shell = none; leave it "
			"out, or use a box that has sh",
			length, entry);
	if (!docker_text_is_utf8(entry))
		return backend_refuse(error,
				      "the value of \"%.*s\" is not UTF-8, and docker would "
				      "damage it where shell = none; use a box that has sh",
				      length, entry);
	args->sink->env(args->sink, entry);
	backend_arg(args, "--env=%.*s", length, entry);
	return 0;
}

int docker_args_request(struct backend_args *args, const struct sandbox_plan_request *request,
			char error[SANDBOX_ERROR_SIZE])
{
	int code = 0;

	for (const char *const *arg = request->argv; *arg; arg++)
		if (!docker_text_is_utf8(*arg))
			return backend_refuse(
				error, "an argument of the command is not UTF-8, and "
				       "docker would damage it where shell = none; use a box "
				       "that has sh");
	for (const char *const *entry = request->env; *entry && !code; entry++)
		code = add_variable(args, *entry, error);
	if (!code && request->cwd && !docker_text_is_utf8(request->cwd))
		return backend_refuse(error, "the working directory is not UTF-8, and docker would "
					     "damage it where shell = none; use a box that has sh");
	if (!code && request->cwd)
		backend_arg(args, "--workdir=%s", request->cwd);
	return code;
}

/* ---- Settings ---- */

int docker_check_cli(const struct docker_cli *cli, char error[SANDBOX_ERROR_SIZE])
{
	if (cli->host && cli->context)
		return backend_refuse(error,
				      "docker_host and context both name an engine; keep one "
				      "of them");
	return 0;
}

int docker_check_extra_args(const struct sandbox_list *extra_args, const char *const *refused,
			    char error[SANDBOX_ERROR_SIZE])
{
	static const char *const environment[] = {"env", NULL};

	for (size_t i = 0; i < extra_args->n; i++) {
		const char *arg = extra_args->v[i];

		int code = backend_check_option(arg, error);

		if (code)
			return code;
		if (backend_option_is(arg, environment))
			return backend_refuse(error,
					      "extra_args: \"%s\" shows the value to every "
					      "user of the machine; set env = NAME=VALUE instead",
					      arg);
		if (backend_option_is(arg, refused))
			return backend_refuse(error,
					      "extra_args: \"%s\" would break how hookbox "
					      "runs a call; remove it",
					      arg);
	}
	return 0;
}
