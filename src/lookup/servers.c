/* SPDX-License-Identifier: ISC */
#include "lookup/servers.h"

#include "expand/items.h"

/* "host:port" or "(socket)", then the fields. */
static bool parse_server(const struct lookup_server_form *form, struct slice text, struct lookup_server *server)
{
	*server = (struct lookup_server){ .text = text };
	struct slice rest = text, address = text;
	if (text.len > 0 && text.data[0] == '(') {
		size_t end = slice_find(text, ')');
		if (end == text.len)
			return false;
		server->socket = slice_make(text.data + 1, end - 1);
		server->shown = server->socket;
		rest = slice_from(text, end + 1);
		if (rest.len > 0 && rest.data[0] != '/')
			return false;
	} else {
		address = slice_cut(&rest, '/');
		/* Give the slash back: it separates the first field. */
		rest = address.len < text.len ? slice_from(text, address.len) : (struct slice){ 0 };
		server->shown = address;
		server->host = address;
		size_t colon = slice_find_last(address, ':');
		bool bare_ipv6 = colon < address.len && slice_find(address, ':') != colon && address.data[0] != '[';
		if (colon < address.len && !bare_ipv6 && address.data[address.len - 1] != ']') {
			server->host = slice_first(address, colon);
			server->port = slice_from(address, colon + 1);
		}
	}
	size_t count = 0;
	for (; rest.len > 0 && count < form->fields; count++) {
		rest = slice_from(rest, 1);
		/* A password may hold slashes. */
		size_t len = count + 1 < form->fields ? slice_find(rest, '/') : rest.len;
		server->fields[count] = slice_first(rest, len);
		rest = slice_from(rest, len);
	}
	return count >= form->least && (server->socket.len > 0 || server->host.len > 0);
}

/* The item of the main option with that host. */
static bool find_by_host(const struct lookup_server_form *form, struct slice main_option, struct slice host, struct arena *arena,
			 struct lookup_server *server_r)
{
	char separator = '\0';
	struct slice item;
	while (expand_list_next(&main_option, &separator, arena, &item))
		if (parse_server(form, item, server_r) && (slice_equal(server_r->host, host) || slice_equal(server_r->shown, host)))
			return true;
	return false;
}

static enum expand_result parse_list(const struct lookup_server_form *form, struct slice main_option, struct slice list, bool own,
				     struct arena *arena, struct lookup_servers *servers, struct error *error)
{
	char separator = '\0';
	struct slice item;
	while (expand_list_next(&list, &separator, arena, &item)) {
		if (servers->count == LOOKUP_SERVERS_MAX)
			return lookup_fail(error, "more than %d %s servers", LOOKUP_SERVERS_MAX, form->name);
		struct lookup_server *server = &servers->items[servers->count++];
		bool name_only = own && slice_find(item, '/') == item.len;
		if (name_only && !find_by_host(form, main_option, item, arena, server))
			return lookup_defer(error, "%s server \"%.*s\" not found in %s", form->name, SLICE_ARG(item), form->option);
		if (!name_only && !parse_server(form, item, server))
			return lookup_defer(error, "incomplete %s server data: %.*s", form->name,
					    SLICE_ARG(slice_first(item, slice_find(item, '/'))));
	}
	return EXPAND_OK;
}

/* "servers=list;" at the start of the query: it must all stand in the configuration's own text. */
static enum expand_result cut_servers(struct expand_piece *pieces, size_t count, struct slice *list_r, struct error *error)
{
	static const struct slice word = SLICE("servers=");
	struct slice text = count ? pieces[0].text : (struct slice){ 0 };
	while (text.len > 0 && ascii_is_space(text.data[0]))
		text = slice_from(text, 1);
	if (!slice_starts(text, word) || pieces[0].tainted)
		return EXPAND_OK;
	size_t end = slice_find(text, ';');
	if (end == text.len)
		return lookup_defer(error, "missing ; after \"servers=\" at the start of the query, or an expansion in front of it");
	*list_r = slice_make(text.data + word.len, end - word.len);
	pieces[0].text = slice_from(text, end + 1);
	return EXPAND_OK;
}

enum expand_result lookup_find_servers(const struct lookup_server_form *form, struct slice main_option, const struct search *search,
				       const struct expand_request *request, struct expand_piece *pieces, size_t count,
				       struct arena *arena, struct lookup_servers *servers_r, struct error *error)
{
	servers_r->count = 0;
	struct slice own = lookup_option(search, request, "servers");
	enum expand_result result = own.len > 0 ? EXPAND_OK : cut_servers(pieces, count, &own, error);
	if (result == EXPAND_OK)
		result = parse_list(form, main_option, own.len > 0 ? own : main_option, own.len > 0, arena, servers_r, error);
	if (result == EXPAND_OK && servers_r->count == 0)
		return lookup_defer(error, "no %s servers defined (%s option)", form->name, form->option);
	return result;
}

struct expand_piece *lookup_copy_pieces(const struct expand_request *request, struct arena *arena, size_t *count_r)
{
	struct expand_piece whole = { .text = request->key, .value = request->key_tainted, .tainted = request->key_tainted };
	*count_r = request->piece_count ? request->piece_count : 1;
	struct expand_piece *pieces = arena_array(arena, *count_r, sizeof *pieces);
	memcpy(pieces, request->piece_count ? request->pieces : &whole, *count_r * sizeof *pieces);
	return pieces;
}

enum expand_result lookup_try_servers(const struct lookup_servers *servers, int64_t deadline, lookup_try_server *try, void *query,
				      struct error *error)
{
	for (size_t i = 0; i < servers->count; i++) {
		int64_t left = deadline - clock_now(), count = (int64_t)(servers->count - i);
		if (try(query, &servers->items[i], left <= 0 || count == 1 ? deadline : clock_after(left / count)))
			return EXPAND_OK;
		error_context(error, "%.*s", SLICE_ARG(servers->items[i].shown));
	}
	return EXPAND_DEFER;
}

int64_t lookup_connect_deadline(int64_t deadline)
{
	int64_t latest = clock_after(LOOKUP_CONNECT_SECONDS * CLOCK_SECOND);
	return deadline < latest ? deadline : latest;
}

struct slice lookup_one_line(const char *text, struct arena *arena)
{
	struct slice from = slice_first(slice_trim(slice_of(text)), 300);
	char *out = arena_alloc(arena, from.len + 1);
	size_t len = 0;
	for (size_t i = 0; i < from.len; i++) {
		char c = (unsigned char)from.data[i] < 32 || from.data[i] == 127 ? ' ' : from.data[i];
		if (c != ' ' || len == 0 || out[len - 1] != ' ')
			out[len++] = c;
	}
	return slice_make(out, len);
}
