/* SPDX-License-Identifier: MIT */
/* How the agent gets into a box that has a POSIX sh: a constant script asks us for its file. */
#ifndef CORE_AGENT_FILE_H
#define CORE_AGENT_FILE_H

#include "buf.h"
#include "error.h"

/* Where agents lie: HOOKBOX_AGENT_DIR (ignored when setuid), or as built. NULL: none is there. */
const char *agent_file_dir(void);
/* The file for this machine's own kind in there; owned, NULL when memory ran out. */
char *agent_file_path(const char *dir);
/* The argv that asks, and becomes the agent. */
void agent_file_argv(struct strv *argv);

struct agent_file {
	struct buf bytes;	/* what the script reads: the size as a line, and the file */
};

/*
 * Looks into what the script has printed so far. 0: it has not asked yet; 1: it asked, and `file`
 * is the answer; else negative errno: no agent can run there, with the reason. `dir` is where
 * agents lie: "hookbox-agent" for this machine's kind, "hookbox-agent-SYSTEM-MACHINE" for others.
 */
int agent_file_asked(const char *printed, size_t n, const char *dir, struct agent_file *file,
		     struct hookbox_error *error);
void agent_file_free(struct agent_file *file);

#endif
