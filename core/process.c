/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "program.h"


static int __attribute__((format(printf, 3, 4)))
not_started(struct spawn_result *result, int error_number, const char *format, ...)
{
	va_list args;

	result->end = SPAWN_NOT_STARTED;
	result->error_number = error_number;
	va_start(args, format);
	vsnprintf(result->message, sizeof(result->message), format, args);
	va_end(args);
	return -error_number;
}

/* ---- Finding the program ---- */

static int no_program(const char *name, int code, struct spawn_result *result)
{
	switch (code) {
	case ENOENT:
		return not_started(
			result, code,
			strchr(name, '/')
				? "there is no command \"%s\"; check its path"
				: "there is no command \"%s\" in PATH; install it or give its path",
			name);
	case ENOTDIR:
		return not_started(result, code,
				   "there is no command \"%s\": a part of its path is a file "
				   "and no directory; check its path",
				   name);
	case EISDIR:
		return not_started(result, EACCES, "\"%s\" is a directory; name a command in it",
				   name);
	case EACCES:
		return not_started(result, code,
				   "\"%s\" is not executable; chmod +x it (and its file system "
				   "must not be mounted noexec), or name another command",
				   name);
	default:
		return not_started(result, code, "\"%s\" cannot be started: %s", name,
				   strerror(code));
	}
}

static int find_program(const struct spawn_request *request, int dirfd, char **found,
			struct spawn_result *result)
{
	const char *name = request->argv[0];
	const char *path = request->path ? request->path : getenv("PATH");
	int code;

	if (!path)
		path = PROGRAM_PATH;
	*found = malloc(PROGRAM_ROOM(name, path));
	if (!*found)
		return not_started(result, ENOMEM, "out of memory");
	if (strchr(name, '/'))
		code = program_check(dirfd, strcpy(*found, name));
	else
		code = program_search(dirfd, name, path, *found);
	if (!code)
		return 0;
	return no_program(name, code, result);
}

static int open_directory(const char *path, int *fd, struct spawn_result *result)
{
	int code;

	*fd = AT_FDCWD;
	if (!path)
		return 0;
	*fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* Opening asks for no permission on the directory itself; entering does. */
	if (*fd >= 0 && !faccessat(*fd, ".", X_OK, AT_EACCESS))
		return 0;
	code = errno;
	cleanup_close(fd);
	/* Never ENOENT or EACCES, which tell of the command. */
	return not_started(result, ENOTDIR,
			   "the working directory \"%s\" cannot be entered: %s; make it or "
			   "name another",
			   path, strerror(code));
}

/* ---- Pipes ---- */

/* No end may be where a standard stream belongs: the child's, or one that our caller closed. */
static int lift_fd(int *fd)
{
	int lifted;

	if (*fd > 2)
		return 0;
	lifted = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
	if (lifted < 0)
		return -errno;
	close(*fd);
	*fd = lifted;
	return 0;
}

/* ours is non-blocking; theirs is not, as commands expect. */
static int make_pipe(int *ours, int *theirs, bool we_write)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	*ours = fds[we_write];
	*theirs = fds[!we_write];
	if (fcntl(*ours, F_SETFL, O_NONBLOCK | (we_write ? O_WRONLY : 0)))
		return -errno;
	return lift_fd(ours) ? -errno : lift_fd(theirs);
}

static bool has_stdin(const struct spawn_request *request)
{
	return request->keep_stdin || request->before_stdin_size || request->stdin_size ||
	       request->stdin_fd >= 0;
}

static int make_pipes(const struct spawn_request *request, struct process *process, int theirs[3])
{
	int code;

	if (has_stdin(request)) {
		code = make_pipe(&process->in, &theirs[0], true);
	} else {
		theirs[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		code = theirs[0] < 0 ? -errno : lift_fd(&theirs[0]);
	}
	for (int i = 0; i < 2 && !code; i++)
		code = make_pipe(&process->out[i], &theirs[i + 1], false);
	return code;
}

/* ---- Starting ---- */

static int fill_attributes(posix_spawnattr_t *attributes)
{
	sigset_t all, none;

	/* sigfillset() leaves out two of the C library's, which the process would then ignore. */
	memset(&all, 0xff, sizeof(all));
	sigemptyset(&none);
	return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
							    POSIX_SPAWN_SETPGROUP) ||
	       posix_spawnattr_setsigdefault(attributes, &all) ||
	       posix_spawnattr_setsigmask(attributes, &none) ||
	       posix_spawnattr_setpgroup(attributes, 0);
}

static int fill_actions(posix_spawn_file_actions_t *actions, int dirfd, const int theirs[3])
{
	int code = 0;

	if (dirfd != AT_FDCWD)
		code = posix_spawn_file_actions_addfchdir_np(actions, dirfd);
	for (int i = 0; i < 3 && !code; i++)
		code = posix_spawn_file_actions_adddup2(actions, theirs[i], i);
	return code ? code : posix_spawn_file_actions_addclosefrom_np(actions, 3);
}

static int spawn_program(const struct spawn_request *request, const char *program, int dirfd,
			 const int theirs[3], pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int code;

	if (posix_spawn_file_actions_init(&actions))
		return ENOMEM;
	if (posix_spawnattr_init(&attributes)) {
		posix_spawn_file_actions_destroy(&actions);
		return ENOMEM;
	}
	code = fill_attributes(&attributes);
	if (!code)
		code = fill_actions(&actions, dirfd, theirs);
	if (!code)
		code = posix_spawn(pid, program, &actions, &attributes,
				   (char *const *)request->argv, (char *const *)request->env);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return code;
}

static int not_executed(const char *program, int code, struct spawn_result *result)
{
	switch (code) {
	case ENOEXEC:
		return not_started(result, code,
				   "\"%s\" is no program for this machine; give a script a "
				   "#! line",
				   program);
	case E2BIG:
		return not_started(result, code,
				   "the arguments and environment of \"%s\" are too large; "
				   "hand large data over by stdin",
				   program);
	case ENOENT:
		return not_started(result, code,
				   "the interpreter that \"%s\" asks for does not exist; "
				   "check its #! line",
				   program);
	case EACCES:
		return not_started(result, code,
				   "\"%s\" or the interpreter that it asks for may not be "
				   "executed; check their modes",
				   program);
	case EAGAIN:
		return not_started(result, code,
				   "\"%s\" cannot be started: too many processes; raise the "
				   "limit of processes or end some",
				   program);
	default:
		return not_started(result, code, "\"%s\" cannot be started: %s", program,
				   strerror(code));
	}
}

static int start_with_pipes(const struct spawn_request *request, const char *program, int dirfd,
			    struct process *process, struct spawn_result *result)
{
	int theirs[3] = {-1, -1, -1};
	int code = -make_pipes(request, process, theirs);

	if (code)
		not_started(result, code,
			    "no pipe to \"%s\" can be made: %s; raise the limit of open "
			    "files",
			    program, strerror(code));
	else
		code = spawn_program(request, program, dirfd, theirs, &process->pid);
	for (int i = 0; i < 3; i++)
		cleanup_close(&theirs[i]);
	return !code || result->end ? -code : not_executed(program, code, result);
}

/* Watches what was started. Only a process that is not there any more may go without an end. */
static int open_pidfd(struct process *process, struct spawn_result *result)
{
	int code;

	process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
	if (process->pidfd >= 0)
		return 0;
	code = errno;
	if (code != ESRCH) {
		kill(-process->pid, SIGKILL);
		result->killed = true;
		while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	result->end = SPAWN_LOST;
	snprintf(result->message, sizeof(result->message),
		 code == ESRCH ? "process %d was reaped by somebody else; do not ignore SIGCHLD "
				 "and do not wait for foreign children"
			       : "process %d was ended because it cannot be watched: %s; raise the "
				 "limit of open files",
		 (int)process->pid, strerror(code));
	return -code;
}

int process_start(const struct spawn_request *request, struct process *process,
		  struct spawn_result *result)
{
	_cleanup_free_ char *program = NULL;
	int dirfd;
	int code;

	*process = (struct process){.pidfd = -1, .in = -1, .out = {-1, -1}};
	code = open_directory(request->cwd, &dirfd, result);
	if (code)
		return code;
	code = find_program(request, dirfd, &program, result);
	if (!code)
		code = start_with_pipes(request, program, dirfd, process, result);
	cleanup_close(&dirfd);
	if (!code)
		code = open_pidfd(process, result);
	if (code)
		process_close(process);
	return code;
}

bool process_group_ends(pid_t group)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	bool gone = false;

	for (int i = 0; i < 2000 && !gone; i++) {
		if (i)
			nanosleep(&pause, NULL);
		/* Zombies that nobody reaps do not count. */
		gone = (kill(-group, 0) && errno == ESRCH) ||
		       (i % 10 == 9 && !process_group_runs(group));
	}
	return gone;
}

void process_close(struct process *process)
{
	cleanup_close(&process->pidfd);
	cleanup_close(&process->in);
	cleanup_close(&process->out[0]);
	cleanup_close(&process->out[1]);
}
