/* SPDX-License-Identifier: MIT */
/* The frames of calls. */
#include "frame_bytes.h"

/* ---- CALL and its block ---- */

static bool put_string(struct writer *writer, const char *string)
{
	put_bytes(writer, string, strlen(string) + 1);
	return writer->size <= FRAME_BLOCK_MAX;
}

size_t frame_block_make(void *block, const char *cwd, const char *const *argv,
			const char *const *env, uint32_t *argc, uint32_t *envc)
{
	struct writer writer = writer_to(block, block ? FRAME_BLOCK_MAX : 0);
	bool fits = put_string(&writer, cwd ? cwd : "");

	for (*argc = 0; fits && argv[*argc]; ++*argc)
		fits = put_string(&writer, argv[*argc]);
	for (*envc = 0; fits && env && env[*envc]; ++*envc)
		fits = put_string(&writer, env[*envc]);
	return fits ? writer.size : 0;
}

int frame_block_check(const void *block, size_t size, uint32_t argc, uint32_t envc)
{
	const char *at = block, *end = at + size;
	uint64_t strings = 1 + (uint64_t)argc + envc;

	if (!argc || size > FRAME_BLOCK_MAX)
		return FRAME_BAD_BLOCK;
	for (uint64_t i = 0; i < strings; i++) {
		const char *nul = memchr(at, 0, (size_t)(end - at));

		if (!nul || (i == 1 && nul == at))
			return FRAME_BAD_BLOCK;
		if (i > argc && (*at == '=' || !memchr(at, '=', (size_t)(nul - at))))
			return FRAME_BAD_BLOCK;
		at = nul + 1;
		if (at == end)
			return i + 1 == strings ? 0 : FRAME_BAD_BLOCK;
	}
	return FRAME_BAD_BLOCK;
}

const char *frame_block_split(const void *block, uint32_t argc, uint32_t envc, const char **argv,
			      const char **env)
{
	const char *cwd = block;
	const char *at = cwd + strlen(cwd) + 1;

	for (uint32_t i = 0; i < argc; i++, at += strlen(at) + 1)
		argv[i] = at;
	argv[argc] = NULL;
	for (uint32_t i = 0; i < envc; i++, at += strlen(at) + 1)
		env[i] = at;
	env[envc] = NULL;
	return *cwd ? cwd : NULL;
}

#define CALL_FLAGS ((uint32_t)(FRAME_CLEAN_ENV | FRAME_STDIN_WHOLE | FRAME_DROP_STDOUT))

static int check_call(const struct frame_call *call)
{
	if (call->flags & ~CALL_FLAGS)
		return FRAME_BAD_FLAGS;
	if (call->window[0] > FRAME_WINDOW_MAX || call->window[1] > FRAME_WINDOW_MAX)
		return FRAME_BAD_VALUE;
	if (!call->argc || call->block_size > FRAME_BLOCK_MAX ||
	    call->block_here > call->block_size ||
	    call->argc + (uint64_t)call->envc >= call->block_size)
		return FRAME_BAD_BLOCK;
	return call->stdin_size > FRAME_DATA_MAX ? FRAME_BAD_SIZE : 0;
}

size_t frame_put_call(void *to, size_t room, uint32_t id, const struct frame_call *call)
{
	struct writer writer = writer_to(to, room);
	size_t size = CALL_SIZE + (size_t)call->block_here + call->stdin_size;

	if (!id || check_call(call) || size > FRAME_PAYLOAD_MAX)
		return 0;
	put_header(&writer, FRAME_CALL, id, size);
	put_number(&writer, call->flags, 4);
	put_number(&writer, call->grace_ms, 4);
	put_number(&writer, call->timeout_ms, 8);
	put_number(&writer, call->limit[0], 8);
	put_number(&writer, call->limit[1], 8);
	put_number(&writer, call->window[0], 4);
	put_number(&writer, call->window[1], 4);
	put_number(&writer, call->argc, 4);
	put_number(&writer, call->envc, 4);
	put_number(&writer, call->block_size, 4);
	put_number(&writer, call->block_here, 4);
	put_bytes(&writer, call->block, call->block_here);
	put_bytes(&writer, call->stdin_data, call->stdin_size);
	return written(&writer);
}

int frame_get_call(const struct frame *frame, struct frame_call *call)
{
	const unsigned char *at = frame->data;
	size_t rest = frame->size - CALL_SIZE;

	if (frame->size < CALL_SIZE)
		return FRAME_BAD_SIZE;
	call->flags = (uint32_t)take_number(&at, 4);
	call->grace_ms = (uint32_t)take_number(&at, 4);
	call->timeout_ms = take_number(&at, 8);
	call->limit[0] = take_number(&at, 8);
	call->limit[1] = take_number(&at, 8);
	call->window[0] = (uint32_t)take_number(&at, 4);
	call->window[1] = (uint32_t)take_number(&at, 4);
	call->argc = (uint32_t)take_number(&at, 4);
	call->envc = (uint32_t)take_number(&at, 4);
	call->block_size = (uint32_t)take_number(&at, 4);
	call->block_here = (uint32_t)take_number(&at, 4);
	if (call->block_here > rest)
		return FRAME_BAD_SIZE;
	call->block = at;
	call->stdin_data = at + call->block_here;
	call->stdin_size = (uint32_t)(rest - call->block_here);
	return check_call(call);
}

/* ---- Data, EOF, KILL, CREDIT ---- */

static bool data_fits(enum frame_type type, size_t n)
{
	return n && n <= (type == FRAME_BLOCK ? FRAME_PAYLOAD_MAX : FRAME_DATA_MAX);
}

size_t frame_put_data_header(void *to, size_t room, enum frame_type type, uint32_t id, size_t n)
{
	struct writer writer = writer_to(to, room);

	if (!id || !data_fits(type, n))
		return 0;
	put_header(&writer, type, id, n);
	return written(&writer);
}

size_t frame_put_data(void *to, size_t room, enum frame_type type, uint32_t id, const void *data,
		      size_t n)
{
	struct writer writer = writer_to(to, room);

	if (!id || !data_fits(type, n))
		return 0;
	put_header(&writer, type, id, n);
	put_bytes(&writer, data, n);
	return written(&writer);
}

size_t frame_put_eof(void *to, size_t room, uint32_t id)
{
	struct writer writer = writer_to(to, room);

	if (!id)
		return 0;
	put_header(&writer, FRAME_EOF, id, 0);
	return written(&writer);
}

static bool is_kill_reason(unsigned int reason)
{
	return reason == FRAME_TIMED_OUT || reason == FRAME_CANCELLED ||
	       reason == FRAME_OUTPUT_LIMIT;
}

size_t frame_put_kill(void *to, size_t room, uint32_t id, const struct frame_kill *kill)
{
	struct writer writer = writer_to(to, room);

	if (!id || !is_kill_reason(kill->reason))
		return 0;
	put_header(&writer, FRAME_KILL, id, 8);
	put_number(&writer, kill->reason, 4);
	put_number(&writer, kill->grace_ms, 4);
	return written(&writer);
}

int frame_get_kill(const struct frame *frame, struct frame_kill *kill)
{
	const unsigned char *at = frame->data;
	uint32_t reason;

	if (frame->size != 8)
		return FRAME_BAD_SIZE;
	reason = (uint32_t)take_number(&at, 4);
	kill->grace_ms = (uint32_t)take_number(&at, 4);
	if (!is_kill_reason(reason))
		return FRAME_BAD_VALUE;
	kill->reason = reason;
	return 0;
}

static bool is_credit(uint32_t stream, uint32_t bytes)
{
	return stream <= 2 && bytes && bytes <= FRAME_WINDOW_MAX;
}

size_t frame_put_credit(void *to, size_t room, uint32_t id, const struct frame_credit *credit)
{
	struct writer writer = writer_to(to, room);

	if (!id || !is_credit(credit->stream, credit->bytes))
		return 0;
	put_header(&writer, FRAME_CREDIT, id, 8);
	put_number(&writer, credit->stream, 4);
	put_number(&writer, credit->bytes, 4);
	return written(&writer);
}

int frame_get_credit(const struct frame *frame, struct frame_credit *credit)
{
	const unsigned char *at = frame->data;
	uint32_t stream;

	if (frame->size != 8)
		return FRAME_BAD_SIZE;
	stream = (uint32_t)take_number(&at, 4);
	credit->bytes = (uint32_t)take_number(&at, 4);
	if (!is_credit(stream, credit->bytes))
		return FRAME_BAD_VALUE;
	credit->stream = (uint8_t)stream;
	return 0;
}

/* ---- EXIT ---- */

/* Do its fields agree with each other? */
static int check_exit(const struct frame_exit *exit)
{
	bool not_started = exit->end == FRAME_NOT_STARTED;

	if (exit->end < FRAME_EXITED || exit->end > FRAME_LOST || exit->cleanup > FRAME_PROVEN ||
	    exit->step > FRAME_STEP_RESOURCES || not_started != (exit->step != FRAME_STEP_NONE))
		return FRAME_BAD_VALUE;
	if (exit->flags & ~(FRAME_TRUNCATED | FRAME_KILLED))
		return FRAME_BAD_FLAGS;
	if ((exit->end == FRAME_EXITED && exit->status > 255) ||
	    (exit->end == FRAME_SIGNALED && (exit->status < 1 || exit->status > 127)) ||
	    not_started != (exit->error_number != 0) || exit->error_number > 4095)
		return FRAME_BAD_VALUE;
	return exit->dropped[0] > exit->total[0] || exit->dropped[1] > exit->total[1]
		       ? FRAME_BAD_VALUE
		       : 0;
}

size_t frame_put_exit(void *to, size_t room, uint32_t id, const struct frame_exit *exit)
{
	struct writer writer = writer_to(to, room);

	if (!id || check_exit(exit))
		return 0;
	put_header(&writer, FRAME_EXIT, id, EXIT_SIZE + strnlen(exit->text, FRAME_TEXT_MAX));
	put_number(&writer, exit->end, 1);
	put_number(&writer, exit->step, 1);
	put_number(&writer, exit->cleanup, 1);
	put_number(&writer, exit->flags, 1);
	put_number(&writer, exit->status, 4);
	put_number(&writer, exit->error_number, 4);
	put_number(&writer, 0, 4);
	put_number(&writer, exit->total[0], 8);
	put_number(&writer, exit->total[1], 8);
	put_number(&writer, exit->dropped[0], 8);
	put_number(&writer, exit->dropped[1], 8);
	put_number(&writer, exit->start_us, 8);
	put_number(&writer, exit->duration_us, 8);
	put_text(&writer, exit->text);
	return written(&writer);
}

int frame_get_exit(const struct frame *frame, struct frame_exit *exit)
{
	const unsigned char *at = frame->data;

	if (frame->size < EXIT_SIZE || frame->size > EXIT_SIZE + FRAME_TEXT_MAX)
		return FRAME_BAD_SIZE;
	exit->end = (enum frame_end)take_number(&at, 1);
	exit->step = (enum frame_step)take_number(&at, 1);
	exit->cleanup = (enum frame_cleanup)take_number(&at, 1);
	exit->flags = (uint8_t)take_number(&at, 1);
	exit->status = (uint32_t)take_number(&at, 4);
	exit->error_number = (uint32_t)take_number(&at, 4);
	if (take_number(&at, 4))
		return FRAME_BAD_FLAGS;
	exit->total[0] = take_number(&at, 8);
	exit->total[1] = take_number(&at, 8);
	exit->dropped[0] = take_number(&at, 8);
	exit->dropped[1] = take_number(&at, 8);
	exit->start_us = take_number(&at, 8);
	exit->duration_us = take_number(&at, 8);
	copy_text(exit->text, at, frame->size - EXIT_SIZE);
	return check_exit(exit);
}
