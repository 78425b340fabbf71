/* SPDX-License-Identifier: MIT */
/* What the parts of a sandbox share: sandbox.c, call*.c, ending.c. */
#ifndef CORE_CALL_H
#define CORE_CALL_H

#include <pthread.h>

#include "channel.h"
#include "ledger.h"
#include "marks.h"
#include "own_lines.h"
#include "plan.h"
#include "sandbox.h"
#include "spawn.h"

struct pool;
struct trunk;

struct sandbox {
	struct sandbox_host host;	/* the table the plugin got */
	struct sandbox_host_context context;
	const struct sandbox_plugin_v1 *plugin;
	void *instance;
	struct param_store *store;
	char *name;
	struct strv env;
	struct strv labels;		/* of the boxes that are started for it */
	char *workdir;
	bool shell;			/* calls go through the prologue */
	int64_t timeout_ms;
	uint64_t stdout_limit;
	uint64_t stderr_limit;
	bool agent;			/* calls may go through one */
	bool agent_missing;		/* they would, if one was installed */
	char *agent_path;		/* where it lies in the box; NULL: we bring it */
	int64_t agent_idle_ms;
	struct sandbox_box_v1 box;	/* zeroed when the backend has no such extension */
	struct sandbox_run_v1 run;
	pthread_mutex_t lock;		/* of what follows */
	bool preparing;			/* a call sees to the box, and changes what is about it */
	pthread_t preparer;		/* its thread */
	const struct hookbox_cancel *prepare_cancel; /* and what cancels it; may be NULL */
	unsigned int n_started;		/* boxes that were started, so far */
	uint64_t ways[CALL_N_WAYS];	/* how many calls went which way */
	bool noted;			/* the ledger knows that we use it */
	bool box_noted;			/* and the box below */
	char *box_id;			/* of the box that plans enter; NULL: not found yet */
	struct channel *channel;	/* to the agent in a box that stays; NULL: none is open */
	char *channel_box;		/* that box's id */
	pid_t opened_by;		/* the process whose opened_fd that is */
	pid_t opener;			/* a thread of this process is opening one; 0: none is */
	int opened_fd;			/* can be read when none is; -1: there was none yet */
	int channel_problem;		/* of the last try, enum channel_problem; 0: it is open */
	int64_t channel_retry_us;	/* when a way that failed may be tried again */
	unsigned int channel_failures;	/* in a row */
	char *started_box_id;		/* of the one that we started, and will stop; NULL: none */
	char *gone_box_id;		/* of one that did not answer; NULL: none */
	struct pool *pool;		/* NULL: none is wanted; has a lock of its own */
	struct trunk *trunk;		/* the same */
};

/* One output stream of a call. */
struct call_output {
	struct call *call;
	int stream;			/* 1 or 2 */
	uint64_t limit;
	bool ends_call;			/* more than the limit ends the call */
	uint64_t total;
	uint64_t passed;		/* of these, kept or handed on */
	bool over;			/* the process has ended: what still comes is kept */
	struct buf kept;
	struct buf relay;
};

struct call {
	struct sandbox *sandbox;
	struct hookbox_call asked;	/* as the caller put it, in our size */
	char id[LEDGER_CALL_ID_SIZE];
	char *box_id;
	bool box_is_new;		/* found or started for this very call */
	char network_of[LEDGER_CALL_ID_SIZE]; /* whose network its fresh box shares; "": none */
	bool anew;			/* this is the second time: nothing is to be in its way */
	struct strv env;
	struct strv labels;
	const char *cwd;
	enum call_way way;		/* that it went */
	bool scripted;			/* goes through the prologue: marks are expected */
	char nonce[MARK_NONCE_SIZE];
	const char *trunk;		/* the path of the one it goes through; NULL: its own way */
	bool trunk_unused;		/* that did not take it: it may be run anew ... */
	bool alone;			/* ... by itself */
	struct plan plan;
	struct own_lines own_lines;	/* between the CLI's stderr and marks[1] */
	struct mark_stream marks[2];
	struct call_output output[2];
	int64_t begun_us;
	int64_t deadline_us;
	int64_t timeout_ms;
	struct spawn_result spawn;
	struct hookbox_result *result;
};

/* What a command gets between TERM and KILL. */
#define CALL_GRACE_MS 100

/* Fills a request for the backend from the call. */
struct sandbox_plan_request call_request(const struct call *call, uint32_t purpose);
/* The labels that every box started for a call bears. */
void call_add_labels(const struct sandbox *sandbox, const char *id, struct strv *labels);
/* Takes the command's output: keeps it, hands it on, counts it. data is a struct call_output.
 * (call_output.c, with those that follow) */
int call_output_take(void *data, const char *bytes, size_t n);
/* Takes what own_lines leaves. data is a struct mark_stream. */
int call_feed_marks(void *data, const char *bytes, size_t n);
/* Takes what the process wrote to one of its streams. data is the struct mark_stream of it. */
int call_output_consume(void *data, const char *bytes, size_t n);
/* Stream 0 or 1 of the call: what comes goes to `consume`, and what that relays to the caller. */
struct spawn_stream call_stream(struct call *call, int index,
				int (*consume)(void *data, const char *bytes, size_t n),
				void *data);
/* The process has ended: what was held back comes now, and is kept for classify() to judge. */
void call_output_finish(struct call *call);
/* Hands on what call_output_finish() kept of a streamed output. */
void call_output_flush(struct call *call);
/* Both "end" marks came: the command has ended and its output is whole. */
bool call_marks_complete(const struct call *call);

/* Says in the result how the call ended, from what the process did and printed. (call_judge.c) */
void call_judge(struct call *call);
/* The same for a backend's own verdict; `verdict` is in our size. */
void call_apply_verdict(struct call *call, const struct sandbox_verdict *verdict);

/* The command was not started: its directory cannot be entered, for `why`; or it is not there or
 * not executable, for ENOENT or EACCES. */
void call_set_no_workdir(struct call *call, const char *why);
void call_set_no_command(struct call *call, int error_number);
/* Runs the call through sandbox.run/1. (call_run.c) */
void call_run_extension(struct call *call);

/*
 * Gives the call the box to enter: 0; 1 when there is none and the result says why; or an error.
 * (call_box.c)
 */
int call_enter_box(struct call *call, struct hookbox_error *error);
/* A box that did not answer as one is looked for anew by the next call, and any other preferred. */
void call_forget_box(struct call *call);

/*
 * Runs the call through the channel to the box's agent. False: there is none to be had, and nothing
 * was started. (call_channel.c)
 */
bool call_run_channel(struct call *call);
/* Runs it through an open channel and judges it; what is left of it is the caller's to end. */
void call_run_through(struct call *call, struct channel *channel, struct channel_result *ended);
/* May calls of this sandbox go through an agent? */
bool call_may_have_channel(const struct sandbox *sandbox);
/* Asks what agent answers in the box, over a channel of its own. */
int call_probe_channel(struct sandbox *sandbox, const char *box_id, int64_t timeout_ms,
		       struct frame_agent_hello *agent, struct hookbox_error *error);
/* No call may be running. */
void call_close_channel(struct sandbox *sandbox);
/* As call_end(), for a call that went through the channel. (ending.c) */
void call_end_in_channel(struct call *call, const struct channel_result *ended);

/*
 * Runs the call in a box that waits for one. False: none does, and nothing was started.
 * (call_pool.c)
 */
bool call_run_pool(struct call *call);

/* Ends whatever the call left and says in the result how sure that is. (ending.c) */
void call_end(struct call *call);
/*
 * Ends a fresh box that an agent was started in; `process` is how its CLI ended, `seen` whether the
 * agent had greeted. False, with a reason: something may be left, and the ledger knows.
 */
bool ending_box(struct sandbox *sandbox, const char *call_id, const struct process_fate *process,
		bool seen, char reason[SANDBOX_ERROR_SIZE]);
/*
 * Ends what a killed host left behind in the sandbox: processes of this machine, boxes that it
 * started, and calls in the box when there is but one; true when nothing is left. Sets *unlisted
 * when the backend could not say which boxes there are.
 */
bool ending_owner(struct sandbox *sandbox, const char *owner, bool *unlisted);
/* Ends what calls of a killed host left behind in the box that was found. */
bool ending_owner_in_box(struct sandbox *sandbox, const char *owner);
/*
 * Where these two look, as a hash of what would be started for it: another container's, cluster's
 * or engine's differs.
 */
uint32_t ending_place(struct sandbox *sandbox, const char *box_id);

/* Boxes of this sandbox are found and never made: what calls leave in one stays when we go. */
static inline bool sandbox_only_finds(const struct sandbox *sandbox)
{
	return sandbox->box.find && !sandbox->box.start;
}

/* Stops the box that was started, if any. (sandbox.c) */
void sandbox_stop_box(struct sandbox *sandbox);

/* The sandbox.box/1 request of this sandbox; labels may be NULL. */
struct sandbox_box_request sandbox_box_request(struct sandbox *sandbox, int64_t timeout_ms);

#endif
