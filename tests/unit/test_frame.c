/* SPDX-License-Identifier: MIT */
/* Each frame as bytes, and everything that must not pass. */
#include "unit.h"

#include "frame.h"

static unsigned char bytes[FRAME_MAX];

/* The frame's header and payload are these; gaps in `expected` are for reading. */
static void is_hex(size_t size, const char *expected)
{
	size_t n = 0;

	for (const char *at = expected; *at; at++) {
		unsigned int byte;

		if (*at == ' ')
			continue;
		assert_int_equal(sscanf(at++, "%2x", &byte), 1);
		if (n >= size || bytes[n] != byte)
			fail_msg("byte %zu of %zu is not %02x: %02x", n, size, byte, bytes[n]);
		n++;
	}
	assert_int_equal(n, size);
}

#define MAGIC "89484241 0d0a1a0a "

/* Reads one frame from what was encoded. `greeting`: it begins with the magic. */
static int read_back(enum frame_side from, size_t size, bool greeting, struct frame *frame)
{
	static unsigned char buffer[FRAME_READER_MIN];
	struct frame_reader reader;
	size_t room;

	frame_reader_init(&reader, from, buffer, sizeof(buffer));
	reader.begun = reader.greeted = !greeting;
	memcpy(frame_reader_room(&reader, &room), bytes, size);
	frame_reader_add(&reader, size);
	return frame_reader_next(&reader, frame);
}

static void test_agent_hello(void **state)
{
	const struct frame_agent_hello hello = {
		.version = 1, .oldest = 1, .features = 3, .max_calls = 4096, .max_block = 4 << 20,
		.stdin_window = 65536, .pid = 7, .name = "a 1", .system = "Linux", .machine = "x"};
	struct frame_agent_hello back;
	struct frame frame;
	size_t size = frame_put_agent_hello(bytes, sizeof(bytes), &hello);

	is_hex(size,
	       MAGIC "24000000 01 000000 00000000 0100 0100 03000000 00100000 00004000 00000100 "
		     "07000000 61203100 4c696e757800 7800");
	assert_int_equal(read_back(FRAME_FROM_AGENT, size, true, &frame), 1);
	assert_int_equal(frame_get_agent_hello(&frame, &back), 0);
	assert_int_equal(back.max_calls, 4096);
	assert_int_equal(back.pid, 7);
	assert_string_equal(back.system, "Linux");
	assert_string_equal(back.machine, "x");
	assert_int_equal(frame_put_agent_hello(bytes, size - 1, &hello), 0);
}

static void test_host_hello(void **state)
{
	const struct frame_host_hello hello = {1, FRAME_ONCE, 90000, ""};
	struct frame_host_hello back;
	struct frame frame;
	size_t size = frame_put_host_hello(bytes, sizeof(bytes), &hello);

	is_hex(size, MAGIC "0c000000 01 000000 00000000 0100 0000 01000000 905f0100");
	assert_int_equal(read_back(FRAME_FROM_HOST, size, true, &frame), 1);
	assert_int_equal(frame_get_host_hello(&frame, &back), 0);
	assert_int_equal(back.version, 1);
	assert_int_equal(back.flags, FRAME_ONCE);
	assert_int_equal(back.silence_ms, 90000);
	assert_string_equal(back.program, "");
}

static void test_program_in_host_hello(void **state)
{
	struct frame_host_hello hello = {.version = 1, .program = "/a b"}, back;
	size_t size = frame_put_host_hello(bytes, sizeof(bytes), &hello);
	struct frame frame;

	is_hex(size, MAGIC "11000000 01 000000 00000000 0100 0000 00000000 00000000 2f61206200");
	assert_int_equal(read_back(FRAME_FROM_HOST, size, true, &frame), 1);
	assert_int_equal(frame_get_host_hello(&frame, &back), 0);
	assert_string_equal(back.program, "/a b");
	assert_int_equal(frame_put_host_hello(bytes, size - 1, &hello), 0);
	memset(hello.program, 'x', FRAME_PROGRAM_MAX);
	size = frame_put_host_hello(bytes, sizeof(bytes), &hello);
	assert_int_equal(read_back(FRAME_FROM_HOST, size, true, &frame), 1);
	assert_int_equal(frame_get_host_hello(&frame, &back), 0);
	assert_string_equal(back.program, hello.program);
	/* One without an end is none. */
	frame.size--;
	assert_int_equal(frame_get_host_hello(&frame, &back), 0);
	assert_string_equal(back.program, "");
}

static void test_small_frames(void **state)
{
	const struct frame_bye bye = {FRAME_BYE_SILENCE, "so"};
	const struct frame_kill kill = {FRAME_CANCELLED, 2000};
	const struct frame_credit credit = {2, 32768};

	is_hex(frame_put_bye(bytes, sizeof(bytes), &bye), "03000000 02 000000 00000000 02 736f");
	is_hex(frame_put_ping(bytes, sizeof(bytes), FRAME_PING, "12345678"),
	       "08000000 03 000000 00000000 3132333435363738");
	is_hex(frame_put_ping(bytes, sizeof(bytes), FRAME_PONG, "12345678"),
	       "08000000 04 000000 00000000 3132333435363738");
	is_hex(frame_put_eof(bytes, sizeof(bytes), 258), "00000000 13 000000 02010000");
	is_hex(frame_put_kill(bytes, sizeof(bytes), 5, &kill),
	       "08000000 14 000000 05000000 04000000 d0070000");
	is_hex(frame_put_credit(bytes, sizeof(bytes), 5, &credit),
	       "08000000 15 000000 05000000 02000000 00800000");
	is_hex(frame_put_data(bytes, sizeof(bytes), FRAME_BLOCK, 5, "b", 1),
	       "01000000 11 000000 05000000 62");
	is_hex(frame_put_data(bytes, sizeof(bytes), FRAME_IN, 5, "\0\xff", 2),
	       "02000000 12 000000 05000000 00ff");
	is_hex(frame_put_data(bytes, sizeof(bytes), FRAME_OUT, 5, "o", 1),
	       "01000000 20 000000 05000000 6f");
	is_hex(frame_put_data(bytes, sizeof(bytes), FRAME_ERR, 5, "e", 1),
	       "01000000 21 000000 05000000 65");
	is_hex(frame_put_data_header(bytes, sizeof(bytes), FRAME_ERR, 5, 32768),
	       "00800000 21 000000 05000000");
}

static const char *const argv[] = {"sh", "", NULL};
static const char *const env[] = {"A=", "B=c", NULL};

static size_t put_call(struct frame_call *call, unsigned char *block)
{
	*call = (struct frame_call){
		.flags = FRAME_CLEAN_ENV | FRAME_STDIN_WHOLE,
		.grace_ms = 2000,
		.timeout_ms = 3000,
		.limit = {FRAME_NO_LIMIT, 9},
		.window = {65536, 1},
		.stdin_data = (const unsigned char *)"in",
		.stdin_size = 2,
	};
	call->block_size = (uint32_t)frame_block_make(block, "/t", argv, env, &call->argc,
						      &call->envc);
	call->block = block;
	call->block_here = call->block_size;
	return frame_put_call(bytes, sizeof(bytes), 1, call);
}

static void test_call(void **state)
{
	const char *args[3], *vars[3];
	unsigned char block[64];
	struct frame_call call, back;
	struct frame frame;
	size_t size = put_call(&call, block);

	is_hex(size,
	       "48000000 10 000000 01000000 03000000 d0070000 b80b000000000000 ffffffffffffffff "
	       "0900000000000000 00000100 01000000 02000000 02000000 0e000000 0e000000 "
	       "2f7400 736800 00 413d00 423d6300 696e");
	assert_int_equal(read_back(FRAME_FROM_HOST, size, false, &frame), 1);
	assert_int_equal(frame_get_call(&frame, &back), 0);
	assert_int_equal(back.timeout_ms, 3000);
	assert_int_equal(back.stdin_size, 2);
	assert_memory_equal(back.stdin_data, "in", 2);
	assert_int_equal(frame_block_check(back.block, back.block_size, back.argc, back.envc), 0);
	assert_string_equal(frame_block_split(back.block, back.argc, back.envc, args, vars), "/t");
	assert_string_equal(args[0], "sh");
	assert_string_equal(args[1], "");
	assert_null(args[2]);
	assert_string_equal(vars[1], "B=c");
	assert_null(vars[2]);
}

static void test_exit(void **state)
{
	const struct frame_exit exit = {
		.end = FRAME_NOT_STARTED, .step = FRAME_STEP_COMMAND, .cleanup = FRAME_PROVEN,
		.flags = FRAME_TRUNCATED, .error_number = 2, .total = {3, 4}, .dropped = {1, 4},
		.start_us = 5, .duration_us = 6, .text = "why"};
	struct frame_exit back;
	struct frame frame;
	size_t size = frame_put_exit(bytes, sizeof(bytes), 9, &exit);

	is_hex(size, "43000000 22 000000 09000000 06 02 02 01 00000000 02000000 00000000 "
		     "0300000000000000 0400000000000000 0100000000000000 0400000000000000 "
		     "0500000000000000 0600000000000000 776879");
	assert_int_equal(read_back(FRAME_FROM_AGENT, size, false, &frame), 1);
	assert_int_equal(frame_get_exit(&frame, &back), 0);
	assert_int_equal(back.dropped[1], 4);
	assert_string_equal(back.text, "why");
}

/* ---- What must not pass ---- */

/* A header with a payload of zeros: what the reader says of it. */
static int judged(enum frame_side from, uint32_t size, unsigned int type, uint32_t call)
{
	struct frame frame;

	memset(bytes, 0, sizeof(bytes));
	for (int i = 0; i < 4; i++) {
		bytes[i] = (unsigned char)(size >> (8 * i));
		bytes[8 + i] = (unsigned char)(call >> (8 * i));
	}
	bytes[4] = (unsigned char)type;
	return read_back(from, size <= FRAME_PAYLOAD_MAX ? FRAME_HEADER_SIZE + size
							 : FRAME_HEADER_SIZE,
			 false, &frame);
}

static void test_every_length_is_checked(void **state)
{
	static const struct {
		unsigned int type, min, max;
		int by;		/* 1 agent, 2 host */
		bool of_call;
	} rules[] = {
		{FRAME_BYE, 1, 513, 3, false},	 {FRAME_PING, 8, 8, 3, false},
		{FRAME_PONG, 8, 8, 3, false},	 {FRAME_CALL, 56, 65536, 2, true},
		{FRAME_BLOCK, 1, 65536, 2, true}, {FRAME_IN, 1, 32768, 2, true},
		{FRAME_EOF, 0, 0, 3, true},	 {FRAME_KILL, 8, 8, 2, true},
		{FRAME_CREDIT, 8, 8, 3, true},	 {FRAME_OUT, 1, 32768, 1, true},
		{FRAME_ERR, 1, 32768, 1, true},	 {FRAME_EXIT, 64, 576, 1, true},
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		for (int side = 0; side < 2; side++) {
			uint32_t id = rules[i].of_call;
			unsigned int type = rules[i].type;

			if (!(rules[i].by & (side + 1))) {
				assert_int_equal(judged(side, rules[i].min, type, id),
						 FRAME_BAD_TYPE);
				continue;
			}
			assert_int_equal(judged(side, rules[i].min, type, id), 1);
			assert_int_equal(judged(side, rules[i].max, type, id), 1);
			assert_int_equal(judged(side, rules[i].max + 1, type, id), FRAME_BAD_SIZE);
			assert_int_equal(judged(side, UINT32_MAX, type, id), FRAME_BAD_SIZE);
			if (rules[i].min)
				assert_int_equal(judged(side, rules[i].min - 1, type, id),
						 FRAME_BAD_SIZE);
			assert_int_equal(judged(side, rules[i].min, type, !id), FRAME_BAD_CALL);
		}
	}
}

static void test_types_flags_and_order(void **state)
{
	struct frame frame;

	assert_int_equal(judged(FRAME_FROM_HOST, 0, 0, 0), FRAME_BAD_TYPE);
	assert_int_equal(judged(FRAME_FROM_HOST, 0, 127, 0), FRAME_BAD_TYPE);
	assert_int_equal(judged(FRAME_FROM_HOST, 12, FRAME_HELLO, 0), FRAME_BAD_ORDER);
	/* Optional ones are skipped: there is no frame yet. */
	assert_int_equal(judged(FRAME_FROM_HOST, 65536, 128, 0), 0);
	assert_int_equal(judged(FRAME_FROM_HOST, 65537, 128, 0), FRAME_BAD_SIZE);
	for (int i = 5; i < 8; i++) {
		size_t size = frame_put_eof(bytes, sizeof(bytes), 1);

		bytes[i] = 1;
		assert_int_equal(read_back(FRAME_FROM_HOST, size, false, &frame), FRAME_BAD_FLAGS);
	}
	memcpy(bytes, FRAME_MAGIC, FRAME_MAGIC_SIZE);
	frame_put_eof(bytes + FRAME_MAGIC_SIZE, 100, 1);
	assert_int_equal(read_back(FRAME_FROM_HOST, FRAME_MAGIC_SIZE + 12, true, &frame),
			 FRAME_BAD_ORDER);
	assert_int_equal(read_back(FRAME_FROM_HOST, 0, true, &frame), 0);
	bytes[3] ^= 1;
	assert_int_equal(read_back(FRAME_FROM_HOST, 4, true, &frame), FRAME_BAD_MAGIC);
}

/* Every cut of a payload gives an error of its decoder, never a read behind it. */
static void test_decoders_check_sizes_of_their_own(void **state)
{
	union {
		struct frame_agent_hello agent;
		struct frame_host_hello host;
		struct frame_bye bye;
		struct frame_kill kill;
		struct frame_credit credit;
		struct frame_exit exit;
		struct frame_call call;
	} to;

	for (uint32_t size = 0; size < 24; size++) {
		unsigned char *exact = calloc(size ? size : 1, 1);
		struct frame frame = {.data = exact, .size = size};

		assert_true(frame_get_agent_hello(&frame, &to.agent) < 0);
		assert_true(frame_get_host_hello(&frame, &to.host) < 0);
		assert_int_equal(frame_get_bye(&frame, &to.bye), size ? 0 : FRAME_BAD_SIZE);
		assert_true(frame_get_kill(&frame, &to.kill) < 0);
		assert_true(frame_get_credit(&frame, &to.credit) < 0);
		assert_int_equal(frame_get_exit(&frame, &to.exit), FRAME_BAD_SIZE);
		assert_int_equal(frame_get_call(&frame, &to.call), FRAME_BAD_SIZE);
		free(exact);
	}
}

/* Changes one byte of an encoded frame: is it refused? */
#define REFUSES(decode, to, at, byte, error)                                                       \
	do {                                                                                       \
		unsigned char _was = bytes[at];                                                    \
		bytes[at] = (byte);                                                                \
		assert_int_equal(decode(&frame, to), (error));                                     \
		bytes[at] = _was;                                                                  \
		assert_int_equal(decode(&frame, to), 0);                                           \
	} while (0)

static void test_fields_of_call(void **state)
{
	unsigned char block[64];
	struct frame_call call, back;
	size_t size = put_call(&call, block);
	struct frame frame = {.data = bytes + 12, .size = (uint32_t)size - 12};

	REFUSES(frame_get_call, &back, 12, 8, FRAME_BAD_FLAGS);
	REFUSES(frame_get_call, &back, 15, 1, FRAME_BAD_FLAGS);
	REFUSES(frame_get_call, &back, 47, 0x41, FRAME_BAD_VALUE);	/* window */
	REFUSES(frame_get_call, &back, 52, 0, FRAME_BAD_BLOCK);		/* argc */
	REFUSES(frame_get_call, &back, 59, 0xff, FRAME_BAD_BLOCK);	/* envc */
	REFUSES(frame_get_call, &back, 60, 13, FRAME_BAD_BLOCK);	/* less than is here */
	REFUSES(frame_get_call, &back, 63, 1, FRAME_BAD_BLOCK);		/* too large */
	REFUSES(frame_get_call, &back, 64, 17, FRAME_BAD_SIZE);		/* more than there is */
	call.argc = 0;
	assert_int_equal(frame_put_call(bytes, sizeof(bytes), 1, &call), 0);
	call.argc = 2;
	assert_int_equal(frame_put_call(bytes, sizeof(bytes), 0, &call), 0);
}

static void test_fields_of_exit_kill_credit(void **state)
{
	const struct frame_exit exit = {.end = FRAME_EXITED, .total = {1, 0}};
	const struct frame_kill kill = {FRAME_CANCELLED, 1};
	const struct frame_credit credit = {1, 1};
	struct frame frame = {.data = bytes + 12, .size = 64};
	struct frame_exit exit_back;
	struct frame_kill kill_back;
	struct frame_credit credit_back;

	frame_put_exit(bytes, sizeof(bytes), 1, &exit);
	REFUSES(frame_get_exit, &exit_back, 12, 0, FRAME_BAD_VALUE);	/* end */
	REFUSES(frame_get_exit, &exit_back, 12, 8, FRAME_BAD_VALUE);
	REFUSES(frame_get_exit, &exit_back, 12, FRAME_SIGNALED, FRAME_BAD_VALUE); /* by no signal */
	REFUSES(frame_get_exit, &exit_back, 12, FRAME_NOT_STARTED, FRAME_BAD_VALUE); /* no step */
	REFUSES(frame_get_exit, &exit_back, 13, 1, FRAME_BAD_VALUE);	/* a step of nothing */
	REFUSES(frame_get_exit, &exit_back, 14, 3, FRAME_BAD_VALUE);	/* cleanup */
	REFUSES(frame_get_exit, &exit_back, 15, 4, FRAME_BAD_FLAGS);
	REFUSES(frame_get_exit, &exit_back, 17, 1, FRAME_BAD_VALUE);	/* exit code 256 */
	REFUSES(frame_get_exit, &exit_back, 20, 1, FRAME_BAD_VALUE);	/* errno of nothing */
	REFUSES(frame_get_exit, &exit_back, 24, 1, FRAME_BAD_FLAGS);
	REFUSES(frame_get_exit, &exit_back, 44, 2, FRAME_BAD_VALUE);	/* dropped > total */
	frame.size = 8;
	frame_put_kill(bytes, sizeof(bytes), 1, &kill);
	REFUSES(frame_get_kill, &kill_back, 12, FRAME_EXITED, FRAME_BAD_VALUE);
	REFUSES(frame_get_kill, &kill_back, 13, 1, FRAME_BAD_VALUE);
	frame_put_credit(bytes, sizeof(bytes), 1, &credit);
	REFUSES(frame_get_credit, &credit_back, 12, 3, FRAME_BAD_VALUE);
	REFUSES(frame_get_credit, &credit_back, 16, 0, FRAME_BAD_VALUE);
	REFUSES(frame_get_credit, &credit_back, 19, 0x41, FRAME_BAD_VALUE);
}

static void test_versions(void **state)
{
	struct frame_agent_hello hello = {.version = 7, .oldest = 1, .max_calls = 1,
					  .stdin_window = 1};
	struct frame frame = {.data = bytes + 20};

	frame.size = (uint32_t)frame_put_agent_hello(bytes, sizeof(bytes), &hello) - 20;
	assert_int_equal(frame_get_agent_hello(&frame, &hello), 0);
	REFUSES(frame_get_agent_hello, &hello, 20, 0, FRAME_BAD_VERSION);
	REFUSES(frame_get_agent_hello, &hello, 22, 2, FRAME_BAD_VERSION);
	REFUSES(frame_get_agent_hello, &hello, 28, 0, FRAME_BAD_VALUE);		/* no calls */
	REFUSES(frame_get_agent_hello, &hello, 36, 0, FRAME_BAD_VALUE);		/* no window */
	bytes[20 + frame.size - 1] = 'x';	/* no NUL */
	assert_int_equal(frame_get_agent_hello(&frame, &hello), FRAME_BAD_VALUE);
}

static void test_blocks(void **state)
{
#define CHECK(block, argc, envc) frame_block_check(block, sizeof(block) - 1, argc, envc)
	assert_int_equal(CHECK("\0a\0", 1, 0), 0);
	assert_int_equal(CHECK("/\0a\0\0A=\0", 2, 1), 0);
	assert_int_equal(CHECK("\0a\0", 0, 1), FRAME_BAD_BLOCK);
	assert_int_equal(CHECK("\0a\0", 2, 0), FRAME_BAD_BLOCK);
	assert_int_equal(CHECK("\0a\0b\0", 1, 0), FRAME_BAD_BLOCK);
	assert_int_equal(CHECK("\0a", 1, 0), FRAME_BAD_BLOCK);
	assert_int_equal(CHECK("\0\0", 1, 0), FRAME_BAD_BLOCK);		/* no command */
	assert_int_equal(CHECK("\0a\0A\0", 1, 1), FRAME_BAD_BLOCK);	/* no = */
	assert_int_equal(CHECK("\0a\0=x\0", 1, 1), FRAME_BAD_BLOCK);	/* no name */
	assert_int_equal(frame_block_check("", 0, 1, 0), FRAME_BAD_BLOCK);
	assert_int_equal(CHECK("\0a\0", UINT32_MAX, UINT32_MAX), FRAME_BAD_BLOCK);
}

static void test_block_too_large(void **state)
{
	char *large = malloc(FRAME_BLOCK_MAX + 1);
	const char *args[] = {"a", large, NULL};
	uint32_t argc, envc;

	memset(large, 'x', FRAME_BLOCK_MAX);
	large[FRAME_BLOCK_MAX] = '\0';
	assert_int_equal(frame_block_make(NULL, NULL, args, NULL, &argc, &envc), 0);
	large[FRAME_BLOCK_MAX - 4] = '\0';
	assert_int_equal(frame_block_make(NULL, NULL, args, NULL, &argc, &envc), FRAME_BLOCK_MAX);
	free(large);
}

/* ---- A stream ---- */

/* What a CLI has to say comes before; every cut of the stream gives the same frames. */
static void test_noise_and_every_cut(void **state)
{
	static const char noise[] = "Warning: \x89HBA\r\n of no use\n\x89\x89";
	const struct frame_agent_hello hello = {.version = 1, .oldest = 1, .max_calls = 1,
						.stdin_window = 1};
	static unsigned char stream[4096], buffer[FRAME_READER_MIN];
	size_t size = sizeof(noise) - 1;

	memcpy(stream, noise, size);
	size += frame_put_agent_hello(stream + size, 1000, &hello);
	memcpy(stream + size, "\3\0\0\0\x80\0\0\0\0\0\0\0abc", 15);	/* optional, skipped */
	size += 15;
	size += frame_put_data(stream + size, 1000, FRAME_OUT, 1, "out", 3);
	for (size_t cut = 0; cut <= size; cut++) {
		const size_t parts[] = {cut, size - cut};
		struct frame_reader reader;
		struct frame frame;
		size_t at = 0, n, room;
		int found = 0;

		frame_reader_init(&reader, FRAME_FROM_AGENT, buffer, sizeof(buffer));
		for (int i = 0; i < 2; i++) {
			memcpy(frame_reader_room(&reader, &room), stream + at, parts[i]);
			frame_reader_add(&reader, parts[i]);
			at += parts[i];
			while (frame_reader_next(&reader, &frame) == 1) {
				if (!found) {
					assert_memory_equal(frame_reader_noise(&reader, &n), noise,
							    sizeof(noise) - 1);
					assert_int_equal(n, sizeof(noise) - 1);
				}
				assert_int_equal(frame.type, found++ ? FRAME_OUT : FRAME_HELLO);
			}
		}
		assert_int_equal(found, 2);
		assert_memory_equal(frame.data, "out", 3);
	}
}

static void test_noise_has_a_limit(void **state)
{
	static unsigned char buffer[FRAME_READER_MIN];
	struct frame_reader reader;
	struct frame frame;
	size_t n, room;

	frame_reader_init(&reader, FRAME_FROM_AGENT, buffer, sizeof(buffer));
	memset(frame_reader_room(&reader, &room), 'x', FRAME_NOISE_MAX);
	frame_reader_add(&reader, FRAME_NOISE_MAX);
	assert_int_equal(frame_reader_next(&reader, &frame), 0);
	frame_reader_noise(&reader, &n);
	assert_int_equal(n, FRAME_NOISE_MAX);
	memset(frame_reader_room(&reader, &room), 'x', 1);
	frame_reader_add(&reader, 1);
	assert_int_equal(frame_reader_next(&reader, &frame), FRAME_BAD_MAGIC);
	assert_int_equal(frame_reader_next(&reader, &frame), FRAME_BAD_MAGIC);
	for (int error = 0; error > -10; error--)
		assert_true(strlen(frame_error_text(error)) > 10);
}

static void test_texts_are_harmless(void **state)
{
	struct frame_bye bye = {FRAME_BYE_FAILED, "a\x1b[2Jb\nc\x7f"};
	struct frame frame;
	size_t size = frame_put_bye(bytes, sizeof(bytes), &bye);

	assert_int_equal(read_back(FRAME_FROM_AGENT, size, false, &frame), 1);
	assert_int_equal(frame_get_bye(&frame, &bye), 0);
	assert_string_equal(bye.text, "a?[2Jb?c?");
}

static void test_encoders_refuse(void **state)
{
	const struct frame_kill kill = {FRAME_EXITED, 0};
	const struct frame_credit credit = {1, 0};
	const struct frame_exit exit = {.end = FRAME_NOT_STARTED};

	assert_int_equal(frame_put_data(bytes, sizeof(bytes), FRAME_OUT, 1, "", 0), 0);
	assert_int_equal(frame_put_data_header(bytes, sizeof(bytes), FRAME_OUT, 1, 32769), 0);
	assert_int_equal(frame_put_data_header(bytes, sizeof(bytes), FRAME_OUT, 0, 1), 0);
	assert_int_equal(frame_put_data(bytes, 12, FRAME_OUT, 1, "x", 1), 0);
	assert_int_equal(frame_put_eof(bytes, sizeof(bytes), 0), 0);
	assert_int_equal(frame_put_kill(bytes, sizeof(bytes), 1, &kill), 0);
	assert_int_equal(frame_put_credit(bytes, sizeof(bytes), 1, &credit), 0);
	assert_int_equal(frame_put_exit(bytes, sizeof(bytes), 1, &exit), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agent_hello),
		cmocka_unit_test(test_host_hello),
		cmocka_unit_test(test_program_in_host_hello),
		cmocka_unit_test(test_small_frames),
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_every_length_is_checked),
		cmocka_unit_test(test_types_flags_and_order),
		cmocka_unit_test(test_decoders_check_sizes_of_their_own),
		cmocka_unit_test(test_fields_of_call),
		cmocka_unit_test(test_fields_of_exit_kill_credit),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_block_too_large),
		cmocka_unit_test(test_noise_and_every_cut),
		cmocka_unit_test(test_noise_has_a_limit),
		cmocka_unit_test(test_texts_are_harmless),
		cmocka_unit_test(test_encoders_refuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
