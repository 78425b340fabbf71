/* SPDX-License-Identifier: MIT */
/*
 * A channel: the open connection to an agent in a box, which carries many calls at once. Whoever
 * waits for a call reads for all of them, and hands that duty on when it has what it wanted. A
 * thread that sleeps nearly always sees to the times when nobody waits.
 */
#ifndef CORE_CHANNEL_H
#define CORE_CHANNEL_H

#include <stdint.h>

#include "listener.h"
#include "frame.h"
#include "plan.h"
#include "process.h"
#include "spawn.h"

struct channel;

/* ---- Opening ---- */

struct channel_start {
	const struct plan *plan;	/* what becomes the agent, or lets it in */
	const char *agent_dir;		/* where agents lie that a box may ask for */
	struct listener *listener;	/* where the agent may come in, and not by stdio; or NULL */
	bool once;			/* it serves one call */
	const char *program;		/* which is likely to run that; or NULL */
	int64_t silence_ms;		/* after so long without a word the agent ends; 0: never */
	int64_t deadline_us;
	int cancel_fd;			/* -1: none */
	struct process_fate *end;	/* filled when there is no channel; may be NULL */
};

/* Why there is no channel. */
enum channel_problem {
	CHANNEL_NO_WAY = 1,	/* the box was not reached, or there is no shell in it */
	CHANNEL_NO_AGENT,	/* it was, but no agent can run there: the same at the next try */
	CHANNEL_TIMED_OUT,
	CHANNEL_CANCELLED,
};

/* [any, blocking] 0 with *channel, or a problem with its sentence in `error`. */
int channel_open(const struct channel_start *start, struct channel **channel,
		 struct hookbox_error *error);
/* [any] One more who will call channel_release(). */
struct channel *channel_hold(struct channel *channel);
/* [any] Was it opened by this process, and not by the one that forked it? */
bool channel_is_ours(const struct channel *channel);
/*
 * [any, blocking] The last one closes it: all that the agent started ends, and the CLI is reaped.
 */
void channel_release(struct channel *channel);
/*
 * [any, blocking] The same for the only holder: gives the process so long to end by itself, and
 * says how it did.
 */
void channel_close(struct channel *channel, int patience_ms, struct process_fate *end);
/* [any] Tells the agent to end, before the only holder closes the channel: many end together. */
void channel_hang_up(struct channel *channel);
/* [any] Readable when something has come that nobody reads while no call runs, such as its end. */
int channel_fd(const struct channel *channel);
/* [any] May the next call go through it? Not when it is broken, nor when the agent may end soon. */
bool channel_is_usable(struct channel *channel);
/* [any] Did the agent come by the socket? */
bool channel_has_socket(const struct channel *channel);
/* [any] Does the agent run as many calls as it can? */
bool channel_is_full(struct channel *channel);
/* [any] What the agent said of itself. Lent. */
const struct frame_agent_hello *channel_agent(const struct channel *channel);

/* ---- Calls (channel_call.c) ---- */

struct channel_request {
	const char *const *argv;
	const char *const *env;		/* set over the agent's own */
	const char *cwd;		/* or NULL */
	const void *stdin_data;
	size_t stdin_size;
	int stdin_fd;			/* then what can be read from here; -1: nothing */
	struct spawn_stream stream[2];	/* as the engine has them; STOP_DONE does not occur */
	uint64_t limit[2];
	bool drop_stdout;		/* what is over its limit; else that ends the call */
	int64_t deadline_us;
	int64_t grace_ms;
	int cancel_fd;
};

struct channel_result {
	struct frame_exit exit;		/* when not `lost` */
	bool lost;			/* the channel broke under it ... */
	bool overdue;			/* ... after it was to have ended */
	enum frame_end stopping;	/* why it was to end, if we wanted it to, else 0 */
	bool sent;			/* it may have been started */
	bool read;			/* something of stdin_fd is gone */
	char message[1024];		/* of a loss: one sentence */
};

/* [any, blocking] Runs a call to its end; always fills *result. */
void channel_run(struct channel *channel, const struct channel_request *request,
		 struct channel_result *result);

#endif
