/* SPDX-License-Identifier: ISC */
/* postern rewrite: what the rewrite rules make of an address, in each place where it may stand (Exim's -brw). */
#include "cli/command.h"

#include "cli/expand_session.h"
#include "cli/expand_world.h"
#include "mail/address.h"
#include "mail/mailbox_list.h"
#include "task/task.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

static const struct { const char *label; unsigned target; } places[] = {
	{ "sender", REWRITE_SENDER }, { "from", REWRITE_FROM }, { "to", REWRITE_TO }, { "cc", REWRITE_CC },
	{ "bcc", REWRITE_BCC }, { "reply-to", REWRITE_REPLY_TO }, { "env-from", REWRITE_ENVELOPE_FROM },
	{ "env-to", REWRITE_ENVELOPE_TO },
};

struct rewriting {
	const struct conf *conf;
	struct conf_source *source; /* of the configuration: files that lists name */
	struct slice address;
	struct arena arena;
	const struct pattern_subject *subject;
	struct expand_session session;
	struct expand_world world;
	struct loop *loop;
	struct expand_context context;
	struct rewriter rewriter;
	struct error error;
	int status;
};

static struct expand_value variable(void *owner, enum expand_variable which)
{
	struct rewriting *rewriting = owner;
	const struct pattern_subject *subject = rewriting->subject;
	if (which == EXPAND_LOCAL_PART && subject)
		return (struct expand_value){ subject->local_part, true };
	if (which == EXPAND_DOMAIN && subject)
		return (struct expand_value){ subject->domain, true };
	return expand_session_variable(&rewriting->session, which);
}

static enum expand_result ask(void *owner, const struct expand_request *request, struct arena *arena,
			      struct expand_answer *answer_r, struct error *error)
{
	struct rewriting *rewriting = owner;
	return expand_session_ask(&rewriting->session, request, arena, answer_r, error);
}

static void print_problem(void *owner, const char *text)
{
	(void)owner;
	fprintf(stderr, "%s\n", text);
}

static int cannot_tell(struct rewriting *rewriting)
{
	fprintf(stderr, "postern rewrite: %s\n", rewriting->error.text);
	return COMMAND_TEMPORARY;
}

static int print_place(struct rewriting *rewriting, const char *label, unsigned target, struct slice item,
		       const struct mail_address_item *mailbox, struct slice address)
{
	struct rewrite_result result;
	struct slice text = item;
	if (rewrite_address(&rewriting->rewriter, target, address, &result, &rewriting->error) != EXPAND_OK)
		return cannot_tell(rewriting);
	size_t before = (size_t)(mailbox->address.data - item.data);
	if (target & REWRITE_ENVELOPE)
		text = result.address;
	else if (result.whole.data)
		text = result.whole;
	else if (result.changed)
		text = arena_printf(&rewriting->arena, "%.*s%.*s%.*s", SLICE_ARG(slice_first(item, before)),
				    SLICE_ARG(result.address), SLICE_ARG(slice_from(item, before + mailbox->address.len)));
	printf("%8s: %.*s\n", label, SLICE_ARG(text));
	return COMMAND_DONE;
}

static int print_all(struct rewriting *rewriting, struct slice item)
{
	struct mail_address_item mailbox = { item, item };
	struct mail_address parsed;
	struct slice smtp;
	size_t at = 0;
	unsigned targets = rewrite_targets(rewriting->conf->rewrite);
	if (!targets) {
		printf("No rewrite rules are defined\n");
		return COMMAND_DONE;
	}
	/* The other lines are about the address as it was given, as with Exim. */
	if (targets & REWRITE_SMTP) {
		if (rewrite_smtp(&rewriting->rewriter, item, &smtp, &rewriting->error) != EXPAND_OK)
			return cannot_tell(rewriting);
		if (!slice_equal(smtp, item))
			printf("    SMTP: %.*s\n", SLICE_ARG(smtp.len ? smtp : SLICE("<>")));
	}
	if (targets == REWRITE_SMTP)
		return COMMAND_DONE;
	if (!mail_address_item_next(item, &at, &mailbox) || mail_address_item_next(item, &at, &(struct mail_address_item){ 0 }) ||
	    !mail_address_parse(mailbox.address, &rewriting->arena, MAIL_PATH_UNQUALIFIED | MAIL_PATH_LONG_LOCAL | MAIL_PATH_UTF8,
				&parsed, &rewriting->error)) {
		fprintf(stderr, "Syntax error in %.*s\n%s\n", SLICE_ARG(item),
			*rewriting->error.text ? rewriting->error.text : "expected one address");
		return COMMAND_NO;
	}
	if (!parsed.domain.len) {
		/* An address without a domain is shown with the one that it gets. */
		parsed.domain = rewriting->conf->main.qualify_recipient;
		struct slice full = mail_address_format(&parsed, &rewriting->arena);
		size_t before = (size_t)(mailbox.address.data - item.data), behind = before + mailbox.address.len;
		item = arena_printf(&rewriting->arena, "%.*s%.*s%.*s", SLICE_ARG(slice_first(item, before)), SLICE_ARG(full),
				    SLICE_ARG(slice_from(item, behind)));
		mailbox.address = slice_first(slice_from(item, before), full.len);
	}
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		int status = print_place(rewriting, places[i].label, places[i].target, item, &mailbox, mailbox.address);
		if (status != COMMAND_DONE)
			return status;
	}
	return COMMAND_DONE;
}

/* On a task, for lookups wait. */
static void rewrite_task(void *arg)
{
	struct rewriting *rewriting = arg;
	expand_world_open(&rewriting->world, rewriting->loop, rewriting->conf, rewriting->source);
	rewriting->session.world = &rewriting->world;
	expand_world_begin(&rewriting->world, &rewriting->arena);
	rewriting->context.language = &rewriting->world.language;
	rewriting->status = print_all(rewriting, slice_trim(rewriting->address));
	rewriting->session.world = NULL;
	expand_world_close(&rewriting->world);
}

static int rewrite_with(const struct conf *conf, struct conf_source *source, const char *address)
{
	struct rewriting rewriting = { .conf = conf, .source = source, .address = slice_of(address), .status = COMMAND_TEMPORARY };
	arena_init(&rewriting.arena, 0);
	expand_session_init(&rewriting.session, conf);
	rewriting.context = (struct expand_context){ .owner = &rewriting, .variable = variable, .ask = ask };
	rewriting.rewriter = (struct rewriter){
		.rules = conf->rewrite, .context = &rewriting.context, .subject = &rewriting.subject,
		.qualify_recipient = conf->main.qualify_recipient, .utf8 = true, .arena = &rewriting.arena,
		.problem = print_problem,
	};
	rewriting.loop = loop_new();
	task_spawn(rewriting.loop, rewrite_task, &rewriting, "rewrite");
	loop_run(rewriting.loop);
	loop_free(rewriting.loop);
	expand_session_free(&rewriting.session);
	arena_free(&rewriting.arena);
	return rewriting.status;
}

static int rewrite(const struct command_configuration *configuration, const char *address)
{
	struct conf_problems problems;
	conf_problems_init(&problems);
	struct conf_source *source = NULL;
	struct conf *conf = command_read_configuration(configuration, &problems, &source);
	int status = COMMAND_USAGE;
	if (conf)
		status = rewrite_with(conf, source, address);
	else
		command_print_problems(&problems);
	conf_unref(&conf);
	conf_source_free(source);
	conf_problems_free(&problems);
	return status;
}

static int run(int argc, char **argv)
{
	static const struct option none[] = { { 0 } };
	struct command_configuration configuration = { 0 };
	struct error error;
	int option;
	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "c:D:", none, NULL)) != -1) {
		if (option == 'c')
			configuration.file = optarg;
		else if (option == 'D' && !command_add_macro(&configuration, optarg, &error))
			return command_usage_error(&command_rewrite, "%s", error.text);
		else if (option == '?')
			return command_usage_error(&command_rewrite, "unknown option or missing value: %s", argv[optind - 1]);
	}
	if (optind + 1 != argc)
		return command_usage_error(&command_rewrite, "expected one address");
	return rewrite(&configuration, argv[optind]);
}

const struct command command_rewrite = {
	.name = "rewrite",
	.run = run,
	.summary = "show what the rewrite rules make of an address",
	.usage = "[-c FILE] [-D NAME=text] ADDRESS",
	.help = "  -c FILE       the configuration; otherwise $POSTERN_CONF, or /etc/postern/postern.conf\n"
		"  -D NAME=text  define a macro, whatever the file defines\n"
		"One line for each place of a message in which the address may stand; ADDRESS may have a phrase and comments.\n",
};
