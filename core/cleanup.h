/* SPDX-License-Identifier: MIT */
/* The one idiom for cleanup: variables that release themselves when they go out of scope. */
#ifndef CORE_CLEANUP_H
#define CORE_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

static inline void cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

/* Closes *fd and sets it to -1; keeps errno. */
static inline void cleanup_close(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		close(*fd);
		*fd = -1;
		errno = saved;
	}
}

static inline void cleanup_fclose(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)

/* Gives up ownership: the pointer's value, with NULL left in its place. */
#define take_pointer(pointer)                   \
	({                                      \
		__typeof__(pointer) _taken = (pointer); \
		(pointer) = NULL;               \
		_taken;                         \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#endif
