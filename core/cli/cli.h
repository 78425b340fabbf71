/* SPDX-License-Identifier: MIT */
/* The program `hookbox`: what its commands share. */
#ifndef CLI_H
#define CLI_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "buf.h"
#include "cleanup.h"
#include "config.h"
#include "hookbox.h"

/* Exit codes; docs/hookbox.1 says what each command means by them. */
enum cli_status {
	CLI_OK = 0,
	CLI_NO = 1,		/* a deny, or a check that found something wrong */
	CLI_USAGE = 2,
	CLI_TIMEOUT = 124,
	CLI_FAILED = 125,	/* hookbox itself or a backend */
	CLI_NOT_EXECUTABLE = 126,
	CLI_NO_COMMAND = 127,
	CLI_SIGNAL = 128,	/* plus the signal's number */
};

struct cli {
	const struct cli_command *command;
	int argc;			/* of the command, behind its name in argv[0] */
	char **argv;
	const char *config_path;	/* --config, or NULL */
	struct strv plugin_dirs;	/* --plugin-dir */
	bool json;			/* --json */
	struct strv operands;		/* arguments that are no options */
	int status;			/* to be returned when cli_option() gives '?' */
	struct hookbox_error error;	/* the last sentence that cli_fail() said */
};

struct cli_command {
	const char *name;	/* "run", "plugins list" */
	const char *summary;	/* one line, no full stop */
	const char *usage;	/* what follows the name */
	const char *help;	/* its own options and what else there is to say */
	bool decides;		/* its stdout is a decision: a failure is a deny */
	bool ends_soon;		/* after one event or call */
	int (*run)(struct cli *cli);
};

extern const struct cli_command cmd_run;
extern const struct cli_command cmd_emit;
extern const struct cli_command cmd_exec;
extern const struct cli_command cmd_plugins_list;
extern const struct cli_command cmd_plugins_info;
extern const struct cli_command cmd_plugins_check;
extern const struct cli_command cmd_config_check;
extern const struct cli_command cmd_config_show;
extern const struct cli_command cmd_doctor;

/*
 * ---- Options (cli.c) ----
 */

/* Values of the options of every command, and the first one that is free for a command's own. */
enum { CLI_OPT_PLUGIN_DIR = 256, CLI_OPT_JSON, CLI_OPT_VERSION, CLI_OPT_OWN };

#define CLI_LETTERS "c:h"
#define CLI_OPTIONS                                                        \
	{"config", required_argument, NULL, 'c'},                          \
	{"plugin-dir", required_argument, NULL, CLI_OPT_PLUGIN_DIR},       \
	{"json", no_argument, NULL, CLI_OPT_JSON},                         \
	{"help", no_argument, NULL, 'h'},                                  \
	{"version", no_argument, NULL, CLI_OPT_VERSION}

/*
 * The next option that is the command's own; those of every command are taken care of, and so are
 * operands, which may stand anywhere (letters: ":" or "-:" in front) or end the options ("+:").
 * Returns -1 after the last one. Returns '?' when there is nothing more to do than return
 * cli->status: help was printed, or the usage is wrong, which has been said. (Without a command
 * --help is the caller's: 'h'.)
 */
int cli_option(struct cli *cli, const char *letters, const struct option *options);
/* For commands without options of their own. 0, or '?' as above. */
int cli_no_options(struct cli *cli);
/* Are there that many operands? If not says so: `what` names what is expected. */
bool cli_operands(struct cli *cli, size_t least, size_t most, const char *what);

/*
 * ---- Saying things ----
 */

/* Says "hookbox: sentence" on stderr, keeps it in cli->error, returns `status`. A CLI_USAGE one
 * gets "see hookbox COMMAND --help". */
int cli_fail(struct cli *cli, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Says "hookbox: warning: sentence" on stderr. */
void cli_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Is stdout for a person: columns? And in colour? */
bool cli_columns(void);
const char *cli_colour(const char *code);	/* the escape sequence, or "" */

/* Prints the buffer and a newline on stdout. CLI_OK, or CLI_FAILED when memory had run out. */
int cli_print(struct cli *cli, const struct buf *text);
/* Everything on stdout has arrived? If not says so: CLI_FAILED. Else the status as it was. */
int cli_close_stdout(struct cli *cli, int status);

/*
 * ---- What commands work with ----
 */

/* The host that --config and --plugin-dir ask for; `plugin_dir` (or NULL) comes before those. NULL
 * with *error filled. */
struct hookbox *cli_open(struct cli *cli, const char *plugin_dir, struct hookbox_error *error);
/* The same; a failure is said, too. */
struct hookbox *cli_open_or_fail(struct cli *cli);

/* The plugin directories in search order. That there is no config file is fine, if none is
 * named. */
int cli_plugin_dirs(struct cli *cli, struct strv *dirs, struct hookbox_error *error);

/* Adds a sentence for each thing in a configuration that may be a slip. (config_warnings.c) */
void cli_config_warnings(struct cli *cli, const struct config *config, struct strv *warnings);

/* From now on SIGINT, SIGTERM and SIGHUP fire the returned object (NULL: no memory). */
struct hookbox_cancel *cli_catch_signals(void);
/* The signal that did, or 0. */
int cli_caught_signal(void);

/*
 * ---- JSON (cli_json.c) ----
 * A text that grows in a buf. Keys are NULL in an array. A comma goes where one belongs.
 */
void json_put_open(struct buf *json, const char *key, char bracket);
void json_put_close(struct buf *json, char bracket);
void json_put_int(struct buf *json, const char *key, long long value);
void json_put_bool(struct buf *json, const char *key, bool value);
/* null for NULL; what is no UTF-8 is replaced. */
void json_put_text(struct buf *json, const char *key, const char *text);
/* Nothing for NULL. */
void json_put_text_if(struct buf *json, const char *key, const char *text);
/* A member KEY, and one KEY_encoding that says "utf-8" or "base64". */
void json_put_bytes(struct buf *json, const char *key, const char *bytes, size_t n);
/* A JSON text as it is, on one line. */
void json_put_raw(struct buf *json, const char *key, const char *text, size_t n);
/* An array of the strings. */
void json_put_texts(struct buf *json, const char *key, const char *const *texts);
/* {"error": sentence} */
void json_put_error(struct buf *json, const char *sentence);

/* The members that tell how a call ended; with its output if `output`. */
void json_put_result(struct buf *json, const struct hookbox_result *result, bool output);
/* The members of {"allow", "enforced", "reason", "metadata"}. */
void json_put_verdict(struct buf *json, enum hookbox_verdict verdict, const char *reason,
		      const char *metadata);

/*
 * ---- Cleanup ----
 */
static inline void cli_close_box(struct hookbox **box)
{
	hookbox_close(*box);
}

static inline void cli_free_result(struct hookbox_result **result)
{
	hookbox_result_free(*result);
}

static inline void cli_free_decision(struct hookbox_decision **decision)
{
	hookbox_decision_free(*decision);
}

#define _cleanup_box_ _cleanup_(cli_close_box)
#define _cleanup_result_ _cleanup_(cli_free_result)
#define _cleanup_decision_ _cleanup_(cli_free_decision)

#endif
