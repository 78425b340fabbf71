/* SPDX-License-Identifier: MIT */
/*
 * What a host reads from an agent: any bytes, cut anywhere. The first byte says where. What passes
 * the reader and a decoder is encoded again to the same frame.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static unsigned char again[FRAME_MAX];

/* The decoder's and the encoder's ideas of a payload are one. Texts may be changed: not `exact`. */
static void same(const struct frame *frame, size_t put, bool exact)
{
	check(put == FRAME_HEADER_SIZE + (size_t)frame->size);
	check(!exact || !memcmp(again + FRAME_HEADER_SIZE, frame->data, frame->size));
}

static void look_at(const struct frame *frame)
{
	union {
		struct frame_agent_hello hello;
		struct frame_bye bye;
		struct frame_credit credit;
		struct frame_exit exit;
	} to;

	check(frame->size <= FRAME_PAYLOAD_MAX);
	switch (frame->type) {
	case FRAME_HELLO:
		if (!frame_get_agent_hello(frame, &to.hello))
			check(frame_put_agent_hello(again, sizeof(again), &to.hello) <=
			      FRAME_MAGIC_SIZE + FRAME_HEADER_SIZE + (size_t)frame->size);
		break;
	case FRAME_BYE:
		if (!frame_get_bye(frame, &to.bye))
			same(frame, frame_put_bye(again, sizeof(again), &to.bye), false);
		break;
	case FRAME_CREDIT:
		if (!frame_get_credit(frame, &to.credit))
			same(frame, frame_put_credit(again, sizeof(again), frame->call, &to.credit),
			     true);
		break;
	case FRAME_EXIT:
		if (!frame_get_exit(frame, &to.exit)) {
			size_t put = frame_put_exit(again, sizeof(again), frame->call, &to.exit);

			same(frame, put, !to.exit.text[0]);
		}
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned char buffer[FRAME_READER_MIN];
	size_t step = size ? 1 + data[0] * 8u : 1;
	struct frame_reader reader;
	struct frame frame;
	size_t noise;
	int r = 0;

	frame_reader_init(&reader, FRAME_FROM_AGENT, buffer, sizeof(buffer));
	for (size_t at = 1; at < size && r >= 0;) {
		size_t room, n = size - at < step ? size - at : step;
		void *to = frame_reader_room(&reader, &room);

		check(room > 0);
		n = n < room ? n : room;
		memcpy(to, data + at, n);
		frame_reader_add(&reader, n);
		at += n;
		while ((r = frame_reader_next(&reader, &frame)) > 0)
			look_at(&frame);
		frame_reader_noise(&reader, &noise);
		check(noise <= FRAME_NOISE_MAX + FRAME_MAX);
	}
	check(r <= 0 && strlen(frame_error_text(r)) > 0);
	check(r == 0 || frame_reader_next(&reader, &frame) == r);
	return 0;
}
