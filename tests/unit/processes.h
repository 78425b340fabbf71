/* SPDX-License-Identifier: MIT */
/* Finding processes of this machine by what is in their environment. Include unit.h first. */
#ifndef TESTS_PROCESSES_H
#define TESTS_PROCESSES_H

#include <dirent.h>

static inline bool process_has_env(const char *pid, const char *entry)
{
	char path[300], text[65536];
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%s/environ", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	n = fread(text, 1, sizeof(text), file);
	fclose(file);
	return n && memmem(text, n, entry, strlen(entry) + 1);
}

/* How many processes have NAME=value. */
static inline int count_with_env(const char *entry)
{
	DIR *proc = opendir("/proc");
	struct dirent *process;
	int n = 0;

	while ((process = readdir(proc)))
		n += process->d_name[0] >= '1' && process->d_name[0] <= '9' &&
		     process_has_env(process->d_name, entry);
	closedir(proc);
	return n;
}

static inline void wait_until_none_has_env(const char *entry)
{
	for (int i = 0; count_with_env(entry) && i < 3000; i++)
		usleep(10000);
	assert_int_equal(count_with_env(entry), 0);
}

#endif
