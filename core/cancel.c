/* SPDX-License-Identifier: MIT */
#include "cancel.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct hookbox_cancel {
	int fd;
};

struct hookbox_cancel *hookbox_cancel_new(void)
{
	struct hookbox_cancel *cancel = malloc(sizeof(*cancel));

	if (!cancel)
		return NULL;
	cancel->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (cancel->fd < 0) {
		free(cancel);
		return NULL;
	}
	return cancel;
}

void hookbox_cancel_fire(struct hookbox_cancel *cancel)
{
	const uint64_t one = 1;
	int saved = errno;

	/* Fails only when it was fired 2^64 - 2 times: it is readable then, too. */
	if (write(cancel->fd, &one, sizeof(one)) < 0)
		errno = saved;
}

void hookbox_cancel_free(struct hookbox_cancel *cancel)
{
	if (!cancel)
		return;
	close(cancel->fd);
	free(cancel);
}

int cancel_fd(const struct hookbox_cancel *cancel)
{
	return cancel ? cancel->fd : -1;
}

bool cancel_fired(const struct hookbox_cancel *cancel)
{
	struct pollfd fd = {.fd = cancel_fd(cancel), .events = POLLIN};

	return fd.fd >= 0 && poll(&fd, 1, 0) > 0;
}
