/* SPDX-License-Identifier: MIT */
/* How a backend is explained. */
#ifndef PRINT_BACKEND_H
#define PRINT_BACKEND_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

/* Where a backend is that has no file. */
#define PRINT_BUILT_IN "built-in"

/* A text of an object; "" when there is none. */
const char *print_text_of(const json_t *object, const char *key);

/*
 * Prints what a backend says of itself (plugin_describe() in plugin.h, and "path" if it has one):
 * "text", or only its keys, as "man" (a list in mdoc(7)) or "markdown" (rows of a table). False:
 * there is no such format.
 */
bool print_backend(const json_t *backend, const char *format);

#endif
