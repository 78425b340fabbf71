/* SPDX-License-Identifier: MIT */
/* Hints for errors about an unknown name. */
#ifndef CORE_NEAR_H
#define CORE_NEAR_H

#include "buf.h"

/* The one of the NULL-terminated candidates that `word` is most likely a slip of, or NULL. */
const char *near_word(const char *word, const char *const *candidates);

/*
 * Adds what to do about an unknown word to a sentence: `did you mean "X"?`, or
 * `there is: A, B, C`, or `there is none`.
 */
void near_hint(struct buf *sentence, const char *word, const char *const *candidates);

#endif
