/* SPDX-License-Identifier: MIT */
#ifndef CORE_CANCEL_H
#define CORE_CANCEL_H

#include <stdbool.h>

#include "hookbox.h"

/* A descriptor that is readable once the object was fired; -1 for NULL. Lent, and never read. */
int cancel_fd(const struct hookbox_cancel *cancel);
/* Was it? NULL never is. */
bool cancel_fired(const struct hookbox_cancel *cancel);

#endif
