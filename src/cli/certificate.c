/* SPDX-License-Identifier: ISC */
#include "cli/certificate.h"

#include "tls/issue.h"

bool certificate_make(const struct slice *names, size_t count, int days, struct buf *certificate_out, struct buf *key_out,
		      struct error *error)
{
	struct issue_request request = { .names = names, .count = count, .days = days };
	X509 *certificate = NULL;
	EVP_PKEY *key = NULL;
	bool good = issue_certificate(&request, &certificate, &key, error) &&
		    issue_write(certificate, key, certificate_out, key_out, error);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return good;
}
