/* SPDX-License-Identifier: MIT */
/*
 * Marks: the lines "\036NONCE WORD ...\n" that the prologue prints on stdout and stderr around the
 * command's output. What lies between "start" and "end" is the command's, byte for byte; what lies
 * outside is the CLI's. An output without its "end" was cut, and never looks like a whole one.
 */
#ifndef CORE_MARKS_H
#define CORE_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define MARK_NONCE_SIZE 33
#define MARK_EDGE_SIZE 4096

/* Why the command did not start ("failed" mark). */
enum mark_failure {
	MARK_NO_FAILURE = 0,
	MARK_FAILED_WORKDIR,	/* code: errno */
	MARK_FAILED_COMMAND,	/* code: errno */
	MARK_FAILED_EXEC,	/* the shell could not execute it */
	MARK_FAILED_SETUP,	/* a variable that the shell does not let go */
	MARK_FAILED_INPUT,	/* stdin ended within the prologue */
};

struct mark_stream {
	bool expected;		/* false: no marks here, all bytes are the command's */
	char intro[MARK_NONCE_SIZE + 2]; /* "\036NONCE " */
	size_t intro_size;
	bool started;
	bool ended;
	enum mark_failure failure;
	int code;		/* of "end": exit code; of "failed": errno */
	int swept;		/* of "end": SWEEP_*, -1 when not swept */
	struct buf hold;	/* the beginning of what may become a mark */
	/* Takes the command's bytes; its nonzero return is handed on by mark_feed(). */
	int (*emit)(void *data, const char *bytes, size_t n);
	void *data;
	/* The process's own bytes, marks and all: the first and the last of them. */
	char head[MARK_EDGE_SIZE];
	size_t head_size;
	char tail[MARK_EDGE_SIZE];
	size_t tail_size;
	uint64_t total;
};

/* 32 random hex digits. Returns 0 or negative errno. */
int mark_nonce(char nonce[MARK_NONCE_SIZE]);
/* nonce = NULL: no marks are expected. Zero-initialise before. */
void mark_stream_init(struct mark_stream *stream, const char *nonce,
		      int (*emit)(void *, const char *, size_t), void *data);
/* Returns the first nonzero return of emit. */
int mark_feed(struct mark_stream *stream, const char *bytes, size_t n);
/* No more will come: what was held back as a possible mark is none. */
int mark_finish(struct mark_stream *stream);
void mark_stream_free(struct mark_stream *stream);

#endif
