/* SPDX-License-Identifier: ISC */
/* Senders that are signed (prvs) or rewritten (SRS0). The signatures are those of Exim 4.96 on the same day. */
#include "base/test_arena.h"

#include "expand/prvs.h"
#include "expand/srs.h"

enum { DAY = 86400, TODAY = 20778 * DAY }; /* 2026-11-21 */

/* draft-levine-smtp-batv-01 §2. */
static void prvs_signs_and_checks(void **state)
{
	struct arena *arena = *state;
	struct slice out, secret = SLICE("secret");
	struct error error;
	assert_true(expand_prvs_make(SLICE("user@example.org"), secret, 0, TODAY, arena, &out, &error));
	assert_slice(out, "prvs=078509d2b8=user@example.org");
	assert_true(expand_prvs_make(SLICE("user@example.org"), secret, 3, TODAY, arena, &out, &error));
	assert_slice(out, "prvs=3785453911=user@example.org");

	struct expand_prvs prvs;
	assert_true(expand_prvs_parse(out, &prvs));
	assert_slice(prvs.address, "user@example.org");
	assert_slice(prvs.key_number, "3");
	assert_true(expand_prvs_check(&prvs, secret, TODAY));
	assert_true(expand_prvs_check(&prvs, secret, TODAY + 7 * DAY));
	assert_false(expand_prvs_check(&prvs, secret, TODAY + 8 * DAY));
	assert_false(expand_prvs_check(&prvs, SLICE("another"), TODAY));
	assert_false(expand_prvs_check(&prvs, SLICE(""), TODAY));
	assert_true(expand_prvs_parse(SLICE("PRVS=3785453911=user@example.org"), &prvs));
	assert_true(expand_prvs_check(&prvs, secret, TODAY));
	assert_true(expand_prvs_parse(SLICE("prvs=3786453911=user@example.org"), &prvs)); /* another day */
	assert_false(expand_prvs_check(&prvs, secret, TODAY));
	assert_true(expand_prvs_parse(SLICE("prvs=3785453911=abuser@example.org"), &prvs)); /* another address */
	assert_false(expand_prvs_check(&prvs, secret, TODAY));

	/* The count of days begins anew between making and checking. */
	time_t before = (time_t)20996 * DAY;
	assert_true(expand_prvs_make(SLICE("a@b"), secret, 0, before, arena, &out, &error));
	assert_true(slice_starts(out, SLICE("prvs=0003")));
	assert_true(expand_prvs_parse(out, &prvs));
	assert_true(expand_prvs_check(&prvs, secret, before + 7 * DAY));
	assert_false(expand_prvs_check(&prvs, secret, before + 8 * DAY));
}

static void what_is_no_prvs_address(void **state)
{
	static const char *const texts_without[] = { "", "prvs=", "user@example.org", "prvs=user/078509d2b8@example.org",
						     "prvs=07850zd2b8=user@example.org", "prvs=x78509d2b8=user@example.org",
						     "prvs=078509d2b8=user", "prvs=078509d2b8=@b", "prvs=078509d2b8=a@",
						     "prvs=078509d2b8-a@b", "prvs=0785 9d2b8=a@b" };
	struct expand_prvs prvs;
	(void)state;
	for (size_t i = 0; i < sizeof(texts_without) / sizeof(texts_without[0]); i++)
		assert_false(expand_prvs_parse(slice_of(texts_without[i]), &prvs));
}

static void srs_leads_back(void **state)
{
	struct arena *arena = *state;
	struct slice out, secret = SLICE("secret"), domain = SLICE("example.net");
	struct error error;
	assert_true(expand_srs_encode(SLICE("user@example.org"), domain, secret, TODAY, arena, &out, &error));
	assert_slice(out, "SRS0=fbad=jk=example.org=user@example.net");
	assert_true(expand_srs_encode(SLICE("us=er@example.org"), domain, secret, TODAY, arena, &out, &error));
	assert_slice(out, "SRS0=803f=jk=example.org=us=er@example.net");
	assert_true(expand_srs_encode(SLICE("\"a b\"@example.org"), domain, secret, TODAY, arena, &out, &error));
	assert_slice(out, "\"SRS0=d200=jk=example.org=a b\"@example.net");
	assert_true(expand_srs_encode(SLICE(""), domain, secret, TODAY, arena, &out, &error));
	assert_slice(out, "");

	struct slice local = SLICE("SRS0=fbad=jk=example.org=user");
	assert_true(expand_srs_decode(local, secret, TODAY, arena, &out));
	assert_slice(out, "user@example.org");
	assert_true(expand_srs_decode(local, secret, TODAY + 10 * DAY, arena, &out));
	assert_false(expand_srs_decode(local, secret, TODAY + 11 * DAY, arena, &out));
	assert_false(expand_srs_decode(local, secret, TODAY - DAY, arena, &out));
	assert_true(expand_srs_decode(SLICE("srs0=FBAD=JK=example.org=user"), secret, TODAY, arena, &out));
	assert_true(expand_srs_decode(SLICE("SRS0=d200=jk=example.org=a b"), secret, TODAY, arena, &out));
	assert_slice(out, "\"a b\"@example.org");
	assert_false(expand_srs_decode(SLICE("SRS0=fbae=jk=example.org=user"), secret, TODAY, arena, &out));
	assert_true(expand_srs_decode(SLICE("SRS0=fbae=jk=example.org=user"), SLICE(""), TODAY, arena, &out)); /* the form alone */
	assert_slice(out, "user@example.org");
}

static void what_is_no_srs_address(void **state)
{
	static const char *const texts_without[] = { "", "user", "SRS0", "SRS0=", "SRS0=fbad=jk=example.org", "SRS0=fbad=jk==user",
						     "SRS0=fbad=jk=example.org=", "SRS0-fbad=jk=example.org=user",
						     "SRS0=fbad=j1=example.org=user", "SRS1=fbad=jk=example.org=user" };
	struct arena *arena = *state;
	struct slice out;
	for (size_t i = 0; i < sizeof(texts_without) / sizeof(texts_without[0]); i++)
		assert_false(expand_srs_decode(slice_of(texts_without[i]), SLICE(""), TODAY, arena, &out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prvs_signs_and_checks),
		cmocka_unit_test(what_is_no_prvs_address),
		cmocka_unit_test(srs_leads_back),
		cmocka_unit_test(what_is_no_srs_address),
	};
	return cmocka_run_group_tests(tests, test_arena_setup, test_arena_teardown);
}
