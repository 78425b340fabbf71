/* SPDX-License-Identifier: MIT */
/*
 * A host for the tests of the agent: it starts the real program, keeps to the protocol, and checks
 * that the agent does, to the last byte of every credit and total.
 */
#ifndef TESTS_AGENT_HOST_H
#define TESTS_AGENT_HOST_H

#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "buf.h"
#include "clock.h"
#include "frame.h"

#define HOST_CALLS 1200
#define HOST_WAIT_MS 30000

struct host_call {
	const char *input;
	size_t input_size, input_sent;
	bool input_open;		/* more may be added later: no EOF yet */
	bool eof_sent;
	bool stdin_gone;		/* the agent said so */
	uint32_t credit;		/* ours, for stdin */
	uint32_t granted[2];		/* the agent's, left */
	bool stingy;			/* no credit is given by itself */
	struct buf out[2];
	bool done;
	struct frame_exit exit;
};

struct agent_host {
	pid_t pid;
	int in, out;
	struct frame_reader reader;
	unsigned char *buffer;
	struct buf waiting;
	struct frame_agent_hello hello;
	struct host_call *calls;	/* by id */
	uint32_t next;			/* the next call's id */
	unsigned int pongs;
	bool bye_came;
	struct frame_bye bye;
	bool ended;			/* its stdout */
};

/* What a call is made of; the rest is added. */
struct ask {
	const char *const *argv;
	const char *const *env;
	const char *cwd;
	const void *input;
	size_t input_size;
	bool input_open;
	struct frame_call call;		/* flags, times, limits, windows; 0 limit or window:
					 * large */
	bool stingy;
};

static inline const char *agent_path(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/core/agent/%s", getenv("top_builddir"), name);
	return path;
}

/* Starts argv, or the agent itself. `become` is run in the new process before. */
static inline void host_start_as(struct agent_host *host, const char *const *argv,
				 void (*become)(void))
{
	int in[2], out[2];

	memset(host, 0, sizeof(*host));
	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	host->pid = fork();
	if (host->pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		if (become)
			become();
		execv(argv[0], (char *const *)argv);
		_exit(126);
	}
	close(in[0]);
	close(out[1]);
	host->in = in[1];
	host->out = out[0];
	fcntl(host->in, F_SETFL, O_NONBLOCK);
	host->buffer = malloc(FRAME_READER_MIN);
	host->calls = calloc(HOST_CALLS, sizeof(*host->calls));
	host->next = 1;
	frame_reader_init(&host->reader, FRAME_FROM_AGENT, host->buffer, FRAME_READER_MIN);
}

static inline void host_add(struct agent_host *host, const void *bytes, size_t n)
{
	assert_true(n > 0);
	buf_add(&host->waiting, bytes, n);
}

static inline void host_take(struct agent_host *host, const struct frame *frame)
{
	struct host_call *call = &host->calls[frame->call];
	struct frame_credit credit;
	int stream = frame->type == FRAME_ERR;

	assert_true(frame->call < host->next);
	if (frame->call)
		assert_false(call->done);
	switch (frame->type) {
	case FRAME_HELLO:
		assert_int_equal(frame_get_agent_hello(frame, &host->hello), 0);
		break;
	case FRAME_BYE:
		assert_int_equal(frame_get_bye(frame, &host->bye), 0);
		host->bye_came = true;
		break;
	case FRAME_PONG:
		assert_memory_equal(frame->data, "pingping", 8);
		host->pongs++;
		break;
	case FRAME_OUT:
	case FRAME_ERR:
		assert_true(frame->size <= call->granted[stream]);
		call->granted[stream] -= frame->size;
		buf_add(&call->out[stream], frame->data, frame->size);
		if (!call->stingy) {
			unsigned char bytes[FRAME_SMALL_MAX];

			credit = (struct frame_credit){(uint8_t)(1 + stream), frame->size};
			call->granted[stream] += frame->size;
			host_add(host, bytes, frame_put_credit(bytes, sizeof(bytes), frame->call,
							       &credit));
		}
		break;
	case FRAME_CREDIT:
		assert_int_equal(frame_get_credit(frame, &credit), 0);
		assert_int_equal(credit.stream, 0);
		call->credit += credit.bytes;
		assert_true(call->credit <= host->hello.stdin_window);
		break;
	case FRAME_EOF:
		call->stdin_gone = true;
		break;
	case FRAME_EXIT:
		assert_int_equal(frame_get_exit(frame, &call->exit), 0);
		for (int i = 0; i < 2; i++)
			assert_int_equal(call->exit.total[i] - call->exit.dropped[i],
					 call->out[i].size);
		call->done = true;
		break;
	default:
		fail_msg("a frame of type %d", frame->type);
	}
}

/* Puts stdin into frames as far as there is credit. */
static inline void host_feed(struct agent_host *host)
{
	for (uint32_t id = 1; id < host->next && host->waiting.size < 65536; id++) {
		struct host_call *call = &host->calls[id];
		size_t n = call->input_size - call->input_sent;
		unsigned char bytes[FRAME_MAX];

		if (call->done || call->stdin_gone || call->eof_sent)
			continue;
		n = n < call->credit ? n : call->credit;
		n = n < FRAME_DATA_MAX ? n : FRAME_DATA_MAX;
		if (n) {
			host_add(host, bytes, frame_put_data(bytes, sizeof(bytes), FRAME_IN, id,
							     call->input + call->input_sent, n));
			call->input_sent += n;
			call->credit -= (uint32_t)n;
		}
		if (call->input_sent == call->input_size && !call->input_open) {
			host_add(host, bytes, frame_put_eof(bytes, sizeof(bytes), id));
			call->eof_sent = true;
		}
	}
}

static inline void host_read(struct agent_host *host)
{
	struct frame frame;
	size_t room;
	void *to = frame_reader_room(&host->reader, &room);
	ssize_t n = read(host->out, to, room);
	int r;

	if (n <= 0) {
		host->ended = true;
		return;
	}
	frame_reader_add(&host->reader, (size_t)n);
	while ((r = frame_reader_next(&host->reader, &frame)) > 0)
		host_take(host, &frame);
	if (r < 0)
		fail_msg("the agent: %s", frame_error_text(r));
}

static inline void host_step(struct agent_host *host, int timeout_ms)
{
	struct pollfd fds[2] = {{host->ended ? -1 : host->out, POLLIN, 0}, {-1, POLLOUT, 0}};

	host_feed(host);
	if (host->waiting.size)
		fds[1].fd = host->in;
	poll(fds, 2, timeout_ms);
	if (fds[0].revents)
		host_read(host);
	if (fds[1].revents) {
		ssize_t n = write(host->in, host->waiting.data, host->waiting.size);

		if (n > 0)
			buf_consume(&host->waiting, (size_t)n);
		else if (n < 0 && errno == EPIPE)
			buf_consume(&host->waiting, host->waiting.size);
	}
}

/* Goes on until the condition holds; the test fails when it does not for long. */
#define host_until(host, condition)                                                                \
	do {                                                                                       \
		int64_t _until = clock_us() + HOST_WAIT_MS * 1000LL;                               \
		while (!(condition)) {                                                             \
			host_step(host, 20);                                                       \
			if (clock_us() > _until)                                                   \
				fail_msg("in vain waited for: %s", #condition);                    \
		}                                                                                  \
	} while (0)

static inline void host_say_hello(struct agent_host *host, const struct frame_host_hello *hello)
{
	unsigned char bytes[FRAME_SMALL_MAX];

	host_until(host, host->reader.greeted || host->ended);
	assert_false(host->ended);
	host_add(host, bytes, frame_put_host_hello(bytes, sizeof(bytes), hello));
}

static inline void host_greet(struct agent_host *host, uint32_t flags, uint32_t silence_ms)
{
	host_say_hello(host, &(struct frame_host_hello){FRAME_VERSION, flags, silence_ms, ""});
}

static inline void host_start(struct agent_host *host)
{
	host_start_as(host, (const char *const[]){agent_path("hookbox-agent"), NULL}, NULL);
	host_greet(host, 0, 0);
}

static inline void host_put_block(struct agent_host *host, uint32_t id, struct frame_call *call,
				  const unsigned char *block)
{
	size_t most = 20000, at = 0;
	unsigned char *bytes = malloc(FRAME_MAX);

	while (call->block_size - at > most) {
		host_add(host, bytes, frame_put_data(bytes, FRAME_MAX, FRAME_BLOCK, id,
						     block + at, most));
		at += most;
	}
	call->block = block + at;
	call->block_here = call->block_size - (uint32_t)at;
	host_add(host, bytes, frame_put_call(bytes, FRAME_MAX, id, call));
	free(bytes);
}

/* Sends a CALL; returns its id. */
static inline uint32_t host_ask(struct agent_host *host, const struct ask *ask)
{
	struct frame_call call = ask->call;
	uint32_t id = host->next++;
	struct host_call *kept = &host->calls[id];
	unsigned char *block = malloc(FRAME_BLOCK_MAX);

	assert_true(id < HOST_CALLS);
	call.block_size = (uint32_t)frame_block_make(block, ask->cwd, ask->argv, ask->env,
						     &call.argc, &call.envc);
	for (int i = 0; i < 2; i++) {
		call.limit[i] = call.limit[i] ? call.limit[i] : FRAME_NO_LIMIT;
		call.window[i] = call.window[i] || ask->stingy ? call.window[i] : 100000;
		kept->granted[i] = call.window[i];
	}
	call.grace_ms = call.grace_ms ? call.grace_ms : 5000;
	call.stdin_data = ask->input;
	call.stdin_size = ask->input_size < 30000 ? (uint32_t)ask->input_size : 30000;
	if (call.stdin_size == ask->input_size && !ask->input_open)
		call.flags |= FRAME_STDIN_WHOLE;
	kept->input = ask->input;
	kept->input_size = ask->input_size;
	kept->input_open = ask->input_open;
	kept->input_sent = call.stdin_size;
	kept->eof_sent = call.flags & FRAME_STDIN_WHOLE;
	kept->credit = host->hello.stdin_window - call.stdin_size;
	kept->stingy = ask->stingy;
	host_put_block(host, id, &call, block);
	free(block);
	return id;
}

static inline struct host_call *host_wait(struct agent_host *host, uint32_t id)
{
	host_until(host, host->calls[id].done || host->ended);
	assert_true(host->calls[id].done);
	return &host->calls[id];
}

static inline struct host_call *host_run(struct agent_host *host, const struct ask *ask)
{
	return host_wait(host, host_ask(host, ask));
}

static inline void host_kill(struct agent_host *host, uint32_t id, enum frame_end reason,
			     uint32_t grace_ms)
{
	const struct frame_kill kill = {reason, grace_ms};
	unsigned char bytes[FRAME_SMALL_MAX];

	host_add(host, bytes, frame_put_kill(bytes, sizeof(bytes), id, &kill));
}

static inline void host_give(struct agent_host *host, uint32_t id, int stream, uint32_t bytes)
{
	const struct frame_credit credit = {(uint8_t)stream, bytes};
	unsigned char frame[FRAME_SMALL_MAX];

	host->calls[id].granted[stream - 1] += bytes;
	host_add(host, frame, frame_put_credit(frame, sizeof(frame), id, &credit));
}

/* Waits for the program's own end; returns its exit status, or minus the signal. */
static inline int host_end(struct agent_host *host)
{
	int status;

	host_until(host, host->ended);
	assert_int_equal(waitpid(host->pid, &status, 0), host->pid);
	if (host->in >= 0)
		close(host->in);
	close(host->out);
	for (int i = 0; i < HOST_CALLS; i++) {
		buf_free(&host->calls[i].out[0]);
		buf_free(&host->calls[i].out[1]);
	}
	buf_free(&host->waiting);
	free(host->calls);
	free(host->buffer);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Ends the stream, as a host does that closes. */
static inline void host_stop(struct agent_host *host)
{
	host_until(host, !host->waiting.size);
	close(host->in);
	host->in = -1;
	assert_int_equal(host_end(host), 0);
}

static inline const char *host_text(const struct host_call *call, int stream)
{
	return call->out[stream].data ? call->out[stream].data : "";
}

#define assert_ended(call, how, code, proof)                                                       \
	do {                                                                                       \
		assert_string_equal((call)->exit.text, "");                                        \
		assert_int_equal((call)->exit.end, (how));                                         \
		assert_int_equal((call)->exit.status, (code));                                     \
		assert_int_equal((call)->exit.cleanup, (proof));                                   \
	} while (0)

#endif
