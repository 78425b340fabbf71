/* SPDX-License-Identifier: MIT */
/* Foreign bytes made fit for a sentence. */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include "buf.h"

/*
 * Adds the last line of the bytes that is not blank, trimmed, as valid UTF-8: control characters
 * and what is no UTF-8 become '?', what is beyond `limit` bytes becomes "...". Adds nothing when
 * all lines are blank.
 */
void text_add_last_line(struct buf *sentence, const char *bytes, size_t n, size_t limit);
/* The same, and before it the line before: some CLIs end their errors with a word on their help. */
void text_add_last_two_lines(struct buf *sentence, const char *bytes, size_t n, size_t limit);

#endif
