/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "agent.h"

unsigned char *bytes_reserve(struct bytes *bytes, size_t n)
{
	size_t size = bytes_size(bytes);

	if (bytes->room - bytes->end >= n)
		return bytes->data + bytes->end;
	if (bytes->start) {
		memmove(bytes->data, bytes->data + bytes->start, size);
		bytes->start = 0;
		bytes->end = size;
	}
	if (bytes->room - bytes->end < n) {
		size_t room = bytes->room ? bytes->room : 4096;
		unsigned char *data;

		while (room - size < n)
			room *= 2;
		data = realloc(bytes->data, room);
		if (!data)
			return NULL;
		bytes->data = data;
		bytes->room = room;
	}
	return bytes->data + bytes->end;
}

void bytes_take(struct bytes *bytes, size_t n)
{
	bytes->start += n;
	if (bytes->start == bytes->end)
		bytes->start = bytes->end = 0;
}

void bytes_free(struct bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct bytes){0};
}
