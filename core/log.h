/* SPDX-License-Identifier: MIT */
/* Lines for the operator. Levels are those of enum sandbox_log_level. */
#ifndef CORE_LOG_H
#define CORE_LOG_H

struct log {
	void (*write)(void *data, int level, const char *message); /* NULL: stderr, see below */
	void *data;
};

/* On stderr, whoever sits at a terminal sees what takes its time; else there are only warnings. */
void log_write(const struct log *log, int level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
