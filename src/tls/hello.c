/* SPDX-License-Identifier: ISC */
#include "tls/hello.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

/* A vector with two bytes of length before it (RFC 8446 §3.4); false when the length is not that of the rest. */
static bool cut_vector(const unsigned char **at, size_t *left, size_t length_bytes, size_t *length_r)
{
	size_t length = 0;
	if (*left < length_bytes)
		return false;
	for (size_t i = 0; i < length_bytes; i++)
		length = length << 8 | (*at)[i];
	*at += length_bytes;
	*left -= length_bytes;
	if (length > *left)
		return false;
	*length_r = length;
	return true;
}

/* RFC 6066 §3: a list of names, of which the one kind that exists is the host name. */
static void take_name(struct tls_hello *hello, const unsigned char *data, size_t size)
{
	size_t list = 0, length = 0;
	if (!cut_vector(&data, &size, 2, &list) || size < 1 || *data != TLSEXT_NAMETYPE_host_name)
		return;
	data++;
	size--;
	if (!cut_vector(&data, &size, 2, &length) || length == 0 || length > HELLO_NAME_MAX)
		return;
	hello->has_name = true;
	hello->name_length = (unsigned char)length;
	memcpy(hello->name, data, length);
}

static unsigned short copy_some(unsigned char *to, size_t room, const unsigned char *from, size_t length)
{
	size_t count = (length < room ? length : room) & ~(size_t)1; /* all of them are lists of pairs of bytes */
	memcpy(to, from, count);
	return (unsigned short)count;
}

void tls_hello_take(struct tls_hello *hello, SSL *ssl)
{
	const unsigned char *data = NULL;
	size_t size = 0, length = 0;
	*hello = (struct tls_hello){ .seen = true, .legacy_version = SSL_client_hello_get0_legacy_version(ssl) };
	size = SSL_client_hello_get0_ciphers(ssl, &data);
	hello->suites_length = copy_some(hello->suites, sizeof hello->suites, data, size);
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &size))
		take_name(hello, data, size);
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_groups, &data, &size) && cut_vector(&data, &size, 2, &length))
		hello->groups_length = copy_some(hello->groups, sizeof hello->groups, data, length);
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions, &data, &size) && cut_vector(&data, &size, 1, &length))
		hello->versions_length = copy_some(hello->versions, sizeof hello->versions, data, length);
	hello->has_alpn = SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &data, &size) == 1;
}

/* ---- For the log ---- */

struct text {
	char *out;
	size_t size, length;
};

static void append(struct text *text, const char *before, const char *what)
{
	if (text->length + 1 < text->size) {
		int n = snprintf(text->out + text->length, text->size - text->length, "%s%s", before, what);
		text->length += n > 0 ? (size_t)n : 0;
	}
	if (text->length >= text->size)
		text->length = text->size - 1;
}

/* RFC 8701 reserves these for clients to find out who cannot ignore unknown values. */
static bool is_grease(unsigned value)
{
	return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

static void append_version(struct text *text, const char *before, unsigned version)
{
	static const char *const names[] = { "SSL3", "TLS1", "TLS1.1", "TLS1.2", "TLS1.3" };
	char number[16];
	if (version >= SSL3_VERSION && version <= TLS1_3_VERSION) {
		append(text, before, names[version - SSL3_VERSION]);
		return;
	}
	snprintf(number, sizeof number, "0x%04x", version);
	append(text, before, number);
}

static unsigned pair(const unsigned char *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static void append_group(struct text *text, const char *before, unsigned group)
{
	/* The registry of TLS Supported Groups (RFC 8447 §9). */
	static const struct {
		unsigned group;
		const char *name;
	} names[] = {
		{ 23, "P-256" }, { 24, "P-384" }, { 25, "P-521" }, { 29, "X25519" }, { 30, "X448" }, { 256, "ffdhe2048" },
		{ 257, "ffdhe3072" }, { 258, "ffdhe4096" }, { 4587, "SecP256r1MLKEM768" }, { 4588, "X25519MLKEM768" },
	};
	char number[16];
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i].group == group) {
			append(text, before, names[i].name);
			return;
		}
	snprintf(number, sizeof number, "0x%04x", group);
	append(text, before, number);
}

static void append_suites(struct text *text, const struct tls_hello *hello, SSL *ssl)
{
	enum { SUITES_TOLD = 6 };
	unsigned told = 0, more = 0;
	char number[24];
	for (unsigned i = 0; i + 1 < hello->suites_length; i += 2) {
		const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, &hello->suites[i]);
		unsigned value = pair(&hello->suites[i]);
		/* No ciphers: signals (RFC 5746 §3.3, RFC 7507 §2). */
		if (is_grease(value) || value == 0x00ff || value == 0x5600)
			continue;
		if (told == SUITES_TOLD) {
			more++;
			continue;
		}
		snprintf(number, sizeof number, "0x%04x", value);
		append(text, told ? ":" : "; ciphers ", cipher ? SSL_CIPHER_get_name(cipher) : number);
		told++;
	}
	ERR_clear_error(); /* SSL_CIPHER_find leaves one for what it does not know */
	snprintf(number, sizeof number, " and %u more", more);
	if (more)
		append(text, "", number);
}

void tls_hello_describe(const struct tls_hello *hello, SSL *ssl, char *out, size_t size)
{
	struct text text = { out, size, 0 };
	unsigned told = 0;
	*out = '\0';
	if (!hello->seen)
		return;
	append(&text, "", "offered");
	for (unsigned i = 0; i + 1 < hello->versions_length; i += 2)
		if (!is_grease(pair(&hello->versions[i])))
			append_version(&text, " ", pair(&hello->versions[i]));
	if (!hello->versions_length)
		append_version(&text, " ", hello->legacy_version);
	append_suites(&text, hello, ssl);
	for (unsigned i = 0; i + 1 < hello->groups_length && told < 8; i += 2)
		if (!is_grease(pair(&hello->groups[i])))
			append_group(&text, told++ ? ":" : "; groups ", pair(&hello->groups[i]));
	if (!hello->has_name)
		return;
	char name[HELLO_NAME_MAX + 1];
	for (unsigned i = 0; i < hello->name_length; i++)
		name[i] = ascii_is_print(hello->name[i]) && hello->name[i] != ' ' ? hello->name[i] : '?';
	name[hello->name_length] = '\0';
	append(&text, "; SNI=", name);
}

/* ---- Names of hosts ---- */

bool tls_host_name_of(struct slice peer, struct tls_host_name *name_r)
{
	char before = '.';
	if (peer.len && peer.data[peer.len - 1] == '.')
		peer.len--;
	if (!peer.len || peer.len > HOST_NAME_MAX_LENGTH)
		return false;
	for (size_t i = 0; i < peer.len; i++) {
		char c = ascii_lower(peer.data[i]);
		bool good = ascii_is_alnum(c) || c == '_' || ((c == '-' || c == '.') && before != '.');
		if (!good)
			return false;
		name_r->text[i] = before = c;
	}
	name_r->text[peer.len] = '\0';
	return true;
}

bool tls_host_name_parent(const struct tls_host_name *name, struct tls_host_name *parent_r)
{
	const char *dot = strchr(name->text, '.');
	if (!dot || !strchr(dot + 1, '.'))
		return false;
	snprintf(parent_r->text, sizeof parent_r->text, "%s", dot + 1);
	return true;
}
