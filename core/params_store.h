/* SPDX-License-Identifier: MIT */
/* The strings and lists of an instance, and how texts become the values in it. */
#ifndef CORE_PARAMS_STORE_H
#define CORE_PARAMS_STORE_H

#include "plugin.h"

struct param_store *param_store_new(void);
void param_store_free(struct param_store *store);

/*
 * Writes the values of one parameter (one value, unless it is a list) into the instance. Relative
 * paths are resolved against base_dir; with NULL they are refused. `where` is for errors.
 */
int param_store_set(struct param_store *store, const struct sandbox_param *param,
		    const char *const *values, size_t n_values, const char *where,
		    const char *base_dir, void *instance, struct hookbox_error *error);

#endif
