/* SPDX-License-Identifier: MIT */
#include "system.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef AGENT_LINUX
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

void system_close_from(int first)
{
	long most;

#if defined(AGENT_LINUX) && defined(SYS_close_range)
	if (!syscall(SYS_close_range, (unsigned int)first, ~0u, 0))
		return;
#elif defined(__NetBSD__)
	if (!closefrom(first))
		return;
#endif
	most = sysconf(_SC_OPEN_MAX);
	if (most < 0 || most > 65536)
		most = 65536;
	for (int fd = first; fd < most; fd++)
		close(fd);
}

void system_default_signals(void)
{
	for (int signo = 1; signo < NSIG; signo++)
		signal(signo, SIG_DFL);
#ifdef AGENT_LINUX
	/* C libraries keep some signals to themselves, which are ignored here and there. */
	for (long signo = 32; signo < 35; signo++)
		syscall(SYS_rt_sigaction, signo, (const unsigned char[64]){0}, NULL,
			(size_t)(_NSIG / 8));
#endif
}

static void do_nothing(int signo)
{
}

void system_wake_by(int signo)
{
	const struct sigaction action = {.sa_handler = do_nothing};

	sigaction(signo, &action, NULL);
}

bool system_hide(void)
{
#ifdef AGENT_LINUX
	return !prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#else
	return false;
#endif
}

bool system_adopt_orphans(void)
{
#ifdef AGENT_LINUX
	return !prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
#else
	return false;
#endif
}

bool __attribute__((noinline)) system_vfork_shares(void)
{
	volatile bool shared = false;
	pid_t pid = vfork();

	if (pid == 0) {
		shared = true;
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
#ifdef AGENT_PORTABLE
	shared = false; /* so that tests see how it goes without */
#endif
	return shared;
}

void system_die_with_parent(void)
{
#ifdef AGENT_LINUX
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
#endif
}

uint32_t system_error_number(int error)
{
#ifdef __linux__
	return (uint32_t)error;
#else
	switch (error) {
	case EAGAIN:
		return 11;
	case ENAMETOOLONG:
		return 36;
	case ELOOP:
		return 40;
	default:
		return error < 35 ? (uint32_t)error : 5;
	}
#endif
}

#ifdef AGENT_LINUX
static ssize_t read_some(int fd, char *text, size_t size)
{
	ssize_t n;

	do
		n = read(fd, text, size);
	while (n < 0 && errno == EINTR);
	return n;
}

/* The kernel's list: numbers with a space behind each. */
static bool list_children(int fd, void (*visit)(void *data, pid_t pid), void *data)
{
	char text[1024];
	pid_t pid = 0;
	ssize_t n;

	while ((n = read_some(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + (text[i] - '0');
				continue;
			}
			if (pid)
				visit(data, pid);
			pid = 0;
		}
	return n == 0;
}

static pid_t parent_of(const char *pid)
{
	char path[64], text[512];
	const char *fields;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.16s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read_some(fd, text, sizeof(text) - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	fields = strrchr(text, ')'); /* the name in front of it may hold anything */
	return fields && strlen(fields) > 4 ? (pid_t)strtol(fields + 4, NULL, 10) : 0;
}

/* Where the kernel keeps no list: everybody who calls us parent. */
static bool search_children(void (*visit)(void *data, pid_t pid), void *data)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool is_proc = false; /* any other directory can be in its place */

	if (!proc)
		return false;
	while ((entry = readdir(proc))) {
		pid_t pid = (pid_t)atoi(entry->d_name);

		is_proc |= pid == getpid();
		if (pid > 0 && parent_of(entry->d_name) == getpid())
			visit(data, pid);
	}
	closedir(proc);
	return is_proc;
}

bool system_each_child(void (*visit)(void *data, pid_t pid), void *data)
{
	char path[64];
	bool all;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return search_children(visit, data);
	all = list_children(fd, visit, data);
	close(fd);
	return all;
}
#else
bool system_each_child(void (*visit)(void *data, pid_t pid), void *data)
{
	return false;
}
#endif
