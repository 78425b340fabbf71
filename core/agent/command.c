/* SPDX-License-Identifier: MIT */
/* Starting a call's command. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../program.h"
#include "keeper.h"
#include "system.h"

extern char **environ;

static int not_started(struct keeper_report *report, enum frame_step step, int code)
{
	report->end = FRAME_NOT_STARTED;
	report->step = (uint8_t)step;
	report->error_number = code;
	return -1;
}

/* ---- Environment ---- */

/* Where each name is, so that a large environment does not take the square of its size. */
struct names {
	const char **env;
	uint32_t *slots; /* place in env + 1; 0: free */
	size_t mask;
	size_t n;
};

static size_t hash_name(const char *entry)
{
	size_t hash = 5381;

	while (*entry && *entry != '=')
		hash = hash * 33 ^ (unsigned char)*entry++;
	return hash ^ hash >> 15;
}

static bool same_name(const char *a, const char *b)
{
	while (*a && *a == *b && *a != '=') {
		a++;
		b++;
	}
	return *a == *b && *a == '=';
}

/* Sets an entry over the one of its name. */
static void set_entry(struct names *names, const char *entry)
{
	size_t slot = hash_name(entry) & names->mask;

	while (names->slots[slot] && !same_name(names->env[names->slots[slot] - 1], entry))
		slot = (slot + 1) & names->mask;
	if (!names->slots[slot]) {
		names->env[names->n++] = entry;
		names->slots[slot] = (uint32_t)names->n;
	} else {
		names->env[names->slots[slot] - 1] = entry;
	}
}

/* The agent's own environment with these entries over it; NULL: no memory. */
static const char **merge_env(char **own, const char **entries, size_t n)
{
	struct names names = {.mask = 15};
	size_t n_own = 0;

	while (own && own[n_own])
		n_own++;
	while (names.mask < 2 * (n + n_own))
		names.mask = 2 * names.mask + 1;
	names.env = calloc(n + n_own + 1, sizeof(*names.env));
	names.slots = calloc(names.mask + 1, sizeof(*names.slots));
	if (!names.env || !names.slots) {
		free(names.env);
		free(names.slots);
		return NULL;
	}
	for (size_t i = 0; i < n_own; i++)
		set_entry(&names, own[i]);
	for (size_t i = 0; i < n; i++)
		set_entry(&names, entries[i]);
	free(names.slots);
	return names.env;
}

static const char *get_entry(const char **env, const char *name)
{
	size_t n = strlen(name);

	for (; *env; env++)
		if (!strncmp(*env, name, n) && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

/* ---- Finding the program, as the host does for its own ---- */

/* A path is tried as it is: only when the system refuses it there is something to find out. */
static int find_program(struct command *command, struct keeper_report *report)
{
	const char *path = get_entry(command->env, "PATH");
	int code;

	if (strchr(command->argv[0], '/')) {
		command->path = command->argv[0];
		return 0;
	}
	if (!path)
		path = PROGRAM_PATH;
	command->found = malloc(PROGRAM_ROOM(command->argv[0], path));
	if (!command->found)
		return not_started(report, FRAME_STEP_RESOURCES, ENOMEM);
	code = program_search(command->directory, command->argv[0], path, command->found);
	if (code)
		return not_started(report, FRAME_STEP_COMMAND, code);
	command->path = command->found;
	return 0;
}

static int open_directory(struct command *command, const char *path, struct keeper_report *report)
{
	command->directory = AT_FDCWD;
	if (!path)
		return 0;
	command->directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (command->directory < 0 && (errno == EMFILE || errno == ENFILE))
		return not_started(report, FRAME_STEP_RESOURCES, errno);
	/* Opening asks for no permission on the directory itself; entering does. */
	if (command->directory < 0 || faccessat(command->directory, ".", X_OK, AT_EACCESS))
		return not_started(report, FRAME_STEP_WORKDIR, ENOTDIR);
	return 0;
}

/* ---- Starting it ---- */

/* Runs in our memory until execve(): nothing may be changed but *failure. */
static void __attribute__((noreturn, noinline))
become(const struct command *command, volatile int *failure)
{
	sigset_t none;

	setpgid(0, 0);
	system_die_with_parent();
	for (int i = 0; i < 3; i++)
		if (dup2(command->fds[i], i) < 0)
			goto failed;
	if (command->directory != AT_FDCWD && fchdir(command->directory))
		goto failed;
	setrlimit(RLIMIT_NOFILE, &command->surroundings->files);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(command->path, (char *const *)command->argv, (char *const *)command->env);
failed:
	*failure = errno;
	if (command->tell_fd >= 0 && write(command->tell_fd, (int[]){errno}, sizeof(int)) < 0)
		_exit(126);	/* so that nobody takes the answer for given */
	_exit(127);
}

/* vfork() costs the same however much memory we have. It waits, but for this call alone. */
static pid_t __attribute__((noinline)) start(const struct command *command, volatile int *failure)
{
	pid_t pid = vfork();

	if (pid == 0)
		become(command, failure);
	return pid;
}

/* Where what the child writes into memory stays there: exec closes the pipe, or an errno comes. */
static pid_t start_apart(struct command *command, volatile int *failure)
{
	int ends[2], code = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	command->tell_fd = ends[1];
	pid = start(command, failure);
	close(ends[1]);
	do
		n = pid < 0 ? 0 : read(ends[0], &code, sizeof(code));
	while (n < 0 && errno == EINTR);
	if (n == sizeof(code))
		*failure = code;
	close(ends[0]);
	return pid;
}

static bool is_shortage(int code)
{
	return code == EAGAIN || code == ENOMEM || code == EMFILE || code == ENFILE;
}

/* Why did the system not take it? */
static void explain(const struct command *command, int code, struct keeper_report *report)
{
	int found = is_shortage(code) ? 0 : program_check(command->directory, command->path);

	if (is_shortage(code))
		not_started(report, FRAME_STEP_RESOURCES, code);
	else if (found)
		not_started(report, FRAME_STEP_COMMAND, found == EISDIR ? EACCES : found);
	else
		not_started(report, FRAME_STEP_EXEC, code);
}

/* argv and env of a task; false: no memory. */
static bool read_task(struct command *command, const struct keeper_task *task, const char **cwd)
{
	const struct keeper_message *message = &task->message;
	const char **entries;

	command->argv = calloc((size_t)message->argc + 1, sizeof(*command->argv));
	entries = calloc((size_t)message->envc + 1, sizeof(*entries));
	if (command->argv && entries) {
		*cwd = frame_block_split(task->block, message->argc, message->envc, command->argv,
					 entries);
		command->env =
			merge_env(message->clean_env ? NULL : environ, entries, message->envc);
	}
	free(entries);
	return command->env != NULL;
}

pid_t command_start(const struct keeper_task *task, const struct keeper_surroundings *surroundings,
		    struct keeper_report *report)
{
	struct command command = {
		.surroundings = surroundings,
		.directory = AT_FDCWD,
		.fds = task->fds,
		.tell_fd = -1,
	};
	volatile int failure = 0;
	const char *cwd = NULL;
	pid_t pid = -1;

	if (!read_task(&command, task, &cwd)) {
		not_started(report, FRAME_STEP_RESOURCES, ENOMEM);
	} else if (!open_directory(&command, cwd, report) && !find_program(&command, report)) {
		pid = surroundings->shares ? start(&command, &failure)
					   : start_apart(&command, &failure);
		if (pid < 0 || failure)
			explain(&command, pid < 0 ? errno : failure, report);
		if (pid > 0 && failure) {
			while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
				;
			pid = -1;
		}
	}
	if (command.directory != AT_FDCWD && command.directory >= 0)
		close(command.directory);
	free(command.argv);
	free(command.env);
	free(command.found);
	return pid;
}
