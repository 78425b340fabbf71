/* SPDX-License-Identifier: MIT */
#include "frame_bytes.h"

const char *frame_error_text(int error)
{
	switch (error) {
	case FRAME_BAD_MAGIC:
		return "its first bytes are not hookbox's, or were changed on the way";
	case FRAME_BAD_TYPE:
		return "it sent a frame of a type that it may not send";
	case FRAME_BAD_SIZE:
		return "it sent a frame of a size that its type does not allow";
	case FRAME_BAD_CALL:
		return "it sent a frame with a wrong call id";
	case FRAME_BAD_ORDER:
		return "it sent a frame where another belongs";
	case FRAME_BAD_VERSION:
		return "it speaks no version of the protocol that is spoken here";
	case FRAME_BAD_FLAGS:
		return "it set bits that must be 0";
	case FRAME_BAD_VALUE:
		return "it sent a value that means nothing";
	case FRAME_BAD_BLOCK:
		return "it sent arguments and environment that are not what it said";
	default:
		return "it keeps to the protocol";
	}
}

/* ---- Reading a stream ---- */

enum { OF_CHANNEL = 1, OF_CALL = 2 };
enum { BY_AGENT = 1, BY_HOST = 2, BY_BOTH = 3 };

static const struct frame_rule {
	unsigned char type;
	unsigned char by;
	unsigned char of;
	uint32_t min, max;
} rules[] = {
	{FRAME_HELLO, BY_BOTH, OF_CHANNEL, HELLO_HOST_SIZE, 4096},
	{FRAME_BYE, BY_BOTH, OF_CHANNEL, 1, 1 + FRAME_TEXT_MAX},
	{FRAME_PING, BY_BOTH, OF_CHANNEL, 8, 8},
	{FRAME_PONG, BY_BOTH, OF_CHANNEL, 8, 8},
	{FRAME_CALL, BY_HOST, OF_CALL, CALL_SIZE, FRAME_PAYLOAD_MAX},
	{FRAME_BLOCK, BY_HOST, OF_CALL, 1, FRAME_PAYLOAD_MAX},
	{FRAME_IN, BY_HOST, OF_CALL, 1, FRAME_DATA_MAX},
	{FRAME_EOF, BY_BOTH, OF_CALL, 0, 0},
	{FRAME_KILL, BY_HOST, OF_CALL, 8, 8},
	{FRAME_CREDIT, BY_BOTH, OF_CALL, 8, 8},
	{FRAME_OUT, BY_AGENT, OF_CALL, 1, FRAME_DATA_MAX},
	{FRAME_ERR, BY_AGENT, OF_CALL, 1, FRAME_DATA_MAX},
	{FRAME_EXIT, BY_AGENT, OF_CALL, EXIT_SIZE, EXIT_SIZE + FRAME_TEXT_MAX},
};

static const struct frame_rule *find_rule(unsigned int type)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++)
		if (rules[i].type == type)
			return &rules[i];
	return NULL;
}

void frame_reader_init(struct frame_reader *reader, enum frame_side from, void *buffer, size_t size)
{
	*reader = (struct frame_reader){.from = from, .buffer = buffer, .buffer_size = size};
}

void *frame_reader_room(struct frame_reader *reader, size_t *room)
{
	/* Noise, magic and HELLO fit together. */
	if (reader->greeted)
		reader->noise = 0;
	if (reader->greeted && reader->start) {
		memmove(reader->buffer, reader->buffer + reader->start,
			reader->end - reader->start);
		reader->end -= reader->start;
		reader->start = 0;
	}
	*room = reader->buffer_size - reader->end;
	return reader->buffer + reader->end;
}

void frame_reader_add(struct frame_reader *reader, size_t n)
{
	reader->end += n;
}

const char *frame_reader_noise(const struct frame_reader *reader, size_t *n)
{
	*n = reader->begun ? reader->noise : reader->end;
	return (const char *)reader->buffer;
}

/* 1: the magic is there and behind us. */
static int find_magic(struct frame_reader *reader)
{
	size_t most = reader->from == FRAME_FROM_AGENT ? FRAME_NOISE_MAX : 0;
	size_t at;

	for (at = reader->start; at < reader->end && at <= most; at++) {
		size_t left = reader->end - at;
		size_t n = left < FRAME_MAGIC_SIZE ? left : FRAME_MAGIC_SIZE;

		if (memcmp(reader->buffer + at, FRAME_MAGIC, n))
			continue;
		reader->start = at; /* what is in front of it was looked at */
		if (n < FRAME_MAGIC_SIZE)
			return 0;
		reader->begun = true;
		reader->noise = at;
		reader->start = at + FRAME_MAGIC_SIZE;
		return 1;
	}
	reader->start = at;
	return at > most ? FRAME_BAD_MAGIC : 0;
}

/* Checks a header against what its type allows. */
static int check_header(const struct frame_reader *reader, const struct frame_rule *rule,
			uint32_t size, uint32_t call)
{
	if (!(rule->by & (reader->from == FRAME_FROM_AGENT ? BY_AGENT : BY_HOST)))
		return FRAME_BAD_TYPE;
	if ((rule->type == FRAME_HELLO) == reader->greeted &&
	    !(rule->type == FRAME_BYE && !reader->greeted))
		return FRAME_BAD_ORDER;
	if (size < rule->min || size > rule->max)
		return FRAME_BAD_SIZE;
	return (rule->of == OF_CALL) == (call != 0) ? 0 : FRAME_BAD_CALL;
}

/* 1: a frame; 0: more is needed; 2: one to skip. */
static int next_frame(struct frame_reader *reader, struct frame *frame)
{
	const unsigned char *at = reader->buffer + reader->start;
	size_t have = reader->end - reader->start;
	const struct frame_rule *rule;
	unsigned int type;
	int error = 0;

	if (have < FRAME_HEADER_SIZE)
		return 0;
	frame->size = (uint32_t)take_number(&at, 4);
	type = (unsigned int)take_number(&at, 1);
	if (take_number(&at, 3))
		return FRAME_BAD_FLAGS;
	frame->call = (uint32_t)take_number(&at, 4);
	frame->data = at;
	rule = find_rule(type);
	if (rule)
		error = check_header(reader, rule, frame->size, frame->call);
	else if (type < FRAME_OPTIONAL)
		error = FRAME_BAD_TYPE;
	else if (frame->size > FRAME_PAYLOAD_MAX)
		error = FRAME_BAD_SIZE;
	else if (!reader->greeted)
		error = FRAME_BAD_ORDER;
	if (error)
		return error;
	if (have < FRAME_HEADER_SIZE + (size_t)frame->size)
		return 0;
	reader->start += FRAME_HEADER_SIZE + (size_t)frame->size;
	if (!rule)
		return 2;
	frame->type = type;
	reader->greeted = true;
	return 1;
}

int frame_reader_next(struct frame_reader *reader, struct frame *frame)
{
	int r = reader->error;

	if (!r && !reader->begun)
		r = find_magic(reader);
	if (!r && !reader->begun)
		return 0;
	if (r >= 0)
		do
			r = next_frame(reader, frame);
		while (r == 2);
	if (r < 0)
		reader->error = r;
	return r;
}

/* ---- HELLO, BYE, PING ---- */

static void put_name(struct writer *writer, const char *name)
{
	put_bytes(writer, name, strnlen(name, FRAME_NAME_MAX - 1));
	put_number(writer, 0, 1);
}

static int take_name(const unsigned char **at, const unsigned char *end, char name[FRAME_NAME_MAX])
{
	size_t left = (size_t)(end - *at);
	const unsigned char *nul = memchr(*at, 0, left < FRAME_NAME_MAX ? left : FRAME_NAME_MAX);

	if (!nul)
		return FRAME_BAD_VALUE;
	copy_text(name, *at, (size_t)(nul - *at));
	*at = nul + 1;
	return 0;
}

size_t frame_put_agent_hello(void *to, size_t room, const struct frame_agent_hello *hello)
{
	struct writer writer = writer_to(to, room);

	put_bytes(&writer, FRAME_MAGIC, FRAME_MAGIC_SIZE);
	put_header(&writer, FRAME_HELLO, 0,
		   HELLO_AGENT_SIZE + strnlen(hello->name, FRAME_NAME_MAX - 1) +
			   strnlen(hello->system, FRAME_NAME_MAX - 1) +
			   strnlen(hello->machine, FRAME_NAME_MAX - 1) + 3);
	put_number(&writer, hello->version, 2);
	put_number(&writer, hello->oldest, 2);
	put_number(&writer, hello->features, 4);
	put_number(&writer, hello->max_calls, 4);
	put_number(&writer, hello->max_block, 4);
	put_number(&writer, hello->stdin_window, 4);
	put_number(&writer, hello->pid, 4);
	put_name(&writer, hello->name);
	put_name(&writer, hello->system);
	put_name(&writer, hello->machine);
	return written(&writer);
}

int frame_get_agent_hello(const struct frame *frame, struct frame_agent_hello *hello)
{
	const unsigned char *at = frame->data, *end = frame->data + frame->size;

	if (frame->size < HELLO_AGENT_SIZE)
		return FRAME_BAD_SIZE;
	hello->version = (uint16_t)take_number(&at, 2);
	hello->oldest = (uint16_t)take_number(&at, 2);
	hello->features = (uint32_t)take_number(&at, 4);
	hello->max_calls = (uint32_t)take_number(&at, 4);
	hello->max_block = (uint32_t)take_number(&at, 4);
	hello->stdin_window = (uint32_t)take_number(&at, 4);
	hello->pid = (uint32_t)take_number(&at, 4);
	if (take_name(&at, end, hello->name) || take_name(&at, end, hello->system) ||
	    take_name(&at, end, hello->machine))
		return FRAME_BAD_VALUE;
	if (hello->version < FRAME_VERSION_OLDEST || hello->oldest > FRAME_VERSION)
		return FRAME_BAD_VERSION;
	if (!hello->max_calls || !hello->stdin_window || hello->stdin_window > FRAME_WINDOW_MAX)
		return FRAME_BAD_VALUE;
	return 0;
}

size_t frame_put_host_hello(void *to, size_t room, const struct frame_host_hello *hello)
{
	struct writer writer = writer_to(to, room);
	size_t program_size = *hello->program ? strlen(hello->program) + 1 : 0;

	put_bytes(&writer, FRAME_MAGIC, FRAME_MAGIC_SIZE);
	put_header(&writer, FRAME_HELLO, 0, HELLO_HOST_SIZE + (uint32_t)program_size);
	put_number(&writer, hello->version, 2);
	put_number(&writer, 0, 2);
	put_number(&writer, hello->flags, 4);
	put_number(&writer, hello->silence_ms, 4);
	put_bytes(&writer, hello->program, program_size);
	return written(&writer);
}

/* A guess: one that is too long, or has no end, is none. */
static void take_program(const unsigned char *at, size_t left, char program[FRAME_PROGRAM_MAX + 1])
{
	const size_t room = FRAME_PROGRAM_MAX + 1;
	const unsigned char *nul = memchr(at, 0, left < room ? left : room);

	*program = '\0';
	if (nul)
		strcpy(program, (const char *)at);
}

int frame_get_host_hello(const struct frame *frame, struct frame_host_hello *hello)
{
	const unsigned char *at = frame->data;

	if (frame->size < HELLO_HOST_SIZE)
		return FRAME_BAD_SIZE;
	hello->version = (uint16_t)take_number(&at, 2);
	if (take_number(&at, 2))
		return FRAME_BAD_FLAGS;
	hello->flags = (uint32_t)take_number(&at, 4);
	hello->silence_ms = (uint32_t)take_number(&at, 4);
	take_program(at, frame->size - HELLO_HOST_SIZE, hello->program);
	if (hello->version < FRAME_VERSION_OLDEST || hello->version > FRAME_VERSION)
		return FRAME_BAD_VERSION;
	return hello->flags & ~(uint32_t)FRAME_ONCE ? FRAME_BAD_FLAGS : 0;
}

size_t frame_put_bye(void *to, size_t room, const struct frame_bye *bye)
{
	struct writer writer = writer_to(to, room);

	put_header(&writer, FRAME_BYE, 0, 1 + strnlen(bye->text, FRAME_TEXT_MAX));
	put_number(&writer, bye->code, 1);
	put_text(&writer, bye->text);
	return written(&writer);
}

int frame_get_bye(const struct frame *frame, struct frame_bye *bye)
{
	if (frame->size < 1 || frame->size > 1 + FRAME_TEXT_MAX)
		return FRAME_BAD_SIZE;
	if (frame->data[0] > FRAME_BYE_FAILED)
		return FRAME_BAD_VALUE;
	bye->code = frame->data[0];
	copy_text(bye->text, frame->data + 1, frame->size - 1);
	return 0;
}

size_t frame_put_ping(void *to, size_t room, enum frame_type type, const void *eight_bytes)
{
	struct writer writer = writer_to(to, room);

	put_header(&writer, type, 0, 8);
	put_bytes(&writer, eight_bytes, 8);
	return written(&writer);
}
