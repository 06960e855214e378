/* SPDX-License-Identifier: ISC */
/*
 * The provider: three KEYMGMT and three SIGNATURE algorithms over one implementation of each. A key object keeps a
 * reference to the public key (of the default provider), to which all questions about parameters are passed on.
 */
#include "tls/remote_key.h"

#include "base/fatal.h"

#include <stdarg.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define PROVIDER "postern"
#define PROPERTIES "provider=" PROVIDER
/* The import parameter that carries a struct remote_key_source from remote_key_new to the provider. */
#define PARAM_SOURCE "postern-source"

struct tls_library {
	OSSL_LIB_CTX *context;
	OSSL_PROVIDER *standard, *remote;
};

struct remote_key_source {
	EVP_PKEY *public;
	const struct remote_signer *signer;
};

/* ---- Key management ---- */

struct remote_key {
	EVP_PKEY *public;
	const struct remote_signer *signer;
	struct key_id id;
	OSSL_LIB_CTX *context;
};

struct provider_context {
	OSSL_LIB_CTX *library;
};

static void *key_new(void *provider)
{
	struct remote_key *key = OPENSSL_zalloc(sizeof *key);
	if (key)
		key->context = ((struct provider_context *)provider)->library;
	return key;
}

static void key_free(void *data)
{
	struct remote_key *key = data;
	if (!key)
		return;
	EVP_PKEY_free(key->public);
	OPENSSL_free(key);
}

static int key_has(const void *data, int selection)
{
	const struct remote_key *key = data;
	(void)selection; /* the private half is there, if not here */
	return key && key->public;
}

static int key_match(const void *one, const void *other, int selection)
{
	const struct remote_key *a = one, *b = other;
	(void)selection;
	return a->public && b->public && EVP_PKEY_eq(a->public, b->public) == 1;
}

/* Either the source that remote_key_new hands over, or the public numbers of a key of another provider, for comparison. */
static int import_public(struct remote_key *key, const char *type, const OSSL_PARAM params[])
{
	const OSSL_PARAM *source_param = OSSL_PARAM_locate_const(params, PARAM_SOURCE);
	if (source_param) {
		const void *pointer = NULL;
		size_t size = 0;
		if (!OSSL_PARAM_get_octet_ptr(source_param, &pointer, &size) || size != sizeof(struct remote_key_source))
			return 0;
		const struct remote_key_source *source = pointer;
		key->public = source->public;
		key->signer = source->signer;
		return EVP_PKEY_up_ref(key->public) && key_id_of(key->public, &key->id);
	}
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(key->context, type, "provider=default");
	int done = ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
		   EVP_PKEY_fromdata(ctx, &key->public, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)(uintptr_t)params) == 1;
	EVP_PKEY_CTX_free(ctx);
	return done;
}

static int key_import_rsa(void *data, int selection, const OSSL_PARAM params[])
{
	(void)selection;
	return import_public(data, "RSA", params);
}

static int key_import_ec(void *data, int selection, const OSSL_PARAM params[])
{
	(void)selection;
	return import_public(data, "EC", params);
}

static int key_import_ed25519(void *data, int selection, const OSSL_PARAM params[])
{
	(void)selection;
	return import_public(data, "ED25519", params);
}

static const OSSL_PARAM *key_import_types(int selection)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_octet_ptr(PARAM_SOURCE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_END,
	};
	(void)selection;
	return types;
}

/* The public half only: a refusal of the private half keeps OpenSSL from moving the key to a provider that cannot sign with it. */
static int key_export(void *data, int selection, OSSL_CALLBACK *callback, void *arg)
{
	struct remote_key *key = data;
	OSSL_PARAM *params = NULL;
	if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY)
		return 0;
	if (EVP_PKEY_todata(key->public, EVP_PKEY_PUBLIC_KEY, &params) != 1)
		return 0;
	int done = callback(params, arg);
	OSSL_PARAM_free(params);
	return done;
}

static int key_get_params(void *data, OSSL_PARAM params[])
{
	struct remote_key *key = data;
	return EVP_PKEY_get_params(key->public, params);
}

static const OSSL_PARAM *key_gettable(void *provider)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_END,
	};
	(void)provider;
	return types;
}

static void *key_dup(const void *data, int selection)
{
	const struct remote_key *key = data;
	(void)selection;
	struct remote_key *copy = OPENSSL_memdup(key, sizeof *key);
	if (copy && copy->public && !EVP_PKEY_up_ref(copy->public)) {
		OPENSSL_free(copy);
		return NULL;
	}
	return copy;
}

static const char *ec_operation_name(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

#define FUNCTION(id, function) { (id), (void (*)(void))(function) }
#define KEY_FUNCTIONS(import)                                           \
	FUNCTION(OSSL_FUNC_KEYMGMT_NEW, key_new),                       \
	FUNCTION(OSSL_FUNC_KEYMGMT_FREE, key_free),                     \
	FUNCTION(OSSL_FUNC_KEYMGMT_HAS, key_has),                       \
	FUNCTION(OSSL_FUNC_KEYMGMT_MATCH, key_match),                   \
	FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, import),                     \
	FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_import_types),     \
	FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT, key_export),                 \
	FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_import_types),     \
	FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),         \
	FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable),      \
	FUNCTION(OSSL_FUNC_KEYMGMT_DUP, key_dup)

static const OSSL_DISPATCH rsa_key_functions[] = { KEY_FUNCTIONS(key_import_rsa), { 0, NULL } };
static const OSSL_DISPATCH ec_key_functions[] = {
	KEY_FUNCTIONS(key_import_ec), FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, ec_operation_name), { 0, NULL }
};
static const OSSL_DISPATCH ed25519_key_functions[] = { KEY_FUNCTIONS(key_import_ed25519), { 0, NULL } };

/* ---- Signatures ---- */

struct signing {
	struct remote_key *key; /* not owned: OpenSSL keeps the key for as long as the operation */
	OSSL_LIB_CTX *context;
	EVP_MD *digest;         /* NULL for Ed25519 */
	bool pss;
};

static void *signing_new(void *provider, const char *properties)
{
	(void)properties;
	struct signing *signing = OPENSSL_zalloc(sizeof *signing);
	if (signing)
		signing->context = ((struct provider_context *)provider)->library;
	return signing;
}

static void signing_free(void *data)
{
	struct signing *signing = data;
	if (!signing)
		return;
	EVP_MD_free(signing->digest);
	OPENSSL_free(signing);
}

/* RFC 8446 §4.2.3 and RFC 5246 §7.4.1.4.1: PSS comes as padding mode; salt length and MGF follow from the digest. */
static int signing_set_params(void *data, const OSSL_PARAM params[])
{
	struct signing *signing = data;
	const OSSL_PARAM *mode = params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE) : NULL;
	int padding;
	if (!mode)
		return 1;
	if (mode->data_type == OSSL_PARAM_UTF8_STRING) {
		const char *name = mode->data;
		signing->pss = name && strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
		return 1;
	}
	if (!OSSL_PARAM_get_int(mode, &padding))
		return 0;
	signing->pss = padding == RSA_PKCS1_PSS_PADDING;
	return padding == RSA_PKCS1_PSS_PADDING || padding == RSA_PKCS1_PADDING;
}

static const OSSL_PARAM *signing_settable(void *data, void *provider)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_END,
	};
	(void)data;
	(void)provider;
	return types;
}

static int signing_init(void *data, const char *digest, void *key, const OSSL_PARAM params[])
{
	struct signing *signing = data;
	signing->key = key;
	if (digest && *digest) {
		EVP_MD_free(signing->digest);
		signing->digest = EVP_MD_fetch(signing->context, digest, NULL);
		if (!signing->digest)
			return 0;
	}
	return signing_set_params(signing, params);
}

static int signing_sign(void *data, unsigned char *signature, size_t *length, size_t size, const unsigned char *message,
			size_t message_len)
{
	struct signing *signing = data;
	struct remote_key *key = signing->key;
	size_t most = (size_t)EVP_PKEY_get_size(key->public);
	if (!signature) {
		*length = most;
		return 1;
	}
	if (!key->signer || most > SIGNATURE_MAX)
		return 0;
	unsigned char hash[EVP_MAX_MD_SIZE], made[SIGNATURE_MAX];
	struct sign_request request = { .key = key->id, .scheme = SCHEME_EDDSA, .input = { (const char *)message, message_len } };
	if (signing->digest) {
		unsigned hash_len = 0;
		if (!EVP_Digest(message, message_len, hash, &hash_len, signing->digest, NULL))
			return 0;
		request.input = slice_make(hash, hash_len);
		request.digest = EVP_MD_get_type(signing->digest);
		request.scheme = EVP_PKEY_is_a(key->public, "EC") ? SCHEME_ECDSA :
				 signing->pss ? SCHEME_RSA_PSS : SCHEME_RSA_PKCS1;
	}
	size_t made_len = key->signer->sign(key->signer->owner, &request, made);
	if (made_len == 0 || made_len > size)
		return 0;
	memcpy(signature, made, made_len);
	*length = made_len;
	return 1;
}

static const OSSL_DISPATCH signature_functions[] = {
	FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, signing_new),
	FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, signing_free),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signing_init),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signing_sign),
	FUNCTION(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signing_set_params),
	FUNCTION(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signing_settable),
	{ 0, NULL },
};

/* ---- The provider ---- */

static const OSSL_ALGORITHM key_algorithms[] = {
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, rsa_key_functions, "RSA keys held by the keeper" },
	{ "EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTIES, ec_key_functions, "EC keys held by the keeper" },
	{ "ED25519:1.3.101.112", PROPERTIES, ed25519_key_functions, "Ed25519 keys held by the keeper" },
	{ NULL, NULL, NULL, NULL },
};

static const OSSL_ALGORITHM signature_algorithms[] = {
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, signature_functions, "RSA by the keeper" },
	{ "ECDSA", PROPERTIES, signature_functions, "ECDSA by the keeper" },
	{ "ED25519:1.3.101.112", PROPERTIES, signature_functions, "Ed25519 by the keeper" },
	{ NULL, NULL, NULL, NULL },
};

static const OSSL_ALGORITHM *provider_query(void *provider, int operation, int *no_cache)
{
	(void)provider;
	*no_cache = 0;
	return operation == OSSL_OP_KEYMGMT ? key_algorithms : operation == OSSL_OP_SIGNATURE ? signature_algorithms : NULL;
}

static void provider_teardown(void *provider)
{
	struct provider_context *context = provider;
	OSSL_LIB_CTX_free(context->library);
	OPENSSL_free(context);
}

static const OSSL_DISPATCH provider_functions[] = {
	FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, provider_query),
	FUNCTION(OSSL_FUNC_PROVIDER_TEARDOWN, provider_teardown),
	{ 0, NULL },
};

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **provider)
{
	struct provider_context *context = OPENSSL_zalloc(sizeof *context);
	/* Digests and comparisons inside of the provider use a library context of its own, as provider(7) advises. */
	if (context)
		context->library = OSSL_LIB_CTX_new_child(handle, in);
	if (!context || !context->library) {
		OPENSSL_free(context);
		return 0;
	}
	*provider = context;
	*out = provider_functions;
	return 1;
}

void tls_library_free(struct tls_library *library)
{
	if (!library)
		return;
	if (library->remote)
		OSSL_PROVIDER_unload(library->remote);
	if (library->standard)
		OSSL_PROVIDER_unload(library->standard);
	OSSL_LIB_CTX_free(library->context);
	OPENSSL_free(library);
}

struct tls_library *tls_library_new(struct error *error)
{
	struct tls_library *library = OPENSSL_zalloc(sizeof *library);
	ensure(library != NULL);
	library->context = OSSL_LIB_CTX_new();
	/* The default provider is preferred wherever both could serve; a remote key finds its own by the key object. */
	if (library->context && EVP_set_default_properties(library->context, "?provider=default") == 1 &&
	    (library->standard = OSSL_PROVIDER_load(library->context, "default")) &&
	    OSSL_PROVIDER_add_builtin(library->context, PROVIDER, provider_init) == 1 &&
	    (library->remote = OSSL_PROVIDER_load(library->context, PROVIDER)))
		return library;
	tls_error(error, "loading OpenSSL's providers");
	tls_library_free(library);
	return NULL;
}

OSSL_LIB_CTX *tls_library_context(const struct tls_library *library)
{
	return library->context;
}

EVP_PKEY *remote_key_new(struct tls_library *library, EVP_PKEY *public, const struct remote_signer *signer,
			 struct error *error)
{
	const char *type = EVP_PKEY_get0_type_name(public);
	struct remote_key_source source = { .public = public, .signer = signer };
	const void *pointer = &source;
	OSSL_PARAM params[] = { OSSL_PARAM_octet_ptr(PARAM_SOURCE, &pointer, sizeof source), OSSL_PARAM_END };
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *ctx = type ? EVP_PKEY_CTX_new_from_name(library->context, type, PROPERTIES) : NULL;
	if (!ctx)
		error_set(error, ERROR_USAGE, "keys of type %s are not supported: use RSA, EC or Ed25519", type ? type : "unknown");
	else if (EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		tls_error(error, "making a key object for a %s key", type);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

bool key_id_of(EVP_PKEY *key, struct key_id *id_r)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(key, &der);
	bool done = len > 0 && EVP_Q_digest(NULL, "SHA256", NULL, der, (size_t)len, id_r->bytes, NULL) == 1;
	OPENSSL_free(der);
	return done;
}

bool tls_error(struct error *error, const char *format, ...)
{
	char what[240], reason[160] = "unknown reason";
	va_list args;
	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	unsigned long code = ERR_peek_error();
	if (code) {
		const char *text = ERR_reason_error_string(code);
		if (text)
			snprintf(reason, sizeof reason, "%s", text);
		else
			ERR_error_string_n(code, reason, sizeof reason);
	}
	ERR_clear_error();
	return error_set(error, ERROR_PERMANENT, "%s: %s", what, reason);
}
