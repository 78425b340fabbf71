/* SPDX-License-Identifier: MIT */
/* What an agent reads from a host: any bytes behind magic and HELLO; the blocks of calls as well. */
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

/* A block that passes is made again of its own strings. */
static void look_at_block(const struct frame_call *call)
{
	const char **argv, **env;
	unsigned char *block;
	uint32_t argc, envc;
	const char *cwd;

	if (call->block_here != call->block_size ||
	    frame_block_check(call->block, call->block_size, call->argc, call->envc))
		return;
	argv = calloc(call->argc + 1, sizeof(*argv));
	env = calloc(call->envc + 1, sizeof(*env));
	cwd = frame_block_split(call->block, call->argc, call->envc, argv, env);
	check(frame_block_make(NULL, cwd, argv, env, &argc, &envc) == call->block_size);
	check(argc == call->argc && envc == call->envc);
	block = malloc(call->block_size);
	frame_block_make(block, cwd, argv, env, &argc, &envc);
	check(!memcmp(block, call->block, call->block_size));
	free(block);
	free(argv);
	free(env);
}

static void same(const struct frame *frame, size_t put)
{
	check(put == FRAME_HEADER_SIZE + (size_t)frame->size);
	check(!memcmp(again + FRAME_HEADER_SIZE, frame->data, frame->size));
}

static void look_at(const struct frame *frame)
{
	union {
		struct frame_host_hello hello;
		struct frame_bye bye;
		struct frame_call call;
		struct frame_kill kill;
		struct frame_credit credit;
	} to;

	switch (frame->type) {
	case FRAME_HELLO:
		frame_get_host_hello(frame, &to.hello);
		break;
	case FRAME_BYE:
		frame_get_bye(frame, &to.bye);
		break;
	case FRAME_CALL:
		if (frame_get_call(frame, &to.call))
			break;
		same(frame, frame_put_call(again, sizeof(again), frame->call, &to.call));
		look_at_block(&to.call);
		break;
	case FRAME_KILL:
		if (!frame_get_kill(frame, &to.kill))
			same(frame, frame_put_kill(again, sizeof(again), frame->call, &to.kill));
		break;
	case FRAME_CREDIT:
		if (!frame_get_credit(frame, &to.credit))
			same(frame, frame_put_credit(again, sizeof(again), frame->call, &to.credit));
		break;
	case FRAME_BLOCK:
	case FRAME_IN:
		same(frame, frame_put_data(again, sizeof(again), frame->type, frame->call,
					   frame->data, frame->size));
		break;
	default:
		break;
	}
}

/* One byte of the input says whether the greeting is put in front, which is seldom found. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned char buffer[FRAME_READER_MIN + 4096];
	const struct frame_host_hello hello = {FRAME_VERSION, 0, 1000};
	struct frame_reader reader;
	struct frame frame;
	size_t room;
	void *to;
	int r;

	frame_reader_init(&reader, FRAME_FROM_HOST, buffer, sizeof(buffer));
	if (size && data[0] & 1)
		frame_reader_add(&reader,
				 frame_put_host_hello(frame_reader_room(&reader, &room), 100, &hello));
	for (size_t at = 1; at < size;) {
		size_t n = size - at;

		to = frame_reader_room(&reader, &room);
		check(room > 0);
		n = n < room ? n : room;
		memcpy(to, data + at, n);
		frame_reader_add(&reader, n);
		at += n;
		while ((r = frame_reader_next(&reader, &frame)) > 0)
			look_at(&frame);
		if (r < 0)
			return 0;
	}
	return 0;
}
