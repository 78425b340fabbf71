/* SPDX-License-Identifier: MIT */
/* Hints for errors about an unknown name. */
#ifndef CORE_NEAR_H
#define CORE_NEAR_H

#include "error.h"

/* The one of the NULL-terminated candidates that `word` is most likely a slip of, or NULL. */
const char *near_word(const char *word, const char *const *candidates);

/*
 * error_set() for a word that is not among the candidates: the sentence, and behind it
 * `: did you mean "X"?`, or `: there is A, B, C`, or `: there is none`. An empty word stands for
 * one left out.
 */
int near_error(struct hookbox_error *error, int code, const char *word,
	       const char *const *candidates, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

#endif
