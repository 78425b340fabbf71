/* SPDX-License-Identifier: MIT */
#include "backend.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- Writing a plan ---- */

void backend_arg(struct backend_args *args, const char *format, ...)
{
	va_list values;
	char *arg;
	int length;

	va_start(values, format);
	length = vasprintf(&arg, format, values);
	va_end(values);
	if (length < 0) {
		args->failed = true;
		return;
	}
	args->sink->arg(args->sink, arg);
	free(arg);
}

void backend_arg_list(struct backend_args *args, const char *option,
		      const struct sandbox_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		backend_arg(args, "%s=%s", option, list->v[i]);
}

void backend_arg_items(struct backend_args *args, const struct sandbox_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		args->sink->arg(args->sink, list->v[i]);
}

int backend_args_end(const struct backend_args *args, char error[SANDBOX_ERROR_SIZE])
{
	if (!args->failed)
		return 0;
	snprintf(error, SANDBOX_ERROR_SIZE, "out of memory");
	return -ENOMEM;
}

/* ---- Checking settings ---- */

int backend_refuse(char error[SANDBOX_ERROR_SIZE], const char *format, ...)
{
	va_list values;

	va_start(values, format);
	vsnprintf(error, SANDBOX_ERROR_SIZE, format, values);
	va_end(values);
	return -EINVAL;
}

bool backend_option_is(const char *arg, const char *const *names)
{
	size_t length = strcspn(arg + 2, "=");

	for (; *names; names++)
		if (strlen(*names) == length && !strncmp(arg + 2, *names, length))
			return true;
	return false;
}

int backend_check_option(const char *arg, char error[SANDBOX_ERROR_SIZE])
{
	/* A lone word would be taken for something else, and "-it" hides two options in one. */
	if (!strncmp(arg, "--", 2) && arg[2] && arg[2] != '=')
		return 0;
	return backend_refuse(error,
			      "extra_args: \"%s\" is no long option; write each as one item "
			      "--option or --option=value",
			      arg);
}

/* ---- Messages ---- */

void backend_copy_text(char *copy, size_t size, const char *text, size_t length)
{
	size_t n = 0;

	for (size_t i = 0; i < length && n + 1 < size; i++)
		if ((unsigned char)text[i] >= ' ')
			copy[n++] = text[i];
	if (n + 1 == size)
		while (n && (unsigned char)copy[n - 1] >= 0x80)
			n--;
	copy[n] = '\0';
}

/* ---- Commands of the backend's own ---- */

static bool words_add(char ***words, size_t *n, const char *word)
{
	char **more = reallocarray(*words, *n + 2, sizeof(*more));

	if (!more)
		return false;
	*words = more;
	more[*n] = strdup(word);
	if (!more[*n])
		return false;
	more[++*n] = NULL;
	return true;
}

static void words_free(char **words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(words[i]);
	free(words);
}

static void command_arg(const struct sandbox_plan_sink *sink, const char *arg)
{
	struct backend_command *command = sink->host_data;

	if (!words_add(&command->argv, &command->n, arg))
		command->failed = true;
}

static void command_env(const struct sandbox_plan_sink *sink, const char *assignment)
{
	struct backend_command *command = sink->host_data;

	if (!words_add(&command->env, &command->n_env, assignment))
		command->failed = true;
}

void backend_command_init(struct backend_command *command)
{
	*command = (struct backend_command){
		.sink =
			{
				.size = sizeof(command->sink),
				.host_data = command,
				.arg = command_arg,
				.env = command_env,
			},
	};
}

void backend_command_free(struct backend_command *command)
{
	words_free(command->argv, command->n);
	words_free(command->env, command->n_env);
}

int backend_command_run(const struct sandbox_host *host, const struct backend_command *command,
			int64_t timeout_ms, struct sandbox_command_result *result,
			char error[SANDBOX_ERROR_SIZE])
{
	const struct sandbox_command request = {
		.size = sizeof(request),
		.argv = (const char *const *)command->argv,
		.env = (const char *const *)command->env,
		.timeout_ms = timeout_ms > 0 ? timeout_ms : 1,
		.output_limit = 1024 * 1024,
	};

	*result = (struct sandbox_command_result){.size = sizeof(*result)};
	if (!command->failed)
		return host->run(host, &request, result, error);
	snprintf(error, SANDBOX_ERROR_SIZE, "out of memory");
	return -ENOMEM;
}

bool backend_result_is_good(const struct sandbox_command_result *result)
{
	return !result->timed_out && !result->signaled && !result->status;
}

struct sandbox_plan_request backend_probe_request(const char *const *argv, const char *box_id)
{
	static const char *const none[] = {NULL};

	return (struct sandbox_plan_request){
		.size = sizeof(struct sandbox_plan_request),
		.purpose = SANDBOX_PURPOSE_CALL,
		.call_id = "probe",
		.box_id = box_id,
		.argv = argv,
		.env = none,
		.labels = none,
	};
}

int64_t backend_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- What doctor is told ---- */

void backend_report(const struct sandbox_probe_sink *sink, uint32_t status, const char *remedy,
		    const char *format, ...)
{
	char what[SANDBOX_ERROR_SIZE];
	va_list values;

	va_start(values, format);
	vsnprintf(what, sizeof(what), format, values);
	va_end(values);
	sink->finding(sink, status, what, remedy);
}
