/* SPDX-License-Identifier: MIT */
/* smolbsd_ssh: every call over ssh in a virtual machine, which hookbox may boot itself. */
#include "smolbsd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

/* ssh keeps a key under this name: the same machine may come with another address. */
#define FIXED_KEY_ALIAS "hookbox"

#define MIB (UINT64_C(1) << 20)

#define AT(member) .offset = offsetof(struct smolbsd_ssh, member)
#define AT_SET(member) AT(member), .set_offset = offsetof(struct smolbsd_ssh, member##_set)

static const struct sandbox_param params[] = {
	{.key = "host", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,
	 .help = "The machine to log in to; or else smolbsd_dir", AT(host), .metavar = "HOST"},
	{.key = "port", .type = SANDBOX_UINT,
	 .help = "Where ssh listens; else 22, or a free port for a machine of our own",
	 AT_SET(port), .metavar = "PORT"},
	{.key = "user", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD, .dflt = "ssh",
	 .help = "Whom to log in as", AT(user), .metavar = "NAME"},
	{.key = "identity_file", .type = SANDBOX_PATH,
	 .help = "The private key; else ssh's own choice", AT(identity_file)},
	{.key = "host_key", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,
	 .dflt = HOST_KEY_ACCEPT_NEW,
	 .help = "The machine's public key; or accept-new, strict: those in known_hosts",
	 AT(host_key), .metavar = "TYPE BASE64|accept-new|strict"},
	{.key = "known_hosts", .type = SANDBOX_PATH,
	 .help = "The file of trusted host keys; else one of hookbox's own", AT(known_hosts)},
	{.key = "connect_timeout", .type = SANDBOX_DURATION, .dflt = "10s",
	 .help = "How long it may take until an ssh server greets", AT(connect_timeout)},
	{.key = "extra_args", .type = SANDBOX_LIST,
	 .help = "More options of ssh_config(5), such as -oProxyCommand=COMMAND", AT(extra_args),
	 .metavar = "-oNAME=VALUE"},
	{.key = "ssh_path", .type = SANDBOX_PROGRAM, .flags = SANDBOX_PARAM_WORD, .dflt = "ssh",
	 .help = "The ssh to use", AT(ssh_path)},
	{.key = "smolbsd_dir", .type = SANDBOX_PATH,
	 .help = "A smolBSD directory, to boot a machine of our own from", AT(smolbsd_dir)},
	{.key = "service", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,
	 .help = "The smolBSD service to boot", AT(service), .metavar = "NAME"},
	{.key = "image", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,
	 .help = "Its image; else images/SERVICE-amd64.img", AT(image), .metavar = "PATH"},
	{.key = "kernel", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,
	 .dflt = "kernels/netbsd-SMOL", .help = "The kernel to boot, from smolbsd_dir",
	 AT_SET(kernel), .metavar = "PATH"},
	{.key = "startnb", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,
	 .dflt = "./startnb.sh", .help = "smolBSD's start script, from smolbsd_dir",
	 AT_SET(startnb), .metavar = "PATH"},
	{.key = "memory", .type = SANDBOX_SIZE, .dflt = "256m", .help = "The machine's memory",
	 AT_SET(memory)},
	{.key = "boot_timeout", .type = SANDBOX_DURATION, .dflt = "60s",
	 .help = "How long the machine may take until it lets us log in", AT_SET(boot_timeout)},
	{.key = "cpus", .type = SANDBOX_UINT, .dflt = "1", .help = "The machine's processors",
	 AT_SET(cpus)},
};

/* ---- Settings ---- */

static bool text_has_only(const char *text, const char *chars, size_t max)
{
	size_t length = strlen(text);

	return length && length <= max && text[0] != '-' && strspn(text, chars) == length;
}

static int check_names(const struct smolbsd_ssh *ssh, char error[SANDBOX_ERROR_SIZE])
{
	const char *colon = ssh->host ? strchr(ssh->host, ':') : NULL;

	/* An IPv6 address has more than one colon. */
	if (ssh->host && (!text_has_only(ssh->host, NAME_CHARS ":%", 255) ||
			  (colon && !strchr(colon + 1, ':'))))
		return backend_refuse(error,
				      "host = \"%.80s\" is no host name or address; the user and "
				      "the port have keys of their own",
				      ssh->host);
	if (!text_has_only(ssh->user, NAME_CHARS, 64))
		return backend_refuse(error, "user = \"%.80s\" is no user name", ssh->user);
	if (ssh->service &&
	    (!text_has_only(ssh->service, NAME_CHARS, 64) || ssh->service[0] == '.'))
		return backend_refuse(error,
				      "service = \"%.80s\" is no name of a service; write letters, "
				      "digits and ._-, at most 64",
				      ssh->service);
	if (ssh->port_set && (!ssh->port || ssh->port > 65535))
		return backend_refuse(error, "port must be from 1 to 65535");
	if (ssh->connect_timeout < 1000)
		return backend_refuse(error, "connect_timeout must be 1s or more");
	return 0;
}

static int check_machine(const struct smolbsd_ssh *ssh, char error[SANDBOX_ERROR_SIZE])
{
	const char *alone = ssh->service     ? "service"
			    : ssh->image       ? "image"
			    : ssh->kernel_set  ? "kernel"
			    : ssh->startnb_set ? "startnb"
			    : ssh->memory_set  ? "memory"
			    : ssh->cpus_set    ? "cpus"
			    : ssh->boot_timeout_set ? "boot_timeout"
					       : NULL;

	if (ssh->host && ssh->smolbsd_dir)
		return backend_refuse(error, "host and smolbsd_dir are two machines; keep one of "
					     "them");
	if (!ssh->host && !ssh->smolbsd_dir)
		return backend_refuse(error, "set host = HOST for a machine that runs already, or "
					     "smolbsd_dir and service to boot one");
	if (ssh->host && alone)
		return backend_refuse(error, "%s is for booting a machine, and host names one that "
					     "runs already; remove it", alone);
	if (ssh->smolbsd_dir && ssh->known_hosts)
		return backend_refuse(error,
				      "known_hosts is for a machine that runs already: a "
				      "machine of our own has a new port each time; set host_key "
				      "= TYPE BASE64, or neither");
	if (ssh->smolbsd_dir && !ssh->service && !ssh->image)
		return backend_refuse(error, "set service = NAME, the smolBSD service to boot");
	if (ssh->memory % MIB || ssh->memory < 16 * MIB)
		return backend_refuse(error, "memory must be whole MiB, 16m or more");
	if (ssh->boot_timeout < 1000 || ssh->boot_timeout > 120000)
		return backend_refuse(error, "boot_timeout must be from 1s to 120s");
	if (!ssh->cpus || ssh->cpus > 256)
		return backend_refuse(error, "cpus must be from 1 to 256");
	return 0;
}

static bool host_key_is_fixed(const struct smolbsd_ssh *ssh)
{
	return strcmp(ssh->host_key, HOST_KEY_ACCEPT_NEW) && strcmp(ssh->host_key, HOST_KEY_STRICT);
}

/* A public key as it stands in a .pub file; what follows it there is a comment. */
static int check_host_key(const struct smolbsd_ssh *ssh, char error[SANDBOX_ERROR_SIZE])
{
	size_t type = strspn(ssh->host_key, NAME_CHARS "@");
	const char *key = ssh->host_key + type + 1;
	size_t length;

	if (!host_key_is_fixed(ssh)) {
		if (strcmp(ssh->host_key, HOST_KEY_STRICT) || ssh->known_hosts)
			return 0;
		return backend_refuse(error, "host_key = strict trusts the keys of a file; set %s",
				      ssh->host
					      ? "known_hosts = PATH"
					      : "host_key = TYPE BASE64 for a machine of our own");
	}
	if (ssh->known_hosts)
		return backend_refuse(error, "host_key is the machine's key, and known_hosts would "
					     "not be read; remove one of them");
	length = type && ssh->host_key[type] == ' ' ? strspn(key, BASE64) : 0;
	if (length >= 32 && (!key[length] || key[length] == ' '))
		return 0;
	return backend_refuse(error, "host_key is neither accept-new nor strict nor a public key; "
				     "write it as \"TYPE BASE64\", from the machine's "
				     "/etc/ssh/ssh_host_*_key.pub");
}

/* Options that would break a call, or undo what hookbox promises. In small letters. */
static const char *const kept_options[] = {
	"batchmode", "stricthostkeychecking", "userknownhostsfile", "globalknownhostsfile",
	"knownhostscommand", "hostkeyalias", "nohostauthenticationforlocalhost",
	"remotecommand", "requesttty", "forkafterauthentication", "stdinnull", "sessiontype",
	"escapechar", "loglevel", "controlmaster", "controlpath", "controlpersist",
	"permitlocalcommand", "localcommand", "hostname", "port", "user", "identityfile",
	"connecttimeout", "sendenv", "setenv", "localforward", "remoteforward",
	"dynamicforward", "forwardagent", "forwardx11", "tunnel", "verifyhostkeydns",
	"updatehostkeys",
};

static bool option_is(const char *arg, const char *name)
{
	size_t length = strlen(name);

	return !strncasecmp(arg + 2, name, length) && arg[2 + length] == '=';
}

static int check_extra_arg(const char *arg, char error[SANDBOX_ERROR_SIZE])
{
	size_t length = strncmp(arg, "-o", 2) ? 0 : strcspn(arg + 2, "= \t\"");

	if (!length || arg[2 + length] != '=')
		return backend_refuse(error,
				      "extra_args: \"%.80s\" is not of the form -oNAME=VALUE; "
				      "write each option so, as one item",
				      arg);
	if (option_is(arg, "proxyjump"))
		return backend_refuse(error,
				      "extra_args: \"%.80s\" starts an ssh that may ask for "
				      "something; write -oProxyCommand=ssh -oBatchMode=yes "
				      "-W [%%h]:%%p HOST",
				      arg);
	for (size_t i = 0; i < N_ELEMENTS(kept_options); i++)
		if (option_is(arg, kept_options[i]))
			return backend_refuse(error,
					      "extra_args: \"%.80s\" is hookbox's own affair, or "
					      "has a key of its own; remove it",
					      arg);
	return 0;
}

static int check_extra_args(const struct sandbox_list *extra_args, char error[SANDBOX_ERROR_SIZE])
{
	int code = 0;

	for (size_t i = 0; i < extra_args->n && !code; i++)
		code = check_extra_arg(extra_args->v[i], error);
	return code;
}

/* ssh reads the file names of its options as lists of words. */
static int check_path(const char *key, const char *path, char error[SANDBOX_ERROR_SIZE])
{
	if (!path || !path[strcspn(path, " \t\"'\\%$~,")])
		return 0;
	return backend_refuse(error, "%s = \"%.200s\": ssh cannot be given a path with spaces, "
				     "quotes, or any of \\ %% $ ~ ,; use another one",
			      key, path);
}

/* That of a key, too, has parts that ssh puts something else in place of. */
static int check_identity_file(const struct smolbsd_ssh *ssh, char error[SANDBOX_ERROR_SIZE])
{
	const char *path = ssh->identity_file;

	if (!path || (!strchr(path, '%') && !strstr(path, "${")))
		return 0;
	return backend_refuse(error, "identity_file = \"%.200s\": ssh puts something else in place "
				     "of %% and ${...}; use a path without them", path);
}

/* The file for keys that are trusted on first use, where the config names none. */
static int choose_known_hosts(struct smolbsd_ssh *ssh, char error[SANDBOX_ERROR_SIZE])
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int length, code;

	if (state && state[0] == '/')
		length = asprintf(&ssh->known_hosts_path, "%s/hookbox/known_hosts", state);
	else if (home && home[0] == '/')
		length = asprintf(&ssh->known_hosts_path, "%s/.local/state/hookbox/known_hosts",
				  home);
	else
		return backend_refuse(error, "there is no HOME to keep host keys in; set "
					     "known_hosts = PATH, or host_key = TYPE BASE64");
	if (length < 0) {
		ssh->known_hosts_path = NULL;
		snprintf(error, SANDBOX_ERROR_SIZE, "out of memory");
		return -ENOMEM;
	}
	code = check_path("known_hosts", ssh->known_hosts_path, error);
	if (code) {
		free(ssh->known_hosts_path);
		ssh->known_hosts_path = NULL;
	}
	return code;
}

static int smolbsd_open(void *instance, const struct sandbox_host *host,
			char error[SANDBOX_ERROR_SIZE])
{
	struct smolbsd_ssh *ssh = instance;
	int code = check_names(ssh, error);

	ssh->table = host;
	if (!code)
		code = check_machine(ssh, error);
	if (!code)
		code = check_host_key(ssh, error);
	if (!code)
		code = check_extra_args(&ssh->extra_args, error);
	if (!code)
		code = check_identity_file(ssh, error);
	if (!code)
		code = check_path("known_hosts", ssh->known_hosts, error);
	if (!code)
		code = check_path("smolbsd_dir", ssh->smolbsd_dir, error);
	if (!code && ssh->host && !host_key_is_fixed(ssh) && !ssh->known_hosts)
		code = choose_known_hosts(ssh, error);
	return code;
}

static void smolbsd_close(void *instance)
{
	free(((struct smolbsd_ssh *)instance)->known_hosts_path);
}

/* ---- plan ---- */

/* Whom to believe that it is the machine. There is no way to believe just anybody. */
static void add_host_key(struct backend_args *args, const struct smolbsd_ssh *ssh,
			 const char *machine)
{
	size_t type = strcspn(ssh->host_key, " ");

	backend_arg(args, "-oGlobalKnownHostsFile=/dev/null");
	if (host_key_is_fixed(ssh)) {
		size_t key = strcspn(ssh->host_key + type + 1, " ");

		backend_arg(args, "-oStrictHostKeyChecking=yes");
		backend_arg(args, "-oUserKnownHostsFile=/dev/null");
		backend_arg(args, "-oHostKeyAlias=" FIXED_KEY_ALIAS);
		backend_arg(args,
			    "-oKnownHostsCommand=/bin/sh -c \"echo " FIXED_KEY_ALIAS " %.*s\"",
			    (int)(type + 1 + key), ssh->host_key);
		return;
	}
	backend_arg(args, "-oStrictHostKeyChecking=%s",
		    strcmp(ssh->host_key, HOST_KEY_STRICT) ? "accept-new" : "yes");
	if (machine) {
		/* A machine of ours may make its key when it boots: it is pinned while it lives. */
		backend_arg(args, "-oUserKnownHostsFile=%s/%s.known_hosts", ssh->smolbsd_dir,
			    machine);
		backend_arg(args, "-oHostKeyAlias=%s", machine);
	} else {
		backend_arg(args, "-oUserKnownHostsFile=%s",
			    ssh->known_hosts ? ssh->known_hosts : ssh->known_hosts_path);
	}
}

/*
 * The connection that calls share is an ssh of ours with a socket. A call that finds it gone or
 * full must not log in by itself: how much of its stdin was read is not known then, and the rest
 * would look like a whole one. ssh would try, and gets a proxy that ends as soon as it has heard
 * ssh greet: one that ended sooner would make it say something else, at times.
 */
static void add_trunk(struct backend_args *args, const struct sandbox_plan_request *request)
{
	const char *trunk = request->size > offsetof(struct sandbox_plan_request, trunk) ?
				    request->trunk : NULL;
	bool keeps = trunk && request->purpose == SANDBOX_PURPOSE_TRUNK;

	backend_arg(args, "-oLogLevel=%s", keeps ? "ERROR" : "INFO");
	backend_arg(args, "-oControlMaster=%s", keeps ? "yes" : "no");
	backend_arg(args, "-oControlPath=%s", trunk ? trunk : "none");
	if (trunk && !keeps)
		backend_arg(args, "-oProxyCommand=grep -q SSH");
}

static void add_options(struct backend_args *args, const struct smolbsd_ssh *ssh,
			const struct sandbox_plan_request *request)
{
	/* It never asks; it does for nobody what the call did not say; its file of settings, and
	 * the connections that somebody else keeps open, are the user's and not ours. */
	static const char *const options[] = {
		"-oBatchMode=yes", "-oEscapeChar=none", "-oControlPersist=no",
		"-oClearAllForwardings=yes", "-oForwardAgent=no", "-oForwardX11=no",
		"-oPermitLocalCommand=no", "-oUpdateHostKeys=no", "-oVerifyHostKeyDNS=no",
		"-oServerAliveInterval=15", "-oServerAliveCountMax=3", "-oConnectionAttempts=1",
	};

	backend_arg(args, "%s", ssh->ssh_path);
	backend_arg(args, "-F");
	backend_arg(args, "/dev/null");
	backend_arg(args, request->tty ? "-tt" : "-T");
	for (size_t i = 0; i < N_ELEMENTS(options); i++)
		backend_arg(args, "%s", options[i]);
	add_trunk(args, request);
	/* ssh counts whole seconds. */
	backend_arg(args, "-oConnectTimeout=%lld",
		    (long long)((ssh->connect_timeout + 999) / 1000));
	add_host_key(args, ssh, ssh->smolbsd_dir ? request->box_id : NULL);
	if (ssh->identity_file) {
		backend_arg(args, "-oIdentitiesOnly=yes");
		backend_arg(args, "-i");
		backend_arg(args, "%s", ssh->identity_file);
	}
	backend_arg_items(args, &ssh->extra_args);
}

struct remote_line {
	char *text;
	size_t size;
	FILE *stream;
};

static void add_quoted(const struct sandbox_text_sink *sink, const char *text)
{
	fputs(text, sink->host_data);
}

/*
 * ssh takes one string, which the user's login shell in the machine reads: the quoted argv, and
 * then the status, so that the shell stays to say "128 + N" where sshd would tell nothing of signal
 * N.
 */
static int add_command(struct backend_args *args, const struct smolbsd_ssh *ssh,
		       const struct sandbox_plan_request *request)
{
	char *line = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&line, &size);
	const struct sandbox_text_sink sink = {
		.size = sizeof(sink), .host_data = stream, .text = add_quoted,
	};

	if (!stream)
		return -ENOMEM;
	for (const char *const *arg = request->argv; *arg; arg++) {
		if (arg != request->argv)
			fputc(' ', stream);
		ssh->table->quote(ssh->table, *arg, &sink);
	}
	fputs("; exit $?", stream);
	if (fclose(stream)) {
		free(line);
		return -ENOMEM;
	}
	backend_arg(args, "%s", line);
	free(line);
	return 0;
}

int smolbsd_plan(const void *instance, const struct sandbox_plan_request *request,
		 const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	const struct smolbsd_ssh *ssh = instance;
	struct backend_args args = {.sink = sink};
	unsigned int port = ssh->port_set ? (unsigned int)ssh->port : 22;
	int code;

	if (*request->env || request->cwd)
		return backend_refuse(error, "smolbsd_ssh needs a shell in the machine for env and "
					     "workdir; remove shell = none, or these");
	code = request->size > offsetof(struct sandbox_plan_request, trunk) ?
		       check_path("the socket of a shared connection", request->trunk, error) : 0;
	if (code)
		return code;
	if (ssh->smolbsd_dir)
		port = request->box_id ? smolbsd_vm_port(request->box_id) : 0;
	if (!port)
		return backend_refuse(error, "no machine of this sandbox has been booted");
	add_options(&args, ssh, request);
	backend_arg(&args, "-p");
	backend_arg(&args, "%u", port);
	backend_arg(&args, "-l");
	backend_arg(&args, "%s", ssh->user);
	backend_arg(&args, "--");
	backend_arg(&args, "%s", ssh->smolbsd_dir ? "127.0.0.1" : ssh->host);
	args.failed |= add_command(&args, ssh, request) != 0;
	return backend_args_end(&args, error);
}

static const void *smolbsd_extension(const char *id)
{
	static const struct sandbox_box_v1 box = {
		.size = sizeof(box),
		.find = smolbsd_find,
		.start = smolbsd_start,
		.stop = smolbsd_stop,
		.list = smolbsd_list,
	};
	static const struct sandbox_probe_v1 probe = {
		.size = sizeof(probe),
		.probe = smolbsd_probe,
	};

	if (!strcmp(id, SANDBOX_BOX_EXTENSION))
		return &box;
	return !strcmp(id, SANDBOX_PROBE_EXTENSION) ? &probe : NULL;
}

SANDBOX_PLUGIN_EXPORT const struct sandbox_plugin_v1 sandbox_plugin_v1 = {
	.magic = SANDBOX_PLUGIN_MAGIC,
	.struct_size = sizeof(struct sandbox_plugin_v1),
	.name = "smolbsd_ssh",
	.version = PACKAGE_VERSION,
	.summary = "Every call over ssh in a virtual machine, which hookbox may boot itself",
	.flags = SANDBOX_KEPT | SANDBOX_SIGNALS_AS_128N | SANDBOX_SHELL | SANDBOX_TRUNK,
	.params = params,
	.n_params = N_ELEMENTS(params),
	.param_size = sizeof(struct sandbox_param),
	.instance_size = sizeof(struct smolbsd_ssh),
	.open = smolbsd_open,
	.close = smolbsd_close,
	.plan = smolbsd_plan,
	.classify = smolbsd_classify,
	.get_extension = smolbsd_extension,
};
