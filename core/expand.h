/* SPDX-License-Identifier: MIT */
#ifndef CORE_EXPAND_H
#define CORE_EXPAND_H

#include "error.h"

/*
 * Replaces ${NAME} and ${NAME:-default} by variables of this process; "$${" stands for "${". The
 * result is not looked at again. *expanded is the caller's. An error is one sentence without its
 * place.
 */
int expand_text(const char *text, char **expanded, struct hookbox_error *error);

#endif
