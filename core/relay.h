/* SPDX-License-Identifier: MIT */
/* Writing to a descriptor of the caller's that must not make us wait. */
#ifndef CORE_RELAY_H
#define CORE_RELAY_H

#include <sys/types.h>

#include "buf.h"

struct relay {
	int fd;		/* to poll and to write to; -1: it goes nowhere (any more) */
	int own;	/* fd, when it is ours to close; else -1 */
	int kind;
};

/* For the caller's descriptor, -1 for none. Its flags stay as they are: others share them. */
void relay_open(struct relay *relay, int fd);
/*
 * Writes what waits, or some of it, after poll() has called relay->fd writable. 0, or negative
 * errno when nothing can be written to it any more: then relay->fd is -1. May raise SIGPIPE.
 */
int relay_write(struct relay *relay, struct buf *waiting);
void relay_close(struct relay *relay);
/* Writes the last few bytes that wait, if the reader takes them within a second. */
void relay_flush(int fd, struct buf *waiting);

#endif
