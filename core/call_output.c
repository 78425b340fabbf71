/* SPDX-License-Identifier: MIT */
/* What comes out of a call: without the CLI's own lines and the marks it is handed on. */
#include "call.h"
#include "relay.h"

int call_output_take(void *data, const char *bytes, size_t n)
{
	struct call_output *output = data;
	struct hookbox_call *asked = &output->call->asked;
	uint64_t room = output->limit - output->passed;
	size_t take = n < room ? n : (size_t)room;
	int stop = 0;

	output->total += n;
	output->passed += take;
	if (output->over || (!asked->use_output_fds && !asked->sink))
		buf_add(&output->kept, bytes, take);
	else if (asked->use_output_fds)
		buf_add(&output->relay, bytes, take);
	else if (take && asked->sink(asked->sink_data, output->stream, bytes, take))
		stop = SPAWN_STOP_CANCEL;
	if (take < n && output->ends_call)
		stop = SPAWN_STOP_LIMIT;
	return stop;
}

struct spawn_stream call_stream(struct call *call, int index,
				int (*consume)(void *data, const char *bytes, size_t n), void *data)
{
	bool relayed = call->asked.use_output_fds;

	return (struct spawn_stream){
		.consume = consume,
		.data = data,
		.out_fd = !relayed ? -1 : index ? call->asked.stderr_fd : call->asked.stdout_fd,
		.relay = relayed ? &call->output[index].relay : NULL,
	};
}

bool call_marks_complete(const struct call *call)
{
	return call->marks[0].ended && call->marks[1].ended;
}

int call_feed_marks(void *data, const char *bytes, size_t n)
{
	return mark_feed(data, bytes, n);
}

int call_output_consume(void *data, const char *bytes, size_t n)
{
	struct mark_stream *marks = data;
	struct call *call = ((struct call_output *)marks->data)->call;
	int stop = marks == &call->marks[1]
			   ? own_lines_feed(&call->own_lines, bytes, n, call->spawn.pid)
			   : mark_feed(marks, bytes, n);

	/* A CLI whose streams somebody else still holds does not end by itself. */
	return !stop && call_marks_complete(call) ? SPAWN_STOP_DONE : stop;
}

/* What was held back comes now, and is kept for classify() to judge. */
void call_output_finish(struct call *call)
{
	for (int i = 0; i < 2; i++)
		call->output[i].over = true;
	own_lines_finish(&call->own_lines);
	for (int i = 0; i < 2; i++)
		mark_finish(&call->marks[i]);
}

/* Hands on what call_output_finish() kept of a streamed output. */
void call_output_flush(struct call *call)
{
	for (int i = 0; i < 2; i++) {
		struct buf *kept = &call->output[i].kept;
		int fd = i ? call->asked.stderr_fd : call->asked.stdout_fd;

		if (!call->asked.sink && !call->asked.use_output_fds)
			continue;
		if (kept->size && call->asked.sink)
			call->asked.sink(call->asked.sink_data, i + 1, kept->data, kept->size);
		else if (kept->size)
			relay_flush(fd, kept);
		buf_free(kept);
	}
}
