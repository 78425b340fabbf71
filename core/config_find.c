/* SPDX-License-Identifier: MIT */
/* Where the configuration lies: never in the working directory, which may be a stranger's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "config.h"

static char *user_file(void)
{
	const char *base = secure_getenv("XDG_CONFIG_HOME");
	const char *home = secure_getenv("HOME");
	char *path;
	int made = -1;

	if (base && base[0] == '/')
		made = asprintf(&path, "%s/hookbox/hookbox.ini", base);
	else if (home && home[0] == '/')
		made = asprintf(&path, "%s/.config/hookbox/hookbox.ini", home);
	return made < 0 ? NULL : path;
}

/* A file that cannot be looked at counts as there: to pass over it might be to pass over a policy.
 */
static bool is_there(const char *path)
{
	struct stat st;

	return !lstat(path, &st) || (errno != ENOENT && errno != ENOTDIR);
}

int config_find(char **path, struct hookbox_error *error)
{
	static const char system_file[] = HOOKBOX_SYSCONF_DIR "/hookbox.ini";
	const char *named = secure_getenv("HOOKBOX_CONFIG");
	_cleanup_free_ char *user = user_file();
	const char *found;

	if (named && named[0] && named[0] != '/')
		return error_set(error, -EINVAL,
				 "HOOKBOX_CONFIG is \"%s\", which would be another file in every "
				 "directory; set it to an absolute path",
				 named);
	if (named && named[0])
		found = named;
	else if (user && is_there(user))
		found = user;
	else if (is_there(system_file))
		found = system_file;
	else
		return error_set(error, -ENOENT,
				 "there is no configuration: HOOKBOX_CONFIG is not set, and "
				 "neither \"%s\" nor \"%s\" exists; name a file with --config",
				 user ? user : "~/.config/hookbox/hookbox.ini", system_file);
	*path = strdup(found);
	return *path ? 0 : error_no_memory(error);
}
