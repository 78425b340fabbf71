/* SPDX-License-Identifier: MIT */
#include "keeper.h"

#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system.h"

#define SOCKET 3 /* where a keeper has it; a task's descriptors are behind it */
#define KILL_MS 10000
#define LOOK_MS 10

/* One call, run. */
struct run {
	const struct keeper_surroundings *surroundings;
	struct keeper_report report;
	pid_t pid;
	bool ended; /* the command was waited for */
	bool told; /* TERM was sent */
	bool agent_gone;
	int64_t kill_us; /* KILL is due */
};

/* ---- What a keeper is told ---- */

union descriptors {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(3 * sizeof(int))];
};

/* Receives one message: its size, 0 when the agent is gone. */
static ssize_t receive(struct keeper_task *task, char *block, size_t block_room, int flags)
{
	union descriptors control;
	struct iovec parts[] = {{&task->message, sizeof(task->message)}, {block, block_room}};
	struct msghdr header = {
		.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *fds;
	ssize_t n;

	do
		n = recvmsg(SOCKET, &header, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return -1;
	if (n < (ssize_t)sizeof(task->message))
		return 0;
	fds = CMSG_FIRSTHDR(&header);
	if (task->message.kind == KEEPER_TASK) {
		if (!fds || fds->cmsg_len != CMSG_LEN(3 * sizeof(int)))
			return 0;
		memcpy(task->fds, CMSG_DATA(fds), 3 * sizeof(int));
		task->block = block;
	}
	return n;
}

static void end_by_signals(struct run *run, uint32_t grace_ms)
{
	int64_t kill_us = reap_clock_us() + (int64_t)grace_ms * 1000;

	if (!run->told && !run->ended)
		kill(-run->pid, SIGTERM);
	if (!run->told || kill_us < run->kill_us)
		run->kill_us = kill_us;
	run->told = run->report.killed = true;
}

/* While a call runs, only its end can be asked for. */
static void hear(struct run *run)
{
	struct keeper_task task;
	ssize_t n = receive(&task, NULL, 0, MSG_DONTWAIT);

	if (n > 0 && task.message.kind == KEEPER_END)
		end_by_signals(run, task.message.grace_ms);
	else if (n == 0)
		run->agent_gone = true;
}

/* ---- Waiting ---- */

static void child_signal(int signo)
{
}

/* Until a child ends, the agent speaks, or so many us have gone; -1: for ever. */
static void wait_for_news(struct run *run, int64_t us)
{
	struct timespec timeout = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
	sigset_t all_but_child;
	fd_set readable;

	sigfillset(&all_but_child);
	sigdelset(&all_but_child, SIGCHLD);
	FD_ZERO(&readable);
	FD_SET(SOCKET, &readable);
	if (pselect(SOCKET + 1, &readable, NULL, NULL, us < 0 ? NULL : &timeout, &all_but_child) >
	    0)
		hear(run);
}

static void take_status(struct run *run, int status)
{
	run->ended = true;
	run->report.end = WIFEXITED(status) ? FRAME_EXITED : FRAME_SIGNALED;
	run->report.status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
}

struct group_search {
	pid_t group;
	bool found;
};

static void look_for_group(void *data, pid_t pid)
{
	struct group_search *search = data;

	search->found |= getpgid(pid) == search->group;
}

/* Is one of its group left? Those that have ended were waited for. */
static bool group_runs(const struct run *run)
{
	struct group_search search = {.group = run->pid};

	return system_each_child(look_for_group, &search) && search.found;
}

static void set_cleanup(struct run *run, enum frame_cleanup cleanup, const char *why)
{
	run->report.cleanup = (uint8_t)cleanup;
	strncpy(run->report.text, why, sizeof(run->report.text) - 1);
	if (cleanup == FRAME_UNKNOWN && !run->ended)
		run->report.end = FRAME_LOST;
}

/* ---- With subreapers: waiting for all descendants ---- */

/* True: no descendant is left. */
static bool wait_for_ended(struct run *run)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == run->pid)
			take_status(run, status);
	return pid < 0 && errno == ECHILD;
}

/* Has the rest of the call had all the time that is due to it? */
static bool time_is_up(const struct run *run)
{
	if (run->agent_gone || (run->told && reap_clock_us() >= run->kill_us))
		return true;
	return run->ended && !(run->told && group_runs(run));
}

static void own_call(struct run *run)
{
	const char *why;

	while (!wait_for_ended(run)) {
		if (time_is_up(run)) {
			if (!run->ended)
				kill(-run->pid, SIGKILL);
			if (reap_all(run->pid, KILL_MS, &why))
				break;
			set_cleanup(run, FRAME_UNKNOWN, why);
			return;
		}
		if (!run->told)
			wait_for_news(run, -1);
		else if (run->ended)
			wait_for_news(run, LOOK_MS * 1000);
		else
			wait_for_news(run, run->kill_us - reap_clock_us() > 0
						   ? run->kill_us - reap_clock_us()
						   : 0);
	}
	/* Killed by reap_all(), which looks at nobody's status. */
	if (!run->ended)
		take_status(run, SIGKILL);
	set_cleanup(run, FRAME_PROVEN, "");
}

/* ---- Without: the process group, and whoever bears the mark ---- */

/* True: the command has ended. It is not waited for yet, which keeps the group's id. */
static bool has_ended(const struct run *run)
{
	siginfo_t info = {0};

	return !waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid;
}

static void sweep_call(struct run *run, const char *mark)
{
	int64_t give_up = INT64_MAX;
	const char *why;
	int status = 0;

	while (!has_ended(run)) {
		int64_t now = reap_clock_us();

		if (now >= give_up) {
			set_cleanup(run, FRAME_UNKNOWN, "it does not end although it was killed");
			return;
		}
		if (give_up == INT64_MAX &&
		    (run->agent_gone || (run->told && now >= run->kill_us))) {
			kill(-run->pid, SIGKILL);
			give_up = now + KILL_MS * 1000;
		}
		if (give_up != INT64_MAX)
			wait_for_news(run, LOOK_MS * 1000);
		else
			wait_for_news(run, run->told ? run->kill_us - now : -1);
	}
	kill(-run->pid, SIGKILL);
	while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR)
		;
	take_status(run, status);
	for (int i = 0; i < 2000; i++) {
		if (kill(-run->pid, 0) && errno == ESRCH) {
			if (!mark || marked_kill(mark, KILL_MS, &why))
				set_cleanup(run, FRAME_SWEPT, "");
			else
				set_cleanup(run, FRAME_UNKNOWN, why);
			return;
		}
		reap_pause_us(1000);
	}
	set_cleanup(run, FRAME_UNKNOWN, "what is left of its process group does not end");
}

/* ---- A keeper's life ---- */

static void run_task(struct run *run, const struct keeper_task *task)
{
	run->pid = command_start(task, run->surroundings, &run->report);
	run->report.started_us = reap_clock_us();
	for (int i = 0; i < 3; i++)
		close(task->fds[i]);
	if (run->pid < 0)
		run->report.cleanup = FRAME_PROVEN;
	else if (run->surroundings->adopts)
		own_call(run);
	else
		sweep_call(run, marked_entry(task));
}

/* What could not be ended goes on being killed, as long as there is a need to. */
static void __attribute__((noreturn)) end_with_leftovers(const struct keeper_surroundings *found)
{
	const char *why;

	while (found->adopts && !reap_all(0, KILL_MS, &why))
		reap_pause_us(100000);
	_exit(1);
}

static void serve(const struct keeper_task *task, const struct keeper_surroundings *surroundings)
{
	struct run run = {.surroundings = surroundings};

	run_task(&run, task);
	if (run.agent_gone)
		_exit(0);
	if (send(SOCKET, &run.report, sizeof(run.report), MSG_NOSIGNAL) < 0)
		_exit(1);
	if (run.report.cleanup == FRAME_UNKNOWN)
		end_with_leftovers(surroundings);
}

/* Leaves a keeper with nothing but what it needs: not the channel, not other calls' pipes. */
static void move_descriptors(int socket, struct keeper_task *task, int null_fd)
{
	int all[4] = {socket, task->fds[0], task->fds[1], task->fds[2]};
	int n = task->block ? 4 : 1;

	for (int i = 0; i < 3; i++)
		if (dup2(null_fd, i) < 0)
			_exit(1);
	for (int i = 0; i < n; i++) {
		all[i] = fcntl(all[i], F_DUPFD_CLOEXEC, SOCKET + 4);
		if (all[i] < 0)
			_exit(1);
	}
	for (int i = 0; i < n; i++) {
		if (dup3(all[i], SOCKET + i, O_CLOEXEC) < 0)
			_exit(1);
		if (i)
			task->fds[i - 1] = SOCKET + i;
	}
	system_close_from(SOCKET + n);
}

/* Nobody may end a keeper by a signal but with SIGKILL; it looks at SIGCHLD while it waits. */
static void set_signals(void)
{
	struct sigaction action = {.sa_handler = child_signal};
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigaction(SIGCHLD, &action, NULL);
	signal(SIGPIPE, SIG_DFL);
}

void keeper_main(int socket, const struct keeper_task *first,
		 const struct keeper_surroundings *found)
{
	struct keeper_task task = {0};
	char block[KEEPER_MESSAGE_MAX];
	struct keeper_surroundings surroundings = *found;

	if (first)
		task = *first;
	/* Whoever ends the agent's group ends the agent: what it ran is then ours to end. */
	setpgid(0, 0);
	set_signals();
	move_descriptors(socket, &task, found->null_fd);
	surroundings.adopts = found->adopts && system_adopt_orphans();
	if (first)
		serve(&task, &surroundings);
	for (;;) {
		if (receive(&task, block, sizeof(block), 0) <= 0)
			_exit(0);
		if (task.message.kind == KEEPER_TASK)
			serve(&task, &surroundings);
	}
}
