/* SPDX-License-Identifier: MIT */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "spawn.h"

#define FLUSH_MS 1000

enum {
	RELAY_ANY_SIZE,	/* a write never waits, or only for a disk */
	RELAY_SOCKET,
	RELAY_IN_PIECES	/* a pipe or terminal that we could not open anew */
};

/*
 * O_NONBLOCK belongs to the open file, which the caller shares with whoever else holds it. The same
 * pipe or terminal opened anew is an open file of our own.
 */
static int open_anew(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void relay_open(struct relay *relay, int fd)
{
	struct stat st;

	*relay = (struct relay){.fd = fd, .own = -1, .kind = RELAY_ANY_SIZE};
	if (fd < 0 || fstat(fd, &st))
		return;
	if (S_ISSOCK(st.st_mode)) {
		relay->kind = RELAY_SOCKET;
	} else if (S_ISFIFO(st.st_mode) || isatty(fd)) {
		relay->own = open_anew(fd);
		if (relay->own >= 0)
			relay->fd = relay->own;
		else
			relay->kind = RELAY_IN_PIECES;
	}
}

/*
 * A pipe that poll() calls writable takes PIPE_BUF bytes without waiting, once: stdout and stderr
 * may be the same one.
 */
static ssize_t write_piece(int fd, const char *bytes, size_t n)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	if (poll(&ready, 1, 0) == 1)
		return write(fd, bytes, n < PIPE_BUF ? n : PIPE_BUF);
	errno = EAGAIN;
	return -1;
}

int relay_write(struct relay *relay, struct buf *waiting)
{
	ssize_t written;

	if (relay->kind == RELAY_SOCKET)
		written =
			send(relay->fd, waiting->data, waiting->size, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (relay->kind == RELAY_IN_PIECES)
		written = write_piece(relay->fd, waiting->data, waiting->size);
	else
		written = write(relay->fd, waiting->data, waiting->size);
	if (written >= 0) {
		buf_consume(waiting, (size_t)written);
	} else if (errno != EAGAIN && errno != EINTR) {
		int code = -errno;

		relay_close(relay);
		return code;
	}
	return 0;
}

void relay_close(struct relay *relay)
{
	cleanup_close(&relay->own);
	relay->fd = -1;
}

void relay_flush(int fd, struct buf *waiting)
{
	int64_t deadline = clock_deadline_us(FLUSH_MS);
	struct pipe_guard guard;
	struct relay relay;

	pipe_guard_set(&guard);
	relay_open(&relay, fd);
	while (waiting->size && relay.fd >= 0 && clock_us() < deadline) {
		struct pollfd ready = {.fd = relay.fd, .events = POLLOUT};

		if (poll(&ready, 1, FLUSH_MS) == 1)
			relay_write(&relay, waiting);
	}
	relay_close(&relay);
	pipe_guard_release(&guard);
}
