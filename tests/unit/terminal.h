/* SPDX-License-Identifier: MIT */
/* A terminal of a test's own. */
#ifndef TESTS_TERMINAL_H
#define TESTS_TERMINAL_H

#include "unit.h"

#include <fcntl.h>

/* What is written at fds[1] can be read at fds[0], a moment later. */
static inline void open_terminal(int fds[2])
{
	char name[64];

	fds[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(fds[0] >= 0);
	assert_int_equal(unlockpt(fds[0]), 0);
	assert_int_equal(ptsname_r(fds[0], name, sizeof(name)), 0);
	fds[1] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(fds[1] >= 0);
}

#endif
