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

/* While a call runs, only its end can be asked for. */
static void hear(struct run *run)
{
	struct keeper_task task;
	ssize_t n = receive(&task, NULL, 0, MSG_DONTWAIT);

	if (n > 0 && task.message.kind == KEEPER_END)
		run_end(run, task.message.grace_ms);
	else if (n == 0)
		run->abandoned = true;
}

/* ---- Waiting ---- */

/* Until a child ends, the agent speaks, or it is that time. */
static void wait_for_news(struct run *run, int64_t until_us)
{
	int64_t left = until_us == INT64_MAX ? -1 : until_us - reap_clock_us();
	int64_t us = left > 0 ? left : 0;
	struct timespec timeout = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
	sigset_t all_but_child;
	fd_set readable;

	sigfillset(&all_but_child);
	sigdelset(&all_but_child, SIGCHLD);
	FD_ZERO(&readable);
	FD_SET(SOCKET, &readable);
	if (pselect(SOCKET + 1, &readable, NULL, NULL, until_us == INT64_MAX ? NULL : &timeout,
		    &all_but_child) > 0)
		hear(run);
}

/* With subreapers, all descendants are waited for; and when no command was started, none. */
static void own_call(struct run *run)
{
	int64_t again_us;

	while (!run_is_over(run, &again_us))
		wait_for_news(run, again_us);
}

/* ---- Without subreapers: the process group, and whoever bears the mark ---- */

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
			run_set_cleanup(run, FRAME_UNKNOWN,
					"it does not end although it was killed");
			return;
		}
		if (give_up == INT64_MAX &&
		    (run->abandoned || (run->told && now >= run->kill_us))) {
			kill(-run->pid, SIGKILL);
			give_up = now + KILL_MS * 1000;
		}
		if (give_up != INT64_MAX)
			wait_for_news(run, now + RUN_LOOK_US);
		else
			wait_for_news(run, run->told ? run->kill_us : INT64_MAX);
	}
	kill(-run->pid, SIGKILL);
	while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR)
		;
	run_take_status(run, status);
	for (int i = 0; i < 2000; i++) {
		if (kill(-run->pid, 0) && errno == ESRCH) {
			if (!mark || marked_kill(mark, KILL_MS, &why))
				run_set_cleanup(run, FRAME_SWEPT, "");
			else
				run_set_cleanup(run, FRAME_UNKNOWN, why);
			return;
		}
		reap_pause_us(1000);
	}
	run_set_cleanup(run, FRAME_UNKNOWN, "what is left of its process group does not end");
}

/* ---- A keeper's life ---- */

static void run_task(struct run *run, const struct keeper_task *task)
{
	run_begin(run, task);
	for (int i = 0; i < 3; i++)
		close(task->fds[i]);
	if (run->pid < 0 || run->surroundings->adopts)
		own_call(run);
	else
		sweep_call(run, marked_entry(task));
}

/* What could not be ended goes on being killed, as long as there is a need to. */
static void __attribute__((noreturn)) end_with_leftovers(const struct keeper_surroundings *found)
{
	const char *why;

	while (found->adopts && !reap_all(0, NULL, KILL_MS, &why))
		reap_pause_us(100000);
	_exit(1);
}

static void serve(const struct keeper_task *task, const struct keeper_surroundings *surroundings)
{
	struct run run = {.surroundings = surroundings, .patience_ms = KILL_MS};

	run_task(&run, task);
	if (run.abandoned)
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
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	system_wake_by(SIGCHLD);
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
