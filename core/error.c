/* SPDX-License-Identifier: MIT */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct hookbox_error *error, int code, const char *format, ...)
{
	if (error) {
		va_list args;

		error->code = code;
		va_start(args, format);
		vsnprintf(error->message, sizeof(error->message), format, args);
		va_end(args);
	}
	return code;
}

int error_prefix(struct hookbox_error *error, const char *format, ...)
{
	char old[sizeof(error->message)];
	va_list args;
	size_t length;

	if (!error)
		return -EINVAL;
	memcpy(old, error->message, sizeof(old));
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	length = strlen(error->message);
	snprintf(error->message + length, sizeof(error->message) - length, ": %s", old);
	return error->code;
}

int error_no_memory(struct hookbox_error *error)
{
	return error_set(error, -ENOMEM, "out of memory");
}
