/* SPDX-License-Identifier: MIT */
/* An event's JSON: any bytes. What passes is found again, whole, in a request that passes too. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "hook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(const char *request, size_t size)
{
	json_t *object = json_loadb(request, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL |
							   JSON_DECODE_INT_AS_REAL, NULL);
	const char *hook = json_string_value(json_object_get(object, "hook"));
	const char *phase = json_string_value(json_object_get(object, "phase"));

	if (!hook || strcmp(hook, "tool") || !phase || strcmp(phase, "before_execution"))
		abort();
	json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *json = (const char *)data;
	struct hookbox_error error = {0};
	size_t brace = json_skip_space(json, size, 0);
	size_t request_size;
	char *request;

	if (request_build(HOOK_TOOL, "before_execution", json, size, &request, &request_size,
			  &error) < 0) {
		if (!error.message[0])
			abort();
		return 0;
	}
	check_request(request, request_size);
	if (request_size < size || memcmp(request, json, brace + 1) ||
	    memcmp(request + request_size - (size - brace - 1), json + brace + 1, size - brace - 1))
		abort();
	free(request);
	return 0;
}
