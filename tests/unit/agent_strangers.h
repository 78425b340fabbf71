/* SPDX-License-Identifier: MIT */
/* Agents that run as users who own nothing else here. Only root can start them. */
#ifndef TESTS_AGENT_STRANGERS_H
#define TESTS_AGENT_STRANGERS_H

#include "agent_marks.h"

#include <grp.h>
#include <sys/resource.h>

#define STRANGER 61234
#define OTHER_STRANGER 61235

static inline void become(uid_t uid)
{
	const struct rlimit limit = {150, 150};

	setrlimit(RLIMIT_NPROC, &limit);
	if (setgroups(0, NULL) || setgid(uid) || setuid(uid))
		_exit(125);
}

static inline void become_stranger(void)
{
	become(STRANGER);
}

static inline void become_other_stranger(void)
{
	become(OTHER_STRANGER);
}

/*
 * Makes `directory`, unless it was made from its pattern for mkdtemp() already, with a copy of the
 * program that everybody can run.
 */
static inline void share_program(char *directory, const char *program, const char *name)
{
	char command[8192];

	if (strstr(directory, "XXXXXX"))
		assert_non_null(mkdtemp(directory));
	snprintf(command, sizeof(command), "chmod 755 %s && { [ -e %s/%s ] || cp %s %s/%s; }",
		 directory, directory, name, program, directory, name);
	assert_int_equal(system(command), 0);
}

/* False: only root can become somebody else. */
static inline bool start_as_stranger(struct agent_host *host, char *directory, void (*become)(void))
{
	static char copy[64];

	if (geteuid())
		return false;
	share_program(directory, agent_path("hookbox-agent"), "agent");
	snprintf(copy, sizeof(copy), "%s/agent", directory);
	host_start_as(host, (const char *const[]){copy, NULL}, become);
	host_greet(host, 0, 0);
	return true;
}

static inline void stop_stranger(const char *directory)
{
	char command[256];

	wait_until_none_is_left();
	snprintf(command, sizeof(command), "rm -r %s", directory);
	assert_int_equal(system(command), 0);
}

#endif
