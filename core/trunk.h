/* SPDX-License-Identifier: MIT */
/*
 * A trunk: one connection into a box that stays, which the one-off calls of a sandbox share, for
 * backends with SANDBOX_TRUNK. It is a process of ours. It begins beside the calls when one of them
 * has come through, and no call ever waits for it: where it is not ready, has ended or is full, and
 * in a process that was forked since, a call makes a connection of its own.
 */
#ifndef CORE_TRUNK_H
#define CORE_TRUNK_H

#include "sandbox.h"

struct call;
struct trunk;

/* Makes what the config wants; *trunk stays NULL when that is none. Starts nothing. */
int trunk_open(struct sandbox *sandbox, const struct config_sandbox *config, struct trunk **trunk,
	       struct hookbox_error *error);
/* Ends its process. No call may be running. NULL is ignored. */
void trunk_close(struct trunk *trunk);

/*
 * [any] The path that the call's plan is to go through, lent until trunk_leave(); NULL: the call
 * makes its own connection. A trunk of NULL has none.
 */
const char *trunk_enter(struct trunk *trunk, const struct call *call);
/* [any] The call is over, whether or not it got a path; its result says how. */
void trunk_leave(struct trunk *trunk, const struct call *call);

#endif
