/* SPDX-License-Identifier: ISC */
/* postern retry: which retry rule holds for an address and an error (Exim's -brt). */
#include "cli/command.h"

#include <getopt.h>
#include <stdio.h>

struct question {
	struct command_configuration configuration;
	const char *sender; /* -f; NULL: rules with senders= do not match */
	const char *address, *domain, *error;
};

static struct expand_value no_variable(void *owner, enum expand_variable which)
{
	(void)owner;
	(void)which;
	return (struct expand_value){ 0 };
}

/* A domain alone, or an address; the second of two names is tried when the first does not match a rule. */
static void set_names(struct retry_failure *failure, const struct question *question)
{
	struct slice text = slice_of(question->address);
	size_t at = slice_find_last(text, '@');
	failure->domain = text;
	if (at < text.len) {
		failure->local_part = slice_first(text, at);
		failure->domain = slice_from(text, at + 1);
	}
	if (question->domain && *question->domain) {
		failure->host = failure->domain;
		failure->domain = slice_of(question->domain);
	}
}

static int print_rule(const struct conf *conf, const struct question *question)
{
	struct arena arena;
	struct error error = { 0 };
	struct slice sender = slice_of(question->sender);
	size_t at = slice_find_last(sender, '@');
	struct pattern_subject from = { slice_first(sender, at), slice_from(sender, at + 1), sender, true };
	struct retry_failure failure = { .sender = question->sender ? &from : NULL, .error = { .unread = -1 } };
	struct expand_context context = { .variable = no_variable, .language = &conf->language };
	const struct retry_rule *rule = NULL;
	struct buf out;
	int status = COMMAND_USAGE;
	set_names(&failure, question);
	arena_init(&arena, 0);
	buf_init(&out, 1 << 20);
	if (question->error && !retry_error_parse(slice_of(question->error), &failure.error, &error)) {
		fprintf(stderr, "postern retry: %s\n", error.text);
	} else if (retry_find(conf->retry, &failure, &context, &arena, &rule, &error) != EXPAND_OK) {
		fprintf(stderr, "postern retry: %s\n", error.text);
		status = COMMAND_TEMPORARY;
	} else if (!rule) {
		printf("No retry information found\n");
		status = COMMAND_NO;
	} else {
		retry_rule_format(rule, &out);
		printf("Retry rule: %.*s\n", SLICE_ARG(buf_slice(&out)));
		status = COMMAND_DONE;
	}
	buf_free(&out);
	arena_free(&arena);
	return status;
}

static int run(int argc, char **argv)
{
	static const struct option none[] = { { 0 } };
	struct question question = { 0 };
	struct conf_problems problems;
	struct error error;
	int option;
	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "c:D:f:", none, NULL)) != -1) {
		if (option == 'c')
			question.configuration.file = optarg;
		else if (option == 'f')
			question.sender = optarg;
		else if (option == 'D' && !command_add_macro(&question.configuration, optarg, &error))
			return command_usage_error(&command_retry, "%s", error.text);
		else if (option == '?')
			return command_usage_error(&command_retry, "unknown option or missing value: %s", argv[optind - 1]);
	}
	int names = argc - optind;
	if (names < 1 || names > 3)
		return command_usage_error(&command_retry, "expected an address or a domain");
	question.address = argv[optind];
	/* As Exim reads them: of two arguments the second is a domain when it has a dot, otherwise an error. */
	if (names == 3 || (names == 2 && slice_find(slice_of(argv[optind + 1]), '.') < strlen(argv[optind + 1])))
		question.domain = argv[optind + 1];
	if (names == 3 || (names == 2 && !question.domain))
		question.error = argv[argc - 1];
	conf_problems_init(&problems);
	struct conf *conf = command_read_configuration(&question.configuration, &problems, NULL);
	int status = conf ? print_rule(conf, &question) : COMMAND_USAGE;
	if (!conf)
		command_print_problems(&problems);
	conf_unref(&conf);
	conf_problems_free(&problems);
	return status;
}

const struct command command_retry = {
	.name = "retry",
	.run = run,
	.summary = "show which retry rule holds for an address",
	.usage = "[-c FILE] [-D NAME=text] [-f SENDER] ADDRESS [DOMAIN] [ERROR]",
	.help = "  -c FILE       the configuration; otherwise $POSTERN_CONF, or /etc/postern/postern.conf\n"
		"  -D NAME=text  define a macro, whatever the file defines\n"
		"  -f SENDER     the message's sender, \"\" for a bounce; without it, rules with senders= hold for nothing\n"
		"ADDRESS may be a domain, or the name of a host followed by the DOMAIN that led to it; ERROR is one of the names that\n"
		"rules have in their second field, such as rcpt_452 or refused_MX.\n",
};
