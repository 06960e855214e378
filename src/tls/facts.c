/* SPDX-License-Identifier: ISC */
#include "tls/facts.h"

#include "tls/server.h"
#include "tls/verify.h"

#include <stdio.h>

void tls_facts_init(struct tls_facts *facts)
{
	*facts = (struct tls_facts){ .standard = "", .version = "" };
}

static unsigned read_resumption(SSL *ssl)
{
	unsigned all = TLS_RESUMPTION_SUPPORTED;
	if (!(SSL_get_options(ssl) & SSL_OP_NO_TICKET) && SSL_get_num_tickets(ssl))
		all |= TLS_RESUMPTION_REQUESTED | TLS_RESUMPTION_TICKET;
	if (SSL_session_reused(ssl))
		all |= TLS_RESUMPTION_OFFERED | TLS_RESUMPTION_USED;
	return all;
}

static enum tls_ocsp read_ocsp(SSL *ssl)
{
	const unsigned char *proof = NULL;
	if (SSL_get_tlsext_status_type(ssl) != TLSEXT_STATUSTYPE_ocsp)
		return TLS_OCSP_NOT_REQUESTED;
	return SSL_get_tlsext_status_ocsp_resp(ssl, &proof) > 0 ? TLS_OCSP_PROOF_SENT : TLS_OCSP_NO_PROOF;
}

void tls_facts_read(SSL *ssl, struct tls_facts *facts_r)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
	const char *standard = SSL_CIPHER_standard_name(cipher);
	*facts_r = (struct tls_facts){
		.standard = standard ? standard : "",
		.version = tls_version_name(ssl),
		.bits = SSL_CIPHER_get_bits(cipher, NULL),
		.verified = tls_verified(ssl),
		.resumption = read_resumption(ssl),
		.ocsp = read_ocsp(ssl),
	};
	tls_cipher_text(ssl, facts_r->cipher, sizeof facts_r->cipher);
}

void tls_facts_peer_name(const SSL *ssl, char out[CERTIFICATE_NAME_MAX])
{
	const X509 *certificate = SSL_get0_peer_certificate(ssl);
	out[0] = '\0';
	if (certificate)
		certificate_name(certificate, out);
}

struct slice tls_facts_server_name(const SSL *ssl)
{
	return slice_of(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
}

static struct slice der_of(const X509 *certificate, struct arena *arena)
{
	return certificate ? certificate_der(certificate, arena) : (struct slice){ 0 };
}

struct slice tls_facts_our_certificate(const SSL *ssl, struct arena *arena)
{
	return der_of(SSL_get_certificate(ssl), arena);
}

struct slice tls_facts_peer_certificate(const SSL *ssl, struct arena *arena)
{
	return der_of(SSL_get0_peer_certificate(ssl), arena);
}
