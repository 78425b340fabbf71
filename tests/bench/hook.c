/* SPDX-License-Identifier: MIT */
/* The cheapest hook: reads all of stdin and allows, in about 1 KB. "--endless": never stops
 * writing. */
#include <string.h>
#include <unistd.h>

#define TEXT8(text) text text text text text text text text

static const char answer[] =
	"{\"allow\":true,\"metadata\":{\"text\":\"" TEXT8(TEXT8("sixteen letters.")) "\"}}\n";

int main(int argc, char **argv)
{
	char bytes[65536];

	if (argc > 1 && !strcmp(argv[1], "--endless")) {
		memset(bytes, 'x', sizeof(bytes));
		while (write(STDOUT_FILENO, bytes, sizeof(bytes)) > 0)
			;
		return 1;
	}
	while (read(STDIN_FILENO, bytes, sizeof(bytes)) > 0)
		;
	return write(STDOUT_FILENO, answer, sizeof(answer) - 1) != sizeof(answer) - 1;
}
