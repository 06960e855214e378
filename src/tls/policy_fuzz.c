/* SPDX-License-Identifier: ISC */
/* The texts of TLS options, and names of hosts: the first byte chooses which. */
#include "base/fatal.h"
#include "tls/hello.h"
#include "tls/policy.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(struct slice text)
{
	struct tls_host_name name;
	if (!tls_host_name_of(text, &name))
		return;
	ensure(*name.text && !strchr(name.text, '/') && !strstr(name.text, "..") && *name.text != '.' && *name.text != '-');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_policy policy;
	struct arena arena;
	struct buf key;
	struct error error;
	if (size == 0 || size > 8192)
		return 0;
	struct slice text = slice_make(data + 1, size - 1);
	arena_init(&arena, 0);
	buf_init(&key, 65536);
	tls_policy_init(&policy, TLS_PROFILE_OPPORTUNISTIC);
	switch (data[0] % 8) {
	case 0: tls_policy_set_options(&policy, text, &key, &error); break;
	case 1: tls_policy_set_ciphers(&policy, tls_ciphers_for_port(text, 587), &arena, &error); break;
	case 2: tls_policy_set_groups(&policy, text, &arena, &error); break;
	case 3: tls_policy_set_dh(&policy, text, &arena, &error); break;
	case 4: tls_policy_set_alpn(&policy, text, &arena, &error); break;
	case 5: tls_policy_set_min_version(&policy, tls_item_for_port(text, 587), &error); break;
	default: check_name(text); break;
	}
	buf_reset(&key);
	tls_policy_key(&policy, true, &key);
	buf_free(&key);
	arena_free(&arena);
	return 0;
}
