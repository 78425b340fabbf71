/* SPDX-License-Identifier: MIT */
/* What differs between systems. With AGENT_PORTABLE, Linux is treated as any other. */
#ifndef AGENT_SYSTEM_H
#define AGENT_SYSTEM_H

#if defined(__linux__) && !defined(AGENT_PORTABLE)
#define AGENT_LINUX 1
#endif

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#ifndef O_PATH
#define O_PATH O_RDONLY
#endif

/* Closes every descriptor from `first` on. */
void system_close_from(int first);
/* Nothing is ignored, as it would be in commands as well. */
void system_default_signals(void);
/* The signal does nothing but end a wait; a command has its default again. */
void system_wake_by(int signo);
/* Others of this user cannot look into this process or write to its descriptors. */
bool system_hide(void);
/* Orphans among this process's descendants become its children. */
bool system_adopt_orphans(void);
/* What a child of vfork() writes before exec is seen here. Emulators make a fork of it. */
bool system_vfork_shares(void);
/* This process is killed when its parent ends. */
void system_die_with_parent(void);
/* An errno value in Linux's numbers. */
uint32_t system_error_number(int error);

/*
 * Calls visit() for the children of this process, which has one thread. One may be missed while
 * others end: look again. False: they cannot be listed.
 */
bool system_each_child(void (*visit)(void *data, pid_t pid), void *data);

#endif
