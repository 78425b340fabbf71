/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "near.h"
#include "plugin.h"

struct plugin_registry {
	pthread_mutex_t lock;
	struct strv dirs;
	const struct sandbox_plugin_v1 **added; /* those the program brings */
	size_t n_added;
};

struct plugin_registry *plugin_registry_new(void)
{
	struct plugin_registry *registry = calloc(1, sizeof(*registry));

	if (registry)
		pthread_mutex_init(&registry->lock, NULL);
	return registry;
}

void plugin_registry_free(struct plugin_registry *registry)
{
	if (!registry)
		return;
	pthread_mutex_destroy(&registry->lock);
	strv_free(&registry->dirs);
	free(registry->added);
	free(registry);
}

void plugin_registry_set_dirs(struct plugin_registry *registry, const char *const *dirs)
{
	pthread_mutex_lock(&registry->lock);
	strv_free(&registry->dirs);
	for (; *dirs; dirs++)
		strv_add(&registry->dirs, *dirs);
	pthread_mutex_unlock(&registry->lock);
}

/*
 * The first file of that name in the directories, or NULL. A directory that cannot be looked into
 * is an error: a later one must not answer for it.
 */
static int find_file(const struct plugin_registry *registry, const char *name, char **file,
		     struct hookbox_error *error)
{
	*file = NULL;
	if (registry->dirs.failed)
		return error_no_memory(error);
	for (size_t i = 0; i < registry->dirs.n; i++) {
		_cleanup_free_ char *path = NULL;
		struct stat st;

		if (asprintf(&path, "%s/%s.so", registry->dirs.v[i], name) < 0) {
			path = NULL;
			return error_no_memory(error);
		}
		if (!lstat(path, &st)) {
			*file = take_pointer(path);
			return 0;
		}
		if (errno != ENOENT && errno != ENOTDIR)
			return error_set(error, -errno,
					 "the plugin directory \"%s\" cannot be searched "
					 "for \"%s.so\": %s",
					 registry->dirs.v[i], name, strerror(errno));
	}
	return 0;
}

static ptrdiff_t find_added(const struct plugin_registry *registry, const char *name)
{
	for (size_t i = 0; i < registry->n_added; i++)
		if (!strcmp(registry->added[i]->name, name))
			return (ptrdiff_t)i;
	return -1;
}

/* Under the lock. */
static int add(struct plugin_registry *registry, const struct sandbox_plugin_v1 *plugin,
	       bool replace, struct hookbox_error *error)
{
	ptrdiff_t at = find_added(registry, plugin->name);
	_cleanup_free_ char *file = NULL;
	const struct sandbox_plugin_v1 **added;
	int code;

	if (at >= 0 && !replace)
		return error_set(error, -EEXIST,
				 "there is a backend \"%s\" already; put it into "
				 "replace_plugins if it is to take its place",
				 plugin->name);
	if (at >= 0) {
		registry->added[at] = plugin;
		return 0;
	}
	code = replace ? 0 : find_file(registry, plugin->name, &file, error);
	if (code)
		return code;
	if (file)
		return error_set(error, -EEXIST,
				 "there is a backend \"%s\" already, \"%s\"; put yours into "
				 "replace_plugins if it is to take its place",
				 plugin->name, file);
	added = reallocarray(registry->added, registry->n_added + 1, sizeof(*added));
	if (!added)
		return error_no_memory(error);
	registry->added = added;
	registry->added[registry->n_added++] = plugin;
	return 0;
}

int plugin_registry_add(struct plugin_registry *registry, const struct sandbox_plugin_v1 *raw,
			bool replace, struct hookbox_error *error)
{
	const struct sandbox_plugin_v1 *plugin;
	int code = plugin_adopt(raw, "the program's own backend", &plugin, error);

	if (code)
		return code;
	pthread_mutex_lock(&registry->lock);
	code = add(registry, plugin, replace, error);
	pthread_mutex_unlock(&registry->lock);
	return code;
}

static int not_found(const struct plugin_registry *registry, const char *name,
		     struct hookbox_error *error)
{
	_cleanup_strv_ struct strv names = {0};
	_cleanup_buf_ struct buf dirs = {0};
	struct plugin_files files = {0};

	for (size_t i = 0; i < registry->n_added; i++)
		strv_add(&names, registry->added[i]->name);
	if (!plugin_files_find(strv_view(&registry->dirs), &files, NULL))
		for (size_t i = 0; i < files.n; i++)
			if (!files.v[i].hidden)
				strv_add(&names, files.v[i].name);
	plugin_files_free(&files);
	for (size_t i = 0; i < registry->dirs.n; i++)
		buf_printf(&dirs, "%s%s", i ? ", " : "", registry->dirs.v[i]);
	return near_error(error, -ENOENT, name, strv_view(&names),
			  "there is no backend \"%s\" in %s", name,
			  dirs.data ? dirs.data : "any plugin directory");
}

int plugin_registry_get(struct plugin_registry *registry, const char *name,
			const struct sandbox_plugin_v1 **plugin, struct hookbox_error *error)
{
	_cleanup_free_ char *file = NULL;
	ptrdiff_t at;
	int code = 0;

	pthread_mutex_lock(&registry->lock);
	at = find_added(registry, name);
	if (at >= 0)
		*plugin = registry->added[at];
	else if (plugin_name_ok(name))
		code = find_file(registry, name, &file, error);
	if (at < 0 && !code)
		code = file ? plugin_load(file, plugin, error) : not_found(registry, name, error);
	pthread_mutex_unlock(&registry->lock);
	return code;
}
