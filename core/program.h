/* SPDX-License-Identifier: MIT */
/* Finding the file of a command before it is started: the same in the host and in the agent. */
#ifndef HOOKBOX_PROGRAM_H
#define HOOKBOX_PROGRAM_H

#include <stddef.h>

/* The variable by which a process is known to be a call's, wherever it runs. */
#define PROGRAM_MARK "HOOKBOX_CALL"

/* What PATH is for a process that has none. */
#define PROGRAM_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* 0: a file that this process may execute; else ENOENT, ENOTDIR, EACCES, EISDIR ... */
int program_check(int dirfd, const char *path);

/* As execvp() searches `path`, a list with colons, but relative entries count from dirfd, where
 * the process will be. 0: `found` (PROGRAM_ROOM(name, path) bytes at least) holds what to
 * execute; else ENOENT, or EACCES when there is one that may not be executed. */
#define PROGRAM_ROOM(name, path) (strlen(name) + strlen(path) + 3)
int program_search(int dirfd, const char *name, const char *path, char *found);

#endif
