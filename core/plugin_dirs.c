/* SPDX-License-Identifier: MIT */
/* Where backends lie, and which files there are. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "plugin.h"

bool plugin_name_ok(const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return name[0] >= 'a' && name[0] <= 'z' && !name[length] && length <= 32;
}

int plugin_check_owner(const char *path, const char *what, struct hookbox_error *error)
{
	struct stat st;

	if (stat(path, &st))
		return error_set(error, -errno, "%s \"%s\" cannot be read: %s", what, path,
				 strerror(errno));
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return error_set(error, -EPERM,
				 "%s \"%s\" belongs to user %u, who could change what runs; "
				 "chown it to root or to yourself",
				 what, path, (unsigned int)st.st_uid);
	if (st.st_mode & 022)
		return error_set(error, -EPERM,
				 "%s \"%s\" can be changed by others (mode %04o); chmod go-w "
				 "it",
				 what, path, (unsigned int)(st.st_mode & 07777));
	return 0;
}

static int add_dir(struct strv *dirs, const char *dir, const char *where,
		   struct hookbox_error *error)
{
	if (dir[0] != '/')
		return error_set(error, -EINVAL,
				 "%s: the plugin directory \"%s\" is not absolute; write it "
				 "from / on",
				 where, dir);
	/* A directory named twice would hide its own files. */
	for (size_t i = 0; i < dirs->n; i++)
		if (!strcmp(dirs->v[i], dir))
			return 0;
	strv_add(dirs, dir);
	return 0;
}

static int add_environment(struct strv *dirs, struct hookbox_error *error)
{
	const char *path = getauxval(AT_SECURE) ? NULL : getenv("HOOKBOX_PLUGIN_PATH");
	_cleanup_free_ char *copy = NULL;
	char *rest, *dir;
	int code = 0;

	if (!path)
		return 0;
	rest = copy = strdup(path);
	if (!copy)
		return error_no_memory(error);
	while (!code && (dir = strsep(&rest, ":")))
		if (dir[0])
			code = add_dir(dirs, dir, "HOOKBOX_PLUGIN_PATH", error);
	return code;
}

int plugin_dirs_list(const char *const *first, const char *const *configured, struct strv *dirs,
		     struct hookbox_error *error)
{
	int code = 0;

	for (; first && *first && !code; first++)
		code = add_dir(dirs, *first, "--plugin-dir", error);
	if (!code)
		code = add_environment(dirs, error);
	for (; configured && *configured && !code; configured++)
		code = add_dir(dirs, *configured, "plugin_path", error);
	if (!code)
		code = add_dir(dirs, HOOKBOX_PLUGIN_DIR, "the build", error);
	if (code)
		return code;
	return dirs->failed ? error_no_memory(error) : 0;
}

static bool has_name(const struct plugin_files *files, const char *name)
{
	for (size_t i = 0; i < files->n; i++)
		if (!strcmp(files->v[i].name, name))
			return true;
	return false;
}

static int add_file(struct plugin_files *files, const char *dir, const char *entry,
		    struct hookbox_error *error)
{
	struct plugin_file file = {.name = strndup(entry, strlen(entry) - 3)};
	struct plugin_file *v = reallocarray(files->v, files->n + 1, sizeof(*v));

	if (v)
		files->v = v;
	if (asprintf(&file.path, "%s/%s", dir, entry) < 0)
		file.path = NULL;
	if (!v || !file.name || !file.path) {
		free(file.name);
		free(file.path);
		return error_no_memory(error);
	}
	file.hidden = has_name(files, file.name);
	files->v[files->n++] = file;
	return 0;
}

static int is_plugin_entry(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return length > 3 && !strcmp(entry->d_name + length - 3, ".so");
}

static int find_in(const char *dir, struct plugin_files *files, struct hookbox_error *error)
{
	struct dirent **entries;
	int n = scandir(dir, &entries, is_plugin_entry, alphasort);
	int code = 0;

	if (n < 0) {
		if (errno == ENOENT)
			return 0;
		return error_set(error, -errno, "the plugin directory \"%s\" cannot be read: %s",
				 dir, strerror(errno));
	}
	for (int i = 0; i < n; i++) {
		if (!code)
			code = add_file(files, dir, entries[i]->d_name, error);
		free(entries[i]);
	}
	free(entries);
	return code;
}

int plugin_files_find(const char *const *dirs, struct plugin_files *files,
		      struct hookbox_error *error)
{
	int code = 0;

	for (; *dirs && !code; dirs++)
		code = find_in(*dirs, files, error);
	if (code)
		plugin_files_free(files);
	return code;
}

void plugin_files_free(struct plugin_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		free(files->v[i].name);
		free(files->v[i].path);
	}
	free(files->v);
	*files = (struct plugin_files){0};
}
