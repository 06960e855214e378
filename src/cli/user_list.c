/* SPDX-License-Identifier: ISC */
/* What `postern user` lists. Times are UTC, as "2026-11-22T10:00:00Z". */
#include "cli/user_command.h"

#include "cli/json.h"

#include <stdio.h>
#include <time.h>

enum { OUT_MAX = 64 << 20 };

struct listing {
	struct buf out;
	bool json, fits, first;
};

static void put_time(struct buf *out, int64_t when, bool *fits)
{
	struct tm tm;
	char text[32];
	time_t seconds = (time_t)when;
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm) ? &tm : &(struct tm){ .tm_mday = 1 });
	*fits = *fits && buf_append(out, slice_of(text));
}

static void put_json_text(struct listing *list, const char *name, struct slice text, bool more)
{
	list->fits = list->fits && json_name(&list->out, name) && json_string(&list->out, text) &&
		     (!more || buf_append_byte(&list->out, ','));
}

static void put_json_time(struct listing *list, const char *name, int64_t when, bool more)
{
	list->fits = list->fits && json_name(&list->out, name) && buf_append_byte(&list->out, '"');
	put_time(&list->out, when, &list->fits);
	list->fits = list->fits && buf_printf(&list->out, more ? "\"," : "\"");
}

static void begin_item(struct listing *list)
{
	if (list->json)
		list->fits = list->fits && buf_printf(&list->out, list->first ? "\n{" : ",\n{");
	list->first = false;
}

static bool put_user(void *owner, const struct users_user *user)
{
	struct listing *list = owner;
	const char *scram[] = { "none", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1 SCRAM-SHA-256" };
	unsigned verifiers = (user->verifier[AUTH_SHA1] ? 1u : 0) + (user->verifier[AUTH_SHA256] ? 2u : 0);
	begin_item(list);
	if (list->json) {
		put_json_text(list, "name", user->name, true);
		put_json_text(list, "method", slice_of(password_method(user->hash)), true);
		list->fits = list->fits &&
			     buf_printf(&list->out, "\"scram_sha1\":%s,\"scram_sha256\":%s,\"app_passwords\":%zu,\"disabled\":%s,",
					user->verifier[AUTH_SHA1] ? "true" : "false", user->verifier[AUTH_SHA256] ? "true" : "false",
					user->app_password_count, user->disabled ? "true" : "false");
		put_json_time(list, "created", user->created, true);
		put_json_time(list, "changed", user->changed, false);
		list->fits = list->fits && buf_append_byte(&list->out, '}');
		return list->fits;
	}
	list->fits = list->fits && buf_printf(&list->out, "%-40.*s %-12s %-25s %3zu  ", SLICE_ARG(user->name), password_method(user->hash),
					      scram[verifiers], user->app_password_count);
	put_time(&list->out, user->changed, &list->fits);
	list->fits = list->fits && buf_printf(&list->out, "%s\n", user->disabled ? "  disabled" : "");
	return list->fits;
}

static void begin(struct listing *list, bool json, const char *head)
{
	*list = (struct listing){ .json = json, .fits = true, .first = true };
	buf_init(&list->out, OUT_MAX);
	list->fits = buf_printf(&list->out, "%s", json ? "[" : head);
}

static bool print(struct listing *list, bool good, struct error *error)
{
	if (list->json)
		list->fits = list->fits && buf_printf(&list->out, list->first ? "]\n" : "\n]\n");
	if (good && !list->fits)
		good = error_set(error, ERROR_PERMANENT, "the list has more than %d MiB", OUT_MAX >> 20);
	if (good && (fwrite(buf_slice(&list->out).data, 1, buf_len(&list->out), stdout) != buf_len(&list->out) || fflush(stdout) != 0))
		good = error_set(error, ERROR_TEMPORARY, "the list cannot be written to standard output");
	buf_free(&list->out);
	return good;
}

bool user_list(struct users_database *database, bool json, struct error *error)
{
	char head[160];
	struct listing list;
	snprintf(head, sizeof head, "%-40s %-12s %-25s %3s  %s\n", "USER", "HASH", "SCRAM", "APP", "PASSWORD SET");
	begin(&list, json, head);
	return print(&list, users_each(database, put_user, &list, error), error);
}

static void put_app_password(struct listing *list, const struct users_app_password *item)
{
	begin_item(list);
	if (list->json) {
		put_json_text(list, "name", item->name, true);
		put_json_text(list, "service", item->service, true);
		put_json_time(list, "created", item->created, false);
		list->fits = list->fits && buf_append_byte(&list->out, '}');
		return;
	}
	list->fits = list->fits && buf_printf(&list->out, "%-40.*s %-12.*s ", SLICE_ARG(item->name),
					      SLICE_ARG(item->service.len ? item->service : SLICE("any")));
	put_time(&list->out, item->created, &list->fits);
	list->fits = list->fits && buf_append_byte(&list->out, '\n');
}

bool user_list_app_passwords(struct users_database *database, struct slice name, bool json, struct arena *arena, struct error *error)
{
	struct users_app_password *items;
	struct users_user user;
	struct listing list;
	size_t count = 0;
	bool found = false;
	char head[160];
	if (!users_find(database, name, arena, &user, &found, error) || !users_app_passwords(database, name, arena, &items, &count, error))
		return false;
	if (!found)
		return error_set(error, ERROR_USAGE, "there is no user %.*s", SLICE_ARG(name));
	snprintf(head, sizeof head, "%-40s %-12s %s\n", "NAME", "SERVICE", "CREATED");
	begin(&list, json, head);
	for (size_t i = 0; i < count; i++)
		put_app_password(&list, &items[i]);
	return print(&list, true, error);
}
