/* SPDX-License-Identifier: MIT */
/*
 * Where there are no subreapers: what left a command's process group still has the call's mark in
 * its environment, unless it meant to hide. Systems that have a /proc mostly show it there.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../program.h"
#include "keeper.h"
#include "system.h"

#define MARK PROGRAM_MARK "="

const char *marked_entry(const struct keeper_task *task)
{
	const char *at = task->block, *mark = NULL;
	uint32_t before = 1 + task->message.argc; /* the directory is the first string */

	for (uint32_t i = 0; i < before + task->message.envc; i++, at += strlen(at) + 1)
		if (i >= before && !strncmp(at, MARK, strlen(MARK)))
			mark = at;
	return mark;
}

static int open_environment(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/environ", (long)pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Is one of the entries there that one? */
static bool holds(int fd, const char *entry)
{
	const size_t length = strlen(entry), other = length + 1;
	char text[4096];
	size_t same = 0; /* bytes of the entry that is being read, or `other` */
	ssize_t n;

	while ((n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (!text[i] && same == length)
				return true;
			if (!text[i])
				same = 0;
			else
				same = same < length && text[i] == entry[same] ? same + 1 : other;
		}
	return same == length;
}

/* Kills whom it finds; how many, or -1 when nothing can be seen. */
static int look(const char *entry)
{
	DIR *proc = opendir("/proc");
	struct dirent *process;
	bool sees_itself = false;
	int found = 0;

	if (!proc)
		return -1;
	while ((process = readdir(proc))) {
		pid_t pid = (pid_t)atoi(process->d_name);
		int fd = pid > 1 ? open_environment(pid) : -1;

		if (fd < 0)
			continue;
		if (pid == getpid())
			sees_itself = true;
		else if (holds(fd, entry) && !kill(pid, SIGKILL))
			found++;
		close(fd);
	}
	closedir(proc);
	return sees_itself ? found : -1;
}

bool marked_kill(const char *entry, int64_t patience_ms, const char **why)
{
	int64_t until = reap_clock_us() + patience_ms * 1000;
	int found;

	while ((found = look(entry)) > 0) {
		if (reap_clock_us() >= until) {
			*why = "what left its process group does not end although it is killed";
			return false;
		}
		reap_pause_us(1000);
	}
	if (found < 0)
		*why = "what may have left its process group is not seen: /proc shows no "
		       "environments";
	return !found;
}
