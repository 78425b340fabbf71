/* SPDX-License-Identifier: MIT */
/* FNV-1a: tells things apart that nobody forges. */
#ifndef CORE_HASH_H
#define CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT32_C(2166136261)

static inline uint32_t hash_add(uint32_t hash, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ ((const unsigned char *)bytes)[i]) * UINT32_C(16777619);
	return hash;
}

#endif
