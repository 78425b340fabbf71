/* SPDX-License-Identifier: MIT */
/*
 * A keeper: the process that starts a call's command and owns what it leaves behind. It serves one
 * call after the other. It hears of them, and answers, over a socket that keeps messages apart;
 * when the agent's end of that closes, it kills what it owns and ends.
 */
#ifndef AGENT_KEEPER_H
#define AGENT_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "../frame.h"

/* The largest message; a task that is larger gets a keeper of its own, which is forked with it. */
#define KEEPER_MESSAGE_MAX 32768

enum keeper_message_kind { KEEPER_TASK = 1, KEEPER_END = 2 };

/* Agent to keeper. A task's block follows, and three descriptors come with it. */
struct keeper_message {
	uint32_t kind;
	uint32_t clean_env;
	uint32_t argc, envc;
	uint32_t block_size;
	uint32_t grace_ms;	/* of KEEPER_END */
};

/* A call, as a keeper needs it. */
struct keeper_task {
	struct keeper_message message;
	const char *block;
	int fds[3];		/* the command's 0, 1, 2 */
};

/* Keeper to agent: how it ended, sent when all is gone, or will not go. */
struct keeper_report {
	uint8_t end;		/* FRAME_EXITED, SIGNALED, NOT_STARTED; LOST: it cannot be ended */
	uint8_t step;
	uint8_t cleanup;
	bool killed;
	int32_t status;
	int32_t error_number;
	int64_t started_us;
	char text[160];
};

/* What keepers and commands are to find. */
struct keeper_surroundings {
	struct rlimit files;	/* as the agent found it */
	bool adopts;		/* there are subreapers */
	bool shares;		/* vfork() is none that copies */
	int null_fd;		/* nothing can be read from it */
};

/* ---- A call's command and all that it leaves, with subreapers (run.c) ---- */

struct run {
	const struct keeper_surroundings *surroundings;
	int64_t patience_ms;	/* so long what it left may take to end when it is killed */
	struct keeper_report report;
	pid_t pid;
	bool ended;		/* the command was waited for */
	bool told;		/* TERM was sent */
	bool abandoned;		/* nobody wants it any more */
	int64_t kill_us;	/* KILL is due */
};

/* What gives no sign of its end is looked at so often. */
#define RUN_LOOK_US 10000

/* Starts the command; whether that went well is told by run_is_over(). */
void run_begin(struct run *run, const struct keeper_task *task);
/* TERM now, KILL after the grace. */
void run_end(struct run *run, uint32_t grace_ms);
/*
 * Waits for children that have ended, and kills what has had its time. True: the report is made.
 * False: to be asked again when a child ends, it was told to end, or *again_us has come.
 */
bool run_is_over(struct run *run, int64_t *again_us);
void run_take_status(struct run *run, int status);
void run_set_cleanup(struct run *run, enum frame_cleanup cleanup, const char *why);

/* ---- A keeper's life (keeper.c) ---- */

/* Becomes a keeper; `first`, when there is one, is served at once. Never returns. */
void keeper_main(int socket, const struct keeper_task *first,
		 const struct keeper_surroundings *surroundings) __attribute__((noreturn));

/* A command to be started. (command.c) */
struct command {
	const struct keeper_surroundings *surroundings;
	const char **argv;
	const char **env;
	const char *path;	/* of the program */
	char *found;		/* the same, when it was searched for */
	int directory;		/* or -1 */
	const int *fds;
	int tell_fd;		/* takes an errno value; -1: memory is shared with the child */
};

/* Starts what the task says: its pid, or -1 with the report filled. */
pid_t command_start(const struct keeper_task *task, const struct keeper_surroundings *surroundings,
		    struct keeper_report *report);

/* Kills all children of this process, and theirs, until none is left. False with a reason when
 * that does not come about in so many ms. `leader` is the command, whose group is of its pid, or 0;
 * *status is its wait status when it was waited for here, else left alone. (reap.c) */
bool reap_all(pid_t leader, int *status, int64_t patience_ms, const char **why);
/* The entry of the task's environment that marks what belongs to the call, or NULL. (marked.c) */
const char *marked_entry(const struct keeper_task *task);
/* The same for whoever has that entry, and is of our user's or another whom we may kill. */
bool marked_kill(const char *entry, int64_t patience_ms, const char **why);
int64_t reap_clock_us(void);
void reap_pause_us(long us);

#endif
