/* SPDX-License-Identifier: MIT */
#include "near.h"

#include <stdarg.h>
#include <string.h>

#include "buf.h"
#include "cleanup.h"

#define NEAR_WORD_MAX 64
#define NEAR_LIST_MAX 20

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Levenshtein's distance of two words of at most NEAR_WORD_MAX bytes. */
static size_t near_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
	size_t row[NEAR_WORD_MAX + 1];

	for (size_t j = 0; j <= b_size; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_size; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_size; j++) {
			size_t above = row[j];

			row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[b_size];
}

const char *near_word(const char *word, const char *const *candidates)
{
	size_t size = strlen(word);
	/* A slip changes at most a third of the word, or leaves its end away. */
	size_t best = size / 3 + 1;
	const char *nearest = NULL;

	if (!size || size > NEAR_WORD_MAX)
		return NULL;
	for (; *candidates; candidates++) {
		size_t candidate_size = strlen(*candidates);
		size_t distance;

		if (candidate_size > NEAR_WORD_MAX)
			continue;
		distance = near_distance(word, size, *candidates, candidate_size);
		if (distance < best) {
			best = distance;
			nearest = *candidates;
		} else if (!nearest && size > 1 && !strncmp(word, *candidates, size)) {
			nearest = *candidates;
		}
	}
	return nearest;
}

static void near_add_hint(struct buf *sentence, const char *word, const char *const *candidates)
{
	const char *nearest = near_word(word, candidates);

	if (nearest) {
		buf_printf(sentence, "did you mean \"%s\"?", nearest);
		return;
	}
	buf_add_string(sentence, *candidates ? "there is " : "there is none");
	for (size_t i = 0; candidates[i]; i++) {
		if (i == NEAR_LIST_MAX) {
			buf_add_string(sentence, ", ...");
			return;
		}
		buf_printf(sentence, "%s%s", i ? ", " : "", candidates[i]);
	}
}

int near_error(struct hookbox_error *error, int code, const char *word,
	       const char *const *candidates, const char *format, ...)
{
	_cleanup_buf_ struct buf hint = {0};
	_cleanup_free_ char *sentence = NULL;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&sentence, format, args);
	va_end(args);
	near_add_hint(&hint, word, candidates);
	if (length < 0 || hint.failed)
		return error_no_memory(error);
	return error_set(error, code, "%s: %s", sentence, hint.data);
}
