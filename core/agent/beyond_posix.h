/* SPDX-License-Identifier: MIT */
/*
 * All that the agent takes for granted beyond POSIX.1-2008 where it does not use Linux's extras:
 * the portable agent, which the tests build and run, is compiled with nothing else to be seen.
 * NetBSD has all of it since 6.0, and POSIX.1-2024 most. (Flags that one C library shows to
 * everybody are not told apart: SOCK_CLOEXEC, MSG_CMSG_CLOEXEC, MSG_DONTWAIT.)
 */
#ifndef AGENT_BEYOND_POSIX_H
#define AGENT_BEYOND_POSIX_H

#include <signal.h>
#include <sys/types.h>

int dup3(int fd, int to, int flags);
int pipe2(int fds[2], int flags);
pid_t vfork(void);

#ifndef NSIG
#define NSIG (SIGRTMAX + 1)
#endif

#endif
