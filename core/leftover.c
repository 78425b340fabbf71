/* SPDX-License-Identifier: MIT */
/* What a call leaves behind on the host, found by the mark in its environment. */
#include "spawn.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
#define PASSES 400
/* For how many passes a process may be in doubt: by then even a slow execve() is over. */
#define DOUBT_PASSES 100
#define PF_EXITING 0x00000004
#define PF_KTHREAD 0x00200000

struct search {
	const char *mark;	/* "HOOKBOX_CALL=..." */
	size_t mark_size;	/* its length, with the NUL behind it unless it is a prefix */
	struct spawn_since since;
	bool near;		/* only what was started since is looked at */
	bool killed;		/* something was, in this pass or before */
	pid_t found;		/* one that bears the mark, and was killed */
	pid_t in_doubt;		/* one whose environment cannot be read, or not yet */
	pid_t dying;		/* one whose environment is gone, and which runs nothing any more */
	pid_t stubborn;		/* one that we may not kill */
	int blind;		/* errno: there was no descriptor to look at one with */
};

static void pause_us(long us)
{
	const struct timespec pause = {.tv_nsec = us * 1000};

	nanosleep(&pause, NULL);
}

/* Did a look fail for want of something of ours, which says nothing about the process? */
static bool is_shortage(int code)
{
	return code == EMFILE || code == ENFILE || code == ENOMEM;
}

/* Reads the beginning of a file in /proc as a string. */
static bool read_file(const char *path, char *text, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	if (n == 0)
		errno = ESRCH;
	if (n <= 0)
		return false;
	text[n] = '\0';
	return true;
}

/* ---- /proc/PID/stat ---- */

struct process_stat {
	char state;
	pid_t group;
	unsigned int flags;
	unsigned int threads;
	uint64_t start;
	uint64_t code;		/* 0 until an execve() has set up what follows */
	uint64_t env_start;
	uint64_t env_end;
};

/* A field by its number in proc(5), from 3 on; `at` is behind the command's name. */
static const char *stat_field(const char *at, int number)
{
	for (int i = 2; i < number; i++) {
		at = strchr(at, ' ');
		if (!at)
			return "";
		at++;
	}
	return at;
}

static bool read_stat_file(const char *path, struct process_stat *stat)
{
	char text[2048];
	const char *fields;

	if (!read_file(path, text, sizeof(text)))
		return false;
	fields = strrchr(text, ')');	/* the name in front of it may hold anything */
	if (!fields)
		return false;
	stat->state = *stat_field(fields, 3);
	stat->group = (pid_t)strtol(stat_field(fields, 5), NULL, 10);
	stat->flags = (unsigned int)strtoul(stat_field(fields, 9), NULL, 10);
	stat->threads = (unsigned int)strtoul(stat_field(fields, 20), NULL, 10);
	stat->start = strtoull(stat_field(fields, 22), NULL, 10);
	stat->code = strtoull(stat_field(fields, 26), NULL, 10);
	stat->env_start = strtoull(stat_field(fields, 50), NULL, 10);
	stat->env_end = strtoull(stat_field(fields, 51), NULL, 10);
	return true;
}

static bool read_stat(pid_t pid, struct process_stat *stat)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	return read_stat_file(path, stat);
}

/* A process whose first thread has ended looks like a zombie while others run on. */
static bool is_dead(const struct process_stat *stat)
{
	return (stat->state == 'Z' && stat->threads <= 1) || stat->state == 'X';
}

/* Is it past its last instruction? Its memory may take the kernel a while to give back. */
static bool is_dying(pid_t pid, int *shortage)
{
	struct process_stat stat;
	struct dirent *entry;
	bool exiting = true;
	char path[320];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	if (!tasks && is_shortage(errno))
		*shortage = errno;
	if (!tasks)
		return false;
	while (exiting && (entry = readdir(tasks))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", (int)pid, entry->d_name);
		if (read_stat_file(path, &stat)) {
			exiting = stat.flags & PF_EXITING;
		} else if (is_shortage(errno)) {
			*shortage = errno;
			exiting = false;
		}
	}
	closedir(tasks);
	return exiting;
}

uint64_t process_start_time(pid_t pid)
{
	struct process_stat stat;

	if (!read_stat(pid, &stat))
		return is_shortage(errno) ? PROCESS_START_UNKNOWN : 0;
	return is_dead(&stat) ? 0 : stat.start;
}

bool process_group_runs(pid_t group)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool runs = !proc;	/* not known to be gone */

	while (proc && !runs && (entry = readdir(proc))) {
		struct process_stat stat;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		if (read_stat((pid_t)atoi(entry->d_name), &stat))
			runs = stat.group == group && !is_dead(&stat);
		else
			runs = is_shortage(errno);
	}
	if (proc)
		closedir(proc);
	return runs;
}

/* ---- Who bears the mark ---- */

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

enum bearing { BEARS_NOT, BEARS_MARK, BEARS_MAYBE };

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
			return empty ? BEARS_MAYBE : BEARS_NOT;
		empty = false;
		have = kept + (size_t)n;
		if (find_mark(search, bytes, have))
			return BEARS_MARK;
		kept = have < search->mark_size + 1 ? have : search->mark_size + 1;
		memmove(bytes, bytes + have - kept, kept);
	}
}

/*
 * Can a process that shows no environment not be one that is looked for: the kernel's, a dead one,
 * one that was made without any, or an older one whose pid lies among the later ones?
 */
static bool is_other(struct search *search, pid_t pid)
{
	struct process_stat stat;

	if (!read_stat(pid, &stat)) {
		if (is_shortage(errno))
			search->blind = errno;
		return !search->blind;
	}
	if (is_dead(&stat) || (stat.flags & PF_KTHREAD) ||
	    (stat.code && stat.env_start && stat.env_start == stat.env_end) ||
	    (search->near && stat.start < search->since.ticks))
		return true;
	if (!(stat.flags & PF_EXITING) || !is_dying(pid, &search->blind))
		return false;
	search->dying = pid;
	return true;
}

/* Is a process that hides its environment this user's? (/proc/PID itself is root's then.) */
static bool is_own(pid_t pid)
{
	char path[64], text[2048];
	const char *uid;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (!read_file(path, text, sizeof(text)))
		return false;
	uid = strstr(text, "\nUid:\t");
	return uid && strtoul(uid + strlen("\nUid:\t"), NULL, 10) == getuid();
}

static enum bearing look_at(struct search *search, pid_t pid)
{
	_cleanup_close_ int fd = -1;
	enum bearing bearing;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && is_shortage(errno))
		search->blind = errno;
	if (fd >= 0)
		bearing = look_at_environment(search, fd);
	else if (errno == EACCES)
		bearing = search->near && is_own(pid) ? BEARS_MAYBE : BEARS_NOT;
	else
		/* The kernel's, gone, or on its way there: perhaps it was killed just now. */
		bearing = errno == ESRCH && (search->killed || search->near) ? BEARS_MAYBE
									     : BEARS_NOT;
	cleanup_close(&fd);
	return bearing == BEARS_MAYBE && is_other(search, pid) ? BEARS_NOT : bearing;
}

/* Kills through a pidfd and looks again before: the pid may have become somebody else's. */
static void end_one(struct search *search, pid_t pid)
{
	_cleanup_close_ int pidfd = -1;
	enum bearing bearing;

	if (pid <= 1 || pid == getpid())
		return;
	bearing = look_at(search, pid);
	if (bearing == BEARS_MARK) {
		/* A thread has no pidfd of its own; its process is found as well. */
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (pidfd < 0) {
			if (is_shortage(errno))
				search->blind = errno;
			return;
		}
		bearing = look_at(search, pid);
	}
	if (bearing == BEARS_MAYBE)
		search->in_doubt = pid;
	if (bearing != BEARS_MARK)
		return;
	search->found = pid;
	search->killed = true;
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) && errno == EPERM)
		search->stubborn = pid;
}

/* ---- Looking ---- */

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
		return error_set(error, -errno,
				 "/proc cannot be read to look for leftovers: %s; mount it",
				 strerror(errno));
	while ((entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]))
			end_one(search, (pid_t)atoi(entry->d_name));
	closedir(proc);
	return 0;
}

/* One look: at the processes made since, when these are few, else at all. */
static int pass(struct search *search, struct hookbox_error *error)
{
	pid_t since = search->since.pid, seen = since;

	search->found = search->in_doubt = search->dying = search->stubborn = 0;
	search->near = since > 0;
	while (search->near) {
		pid_t last = last_pid();

		if (last == seen)
			return 0;
		search->near = last > seen && last - since <= NEAR_PIDS;
		while (search->near && seen < last)
			end_one(search, ++seen);
	}
	return end_all(search, error);
}

struct spawn_since spawn_since_now(void)
{
	const long ticks = sysconf(_SC_CLK_TCK);
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (struct spawn_since){
		.ticks = (uint64_t)now.tv_sec * (uint64_t)ticks +
			 (uint64_t)now.tv_nsec / (1000000000 / (uint64_t)ticks),
	};
}

int leftover_kill(const char *mark, bool prefix, struct spawn_since since,
		  struct hookbox_error *error)
{
	_cleanup_free_ char *text = NULL;
	struct search search = {.since = since};
	int doubts = 0;	/* passes in a row that found nothing but what may be a stranger */

	if (asprintf(&text, SPAWN_MARK "=%s", mark) < 0)
		return error_no_memory(error);
	search.mark = text;
	search.mark_size = strlen(text) + !prefix;
	for (int i = 0; i < PASSES; i++) {
		int code = pass(&search, error);

		if (code)
			return code;
		if (search.stubborn)
			return error_set(error, -EPERM,
					 "process %d is left of the call and may not be "
					 "killed by this user; end it as its owner",
					 (int)search.stubborn);
		if (search.blind)
			return error_set(error, -search.blind,
					 "processes that may be left of the call cannot be looked "
					 "at: %s; raise the limit of open files",
					 strerror(search.blind));
		/* What was killed is waited for; a stranger that takes long to be gone is not. */
		if (!search.found && !search.in_doubt &&
		    (!search.dying || (!search.killed && i >= DOUBT_PASSES)))
			return 0;
		doubts = search.found || (search.killed && search.dying) ? 0 : doubts + 1;
		if (doubts > DOUBT_PASSES)
			return error_set(error, -EACCES,
					 "process %d does not show its environment and may be "
					 "left of the call; look at it",
					 (int)search.in_doubt);
		pause_us(i < 10 ? 200 : 5000);
	}
	return error_set(error, -EAGAIN,
			 "what is left of the call (such as process %d) does not end, or "
			 "multiplies faster than it can be killed; limit its number of processes",
			 (int)(search.found ? : search.in_doubt ? : search.dying));
}
