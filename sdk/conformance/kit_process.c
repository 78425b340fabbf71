/* SPDX-License-Identifier: MIT */
/* Finding and ending the processes that checks start, wherever the kit can see them. */
#include "kit.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "hookbox/sandbox_plugin.h"

/* The last digits of a fingerprint count the checks; those before are the whole run's. */
#define COUNT_DIGITS 2

const char *kit_sleep(struct kit *kit, char text[16])
{
	snprintf(text, 16, "%u", kit->fingerprint);
	return text;
}

static void pause_ms(long ms)
{
	const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&pause, NULL);
}

/* ---- On this machine, where the processes of local containers are seen as well ---- */

/* Has it an argument that is `text` and as many digits more? */
static bool has_argument(const char *pid, const char *text, size_t digits)
{
	char path[64], bytes[65536];
	size_t length = strlen(text);
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, bytes, sizeof(bytes) - 1);
	close(fd);
	if (n <= 0)
		return false;
	bytes[n] = '\0';
	for (const char *arg = bytes; arg < bytes + n; arg += strlen(arg) + 1)
		if (!strncmp(arg, text, length) && strlen(arg) == length + digits &&
		    strspn(arg + length, "0123456789") == digits)
			return true;
	return false;
}

/* Signal 0 ends the search at the first; others go to each. */
static bool search_here(const char *text, size_t digits, int signal)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool found = false;

	if (!proc)
		return false;
	while ((signal || !found) && (entry = readdir(proc))) {
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    !has_argument(entry->d_name, text, digits))
			continue;
		found = true;
		if (signal)
			kill((pid_t)atoi(entry->d_name), signal);
	}
	closedir(proc);
	return found;
}

/* ---- In the box ---- */

/* The text goes in by stdin, lest the search finds itself. */
static bool search_box(struct kit *kit, const char *text, bool end)
{
	static const char script[] =
		"IFS= read -r n; for f in /proc/[0-9]*/cmdline; do c=; IFS= read -r c <$f; "
		"case $c in *\"$n\"*) echo found; p=${f#/proc/}; $1 kill -9 ${p%/cmdline} ;; esac; "
		"done 2>/dev/null; exit 0";
	struct hookbox_call call = {.stdin_data = text, .stdin_size = strlen(text)};
	_cleanup_result_ struct hookbox_result *result =
		KIT_CALL(kit, call, "sh", "-c", script, "sh", end ? "" : ":");

	return !kit_exited(kit, result, 0) || result->out_size > 0;
}

static bool boxes_stay(const struct kit *kit)
{
	return kit->flags & SANDBOX_KEPT;
}

static bool search(struct kit *kit, const char *text, size_t digits)
{
	/* A process that was killed is seen a moment longer. */
	for (int i = 0; i < 5; i++) {
		if (!search_here(text, digits, 0) &&
		    !(boxes_stay(kit) && search_box(kit, text, false)))
			return false;
		pause_ms(20);
	}
	return true;
}

void kit_tidy(struct kit *kit)
{
	char text[16];

	kit_sleep(kit, text);
	search_here(text, 0, SIGKILL);
	if (boxes_stay(kit))
		search_box(kit, text, true);
}

void kit_expect_gone(struct kit *kit, const char *what)
{
	char text[16];

	if (kit->blind) {
		kit_skip(kit, "what runs in the sandbox cannot be seen from here");
	} else if (search(kit, kit_sleep(kit, text), 0)) {
		kit_fail(kit, "%s", what);
		kit_tidy(kit);
	}
}

/* ---- Can it be seen at all? ---- */

struct sleeper {
	struct kit kit; /* a copy: it is another thread's */
	struct hookbox_cancel *cancel;
};

static void *sleep_in_box(void *data)
{
	struct sleeper *sleeper = data;
	struct hookbox_call call = {.cancel = sleeper->cancel};
	_cleanup_result_ struct hookbox_result *result = NULL;
	char text[16];

	result = KIT_CALL(&sleeper->kit, call, "sleep", kit_sleep(&sleeper->kit, text));
	if (result && result->end != HOOKBOX_CANCELLED)
		kit_fail(&sleeper->kit, "a sleep ended as \"%s\" %d: %.200s",
			 hookbox_end_name(result->end), result->status, result->err);
	return NULL;
}

void kit_check_sight(struct kit *kit)
{
	struct sleeper sleeper = {.kit = *kit, .cancel = hookbox_cancel_new()};
	pthread_t thread;
	char text[16];

	kit_sleep(kit, text);
	kit->blind = true;
	EXPECT(kit, sleeper.cancel, "no cancel object could be made");
	if (pthread_create(&thread, NULL, sleep_in_box, &sleeper)) {
		hookbox_cancel_free(sleeper.cancel);
		kit_fail(kit, "no thread could be made");
		return;
	}
	for (int64_t waited = 0; kit->blind && waited < 2 * kit->patience_ms; waited += 20) {
		pause_ms(20);
		kit->blind = !search_here(text, 0, 0) &&
			     !(boxes_stay(kit) && search_box(kit, text, false));
	}
	hookbox_cancel_fire(sleeper.cancel);
	pthread_join(thread, NULL);
	hookbox_cancel_free(sleeper.cancel);
	EXPECT(kit, !sleeper.kit.failed, "%s", sleeper.kit.reason);
	if (kit->blind)
		kit_skip(kit,
			 "its processes are elsewhere: what calls leave there is not looked for");
}

void kit_check_left(struct kit *kit)
{
	char text[16];

	kit_sleep(kit, text);
	text[strlen(text) - COUNT_DIGITS] = '\0';
	if (kit->blind)
		kit_skip(kit, "what runs in the sandbox cannot be seen from here");
	else
		EXPECT(kit, !search(kit, text, COUNT_DIGITS),
		       "a process of an earlier check still runs");
}
