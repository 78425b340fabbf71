/* SPDX-License-Identifier: MIT */
/*
 * The prologue: how a one-off call gets into a box without an argument list or an environment that
 * a CLI could damage or show. A constant script is started in the box's sh; it reads one header
 * line and then quoted shell lines from stdin, up to a line ".", and runs the command with the rest
 * of stdin untouched.
 *
 * This is the only place where a shell parses anything of a caller's, and all of it goes through
 * quote_add().
 */
#ifndef CORE_PROLOGUE_H
#define CORE_PROLOGUE_H

#include "buf.h"

/*
 * Adds `text` quoted so that a POSIX sh reads it back as one word, byte for byte. A newline becomes
 * `newline`: "\n" itself, or an expression that makes one, for a reader of single lines.
 */
void quote_add(struct buf *buf, const char *text, const char *newline);

/* What the script's own variables begin with: one of the command's would change what it does. */
#define PROLOGUE_PREFIX "_hb_"

/* The argv that starts the script: {"sh", "-c", SCRIPT, "hookbox", NULL}. */
const char *const *prologue_argv(void);

/*
 * The bytes that go in before the command's stdin. `nonce` is the marks' secret, `call_id` what the
 * command's environment bears as HOOKBOX_CALL; with `sweep` the script ends what bears it, and
 * whatever else holds the command's output, when the command has ended.
 */
void prologue_build(struct buf *buf, const char *nonce, const char *call_id, bool sweep,
		    const char *const *argv, const char *const *env, const char *cwd);

/*
 * Fills argv for a script that ends whatever bears a mark beginning with `mark` in the box. It
 * prints SWEEP_WORD and how it went: an exit code might be the CLI's.
 */
#define SWEEP_WORD "hookbox swept "
enum { SWEEP_CLEAN = 0, SWEEP_LEFT = 1, SWEEP_CANNOT_SEE = 2 };
void sweep_argv(struct strv *argv, const char *mark);

#endif
