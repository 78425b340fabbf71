/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "soak.h"

#define REMEMBERED 256
/* What was killed may be believed to be there for so long. */
#define ECHO_US 4000000

extern char **environ;

static struct {
	pthread_mutex_t lock;
	struct {
		int64_t begun_us, ended_us;	/* ended_us 0: it goes on */
	} faults[REMEMBERED];
	long n;
	long of_kind[4];
} done = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *const names[] = {"agents", "keepers", "CLIs", "containers"};

static void begin_fault(void)
{
	pthread_mutex_lock(&done.lock);
	done.faults[done.n % REMEMBERED].begun_us = soak_now_us();
	done.faults[done.n % REMEMBERED].ended_us = 0;
	done.n++;
	pthread_mutex_unlock(&done.lock);
}

static void end_fault(int kind)
{
	pthread_mutex_lock(&done.lock);
	done.faults[(done.n - 1) % REMEMBERED].ended_us = soak_now_us();
	done.of_kind[kind]++;
	pthread_mutex_unlock(&done.lock);
}

bool soak_was_fault(int64_t begun_us, int64_t ended_us)
{
	bool was = false;

	pthread_mutex_lock(&done.lock);
	for (long i = 0; i < REMEMBERED && i < done.n; i++) {
		int64_t over = done.faults[i].ended_us;

		was |= done.faults[i].begun_us <= ended_us && (!over || over + ECHO_US >= begun_us);
	}
	pthread_mutex_unlock(&done.lock);
	return was;
}

int64_t soak_since_fault_us(int64_t us)
{
	int64_t since;

	pthread_mutex_lock(&done.lock);
	since = done.n ? us - done.faults[(done.n - 1) % REMEMBERED].ended_us : -1;
	pthread_mutex_unlock(&done.lock);
	return since;
}

static void docker(const char *verb, const char *container)
{
	const char *argv[] = {"docker", verb, container, NULL};
	posix_spawn_file_actions_t actions;
	int status = -1;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1, 0);
	if (posix_spawnp(&pid, "docker", &actions, NULL, (char *const *)argv, environ) ||
	    waitpid(pid, &status, 0) < 0 || status)
		soak_wrong("docker %s failed", verb);
	posix_spawn_file_actions_destroy(&actions);
}

static bool kill_process(const struct soak *soak, enum soak_kind kind, unsigned int *seed)
{
	pid_t pid = soak_find(soak, kind, seed);

	return pid && !kill(pid, SIGKILL);
}

void soak_kill(const struct soak *soak, const long *next)
{
	unsigned int seed = soak->seed * 31 + 7;
	long at;

	while ((at = __atomic_load_n(next, __ATOMIC_RELAXED)) < soak->n_calls) {
		unsigned int dice = soak_random(&seed, 16);
		int kind = dice < 5 ? SOAK_AGENT : dice < 10 ? SOAK_KEEPER : dice < 15 ? SOAK_CLI : 3;

		/* Now and then there is a time in which nothing may be lost. */
		usleep(50000 + soak_random(&seed, soak_random(&seed, 8) ? 750000 : 10000000));
		/* So that what was left before the end is seen there. */
		if (kind == 3 && at > soak->n_calls / 5 * 4)
			continue;
		begin_fault();
		if (kind == 3) {
			docker("kill", soak->container);
			docker("start", soak->container);
		} else if (!kill_process(soak, kind, &seed)) {
			end_fault(kind);
			done.of_kind[kind]--;
			continue;
		}
		end_fault(kind);
		soak_probe(soak, names[kind]);
	}
}

void soak_print_faults(void)
{
	printf("killed:");
	for (int i = 0; i < 4; i++)
		printf("%s %ld %s", i ? "," : "", done.of_kind[i], names[i]);
	printf("\n");
}
