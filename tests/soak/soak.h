/* SPDX-License-Identifier: MIT */
/*
 * The soak: threads that make calls of all kinds through one channel, and one that kills what
 * carries them. Every call must end as its kind does, or as lost when something was killed then.
 */
#ifndef TESTS_SOAK_H
#define TESTS_SOAK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "hookbox.h"

struct soak {
	struct hookbox *box;
	const char *container;	/* its id */
	long n_calls;
	int n_threads;
	unsigned int seed;
};

int64_t soak_now_us(void);
/* One line about what is wrong; the soak has failed then. */
void soak_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* [0, below) */
unsigned int soak_random(unsigned int *seed, unsigned int below);

/* ---- Calls (soak_calls.c) ---- */

/* Makes the call of that number, and judges how it ended. */
void soak_call(const struct soak *soak, long number);
/* One that must work: an answer to it after at most one that is lost. */
void soak_probe(const struct soak *soak, const char *after);
void soak_print_calls(void);

/* ---- Faults (soak_faults.c) ---- */

/* Was something killed while a call ran, or shortly before? */
bool soak_was_fault(int64_t begun_us, int64_t ended_us);
/* How long before that the last one was over. */
int64_t soak_since_fault_us(int64_t us);
/* Ends one thing after another until *next is the last call; no container near the end. */
void soak_kill(const struct soak *soak, const long *next);
void soak_print_faults(void);

/* ---- Processes (soak_processes.c) ---- */

enum soak_kind { SOAK_AGENT, SOAK_KEEPER, SOAK_CLI, SOAK_OTHER };

/* One of them at random; 0: there is none. */
pid_t soak_find(const struct soak *soak, enum soak_kind kind, unsigned int *seed);
/* How many there are. Of the others: in the container, but for the two that are its own. */
int soak_count(const struct soak *soak, enum soak_kind kind);
int soak_n_descriptors(void);
long soak_memory_kb(void);

#endif
