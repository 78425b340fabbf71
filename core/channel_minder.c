/* SPDX-License-Identifier: MIT */
/*
 * The thread of a channel that stays. It is there for the times when no call waits: an agent that
 * hears nothing while the caller is busy with a call's output would take us for gone, and a process
 * that ends while no call runs would stay a zombie. It wakes a few times in what the agent takes
 * for silence.
 */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "channel_parts.h"
#include "cleanup.h"
#include "clock.h"
#include "thread.h"

/* How often it looks at a channel whose agent waits for ever. */
#define LOOK_MS 60000

static int look_ms(const struct channel *channel, int64_t until_us)
{
	int64_t most = channel->silence_ms ? channel->silence_ms / 3 : LOOK_MS;
	int64_t left = until_us == CLOCK_NEVER ? most : (until_us - clock_us()) / 1000 + 1;

	return (int)(left < 0 ? 0 : left < most ? left : most);
}

/* The process has ended; somebody else may still hold its stdout. */
static void see_end(struct channel *channel)
{
	struct pollfd fd = {.fd = channel_frames_in(channel), .events = POLLIN};
	char end[512];

	while (!channel->broken && poll(&fd, 1, 0) > 0)
		channel_read(channel);
	if (!channel->broken) {
		channel_describe_end(channel, end, sizeof(end));
		channel_break(channel, "%s", end);
	}
	channel_bury(channel);
}

static void *mind(void *data)
{
	struct channel *channel = data;
	struct pollfd fds[2] = {{.fd = channel->minder_fd, .events = POLLIN}, {.events = POLLIN}};
	struct pipe_guard guard;
	uint64_t woken;

	pipe_guard_set(&guard);
	pthread_mutex_lock(&channel->lock);
	while (!channel->closing && channel->process.pidfd >= 0) {
		int timeout_ms = look_ms(channel, channel_stand_in(channel, &fds[0]));

		fds[1].fd = channel->n_running ? -1 : channel->process.pidfd;
		fds[1].revents = 0;
		channel->minder_blind = fds[1].fd < 0;
		pthread_mutex_unlock(&channel->lock);
		if (poll(fds, 2, timeout_ms) < 0)
			fds[1].revents = 0;
		pthread_mutex_lock(&channel->lock);
		if (read(channel->minder_fd, &woken, sizeof(woken)) < 0)
			woken = 0;
		if (fds[1].revents && !channel->n_running && !channel->led)
			see_end(channel);
	}
	pthread_mutex_unlock(&channel->lock);
	pipe_guard_release(&guard);
	return NULL;
}

void channel_mind(struct channel *channel)
{
	channel->minder_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (channel->minder_fd >= 0 &&
	    !thread_start(&channel->minder, mind, channel, "hookbox-channel"))
		channel->minded = true;
}

void channel_wake_minder(struct channel *channel)
{
	const uint64_t one = 1;

	if (channel->minded && (channel->minder_blind || channel->broken) &&
	    write(channel->minder_fd, &one, sizeof(one)) < 0)
		return;		/* it is full: the thread is awake */
}

void channel_mind_no_more(struct channel *channel)
{
	const uint64_t one = 1;

	if (!channel->minded)
		return;
	pthread_mutex_lock(&channel->lock);
	channel->closing = true;
	pthread_mutex_unlock(&channel->lock);
	if (write(channel->minder_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(channel->minder, NULL);
}
