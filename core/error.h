/* SPDX-License-Identifier: MIT */
/* The one idiom for errors: return a negative errno value, and one sentence in *error. */
#ifndef CORE_ERROR_H
#define CORE_ERROR_H

#include "hookbox.h"

/* Fills *error (which may be NULL) and returns `code`, so that `return error_set(...)` reads
 * well. */
int error_set(struct hookbox_error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "WHERE: " in front of the sentence that is there. Returns error's code. */
int error_prefix(struct hookbox_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* -ENOMEM with its sentence. */
int error_no_memory(struct hookbox_error *error);

#endif
