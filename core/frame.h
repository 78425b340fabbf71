/* SPDX-License-Identifier: MIT */
/*
 * The frames between the host and the in-box agent: the codec that both ends are built with. It
 * allocates nothing, keeps nothing but what its caller lends it, and trusts no byte.
 * docs/agent-protocol.md says what the frames mean.
 */
#ifndef CORE_FRAME_H
#define CORE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_VERSION 1			/* the newest that this code speaks */
#define FRAME_VERSION_OLDEST 1

/* What each side sends first. As PNG's: it shows a relay that changes bytes or line ends. */
#define FRAME_MAGIC "\x89HBA\r\n\x1a\n"
#define FRAME_MAGIC_SIZE 8

/* ---- Limits ---- */
#define FRAME_HEADER_SIZE 12
#define FRAME_PAYLOAD_MAX 65536u	/* of any frame */
#define FRAME_DATA_MAX 32768u		/* of IN, OUT and ERR */
#define FRAME_TEXT_MAX 512u		/* of a sentence in EXIT or BYE */
#define FRAME_NAME_MAX 64u		/* of a name in HELLO, with its NUL */
#define FRAME_NOISE_MAX 16384u		/* of what may come before the agent's magic */
#define FRAME_BLOCK_MAX (4u << 20)	/* of a call's block: directory, arguments, environment */
#define FRAME_WINDOW_MAX (1u << 30)	/* of the credit that a stream may have at once */
#define FRAME_MAX (FRAME_HEADER_SIZE + FRAME_PAYLOAD_MAX)
#define FRAME_READER_MIN (FRAME_MAGIC_SIZE + FRAME_MAX)	/* of a reader's buffer */

enum frame_type {
	FRAME_HELLO = 1,	/* both: first */
	FRAME_BYE = 2,		/* both: last; why */
	FRAME_PING = 3,		/* both */
	FRAME_PONG = 4,		/* both: the PING's eight bytes */
	FRAME_CALL = 16,	/* host: run this */
	FRAME_BLOCK = 17,	/* host: a front part of the block of the CALL that follows */
	FRAME_IN = 18,		/* host: stdin */
	FRAME_EOF = 19,		/* host: stdin ends; agent: the command does not read stdin any
				 * more */
	FRAME_KILL = 20,	/* host: end it */
	FRAME_CREDIT = 21,	/* both: so much more may be sent */
	FRAME_OUT = 32,		/* agent: stdout */
	FRAME_ERR = 33,		/* agent: stderr */
	FRAME_EXIT = 34,	/* agent: how the call ended; nothing of it comes after */
};

/* A frame of a type from here on is skipped by who does not know it. */
#define FRAME_OPTIONAL 128

enum frame_side { FRAME_FROM_AGENT, FRAME_FROM_HOST };

/* What a reader or a decoder refuses; all are negative. */
enum frame_error {
	FRAME_BAD_MAGIC = -1,	/* host's magic: other bytes; agent's: none in FRAME_NOISE_MAX */
	FRAME_BAD_TYPE = -2,	/* unknown, or not this side's to send */
	FRAME_BAD_SIZE = -3,	/* the payload is longer or shorter than its type allows */
	FRAME_BAD_CALL = -4,	/* a call id where none belongs, or none where one does */
	FRAME_BAD_ORDER = -5,	/* another frame before HELLO, or a second HELLO */
	FRAME_BAD_VERSION = -6,	/* there is no version that both speak */
	FRAME_BAD_FLAGS = -7,	/* a bit that must be 0 */
	FRAME_BAD_VALUE = -8,	/* a field has a value that means nothing */
	FRAME_BAD_BLOCK = -9,	/* the block does not hold the strings that it says */
};

/* Half a sentence: "its first bytes are not ..." */
const char *frame_error_text(int error);

struct frame {
	enum frame_type type;
	uint32_t call;			/* 0: of the channel */
	const unsigned char *data;	/* lent until the reader's next step */
	uint32_t size;
};

/* ---- Reading a stream ---- */

struct frame_reader {
	enum frame_side from;
	unsigned char *buffer;
	size_t buffer_size;
	size_t start, end;	/* what was filled in and not yet handed out */
	size_t noise;		/* bytes before the magic, at the buffer's beginning */
	bool begun;		/* the magic has come */
	bool greeted;		/* and HELLO */
	int error;		/* sticks */
};

/* The buffer, of at least FRAME_READER_MIN bytes, is lent for the reader's life. */
void frame_reader_init(struct frame_reader *reader, enum frame_side from, void *buffer,
		       size_t size);
/* Where the stream's next bytes go, and how many: never 0 after frame_reader_next() said 0. */
void *frame_reader_room(struct frame_reader *reader, size_t *room);
/* So many came. */
void frame_reader_add(struct frame_reader *reader, size_t n);
/*
 * 1: *frame is the next one, whole, with a size, call id and place in the stream that its type
 * allows; 0: more bytes are needed; else a frame_error, now and from then on. Frames that are
 * optional and unknown do not show.
 */
int frame_reader_next(struct frame_reader *reader, struct frame *frame);
/* What came before the agent's magic, until frame_reader_room() is called after HELLO. */
const char *frame_reader_noise(const struct frame_reader *reader, size_t *n);

/* ---- HELLO ---- */

enum {
	FRAME_CAN_PROVE = 1u << 0,	/* cleanup can be proven: it has subreapers */
	FRAME_CAN_HIDE = 1u << 1,	/* calls of its own user cannot look into it */
};

struct frame_agent_hello {
	uint16_t version;		/* the newest and the oldest that it speaks */
	uint16_t oldest;
	uint32_t features;		/* FRAME_CAN_ */
	uint32_t max_calls;		/* at once */
	uint32_t max_block;		/* bytes of a call's block */
	uint32_t stdin_window;		/* what the host may send of a call's stdin before CREDIT */
	uint32_t pid;			/* its own, in the box */
	char name[FRAME_NAME_MAX];	/* "hookbox-agent 0.1.0" */
	char system[FRAME_NAME_MAX];	/* as uname -s */
	char machine[FRAME_NAME_MAX];	/* as uname -m */
};

enum { FRAME_ONCE = 1u << 0 };		/* the agent ends after the first call's EXIT */

#define FRAME_PROGRAM_MAX 120u

struct frame_host_hello {
	uint16_t version;		/* the one that is spoken from here on */
	uint32_t flags;			/* FRAME_ONCE */
	uint32_t silence_ms;		/* the agent ends when it hears nothing for so long; 0:
					 * never */
	char program[FRAME_PROGRAM_MAX + 1]; /* what the next call is likely to run, or "" */
};

/* ---- CALL ---- */

enum {
	FRAME_CLEAN_ENV = 1u << 0,	/* not over the agent's environment, but instead of it */
	FRAME_STDIN_WHOLE = 1u << 1,	/* the stdin in this frame is all: as if EOF followed */
	FRAME_DROP_STDOUT = 1u << 2,	/* stdout beyond its limit is dropped and counted; else it
					 * ends the call. (stderr always is.) */
};

#define FRAME_NO_LIMIT UINT64_MAX

struct frame_call {
	uint32_t flags;
	uint32_t grace_ms;		/* between TERM and KILL */
	uint64_t timeout_ms;		/* 0: none */
	uint64_t limit[2];		/* of stdout and stderr, or FRAME_NO_LIMIT */
	uint32_t window[2];		/* what the agent may send of each before CREDIT */
	uint32_t argc;			/* at least 1 */
	uint32_t envc;
	uint32_t block_size;		/* the whole block */
	uint32_t block_here;		/* its last bytes, in this frame; BLOCK frames had the
					 * others */
	const unsigned char *block;	/* these */
	uint32_t stdin_size;		/* at most FRAME_DATA_MAX; it counts against stdin_window */
	const unsigned char *stdin_data;
};

/*
 * The block: the working directory ("": where the agent is), argc arguments and envc entries
 * NAME=value, each with its NUL. Returns its size, or 0 when it would exceed FRAME_BLOCK_MAX;
 * writes it when `block` is not NULL, and then it must have that room. argv and env end with NULL;
 * env may be NULL. *argc and *envc are set.
 */
size_t frame_block_make(void *block, const char *cwd, const char *const *argv,
			const char *const *env, uint32_t *argc, uint32_t *envc);
/* 0 when it holds just these strings, argv[0] is not empty and each entry has a name; else
 * FRAME_BAD_BLOCK. */
int frame_block_check(const void *block, size_t size, uint32_t argc, uint32_t envc);
/* Of a checked block: fills argv[argc + 1] and env[envc + 1], and returns the directory or NULL. */
const char *frame_block_split(const void *block, uint32_t argc, uint32_t envc, const char **argv,
			      const char **env);

/* ---- EXIT, KILL, CREDIT, BYE ---- */

/* As enum hookbox_end. */
enum frame_end {
	FRAME_EXITED = 1,		/* status: exit code */
	FRAME_SIGNALED = 2,		/* status: signal */
	FRAME_TIMED_OUT = 3,
	FRAME_CANCELLED = 4,
	FRAME_OUTPUT_LIMIT = 5,
	FRAME_NOT_STARTED = 6,		/* error_number, step */
	FRAME_LOST = 7,			/* the agent lost hold of it: text */
};

/* What could not be done, of FRAME_NOT_STARTED. */
enum frame_step {
	FRAME_STEP_NONE = 0,
	FRAME_STEP_WORKDIR = 1,		/* always with ENOTDIR */
	FRAME_STEP_COMMAND = 2,		/* found, or may be executed: ENOENT, EACCES */
	FRAME_STEP_EXEC = 3,		/* it is there, the system does not take it: ENOEXEC, E2BIG,
					 * ENOENT (its interpreter) ... */
	FRAME_STEP_RESOURCES = 4,	/* processes, descriptors, memory, calls: EAGAIN ... */
};

/* As enum hookbox_cleanup. */
enum frame_cleanup { FRAME_UNKNOWN = 0, FRAME_SWEPT = 1, FRAME_PROVEN = 2 };

enum {
	FRAME_TRUNCATED = 1u << 0,	/* a stream was still open 500 ms after the end, and cut */
	FRAME_KILLED = 1u << 1,		/* the agent sent it a signal */
};

struct frame_exit {
	enum frame_end end;
	enum frame_step step;
	enum frame_cleanup cleanup;
	uint8_t flags;
	uint32_t status;
	uint32_t error_number;		/* Linux's numbers, whatever the box is */
	uint64_t total[2];		/* of stdout and stderr: sent and dropped */
	uint64_t dropped[2];		/* of these, dropped for the limit */
	uint64_t start_us;		/* from CALL's arrival until the process was started */
	uint64_t duration_us;		/* from CALL's arrival to this frame */
	char text[FRAME_TEXT_MAX + 1];	/* a sentence, or "" */
};

struct frame_kill {
	enum frame_end reason;		/* TIMED_OUT, CANCELLED or OUTPUT_LIMIT: what EXIT shall
					 * say */
	uint32_t grace_ms;		/* FRAME_CALLS_GRACE: as the CALL said */
};
#define FRAME_CALLS_GRACE UINT32_MAX

struct frame_credit {
	uint8_t stream;			/* 0: stdin (from the agent), 1, 2: stdout, stderr (host) */
	uint32_t bytes;			/* at least 1 */
};

enum frame_bye_code {
	FRAME_BYE_DONE = 0,		/* all is done: FRAME_ONCE's call, or the host is closing */
	FRAME_BYE_PROTOCOL = 1,		/* the other side broke the protocol */
	FRAME_BYE_SILENCE = 2,		/* the other side was silent */
	FRAME_BYE_FAILED = 3,		/* no memory, no descriptors ... */
};

struct frame_bye {
	enum frame_bye_code code;
	char text[FRAME_TEXT_MAX + 1];
};

/* ---- Encoding: each returns the size of the frame, 0 when `room` is too small or a value is
 * one that the other side would refuse. Enough for all but CALL, BLOCK and data: ---- */
#define FRAME_SMALL_MAX (FRAME_MAGIC_SIZE + FRAME_HEADER_SIZE + 72 + FRAME_TEXT_MAX)

/* Both begin with the magic. */
size_t frame_put_agent_hello(void *to, size_t room, const struct frame_agent_hello *hello);
size_t frame_put_host_hello(void *to, size_t room, const struct frame_host_hello *hello);
size_t frame_put_bye(void *to, size_t room, const struct frame_bye *bye);
/* PING or PONG. */
size_t frame_put_ping(void *to, size_t room, enum frame_type type, const void *eight_bytes);
size_t frame_put_call(void *to, size_t room, uint32_t id, const struct frame_call *call);
/* IN, OUT, ERR of up to FRAME_DATA_MAX, BLOCK of up to FRAME_PAYLOAD_MAX bytes; never empty. */
size_t frame_put_data(void *to, size_t room, enum frame_type type, uint32_t id, const void *data,
		      size_t n);
/* Only the header of such a frame, for who has or puts the data behind it. */
size_t frame_put_data_header(void *to, size_t room, enum frame_type type, uint32_t id, size_t n);
size_t frame_put_eof(void *to, size_t room, uint32_t id);
size_t frame_put_kill(void *to, size_t room, uint32_t id, const struct frame_kill *kill);
size_t frame_put_credit(void *to, size_t room, uint32_t id, const struct frame_credit *credit);
size_t frame_put_exit(void *to, size_t room, uint32_t id, const struct frame_exit *exit);

/* ---- Decoding a frame of that type: 0, or a frame_error. Pointers are lent as data is. ---- */
int frame_get_agent_hello(const struct frame *frame, struct frame_agent_hello *hello);
int frame_get_host_hello(const struct frame *frame, struct frame_host_hello *hello);
int frame_get_bye(const struct frame *frame, struct frame_bye *bye);
int frame_get_call(const struct frame *frame, struct frame_call *call);
int frame_get_kill(const struct frame *frame, struct frame_kill *kill);
int frame_get_credit(const struct frame *frame, struct frame_credit *credit);
int frame_get_exit(const struct frame *frame, struct frame_exit *exit);

#endif
