/* SPDX-License-Identifier: MIT */
#include "buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool buf_reserve(struct buf *buf, size_t extra)
{
	size_t capacity = buf->capacity ? buf->capacity : 64;
	char *data;

	if (buf->failed || extra > SIZE_MAX / 4 - buf->size) {
		buf->failed = true;
		return false;
	}
	if (buf->size + extra + 1 <= buf->capacity)
		return true;
	while (capacity < buf->size + extra + 1)
		capacity += capacity / 2;
	data = realloc(buf->data, capacity);
	if (!data) {
		buf->failed = true;
		return false;
	}
	buf->data = data;
	buf->capacity = capacity;
	return true;
}

void buf_add(struct buf *buf, const void *bytes, size_t n)
{
	if (!buf_reserve(buf, n))
		return;
	if (n)
		memcpy(buf->data + buf->size, bytes, n);
	buf->size += n;
	buf->data[buf->size] = '\0';
}

void buf_add_string(struct buf *buf, const char *string)
{
	buf_add(buf, string, strlen(string));
}

void buf_add_char(struct buf *buf, char c)
{
	buf_add(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;
	char *text;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0) {
		buf->failed = true;
		return;
	}
	buf_add(buf, text, (size_t)length);
	free(text);
}

void buf_consume(struct buf *buf, size_t n)
{
	if (!n)
		return;
	buf->size -= n;
	memmove(buf->data, buf->data + n, buf->size + 1);
}

char *buf_take(struct buf *buf)
{
	char *data;

	buf_add(buf, "", 0);
	data = buf->failed ? NULL : buf->data;
	if (!data)
		free(buf->data);
	*buf = (struct buf){0};
	return data;
}

void buf_free(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){0};
}

void strv_add_owned(struct strv *strv, char *string)
{
	char **v;

	if (!string || strv->failed) {
		strv->failed = true;
		free(string);
		return;
	}
	/* Grow whenever n is a power of two: room for n strings and the NULL behind them. */
	if (!(strv->n & (strv->n - 1))) {
		v = reallocarray(strv->v, strv->n * 2 + 2, sizeof(*v));
		if (!v) {
			strv->failed = true;
			free(string);
			return;
		}
		strv->v = v;
	}
	strv->v[strv->n++] = string;
	strv->v[strv->n] = NULL;
}

void strv_add(struct strv *strv, const char *string)
{
	strv_add_owned(strv, strdup(string));
}

void strv_printf(struct strv *strv, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	strv_add_owned(strv, text);
}

void strv_set_env(struct strv *strv, const char *assignment)
{
	size_t name = strcspn(assignment, "=");
	size_t i;

	for (i = 0; i < strv->n; i++)
		if (!strncmp(strv->v[i], assignment, name) && strv->v[i][name] == '=')
			break;
	if (!assignment[name]) {
		if (i < strv->n) {
			free(strv->v[i]);
			memmove(strv->v + i, strv->v + i + 1, (strv->n - i) * sizeof(*strv->v));
			strv->n--;
		}
		return;
	}
	if (i == strv->n) {
		strv_add(strv, assignment);
		return;
	}
	free(strv->v[i]);
	strv->v[i] = strdup(assignment);
	if (!strv->v[i]) {
		memmove(strv->v + i, strv->v + i + 1, (strv->n - i) * sizeof(*strv->v));
		strv->n--;
		strv->failed = true;
	}
}

const char *const *strv_view(const struct strv *strv)
{
	static const char *const empty[] = {NULL};

	return strv->v ? (const char *const *)strv->v : empty;
}

void strv_free(struct strv *strv)
{
	for (size_t i = 0; i < strv->n; i++)
		free(strv->v[i]);
	free(strv->v);
	*strv = (struct strv){0};
}
