/* SPDX-License-Identifier: MIT */
#include "near.h"

#include <stddef.h>
#include <string.h>

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

void near_hint(struct buf *sentence, const char *word, const char *const *candidates)
{
	const char *nearest = near_word(word, candidates);

	if (nearest) {
		buf_printf(sentence, "did you mean \"%s\"?", nearest);
		return;
	}
	if (!*candidates) {
		buf_add_string(sentence, "there is none");
		return;
	}
	buf_add_string(sentence, "there is: ");
	for (size_t i = 0; candidates[i]; i++) {
		if (i == NEAR_LIST_MAX) {
			buf_add_string(sentence, ", ...");
			break;
		}
		buf_printf(sentence, "%s%s", i ? ", " : "", candidates[i]);
	}
}
