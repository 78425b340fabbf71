/* SPDX-License-Identifier: MIT */
/* Threads of the host's own. */
#ifndef CORE_THREAD_H
#define CORE_THREAD_H

#include <pthread.h>
#include <signal.h>

/* 0 or an errno. The program's signals are its own threads' affair. */
static inline int thread_start(pthread_t *thread, void *(*run)(void *), void *data,
			       const char *name)
{
	sigset_t all, old;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	code = pthread_create(thread, NULL, run, data);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!code)
		pthread_setname_np(*thread, name);
	return code;
}

#endif
