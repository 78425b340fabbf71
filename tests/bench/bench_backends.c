/* SPDX-License-Identifier: MIT */
/* How each backend is configured, and how the same is done by hand. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* ---- In a configuration ---- */

static void configure_bwrap(FILE *config)
{
	fprintf(config, "bwrap_path = %s\nbinds = %s:/hook\n", options.bwrap, options.hook);
}

static void configure_exec(FILE *config)
{
	fprintf(config, "docker_path = %s\ncontainer = %s\n", options.docker, options.container);
}

static void configure_run(FILE *config)
{
	fprintf(config, "docker_path = %s\nimage = %s\n", options.docker, options.image);
}

static void configure_kubectl(FILE *config)
{
	fprintf(config, "kubectl_path = %s\nkubeconfig = %s\npod = %s\n", options.kubectl,
		options.kubeconfig, options.pod);
}

static void configure_ssh(FILE *config)
{
	fprintf(config, "host = 127.0.0.1\nport = %s\nidentity_file = %s\nhost_key = %s\n",
		options.vm_port, options.vm_key, options.vm_host_key);
}

static void configure_ssh_here(FILE *config)
{
	fprintf(config,
		"host = 127.0.0.1\nport = %s\nuser = %s\nidentity_file = %s\nhost_key = %s\n",
		options.ssh_port, options.ssh_user, options.ssh_key, options.ssh_host_key);
}

/* ---- By hand: words before the command ---- */

#define WORDS_MAX 40

/* The same sandbox as hookbox's defaults: what is compared is hookbox, and not bubblewrap. */
static void words_of_bwrap(const char **words)
{
	const char *const all[] = {
		options.bwrap, "--unshare-all", "--die-with-parent", "--cap-drop", "ALL",
		"--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin",
		"--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64",
		"--ro-bind", options.hook, "/hook", "--dev", "/dev", "--proc", "/proc",
		"--tmpfs", "/tmp", "--chdir", "/", "--",
	};

	memcpy(words, all, sizeof(all));
}

static void words_of_exec(const char **words)
{
	const char *const all[] = {
		options.docker, "exec", "--interactive", "--", options.container,
	};

	memcpy(words, all, sizeof(all));
}

/* The same container options as hookbox's defaults. */
static void words_of_run(const char **words)
{
	const char *const all[] = {
		options.docker, "run", "--rm", "--interactive", "--log-driver=none", "--pull=never",
		"--init", "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges",
		"--memory=536870912", "--memory-swap=536870912", "--pids-limit=256", "--read-only",
		"--tmpfs=/tmp", "--entrypoint=", "--", options.image,
	};

	memcpy(words, all, sizeof(all));
}

static void words_of_kubectl(const char **words)
{
	const char *const all[] = {
		options.kubectl, "--kubeconfig", options.kubeconfig, "exec", "--stdin", options.pod,
		"--",
	};

	memcpy(words, all, sizeof(all));
}

/* An unknown host key is accepted: the time is that of a known one. */
static void words_of_login(const char **words, const char *user, const char *port, const char *key)
{
	const char *const all[] = {
		"/usr/bin/ssh", "-F", "none", "-T", "-oBatchMode=yes", "-oLogLevel=ERROR",
		"-oStrictHostKeyChecking=accept-new", "-oUserKnownHostsFile=/dev/null",
		"-oIdentitiesOnly=yes", "-i", key, "-p", port, "-l", user, "127.0.0.1",
	};

	memcpy(words, all, sizeof(all));
}

static void words_of_ssh(const char **words)
{
	words_of_login(words, "ssh", options.vm_port, options.vm_key);
}

static void words_of_ssh_here(const char **words)
{
	words_of_login(words, options.ssh_user, options.ssh_port, options.ssh_key);
}

/* ---- All of them ---- */

static const struct {
	const char *mode;
	const char *hook;			/* NULL: the one on this machine */
	const char *floor;
	const char **needed;			/* NULL: nothing */
	const char *problem;			/* without it */
	void (*configure)(FILE *config);	/* NULL: there is nothing to say */
	void (*words)(const char **words);	/* NULL: nothing comes before the command */
} backends[] = {
	[DIRECT] = {"direct"},
	[BWRAP_RUN] = {"bwrap_run", "/hook", NULL, &options.bwrap,
		       "bubblewrap makes no sandboxes here", configure_bwrap, words_of_bwrap},
	[DOCKER_EXEC] = {"docker_exec", "/hook", NULL, &options.container, NULL, configure_exec,
			 words_of_exec},
	[DOCKER_RUN] = {"docker_run", "/hook", NULL, &options.image, NULL, configure_run,
			words_of_run},
	[KUBECTL_EXEC] = {"kubectl_exec", "/hook", NULL, &options.pod,
			  "there is no kubectl, or no pod", configure_kubectl, words_of_kubectl},
	[SMOLBSD_SSH] = {"smolbsd_ssh", "/tmp/hook", "/tmp/floor", &options.vm_port,
			 "there is no VM", configure_ssh, words_of_ssh},
	[SSH_HERE] = {"smolbsd_ssh", NULL, NULL, &options.ssh_port,
		      "no sshd can be started here", configure_ssh_here, words_of_ssh_here},
};

const char *backend_mode(enum backend backend)
{
	return backends[backend].mode;
}

const char *backend_problem(enum backend backend)
{
	if (!backends[backend].needed || *backends[backend].needed)
		return NULL;
	return backends[backend].problem ? backends[backend].problem : options.no_engine;
}

const char *backend_hook(enum backend backend)
{
	return backends[backend].hook ? backends[backend].hook : options.hook;
}

const char *backend_floor(enum backend backend)
{
	return backends[backend].floor;
}

struct hookbox *backend_open(enum backend backend, const char *settings)
{
	struct hookbox *box;
	char *config = NULL;
	size_t size;
	FILE *file = open_memstream(&config, &size);

	if (!file)
		fail("a configuration", "out of memory");
	fprintf(file, "[sandbox bench]\nmode = %s\n", backends[backend].mode);
	if (backends[backend].configure)
		backends[backend].configure(file);
	fprintf(file, "%s", settings ? settings : "");
	fclose(file);
	box = open_box(config);
	free(config);
	return box;
}

const char *const *backend_by_hand(enum backend backend, const char *const *argv)
{
	static const char *words[WORDS_MAX];
	size_t n = 0;

	memset(words, 0, sizeof(words));
	if (backends[backend].words)
		backends[backend].words(words);
	while (words[n])
		n++;
	while (*argv && n < WORDS_MAX - 1)
		words[n++] = *argv++;
	return words;
}
