/* SPDX-License-Identifier: MIT */
/*
 * A door: a unix socket in the host's private directory that is shown to one box, for one
 * connection of the agent there. Nobody but this user and root can reach it, except in the box; as
 * soon as the agent is through, there is no door any more.
 */
#ifndef CORE_DOOR_H
#define CORE_DOOR_H

#include <stdbool.h>

#define DOOR_SUFFIX ".sock"

struct door {
	int fd;			/* listens; -1: there is none */
	char *path;		/* of the socket */
};

/*
 * Makes one for the box of that id in the private directory `dir`. False: there can be none.
 * The name is the id and DOOR_SUFFIX, by which the next host finds one that a killed host left.
 */
bool door_open(struct door *door, const char *dir, const char *id);
/*
 * The connection, non-blocking; then the door is closed. -1: nobody has come yet, or, when the door
 * is closed, nobody can be let in.
 */
int door_accept(struct door *door);
/* Removes what there is of it. */
void door_close(struct door *door);

#define _cleanup_door_ __attribute__((cleanup(door_close)))

#endif
