/* SPDX-License-Identifier: MIT */
/* hookbox run, hookbox emit: an event on stdin, a decision on stdout. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cancel.h"
#include "cli.h"
#include "hook.h"
#include "host.h"

/* More than an event may have: what is over is refused, without reading all of it. */
#define EVENT_LIMIT (64u * 1024 * 1024 + 1)

struct ask {
	const char *hook;	/* NULL: every one that listens */
	const char *type;	/* or NULL */
	const char *phase;	/* or NULL */
	bool verbose;
};

/* Reads the event; stops early when the call is cancelled. */
static int read_event(struct cli *cli, struct hookbox_cancel *cancel, struct buf *event)
{
	struct pollfd fds[2] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = cancel_fd(cancel), .events = POLLIN},
	};
	char bytes[65536];
	ssize_t n;

	while (event->size < EVENT_LIMIT) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return cli_fail(cli, CLI_FAILED, "poll: %s", strerror(errno));
		if (cli_caught_signal())
			return cli_fail(cli, CLI_SIGNAL + cli_caught_signal(),
					"cancelled while the event was being read");
		if (!fds[0].revents)
			continue;
		n = read(STDIN_FILENO, bytes, sizeof(bytes));
		if (!n)
			break;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return cli_fail(cli, CLI_FAILED, "stdin cannot be read: %s",
					strerror(errno));
		if (n > 0)
			buf_add(event, bytes, (size_t)n);
		if (event->failed)
			return cli_fail(cli, CLI_FAILED, "out of memory");
	}
	return CLI_OK;
}

static const struct config_hook *find_hook(struct hookbox *box, const char *name)
{
	const struct config *config = host_config(box);

	for (size_t i = 0; i < config->n_hooks; i++)
		if (!strcmp(config->hooks[i].name, name))
			return &config->hooks[i];
	return NULL;
}

/* What an eval hook is run for: the object it printed, or else its bytes. */
static void put_output(struct buf *json, const struct hookbox_result *result)
{
	json_t *object = NULL;

	if (!json_parse_object(result->out, result->out_size, result->out_size + 1, &object, NULL))
		json_put_raw(json, "output", result->out, result->out_size);
	else
		json_put_bytes(json, "stdout", result->out, result->out_size);
	json_decref(object);
}

/* The members of one hook's outcome that a decision as a whole does not have. */
static void put_outcome(struct buf *json, struct hookbox *box,
			const struct hookbox_hook_outcome *outcome)
{
	const struct config_hook *hook = find_hook(box, outcome->hook);

	json_put_text(json, "hook", outcome->hook);
	json_put_text(json, "cause", hookbox_cause_name(outcome->cause));
	json_put_bool(json, "loosened", outcome->loosened);
	json_put_bool(json, "ack", outcome->ack);
	if (hook->type == HOOK_EVAL)
		put_output(json, outcome->result);
}

static void put_outcomes(struct buf *json, struct hookbox *box,
			 const struct hookbox_decision *decision)
{
	json_put_open(json, "outcomes", '[');
	for (size_t i = 0; i < decision->n_outcomes; i++) {
		const struct hookbox_hook_outcome *outcome = &decision->outcomes[i];

		json_put_open(json, NULL, '{');
		json_put_verdict(json, outcome->verdict, outcome->reason, outcome->metadata);
		put_outcome(json, box, outcome);
		json_put_open(json, "call", '{');
		json_put_result(json, outcome->result, true);
		json_put_close(json, '}');
		json_put_close(json, '}');
	}
	json_put_close(json, ']');
}

/* The outcome that the decision as a whole goes back to, or NULL. */
static const struct hookbox_hook_outcome *decisive_outcome(const struct ask *ask,
							   const struct hookbox_decision *decision)
{
	for (size_t i = 0; i < decision->n_outcomes; i++)
		if (ask->hook || decision->outcomes[i].hook == decision->hook)
			return &decision->outcomes[i];
	return NULL;
}

static int print_decision(struct cli *cli, struct hookbox *box, const struct ask *ask,
			  const struct hookbox_decision *decision)
{
	const struct hookbox_hook_outcome *decisive = decisive_outcome(ask, decision);
	_cleanup_buf_ struct buf json = {0};

	json_put_open(&json, NULL, '{');
	json_put_verdict(&json, decision->verdict, decisive ? decisive->reason : NULL,
			 decisive ? decisive->metadata : NULL);
	if (decisive)
		put_outcome(&json, box, decisive);
	if (ask->verbose)
		put_outcomes(&json, box, decision);
	json_put_close(&json, '}');
	return cli_print(cli, &json);
}

/* What the hooks wrote for the operator, and what the operator should know. */
static void pass_on(const struct hookbox_decision *decision)
{
	for (size_t i = 0; i < decision->n_outcomes; i++) {
		const struct hookbox_result *result = decision->outcomes[i].result;

		fwrite(result->err_size ? result->err : "", 1, result->err_size, stderr);
		if (result->cleanup == HOOKBOX_CLEANUP_UNKNOWN)
			cli_warn("something of hook \"%s\" may still run: %s",
				 decision->outcomes[i].hook,
				 result->cleanup_reason ? result->cleanup_reason :
							  "no reason given");
	}
}

static int decide(struct cli *cli, const struct ask *ask)
{
	struct hookbox_cancel *cancel = cli_catch_signals();
	_cleanup_box_ struct hookbox *box = cli_open_or_fail(cli);
	_cleanup_decision_ struct hookbox_decision *decision = NULL;
	_cleanup_buf_ struct buf event_text = {0};
	struct hookbox_error error = {0};
	struct hookbox_event event = {
		.size = sizeof(event),
		.type = ask->type,
		.phase = ask->phase,
		.cancel = cancel,
	};
	int status;

	if (!box)
		return CLI_FAILED;
	status = read_event(cli, cancel, &event_text);
	if (status)
		return status;
	event.json = event_text.size ? event_text.data : "";
	event.json_size = event_text.size;
	if (ask->hook ? hookbox_run(box, ask->hook, &event, &decision, &error) :
			hookbox_emit(box, &event, &decision, &error))
		return cli_fail(cli, CLI_FAILED, "%s", error.message);
	pass_on(decision);
	status = print_decision(cli, box, ask, decision);
	if (status)
		return status;
	if (cli_caught_signal())
		return CLI_SIGNAL + cli_caught_signal();
	return decision->verdict == HOOKBOX_DENY ? CLI_NO : CLI_OK;
}

enum { OPT_PHASE = CLI_OPT_OWN };

static int run_run(struct cli *cli)
{
	static const struct option options[] = {
		CLI_OPTIONS,
		{"phase", required_argument, NULL, OPT_PHASE},
		{"verbose", no_argument, NULL, 'v'},
		{0},
	};
	struct ask ask = {0};
	int option;

	while ((option = cli_option(cli, "-:v" CLI_LETTERS, options)) != -1) {
		if (option == '?')
			return cli->status;
		if (option == OPT_PHASE)
			ask.phase = optarg;
		else
			ask.verbose = true;
	}
	if (!cli_operands(cli, 1, 1, "the hook's NAME"))
		return cli->status;
	ask.hook = cli->operands.v[0];
	ask.verbose |= cli->json;
	return decide(cli, &ask);
}

static int run_emit(struct cli *cli)
{
	static const struct option options[] = {
		CLI_OPTIONS,
		{"verbose", no_argument, NULL, 'v'},
		{0},
	};
	struct ask ask = {0};
	int option;

	while ((option = cli_option(cli, "-:v" CLI_LETTERS, options)) != -1) {
		if (option == '?')
			return cli->status;
		ask.verbose = true;
	}
	if (!cli_operands(cli, 1, 2, "the event's TYPE"))
		return cli->status;
	ask.type = cli->operands.v[0];
	ask.phase = cli->operands.n > 1 ? cli->operands.v[1] : NULL;
	ask.verbose |= cli->json;
	return decide(cli, &ask);
}

#define DECISION_HELP \
	"The event is a JSON object on stdin, such as {\"request\": {...}}. The decision is\n" \
	"one line of JSON on stdout: \"allow\", \"enforced\", \"reason\", \"metadata\",\n" \
	"\"hook\", \"cause\" ... When hookbox itself fails, that line is a deny.\n\n" \
	"Exit codes: 0 allowed or enforced, 1 denied, 2 bad usage, 125 hookbox failed,\n" \
	"128+N ended by signal N.\n\n"

#define VERBOSE_HELP \
	"  -v, --verbose         print also what each hook said and how its call ended; so\n" \
	"                        does --json\n"

const struct cli_command cmd_run = {
	.name = "run",
	.summary = "Runs one hook with the event on stdin and prints its decision",
	.usage = "NAME",
	.help = DECISION_HELP
		"      --phase PHASE     the event's phase; needed if the hook listens to several\n"
		VERBOSE_HELP,
	.decides = true,
	.ends_soon = true,
	.run = run_run,
};

const struct cli_command cmd_emit = {
	.name = "emit",
	.summary = "Runs every hook that listens to the event on stdin; the first deny decides",
	.usage = "TYPE [PHASE]",
	.help = DECISION_HELP
		"TYPE is provider, tool, session or eval; eval has no PHASE.\n\n"
		VERBOSE_HELP,
	.decides = true,
	.ends_soon = true,
	.run = run_emit,
};
