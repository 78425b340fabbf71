/* SPDX-License-Identifier: MIT */
/* It knows nothing of the library: posix_spawn, three pipes, a pidfd, one poll loop. */
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t floor_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double floor_median(double *samples, size_t n)
{
	qsort(samples, n, sizeof(*samples), compare);
	return samples[n / 2];
}

static int start(const char *const *argv, const char *const *env, int pipes[3][2], pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	int code;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipes[0][0], 0);
	posix_spawn_file_actions_adddup2(&actions, pipes[1][1], 1);
	posix_spawn_file_actions_adddup2(&actions, pipes[2][1], 2);
	code = posix_spawn(pid, argv[0], &actions, NULL, (char *const *)argv, (char *const *)env);
	posix_spawn_file_actions_destroy(&actions);
	return -code;
}

/* Reads both streams and waits for the end, whichever comes first. */
static void watch(struct pollfd fds[3], struct floor_output *output)
{
	char dropped[65536];
	int open = 3;

	while (open) {
		poll(fds, 3, -1);
		for (int i = 0; i < 2; i++) {
			char *to = i == 0 && output->size < sizeof(output->bytes)
					   ? output->bytes + output->size
					   : dropped;
			size_t room = to == dropped ? sizeof(dropped)
						    : sizeof(output->bytes) - output->size;
			ssize_t n;

			if (!fds[i].revents)
				continue;
			n = read(fds[i].fd, to, room);
			if (n > 0 && to != dropped)
				output->size += (size_t)n;
			if (n == 0) {
				fds[i].fd = -1;
				open--;
			}
		}
		if (fds[2].revents) {
			fds[2].fd = -1;
			open--;
		}
	}
}

int floor_call(const char *const *argv, const char *const *env, const void *input,
	       size_t input_size, struct floor_output *output)
{
	int pipes[3][2];
	siginfo_t info = {0};
	pid_t pid;
	int pidfd, code;

	for (int i = 0; i < 3; i++)
		if (pipe2(pipes[i], O_CLOEXEC))
			return -errno;
	code = start(argv, env, pipes, &pid);
	close(pipes[0][0]);
	close(pipes[1][1]);
	close(pipes[2][1]);
	output->size = 0;
	if (!code) {
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		/* It fits into the pipe: no need to wait for room. */
		if (write(pipes[0][1], input, input_size) != (ssize_t)input_size)
			code = -EIO;
		close(pipes[0][1]);
		watch((struct pollfd[]){{pipes[1][0], POLLIN, 0},
					{pipes[2][0], POLLIN, 0},
					{pidfd, POLLIN, 0}},
		      output);
		waitid(P_PID, (id_t)pid, &info, WEXITED);
		output->status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
		close(pidfd);
	} else {
		close(pipes[0][1]);
	}
	close(pipes[1][0]);
	close(pipes[2][0]);
	return code;
}
