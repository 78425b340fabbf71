/* SPDX-License-Identifier: MIT */
/* JSON as the commands print it. Written as text, so that what a hook wrote passes unchanged. */
#include <string.h>

#include <jansson.h>

#include "cli.h"

static void put_key(struct buf *json, const char *key)
{
	if (json->size && !strchr("{[", json->data[json->size - 1]))
		buf_add_char(json, ',');
	if (key)
		buf_printf(json, "\"%s\":", key);
}

void json_put_open(struct buf *json, const char *key, char bracket)
{
	put_key(json, key);
	buf_add_char(json, bracket);
}

void json_put_close(struct buf *json, char bracket)
{
	buf_add_char(json, bracket);
}

void json_put_int(struct buf *json, const char *key, long long value)
{
	put_key(json, key);
	buf_printf(json, "%lld", value);
}

void json_put_bool(struct buf *json, const char *key, bool value)
{
	put_key(json, key);
	buf_add_string(json, value ? "true" : "false");
}

/* Adds the bytes as a JSON string; false when they are no UTF-8. */
static bool put_string(struct buf *json, const char *bytes, size_t n)
{
	json_t *string = json_stringn(bytes, n);
	char *text;

	if (!string)
		return false;
	text = json_dumps(string, JSON_ENCODE_ANY);
	json_decref(string);
	if (text)
		buf_add_string(json, text);
	else
		json->failed = true;
	free(text);
	return true;
}

void json_put_text(struct buf *json, const char *key, const char *text)
{
	_cleanup_buf_ struct buf ascii = {0};

	put_key(json, key);
	if (!text) {
		buf_add_string(json, "null");
		return;
	}
	if (put_string(json, text, strlen(text)))
		return;
	for (; *text; text++)
		buf_add_char(&ascii, *text & 0x80 ? '?' : *text);
	json->failed |= ascii.failed || !put_string(json, ascii.data, ascii.size);
}

void json_put_text_if(struct buf *json, const char *key, const char *text)
{
	if (text)
		json_put_text(json, key, text);
}

static void put_base64(struct buf *json, const unsigned char *bytes, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	buf_add_char(json, '"');
	for (size_t i = 0; i < n; i += 3) {
		unsigned b1 = i + 1 < n ? bytes[i + 1] : 0;
		unsigned b2 = i + 2 < n ? bytes[i + 2] : 0;
		unsigned bits = (unsigned)bytes[i] << 16 | b1 << 8 | b2;
		char quad[4] = {digits[bits >> 18], digits[bits >> 12 & 63], '=', '='};

		if (i + 1 < n)
			quad[2] = digits[bits >> 6 & 63];
		if (i + 2 < n)
			quad[3] = digits[bits & 63];
		buf_add(json, quad, sizeof(quad));
	}
	buf_add_char(json, '"');
}

void json_put_bytes(struct buf *json, const char *key, const char *bytes, size_t n)
{
	bool text;

	put_key(json, key);
	text = put_string(json, n ? bytes : "", n);
	if (!text)
		put_base64(json, (const unsigned char *)bytes, n);
	buf_printf(json, ",\"%s_encoding\":\"%s\"", key, text ? "utf-8" : "base64");
}

void json_put_raw(struct buf *json, const char *key, const char *text, size_t n)
{
	put_key(json, key);
	while (n && strchr(" \t\r\n", text[n - 1]))
		n--;
	/* A line break in a JSON text is white space: inside a string it would be escaped. */
	for (size_t i = 0; i < n; i++)
		buf_add_char(json, text[i] == '\n' || text[i] == '\r' ? ' ' : text[i]);
}

void json_put_texts(struct buf *json, const char *key, const char *const *texts)
{
	json_put_open(json, key, '[');
	for (; *texts; texts++)
		json_put_text(json, NULL, *texts);
	json_put_close(json, ']');
}

void json_put_error(struct buf *json, const char *sentence)
{
	json_put_open(json, NULL, '{');
	json_put_text(json, "error", sentence);
	json_put_close(json, '}');
}

void json_put_result(struct buf *json, const struct hookbox_result *result, bool output)
{
	json_put_text(json, "end", hookbox_end_name(result->end));
	if (result->end == HOOKBOX_EXITED || result->end == HOOKBOX_SIGNALED)
		json_put_int(json, "status", result->status);
	if (result->end == HOOKBOX_NOT_STARTED)
		json_put_int(json, "errno", result->error_number);
	json_put_text_if(json, "message", result->message);
	json_put_text(json, "cleanup", hookbox_cleanup_name(result->cleanup));
	json_put_text_if(json, "cleanup_reason", result->cleanup_reason);
	if (output) {
		json_put_bytes(json, "stdout", result->out, result->out_size);
		json_put_bytes(json, "stderr", result->err, result->err_size);
	}
	json_put_int(json, "stdout_total", (long long)result->out_total);
	json_put_int(json, "stderr_total", (long long)result->err_total);
	json_put_int(json, "stdout_dropped", (long long)result->out_dropped);
	json_put_int(json, "stderr_dropped", (long long)result->err_dropped);
	json_put_bool(json, "truncated", result->truncated);
	json_put_int(json, "duration_us", (long long)result->duration_us);
	json_put_int(json, "start_us", (long long)result->start_us);
	json_put_text(json, "call_id", result->call_id);
}

void json_put_verdict(struct buf *json, enum hookbox_verdict verdict, const char *reason,
		      const char *metadata)
{
	json_put_bool(json, "allow", verdict == HOOKBOX_ALLOW);
	json_put_bool(json, "enforced", verdict == HOOKBOX_ENFORCED);
	json_put_text_if(json, "reason", reason);
	if (metadata)
		json_put_raw(json, "metadata", metadata, strlen(metadata));
}
