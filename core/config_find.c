/* SPDX-License-Identifier: MIT */
/* Where the configuration lies: never in the working directory, which may be a stranger's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "cleanup.h"
#include "config.h"

static char *user_file(void)
{
	const char *base = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	char *path;
	int made = -1;

	if (base && base[0] == '/')
		made = asprintf(&path, "%s/hookbox/hookbox.ini", base);
	else if (home && home[0] == '/')
		made = asprintf(&path, "%s/.config/hookbox/hookbox.ini", home);
	return made < 0 ? NULL : path;
}

int config_find(char **path, struct hookbox_error *error)
{
	static const char system_file[] = HOOKBOX_SYSCONF_DIR "/hookbox.ini";
	const char *named = getauxval(AT_SECURE) ? NULL : getenv("HOOKBOX_CONFIG");
	_cleanup_free_ char *user = user_file();

	if (named && named[0]) {
		*path = strdup(named);
		return *path ? 0 : error_no_memory(error);
	}
	if (user && !access(user, F_OK)) {
		*path = take_pointer(user);
		return 0;
	}
	if (!access(system_file, F_OK)) {
		*path = strdup(system_file);
		return *path ? 0 : error_no_memory(error);
	}
	return error_set(error, -ENOENT, "there is no configuration: HOOKBOX_CONFIG is not set, and neither "
			 "\"%s\" nor \"%s\" exists; name a file with --config", user ? user : "~/.config",
			 system_file);
}
