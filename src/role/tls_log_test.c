/* SPDX-License-Identifier: ISC */
/* The fields of TLS in log lines, as Exim 4.96 writes them (its manual, chapter 53 §15). */
#include "base/test.h"
#include "conf/log_selector.h"
#include "role/tls_log.h"

enum { ALL = LOG_ITEM_TLS_CIPHER | LOG_ITEM_TLS_CERTIFICATE_VERIFIED | LOG_ITEM_TLS_PEERDN | LOG_ITEM_TLS_SNI | LOG_ITEM_TLS_RESUMPTION };

static void fields_are_as_exim_writes_them(void **state)
{
	(void)state;
	const struct tls_log log = {
		SLICE("TLS1.3:TLS_AES_256_GCM_SHA384:256"), SLICE("/CN=client.test"), SLICE("mx.example.test"), true, true,
	};
	const struct {
		unsigned items;
		const char *text;
	} cases[] = {
		{ 0, "" },
		{ LOG_ITEM_TLS_CIPHER, " X=TLS1.3:TLS_AES_256_GCM_SHA384:256" },
		{ LOG_ITEM_TLS_CIPHER | LOG_ITEM_TLS_RESUMPTION, " X=TLS1.3:TLS_AES_256_GCM_SHA384:256*" },
		{ LOG_ITEM_TLS_RESUMPTION, "" },
		{ LOG_ITEM_TLS_CERTIFICATE_VERIFIED, " CV=yes" },
		{ LOG_ITEM_TLS_PEERDN, " DN=\"/CN=client.test\"" },
		{ LOG_ITEM_TLS_SNI, " SNI=mx.example.test" },
		{ ALL, " X=TLS1.3:TLS_AES_256_GCM_SHA384:256* CV=yes DN=\"/CN=client.test\" SNI=mx.example.test" },
	};
	char out[TLS_LOG_MAX];
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_string_equal(tls_log_fields(&log, cases[i].items, out), cases[i].text);
	const struct tls_log bare = { SLICE("TLS1.2:X:128"), { 0 }, { 0 }, false, false };
	assert_string_equal(tls_log_fields(&bare, ALL, out), " X=TLS1.2:X:128 CV=no");
	const struct tls_log clear = { 0 };
	assert_string_equal(tls_log_fields(&clear, ALL, out), "");
}

static void a_peer_cannot_forge_fields(void **state)
{
	(void)state;
	char long_name[2000], out[TLS_LOG_MAX];
	const struct tls_log log = { SLICE("X"), SLICE("/CN=a\" CV=yes"), SLICE("b CV=yes"), false, false };
	assert_string_equal(tls_log_fields(&log, ALL, out), " X=X CV=no DN=\"/CN=a\\\" CV=yes\" SNI=b\\040CV=yes");
	memset(long_name, '"', sizeof long_name);
	const struct tls_log large = { SLICE("X"), slice_make(long_name, sizeof long_name), slice_make(long_name, sizeof long_name), false, false };
	assert_true(strlen(tls_log_fields(&large, ALL, out)) < TLS_LOG_MAX);
	memset(long_name, ' ', sizeof long_name);
	assert_true(strlen(tls_log_fields(&large, ALL, out)) < TLS_LOG_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_as_exim_writes_them),
		cmocka_unit_test(a_peer_cannot_forge_fields),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
