/* SPDX-License-Identifier: MIT */
/*
 * What the backends here share: writing plans, checking settings, asking with commands of their
 * own. Each .so has its own copy; nothing of it is part of the plugin ABI.
 */
#ifndef PLUGINS_BACKEND_H
#define PLUGINS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hookbox/sandbox_plugin.h"

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Writing a plan ---- */

struct backend_args {
	const struct sandbox_plan_sink *sink;
	bool failed; /* memory ran out: the plan is not whole */
};

/* One argument. */
void backend_arg(struct backend_args *args, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* OPTION=ITEM for each item. */
void backend_arg_list(struct backend_args *args, const char *option,
		      const struct sandbox_list *list);
/* Each item as it is. */
void backend_arg_items(struct backend_args *args, const struct sandbox_list *list);
/* -ENOMEM with its sentence when the arguments are not whole. */
int backend_args_end(const struct backend_args *args, char error[SANDBOX_ERROR_SIZE]);

/* ---- Checking settings ---- */

/* Writes the sentence, and returns -EINVAL. */
int backend_refuse(char error[SANDBOX_ERROR_SIZE], const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Is this "--option" or "--option=value" of one of the names, which have no dashes? */
bool backend_option_is(const char *arg, const char *const *names);
/* Refuses what is no "--option[=value]" in one word. */
int backend_check_option(const char *arg, char error[SANDBOX_ERROR_SIZE]);

/* ---- Messages ---- */

/* Copies what can be printed of it; what has to be cut is not cut within a character. */
void backend_copy_text(char *copy, size_t size, const char *text, size_t length);

/* ---- Commands of the backend's own, for what may block ---- */

/* A command for the host's run(): its sink collects what a plan says. */
struct backend_command {
	struct sandbox_plan_sink sink;
	char **argv; /* NULL-terminated */
	size_t n;
	char **env; /* NULL, or NULL-terminated */
	size_t n_env;
	bool failed;
};

void backend_command_init(struct backend_command *command);
void backend_command_free(struct backend_command *command);
/* Runs it, as sandbox_host.run; `result` may be given to run_done() whatever comes of it. */
int backend_command_run(const struct sandbox_host *host, const struct backend_command *command,
			int64_t timeout_ms, struct sandbox_command_result *result,
			char error[SANDBOX_ERROR_SIZE]);
/* It ran and exited with 0. */
bool backend_result_is_good(const struct sandbox_command_result *result);
/* For a box's sh: is there what it takes to find what calls leave behind? */
#define BACKEND_CAN_SWEEP "command -v grep >/dev/null && [ -r /proc/self/environ ]"
/* The request that runs `argv` in the box as a call would be run. */
struct sandbox_plan_request backend_probe_request(const char *const *argv, const char *box_id);

/* The monotonic clock. */
int64_t backend_now_ms(void);

/* ---- What doctor is told ---- */

void backend_report(const struct sandbox_probe_sink *sink, uint32_t status, const char *remedy,
		    const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
