/* SPDX-License-Identifier: MIT */
/* What frame.c and frame_call.c share. */
#ifndef CORE_FRAME_BYTES_H
#define CORE_FRAME_BYTES_H

#include <string.h>

#include "frame.h"

/* Payloads' sizes, without what may follow. */
#define HELLO_AGENT_SIZE 24
#define HELLO_HOST_SIZE 12
#define CALL_SIZE 56
#define EXIT_SIZE 64

/* ---- Numbers: little endian, whatever the machine ---- */

struct writer {
	unsigned char *at;
	size_t room;
	size_t size;		/* may exceed room: then nothing counts */
};

static inline void put_bytes(struct writer *writer, const void *bytes, size_t n)
{
	if (n && writer->size <= writer->room && n <= writer->room - writer->size)
		memcpy(writer->at + writer->size, bytes, n);
	writer->size += n;
}

static inline void put_number(struct writer *writer, uint64_t number, size_t size)
{
	unsigned char bytes[8];

	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(number >> (8 * i));
	put_bytes(writer, bytes, size);
}

static inline void put_header(struct writer *writer, enum frame_type type, uint32_t call,
			      size_t size)
{
	put_number(writer, size, 4);
	put_number(writer, type, 1);
	put_number(writer, 0, 3);
	put_number(writer, call, 4);
}

static inline struct writer writer_to(void *to, size_t room)
{
	return (struct writer){.at = to, .room = room};
}

static inline size_t written(const struct writer *writer)
{
	return writer->size <= writer->room ? writer->size : 0;
}

/* Reads a field and steps over it. The caller has checked the size. */
static inline uint64_t take_number(const unsigned char **at, size_t size)
{
	uint64_t number = 0;

	for (size_t i = 0; i < size; i++)
		number |= (uint64_t)(*at)[i] << (8 * i);
	*at += size;
	return number;
}

/* ---- Sentences ---- */

static inline void put_text(struct writer *writer, const char *text)
{
	put_bytes(writer, text, strnlen(text, FRAME_TEXT_MAX));
}

/* A stranger's text ends up on terminals, some of which obey more than ASCII's controls. */
static inline void copy_text(char *to, const unsigned char *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = from[i] < ' ' || from[i] >= 127 ? '?' : (char)from[i];
	to[n] = '\0';
}

#endif
