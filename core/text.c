/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <stdint.h>
#include <string.h>

static bool text_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/*
 * The length of the printable UTF-8 character at `bytes`; 0 for a control character (C1 ones
 * included, which some terminals obey) and for what is no UTF-8.
 */
static size_t text_character(const unsigned char *bytes, size_t n)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t code = bytes[0];
	size_t length;

	if (code < 0x80)
		return code >= 0x20 && code != 0x7f;
	length = code >= 0xf0 && code < 0xf5 ? 4 : code >= 0xe0 ? 3 : 2;
	if (code < 0xc2 || code >= 0xf5 || length > n)
		return 0;
	code &= 0xff >> (length + 1);
	for (size_t i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (bytes[i] & 0x3f);
	}
	if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ||
	    code < 0xa0)
		return 0;
	return length;
}

/* Cuts blank ends off; where the last line begins. */
static size_t text_last_line(const char *bytes, size_t *n)
{
	size_t start;

	while (*n && text_is_blank(bytes[*n - 1]))
		(*n)--;
	for (start = *n; start && bytes[start - 1] != '\n'; start--)
		;
	return start;
}

void text_add_last_two_lines(struct buf *sentence, const char *bytes, size_t n, size_t limit)
{
	size_t before = text_last_line(bytes, &n), size = sentence->size;

	text_add_last_line(sentence, bytes, before, limit);
	if (sentence->size > size)
		buf_add_string(sentence, "; ");
	text_add_last_line(sentence, bytes + before, n - before, limit);
}

void text_add_last_line(struct buf *sentence, const char *bytes, size_t n, size_t limit)
{
	size_t start = text_last_line(bytes, &n);
	size_t used = 0;

	while (start < n && text_is_blank(bytes[start]))
		start++;
	while (start < n) {
		size_t length = text_character((const unsigned char *)bytes + start, n - start);
		size_t kept = length ? length : 1;

		if (used + kept > limit) {
			buf_add_string(sentence, "...");
			return;
		}
		buf_add(sentence, length ? bytes + start : "?", kept);
		start += kept;
		used += kept;
	}
}
