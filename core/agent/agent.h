/* SPDX-License-Identifier: MIT */
/*
 * hookbox-agent: runs in a box and serves many calls over its stdin and stdout, or a socket. It is
 * one loop that waits for nothing but events; each running call has a keeper, a process that
 * starts the call's command, owns whatever that leaves behind, and tells when all of it is gone. In
 * a box that is there for one call, the agent is that keeper, and waits for what it kills as well.
 */
#ifndef AGENT_H
#define AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "../frame.h"
#include "keeper.h"
#include "watch.h"

#define NEVER INT64_MAX
#define STDIN_WINDOW 65536u		/* of a call; what it does not read is kept here */
#define MAX_CALLS 4096u
#define OUT_HIGH 65536u			/* no more data is read while so much waits to be written */
#define IN_STOP (512u * 1024)		/* and no more frames while so much does */

struct agent;
struct call;

/* Bytes in a row: taken at the front, added behind. (bytes.c) */
struct bytes {
	unsigned char *data;
	size_t start, end, room;
};

/* Room for n bytes behind, or NULL. */
unsigned char *bytes_reserve(struct bytes *bytes, size_t n);
void bytes_take(struct bytes *bytes, size_t n);
void bytes_free(struct bytes *bytes);
static inline size_t bytes_size(const struct bytes *bytes)
{
	return bytes->end - bytes->start;
}

/* stdout or stderr of a call. */
struct output {
	struct watch_item item;		/* fd -1: it has ended */
	struct call *call;
	struct output *next;		/* in the agent's row of those to be read */
	bool queued;
	bool stalled;			/* waits for credit */
	uint32_t late;			/* bytes that came after the end */
	unsigned char index;
	uint32_t credit;
	uint64_t limit;
	uint64_t total, dropped;
};

struct input {
	struct watch_item item;		/* fd -1: closed */
	struct call *call;
	struct bytes bytes;
	uint32_t credit;		/* what the host may still send */
	uint32_t owed;			/* what it will be granted */
	bool eof;			/* it sends no more */
	bool gone;			/* the command does not read any more */
};

struct call {
	uint32_t id;
	struct call *hash_next;
	struct call *next, **link;	/* among all calls */
	struct agent *agent;
	struct keeper *keeper;
	struct input in;
	struct output out[2];
	bool drop_stdout;
	bool settled;			/* output is passed on at once */
	bool told;			/* the keeper was told to end it */
	bool reported;			/* it is known how the call ended */
	bool bereft;			/* its keeper is dead; what that left is being hunted */
	bool finished;			/* EXIT was sent; it waits to be freed */
	bool truncated;
	enum frame_end reason;		/* why it is being ended; 0: it is not */
	uint32_t grace_ms;
	struct keeper_report report;
	int64_t begun_us;
	int64_t deadline_us;
	int64_t settle_us;		/* output is passed on from then on */
	int64_t drain_us;		/* streams are cut */
	int64_t watchdog_us;		/* the keeper, if there is one, must have obeyed */
};

/* A keeper, seen from the agent. */
struct keeper {
	struct watch_item item;		/* our end of its socket */
	struct keeper *next;		/* among the idle or the buried */
	struct agent *agent;
	struct call *call;
	pid_t pid;
	int64_t idle_us;
};

#define CALL_BUCKETS 1024

struct agent {
	struct watch watch;
	struct watch_item in, out;
	struct watch_item carrier;	/* stdin, when a socket carries the frames: only its end
					 * counts */
	struct frame_reader reader;
	unsigned char *reader_buffer;
	struct bytes outbox;
	struct call *calls;
	struct call *buckets[CALL_BUCKETS];
	struct call *buried;		/* freed when no event can name them any more */
	uint32_t n_calls;
	uint32_t max_calls;
	struct output *ready, **ready_end;
	struct keeper *idle;		/* the one used last comes first */
	struct keeper *buried_keepers;	/* freed as buried calls are */
	unsigned int n_idle;
	struct keeper **keepers;	/* all that were not waited for yet */
	size_t n_keepers, keepers_room;
	struct bytes block;		/* BLOCK frames of the CALL to come */
	uint32_t block_call;
	int64_t usual_us;		/* a call with nothing beside it takes about so long here */
	int64_t now_us;			/* when this turn's events had come */
	int64_t next_us;		/* something is due then, or nothing is */
	int64_t heard_us;
	int64_t silence_us;
	int64_t reaped_us;
	int64_t stray_us;		/* until then processes of dead keepers are looked for; 0:
					 * none are */
	struct run own;			/* of the call that it runs itself */
	struct call *own_call;
	bool alone;			/* there will be one call, and it runs that itself */
	bool once;			/* it ends after a call */
	bool hidden;			/* its user's other processes cannot look into it */
	bool closing;			/* what waits is written, and that is all */
	bool done;			/* by --once: an answer is waiting for the host */
	bool failed;
	struct keeper_surroundings surroundings;
};

/* ---- main loop (loop.c) ---- */
/*
 * Before there is a channel: takes one call through everything. What the first call would find
 * cold, or still shared with the keeper that was forked, is not so any more; and it tells how fast
 * calls are here.
 */
void agent_warm_up(struct agent *agent);
/* Serves the channel until it ends; returns the exit status. */
int agent_serve(struct agent *agent);
int64_t agent_clock_us(void);
/* Something is due at that time. */
void agent_wake_at(struct agent *agent, int64_t us);

/* ---- the channel (channel.c) ---- */
/* Over the socket at that path; over stdin and stdout when that is NULL or nobody listens there. */
int channel_open(struct agent *agent, const char *path);
void channel_greet(struct agent *agent);
/* Writes what waits. */
void channel_flush(struct agent *agent);
/* Says why to the host and ends the channel. */
void channel_close(struct agent *agent, enum frame_bye_code code, const char *text);
/* Room for a frame of up to n bytes behind what waits; ends the channel when there is no memory. */
unsigned char *channel_room(struct agent *agent, size_t n);
void channel_sent(struct agent *agent, size_t n);

/* ---- calls (calls.c) ---- */
struct call *call_find(struct agent *agent, uint32_t id);
/* 0, or a frame_error. */
int call_take_block(struct agent *agent, const struct frame *frame);
int call_begin(struct agent *agent, const struct frame *frame);
/* The same, of a frame that was read and checked. */
int call_run(struct agent *agent, uint32_t id, const struct frame_call *asked);
/* Ends it for this reason, unless another came first. */
void call_stop(struct call *call, enum frame_end reason, uint32_t grace_ms);
/* The keeper's word on its end, or what the agent says in its place. */
void call_take_report(struct call *call, const struct keeper_report *report);
/* Sends EXIT when nothing of it is left to wait for. */
void call_finish_if_done(struct call *call);
/* Does what is due, and says when to come again. */
int64_t call_keep_time(struct call *call);
void calls_free_buried(struct agent *agent);
/* Forgets them all. */
void calls_close(struct agent *agent);

/* ---- streams (streams.c) ---- */
/* Takes bytes for stdin; frame_error when the host had no credit for them. */
int input_take(struct input *input, const void *data, size_t n);
void input_end(struct input *input);
void input_close(struct input *input);
void input_ready(void *agent, struct watch_item *item, int events);
int output_credit(struct output *output, uint32_t bytes);
void output_ready(void *agent, struct watch_item *item, int events);
/* To be read when its turn comes. */
void output_queue(struct output *output);
void output_close(struct output *output);
/* Reads those whose turn it is, as long as there is room. */
void outputs_read(struct agent *agent);

/* ---- keepers (keepers.c) ---- */
/* Has a keeper run it with these descriptors; 0 or an errno value. */
int keepers_run(struct agent *agent, struct call *call, const struct keeper_task *task);
/* Makes one in advance. */
void keepers_prepare(struct agent *agent);
/* Has a call ended by whoever runs it. */
void keepers_end_call(struct call *call, uint32_t grace_ms);
/* Kills one that does not obey. */
void keeper_kill(struct keeper *keeper);
/* Waits for those that ended, ends those that were idle for long, hunts what dead ones left. */
void keepers_keep_time(struct agent *agent);
/* Ends all of them and whatever they run, and waits for that. */
void keepers_close(struct agent *agent);
void keepers_free_buried(struct agent *agent);

/* ---- without keepers (alone.c) ---- */
/* There will be one call. The agent runs it itself, if it can here. */
void alone_prepare(struct agent *agent);
void alone_run(struct call *call, const struct keeper_task *task);
/* Does what is due for it. */
void alone_look(struct agent *agent);

#endif
