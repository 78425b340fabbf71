/* SPDX-License-Identifier: MIT */
/* A hook's stdout: any bytes. What passes is a C string, and metadata is JSON again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "hook.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_metadata(const char *metadata)
{
	json_t *object = json_loads(metadata, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL |
						      JSON_DECODE_INT_AS_REAL, NULL);

	if (!json_is_object(object))
		abort();
	json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hookbox_error error = {0};
	struct buf line = {0};
	struct answer answer;

	if (!answer_parse((const char *)data, size, &answer, &error)) {
		if (answer.metadata)
			check_metadata(answer.metadata);
		answer_clear(&answer);
	} else if (!error.message[0]) {
		abort();
	}
	text_add_last_line(&line, (const char *)data, size, 200);
	if (line.size > 203)
		abort();
	buf_free(&line);
	return 0;
}
