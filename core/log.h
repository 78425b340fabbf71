/* SPDX-License-Identifier: MIT */
/* Lines for the operator. Levels are those of enum sandbox_log_level. */
#ifndef CORE_LOG_H
#define CORE_LOG_H

struct log {
	void (*write)(void *data, int level, const char *message); /* NULL: see below */
	void *data;
};

/* Without a function to write it, warnings and errors go to stderr and all else nowhere. */
void log_write(const struct log *log, int level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
