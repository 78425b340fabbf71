/* SPDX-License-Identifier: MIT */
/* The keepers, as the agent sees them. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "system.h"

#define IDLE_MS 10000 /* one that served nobody for so long is ended */
#define REAP_MS 1000 /* children are waited for so often */
#define HUNT_MS 5 /* how often what dead keepers left is looked for */
#define HUNT_MAX_MS 10000
#define CLOSE_MS 12000 /* for all to end when the channel has */

/* ---- Making and ending them ---- */

static void forget(struct keeper *keeper)
{
	struct agent *agent = keeper->agent;
	struct keeper **at = &agent->idle;

	while (*at && *at != keeper)
		at = &(*at)->next;
	if (*at) {
		*at = keeper->next;
		agent->n_idle--;
	}
}

/* Its end of the socket closes, by which it knows. */
static void let_go(struct keeper *keeper)
{
	if (keeper->item.fd < 0)
		return;
	forget(keeper);
	watch_remove(&keeper->agent->watch, &keeper->item);
	close(keeper->item.fd);
	keeper->item.fd = -1;
	agent_wake_at(keeper->agent, keeper->agent->now_us + HUNT_MS * 1000);
	keeper->agent->reaped_us = 0;
}

/* It ended although nobody asked it to: a command of its user's killed it. */
static void mourn(struct keeper *keeper)
{
	struct agent *agent = keeper->agent;
	struct call *call = keeper->call;

	let_go(keeper);
	agent->stray_us = agent->now_us + HUNT_MAX_MS * 1000;
	if (!call)
		return;
	keeper->call = NULL;
	call->keeper = NULL;
	call->bereft = true;
	input_close(&call->in);
}

/* Its call is over: it may serve another one. */
static void release(struct keeper *keeper, bool clean)
{
	struct agent *agent = keeper->agent;

	keeper->call = NULL;
	if (!clean || agent->closing) {
		let_go(keeper);
		return;
	}
	keeper->idle_us = agent->now_us;
	keeper->next = agent->idle;
	agent->idle = keeper;
	agent->n_idle++;
	if (keeper->next)
		agent_wake_at(agent, agent->now_us + IDLE_MS * 1000);
}

static void keeper_ready(void *data, struct watch_item *item, int events)
{
	struct keeper *keeper = (struct keeper *)((char *)item - offsetof(struct keeper, item));
	struct call *call = keeper->call;
	struct keeper_report report;
	ssize_t n = recv(item->fd, &report, sizeof(report), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n != sizeof(report) || !call) {
		mourn(keeper);
		return;
	}
	call->keeper = NULL;
	release(keeper, report.cleanup != FRAME_UNKNOWN);
	call_take_report(call, &report);
}

static int note(struct agent *agent, struct keeper *keeper)
{
	if (agent->n_keepers == agent->keepers_room) {
		size_t room = agent->keepers_room ? 2 * agent->keepers_room : 64;
		void *grown = realloc(agent->keepers, room * sizeof(*agent->keepers));

		if (!grown)
			return ENOMEM;
		agent->keepers = grown;
		agent->keepers_room = room;
	}
	agent->keepers[agent->n_keepers++] = keeper;
	return 0;
}

/* Forks one, with a task when there is one; *made is NULL when that failed. */
static int make_keeper(struct agent *agent, const struct keeper_task *task, struct keeper **made)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	int ends[2] = {-1, -1};
	int code = 0;

	if (!keeper || note(agent, keeper)) {
		free(keeper);
		return ENOMEM;
	}
	*keeper = (struct keeper){.agent = agent, .item = {.fd = -1, .ready = keeper_ready}};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		code = errno;
	keeper->item.fd = ends[0];
	if (!code)
		code = watch_set(&agent->watch, &keeper->item, WATCH_READ);
	if (!code) {
		keeper->pid = fork();
		if (keeper->pid == 0)
			keeper_main(ends[1], task, &agent->surroundings);
		code = keeper->pid < 0 ? errno : 0;
	}
	if (ends[1] >= 0)
		close(ends[1]);
	if (code) {
		agent->n_keepers--;
		watch_remove(&agent->watch, &keeper->item);
		if (ends[0] >= 0)
			close(ends[0]);
		free(keeper);
		return code;
	}
	*made = keeper;
	return 0;
}

void keepers_prepare(struct agent *agent)
{
	struct keeper *keeper;

	if (agent->alone)
		return;
	if (!make_keeper(agent, NULL, &keeper))
		release(keeper, true);
}

/* ---- Calls ---- */

union descriptors {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(3 * sizeof(int))];
};

static bool hand_over(struct keeper *keeper, const struct keeper_task *task)
{
	union descriptors control = {.bytes = {0}};
	struct iovec parts[] = {
		{(void *)&task->message, sizeof(task->message)},
		{(void *)task->block, task->message.block_size},
	};
	struct msghdr header = {
		.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *fds = CMSG_FIRSTHDR(&header);

	fds->cmsg_level = SOL_SOCKET;
	fds->cmsg_type = SCM_RIGHTS;
	fds->cmsg_len = CMSG_LEN(3 * sizeof(int));
	memcpy(CMSG_DATA(fds), task->fds, 3 * sizeof(int));
	return sendmsg(keeper->item.fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
}

int keepers_run(struct agent *agent, struct call *call, const struct keeper_task *task)
{
	struct keeper *keeper = NULL;
	int code;

	if (agent->alone) {
		alone_run(call, task);
		return 0;
	}
	if (task->message.block_size <= KEEPER_MESSAGE_MAX && agent->idle) {
		keeper = agent->idle;
		agent->idle = keeper->next;
		agent->n_idle--;
		if (!hand_over(keeper, task)) {
			let_go(keeper);
			keeper = NULL;
		}
	}
	if (!keeper) {
		code = make_keeper(agent, task, &keeper);
		if (code)
			return code;
	}
	keeper->call = call;
	call->keeper = keeper;
	return 0;
}

void keepers_end_call(struct call *call, uint32_t grace_ms)
{
	const struct keeper_message message = {.kind = KEEPER_END, .grace_ms = grace_ms};
	struct keeper *keeper = call->keeper;

	if (call == call->agent->own_call) {
		run_end(&call->agent->own, grace_ms);
		/* alone_look() comes before the rest of a turn, and sees in the next one when. */
		agent_wake_at(call->agent, call->agent->now_us);
		return;
	}
	if (!keeper)
		return;
	/* A command of its user's may have stopped it. */
	kill(keeper->pid, SIGCONT);
	send(keeper->item.fd, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void keeper_kill(struct keeper *keeper)
{
	kill(keeper->pid, SIGKILL);
}

/* ---- Waiting for them, and hunting what dead ones left ---- */

static bool is_keeper(const struct agent *agent, pid_t pid)
{
	for (size_t i = 0; i < agent->n_keepers; i++)
		if (agent->keepers[i]->pid == pid)
			return true;
	return false;
}

static void bury_keeper(struct agent *agent, pid_t pid)
{
	for (size_t i = 0; i < agent->n_keepers; i++) {
		struct keeper *keeper = agent->keepers[i];

		if (keeper->pid != pid)
			continue;
		if (keeper->item.fd >= 0)
			mourn(keeper);
		agent->keepers[i] = agent->keepers[--agent->n_keepers];
		keeper->next = agent->buried_keepers;
		agent->buried_keepers = keeper;
		return;
	}
}

void keepers_free_buried(struct agent *agent)
{
	while (agent->buried_keepers) {
		struct keeper *keeper = agent->buried_keepers;

		agent->buried_keepers = keeper->next;
		free(keeper);
	}
}

static void wait_for_children(struct agent *agent)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		bury_keeper(agent, pid);
	agent->reaped_us = agent->now_us;
}

struct hunt {
	struct agent *agent;
	bool found;
};

static void kill_stray(void *data, pid_t pid)
{
	struct hunt *hunt = data;

	if (is_keeper(hunt->agent, pid))
		return;
	hunt->found = true;
	kill(pid, SIGKILL);
}

/* The agent is a subreaper as well: what a dead keeper owned is its own now. True: all is gone. */
static bool hunt_strays(struct agent *agent)
{
	struct hunt hunt = {.agent = agent};

	return system_each_child(kill_stray, &hunt) && !hunt.found;
}

static void report_bereft(struct agent *agent, enum frame_cleanup cleanup)
{
	const struct keeper_report report = {
		.end = FRAME_LOST,
		.cleanup = (uint8_t)cleanup,
		.text = "a process of this user's killed the agent's helper that ran it",
	};
	struct call *next;

	for (struct call *call = agent->calls; call; call = next) {
		next = call->next;
		if (call->bereft && !call->reported)
			call_take_report(call, &report);
	}
}

static bool all_dead_buried(const struct agent *agent)
{
	for (size_t i = 0; i < agent->n_keepers; i++)
		if (agent->keepers[i]->item.fd < 0 && !agent->keepers[i]->call)
			return false;
	return true;
}

static void hunt(struct agent *agent)
{
	bool gone = agent->surroundings.adopts && all_dead_buried(agent) && hunt_strays(agent);

	if (!gone && agent->surroundings.adopts && agent->now_us < agent->stray_us) {
		agent_wake_at(agent, agent->now_us + HUNT_MS * 1000);
		return;
	}
	agent->stray_us = 0;
	report_bereft(agent, gone ? FRAME_PROVEN : FRAME_UNKNOWN);
}

static void end_idle(struct agent *agent)
{
	int64_t before = agent->now_us - IDLE_MS * 1000;

	while (agent->idle && agent->idle->next) {
		struct keeper *keeper = agent->idle;

		while (keeper->next)
			keeper = keeper->next;
		if (keeper->idle_us > before) {
			agent_wake_at(agent, keeper->idle_us + IDLE_MS * 1000);
			return;
		}
		let_go(keeper);
	}
}

void keepers_keep_time(struct agent *agent)
{
	/* Its children are the call's, which alone_look() waits for. */
	if (agent->alone)
		return;
	if (agent->stray_us || agent->now_us - agent->reaped_us >= REAP_MS * 1000) {
		wait_for_children(agent);
		end_idle(agent);
	}
	if (agent->stray_us)
		hunt(agent);
}

/* ---- The end of all ---- */

void keepers_close(struct agent *agent)
{
	int64_t until = agent_clock_us() + CLOSE_MS * 1000;
	const char *why;

	for (size_t i = 0; i < agent->n_keepers; i++) {
		if (agent->keepers[i]->item.fd >= 0)
			close(agent->keepers[i]->item.fd);
		agent->keepers[i]->item.fd = -1;
		kill(agent->keepers[i]->pid, SIGCONT);
	}
	/* The keepers kill what they own. What is no keeper was left by a dead one. */
	for (;;) {
		wait_for_children(agent);
		if (!agent->n_keepers || agent_clock_us() >= until)
			break;
		hunt_strays(agent);
		reap_pause_us(500);
	}
	if (agent->surroundings.adopts)
		reap_all(0, NULL, CLOSE_MS, &why);
	for (size_t i = 0; i < agent->n_keepers; i++)
		free(agent->keepers[i]);
	agent->n_keepers = 0;
	keepers_free_buried(agent);
	free(agent->keepers);
}
