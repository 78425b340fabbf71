/* SPDX-License-Identifier: MIT */
/* Backends whose way is long: what counts is how much longer it gets by us. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define ROUND_TRIPS 2.5		/* that a call may take beside the command itself */

/* A `cat` at the other end, through the CLI by hand. */
struct echo {
	pid_t pid;
	int in, out;
};

static void echo_open(struct echo *echo, const char *const *argv)
{
	posix_spawn_file_actions_t actions;
	int in[2], out[2];
	int code;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		fail("a pipe", strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	code = posix_spawnp(&echo->pid, argv[0], &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (code)
		fail(argv[0], strerror(code));
	close(in[0]);
	close(out[1]);
	echo->in = in[1];
	echo->out = out[0];
}

static double time_round_trip(const struct echo *echo)
{
	char bytes[sizeof(input)];
	int64_t begun = floor_now_us();

	if (write(echo->in, input, sizeof(input)) != sizeof(input))
		fail("a round trip", strerror(errno));
	for (size_t got = 0; got < sizeof(bytes);) {
		ssize_t n = read(echo->out, bytes, sizeof(bytes) - got);

		if (n <= 0)
			fail("a round trip", "the other end is gone");
		got += (size_t)n;
	}
	return (double)(floor_now_us() - begun);
}

static void echo_close(struct echo *echo)
{
	close(echo->in);
	close(echo->out);
	waitpid(echo->pid, NULL, 0);
}

static void measure_far(const char *name, const char *config, const char *hook,
			const char *const *cat_argv, double floor_us)
{
	const char *const argv[] = {hook, NULL};
	const char *const base_argv[] = {options.hook, NULL};
	struct samples samples = samples_new(options.runs / 2), trips = samples_new(options.runs / 2);
	struct hookbox *box = open_box(config);
	struct echo echo;
	double trip, f;

	echo_open(&echo, cat_argv);
	time_round_trip(&echo);
	time_exec(box, "bench", argv);
	for (size_t i = 0; i < samples.n; i++) {
		samples.base[i] = time_floor(base_argv);
		trips.base[i] = time_round_trip(&echo);
		samples.ours[i] = time_exec(box, "bench", argv);
	}
	echo_close(&echo);
	hookbox_close(box);
	trip = floor_median(trips.base, trips.n);
	f = floor_us ? floor_us : floor_median(samples.base, samples.n);
	print_result(name, floor_median(samples.ours, samples.n), "floor + 2.5 round trips",
		     f + ROUND_TRIPS * trip, 1);
	samples_free(&samples);
	samples_free(&trips);
}

void measure_kubectl(void)
{
	const char *const cat_argv[] = {options.kubectl, options.kubeconfig, "exec", "--stdin",
					options.pod, "--", "cat", NULL};
	char config[1024];

	snprintf(config, sizeof(config),
		 "[sandbox bench]\nmode = kubectl_exec\nkubectl_path = %s\nkubeconfig = %s\npod = %s\n",
		 options.kubectl, strchr(options.kubeconfig, '=') + 1, options.pod);
	measure_far("kubectl_exec, channel", config, "/hook", cat_argv, 0);
}

/* Where no agent is: each call a login, or all of them through the connection that they share. */
static void measure_vm_one_off(void)
{
	const char *const argv[] = {"/tmp/hook", NULL};
	struct samples samples = samples_new(options.runs / 20);
	char config[2048];
	struct hookbox *box;
	double alone;

	snprintf(config, sizeof(config),
		 "[sandbox alone]\nmode = smolbsd_ssh\nhost = 127.0.0.1\nport = %d\n"
		 "identity_file = %s\nhost_key = %s\nagent = off\nmultiplex = no\n"
		 "[sandbox shared]\nmode = smolbsd_ssh\nhost = 127.0.0.1\nport = %d\n"
		 "identity_file = %s\nhost_key = %s\nagent = off\n",
		 options.vm_port, options.vm_key, options.vm_host_key, options.vm_port,
		 options.vm_key, options.vm_host_key);
	box = open_box(config);
	/* The connection comes to be beside the first calls. */
	for (int i = 0; i < 5; i++)
		time_exec(box, "shared", argv);
	for (size_t i = 0; i < samples.n; i++) {
		samples.base[i] = time_exec(box, "alone", argv);
		samples.ours[i] = time_exec(box, "shared", argv);
	}
	hookbox_close(box);
	alone = floor_median(samples.base, samples.n);
	print_result("smolbsd_ssh one-off", alone, NULL, 0, 0);
	print_result("smolbsd_ssh one-off, multiplexed",
		     floor_median(samples.ours, samples.n), "smolbsd_ssh one-off", alone, 0.1);
	samples_free(&samples);
}

void measure_vm(void)
{
	char port[8], identity[512], config[2048];
	const char *const cat_argv[] = {
		"ssh", "-F", "none", "-T", "-oBatchMode=yes", "-oLogLevel=ERROR",
		"-oStrictHostKeyChecking=accept-new", "-oUserKnownHostsFile=/dev/null",
		"-oIdentitiesOnly=yes", "-i", identity, "-p", port, "ssh@127.0.0.1", "cat", NULL,
	};

	snprintf(port, sizeof(port), "%d", options.vm_port);
	snprintf(identity, sizeof(identity), "%s", options.vm_key);
	snprintf(config, sizeof(config),
		 "[sandbox bench]\nmode = smolbsd_ssh\nhost = 127.0.0.1\nport = %s\n"
		 "identity_file = %s\nhost_key = %s\n",
		 port, identity, options.vm_host_key);
	measure_far("smolbsd_ssh, channel", config, "/tmp/hook", cat_argv, options.vm_floor);
	measure_vm_one_off();
}
