/* SPDX-License-Identifier: MIT */
#include "kit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "pool.h"

#define CALL_MS 120000

static void say(struct kit *kit, bool *what, const char *format, va_list args)
{
	if (kit->failed || kit->skipped)
		return;
	*what = true;
	vsnprintf(kit->reason, sizeof(kit->reason), format, args);
	/* What a command printed may be in it, and the reason is one line of text. */
	for (char *c = kit->reason; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = *c == '\n' ? ' ' : '?';
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
	if (kit->options->way && !kit->dry)
		kit->dry = !pool_wait_full(kit->pool, KIT_POOL_MS);
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
	while (same < n && same < result->out_size &&
	       result->out[same] == ((const char *)bytes)[same])
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

char *kit_bytes(size_t n, unsigned int seed)
{
	char *bytes = malloc(n + 1);

	if (!bytes)
		abort();
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245u + 12345u;
		bytes[i] = (char)(seed >> 16);
	}
	return bytes;
}
