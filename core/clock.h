/* SPDX-License-Identifier: MIT */
/* Monotonic time. */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_NEVER INT64_MAX

static inline int64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* `ms` from now, for a deadline; CLOCK_NEVER for a negative one or one beyond time's end. */
static inline int64_t clock_deadline_us(int64_t ms)
{
	if (ms < 0 || ms > INT64_MAX / 2000)
		return CLOCK_NEVER;
	return clock_us() + ms * 1000;
}

/* For poll(): until then, and no longer than a minute. */
static inline int clock_poll_ms(int64_t until_us)
{
	int64_t left = until_us == CLOCK_NEVER ? 60000000 : until_us - clock_us();

	return left <= 0 ? 0 : left > 60000000 ? 60000 : (int)((left + 999) / 1000);
}

#endif
