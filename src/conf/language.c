/* SPDX-License-Identifier: ISC */
/*
 * What expansions of the configuration refer to: its named lists. A list whose text is constant is compiled once; one with
 * variables cannot be used yet.
 */
#include "conf/parse.h"

static const enum list_kind kinds[] = {
	[EXPAND_LIST_HOST] = LIST_HOST, [EXPAND_LIST_DOMAIN] = LIST_DOMAIN, [EXPAND_LIST_ADDRESS] = LIST_ADDRESS,
	[EXPAND_LIST_LOCAL_PART] = LIST_LOCAL_PART, [EXPAND_LIST_STRING] = LIST_STRING,
};

static bool compile_list(const struct expand_language *language, struct arena *arena, enum expand_list kind, struct slice text,
			 enum expand_place place, const struct list **list_r, struct error *error)
{
	const struct conf *conf = language->owner;
	(void)place;
	if (!conf->list_scope)
		return error_set(error, ERROR_USAGE, "a list cannot be compiled here");
	return list_compile(arena, kinds[kind], text, conf->list_scope, list_r, error);
}

/* An address is split at its last "@" (RFC 5321 §4.1.2: a local part may hold others). */
static bool make_subject(enum list_kind kind, struct slice text, struct net_address *host, struct list_subject *subject)
{
	size_t at = slice_find_last(text, '@');
	switch (kind) {
	case LIST_HOST:
		subject->host = text.len ? host : NULL;
		return text.len == 0 || net_address_parse(text, host);
	case LIST_DOMAIN: subject->domain = text; return true;
	case LIST_LOCAL_PART: subject->local_part = text; return true;
	case LIST_ADDRESS:
		subject->local_part = slice_first(text, at);
		subject->domain = at < text.len ? slice_from(text, at + 1) : (struct slice){ 0 };
		return true;
	default: subject->string = text; return true;
	}
}

static enum expand_result match_list(const struct list *list, const struct expand_context *context, struct expand_value subject,
				     bool caseless, struct arena *arena, bool *yes_r, struct expand_value *data_r, struct error *error)
{
	struct list_subject parts = { 0 };
	struct list_match match = { 0 };
	struct net_address host;
	(void)context;
	(void)caseless;
	(void)arena;
	if (!make_subject(list_kind(list), subject.text, &host, &parts)) {
		error_set(error, ERROR_PERMANENT, "\"%.*s\" is not an IP address", SLICE_ARG(slice_first(subject.text, 64)));
		return EXPAND_FAIL;
	}
	*yes_r = list_match(list, &parts, &match);
	*data_r = (struct expand_value){ match.data, false };
	return EXPAND_OK;
}

void conf_prepare_language(struct conf_parser *parser)
{
	struct conf *conf = parser->conf;
	conf->list_scope = &parser->scope;
	conf->language.owner = conf;
	conf->language.list_compile = compile_list;
	conf->language.list_match = match_list;
}
