/* SPDX-License-Identifier: MIT */
/* Waiting for many descriptors: epoll on Linux, poll elsewhere. */
#ifndef AGENT_WATCH_H
#define AGENT_WATCH_H

#include <stdbool.h>
#include <stddef.h>

enum { WATCH_READ = 1, WATCH_WRITE = 2, WATCH_BROKEN = 4 };

#define WATCH_AT_ONCE 128

struct watch_item;
typedef void watch_ready(void *data, struct watch_item *item, int events);

struct watch_item {
	int fd;			/* -1: closed; an event that is still under way is dropped */
	int events;		/* that are waited for; none: the item is not told of anything */
	bool added;
	size_t place;
	watch_ready *ready;
};

struct watch {
	int fd;				/* of epoll */
	struct watch_item **items;	/* for poll */
	void *polled;
	size_t n, room;
	struct {
		struct watch_item *item;
		int events;
	} came[WATCH_AT_ONCE];
	int n_came;
};

int watch_open(struct watch *watch);
/* Does watch_wait() let blocked signals come? */
bool watch_hears_signals(void);
void watch_close(struct watch *watch);
/* Waits for these events, WATCH_READ and WATCH_WRITE, from now on; 0 or an errno value. */
int watch_set(struct watch *watch, struct watch_item *item, int events);
/* Before its descriptor is closed. */
void watch_remove(struct watch *watch, struct watch_item *item);
/* Waits until something comes, be it a signal that is blocked otherwise; 0 or an errno value. */
int watch_wait(struct watch *watch, int timeout_ms);
/* Calls item->ready(data, item, events) for all that has come. Items must live that long. */
void watch_serve(struct watch *watch, void *data);

#endif
