/* SPDX-License-Identifier: MIT */
#include "own_lines.h"

/* No line is longer; what is held must not grow with what comes. */
#define HOLD_MAX (32 * 1024)

/* Hands on what is in front of the next own line and takes that out; false when it has to wait. */
static bool take_line(struct own_lines *lines, int64_t pid, int *stop)
{
	struct buf *hold = &lines->hold;
	size_t length = 0;
	size_t at = lines->plugin->find_own_line(lines->instance, hold->data, hold->size, pid,
						 &length);
	int code = 0;

	if (at > hold->size || (at < hold->size && !length && hold->size - at > HOLD_MAX))
		at = hold->size;
	if (at)
		code = lines->emit(lines->data, hold->data, at);
	if (!*stop)
		*stop = code;
	if (length > hold->size - at)
		length = hold->size - at;
	buf_consume(hold, at + length);
	return length && hold->size;
}

int own_lines_feed(struct own_lines *lines, const char *bytes, size_t n, int64_t pid)
{
	int stop = 0;

	if (!lines->plugin->find_own_line)
		return lines->emit(lines->data, bytes, n);
	buf_add(&lines->hold, bytes, n);
	while (lines->hold.size && take_line(lines, pid, &stop))
		;
	return stop;
}

int own_lines_finish(struct own_lines *lines)
{
	int stop = 0;

	if (lines->hold.size)
		stop = lines->emit(lines->data, lines->hold.data, lines->hold.size);
	buf_free(&lines->hold);
	return stop;
}
