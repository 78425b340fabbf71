/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "soak.h"

struct process {
	pid_t pid, parent;
	char command[4096];	/* its arguments, with spaces between */
	bool in_box;
};

static size_t read_proc(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	size_t n = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	file = fopen(path, "re");
	if (file) {
		n = fread(text, 1, size - 1, file);
		fclose(file);
	}
	text[n] = '\0';
	return n;
}

/* False: it is none, or has ended. */
static bool look(const struct soak *soak, pid_t pid, struct process *process)
{
	char text[4096];
	const char *fields;
	size_t n;

	read_proc(pid, "stat", text, sizeof(text));
	fields = strrchr(text, ')');
	if (!fields || strlen(fields) < 5 || fields[2] == 'Z')
		return false;
	process->pid = pid;
	process->parent = (pid_t)atol(fields + 4);
	n = read_proc(pid, "cmdline", process->command, sizeof(process->command));
	for (size_t i = 0; i < n; i++)
		if (!process->command[i])
			process->command[i] = ' ';
	read_proc(pid, "cgroup", text, sizeof(text));
	process->in_box = strstr(text, soak->container);
	return true;
}

static bool is_agent(const struct process *process)
{
	return process->in_box && strstr(process->command, "/.hookbox-agent.") &&
	       strstr(process->command, "--remove");
}

/* How many above it are agents or keepers: 0 for an agent, 1 for a keeper, more for what a keeper
 * is just starting. */
static int depth(const struct soak *soak, const struct process *process)
{
	struct process parent;

	if (!look(soak, process->parent, &parent) || !is_agent(&parent))
		return 0;
	return 1 + depth(soak, &parent);
}

static bool is_kind(const struct soak *soak, const struct process *process, enum soak_kind kind)
{
	if (kind == SOAK_CLI)
		return process->parent == getpid();
	if (kind == SOAK_OTHER)
		return process->in_box && !is_agent(process) &&
		       !strstr(process->command, "sleep 86400");
	return is_agent(process) && depth(soak, process) == (kind == SOAK_KEEPER);
}

/* Counts them; with a seed it finds one, each being as likely as any other. */
static int search(const struct soak *soak, enum soak_kind kind, unsigned int *seed, pid_t *found)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int n = 0;

	while (proc && (entry = readdir(proc))) {
		struct process process;
		pid_t pid = (pid_t)atol(entry->d_name);

		if (pid <= 0 || !look(soak, pid, &process) || !is_kind(soak, &process, kind))
			continue;
		n++;
		if (seed && !soak_random(seed, (unsigned int)n))
			*found = pid;
	}
	if (proc)
		closedir(proc);
	return n;
}

pid_t soak_find(const struct soak *soak, enum soak_kind kind, unsigned int *seed)
{
	pid_t found = 0;

	search(soak, kind, seed, &found);
	return found;
}

int soak_count(const struct soak *soak, enum soak_kind kind)
{
	return search(soak, kind, NULL, NULL);
}

int soak_n_descriptors(void)
{
	DIR *fds = opendir("/proc/self/fd");
	int n = 0;

	while (fds && readdir(fds))
		n++;
	if (fds)
		closedir(fds);
	return n;
}

long soak_memory_kb(void)
{
	char text[4096];
	const char *line;

	read_proc(getpid(), "status", text, sizeof(text));
	line = strstr(text, "VmRSS:");
	return line ? atol(line + 6) : 0;
}
