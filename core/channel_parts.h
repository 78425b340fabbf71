/* SPDX-License-Identifier: MIT */
/* What channel*.c share. */
#ifndef CORE_CHANNEL_PARTS_H
#define CORE_CHANNEL_PARTS_H

#include <poll.h>
#include <pthread.h>

#include "channel.h"
#include "process.h"

#define CHANNEL_STDIN_MAX (128 * 1024)	/* of stdin that waits to be written, of all calls */
#define CHANNEL_WINDOW (256 * 1024)	/* of output that a call may be sent before we grant more */
#define CHANNEL_OWN_FDS 4		/* that a call watches beside the channel */

/*
 * Stdin of a call that has ended may wait to be written still, and a CALL goes ahead of it: an id
 * must not come back while it does. So its upper half counts calls; the agent ignores what is of
 * none.
 */
#define CHANNEL_CALLS_MAX 0xffffu
#define CHANNEL_SLOT(id) (((id) & CHANNEL_CALLS_MAX) - 1)	/* no id has a lower half of 0 */
#define CHANNEL_ID(slot, begun) ((uint32_t)(slot) + 1 + ((uint32_t)(begun) << 16))

/* A call, as the channel knows it. Under the channel's lock. */
struct channel_call {
	uint32_t id;
	struct buf came[2];		/* output that the caller has not taken */
	uint64_t total[2];		/* of it in all */
	uint64_t window[2];		/* what the agent may still send */
	uint64_t credit;		/* what we may still send of stdin */
	uint64_t batch;			/* that its CALL is written with */
	bool reads_no_more;		/* the command closed its stdin */
	bool done;			/* `exit` is there */
	struct frame_exit exit;
	bool waits;			/* its thread polls event_fd */
	int event_fd;			/* wakes it; -1: not needed yet */
};

struct channel {
	pthread_mutex_t lock;
	pid_t owner;			/* whose it is: a process that is forked has none */
	unsigned int holders;
	struct process process;		/* the planned one; its `in` and out[0] carry the frames
					 * ... */
	int socket;			/* ... unless this does; -1: there is none */
	struct frame_agent_hello agent;
	bool once;			/* the agent ends after a call, and says so */
	int64_t silence_ms;

	struct frame_reader reader;
	unsigned char *buffer;
	struct buf writing;		/* whole frames, on their way */
	struct buf control;		/* frames that go next */
	struct buf data;		/* stdin, which goes after them */
	bool writes_control;		/* `writing` was `control` */
	uint64_t batch;			/* how often it was, so far */
	uint64_t batches_sent;		/* the last of them of which a byte was written */
	unsigned int n_pongs;		/* in `control` */
	struct buf said;		/* the last of what the process wrote beside the frames */
	struct channel_call **calls;	/* by CHANNEL_SLOT of their id; NULL: it is free */
	size_t n_calls;
	uint32_t n_begun;		/* which makes ids that are not used again soon */
	size_t n_running;
	bool led;			/* a thread reads for all */
	int wake_fd;			/* wakes that thread */
	int64_t heard_us;
	int64_t sent_us;
	int64_t pinged_us;		/* 0: no answer is due */
	bool unheard;			/* nothing can be written any more; what is there is read */
	bool over;			/* the agent has served its one call */
	bool broken;
	char reason[1024];		/* why */

	pthread_t minder;
	bool minded;			/* there is that thread */
	bool minder_blind;		/* it does not see the process end until it is woken */
	int minder_fd;			/* wakes it; -1: there is none */
	bool closing;			/* it is to end */
};

/* Where frames come from, and where they go. */
static inline int channel_frames_in(const struct channel *channel)
{
	return channel->socket >= 0 ? channel->socket : channel->process.out[0];
}

static inline int channel_frames_out(const struct channel *channel)
{
	return channel->socket >= 0 ? channel->socket : channel->process.in;
}

/* ---- Reading and writing (channel_io.c), under the lock ---- */

/* The first reason counts. Wakes everybody; the end of its stdin tells the agent to end. */
void channel_break(struct channel *channel, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Writes what can be written now. */
void channel_flush(struct channel *channel);
/* Gives memory of the queues back, when no call runs. */
void channel_trim(struct channel *channel);
/* Reads what is there; false: the stream has ended, and the channel is broken. */
bool channel_read(struct channel *channel);
/* Asks the agent whether it is there. */
void channel_ask(struct channel *channel);
/*
 * Reads what the process says of itself on stderr (1), or on stdout (0) beside a socket. False: it
 * says no more there.
 */
bool channel_read_words(struct channel *channel, int index);
/* Its stdout, beside a socket: when that ends, so does the channel. */
void channel_read_carrier(struct channel *channel);
/* Room for a frame of at most `room` bytes at the queue's end; NULL: no memory, it is broken. */
void *channel_reserve(struct channel *channel, struct buf *queue, size_t room);
/* So many of them were written there. */
void channel_commit(struct buf *queue, size_t n);
/*
 * Waits until something has happened that may concern the call: its own descriptors `own`, which
 * are polled, its output, its end, a break, or `until_us`. Leads when nobody does. The lock is let
 * go meanwhile.
 */
void channel_wait(struct channel *channel, struct channel_call *call, struct pollfd *own,
		  nfds_t n_own, int64_t until_us);
/* A thread that stops waiting: somebody else must lead from now on. */
void channel_hand_on(struct channel *channel);

/*
 * While all who have calls are busy elsewhere: tells the agent that we are there, when it is time,
 * and reads until it answers. Returns when to look again; early when `own` is readable.
 */
int64_t channel_stand_in(struct channel *channel, struct pollfd *own);

/* ---- While nobody waits (channel_minder.c) ---- */

/* Lets it look at the process again, once no call runs. Under the lock. */
void channel_wake_minder(struct channel *channel);
/* [any, blocking] Starts the thread that minds the channel; without it, it goes unminded. */
void channel_mind(struct channel *channel);
void channel_mind_no_more(struct channel *channel);

/* ---- The process (channel.c) ---- */

/* Reaps the process of a broken channel without calls. Under the lock, let go meanwhile. */
void channel_bury(struct channel *channel);

/* How it ended, or what it said last, for a reason. */
void channel_describe_end(struct channel *channel, char *text, size_t size);

#endif
