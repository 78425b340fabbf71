/* SPDX-License-Identifier: MIT */
/*
 * The ledger: who owns what. Each host has an owner id, which every box and every marked process
 * bears, and a file in a private directory that says which sandboxes it used. The owner id tells
 * the next host on the machine whether the process is gone, and the file what it may have left.
 */
#ifndef CORE_LEDGER_H
#define CORE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct ledger;

/* Makes no file yet: the first ledger_use() does. */
struct ledger *ledger_new(void);
/* Removes this host's file: it left nothing. NULL is ignored. */
void ledger_free(struct ledger *ledger);

/* [0-9a-z-]{1,48}: names this host process on this machine since this boot. */
const char *ledger_owner(const struct ledger *ledger);
/*
 * [any] A new call's id: the owner, "-" and a number of fixed width, so that no id is the beginning
 * of another, and "OWNER-" is the beginning of all of an owner's.
 */
#define LEDGER_CALL_ID_SIZE 64
void ledger_new_call_id(struct ledger *ledger, char id[LEDGER_CALL_ID_SIZE]);
/* The private 0700 directory, made on first use; NULL when there can be none. [any] */
const char *ledger_state_dir(struct ledger *ledger);

/* [any] Something of this host may be left: its file stays for the next one when it ends. */
void ledger_keep(struct ledger *ledger);

/* What is used. Another configuration's sandbox may have the name and lead elsewhere. */
struct ledger_use {
	const char *mode;
	const char *sandbox;
	uint32_t place;		/* tells apart where it leads to */
	const char *box;	/* one box of it, or NULL */
};

/*
 * [any] Notes that this host uses a sandbox, or a box of it, before its first call there. The
 * owners of killed hosts that used the same are handed to `left`, which returns true when it has
 * ended all that they left there; then the note is crossed out. So are, once, those that used one
 * of its name in another place; their note stays for who comes to that. Cheap when there is none.
 */
int ledger_use(struct ledger *ledger, const struct ledger_use *use,
	       bool (*left)(void *data, const char *owner), void *data,
	       struct hookbox_error *error);

#endif
