/* SPDX-License-Identifier: ISC */
#include "route/route.h"

#include "base/test.h"

struct world {
	struct arena arena;
	struct transport virtual_mail, home_mail;
	struct router virtual, local;
	struct route_host host;
	unsigned lookups;
};

static enum route_user_result lookup_user(void *owner, struct slice name, struct route_user *user_r, struct error *error)
{
	struct world *world = owner;
	world->lookups++;
	if (slice_equal(name, SLICE("carol"))) {
		*user_r = (struct route_user){ SLICE("carol"), SLICE("/home/carol"), 1001, 1002 };
		return ROUTE_USER_FOUND;
	}
	if (slice_equal(name, SLICE("root"))) {
		*user_r = (struct route_user){ SLICE("root"), SLICE("/root"), 0, 0 };
		return ROUTE_USER_FOUND;
	}
	if (slice_equal(name, SLICE("slow"))) {
		error_set(error, ERROR_TEMPORARY, "the directory server is down");
		return ROUTE_USER_DEFER;
	}
	return ROUTE_USER_UNKNOWN;
}

static struct expand_value variable(void *owner, enum expand_variable which)
{
	(void)owner;
	if (which == EXPAND_PRIMARY_HOSTNAME)
		return (struct expand_value){ SLICE("mx.example"), false };
	return (struct expand_value){ SLICE(""), false };
}

static const struct expand_context variables = { .variable = variable, .owner = NULL };
static const struct expand_language language;
static const struct list_scope scope = { .language = &language, .place = EXPAND_PLACE_DELIVERY };

static const struct list *list(struct world *world, enum list_kind kind, const char *text)
{
	const struct list *compiled = NULL;
	struct error error;
	assert_true(list_compile(&world->arena, kind, slice_of(text), &scope, &compiled, &error));
	return compiled;
}

static const struct expand_program *program(struct world *world, const char *text)
{
	const struct expand_program *compiled = NULL;
	struct error error;
	assert_true(expand_compile(&world->arena, slice_of(text), EXPAND_PLACE_DELIVERY, NULL, &compiled, &error, NULL));
	return compiled;
}

/* virtual users in one domain by a list, then system users in both domains. */
static int setup(void **state)
{
	struct world *world = calloc(1, sizeof *world);
	arena_init(&world->arena, 0);
	world->virtual_mail = (struct transport){ .name = SLICE("virtual_mail"), .maildir_format = true, .has_user = true,
						  .uid = 500, .has_group = true, .gid = 501,
						  .directory = program(world, "/mail/$domain_data/$local_part_data/") };
	world->home_mail = (struct transport){ .name = SLICE("home_mail"), .maildir_format = true,
					       .directory = program(world, "$home/Maildir") };
	world->virtual = (struct router){ SLICE("virtual"), &router_accept, list(world, LIST_DOMAIN, "Virtual.example"),
					  list(world, LIST_LOCAL_PART, "alice : bob"), false, &world->virtual_mail, .more = true,
					  .next = &world->local };
	world->local = (struct router){ SLICE("local"), &router_accept,
					list(world, LIST_DOMAIN, "virtual.example : local.example"), NULL, true,
					&world->home_mail, .more = true };
	world->host = (struct route_host){ world, lookup_user, &variables };
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	arena_free(&world->arena);
	free(world);
	return 0;
}

static struct route_result routed(struct world *world, const char *local_part, const char *domain)
{
	struct route_result result;
	struct mail_address_parts address = { slice_of(local_part), slice_of(domain) };
	enum route_outcome outcome = route_address(&world->virtual, &address, &world->host, &world->arena, &result);
	assert_int_equal(outcome, result.outcome);
	if (outcome != ROUTE_ACCEPTED)
		assert_true(result.error.text[0]);
	return result;
}

static void test_virtual_user_gets_the_configurations_spelling(void **state)
{
	struct route_result result = routed(*state, "ALICE", "VIRTUAL.Example");
	assert_int_equal(result.outcome, ROUTE_ACCEPTED);
	assert_slice(result.directory.text, "/mail/Virtual.example/alice");
	assert_slice(result.transport->name, "virtual_mail");
	assert_slice(result.router->name, "virtual");
	assert_slice(result.local_part, "alice");
	assert_slice(result.domain, "virtual.example");
	assert_true(result.has_user);
	assert_int_equal(result.uid, 500);
	assert_int_equal(result.gid, 501);
}

static void test_local_user_delivers_as_that_user(void **state)
{
	struct route_result result = routed(*state, "Carol", "local.example");
	assert_int_equal(result.outcome, ROUTE_ACCEPTED);
	assert_slice(result.directory.text, "/home/carol/Maildir");
	assert_slice(result.local_part_data.text, "carol");
	assert_slice(result.home, "/home/carol");
	assert_int_equal(result.uid, 1001);
	assert_int_equal(result.gid, 1002);
}

static void test_failed_precondition_asks_the_next_router(void **state)
{
	struct world *world = *state;
	struct route_result result;
	world->virtual.more = false; /* counts only after a decline */
	result = routed(world, "carol", "virtual.example");
	assert_int_equal(result.outcome, ROUTE_ACCEPTED);
	assert_slice(result.router->name, "local");
	assert_slice(result.domain_data.text, "virtual.example");
}

static void test_own_domain_without_router_is_unrouteable(void **state)
{
	struct route_result result = routed(*state, "nobody", "local.example");
	assert_int_equal(result.outcome, ROUTE_UNROUTEABLE);
	assert_string_equal(route_outcome_text(result.outcome), "Unrouteable address");
	assert_null(result.router);
	assert_slice(result.domain_data.text, "");
}

static void test_foreign_domain_is_not_local(void **state)
{
	struct world *world = *state;
	struct route_result result = routed(world, "alice", "elsewhere.example");
	assert_int_equal(result.outcome, ROUTE_NOT_LOCAL);
	assert_string_equal(route_outcome_text(result.outcome), "relay not permitted");
	assert_int_equal(world->lookups, 0);

	struct mail_address_parts address = { SLICE("a"), SLICE("b") };
	assert_int_equal(route_address(NULL, &address, &world->host, &world->arena, &result), ROUTE_NOT_LOCAL);
}

static void test_router_without_domains_makes_no_domain_ours(void **state)
{
	struct world *world = *state;
	struct route_result result;
	world->local.domains = NULL;
	result = routed(world, "nobody", "elsewhere.example");
	assert_int_equal(result.outcome, ROUTE_NOT_LOCAL);
	result = routed(world, "nobody", "virtual.example");
	assert_int_equal(result.outcome, ROUTE_UNROUTEABLE);
	result = routed(world, "carol", "any.example");
	assert_int_equal(result.outcome, ROUTE_ACCEPTED);
}

static void test_a_router_names_no_domain_that_it_takes_with_all_others(void **state)
{
	static const char *const lists[] = { "*", "!mx.example : *", "! mx.example", "!mx.example : *.example" };
	struct world *world = *state;
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		world->local.domains = list(world, LIST_DOMAIN, lists[i]);
		assert_int_equal(routed(world, "nobody", "elsewhere.example").outcome, ROUTE_NOT_LOCAL);
		struct route_result result = routed(world, "carol", "elsewhere.example");
		assert_int_equal(result.outcome, ROUTE_ACCEPTED);
		assert_false(result.domain_is_ours);
	}
	world->local.domains = list(world, LIST_DOMAIN, "elsewhere.example : *");
	assert_int_equal(routed(world, "nobody", "elsewhere.example").outcome, ROUTE_UNROUTEABLE);
}

static void test_user_lookup_that_defers_ends_routing(void **state)
{
	struct route_result result = routed(*state, "slow", "local.example");
	assert_int_equal(result.outcome, ROUTE_DEFERRED);
	assert_int_equal(result.error.kind, ERROR_TEMPORARY);
	assert_string_equal(result.error.text, "router local: looking up the local user: the directory server is down");
}

static void test_impossible_user_names_are_not_looked_up(void **state)
{
	struct world *world = *state;
	static const char *const names[] = { "", "../carol", "ca:rol", "a b", "-rf", "a\nb", "a,b" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_int_equal(routed(world, names[i], "local.example").outcome, ROUTE_UNROUTEABLE);
	struct mail_address_parts address = { slice_make("carol\0x", 7), SLICE("local.example") };
	struct route_result result;
	assert_int_equal(route_address(&world->virtual, &address, &world->host, &world->arena, &result), ROUTE_UNROUTEABLE);
	assert_int_equal(world->lookups, 0);
	world->host.lookup_user = NULL;
	assert_int_equal(routed(world, "carol", "local.example").outcome, ROUTE_UNROUTEABLE);
}

static void test_root_is_never_delivered_to(void **state)
{
	struct world *world = *state;
	struct route_result result = routed(world, "root", "local.example");
	assert_int_equal(result.outcome, ROUTE_DEFERRED);
	assert_non_null(strstr(result.error.text, "as root"));
	world->home_mail.has_user = world->home_mail.has_group = true;
	world->home_mail.uid = world->home_mail.gid = 8;
	result = routed(world, "root", "local.example");
	assert_int_equal(result.outcome, ROUTE_ACCEPTED);
	assert_int_equal(result.uid, 8);
}

static void test_user_without_a_group_defers(void **state)
{
	struct world *world = *state;
	world->virtual_mail.has_group = false;
	assert_int_equal(routed(world, "alice", "virtual.example").outcome, ROUTE_DEFERRED);
}

static void test_tainted_directory_is_a_failed_expansion(void **state)
{
	struct world *world = *state;
	world->virtual_mail.directory = program(world, "/mail/$domain/$local_part");
	struct route_result result = routed(world, "alice", "virtual.example");
	assert_int_equal(result.outcome, ROUTE_EXPANSION_FAILED);
	assert_null(result.transport);
	assert_string_equal(result.error.text, "router virtual, transport virtual_mail: directory: "
					       "Tainted '/mail/virtual.example/alice' (file or directory name) not permitted");
}

/* A list's item that is made of the address gives no more trust than the address. */
static void test_what_a_list_takes_from_the_address_stays_tainted(void **state)
{
	struct world *world = *state;
	world->virtual.local_parts = list(world, LIST_LOCAL_PART, "$local_part");
	struct route_result result = routed(world, "..", "virtual.example");
	assert_slice(result.local_part_data.text, "..");
	assert_true(result.local_part_data.tainted);
	assert_int_equal(result.outcome, ROUTE_EXPANSION_FAILED);
	assert_string_equal(result.error.text, "router virtual, transport virtual_mail: directory: "
					       "Tainted '/mail/Virtual.example/..' (file or directory name) not permitted");
}

static void test_empty_data_is_a_failed_expansion(void **state)
{
	struct world *world = *state;
	world->virtual.local_parts = NULL;
	assert_int_equal(routed(world, "alice", "virtual.example").outcome, ROUTE_EXPANSION_FAILED);
	world->virtual.local_parts = list(world, LIST_LOCAL_PART, "!bob"); /* yes, but no item matched */
	assert_int_equal(routed(world, "alice", "virtual.example").outcome, ROUTE_EXPANSION_FAILED);
}

static void test_other_variables_come_from_the_surroundings(void **state)
{
	struct world *world = *state;
	world->virtual_mail.directory = program(world, "/mail/$primary_hostname/$local_part_data");
	assert_slice(routed(world, "bob", "virtual.example").directory.text, "/mail/mx.example/bob");
}

static void test_caseful_local_parts(void **state)
{
	struct world *world = *state;
	world->virtual.local_parts = list(world, LIST_LOCAL_PART, "+caseful : Alice");
	assert_int_equal(routed(world, "alice", "virtual.example").outcome, ROUTE_UNROUTEABLE);
	assert_slice(routed(world, "Alice", "virtual.example").directory.text, "/mail/Virtual.example/Alice");
}

static enum router_verdict decline(const struct router *router, const struct mail_address_parts *address)
{
	(void)router;
	assert_slice(address->local_part, "carol");
	return ROUTER_DECLINED;
}

static void test_decline_passes_on_unless_no_more(void **state)
{
	static const struct router_driver declining = { "declining", decline };
	struct world *world = *state;
	world->virtual.driver = &declining;
	world->virtual.local_parts = NULL;
	assert_slice(routed(world, "Carol", "virtual.example").router->name, "local");
	world->virtual.more = false;
	assert_int_equal(routed(world, "Carol", "virtual.example").outcome, ROUTE_UNROUTEABLE);
}

static void test_drivers_are_found_by_name(void **state)
{
	(void)state;
	assert_ptr_equal(router_driver_find(SLICE("accept")), &router_accept);
	assert_null(router_driver_find(SLICE("dnslookup")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_virtual_user_gets_the_configurations_spelling),
		TEST(test_local_user_delivers_as_that_user),
		TEST(test_failed_precondition_asks_the_next_router),
		TEST(test_own_domain_without_router_is_unrouteable),
		TEST(test_foreign_domain_is_not_local),
		TEST(test_router_without_domains_makes_no_domain_ours),
		TEST(test_a_router_names_no_domain_that_it_takes_with_all_others),
		TEST(test_user_lookup_that_defers_ends_routing),
		TEST(test_impossible_user_names_are_not_looked_up),
		TEST(test_root_is_never_delivered_to),
		TEST(test_user_without_a_group_defers),
		TEST(test_tainted_directory_is_a_failed_expansion),
		TEST(test_what_a_list_takes_from_the_address_stays_tainted),
		TEST(test_empty_data_is_a_failed_expansion),
		TEST(test_other_variables_come_from_the_surroundings),
		TEST(test_caseful_local_parts),
		TEST(test_decline_passes_on_unless_no_more),
		TEST(test_drivers_are_found_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
