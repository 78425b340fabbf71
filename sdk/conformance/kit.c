/* SPDX-License-Identifier: MIT */
#include "kit.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "hookbox/sandbox_plugin.h"

#define CALL_MS 120000

static void say(struct kit *kit, bool *what, const char *format, va_list args)
{
	if (kit->failed || kit->skipped)
		return;
	*what = true;
	vsnprintf(kit->reason, sizeof(kit->reason), format, args);
}

void kit_fail(struct kit *kit, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(kit, &kit->failed, format, args);
	va_end(args);
}

void kit_skip(struct kit *kit, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(kit, &kit->skipped, format, args);
	va_end(args);
}

struct hookbox_result *kit_call(struct kit *kit, struct hookbox_call call, const char *const *argv)
{
	struct hookbox_result *result = NULL;
	struct hookbox_error error = {0};

	call.size = sizeof(call);
	call.argv = argv;
	if (!call.timeout_ms)
		call.timeout_ms = CALL_MS;
	if (hookbox_exec(kit->box, kit->sandbox, &call, &result, &error)) {
		kit_fail(kit, "the call was refused: %s", error.message);
		return NULL;
	}
	return result;
}

bool kit_exited(struct kit *kit, const struct hookbox_result *result, int status)
{
	if (!result)
		kit_fail(kit, "there is no result");
	else if (result->end != HOOKBOX_EXITED || result->status != status)
		kit_fail(kit, "expected exit %d, got \"%s\" %d: %s %.100s", status,
			 hookbox_end_name(result->end), result->status,
			 result->message ? result->message : "", result->err);
	else
		return true;
	return false;
}

bool kit_said(struct kit *kit, const struct hookbox_result *result, const void *bytes, size_t n)
{
	size_t same = 0;

	if (!kit_exited(kit, result, 0))
		return false;
	if (result->out_size == n && !memcmp(result->out, bytes, n))
		return true;
	while (same < n && same < result->out_size && result->out[same] == ((const char *)bytes)[same])
		same++;
	kit_fail(kit, "expected %zu bytes, got %zu, which differ from byte %zu on", n,
		 result->out_size, same);
	return false;
}

bool kit_has(struct kit *kit, const char *program)
{
	_cleanup_result_ struct hookbox_result *result =
		KIT_CALL(kit, PLAIN, "sh", "-c", "command -v \"$1\" >/dev/null", "sh", program);

	if (result && result->end == HOOKBOX_EXITED && result->status == 0)
		return true;
	kit_skip(kit, "the sandbox has no %s", program);
	return false;
}

const char *kit_sleep(struct kit *kit, char text[16])
{
	snprintf(text, 16, "%u", kit->fingerprint);
	return text;
}

/* ---- Looking for fingerprints ---- */

static bool cmdline_has(const char *pid, const char *text)
{
	char path[64], bytes[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, bytes, sizeof(bytes));
	close(fd);
	return n > 0 && memmem(bytes, (size_t)n, text, strlen(text));
}

static bool found_here(const char *text)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool found = false;

	if (!proc)
		return false;
	while (!found && (entry = readdir(proc)))
		found = isdigit((unsigned char)entry->d_name[0]) && cmdline_has(entry->d_name, text);
	closedir(proc);
	return found;
}

/* The fingerprint goes in by stdin, lest the search finds itself. */
static bool found_in_box(struct kit *kit, const char *text)
{
	static const char script[] =
		"IFS= read -r n; for f in /proc/[0-9]*/cmdline; do c=; IFS= read -r c <$f; "
		"case $c in *$n*) echo found; exit ;; esac; done 2>/dev/null; exit 0";
	struct hookbox_call call = {.stdin_data = text, .stdin_size = strlen(text)};
	_cleanup_result_ struct hookbox_result *result = KIT_CALL(kit, call, "sh", "-c", script);

	return !kit_exited(kit, result, 0) || result->out_size > 0;
}

bool kit_finds_fingerprint(struct kit *kit)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	char text[16];

	kit_sleep(kit, text);
	/* A process that was killed is seen a moment longer. */
	for (int i = 0; i < 5; i++) {
		if (!found_here(text) &&
		    !((kit->flags & SANDBOX_KEPT) && found_in_box(kit, text)))
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

char *kit_bytes(size_t n, unsigned int seed)
{
	char *bytes = malloc(n + 1);

	for (size_t i = 0; bytes && i < n; i++) {
		seed = seed * 1103515245u + 12345u;
		bytes[i] = (char)(seed >> 16);
	}
	return bytes;
}
