/* SPDX-License-Identifier: ISC */
/* Any bytes as a certificate: every field with every modifier. No text has a control character that could forge another. */
#include "base/fatal.h"
#include "tls/certificate.h"

#include <openssl/err.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_tame(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] < 32 && text.data[i] != '\n')
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const fields[] = {
		"version", "serial_number", "subject", "subject,CN", "subject,OU,>:", "issuer", "issuer,O", "notbefore", "notbefore,int",
		"notafter,raw", "sig_algorithm", "signature", "subj_altname", "subj_altname,dns", "subj_altname,mail,>,", "subj_altname,uri",
		"ocsp_uri", "crl_uri,>/",
	};
	struct slice der = slice_make(data, size), text;
	struct arena arena;
	struct error error;
	arena_init(&arena, 0);
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if (certificate_field(der, slice_of(fields[i]), &arena, &text, &error) == CERTIFICATE_HAS)
			ensure(is_tame(text));
	const unsigned char *at = data;
	X509 *certificate = d2i_X509(NULL, &at, (long)size);
	if (certificate) {
		char name[CERTIFICATE_NAME_MAX];
		certificate_name(certificate, name);
		ensure(is_tame(slice_of(name)));
		certificate_has_nul(certificate);
		certificate_der(certificate, &arena);
		X509_free(certificate);
	}
	ERR_clear_error();
	arena_free(&arena);
	return 0;
}
