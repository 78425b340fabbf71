/* SPDX-License-Identifier: MIT */
/* What a call leaves behind on the host, found by the mark in its environment. */
#include "spawn.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"

/* How many pids in a row are looked at one by one before all of /proc is read instead. */
#define NEAR_PIDS 512
#define PASSES 200
/* An execve() is over by then; what still has no environment was started without one. */
#define UNSURE_PASSES 5
#define PF_KTHREAD 0x00200000

struct search {
	const char *mark;	/* "HOOKBOX_CALL=..." */
	size_t mark_size;	/* its length, with the NUL behind it unless it is a prefix */
	unsigned int found;
	unsigned int unsure;	/* in the middle of execve(): its environment cannot be read yet */
	pid_t stubborn;		/* one that we may not kill */
};

static void pause_us(long us)
{
	const struct timespec pause = {.tv_nsec = us * 1000};

	nanosleep(&pause, NULL);
}

/* Opens /proc/PID/NAME; -1 when it is gone or not ours to see. */
static int open_proc(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* The fields of /proc/PID/stat behind the command's name, which may hold anything. */
static bool read_stat(pid_t pid, char *state, unsigned int *flags, uint64_t *start)
{
	_cleanup_close_ int fd = open_proc(pid, "stat");
	char text[1024];
	char *fields;
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	fields = strrchr(text, ')');
	return fields && sscanf(fields + 1, " %c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d "
				"%*d %*d %*d %*d %" SCNu64, state, flags, start) == 3;
}

uint64_t process_start_time(pid_t pid)
{
	unsigned int flags;
	uint64_t start;
	char state;

	return read_stat(pid, &state, &flags, &start) && state != 'Z' && state != 'X' ? start : 0;
}

/* Is the mark in these bytes, behind a NUL: at the beginning of an entry? */
static bool find_mark(const struct search *search, const char *bytes, size_t n)
{
	const char *at = bytes;

	while ((at = memmem(at, n - (size_t)(at - bytes), search->mark, search->mark_size))) {
		if (at > bytes && at[-1] == '\0')
			return true;
		at++;
	}
	return false;
}

enum bearing { BEARS_NOT, BEARS_MARK, BEARS_UNKNOWN };

/* Reads the environment in pieces that overlap, so that no mark is cut in two. */
static enum bearing look_at_environment(const struct search *search, int fd)
{
	char bytes[8192];
	size_t kept = 1;	/* the byte before, for "at the beginning of an entry" */
	bool empty = true;

	bytes[0] = '\0';
	for (;;) {
		ssize_t n = read(fd, bytes + kept, sizeof(bytes) - kept);
		size_t have;

		if (n < 0)
			return BEARS_NOT;
		if (n == 0)
			return empty ? BEARS_UNKNOWN : BEARS_NOT;
		empty = false;
		have = kept + (size_t)n;
		if (find_mark(search, bytes, have))
			return BEARS_MARK;
		kept = have < search->mark_size + 1 ? have : search->mark_size + 1;
		memmove(bytes, bytes + have - kept, kept);
	}
}

static enum bearing look_at(const struct search *search, pid_t pid)
{
	_cleanup_close_ int fd = open_proc(pid, "environ");
	enum bearing bearing;
	unsigned int flags;
	uint64_t start;
	char state;

	if (fd < 0)
		return BEARS_NOT;
	bearing = look_at_environment(search, fd);
	/* An environment that is empty for good belongs to the kernel or to the dead. */
	if (bearing == BEARS_UNKNOWN &&
	    (!read_stat(pid, &state, &flags, &start) || (flags & PF_KTHREAD) || strchr("ZX", state)))
		return BEARS_NOT;
	return bearing;
}

/* Kills through a pidfd and looks again before: the pid may have become somebody else's. */
static void end_one(struct search *search, pid_t pid)
{
	_cleanup_close_ int pidfd = -1;
	enum bearing bearing;

	if (pid <= 1 || pid == getpid())
		return;
	bearing = look_at(search, pid);
	search->unsure += bearing == BEARS_UNKNOWN;
	if (bearing != BEARS_MARK)
		return;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0 || look_at(search, pid) != BEARS_MARK)
		return;
	search->found++;
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) && errno == EPERM)
		search->stubborn = pid;
}

/* The pid that was given out last, in this pid namespace; 0 when that cannot be read. */
static pid_t last_pid(void)
{
	_cleanup_close_ int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	char text[128];
	const char *field;
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	field = strrchr(text, ' ');
	return field ? (pid_t)atoi(field + 1) : 0;
}

static int end_all(struct search *search, struct hookbox_error *error)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc)
		return error_set(error, -errno, "/proc cannot be read to look for leftovers: %s; mount it",
				 strerror(errno));
	while ((entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]))
			end_one(search, (pid_t)atoi(entry->d_name));
	closedir(proc);
	return 0;
}

/* One look: at the processes made since, when these are few, else at all. */
static int pass(struct search *search, pid_t since, struct hookbox_error *error)
{
	pid_t last = since > 0 ? last_pid() : 0;

	search->found = search->unsure = 0;
	search->stubborn = 0;
	if (since <= 0 || last < since || last - since > NEAR_PIDS)
		return end_all(search, error);
	for (pid_t pid = since + 1; pid <= last; pid++)
		end_one(search, pid);
	return 0;
}

int leftover_kill(const char *mark, bool prefix, pid_t since_pid, struct hookbox_error *error)
{
	_cleanup_free_ char *text = NULL;
	struct search search = {0};

	if (asprintf(&text, SPAWN_MARK "=%s", mark) < 0)
		return error_no_memory(error);
	search.mark = text;
	search.mark_size = strlen(text) + !prefix;
	for (int i = 0; i < PASSES; i++) {
		int code = pass(&search, since_pid, error);

		if (code)
			return code;
		if (search.stubborn)
			return error_set(error, -EPERM, "process %d is left of the call and may not be "
					 "killed by this user", (int)search.stubborn);
		if (!search.found && (!search.unsure || i >= UNSURE_PASSES))
			return 0;
		pause_us(i < 10 ? 200 : 5000);
	}
	return error_set(error, -EAGAIN, "the call's processes multiply faster than they can be killed; "
			 "limit their number (pids_limit)");
}
