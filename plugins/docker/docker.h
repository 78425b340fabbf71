/* SPDX-License-Identifier: MIT */
/*
 * What docker_run and docker_exec share. docker.c: planned arguments and checks of settings, pure.
 * docker_failure.c: telling the engine's failures from the command's. docker_host.c: what asks the
 * engine itself, for extensions that may block.
 */
#ifndef PLUGINS_DOCKER_H
#define PLUGINS_DOCKER_H

#include <stdbool.h>
#include <stddef.h>

#include "../common/backend.h"

/* How the engine's CLI is called: the member `cli` of both instances. */
struct docker_cli {
	const char *path;
	const char *host;
	const char *context;
	const struct sandbox_host *table;	/* the host's, for docker_host.c */
};

/* Their entries in the parameter tables. */
#define DOCKER_CLI_PARAMS(instance)                                                        \
	{.key = "docker_path", .type = SANDBOX_PROGRAM, .flags = SANDBOX_PARAM_WORD,         \
	 .dflt = "docker", .help = "The CLI to use: docker, podman, nerdctl",                \
	 .offset = offsetof(struct instance, cli.path)},                                     \
	{.key = "docker_host", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,          \
	 .help = "The engine to use instead of the CLI's own choice", .metavar = "URL",      \
	 .offset = offsetof(struct instance, cli.host)},                                     \
	{.key = "context", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,              \
	 .help = "The CLI's context to use", .metavar = "NAME",                              \
	 .offset = offsetof(struct instance, cli.context)}

/* ---- Arguments (docker.c) ---- */

/* The CLI and its global options. */
struct backend_args docker_args_begin(const struct docker_cli *cli,
				      const struct sandbox_plan_sink *sink);
/*
 * The request's environment and directory, for a box without a shell: options of the CLI that name
 * the variables, whose values go through the CLI's own environment. Refuses what would be damaged
 * on that way, or would mean something to the CLI; the argv is checked as well.
 */
int docker_args_request(struct backend_args *args, const struct sandbox_plan_request *request,
			char error[SANDBOX_ERROR_SIZE]);
/* The command that removes a container, its nameless volumes, and all that runs in it. */
int docker_args_remove(const struct docker_cli *cli, const char *container,
		       const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE]);

/* ---- Settings (docker.c) ---- */

bool docker_text_is_utf8(const char *text);
int docker_check_cli(const struct docker_cli *cli, char error[SANDBOX_ERROR_SIZE]);
/* `refused` are options that would break the backend's contract, without dashes. */
int docker_check_extra_args(const struct sandbox_list *extra_args, const char *const *refused,
			    char error[SANDBOX_ERROR_SIZE]);

/* ---- Failures (docker_failure.c) ---- */

/* Where commands are to run, for messages. */
struct docker_place {
	const char *kind;		/* "image", "container" */
	const char *name;
	bool own_125;			/* the CLI exits with 125 for its own failures only */
};

struct docker_failure {
	uint32_t end;			/* SANDBOX_END_NOT_STARTED or _LOST */
	int error_number;		/* as in a verdict */
	char what[640];			/* what went wrong ... */
	char advice[256];		/* ... and what to do */
	bool on_stdout;			/* where the CLI said so: the beginning of stdout, or */
	size_t stderr_tail;		/* that many last bytes of stderr */
};

/* Did the CLI or the engine fail? False: what ended is the command itself. */
bool docker_find_failure(const struct docker_place *place, const struct sandbox_process_end *end,
			 struct docker_failure *failure);
/* The whole of a backend's classify. */
void docker_classify(const struct docker_place *place, const struct sandbox_process_end *end,
		     struct sandbox_verdict *verdict);

/* ---- Asking the engine (docker_host.c), all [any, blocking] ---- */

/* Removes a container, as docker_args_remove() does it, and waits until it is gone. */
int docker_remove(const struct docker_cli *cli, const char *container, int64_t timeout_ms,
		  char error[SANDBOX_ERROR_SIZE]);

/* Lists the containers with a label hookbox.owner, in all states. */
int docker_list(const struct docker_cli *cli, int64_t timeout_ms,
		const struct sandbox_box_list_sink *sink, char error[SANDBOX_ERROR_SIZE]);

struct docker_probe {
	const struct docker_cli *cli;
	const struct docker_place *place;
	const struct sandbox_probe_sink *sink;
	int64_t deadline_ms;		/* on the monotonic clock */
};

struct docker_probe docker_probe_begin(const struct docker_cli *cli,
				       const struct docker_place *place, int64_t timeout_ms,
				       const struct sandbox_probe_sink *sink);
int64_t docker_probe_left_ms(const struct docker_probe *probe);
void docker_probe_report_failure(const struct docker_probe *probe,
				 const struct docker_failure *failure, bool tolerable);
/* Reports on the CLI and on whether the engine answers it; false: it is no use to look further. */
bool docker_probe_engine(const struct docker_probe *probe);
/* Runs a command; true when it exited with 0. Else `failure` tells why. */
bool docker_probe_run(const struct docker_probe *probe, const struct backend_command *command,
		      struct docker_failure *failure, int *status);

#endif
