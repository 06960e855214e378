/* SPDX-License-Identifier: ISC */
/* RDATA of any bytes against one certificate, and a chain of any bytes: the first two bytes are the length of the RDATA. */
#include "base/fatal.h"
#include "tls/tlsa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct slice all = slice_make(data + 2, size - 2);
	size_t rdata_len = (size_t)data[0] << 8 | data[1];
	struct slice rdata = slice_first(all, rdata_len), text = slice_from(all, rdata_len);
	struct tlsa_record records[2];
	struct tlsa_verdict verdicts[2];
	struct slice names[CHAIN_NAMES_MAX], host = SLICE("mx.example.test");
	struct error error;
	struct arena arena;
	if (!tlsa_parse(rdata, &records[0]))
		return 0;
	arena_init(&arena, 0);
	struct slice shown = tlsa_text(&records[0], &arena);
	ensure(shown.len >= 2 * records[0].data.len + 6);
	tlsa_names(&records[0], &arena);
	_cleanup_chain_ STACK_OF(X509) *chain = chain_parse(text, "input", &error);
	if (chain) {
		X509 *leaf = sk_X509_value(chain, 0);
		struct tlsa_question question = { .chain = chain, .names = &host, .name_count = 1, .when = 1800000000 };
		records[1] = (struct tlsa_record){ TLSA_DANE_EE, TLSA_CERTIFICATE, TLSA_SHA256, tlsa_data(leaf, 0, 1, &arena) };
		chain_names(leaf, &arena, names);
		tlsa_match(&question, records, 2, &arena, verdicts);
		/* What was made from a certificate matches it, unless the other record is a stronger one of its kind. */
		ensure(!records[1].data.len || verdicts[1].outcome == TLSA_MATCHES || verdicts[1].outcome == TLSA_OUTRANKED);
	}
	arena_free(&arena);
	return 0;
}
