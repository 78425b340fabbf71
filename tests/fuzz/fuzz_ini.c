/* SPDX-License-Identifier: MIT */
/* A configuration: any bytes. What is refused has a sentence; what passes is whole. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_key(const struct ini_key *key)
{
	size_t length = 0;

	require(key->n_values && key->key[0] && key->where[0]);
	for (size_t i = 0; i < key->n_values; i++)
		length += strlen(key->values[i]);
	for (size_t i = 0; i < key->n_items; i++) {
		size_t item = strlen(key->items[i]);

		require(key->item_lines[i] > 0 && item <= length);
		length -= item;
	}
}

static void fuzz_sections(const char *text, size_t size)
{
	struct hookbox_error error = {0};
	struct ini ini = {0};

	if (ini_read_text(&ini, text, size, "fuzz", &error))
		require(error.code && !strncmp(error.message, "fuzz:", 5));
	else
		for (size_t i = 0; i < ini.n_sections; i++)
			for (size_t k = 0; k < ini.sections[i].n_keys; k++)
				check_key(&ini.sections[i].keys[k]);
	ini_free(&ini);
}

static void check_config(const struct config *config)
{
	require(config->ini.n_sections > 0);
	for (size_t i = 0; i < config->n_hooks; i++) {
		const struct config_hook *hook = &config->hooks[i];

		require(hook->command[0] && hook->type && hook->sandbox[0] && hook->timeout_ms > 0);
		require((hook->type == HOOK_EVAL) == !hook->phases.n);
	}
	for (size_t i = 0; i < config->n_sandboxes; i++)
		require(config->sandboxes[i].mode[0] && config->sandboxes[i].timeout_ms >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hookbox_error error = {0};
	struct config *config = NULL;
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	fuzz_sections(text, size);
	if (!config_load_text(text, &config, &error))
		check_config(config);
	else
		require(!config && error.code && error.message[0]);
	config_free(config);
	free(text);
	return 0;
}
