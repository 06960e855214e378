/* SPDX-License-Identifier: ISC */
#include "tls/tickets.h"

#include "tls/remote_key.h"
#include "tls/stream.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

bool ticket_keys_rotate(struct ticket_keys *keys)
{
	memmove(&keys->keys[1], &keys->keys[0], sizeof keys->keys[0] * (TICKET_KEYS - 1));
	if (RAND_bytes(keys->keys[0].name, sizeof keys->keys[0].name) != 1 ||
	    RAND_priv_bytes(keys->keys[0].cipher_key, sizeof keys->keys[0].cipher_key) != 1 ||
	    RAND_priv_bytes(keys->keys[0].mac_key, sizeof keys->keys[0].mac_key) != 1)
		return false;
	if (keys->count < TICKET_KEYS)
		keys->count++;
	return true;
}

/* ---- Sealing and opening ---- */

static int prepare_ticket(const struct tls_tickets *tickets, const struct ticket_key *key, const unsigned char *iv,
			  EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac_key, sizeof key->mac_key),
		OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_END,
	};
	return EVP_CipherInit_ex2(cipher, tickets->cipher, key->cipher_key, iv, sealing, NULL) == 1 &&
	       EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 1 go on, 2 opened with an old key (a new ticket is due), 0 unknown key. */
static int key_callback(SSL *ssl, unsigned char name[16], unsigned char iv[EVP_MAX_IV_LENGTH], EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
			int sealing)
{
	const struct tls_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const struct ticket_keys *keys = tickets->keys;
	if (sealing) {
		if (keys->count == 0 || RAND_bytes(iv, 16) != 1)
			return 0;
		memcpy(name, keys->keys[0].name, 16);
		return prepare_ticket(tickets, &keys->keys[0], iv, cipher, mac, 1);
	}
	for (unsigned i = 0; i < keys->count; i++) {
		if (CRYPTO_memcmp(name, keys->keys[i].name, 16) != 0)
			continue;
		if (!prepare_ticket(tickets, &keys->keys[i], iv, cipher, mac, 0))
			return -1;
		return i == 0 ? 1 : 2;
	}
	return 0;
}

/* ---- What a ticket holds for ---- */

/* The name is in the session already: name_callback of tls/server.c has seen to that. */
static int issue_callback(SSL *ssl, void *arg)
{
	const struct tls_tickets *tickets = arg;
	return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), tickets->policy, sizeof tickets->policy);
}

static bool same_policy(SSL_SESSION *session, const struct tls_tickets *tickets)
{
	void *policy = NULL;
	size_t length = 0;
	return SSL_SESSION_get0_ticket_appdata(session, &policy, &length) == 1 && length == sizeof tickets->policy &&
	       memcmp(policy, tickets->policy, length) == 0;
}

/* RFC 6066 §3: a server must not resume under another name. None is a name of its own here. */
static bool same_name(SSL_SESSION *session, SSL *ssl)
{
	const char *name = SSL_SESSION_get0_hostname(session);
	/* OpenSSL has not come to the extension yet: the ClientHello callback has read it. */
	const struct stream *stream = BIO_get_data(SSL_get_rbio(ssl));
	return slice_equal(name ? slice_of(name) : (struct slice){ 0 }, stream_server_name(stream));
}

/* SSL_CTX_set_session_ticket_cb(3): what is not taken leads to a full handshake with a new ticket. */
static SSL_TICKET_RETURN open_callback(SSL *ssl, SSL_SESSION *session, const unsigned char *key_name, size_t key_name_length,
				       SSL_TICKET_STATUS status, void *arg)
{
	(void)key_name;
	(void)key_name_length;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (!same_policy(session, arg) || !same_name(session, ssl))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

static bool digest_policy(struct tls_tickets *tickets, const struct tls_policy *policy)
{
	struct buf key;
	buf_init(&key, TLS_POLICY_KEY_MAX);
	bool good = tls_policy_key(policy, false, &key) &&
		    EVP_Digest(buf_slice(&key).data, buf_len(&key), tickets->policy, NULL, EVP_sha256(), NULL) == 1;
	buf_free(&key);
	return good;
}

bool tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *context, OSSL_LIB_CTX *library, const struct ticket_keys *keys,
		     const struct tls_policy *policy, struct error *error)
{
	static const unsigned char ours[] = "postern"; /* OpenSSL wants one as soon as clients are verified */
	*tickets = (struct tls_tickets){ .keys = keys, .cipher = EVP_CIPHER_fetch(library, "AES-256-CBC", NULL) };
	if (!tickets->cipher || !digest_policy(tickets, policy) ||
	    SSL_CTX_set_session_id_context(context, ours, sizeof ours - 1) != 1 ||
	    SSL_CTX_set_session_ticket_cb(context, issue_callback, open_callback, tickets) != 1)
		return tls_error(error, "preparing session tickets");
	SSL_CTX_set_app_data(context, tickets);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(context, key_callback);
	return true;
}

void tls_tickets_clear(struct tls_tickets *tickets)
{
	EVP_CIPHER_free(tickets->cipher);
	tickets->cipher = NULL;
}
