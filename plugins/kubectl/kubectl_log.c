/* SPDX-License-Identifier: MIT */
/*
 * What kubectl says of itself while the command's stderr passes through its own: log lines such as
 * "E1128 13:18:09.000000    1234 v2.go:104] ...", whose number is the pid of who wrote it, and at
 * the end "command terminated with exit code N".
 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kubectl.h"

/* How far behind the leader's pid that of a process may be which it started. */
#define NEAR_PIDS 4096

enum match { NO, MAYBE, YES };

/*
 * Is it kubectl, or one of its group? One that has been waited for already is known by its pid
 * alone; a command in a pod has pids of the pod's.
 */
static bool is_of_group(long pid, int64_t leader)
{
	if (pid == leader || getpgid((pid_t)pid) == leader)
		return true;
	return pid > leader && pid - leader < NEAR_PIDS && kill((pid_t)pid, 0) && errno == ESRCH;
}

/* In the pattern, I is one of the four levels and 0 any digit. */
static enum match match_head(const char *text, size_t n)
{
	static const char pattern[] = "I0000 00:00:00.000000 ";

	for (size_t i = 0; i < strlen(pattern); i++) {
		if (i == n)
			return MAYBE;
		if (pattern[i] == 'I'	? !memchr("IWEF", text[i], 4)
		    : pattern[i] == '0' ? !isdigit((unsigned char)text[i])
					: text[i] != pattern[i])
			return NO;
	}
	return YES;
}

static enum match match_log_line(const char *text, size_t n, int64_t leader, size_t *length)
{
	static const size_t head = sizeof("I0000 00:00:00.000000 ") - 1;
	enum match match = match_head(text, n);
	const char *newline;
	size_t at = head;
	long pid = 0;

	if (match != YES)
		return match;
	while (at < n && text[at] == ' ')
		at++;
	for (; at < n && isdigit((unsigned char)text[at]) && pid < 100000000; at++)
		pid = 10 * pid + (text[at] - '0');
	if (at == n)
		return MAYBE;
	if (text[at] != ' ' || !pid || !is_of_group(pid, leader))
		return NO;
	newline = memchr(text + at, '\n', n - at);
	*length = newline ? (size_t)(newline - text) + 1 : 0;
	return newline ? YES : MAYBE;
}

/* It is the last that kubectl says but for log lines; with anything else behind it it is none. */
static bool may_be_last_word(const char *text, size_t n, int64_t leader)
{
	static const char word[] = KUBECTL_LAST_WORD;
	size_t at = n < strlen(word) ? n : strlen(word), length = 0;
	enum match match = YES;

	if (memcmp(text, word, at))
		return false;
	while (at < n && isdigit((unsigned char)text[at]))
		at++;
	if (at < n && text[at++] != '\n')
		return false;
	for (; at < n && match == YES; at += length)
		match = match_log_line(text + at, n - at, leader, &length);
	return match != NO;
}

size_t kubectl_find_own_line(const void *instance, const char *text, size_t n, int64_t pid,
			     size_t *length)
{
	*length = 0;
	for (size_t i = 0; i < n; i++) {
		if (text[i] == KUBECTL_LAST_WORD[0] && may_be_last_word(text + i, n - i, pid))
			return i;
		if (memchr("IWEF", text[i], 4) &&
		    match_log_line(text + i, n - i, pid, length) != NO)
			return i;
	}
	return n;
}
