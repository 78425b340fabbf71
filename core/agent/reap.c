/* SPDX-License-Identifier: MIT */
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keeper.h"
#include "system.h"

int64_t reap_clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void reap_pause_us(long us)
{
	const struct timespec pause = {.tv_nsec = us * 1000};

	nanosleep(&pause, NULL);
}

/* One look at the children. */
struct look {
	pid_t group;
	bool group_killed;
};

/*
 * A child that was not waited for keeps its pid, and a group with a child of ours in it its id. A
 * group is killed at one stroke, which nothing that multiplies in it escapes; but only one that is
 * the call's own, or led by the child: others may have been joined to get their members killed.
 */
static void kill_child(void *data, pid_t pid)
{
	struct look *look = data;
	pid_t group = getpgid(pid);

	if (group == pid || (group > 0 && group == look->group && !look->group_killed))
		kill(-group, SIGKILL);
	look->group_killed |= group == look->group;
	kill(pid, SIGKILL);
}

/*
 * Only children are killed, and their groups. What they leave becomes ours when they die, and is
 * killed in the next look; no process can get out of that chain, so that no child left means that
 * nothing is left.
 */
bool reap_all(pid_t leader, int *status, int64_t patience_ms, const char **why)
{
	int64_t until = reap_clock_us() + patience_ms * 1000;

	for (int look = 0;; look++) {
		struct look children = {.group = leader};
		int ended;
		pid_t pid;

		while ((pid = waitpid(-1, &ended, WNOHANG)) > 0)
			if (pid == leader)
				*status = ended;
		if (pid < 0 && errno == ECHILD)
			return true;
		if (!system_each_child(kill_child, &children)) {
			*why = "what is left of it cannot be found: /proc cannot be read";
			return false;
		}
		if (reap_clock_us() >= until) {
			*why = "what is left of it does not end although it is killed, or "
			       "multiplies faster; limit its number of processes";
			return false;
		}
		/* A bomb must be given no time; a process that dies needs some. */
		reap_pause_us(look < 50 ? 50 : 1000);
	}
}
