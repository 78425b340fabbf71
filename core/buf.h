/* SPDX-License-Identifier: MIT */
/* Growable bytes and growable NULL-terminated string vectors. */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Bytes with a NUL behind them that `size` does not count. Zero-initialise. When memory runs out
 * `failed` is set, the content stays as it was, and further adds do nothing: check once, at the
 * end.
 */
struct buf {
	char *data;	/* NULL while nothing was added */
	size_t size;
	size_t capacity;
	bool failed;
};

void buf_add(struct buf *buf, const void *bytes, size_t n);
void buf_add_string(struct buf *buf, const char *string);
void buf_add_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first n bytes. */
void buf_consume(struct buf *buf, size_t n);
/* The bytes, owned by the caller and never NULL unless memory ran out; buf is empty afterwards. */
char *buf_take(struct buf *buf);
void buf_free(struct buf *buf);

/* A NULL-terminated vector of owned strings. Zero-initialise; `failed` as above. */
struct strv {
	char **v;	/* NULL while nothing was added */
	size_t n;
	bool failed;
};

void strv_add(struct strv *strv, const char *string);
/* Takes ownership of string; NULL counts as "memory ran out". */
void strv_add_owned(struct strv *strv, char *string);
void strv_printf(struct strv *strv, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sets NAME=value in an environment vector, replacing an older NAME; "NAME" alone removes it. */
void strv_set_env(struct strv *strv, const char *assignment);
/* The vector, never NULL: an empty one for nothing added. Lent. */
const char *const *strv_view(const struct strv *strv);
void strv_free(struct strv *strv);

#define _cleanup_buf_ __attribute__((cleanup(buf_free)))
#define _cleanup_strv_ __attribute__((cleanup(strv_free)))

#endif
