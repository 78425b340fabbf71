/* SPDX-License-Identifier: MIT */
/* What the checks share. A check says at most one thing: that it failed, or that it was skipped. */
#ifndef HOOKBOX_KIT_H
#define HOOKBOX_KIT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "buf.h"
#include "cleanup.h"
#include "conformance.h"
#include "result.h"

/* What a pool may take to be as it was: its boxes hold descriptors. */
#define KIT_POOL_MS 60000

struct kit {
	struct hookbox *box;
	const char *sandbox;
	const struct conformance_options *options;
	uint64_t flags;			/* the backend's */
	struct pool *pool;		/* the sandbox's, or NULL */
	bool dry;			/* it did not fill, and is waited for no more */
	int64_t patience_ms;		/* long enough for a command to have started here */
	unsigned int fingerprint;	/* of the sleeps that the running check starts */
	bool blind;			/* what runs in the sandbox cannot be seen from here */
	/* Of the running check. */
	bool failed;
	bool skipped;
	char reason[512];
	/* Of all checks. */
	int n;
	int n_failed;
	int n_skipped;
};

struct kit_check {
	const char *name;
	void (*run)(struct kit *kit);
	uint64_t only;		/* asked of backends with one of these flags; 0: of all */
	uint64_t never;		/* not asked of backends with one of these */
};

/* Tables that end with {0}. */
extern const struct kit_check kit_stream_checks[];
extern const struct kit_check kit_input_checks[];
extern const struct kit_check kit_end_checks[];
extern const struct kit_check kit_leftover_checks[];

/* The first reason counts. */
void kit_fail(struct kit *kit, const char *format, ...) __attribute__((format(printf, 2, 3)));
void kit_skip(struct kit *kit, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Fails the check and leaves it unless the condition holds. */
#define EXPECT(kit, condition, ...)                    \
	do {                                           \
		if (!(condition)) {                    \
			kit_fail((kit), __VA_ARGS__);  \
			return;                        \
		}                                      \
	} while (0)

/*
 * Runs a command in the sandbox. Unless the call has a time limit, it gets one of two minutes. NULL
 * with the check failed when the call is refused.
 */
struct hookbox_result *kit_call(struct kit *kit, struct hookbox_call call, const char *const *argv);
#define KIT_CALL(kit, call, ...) \
	kit_call((kit), (call), (const char *const[]){__VA_ARGS__, NULL})
#define PLAIN ((struct hookbox_call){0})

/* Fails the check unless the command exited with the status. NULL fails, too. */
bool kit_exited(struct kit *kit, const struct hookbox_result *result, int status);
/* The same, and stdout must be these bytes. */
bool kit_said(struct kit *kit, const struct hookbox_result *result, const void *bytes, size_t n);
/* Is the program in the sandbox? Else the check is skipped. */
bool kit_has(struct kit *kit, const char *program);

/*
 * ---- Processes (kit_process.c) ----
 * A check's sleeps have its fingerprint as an argument, which no other process has.
 */
/* The fingerprint as the argument of a sleep. */
const char *kit_sleep(struct kit *kit, char text[16]);
/* Fails the check, saying `what`, when a process runs that has the fingerprint as an argument, and
 * ends it; skips the check where none could be seen. */
void kit_expect_gone(struct kit *kit, const char *what);
/* Ends what runs with the fingerprint, here and in the box. */
void kit_tidy(struct kit *kit);
/* Checks that a sleep which runs in the sandbox is found, and sets `blind` when it is not. */
void kit_check_sight(struct kit *kit);
/* Checks that nothing runs that any check has started. */
void kit_check_left(struct kit *kit);

/* n bytes that are not all alike, the caller's to free. Without memory the kit ends. */
char *kit_bytes(size_t n, unsigned int seed);

#endif
