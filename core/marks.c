/* SPDX-License-Identifier: MIT */
#include "marks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* The longest mark is "\036NONCE failed workdir 13\n"; nothing longer is one. */
#define MARK_MAX (MARK_NONCE_SIZE + 40)

int mark_nonce(char nonce[MARK_NONCE_SIZE])
{
	unsigned char random[16];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(nonce + 2 * i, 3, "%02x", random[i]);
	return 0;
}

void mark_stream_init(struct mark_stream *stream, const char *nonce,
		      int (*emit)(void *, const char *, size_t), void *data)
{
	stream->emit = emit;
	stream->data = data;
	stream->expected = nonce != NULL;
	stream->swept = -1;
	if (nonce)
		stream->intro_size = (size_t)snprintf(stream->intro, sizeof(stream->intro),
						      "\036%s ", nonce);
}

void mark_stream_free(struct mark_stream *stream)
{
	buf_free(&stream->hold);
}

static void keep_edges(struct mark_stream *stream, const char *bytes, size_t n)
{
	size_t head = sizeof(stream->head) - stream->head_size;
	size_t kept;

	if (head > n)
		head = n;
	memcpy(stream->head + stream->head_size, bytes, head);
	stream->head_size += head;
	stream->total += n;

	if (n >= sizeof(stream->tail)) {
		memcpy(stream->tail, bytes + n - sizeof(stream->tail), sizeof(stream->tail));
		stream->tail_size = sizeof(stream->tail);
		return;
	}
	kept = sizeof(stream->tail) - n;
	if (kept > stream->tail_size)
		kept = stream->tail_size;
	memmove(stream->tail, stream->tail + stream->tail_size - kept, kept);
	memcpy(stream->tail + kept, bytes, n);
	stream->tail_size = kept + n;
}

/* Only what lies between "start" and "end" is the command's. */
static int emit_body(struct mark_stream *stream, const char *bytes, size_t n)
{
	if (!n || !stream->started || stream->ended)
		return 0;
	return stream->emit(stream->data, bytes, n);
}

static void read_failure(struct mark_stream *stream, const char *words)
{
	static const struct {
		const char *word;
		enum mark_failure failure;
	} failures[] = {
		{"workdir", MARK_FAILED_WORKDIR}, {"command", MARK_FAILED_COMMAND},
		{"exec", MARK_FAILED_EXEC},	  {"setup", MARK_FAILED_SETUP},
		{"input", MARK_FAILED_INPUT},
	};
	char word[16] = "";

	sscanf(words, "%15s %d", word, &stream->code);
	stream->failure = MARK_FAILED_SETUP;
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
		if (!strcmp(word, failures[i].word))
			stream->failure = failures[i].failure;
}

/* `words` is what a mark says behind its nonce, terminated. */
static void read_mark(struct mark_stream *stream, const char *words)
{
	int code, swept = -1;

	if (!strcmp(words, "start")) {
		stream->started = true;
	} else if (!strncmp(words, "failed ", 7)) {
		read_failure(stream, words + 7);
	} else if (sscanf(words, "end %d %d", &code, &swept) >= 1 && stream->started) {
		stream->ended = true;
		stream->swept = swept;
		if (!stream->failure)
			stream->code = code;
	}
}

/*
 * Is there a mark at p (of n bytes, the first being \036)? Its length; 0 for no; -1 when more bytes
 * are needed to tell.
 */
static ptrdiff_t find_mark(const struct mark_stream *stream, const char *p, size_t n)
{
	size_t compare = n < stream->intro_size ? n : stream->intro_size;
	const char *end;

	if (memcmp(p, stream->intro, compare))
		return 0;
	end = memchr(p, '\n', n < MARK_MAX ? n : MARK_MAX);
	if (end)
		return compare == stream->intro_size ? end - p + 1 : 0;
	return n < MARK_MAX ? -1 : 0;
}

static int scan(struct mark_stream *stream, const char *p, size_t n, size_t *used)
{
	size_t body = 0;	/* where what is not handed on yet begins */
	size_t i = 0;
	int stop = 0;

	while (i < n) {
		const char *candidate = memchr(p + i, '\036', n - i);
		char words[MARK_MAX];
		ptrdiff_t length;

		if (!candidate) {
			i = n;
			break;
		}
		i = (size_t)(candidate - p);
		length = find_mark(stream, candidate, n - i);
		if (length < 0)
			break;
		if (length == 0) {
			i++;
			continue;
		}
		stop = emit_body(stream, p + body, i - body);
		snprintf(words, sizeof(words), "%.*s",
			 (int)(length - 1 - (ptrdiff_t)stream->intro_size),
			 candidate + stream->intro_size);
		read_mark(stream, words);
		i += (size_t)length;
		body = i;
		if (stop)
			break;
	}
	*used = i;
	return stop ? stop : emit_body(stream, p + body, i - body);
}

int mark_feed(struct mark_stream *stream, const char *bytes, size_t n)
{
	size_t used;
	int stop;

	keep_edges(stream, bytes, n);
	if (!stream->expected)
		return n ? stream->emit(stream->data, bytes, n) : 0;
	if (stream->hold.size) {
		buf_add(&stream->hold, bytes, n);
		stop = scan(stream, stream->hold.data, stream->hold.size, &used);
		buf_consume(&stream->hold, used);
		return stop;
	}
	stop = scan(stream, bytes, n, &used);
	if (used < n)
		buf_add(&stream->hold, bytes + used, n - used);
	return stop;
}

int mark_finish(struct mark_stream *stream)
{
	int stop = emit_body(stream, stream->hold.data, stream->hold.size);

	buf_free(&stream->hold);
	return stop;
}
