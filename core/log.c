/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>

#include "hookbox/sandbox_plugin.h"

void log_write(const struct log *log, int level, const char *format, ...)
{
	char message[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (log && log->write)
		log->write(log->data, level, message);
	else if (level <= SANDBOX_LOG_WARNING)
		fprintf(stderr, "hookbox: %s\n", message);
}
