/* SPDX-License-Identifier: ISC */
#include "tls/binding.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

bool tls_binding_exporter(SSL *ssl, struct arena *arena, struct slice *data_r)
{
	enum { SIZE = 32 };
	static const char label[] = "EXPORTER-Channel-Binding";
	/* RFC 9266 §3: no context; and §4.2. */
	if (!ssl || (SSL_version(ssl) < TLS1_3_VERSION && SSL_get_extms_support(ssl) != 1))
		return false;
	unsigned char *data = arena_alloc(arena, SIZE);
	bool done = SSL_export_keying_material(ssl, data, SIZE, label, sizeof label - 1, NULL, 0, SSL_version(ssl) >= TLS1_3_VERSION) == 1;
	ERR_clear_error();
	*data_r = slice_make(data, SIZE);
	return done;
}

bool tls_binding_server_end_point(SSL *ssl, struct arena *arena, struct slice *data_r)
{
	X509 *certificate = ssl ? SSL_get_certificate(ssl) : NULL;
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	int method = NID_undef;
	if (!certificate || X509_get_signature_info(certificate, &method, NULL, NULL, NULL) != 1 || method == NID_undef) {
		ERR_clear_error();
		return false;
	}
	/* Of a digest that is too weak SHA-256 takes the place. */
	if (method == NID_md5 || method == NID_sha1 || method == NID_md5_sha1)
		method = NID_sha256;
	const EVP_MD *known = EVP_get_digestbynid(method);
	bool done = known && X509_digest(certificate, known, digest, &size) == 1;
	ERR_clear_error();
	*data_r = arena_copy(arena, slice_make(digest, done ? size : 0));
	return done;
}
