/* SPDX-License-Identifier: MIT */
/* The agent's end of the channel: frames in on descriptor 0 and out on 1, or both on a socket. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../program.h"
#include "agent.h"
#include "system.h"

/* ---- Out ---- */

unsigned char *channel_room(struct agent *agent, size_t n)
{
	unsigned char *room = bytes_reserve(&agent->outbox, n);

	if (!room)
		agent->closing = true;
	return room;
}

void channel_sent(struct agent *agent, size_t n)
{
	agent->outbox.end += n;
}

/* Reading stops while the host does not read. */
static void choose_events(struct agent *agent)
{
	size_t waiting = bytes_size(&agent->outbox);

	watch_set(&agent->watch, &agent->out, waiting ? WATCH_WRITE : 0);
	watch_set(&agent->watch, &agent->in, waiting < IN_STOP ? WATCH_READ : 0);
}

void channel_flush(struct agent *agent)
{
	while (bytes_size(&agent->outbox) && agent->out.fd >= 0) {
		ssize_t n = write(agent->out.fd, agent->outbox.data + agent->outbox.start,
				  bytes_size(&agent->outbox));

		if (n >= 0) {
			bytes_take(&agent->outbox, (size_t)n);
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			break;
		} else if (errno != EINTR) {
			/* The host is gone, and nobody is to be told. */
			bytes_take(&agent->outbox, bytes_size(&agent->outbox));
			agent->closing = true;
		}
	}
	choose_events(agent);
}

static void out_ready(void *data, struct watch_item *item, int events)
{
	struct agent *agent = data;

	/* The loop writes at the end of each turn. Somebody who is gone shows when it does. */
	if (events & WATCH_BROKEN && !(events & WATCH_WRITE))
		agent->closing = true;
}

void channel_close(struct agent *agent, enum frame_bye_code code, const char *text)
{
	struct frame_bye bye = {.code = code};
	unsigned char *room;

	if (agent->closing)
		return;
	snprintf(bye.text, sizeof(bye.text), "%s", text);
	room = channel_room(agent, FRAME_SMALL_MAX);
	if (room)
		channel_sent(agent, frame_put_bye(room, FRAME_SMALL_MAX, &bye));
	agent->closing = true;
	agent->done = code == FRAME_BYE_DONE;
	agent->failed = !agent->done;
	if (agent->failed)
		fprintf(stderr, "hookbox-agent: %s\n", text);
}

/* ---- In ---- */

static void broke_protocol(struct agent *agent, int error)
{
	char text[256];

	snprintf(text, sizeof(text), "the host broke the protocol: %s", frame_error_text(error));
	channel_close(agent, FRAME_BYE_PROTOCOL, text);
}

/* The file system has it at hand then. */
static void look_at_program(const char *name)
{
	const char *own_path = getenv("PATH");
	const char *path = own_path ? own_path : PROGRAM_PATH;
	char *found = malloc(PROGRAM_ROOM(name, path));
	int code, fd = -1;

	if (!found)
		return;
	strcpy(found, name);
	code = strchr(name, '/') ? program_check(AT_FDCWD, name)
				 : program_search(AT_FDCWD, name, path, found);
	if (!code)
		fd = open(found, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0) {
		posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
		close(fd);
	}
	free(found);
}

static int take_hello(struct agent *agent, const struct frame *frame)
{
	struct frame_host_hello hello;
	int error = frame_get_host_hello(frame, &hello);

	if (error)
		return error;
	agent->once |= (hello.flags & FRAME_ONCE) != 0;
	if (*hello.program)
		look_at_program(hello.program);
	agent->silence_us = hello.silence_ms ? (int64_t)hello.silence_ms * 1000 : NEVER;
	if (hello.silence_ms)
		agent_wake_at(agent, agent->now_us + agent->silence_us);
	return 0;
}

static int take_ping(struct agent *agent, const struct frame *frame)
{
	unsigned char *room = channel_room(agent, FRAME_SMALL_MAX);

	if (room)
		channel_sent(agent, frame_put_ping(room, FRAME_SMALL_MAX, FRAME_PONG, frame->data));
	return 0;
}

static int take_kill(struct agent *agent, const struct frame *frame)
{
	struct call *call = call_find(agent, frame->call);
	struct frame_kill kill;
	int error = frame_get_kill(frame, &kill);

	if (!error && call)
		call_stop(call, kill.reason,
			  kill.grace_ms == FRAME_CALLS_GRACE ? call->grace_ms : kill.grace_ms);
	return error;
}

static int take_credit(struct agent *agent, const struct frame *frame)
{
	struct call *call = call_find(agent, frame->call);
	struct frame_credit credit;
	int error = frame_get_credit(frame, &credit);

	if (error)
		return error;
	if (!credit.stream)
		return FRAME_BAD_VALUE;
	return call ? output_credit(&call->out[credit.stream - 1], credit.bytes) : 0;
}

/* 0, or a frame_error. */
static int take_frame(struct agent *agent, const struct frame *frame)
{
	struct call *call;

	switch (frame->type) {
	case FRAME_HELLO:
		return take_hello(agent, frame);
	case FRAME_BYE:
		agent->closing = true;
		return 0;
	case FRAME_PING:
		return take_ping(agent, frame);
	case FRAME_BLOCK:
		return call_take_block(agent, frame);
	case FRAME_CALL:
		return call_begin(agent, frame);
	case FRAME_IN:
		call = call_find(agent, frame->call);
		return call ? input_take(&call->in, frame->data, frame->size) : 0;
	case FRAME_EOF:
		call = call_find(agent, frame->call);
		if (call)
			input_end(&call->in);
		return 0;
	case FRAME_KILL:
		return take_kill(agent, frame);
	case FRAME_CREDIT:
		return take_credit(agent, frame);
	default:
		return 0;
	}
}

static void take_frames(struct agent *agent)
{
	struct frame frame;
	int r;

	while (!agent->closing && (r = frame_reader_next(&agent->reader, &frame))) {
		if (r > 0)
			r = take_frame(agent, &frame);
		if (r < 0)
			broke_protocol(agent, r);
	}
}

static void in_ready(void *data, struct watch_item *item, int events)
{
	struct agent *agent = data;
	size_t room;
	void *to = frame_reader_room(&agent->reader, &room);
	ssize_t n = read(item->fd, to, room);

	if (n > 0) {
		agent->heard_us = agent->now_us;
		frame_reader_add(&agent->reader, (size_t)n);
		take_frames(agent);
	} else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
		agent->closing = true;
	}
}

/* ---- Beginning ---- */

static void carrier_ready(void *data, struct watch_item *item, int events)
{
	struct agent *agent = data;
	char unwanted[256];
	ssize_t n = read(item->fd, unwanted, sizeof(unwanted));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		agent->closing = true;
}

/* Two descriptors, since each is watched for one thing; false: there is nobody. */
static bool connect_to(const char *path, int *in, int *out)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		return false;
	strcpy(address.sun_path, path);
	*in = socket(AF_UNIX, SOCK_STREAM, 0);
	if (*in < 0)
		return false;
	fcntl(*in, F_SETFD, FD_CLOEXEC);
	*out = connect(*in, (struct sockaddr *)&address, sizeof(address)) ?
		       -1 : fcntl(*in, F_DUPFD_CLOEXEC, 3);
	if (*out < 0)
		close(*in);
	return *out >= 0;
}

int channel_open(struct agent *agent, const char *path)
{
	int in = STDIN_FILENO, out = STDOUT_FILENO, code = 0, flags;
	bool connected = path && connect_to(path, &in, &out);

	if (!connected) {
		in = STDIN_FILENO;
		out = STDOUT_FILENO;
	}
	flags = fcntl(out, F_GETFL);
	if (flags < 0 || fcntl(out, F_SETFL, flags | O_NONBLOCK))
		return errno;
	agent->reader_buffer = malloc(FRAME_READER_MIN);
	if (!agent->reader_buffer)
		return ENOMEM;
	frame_reader_init(&agent->reader, FRAME_FROM_HOST, agent->reader_buffer, FRAME_READER_MIN);
	agent->in = (struct watch_item){.fd = in, .ready = in_ready};
	agent->out = (struct watch_item){.fd = out, .ready = out_ready};
	agent->carrier = (struct watch_item){.fd = STDIN_FILENO, .ready = carrier_ready};
	if (connected)
		code = watch_set(&agent->watch, &agent->carrier, WATCH_READ);
	return code ? code : watch_set(&agent->watch, &agent->in, WATCH_READ);
}

void channel_greet(struct agent *agent)
{
	struct frame_agent_hello hello = {
		.version = FRAME_VERSION,
		.oldest = FRAME_VERSION_OLDEST,
		.max_calls = agent->max_calls,
		.max_block = FRAME_BLOCK_MAX,
		.stdin_window = STDIN_WINDOW,
		.pid = (uint32_t)getpid(),
		.name = "hookbox-agent " AGENT_VERSION,
	};
	unsigned char *room = channel_room(agent, FRAME_SMALL_MAX);
	struct utsname system;

	if (agent->surroundings.adopts)
		hello.features |= FRAME_CAN_PROVE;
	if (agent->hidden)
		hello.features |= FRAME_CAN_HIDE;
	if (!uname(&system)) {
		/* Cut, if they are that long. */
		snprintf(hello.system, sizeof(hello.system), "%.63s", system.sysname);
		snprintf(hello.machine, sizeof(hello.machine), "%.63s", system.machine);
	}
	if (room)
		channel_sent(agent, frame_put_agent_hello(room, FRAME_SMALL_MAX, &hello));
	channel_flush(agent);
}
