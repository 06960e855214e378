/* SPDX-License-Identifier: ISC */
#include "route/rewrite.h"

#include "mail/address.h"
#include "mail/mailbox_list.h"
#include "route/rewrite_word.h"
#include "route/rule.h"

/* ---- Rules ---- */

static const struct { char letter; unsigned flags; } letters[] = {
	{ 'E', REWRITE_ENVELOPE }, { 'F', REWRITE_ENVELOPE_FROM }, { 'T', REWRITE_ENVELOPE_TO }, { 'b', REWRITE_BCC },
	{ 'c', REWRITE_CC }, { 'f', REWRITE_FROM }, { 'h', REWRITE_HEADERS }, { 'r', REWRITE_REPLY_TO },
	{ 's', REWRITE_SENDER }, { 't', REWRITE_TO }, { 'S', REWRITE_SMTP }, { 'Q', REWRITE_QUALIFY }, { 'q', REWRITE_QUIT },
	{ 'R', REWRITE_REPEAT }, { 'w', REWRITE_WHOLE },
};

static bool read_flags(struct rule_reader *reader, unsigned *flags_r)
{
	for (char c; (c = rule_peek(reader)); reader->rest = slice_from(reader->rest, 1)) {
		size_t i = 0;
		while (i < sizeof letters / sizeof *letters && letters[i].letter != c)
			i++;
		if (i == sizeof letters / sizeof *letters)
			return error_set(reader->error, ERROR_USAGE,
					 "unknown flag \"%c\"; expected letters of EFTbcfhrstSQqRw (a replacement with blanks in it "
					 "must be quoted)", ascii_is_print(c) ? c : '?');
		*flags_r |= letters[i].flags;
	}
	if (!(*flags_r & (REWRITE_ENVELOPE | REWRITE_HEADERS | REWRITE_SMTP)))
		*flags_r |= REWRITE_ENVELOPE | REWRITE_HEADERS;
	return true;
}

static bool read_replacement(struct rule_reader *reader, const struct pattern_scope *scope, struct rewrite_rule *rule,
			     size_t *column_r)
{
	struct slice word = { 0 };
	size_t column = 1;
	rule_peek(reader);
	*column_r = rule_column(reader);
	if (!rule_word(reader, &word))
		return false;
	if (!reader->raw.len)
		return error_set(reader->error, ERROR_USAGE, "the replacement is missing after the pattern");
	if (slice_equal(word, SLICE("*")))
		return true;
	if (expand_compile(reader->arena, word, EXPAND_PLACE_ENVELOPE, scope->language, &rule->replacement, reader->error, &column))
		return true;
	*column_r = rule_word_column(reader) + rule_word_offset(reader, column - 1);
	return false;
}

bool rewrite_compile(struct arena *arena, struct slice line, const struct pattern_scope *scope, struct rewrite_rule **rule_r,
		     struct error *error, size_t *column_r)
{
	struct rewrite_rule *rule = arena_new(arena, struct rewrite_rule);
	struct rule_reader reader;
	struct slice word;
	size_t ignored, *column = column_r ? column_r : &ignored;
	*rule_r = rule;
	*column = 1;
	rule_start(&reader, line, arena, error);
	if (!rule_word(&reader, &word) || !pattern_compile(arena, word, PATTERN_CASEFUL, scope, &rule->pattern, error) ||
	    !read_replacement(&reader, scope, rule, column))
		return false;
	bool good = read_flags(&reader, &rule->flags);
	if (!good)
		*column = rule_column(&reader);
	if (good && rule->flags & REWRITE_SMTP && !pattern_is_regex(rule->pattern)) {
		*column = 1;
		return error_set(error, ERROR_USAGE, "a rule with the flag S needs a regular expression as its pattern");
	}
	return good;
}

unsigned rewrite_targets(const struct rewrite_rule *first)
{
	unsigned all = 0;
	for (; first; first = first->next)
		all |= first->flags;
	return all & (REWRITE_ENVELOPE | REWRITE_HEADERS | REWRITE_SMTP);
}

/* ---- Addresses ---- */

static void tell(const struct rewriter *rewriter, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(const struct rewriter *rewriter, const char *format, ...)
{
	char text[1000];
	va_list args;
	if (!rewriter->problem)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	rewriter->problem(rewriter->owner, text);
}

/* Matches one rule and evaluates its replacement: EXPAND_OK with *yes_r, and *text_r unless the replacement is "*". */
static enum expand_result apply(const struct rewriter *rewriter, const struct rewrite_rule *rule,
				const struct pattern_subject *subject, bool *yes_r, struct slice *text_r, struct error *error)
{
	struct expand_value numbers[EXPAND_NUMBERS], value;
	struct expand_context context = *rewriter->context;
	enum expand_result result = pattern_match(rule->pattern, subject, &context, rewriter->arena, yes_r, numbers, error);
	if (result != EXPAND_OK || !*yes_r || !rule->replacement)
		return result;
	context.numbers = numbers;
	*rewriter->subject = subject;
	result = expand_run(rule->replacement, &context, rewriter->arena, &value, error);
	*rewriter->subject = NULL;
	if (result == EXPAND_OK)
		*text_r = slice_trim(value.text);
	return result;
}

static bool split(struct slice address, struct pattern_subject *subject_r)
{
	size_t at = slice_find_last(address, '@');
	*subject_r = (struct pattern_subject){ slice_first(address, at), slice_from(address, at + 1), address, true };
	return at > 0 && at + 1 < address.len;
}

/* The working part of what a replacement gave, as on the wire. False when it is no address; the caller is told. */
static bool take_replacement(const struct rewriter *rewriter, const struct rewrite_rule *rule, struct slice old, struct slice text,
			     struct mail_address_item *mailbox_r, struct slice *address_r)
{
	unsigned flags = MAIL_PATH_UNQUALIFIED | MAIL_PATH_LONG_LOCAL | (rewriter->utf8 ? MAIL_PATH_UTF8 : 0);
	struct mail_address parsed;
	struct mail_address_item another;
	struct error error = { 0 };
	size_t at = 0;
	if (!mail_address_item_next(text, &at, mailbox_r)) {
		tell(rewriter, "Rewrite of %.*s yielded an empty address", SLICE_ARG(old));
		return false;
	}
	if (mail_address_item_next(text, &at, &another))
		error_set(&error, ERROR_PERMANENT, "more than one address");
	else
		mail_address_parse(mailbox_r->address, rewriter->arena, flags, &parsed, &error);
	if (error.kind != ERROR_NONE) {
		tell(rewriter, "Rewrite of %.*s yielded unparseable address: %s in address %.*s", SLICE_ARG(old), error.text,
		     SLICE_ARG(slice_first(text, 300)));
		return false;
	}
	if (!parsed.domain.len && !(rule->flags & REWRITE_QUALIFY)) {
		tell(rewriter, "Rewrite of %.*s yielded unqualified address \"%.*s\"", SLICE_ARG(old), SLICE_ARG(slice_first(text, 300)));
		return false;
	}
	if (!parsed.domain.len)
		parsed.domain = rewriter->qualify_recipient;
	*address_r = mail_address_format(&parsed, rewriter->arena);
	return true;
}

/* The item that a rule with w made, brought up to date by a later rule. */
static struct slice replace_in_whole(struct arena *arena, struct slice whole, struct slice address)
{
	struct mail_address_item mailbox;
	size_t at = 0;
	if (!mail_address_item_next(whole, &at, &mailbox))
		return address;
	size_t before = (size_t)(mailbox.address.data - whole.data);
	return arena_printf(arena, "%.*s%.*s%.*s", SLICE_ARG(slice_first(whole, before)), SLICE_ARG(address),
			    SLICE_ARG(slice_from(whole, before + mailbox.address.len)));
}

static void take_result(const struct rewriter *rewriter, const struct rewrite_rule *rule, unsigned target,
		   const struct mail_address_item *mailbox, struct slice address, struct rewrite_result *result)
{
	bool header = target & REWRITE_HEADERS;
	if (rule->flags & REWRITE_WHOLE && header) {
		result->whole = rewrite_encode_words(rewriter->arena, mailbox);
		if (!mail_address_item_bracketed(mailbox))
			result->whole = replace_in_whole(rewriter->arena, result->whole, address);
	} else if (result->whole.data) {
		result->whole = replace_in_whole(rewriter->arena, result->whole, address);
	}
	result->changed = result->changed || result->whole.data || !slice_equal(address, result->address);
	result->address = address;
}

enum expand_result rewrite_address(const struct rewriter *rewriter, unsigned target, struct slice address,
				   struct rewrite_result *result_r, struct error *error)
{
	unsigned repeats = 0;
	struct pattern_subject subject;
	*result_r = (struct rewrite_result){ .address = address };
	const struct rewrite_rule *rule = split(address, &subject) ? rewriter->rules : NULL;
	while (rule) {
		struct slice text = { 0 }, fresh = { 0 };
		struct mail_address_item mailbox;
		bool yes = false;
		enum expand_result result = EXPAND_OK;
		split(result_r->address, &subject);
		if (rule->flags & target)
			result = apply(rewriter, rule, &subject, &yes, &text, error);
		if (result != EXPAND_OK && result != EXPAND_FORCED_FAIL)
			return result;
		if (yes && result == EXPAND_OK &&
		    (!rule->replacement || !take_replacement(rewriter, rule, result_r->address, text, &mailbox, &fresh)))
			break;
		if (yes && result == EXPAND_OK)
			take_result(rewriter, rule, target, &mailbox, fresh, result_r);
		bool again = yes && result == EXPAND_OK && rule->flags & REWRITE_REPEAT;
		if (again && repeats++ < REWRITE_REPEATS)
			continue;
		if (again)
			tell(rewriter, "rewrite rule repeat ignored after %d times", REWRITE_REPEATS);
		/* With R as well, q holds once the rule does not match any more. */
		if (rule->flags & REWRITE_QUIT && (yes || repeats))
			break;
		repeats = 0;
		rule = rule->next;
	}
	return EXPAND_OK;
}

enum expand_result rewrite_smtp(const struct rewriter *rewriter, struct slice argument, struct slice *result_r,
				struct error *error)
{
	unsigned repeats = 0;
	*result_r = argument;
	for (const struct rewrite_rule *rule = rewriter->rules; rule;) {
		struct pattern_subject subject = { .whole = *result_r, .tainted = true };
		struct slice text = { 0 };
		bool yes = false;
		enum expand_result result = EXPAND_OK;
		if (rule->flags & REWRITE_SMTP)
			result = apply(rewriter, rule, &subject, &yes, &text, error);
		if (result != EXPAND_OK && result != EXPAND_FORCED_FAIL)
			return result;
		if (yes && !rule->replacement)
			break;
		if (yes && result == EXPAND_OK)
			*result_r = text;
		if (yes && result == EXPAND_OK && rule->flags & REWRITE_REPEAT && repeats++ < REWRITE_REPEATS)
			continue;
		if (rule->flags & REWRITE_QUIT && (yes || repeats))
			break;
		repeats = 0;
		rule = rule->next;
	}
	return EXPAND_OK;
}
