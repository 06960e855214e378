/* SPDX-License-Identifier: ISC */
/* Files of proofs, and the check of what is in them against a certificate. A proof that can be read can be written and read again. */
#include "tls/ocsp.h"

#include "base/fatal.h"

#include <openssl/ec.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static X509 *make_certificate(void)
{
	X509 *certificate = X509_new();
	EVP_PKEY *key = EVP_EC_gen("P-256");
	ensure(certificate && key);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	ensure(X509_set_pubkey(certificate, key) && X509_sign(certificate, key, EVP_sha256()) > 0);
	EVP_PKEY_free(key);
	return certificate;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static X509 *certificate;
	struct ocsp_file file;
	struct error error;
	if (!certificate)
		certificate = make_certificate();
	if (!ocsp_file_read(slice_make(data, size), "input", &file, &error))
		return 0;
	for (size_t i = 0; i < file.count; i++) {
		struct ocsp_verdict verdict;
		struct buf out;
		ocsp_check(file.proofs[i], certificate, certificate, 1800000000, &verdict);
		ensure(!verdict.valid && *verdict.reason);
		ocsp_check(file.proofs[i], certificate, NULL, 1800000000, &verdict);
		buf_init(&out, OCSP_RESPONSE_MAX);
		if (ocsp_proof_write(file.proofs[i], &out)) {
			OCSP_RESPONSE *again = ocsp_proof_read(buf_slice(&out), "again", &error);
			ensure(again != NULL);
			OCSP_RESPONSE_free(again);
		}
		buf_free(&out);
	}
	ocsp_file_free(&file);
	return 0;
}
