/* SPDX-License-Identifier: MIT */
/*
 * A listener: a unix socket in the host's private directory that is shown to one box, for one
 * connection of the agent there. Nobody but this user and root can reach it, except in the box; as
 * soon as the agent has connected, it is closed and its file removed.
 */
#ifndef CORE_LISTENER_H
#define CORE_LISTENER_H

#include <stdbool.h>

#define LISTENER_SUFFIX ".sock"

struct listener {
	int fd;			/* listens; -1: there is none */
	char *path;		/* of the socket */
};

/*
 * Makes one for the box of that id in the private directory `dir`. False: there can be none.
 * The name is the id and LISTENER_SUFFIX, by which the next host finds one that a killed host left.
 */
bool listener_open(struct listener *listener, const char *dir, const char *id);
/*
 * The connection, non-blocking; then the listener is closed. -1: nobody has come yet, or, when it
 * is closed, nobody can be let in.
 */
int listener_accept(struct listener *listener);
/* Removes what there is of it. */
void listener_close(struct listener *listener);

#define _cleanup_listener_ __attribute__((cleanup(listener_close)))

#endif
