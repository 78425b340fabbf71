/* SPDX-License-Identifier: MIT */
/* smolbsd_ssh: what it plans, what it refuses, and how it judges ssh's end. */
#include "unit.h"

#include "box.h"
#include "prologue.h"

#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"

static const char *const shell_argv[] = {"sh", "-c", "it's a\nscript", NULL};
static const struct sandbox_plan_request shell_request = A_CALL(shell_argv, none);

/* The host's quoting function, as core hands it out. */
static void quote(const struct sandbox_host *host, const char *text,
		  const struct sandbox_text_sink *sink)
{
	_cleanup_buf_ struct buf quoted = {0};

	quote_add(&quoted, text, "\n");
	sink->text(sink, quoted.data);
}

#define OPEN_SSH(box, ...)                                                            \
	do {                                                                          \
		OPEN(box, "smolbsd_ssh", __VA_ARGS__);                                \
		(box)->host.quote = quote;                                            \
	} while (0)

static void close_box(struct box *box)
{
	box->plugin->close(box->instance);
	box_close(box);
}

#define OPTIONS                                                                               \
	"-F\n/dev/null\n-T\n-oBatchMode=yes\n-oEscapeChar=none\n-oControlPersist=no\n"        \
	"-oClearAllForwardings=yes\n-oForwardAgent=no\n-oForwardX11=no\n"                     \
	"-oPermitLocalCommand=no\n-oUpdateHostKeys=no\n-oVerifyHostKeyDNS=no\n"               \
	"-oServerAliveInterval=15\n-oServerAliveCountMax=3\n-oConnectionAttempts=1\n"
#define ALONE "-oLogLevel=INFO\n-oControlMaster=no\n-oControlPath=none\n"
#define COMMAND "'sh' '-c' 'it'\\''s a\nscript'; exit $?\n"

static void test_plan(void **state)
{
	struct box box;

	OPEN_SSH(&box, "host=vm.example", "known_hosts=keys");
	assert_plan(&box, &shell_request,
		    "ssh\n" OPTIONS ALONE "-oConnectTimeout=10\n-oGlobalKnownHostsFile=/dev/null\n"
		    "-oStrictHostKeyChecking=accept-new\n-oUserKnownHostsFile=/conf/keys\n"
		    "-p\n22\n-l\nssh\n--\nvm.example\n" COMMAND);
	close_box(&box);
	OPEN_SSH(&box, "host=::1", "port=2222", "user=me", "identity_file=id",
		 "host_key=" KEY " me@x", "connect_timeout=1500",
		 "extra_args=-oProxyCommand=nc %h %p", "ssh_path=./ssh");
	assert_plan(&box, &shell_request,
		    "/conf/ssh\n" OPTIONS ALONE "-oConnectTimeout=2\n-oGlobalKnownHostsFile=/dev/null\n"
		    "-oStrictHostKeyChecking=yes\n-oUserKnownHostsFile=/dev/null\n"
		    "-oHostKeyAlias=hookbox\n"
		    "-oKnownHostsCommand=/bin/sh -c \"echo hookbox " KEY "\"\n"
		    "-oIdentitiesOnly=yes\n-i\n/conf/id\n-oProxyCommand=nc %h %p\n"
		    "-p\n2222\n-l\nme\n--\n::1\n" COMMAND);
	close_box(&box);
	OPEN_SSH(&box, "host=h", "known_hosts=/k", "host_key=strict");
	assert_plan(&box, &shell_request,
		    "ssh\n" OPTIONS ALONE "-oConnectTimeout=10\n-oGlobalKnownHostsFile=/dev/null\n"
		    "-oStrictHostKeyChecking=yes\n-oUserKnownHostsFile=/k\n"
		    "-p\n22\n-l\nssh\n--\nh\n" COMMAND);
	close_box(&box);
}

static void test_plan_for_a_machine_of_our_own(void **state)
{
	struct sandbox_plan_request request = shell_request;
	struct box box;

	OPEN_SSH(&box, "smolbsd_dir=/smol", "service=sshd");
	request.box_id = "hookbox-o-1f-41022";
	assert_plan(&box, &request,
		    "ssh\n" OPTIONS ALONE "-oConnectTimeout=10\n-oGlobalKnownHostsFile=/dev/null\n"
		    "-oStrictHostKeyChecking=accept-new\n"
		    "-oUserKnownHostsFile=/smol/hookbox-o-1f-41022.known_hosts\n"
		    "-oHostKeyAlias=hookbox-o-1f-41022\n"
		    "-p\n41022\n-l\nssh\n--\n127.0.0.1\n" COMMAND);
	close_box(&box);
}

/* A call that goes through the shared connection has no way around it. */
static void test_plan_for_a_shared_connection(void **state)
{
	struct sandbox_plan_request request = shell_request;
	struct box box;

	OPEN_SSH(&box, "host=h", "known_hosts=/k", "host_key=strict",
		 "extra_args=-oProxyCommand=nc %h %p");
	request.trunk = "/run/t.1";
	assert_plan(&box, &request,
		    "ssh\n" OPTIONS "-oLogLevel=INFO\n-oControlMaster=no\n"
		    "-oControlPath=/run/t.1\n-oProxyCommand=grep -q SSH\n-oConnectTimeout=10\n"
		    "-oGlobalKnownHostsFile=/dev/null\n-oStrictHostKeyChecking=yes\n"
		    "-oUserKnownHostsFile=/k\n-oProxyCommand=nc %h %p\n"
		    "-p\n22\n-l\nssh\n--\nh\n" COMMAND);
	request.purpose = SANDBOX_PURPOSE_TRUNK;
	assert_plan(&box, &request,
		    "ssh\n" OPTIONS "-oLogLevel=ERROR\n-oControlMaster=yes\n"
		    "-oControlPath=/run/t.1\n-oConnectTimeout=10\n"
		    "-oGlobalKnownHostsFile=/dev/null\n-oStrictHostKeyChecking=yes\n"
		    "-oUserKnownHostsFile=/k\n-oProxyCommand=nc %h %p\n"
		    "-p\n22\n-l\nssh\n--\nh\n" COMMAND);
	close_box(&box);
}

static void assert_no_plan(const struct box *box, const struct sandbox_plan_request *request,
			   const char *sentence)
{
	_cleanup_plan_ struct plan plan = {0};
	struct hookbox_error error = {0};

	assert_int_not_equal(plan_make(box->plugin, box->instance, request, &plan, &error), 0);
	if (!strstr(error.message, sentence))
		fail_msg("\"%s\" is not in \"%s\"", sentence, error.message);
}

static void test_no_plan(void **state)
{
	static const char *const env[] = {"A=b", NULL};
	static const char *const ids[] = {
		"", "x", "hookbox-o-70000", "hookbox-o-", "hookbox-o-0", "hookbox--22",
		"hookbox-o-2x", "hookbox-../o-22", "hookbox-o-000022", NULL,
	};
	struct sandbox_plan_request request = shell_request;
	struct box box;

	OPEN_SSH(&box, "smolbsd_dir=/smol", "service=sshd");
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		request.box_id = ids[i];
		assert_no_plan(&box, &request, "no machine of this sandbox has been booted");
	}
	close_box(&box);
	OPEN_SSH(&box, "host=h", "known_hosts=/k");
	request.env = env;
	assert_no_plan(&box, &request, "needs a shell in the machine");
	close_box(&box);
}

static void assert_refused(const char *sentence, const char *const *settings)
{
	struct box box;

	if (!box_open(&box, "smolbsd_ssh", settings))
		fail_msg("not refused: %s", sentence);
	if (!strstr(box.error, sentence))
		fail_msg("\"%s\" is not in \"%s\"", sentence, box.error);
	box_close(&box);
}

#define REFUSED(sentence, ...) assert_refused(sentence, (const char *const[]){__VA_ARGS__, NULL})

static void test_refused_settings(void **state)
{
	static const char *const names[] = {"a b", "$(id)", "a;b", "a/b",
					    "a'b", "a\"b",  "a@b", "*"};
	_cleanup_strv_ struct strv long_names = {0};

	strv_printf(&long_names, "host=%0300d", 0);
	strv_printf(&long_names, "service=%0300d", 0);
	strv_printf(&long_names, "user=%0300d", 0);
	REFUSED("is no host name", long_names.v[0]);
	REFUSED("is no name of a service", "smolbsd_dir=/s", long_names.v[1]);
	REFUSED("is no user name", "host=h", long_names.v[2]);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		_cleanup_strv_ struct strv text = {0};

		strv_printf(&text, "host=%s", names[i]);
		strv_printf(&text, "user=%s", names[i]);
		strv_printf(&text, "service=%s", names[i]);
		REFUSED("is no host name", text.v[0]);
		REFUSED("is no user name", "host=h", text.v[1]);
		REFUSED("is no name of a service", "smolbsd_dir=/s", text.v[2]);
	}
	REFUSED("the port have keys", "host=h:22");
	REFUSED("is no name of a service", "smolbsd_dir=/s", "service=..");
	REFUSED("set host = HOST", "user=ssh");
	REFUSED("are two machines", "host=h", "smolbsd_dir=/s");
	REFUSED("set service = NAME", "smolbsd_dir=/s");
	REFUSED("in place of % and ${...}", "host=h", "identity_file=/keys/%h");
	REFUSED("in place of % and ${...}", "host=h", "identity_file=/keys/${USER}");
	REFUSED("cpus is for booting", "host=h", "cpus=2");
	REFUSED("boot_timeout is for booting", "host=h", "boot_timeout=2s");
	REFUSED("port must be", "host=h", "port=0");
	REFUSED("port must be", "host=h", "port=65536");
	REFUSED("memory must be", "smolbsd_dir=/s", "service=x", "memory=1000");
	REFUSED("cpus must be", "smolbsd_dir=/s", "service=x", "cpus=0");
	REFUSED("connect_timeout must be", "host=h", "connect_timeout=10");
	REFUSED("known_hosts is for", "smolbsd_dir=/s", "service=x", "known_hosts=/k");
}

static void test_refused_host_keys(void **state)
{
	REFUSED("neither accept-new nor strict", "host=h", "host_key=no");
	REFUSED("neither accept-new nor strict", "host=h", "host_key=off");
	REFUSED("neither accept-new nor strict", "host=h", "host_key=ssh-ed25519");
	REFUSED("neither accept-new nor strict", "host=h", "host_key=" KEY "\"; id");
	REFUSED("neither accept-new nor strict", "host=h", "host_key=$(id) " KEY);
	REFUSED("set known_hosts", "host=h", "host_key=strict");
	REFUSED("set host_key = TYPE", "smolbsd_dir=/s", "service=x", "host_key=strict");
	REFUSED("would not be read", "host=h", "host_key=" KEY, "known_hosts=/k");
	REFUSED("a path with spaces", "host=h", "known_hosts=/a b");
	REFUSED("a path with spaces", "smolbsd_dir=/%h", "service=x");
}

/* ssh would split it, and keep keys in another file. */
static void test_refused_home(void **state)
{
	setenv("XDG_STATE_HOME", "/home/a b", 1);
	REFUSED("known_hosts = \"/home/a b/hookbox/known_hosts\": ssh cannot", "host=h");
	unsetenv("XDG_STATE_HOME");
}

static void test_refused_extra_args(void **state)
{
	static const char *const args[] = {
		"extra_args=-oStrictHostKeyChecking=no", "extra_args=-ostricthostkeychecking=no",
		"extra_args=-oUserKnownHostsFile=/dev/null", "extra_args=-oRemoteCommand=id",
		"extra_args=-oPort=1", "extra_args=-oBatchMode=no", "extra_args=-oSendEnv=*",
		"extra_args=-oControlPath=/x",
	};

	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
		REFUSED("is hookbox's own affair", "host=h", "known_hosts=/k", args[i]);
	REFUSED("-oBatchMode=yes -W [%h]:%p HOST", "host=h", "extra_args=-oProxyJump=gate");
	REFUSED("is not of the form", "host=h", "extra_args=-v");
	REFUSED("is not of the form", "host=h", "extra_args=word");
	REFUSED("is not of the form", "host=h", "extra_args=-o");
	REFUSED("is not of the form", "host=h", "extra_args=-oPort 1");
	REFUSED("is not of the form", "host=h", "extra_args=-oStrictHostKeyChecking no=1");
}

/* ---- classify ---- */

struct ending {
	const char *said;
	int status;
	bool output;		/* something came out on stdout */
	uint32_t end;
	int error_number;
	const char *sentence;	/* in the message; NULL: it is the command's own end */
	const char *kept;	/* what is left of stderr */
};

static const struct ending endings[] = {
	{"", 0, true, SANDBOX_END_COMMAND, 0, NULL, ""},
	{"", 255, false, SANDBOX_END_COMMAND, 0, NULL, ""},
	{"curl: Connection refused\n", 255, false, SANDBOX_END_COMMAND, 0, NULL,
	 "curl: Connection refused\n"},
	{"ssh: connect to host h port 22: Connection refused\n", 255, false, SANDBOX_END_COMMAND, 0,
	 NULL, "ssh: connect to host h port 22: Connection refused\n"},
	{"", 137, false, SANDBOX_END_COMMAND, 0, NULL, ""},
	{"x: not found\nno\n", 127, false, SANDBOX_END_COMMAND, 0, NULL, "x: not found\nno\n"},
	{"sh: x: not found\n", 127, false, SANDBOX_END_NOT_STARTED, ENOENT, "no such command", ""},
	{"sh: /x: Permission denied\n", 126, false, SANDBOX_END_NOT_STARTED, EACCES, "chmod +x",
	 ""},
	{"ssh: connect to host h port 22: Connection refused\r\n", 255, false,
	 SANDBOX_END_NOT_STARTED, 0, "start sshd in the machine", ""},
	{"ssh: Could not resolve hostname h: Name or service not known\r\n", 255, false,
	 SANDBOX_END_NOT_STARTED, 0, "correct host", ""},
	{"me@h: Permission denied (publickey).\r\n", 255, false, SANDBOX_END_NOT_STARTED, 0,
	 "me@h: Permission denied (publickey); put", ""},
	{"command-line line 0: Bad SSH2 cipher spec 'x'.\r\n", 255, false, SANDBOX_END_NOT_STARTED,
	 0, "correct extra_args", ""},
	{"kex_exchange_identification: Connection closed by remote host\r\n"
	 "Connection closed by UNKNOWN port 65535\r\n",
	 255, false, SANDBOX_END_NOT_STARTED, 0, "see in the log", ""},
	{"@ WARNING: UNPROTECTED PRIVATE KEY FILE!  @\nLoad key \"id\": bad permissions\r\n"
	 "me@h: Permission denied (publickey).\r\n",
	 255, false, SANDBOX_END_NOT_STARTED, 0, "chmod 600", ""},
	{"@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n"
	 "Host key verification failed.\r\n",
	 255, false, SANDBOX_END_NOT_STARTED, 0,
	 "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!; if the machine was", ""},
	{"Connection timed out during banner exchange\r\nConnection to h port 22 timed out\r\n",
	 255, false, SANDBOX_END_NOT_STARTED, 0, "raise connect_timeout", ""},
	{"cp: Permission denied (x)\nConnection to h closed by remote host.\r\n", 255, false,
	 SANDBOX_END_LOST, 0, "still runs", "cp: Permission denied (x)\n"},
	{"ssh_dispatch_run_fatal: Connection to h port 22: message authentication code "
	 "incorrect\r\n",
	 255, false, SANDBOX_END_LOST, 0, "keeps running", ""},
	{"a word\nConnection to h closed by remote host.\r\n", 255, false, SANDBOX_END_LOST, 0,
	 "still runs", "a word\n"},
	{"Timeout, server h not responding.\r\n", 255, true, SANDBOX_END_LOST, 0, "still runs", ""},
	{"a\nConnection reset by h port 22\r\n", 255, true, SANDBOX_END_LOST, 0, "log", "a\n"},
};

static void test_ends(void **state)
{
	struct box box;

	OPEN_SSH(&box, "host=h", "known_hosts=/k");
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		const struct ending *ending = &endings[i];
		const struct sandbox_process_end end = {
			.size = sizeof(end), .status = ending->status, .stderr_tail = ending->said,
			.stderr_tail_size = strlen(ending->said), .stdout_total = ending->output,
		};
		struct sandbox_verdict verdict = {
			.size = sizeof(verdict),
			.end = SANDBOX_END_COMMAND,
			.status = ending->status,
		};

		box.plugin->classify(box.instance, &end, &verdict);
		if (verdict.end != ending->end || verdict.error_number != ending->error_number ||
		    (ending->sentence && !strstr(verdict.message, ending->sentence)))
			fail_msg("\"%s\": %u, %d, \"%s\"", ending->said, verdict.end,
				 verdict.error_number, verdict.message);
		assert_int_equal(verdict.drop_stderr_tail,
				 strlen(ending->said) - strlen(ending->kept));
	}
	close_box(&box);
}

#define NO_OTHER_WAY                                                            \
	"kex_exchange_identification: Connection closed by remote host\r\n" \
	"Connection closed by UNKNOWN port 65535\r\n"
#define SESSION "mux_client_request_session: "

/* Of a call that was to go through a shared connection: only what never got a session is unused. */
static void test_ends_of_shared_calls(void **state)
{
	static const struct {
		const char *said;
		bool output;
		bool unused;
	} ends[] = {
		{"", false, false},
		{"", true, false},
		{NO_OTHER_WAY, false, true},
		{NO_OTHER_WAY, true, false},
		{"Control socket connect(/run/t.1): Connection refused\r\n" NO_OTHER_WAY, false, true},
		{SESSION "session request failed: Session open refused by peer\r\n" NO_OTHER_WAY, false,
		 true},
		{SESSION "read from master failed: Broken pipe\r\n" NO_OTHER_WAY, false, false},
		{"ssh: connect to host h port 22: Connection refused\r\n", false, false},
	};
	struct box box;

	OPEN_SSH(&box, "host=h", "known_hosts=/k");
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		const struct sandbox_process_end end = {
			.size = sizeof(end), .status = 255, .stderr_tail = ends[i].said,
			.stderr_tail_size = strlen(ends[i].said), .stdout_total = ends[i].output,
			.trunk = true,
		};
		struct sandbox_verdict verdict = {
			.size = sizeof(verdict), .end = SANDBOX_END_COMMAND, .status = 255,
		};

		box.plugin->classify(box.instance, &end, &verdict);
		if (verdict.trunk_unused != ends[i].unused ||
		    verdict.end != (ends[i].unused ? SANDBOX_END_NOT_STARTED : SANDBOX_END_LOST))
			fail_msg("\"%s\": %u, %d", ends[i].said, verdict.end,
				 verdict.trunk_unused);
	}
	close_box(&box);
}

static void test_a_signal_on_ssh_is_a_loss(void **state)
{
	const struct sandbox_process_end end = {
		.size = sizeof(end), .signaled = true, .status = 9, .stderr_tail = "",
	};
	struct sandbox_verdict verdict = {.size = sizeof(verdict), .end = SANDBOX_END_COMMAND};
	struct box box;

	OPEN_SSH(&box, "host=h", "known_hosts=/k");
	box.plugin->classify(box.instance, &end, &verdict);
	assert_int_equal(verdict.end, SANDBOX_END_LOST);
	assert_string_equal(verdict.message, "signal 9 ended ssh; see who sent it");
	close_box(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_plan_for_a_machine_of_our_own),
		cmocka_unit_test(test_plan_for_a_shared_connection),
		cmocka_unit_test(test_no_plan),
		cmocka_unit_test(test_refused_settings),
		cmocka_unit_test(test_refused_host_keys),
		cmocka_unit_test(test_refused_home),
		cmocka_unit_test(test_refused_extra_args),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_ends_of_shared_calls),
		cmocka_unit_test(test_a_signal_on_ssh_is_a_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
