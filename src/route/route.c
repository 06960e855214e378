/* SPDX-License-Identifier: ISC */
#include "route/route.h"

enum { USER_NAME_MAX = 256 };

static enum router_verdict accept_run(const struct router *router, const struct mail_address_parts *address)
{
	(void)router;
	(void)address;
	return ROUTER_ACCEPTED;
}

const struct router_driver router_accept = { "accept", accept_run };

const struct router_driver *router_driver_find(struct slice name)
{
	static const struct router_driver *const drivers[] = { &router_accept };
	for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++)
		if (slice_equal(name, slice_of(drivers[i]->name)))
			return drivers[i];
	return NULL;
}

const char *route_outcome_text(enum route_outcome outcome)
{
	static const char *const texts[] = {
		[ROUTE_ACCEPTED] = "accepted",
		[ROUTE_UNROUTEABLE] = "Unrouteable address",
		[ROUTE_NOT_LOCAL] = "relay not permitted",
		[ROUTE_DEFERRED] = "Could not complete recipient verify",
		[ROUTE_EXPANSION_FAILED] = "Could not complete recipient verify",
	};
	return texts[outcome];
}

/* One address on its way through the chain. */
struct routing {
	const struct route_host *host;
	const struct mail_address_parts *address; /* as given */
	struct mail_address_parts lower;
	struct arena *arena;
	struct route_result *result;
	struct route_user user; /* of the router being asked */
	bool has_user;
	const struct transport *transport; /* whose options are being expanded; NULL before */
	struct expand_memory memory; /* from one string of a router to the next: $srs_recipient and the like */
};

static struct expand_value user_number(const struct routing *routing, uint32_t number)
{
	return (struct expand_value){ .text = routing->has_user ? arena_printf(routing->arena, "%u", number) : SLICE("") };
}

/* The part of the configuration that is at work. */
static struct expand_value progress_variable(const struct routing *routing, enum expand_variable variable)
{
	const struct route_result *result = routing->result;
	const struct expand_context *others = routing->host->variables;
	switch (variable) {
	case EXPAND_ROUTER_NAME:
		return (struct expand_value){ .text = result->router ? result->router->name : SLICE("") };
	case EXPAND_TRANSPORT_NAME:
		return (struct expand_value){ .text = routing->transport ? routing->transport->name : SLICE("") };
	case EXPAND_LOCAL_USER_UID:
		return user_number(routing, routing->user.uid);
	case EXPAND_LOCAL_USER_GID:
		return user_number(routing, routing->user.gid);
	case EXPAND_RETURN_PATH:
		return others->variable(others->owner, EXPAND_SENDER_ADDRESS);
	default:
		return others->variable(others->owner, variable);
	}
}

static struct expand_value address_variable(void *owner, enum expand_variable variable)
{
	const struct routing *routing = owner;
	const struct route_result *result = routing->result;
	switch (variable) {
	case EXPAND_LOCAL_PART:
	case EXPAND_ORIGINAL_LOCAL_PART: /* nothing redirects addresses: each is its own first one */
		return (struct expand_value){ result->local_part, true };
	case EXPAND_DOMAIN:
	case EXPAND_ORIGINAL_DOMAIN:
		return (struct expand_value){ result->domain, true };
	case EXPAND_LOCAL_PART_DATA:
		return result->local_part_data;
	case EXPAND_DOMAIN_DATA:
		return result->domain_data;
	case EXPAND_HOME:
		return (struct expand_value){ result->home, false };
	default:
		return progress_variable(routing, variable);
	}
}

/* The questions of lists and paths are the surroundings' own. */
static enum expand_result forward_ask(void *owner, const struct expand_request *request, struct arena *arena,
				      struct expand_answer *answer_r, struct error *error)
{
	const struct routing *routing = owner;
	const struct expand_context *others = routing->host->variables;
	return others->ask(others->owner, request, arena, answer_r, error);
}

static bool forward_named(void *owner, enum expand_family family, struct slice name, struct expand_value *value_r)
{
	const struct routing *routing = owner;
	const struct expand_context *others = routing->host->variables;
	return others->named(others->owner, family, name, value_r);
}

static struct slice forward_headers(void *owner)
{
	const struct routing *routing = owner;
	const struct expand_context *others = routing->host->variables;
	return others->headers(others->owner);
}

static enum expand_result forward_acl(void *owner, struct expand_value name, const struct expand_value *arguments, size_t count,
				      struct arena *arena, struct expand_value *text_r, struct error *error)
{
	const struct routing *routing = owner;
	const struct expand_context *others = routing->host->variables;
	return others->acl(others->owner, name, arguments, count, arena, text_r, error);
}

/* The surroundings' context, in which the address has its variables as well. */
static struct expand_context address_context(struct routing *routing)
{
	struct expand_context context = *routing->host->variables;
	context.owner = routing;
	context.variable = address_variable;
	context.ask = context.ask ? forward_ask : NULL;
	context.named = context.named ? forward_named : NULL;
	context.headers = context.headers ? forward_headers : NULL;
	context.acl = context.acl ? forward_acl : NULL;
	context.memory = &routing->memory;
	return context;
}

/* Whether a local part can be a user's name at all; what passwd(5) cannot hold is not looked up. */
static bool is_user_name(struct slice name)
{
	if (name.len == 0 || name.len > USER_NAME_MAX || name.data[0] == '-')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];
		if ((unsigned char)c <= ' ' || c == 127 || c == ':' || c == '/' || c == ',')
			return false;
	}
	return true;
}

enum precondition { MET, NOT_MET, STOP };

static enum precondition check_user(struct routing *routing, const struct router *router)
{
	struct route_result *result = routing->result;
	const struct route_host *host = routing->host;
	if (!host->lookup_user || !is_user_name(result->local_part))
		return NOT_MET;
	struct route_user user = { 0 };
	switch (host->lookup_user(host->owner, result->local_part, &user, &result->error)) {
	case ROUTE_USER_FOUND:
		break;
	case ROUTE_USER_DEFER:
		error_context(&result->error, "router %.*s: looking up the local user", SLICE_ARG(router->name));
		result->error.kind = ERROR_TEMPORARY;
		result->outcome = ROUTE_DEFERRED;
		return STOP;
	default:
		return NOT_MET;
	}
	routing->has_user = true;
	routing->user = user;
	result->local_part_data = (struct expand_value){ arena_copy(routing->arena, user.name), false };
	result->home = arena_copy(routing->arena, user.home);
	return MET;
}

/* One of the router's lists; `what` is its option. */
static enum precondition check_list(struct routing *routing, const struct router *router, const struct list *list, const char *what,
				    struct list_match *match_r)
{
	struct route_result *result = routing->result;
	const struct list_subject subject = { .local_part = routing->address->local_part, .domain = result->domain };
	const struct expand_context context = address_context(routing);
	if (list_match(list, &subject, &context, routing->arena, match_r, &result->error) == EXPAND_OK)
		return match_r->yes ? MET : NOT_MET;
	error_context(&result->error, "router %.*s: %s", SLICE_ARG(router->name), what);
	result->error.kind = ERROR_TEMPORARY;
	result->outcome = ROUTE_DEFERRED;
	return STOP;
}

/* Exim's order. What one router's preconditions set is not seen by the next. */
static enum precondition check_preconditions(struct routing *routing, const struct router *router)
{
	struct route_result *result = routing->result;
	struct list_match match;
	enum precondition met;
	result->router = router;
	result->domain_data = result->local_part_data = (struct expand_value){ 0 };
	result->home = SLICE("");
	routing->has_user = false;
	if (router->domains) {
		met = check_list(routing, router, router->domains, "domains", &match);
		if (met != MET)
			return met;
		result->domain_is_ours |= !match.anything && !match.excepted && !match.tainted;
		result->domain_data = (struct expand_value){ match.data, match.tainted };
	}
	if (router->local_parts) {
		met = check_list(routing, router, router->local_parts, "local_parts", &match);
		if (met != MET)
			return met;
		result->local_part_data = (struct expand_value){ match.data, match.tainted };
	}
	return router->check_local_user ? check_user(routing, router) : MET;
}

/* The user of the transport goes before that of the router. */
static bool choose_user(struct routing *routing, const struct router *router)
{
	struct route_result *result = routing->result;
	const struct transport *transport = router->transport;
	result->has_user = transport->has_user || routing->has_user;
	if (!result->has_user)
		return true;
	result->uid = transport->has_user ? transport->uid : routing->user.uid;
	result->gid = transport->has_group ? transport->gid : routing->user.gid;
	if (transport->has_user && !transport->has_group && !routing->has_user) {
		result->outcome = ROUTE_DEFERRED;
		return error_set(&result->error, ERROR_TEMPORARY, "transport %.*s: user is set, but no group is known for it",
				 SLICE_ARG(transport->name));
	}
	if (result->uid == 0) {
		result->outcome = ROUTE_DEFERRED;
		return error_set(&result->error, ERROR_TEMPORARY,
				 "router %.*s: deliveries as root are never made; set user in transport %.*s",
				 SLICE_ARG(router->name), SLICE_ARG(transport->name));
	}
	return true;
}

static void finish(struct routing *routing, const struct router *router)
{
	struct route_result *result = routing->result;
	const struct transport *transport = router->transport;
	const struct expand_context context = address_context(routing);
	if (!choose_user(routing, router))
		return;
	routing->transport = transport;
	switch (expand_run_path(transport->directory, &context, routing->arena, &result->directory, &result->error)) {
	case EXPAND_OK:
		result->transport = transport;
		result->outcome = ROUTE_ACCEPTED;
		return;
	case EXPAND_FORCED_FAIL:
		error_set(&result->error, ERROR_PERMANENT, "the expansion was forced to fail");
		result->outcome = ROUTE_EXPANSION_FAILED;
		break;
	case EXPAND_DEFER:
		result->outcome = ROUTE_DEFERRED;
		break;
	default:
		result->outcome = ROUTE_EXPANSION_FAILED;
	}
	error_context(&result->error, "router %.*s, transport %.*s: directory", SLICE_ARG(router->name),
		      SLICE_ARG(transport->name));
}

static void no_router(struct routing *routing)
{
	struct route_result *result = routing->result;
	result->outcome = result->domain_is_ours ? ROUTE_UNROUTEABLE : ROUTE_NOT_LOCAL;
	result->router = NULL;
	result->domain_data = result->local_part_data = (struct expand_value){ 0 };
	result->home = SLICE("");
	error_set(&result->error, ERROR_PERMANENT, "%s", route_outcome_text(result->outcome));
}

enum route_outcome route_address(const struct router *first, const struct mail_address_parts *address,
				 const struct route_host *host, struct arena *arena, struct route_result *result_r)
{
	*result_r = (struct route_result){
		.local_part = arena_copy_lower(arena, address->local_part),
		.domain = arena_copy_lower(arena, address->domain),
	};
	struct routing routing = { .host = host, .address = address, .arena = arena, .result = result_r };
	routing.lower = (struct mail_address_parts){ result_r->local_part, result_r->domain };
	for (const struct router *router = first; router; router = router->next) {
		enum precondition precondition = check_preconditions(&routing, router);
		if (precondition == STOP)
			return result_r->outcome;
		if (precondition == NOT_MET)
			continue;
		if (router->driver->run(router, &routing.lower) == ROUTER_ACCEPTED) {
			finish(&routing, router);
			return result_r->outcome;
		}
		if (!router->more)
			break;
	}
	no_router(&routing);
	return result_r->outcome;
}
