/* SPDX-License-Identifier: MIT */
#ifndef CORE_CANCEL_H
#define CORE_CANCEL_H

#include "hookbox.h"

/* A descriptor that is readable once the object was fired; -1 for NULL. Lent; never read from
 * it. */
int cancel_fd(const struct hookbox_cancel *cancel);

#endif
