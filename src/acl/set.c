/* SPDX-License-Identifier: ISC */
/* The ACLs of a configuration, and the values of the options that name them. */
#include "acl/private.h"

#include "base/cleanup.h"
#include "base/fatal.h"

struct acl_set *acl_set_new(struct arena *arena, const struct expand_language *language)
{
	struct acl_set *set = arena_new(arena, struct acl_set);
	set->arena = arena;
	set->language = language;
	set->tail = &set->first;
	return set;
}

struct acl *acl_set_find(const struct acl_set *set, struct slice name)
{
	struct acl *acl = set->first;
	while (acl && !slice_equal(acl->name, name))
		acl = acl->next;
	return acl;
}

struct acl *acl_set_add(struct acl_set *set, struct slice name)
{
	if (acl_set_find(set, name))
		return NULL;
	struct acl *acl = arena_new(set->arena, struct acl);
	acl->name = arena_copy(set->arena, name);
	acl->number = set->count++;
	*set->tail = acl;
	set->tail = &acl->next;
	return acl;
}

bool acl_set_uses(const struct acl_set *set, enum acl_use use)
{
	return set->uses & use;
}

void acl_note_file(const struct acl_set *set, const struct expand_program *program)
{
	const struct expand_language *language = set->language;
	struct slice prefix = expand_constant_prefix(program);
	if (language->uses_path && prefix.len && prefix.data[0] == '/')
		language->uses_path(language->owner, prefix, EXPAND_SERVICE_READ_FILE);
}

static bool report_error(const struct acl_report *report, const struct acl_line *line, size_t column, const struct error *error)
{
	report->error(report->owner, line, column, error);
	return false;
}

static bool is_word(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.data[i]) && text.data[i] != '_' && text.data[i] != '-' && text.data[i] != '.')
			return false;
	return true;
}

bool acl_find_constant(struct arena *arena, const struct acl_set *set, struct slice text, unsigned ahead, const struct acl **acl_r,
		       struct error *error)
{
	text = slice_trim(text);
	*acl_r = NULL;
	if (text.len && text.data[0] == '/')
		return true;
	*acl_r = acl_set_find(set, text);
	if (*acl_r)
		return true;
	struct acl *acl = arena_new(arena, struct acl);
	*acl_r = acl;
	if (acl_compile_text(arena, set, text, ahead, acl, error))
		return true;
	return !is_word(text) ? false :
		error_set(error, ERROR_USAGE, "there is no ACL of the name \"%.*s\", and it is not the text of one either",
			  SLICE_ARG(slice_first(text, 64)));
}

bool acl_reference_compile(struct acl_set *set, struct slice text, size_t place, const struct acl_report *report,
			   const struct acl_reference **reference_r)
{
	struct acl_reference *reference = arena_new(set->arena, struct acl_reference);
	struct error error;
	struct slice constant;
	size_t column = 0;
	reference->set = set;
	reference->line = (struct acl_line){ arena_copy(set->arena, text), place };
	if (!expand_compile(set->arena, reference->line.text, EXPAND_PLACE_ENVELOPE, set->language, &reference->program, &error,
			    &column))
		return report_error(report, &reference->line, column, &error);
	*reference_r = reference;
	acl_note_file(set, reference->program);
	if (!expand_constant(reference->program, &constant))
		return true;
	if (!acl_find_constant(set->arena, set, constant, 1, &reference->acl, &error))
		return report_error(report, &reference->line, 0, &error);
	set->uses |= reference->acl ? reference->acl->uses : 0;
	return true;
}

bool acl_text_check(struct acl_set *set, struct slice text, struct error *error)
{
	const struct acl *acl;
	struct arena scratch;
	arena_init(&scratch, 0);
	bool good = acl_find_constant(&scratch, set, text, 1, &acl, error);
	set->uses |= good && acl ? acl->uses : 0;
	arena_free(&scratch);
	return good;
}

/* ---- What cannot be used at a point ---- */

struct check {
	const struct acl_report *report;
	enum acl_point point;
	unsigned char *seen; /* by number of the ACL */
	size_t count;
	unsigned depth;
};

static bool allowed(const struct acl_item *item, enum acl_point point)
{
	struct slice constant;
	if (!(item->word->points >> point & 1))
		return false;
	if (!item->program || !expand_constant(item->program, &constant))
		return true;
	if (item->word->run == acl_control_run)
		return acl_control_allowed(constant, point);
	if (item->word->run == acl_verify_run)
		return acl_verify_allowed(constant, point);
	return true;
}

static void check_acl(struct check *check, const struct acl *acl);

static void check_item(struct check *check, const struct acl_item *item)
{
	struct error error;
	if (item->call && item->call->target) {
		check_acl(check, item->call->target);
		return;
	}
	if (allowed(item, check->point))
		return;
	bool named = item->program != NULL && item->word->points == ACL_EVERYWHERE;
	error_set(&error, ERROR_USAGE, "\"%s%s%.*s\" cannot be used in %s: when it is reached, the client gets a temporary error",
		  item->word->name, named ? " = " : "", SLICE_ARG(slice_first(named ? item->source : SLICE(""), 64)),
		  acl_point_info(check->point)->option);
	check->report->error(check->report->owner, &item->line, 0, &error);
}

static void check_acl(struct check *check, const struct acl *acl)
{
	if (acl->name.len && acl->number < check->count) {
		if (check->seen[acl->number])
			return;
		check->seen[acl->number] = 1;
	}
	if (check->depth == ACL_DEPTH_MAX)
		return;
	check->depth++;
	for (const struct acl_statement *statement = acl->first; statement; statement = statement->next)
		for (const struct acl_item *item = statement->first; item; item = item->next)
			check_item(check, item);
	check->depth--;
}

void acl_reference_check(const struct acl_reference *reference, enum acl_point point, const struct acl_report *report)
{
	_cleanup_heap_ unsigned char *seen = NULL;
	if (!reference->acl)
		return;
	seen = xcalloc(reference->set->count + 1, 1);
	struct check check = { .report = report, .point = point, .seen = seen, .count = reference->set->count };
	check_acl(&check, reference->acl);
}
