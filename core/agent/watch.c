/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include <stdlib.h>
#include <unistd.h>

#include "system.h"

void watch_serve(struct watch *watch, void *data)
{
	for (int i = 0; i < watch->n_came; i++) {
		struct watch_item *item = watch->came[i].item;

		if (item->fd >= 0 && item->events)
			item->ready(data, item, watch->came[i].events);
	}
	watch->n_came = 0;
}

#ifdef AGENT_LINUX
#include <sys/epoll.h>

int watch_open(struct watch *watch)
{
	watch->fd = epoll_create1(EPOLL_CLOEXEC);
	return watch->fd < 0 ? errno : 0;
}

bool watch_hears_signals(void)
{
	return true;
}

void watch_close(struct watch *watch)
{
	close(watch->fd);
}

int watch_set(struct watch *watch, struct watch_item *item, int events)
{
	struct epoll_event event = {.data.ptr = item};

	if (item->fd < 0 || events == item->events)
		return 0;
	if (!events) {
		/* Events that nobody waits for, an end or an error, would keep us awake. */
		watch_remove(watch, item);
		return 0;
	}
	if (events & WATCH_READ)
		event.events |= EPOLLIN;
	if (events & WATCH_WRITE)
		event.events |= EPOLLOUT;
	if (epoll_ctl(watch->fd, item->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, item->fd, &event))
		return errno;
	item->added = true;
	item->events = events;
	return 0;
}

void watch_remove(struct watch *watch, struct watch_item *item)
{
	struct epoll_event unused = {0};

	if (item->added)
		epoll_ctl(watch->fd, EPOLL_CTL_DEL, item->fd, &unused);
	item->added = false;
	item->events = 0;
}

static int found(uint32_t events)
{
	int what = 0;

	if (events & EPOLLIN)
		what |= WATCH_READ;
	if (events & EPOLLOUT)
		what |= WATCH_WRITE;
	if (events & (EPOLLERR | EPOLLHUP))
		what |= WATCH_BROKEN;
	return what;
}

int watch_wait(struct watch *watch, int timeout_ms)
{
	struct epoll_event events[WATCH_AT_ONCE];
	sigset_t none;
	int n;

	sigemptyset(&none);
	n = epoll_pwait(watch->fd, events, WATCH_AT_ONCE, timeout_ms, &none);
	if (n < 0)
		return errno == EINTR ? 0 : errno;
	for (int i = 0; i < n; i++) {
		watch->came[i].item = events[i].data.ptr;
		watch->came[i].events = found(events[i].events);
	}
	watch->n_came = n;
	return 0;
}

#else
#include <poll.h>

int watch_open(struct watch *watch)
{
	*watch = (struct watch){.fd = -1};
	return 0;
}

bool watch_hears_signals(void)
{
	return false;
}

void watch_close(struct watch *watch)
{
	free(watch->items);
	free(watch->polled);
}

static int grow(struct watch *watch)
{
	size_t room = watch->room ? 2 * watch->room : 64;
	void *items, *polled;

	items = realloc(watch->items, room * sizeof(*watch->items));
	if (!items)
		return ENOMEM;
	watch->items = items;
	polled = realloc(watch->polled, room * sizeof(struct pollfd));
	if (!polled)
		return ENOMEM;
	watch->polled = polled;
	watch->room = room;
	return 0;
}

int watch_set(struct watch *watch, struct watch_item *item, int events)
{
	if (item->fd < 0)
		return 0;
	if (!item->added && events) {
		if (watch->n == watch->room && grow(watch))
			return ENOMEM;
		item->place = watch->n;
		watch->items[watch->n++] = item;
		item->added = true;
	}
	item->events = events;
	return 0;
}

void watch_remove(struct watch *watch, struct watch_item *item)
{
	if (item->added) {
		watch->items[item->place] = watch->items[--watch->n];
		watch->items[item->place]->place = item->place;
	}
	item->added = false;
	item->events = 0;
}

static int found(const struct pollfd *polled)
{
	int what = 0;

	if (polled->revents & POLLIN)
		what |= WATCH_READ;
	if (polled->revents & POLLOUT)
		what |= WATCH_WRITE;
	if (polled->revents & (POLLERR | POLLHUP | POLLNVAL))
		what |= WATCH_BROKEN;
	return what;
}

int watch_wait(struct watch *watch, int timeout_ms)
{
	struct pollfd *polled = watch->polled;

	for (size_t i = 0; i < watch->n; i++) {
		const struct watch_item *item = watch->items[i];

		polled[i] = (struct pollfd){.fd = item->events ? item->fd : -1};
		polled[i].events = (short)((item->events & WATCH_READ ? POLLIN : 0) |
					   (item->events & WATCH_WRITE ? POLLOUT : 0));
	}
	if (poll(polled, (nfds_t)watch->n, timeout_ms) < 0)
		return errno == EINTR ? 0 : errno;
	for (size_t i = 0; i < watch->n && watch->n_came < WATCH_AT_ONCE; i++)
		if (polled[i].revents) {
			watch->came[watch->n_came].item = watch->items[i];
			watch->came[watch->n_came++].events = found(&polled[i]);
		}
	return 0;
}
#endif
