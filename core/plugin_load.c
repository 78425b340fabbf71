/* SPDX-License-Identifier: MIT */
/* Loading a backend: everything about the file is checked before its code may run. */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "plugin.h"

/* What the first release's descriptor holds; a smaller one cannot be right. */
#define FIRST_SIZE (offsetof(struct sandbox_plugin_v1, get_extension) + sizeof(void *))
#define MUST_UNDERSTAND UINT64_C(0xffffffff00000000)
#define SYMBOL "sandbox_plugin_v1"

/*
 * Descriptors that were checked, copied into our size. Plugins are never unloaded, and instances
 * hold on to these, so they stay for good.
 */
static struct adopted {
	const struct sandbox_plugin_v1 *raw;
	struct sandbox_plugin_v1 copy;
	struct adopted *next;
} * adopted;
static pthread_mutex_t adopted_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- The file ---- */

static const char *machine_name(unsigned int machine)
{
	switch (machine) {
	case EM_X86_64:
		return "x86_64";
	case EM_386:
		return "i386";
	case EM_AARCH64:
		return "aarch64";
	case EM_ARM:
		return "arm";
	case EM_RISCV:
		return "riscv";
	case EM_PPC64:
		return "ppc64";
	case EM_S390:
		return "s390";
	default:
		return "another machine";
	}
}

/* The ELF header of this very program says what a plugin must be made for. */
static int read_own_header(Elf64_Ehdr *header)
{
	_cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	return fd >= 0 && pread(fd, header, sizeof(*header), 0) == sizeof(*header) ? 0 : -EIO;
}

static int check_elf(int fd, const char *path, struct hookbox_error *error)
{
	Elf64_Ehdr theirs = {0}, ours;

	if (pread(fd, &theirs, sizeof(theirs), 0) < (ssize_t)sizeof(Elf32_Ehdr) ||
	    memcmp(theirs.e_ident, ELFMAG, SELFMAG))
		return error_set(error, -ENOEXEC,
				 "\"%s\" is no shared object (no ELF file); build it with "
				 "-shared -fPIC",
				 path);
	if (read_own_header(&ours))
		return 0;
	if (theirs.e_ident[EI_CLASS] != ours.e_ident[EI_CLASS] ||
	    theirs.e_ident[EI_DATA] != ours.e_ident[EI_DATA] || theirs.e_machine != ours.e_machine)
		return error_set(error, -ENOEXEC,
				 "\"%s\" is made for %s (%d bits), but this hookbox for %s "
				 "(%d bits); build it for this machine",
				 path, machine_name(theirs.e_machine),
				 theirs.e_ident[EI_CLASS] == ELFCLASS64 ? 64 : 32,
				 machine_name(ours.e_machine),
				 ours.e_ident[EI_CLASS] == ELFCLASS64 ? 64 : 32);
	if (theirs.e_type != ET_DYN)
		return error_set(error, -ENOEXEC,
				 "\"%s\" is no shared object; build it with -shared -fPIC", path);
	return 0;
}

/* What kind of file is it, and can nobody else change it? Opens nothing: a device may mind. */
static int check_place(const char *path, struct hookbox_error *error)
{
	_cleanup_free_ char *copy = strdup(path);
	struct stat st;
	int code;

	if (!copy)
		return error_no_memory(error);
	if (lstat(path, &st))
		return error_set(error, -errno, "the plugin \"%s\" cannot be read: %s", path,
				 strerror(errno));
	if (S_ISLNK(st.st_mode))
		return error_set(error, -ELOOP,
				 "the plugin \"%s\" is a symbolic link, and whoever owns the "
				 "directory it leads to could change it; put the file itself there",
				 path);
	if (!S_ISREG(st.st_mode))
		return error_set(error, -EINVAL, "the plugin \"%s\" is no regular file", path);
	code = plugin_check_owner(path, "the plugin", error);
	if (code)
		return code;
	code = plugin_check_owner(dirname(copy), "the plugin directory", error);
	if (code)
		/* A loader in a child is believed only if its sentence names the file. */
		error_prefix(error, "the plugin \"%s\" is not loaded", path);
	return code;
}

/* After check_place() the file can only be swapped by someone who may do so anyway. */
static int check_file(const char *path, struct hookbox_error *error)
{
	_cleanup_close_ int fd = -1;
	int code = check_place(path, error);

	if (code)
		return code;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_set(error, -errno, "the plugin \"%s\" cannot be opened: %s", path,
				 strerror(errno));
	return check_elf(fd, path, error);
}

/* ---- The descriptor ---- */

static int check_name(const struct sandbox_plugin_v1 *plugin, const char *where,
		      const char *expected, struct hookbox_error *error)
{
	if (!plugin->name || !plugin_name_ok(plugin->name))
		return error_set(error, -EINVAL,
				 "%s: its name is not of the form [a-z][a-z0-9_]*, up to 32 "
				 "letters",
				 where);
	if (expected && strcmp(plugin->name, expected))
		return error_set(error, -EINVAL,
				 "%s: it calls itself \"%s\"; rename the file to %s.so", where,
				 plugin->name, plugin->name);
	return 0;
}

static int check_copy(const struct sandbox_plugin_v1 *plugin, const char *where,
		      const char *expected, struct hookbox_error *error)
{
	int code = check_name(plugin, where, expected, error);

	if (code)
		return code;
	if (!param_text_ok(plugin->version) || !param_text_ok(plugin->summary))
		return error_set(error, -EINVAL,
				 "%s: version and summary must each be one line of text", where);
	if (plugin->flags & MUST_UNDERSTAND)
		return error_set(error, -EINVAL,
				 "%s: it needs abilities (flags %#llx) that this hookbox does "
				 "not have; update hookbox",
				 where, (unsigned long long)(plugin->flags & MUST_UNDERSTAND));
	if (!plugin->plan && !plugin_extension(plugin, SANDBOX_RUN_EXTENSION))
		return error_set(error, -EINVAL,
				 "%s: it has neither plan nor " SANDBOX_RUN_EXTENSION, where);
	if (!(plugin->flags & (SANDBOX_FRESH | SANDBOX_KEPT | SANDBOX_HOST_PROCESS)))
		return error_set(error, -EINVAL,
				 "%s: set one of SANDBOX_FRESH, SANDBOX_KEPT and "
				 "SANDBOX_HOST_PROCESS in its flags",
				 where);
	if (plugin->flags & SANDBOX_TRUNK &&
	    (plugin->flags & (SANDBOX_KEPT | SANDBOX_SHELL)) != (SANDBOX_KEPT | SANDBOX_SHELL))
		return error_set(error, -EINVAL,
				 "%s: SANDBOX_TRUNK is only for boxes with SANDBOX_KEPT and "
				 "SANDBOX_SHELL; set these too, or remove it",
				 where);
	code = params_check(plugin, error);
	return code ? error_prefix(error, "%s", where) : 0;
}

/* How much of a descriptor there is that we know. */
static size_t copied_size(const struct sandbox_plugin_v1 *raw)
{
	return raw->struct_size < sizeof(*raw) ? raw->struct_size : sizeof(*raw);
}

static int adopt(const struct sandbox_plugin_v1 *raw, const char *where, const char *expected,
		 struct adopted **result, struct hookbox_error *error)
{
	struct adopted *entry;
	int code;

	if (raw->magic != SANDBOX_PLUGIN_MAGIC)
		return error_set(error, -EINVAL,
				 "%s: its magic is %#x instead of SANDBOX_PLUGIN_MAGIC; it is "
				 "no hookbox plugin",
				 where, raw->magic);
	if (raw->struct_size < FIRST_SIZE)
		return error_set(error, -EINVAL,
				 "%s: its struct_size is %u, at least %zu are needed; set it to "
				 "sizeof(struct sandbox_plugin_v1)",
				 where, raw->struct_size, FIRST_SIZE);
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return error_no_memory(error);
	entry->raw = raw;
	memcpy(&entry->copy, raw, copied_size(raw));
	code = check_copy(&entry->copy, where, expected, error);
	if (code) {
		free(entry);
		return code;
	}
	*result = entry;
	return 0;
}

/* Is the entry made from this descriptor, as it is now? A program may make another one in its
 * place. */
static bool adopted_from(const struct adopted *entry, const struct sandbox_plugin_v1 *raw)
{
	return entry->raw == raw && entry->copy.struct_size == raw->struct_size &&
	       !memcmp(&entry->copy, raw, copied_size(raw));
}

/* Adopts, or finds what was adopted before; under the name of a second file it is checked again. */
static int adopt_cached(const struct sandbox_plugin_v1 *raw, const char *where,
			const char *expected, const struct sandbox_plugin_v1 **plugin,
			struct hookbox_error *error)
{
	struct adopted *entry;
	int code;

	pthread_mutex_lock(&adopted_lock);
	for (entry = adopted; entry && !adopted_from(entry, raw); entry = entry->next)
		;
	if (entry) {
		code = check_copy(&entry->copy, where, expected, error);
	} else {
		code = adopt(raw, where, expected, &entry, error);
		if (!code) {
			entry->next = adopted;
			adopted = entry;
		}
	}
	if (!code)
		*plugin = &entry->copy;
	pthread_mutex_unlock(&adopted_lock);
	return code;
}

int plugin_adopt(const struct sandbox_plugin_v1 *raw, const char *where,
		 const struct sandbox_plugin_v1 **plugin, struct hookbox_error *error)
{
	return adopt_cached(raw, where, NULL, plugin, error);
}

int plugin_load(const char *path, const struct sandbox_plugin_v1 **plugin,
		struct hookbox_error *error)
{
	_cleanup_free_ char *copy = strdup(path);
	_cleanup_free_ char *expected = NULL;
	_cleanup_free_ char *where = NULL;
	const struct sandbox_plugin_v1 *raw;
	void *handle;
	int code;

	if (!copy || !(expected = strdup(basename(copy))) ||
	    asprintf(&where, "the plugin \"%s\"", path) < 0)
		return error_no_memory(error);
	if (path[0] != '/')
		return error_set(error, -EINVAL,
				 "the path of the plugin \"%s\" is not absolute; write it from "
				 "/ on",
				 path);
	if (strlen(expected) < 4 || strcmp(expected + strlen(expected) - 3, ".so"))
		return error_set(error, -EINVAL, "%s: its file's name does not end in .so", where);
	expected[strlen(expected) - 3] = '\0';
	code = check_file(path, error);
	if (code)
		return code;
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!handle)
		return error_set(error, -ENOEXEC, "%s cannot be loaded: %s", where, dlerror());
	raw = dlsym(handle, SYMBOL);
	if (!raw)
		code = error_set(error, -ENOENT,
				 "%s exports no " SYMBOL ": %s; define it with "
				 "SANDBOX_PLUGIN_EXPORT",
				 where, dlerror());
	else
		code = adopt_cached(raw, where, expected, plugin, error);
	/* RTLD_NODELETE: the code stays, only the handle goes. */
	dlclose(handle);
	return code;
}

const void *plugin_extension(const struct sandbox_plugin_v1 *plugin, const char *id)
{
	return plugin->get_extension ? plugin->get_extension(id) : NULL;
}
