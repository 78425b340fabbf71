/* SPDX-License-Identifier: MIT */
/*
 * A program that asks hookbox before it goes on:
 *
 *	cc embed.c $(pkg-config --cflags --libs hookbox) -o embed
 *	echo '{"request":{"messages":[]}}' | ./embed hooks.ini provider before_call
 *
 * It prints the decision, and exits with 0 for "go on", 1 for "stop", 2 when it could not ask,
 * which a program that guards something takes for "stop" as well.
 */
#include <stdio.h>
#include <stdlib.h>

#include <hookbox.h>

/* Everything there is on stdin; the caller frees it. */
static char *read_all(FILE *file, size_t *size)
{
	size_t capacity = 64 * 1024;
	char *bytes = malloc(capacity);

	*size = 0;
	while (bytes) {
		size_t n = fread(bytes + *size, 1, capacity - *size, file);
		char *more;

		*size += n;
		if (!n)
			break;
		if (*size < capacity)
			continue;
		capacity *= 2;
		more = realloc(bytes, capacity);
		if (!more)
			free(bytes);
		bytes = more;
	}
	return bytes;
}

static void print_decision(const struct hookbox_decision *decision)
{
	printf("%s", hookbox_verdict_name(decision->verdict));
	if (decision->hook)
		printf(" by %s", decision->hook);
	if (decision->reason)
		printf(": %s", decision->reason);
	printf("\n");
	for (size_t i = 0; i < decision->n_outcomes; i++) {
		const struct hookbox_hook_outcome *outcome = &decision->outcomes[i];

		printf("  %s: %s (%s), %llu us\n", outcome->hook,
		       hookbox_verdict_name(outcome->verdict), hookbox_cause_name(outcome->cause),
		       (unsigned long long)outcome->result->duration_us);
	}
}

static int ask(struct hookbox *box, const char *type, const char *phase)
{
	struct hookbox_event event = {.size = sizeof(event), .type = type, .phase = phase};
	struct hookbox_decision *decision;
	struct hookbox_error error;
	char *json = read_all(stdin, &event.json_size);
	int status = 2;

	event.json = json;
	if (!json) {
		fprintf(stderr, "embed: out of memory\n");
	} else if (hookbox_emit(box, &event, &decision, &error) < 0) {
		fprintf(stderr, "embed: %s\n", error.message);
	} else {
		print_decision(decision);
		status = decision->verdict == HOOKBOX_DENY ? 1 : 0;
		hookbox_decision_free(decision);
	}
	free(json);
	return status;
}

int main(int argc, char **argv)
{
	struct hookbox_options options = {.size = sizeof(options)};
	struct hookbox_error error;
	struct hookbox *box;
	int status;

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: embed CONFIG TYPE [PHASE] <EVENT.json\n");
		return 2;
	}
	options.config_path = argv[1];
	box = hookbox_open(&options, &error);
	if (!box) {
		fprintf(stderr, "embed: %s\n", error.message);
		return 2;
	}
	status = ask(box, argv[2], argv[3]);
	hookbox_close(box);
	return status;
}
