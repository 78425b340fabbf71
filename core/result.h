/* SPDX-License-Identifier: MIT */
/* Results of calls: made by the sandbox layer, read by hooks, owned by the caller in the end. */
#ifndef CORE_RESULT_H
#define CORE_RESULT_H

#include "buf.h"
#include "hookbox.h"

/*
 * A result that says nothing yet: end is HOOKBOX_LOST, cleanup UNKNOWN, out and err are empty
 * strings. NULL when memory ran out.
 */
struct hookbox_result *result_new(void);

/* Each replaces the text that is there; -ENOMEM leaves it as it was. */
int result_set_message(struct hookbox_result *result, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int result_set_cleanup_reason(struct hookbox_result *result, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Take the bytes out of the buffer, which is empty afterwards; -ENOMEM when it had failed. */
int result_take_out(struct hookbox_result *result, struct buf *out);
int result_take_err(struct hookbox_result *result, struct buf *err);

static inline void cleanup_result(struct hookbox_result **result)
{
	hookbox_result_free(*result);
}

#define _cleanup_result_ __attribute__((cleanup(cleanup_result)))

#endif
