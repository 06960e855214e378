/* SPDX-License-Identifier: ISC */
#include "tls/policy.h"

#include <string.h>

#include <openssl/ssl.h>

/*
 * All of them have forward secrecy: the keeper signs, it does not decrypt, so RSA key exchange cannot exist. In the order
 * that the server prefers.
 */
static const struct {
	const char *name;
	int min_version;
	const char *ciphers;
} profiles[TLS_PROFILES] = {
	/* The alternative is clear text (RFC 7435): whatever is not broken. */
	[TLS_PROFILE_OPPORTUNISTIC] = { "opportunistic", TLS1_2_VERSION,
		"ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:ECDHE:DHE:"
		"!aNULL:!eNULL:!kRSA:!PSK:!SRP:!DSS:!3DES:!RC4:!IDEA:!SEED:!MD5" },
	/* RFC 9325 §4.2 */
	[TLS_PROFILE_INTERMEDIATE] = { "intermediate", TLS1_2_VERSION, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK:!SRP:!DSS" },
	[TLS_PROFILE_MODERN] = { "modern", TLS1_3_VERSION, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK:!SRP:!DSS" },
};

/* For TLS 1.3: 128 bits first, whose key schedule runs on SHA-256, which processors have instructions for. */
#define CIPHER_SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

/* The guide of bettercrypto.org, "Cipher String B". */
#define STRING_B                                                                                                     \
	"EDH+CAMELLIA:EDH+aRSA:EECDH+aRSA+AESGCM:EECDH+aRSA+SHA256:EECDH:+CAMELLIA128:+AES128:+SSLv3:!aNULL:"         \
	"!eNULL:!LOW:!3DES:!MD5:!EXP:!PSK:!DSS:!RC4:!SEED:!IDEA:!ECDSA:kEDH:CAMELLIA128-SHA:AES128-SHA"

void tls_policy_init(struct tls_policy *policy, enum tls_profile profile)
{
	*policy = (struct tls_policy){
		.profile_min_version = profiles[profile].min_version,
		.ciphers = slice_of(profiles[profile].ciphers),
		.suites = SLICE(CIPHER_SUITES),
		.resumption = true,
	};
}

bool tls_profile_named(struct slice name, enum tls_profile *profile_r)
{
	for (int i = 0; i < TLS_PROFILES; i++)
		if (slice_equal_nocase(name, slice_of(profiles[i].name))) {
			*profile_r = (enum tls_profile)i;
			return true;
		}
	return false;
}

bool tls_version_named(struct slice name, int *version_r)
{
	static const struct {
		const char *name;
		int version;
	} versions[] = {
		{ "1", TLS1_VERSION }, { "1.0", TLS1_VERSION }, { "1.1", TLS1_1_VERSION }, { "1.2", TLS1_2_VERSION }, { "1.3", TLS1_3_VERSION },
	};
	if (slice_starts_nocase(name, SLICE("TLSv")))
		name = slice_from(name, 4);
	else if (slice_starts_nocase(name, SLICE("TLS")))
		name = slice_from(name, 3);
	for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
		if (slice_equal(name, slice_of(versions[i].name))) {
			*version_r = versions[i].version;
			return true;
		}
	return false;
}

/* The separator of a list: a colon, or what follows "<" at its start. */
static char list_separator(struct slice *text)
{
	char separator = ':';
	*text = slice_trim(*text);
	if (text->len > 1 && text->data[0] == '<' && !ascii_is_alnum(text->data[1]) && !ascii_is_space(text->data[1])) {
		separator = text->data[1];
		*text = slice_from(*text, 2);
	}
	return separator;
}

bool tls_cut_port(struct slice *item, uint16_t *port_r)
{
	struct slice rest = *item, number = slice_trim(slice_cut(&rest, '='));
	uint64_t value = 0;
	if (slice_find(*item, '=') == item->len || !slice_parse_u64(number, UINT16_MAX, &value))
		return false;
	*item = slice_trim(rest);
	*port_r = (uint16_t)value;
	return true;
}

static struct slice item_for_port(struct slice text, char separator, uint16_t port)
{
	struct slice found = { 0 };
	bool exact = false;
	while (text.len) {
		struct slice item = slice_trim(slice_cut(&text, separator));
		uint16_t its = 0;
		bool has_port = tls_cut_port(&item, &its);
		if (has_port && its == port)
			found = item;
		else if (!has_port && item.len && !exact)
			found = item;
		exact = exact || (has_port && its == port);
	}
	return found;
}

struct slice tls_item_for_port(struct slice text, uint16_t port)
{
	char separator = list_separator(&text);
	return item_for_port(text, separator, port);
}

bool tls_ciphers_have_ports(struct slice text)
{
	text = slice_trim(text);
	return slice_starts(text, SLICE("<"));
}

struct slice tls_ciphers_for_port(struct slice text, uint16_t port)
{
	return tls_ciphers_have_ports(text) ? tls_item_for_port(text, port) : item_for_port(text, '\0', port);
}

bool tls_policy_set_min_version(struct tls_policy *policy, struct slice text, struct error *error)
{
	return tls_version_named(text, &policy->min_version) ||
	       error_set(error, ERROR_USAGE, "expected TLS1, TLS1.1, TLS1.2 or TLS1.3; found \"%.*s\"",
			 SLICE_ARG(slice_first(text, 60)));
}

/* ---- Flags of OpenSSL ---- */

/* Names as in SSL_CTX_set_options(3), without SSL_OP_ and in lower case. 0: the library or this server has no use for it. */
static const struct {
	const char *name;
	uint64_t bit;
} flags[] = {
	{ "all", SSL_OP_ALL }, { "allow_no_dhe_kex", SSL_OP_ALLOW_NO_DHE_KEX },
	{ "allow_unsafe_legacy_renegotiation", 0 }, { "cipher_server_preference", SSL_OP_CIPHER_SERVER_PREFERENCE },
	{ "cryptopro_tlsext_bug", SSL_OP_CRYPTOPRO_TLSEXT_BUG }, { "dont_insert_empty_fragments", SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS },
	{ "enable_middlebox_compat", SSL_OP_ENABLE_MIDDLEBOX_COMPAT }, { "ephemeral_rsa", 0 }, { "legacy_server_connect", 0 },
	{ "microsoft_big_sslv3_buffer", 0 }, { "microsoft_sess_id_bug", 0 }, { "msie_sslv2_rsa_padding", 0 },
	{ "netscape_ca_dn_bug", 0 }, { "netscape_challenge_bug", 0 }, { "netscape_demo_cipher_change_bug", 0 },
	{ "netscape_reuse_cipher_change_bug", 0 }, { "no_anti_replay", 0 }, { "no_compression", SSL_OP_NO_COMPRESSION },
	{ "no_encrypt_then_mac", SSL_OP_NO_ENCRYPT_THEN_MAC }, { "no_extended_master_secret", SSL_OP_NO_EXTENDED_MASTER_SECRET },
	{ "no_renegotiation", SSL_OP_NO_RENEGOTIATION }, { "no_session_resumption_on_renegotiation", 0 }, { "no_sslv2", 0 },
	{ "no_sslv3", SSL_OP_NO_SSLv3 }, { "no_ticket", SSL_OP_NO_TICKET }, { "no_tlsv1", SSL_OP_NO_TLSv1 },
	{ "no_tlsv1_1", SSL_OP_NO_TLSv1_1 }, { "no_tlsv1_2", SSL_OP_NO_TLSv1_2 }, { "no_tlsv1_3", SSL_OP_NO_TLSv1_3 },
	{ "pkcs1_check_1", 0 }, { "pkcs1_check_2", 0 }, { "prioritize_chacha", SSL_OP_PRIORITIZE_CHACHA },
	{ "safari_ecdhe_ecdsa_bug", SSL_OP_SAFARI_ECDHE_ECDSA_BUG }, { "single_dh_use", 0 }, { "single_ecdh_use", 0 },
	{ "ssleay_080_client_dh_bug", 0 }, { "sslref2_reuse_cert_type_bug", 0 }, { "tls_block_padding_bug", 0 }, { "tls_d5_bug", 0 },
	{ "tls_rollback_bug", SSL_OP_TLS_ROLLBACK_BUG }, { "tlsext_padding", SSL_OP_TLSEXT_PADDING },
};

static bool find_flag(struct slice name, size_t *row_r)
{
	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
		if (slice_equal_nocase(name, slice_of(flags[i].name))) {
			*row_r = i;
			return true;
		}
	return false;
}

static void set_flag(struct tls_policy *policy, uint64_t bit, bool on)
{
	if (on) {
		policy->options |= bit;
		policy->cleared &= ~bit;
		return;
	}
	policy->options &= ~bit;
	/* Never: RFC 9325 §3.3 and §3.5. */
	policy->cleared |= bit & ~(uint64_t)(SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	if (bit == SSL_OP_NO_TLSv1)
		policy->profile_min_version = TLS1_VERSION;
	if (bit == SSL_OP_NO_TLSv1_1 && policy->profile_min_version > TLS1_1_VERSION)
		policy->profile_min_version = TLS1_1_VERSION;
}

bool tls_policy_init_for_port(struct tls_policy *policy, struct slice profile_list, struct slice version_list, uint16_t port, bool submission,
			      struct error *error)
{
	enum tls_profile profile = submission ? TLS_PROFILE_INTERMEDIATE : TLS_PROFILE_OPPORTUNISTIC;
	struct slice item = tls_item_for_port(profile_list, port), version = tls_item_for_port(version_list, port);
	if (item.len && !tls_profile_named(item, &profile))
		return error_set(error, ERROR_USAGE, "tls_profile: \"%.*s\" is none", SLICE_ARG(slice_first(item, 60)));
	tls_policy_init(policy, profile);
	return !version.len || tls_policy_set_min_version(policy, version, error) || error_context(error, "tls_min_version");
}

bool tls_policy_set_options(struct tls_policy *policy, struct slice text, struct buf *notes, struct error *error)
{
	for (text = slice_trim(text); text.len; text = slice_trim(text)) {
		size_t end = 0, row = 0;
		while (end < text.len && !ascii_is_space(text.data[end]))
			end++;
		struct slice item = slice_first(text, end), name = slice_from(item, 1);
		text = slice_from(text, end);
		if (item.data[0] != '+' && item.data[0] != '-')
			return error_set(error, ERROR_USAGE, "expected + or - before \"%.*s\", as in \"+all -no_ticket\"",
					 SLICE_ARG(slice_first(item, 60)));
		if (!find_flag(name, &row))
			return error_set(error, ERROR_USAGE, "OpenSSL has no option \"%.*s\"", SLICE_ARG(slice_first(name, 60)));
		if (flags[row].bit)
			set_flag(policy, flags[row].bit, item.data[0] == '+');
		else if (notes)
			buf_printf(notes, "%s%s", buf_len(notes) ? " " : "", flags[row].name);
	}
	return true;
}

/* ---- Ciphers, groups, parameters ---- */

static bool is_gnutls(struct slice item)
{
	static const char *const words[] = { "NORMAL", "PERFORMANCE", "SECURE", "SECURE128", "SECURE192", "SECURE256", "LEGACY", "PFS", "NONE" };
	static const char *const inside[] = { "VERS-", "COMP-", "SIGN-", "CTYPE-", "GROUP-", "MAC-", "CIPHER-", "KX-", "CURVE-" };
	struct slice name = item.len && strchr("+-!%@", item.data[0]) ? slice_from(item, 1) : item;
	if (item.len && item.data[0] == '%')
		return true;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (slice_equal(name, slice_of(words[i])))
			return true;
	for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++)
		if (slice_starts(name, slice_of(inside[i])))
			return true;
	return false;
}

/* The suites of TLS 1.3 (RFC 8446 §B.4); all other names are for the list of TLS 1.2. */
static bool is_suite(struct slice item)
{
	static const char *const suites[] = {
		"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256",
		"TLS_AES_128_CCM_8_SHA256",
	};
	for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++)
		if (slice_equal(item, slice_of(suites[i])))
			return true;
	return false;
}

/* "587=...", and not "@SECLEVEL=0": OpenSSL would pass over it as a name that it does not know. */
static bool is_by_port(struct slice item)
{
	uint16_t port;
	return tls_cut_port(&item, &port);
}

static bool append_item(struct buf *list, struct slice item)
{
	return (!buf_len(list) || buf_append_byte(list, ':')) && buf_append(list, item);
}

bool tls_policy_set_ciphers(struct tls_policy *policy, struct slice text, struct arena *arena, struct error *error)
{
	struct buf ciphers, suites;
	bool good = true;
	buf_init(&ciphers, TLS_CIPHERS_MAX);
	buf_init(&suites, 1024);
	for (text = slice_trim(text); good && text.len;) {
		size_t end = 0;
		while (end < text.len && !strchr(": ,\t", text.data[end]))
			end++;
		struct slice item = slice_first(text, end);
		text = slice_from(text, end + 1);
		if (!item.len)
			continue;
		if (is_gnutls(item))
			good = error_set(error, ERROR_USAGE,
					 "\"%.*s\" belongs to a priority string of GnuTLS; Postern uses OpenSSL: write a list for ciphers(1), "
					 "or leave the option out and set tls_profile",
					 SLICE_ARG(slice_first(item, 60)));
		else if (is_by_port(item))
			good = error_set(error, ERROR_USAGE,
					 "\"%.*s\": lists for ports need a separator that is none of ciphers, as in \"<; LIST ; 587=LIST\"",
					 SLICE_ARG(slice_first(item, 60)));
		else if (slice_equal_nocase(item, SLICE("string-b")) || slice_equal(item, SLICE("@@@CIPHERSTRINGB@@@")))
			good = append_item(&ciphers, SLICE(STRING_B));
		else
			good = append_item(is_suite(item) ? &suites : &ciphers, item) || error_set(error, ERROR_USAGE, "the list of ciphers is too long");
	}
	if (good && buf_len(&suites)) {
		policy->suites = arena_copy(arena, buf_slice(&suites));
		policy->suites_given = true;
	}
	if (good && buf_len(&ciphers)) {
		policy->ciphers = arena_copy(arena, buf_slice(&ciphers));
		policy->ciphers_given = true;
	} else if (good && buf_len(&suites)) {
		policy->profile_min_version = TLS1_3_VERSION; /* nothing of TLS 1.2 is permitted */
	}
	buf_free(&ciphers);
	buf_free(&suites);
	return good;
}

bool tls_policy_set_groups(struct tls_policy *policy, struct slice text, struct arena *arena, struct error *error)
{
	text = slice_trim(text);
	if (slice_equal_nocase(text, SLICE("auto"))) {
		policy->groups = (struct slice){ 0 };
		return true;
	}
	/* Exim: no curve at all. TLS 1.3 then has the finite fields (RFC 7919). */
	if (!text.len)
		text = SLICE("ffdhe2048:ffdhe3072");
	if (text.len > 1000)
		return error_set(error, ERROR_USAGE, "the list of groups is too long");
	struct buf list;
	buf_init(&list, 2048);
	while (text.len) {
		struct slice item = slice_trim(slice_cut(&text, ':'));
		if (item.len)
			append_item(&list, item);
	}
	policy->groups = arena_copy(arena, buf_slice(&list));
	buf_free(&list);
	return true;
}

bool tls_policy_set_dh(struct tls_policy *policy, struct slice text, struct arena *arena, struct error *error)
{
	/* RFC 2409, 3526, 5114, 7919 under Exim's names; NULL: too short to be safe. */
	static const struct {
		const char *name, *group;
		int bits;
	} groups[] = {
		{ "default", "", 0 }, { "exim.dev.20160529.1", "", 0 }, { "exim.dev.20160529.2", "", 0 }, { "exim.dev.20160529.3", "", 0 },
		{ "ffdhe2048", "ffdhe2048", 2048 }, { "ffdhe3072", "ffdhe3072", 3072 }, { "ffdhe4096", "ffdhe4096", 4096 },
		{ "ffdhe6144", "ffdhe6144", 6144 }, { "ffdhe8192", "ffdhe8192", 8192 }, { "ike14", "modp_2048", 2048 },
		{ "ike15", "modp_3072", 3072 }, { "ike16", "modp_4096", 4096 }, { "ike17", "modp_6144", 6144 }, { "ike18", "modp_8192", 8192 },
		{ "ike23", "dh_2048_224", 2048 }, { "ike24", "dh_2048_256", 2048 }, { "ike1", NULL, 768 }, { "ike2", NULL, 1024 },
		{ "ike5", NULL, 1536 }, { "ike22", NULL, 1024 }, { "historic", NULL, 1024 },
	};
	text = slice_trim(text);
	policy->no_dh = slice_equal(text, SLICE("none"));
	policy->dh_group = (struct slice){ 0 };
	policy->dh_group_bits = 0;
	policy->dh_file = (struct tls_file){ 0 };
	if (policy->no_dh || !text.len)
		return true;
	if (text.data[0] == '/') {
		policy->dh_file.name = arena_copy(arena, text);
		return true;
	}
	for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
		if (!slice_equal(text, slice_of(groups[i].name)))
			continue;
		if (!groups[i].group)
			return error_set(error, ERROR_USAGE, "the group \"%s\" is not safe; use default or ffdhe2048", groups[i].name);
		policy->dh_group = slice_of(groups[i].group);
		policy->dh_group_bits = groups[i].bits;
		return true;
	}
	return error_set(error, ERROR_USAGE, "expected an absolute path, the name of a group such as ffdhe2048, default or none; found \"%.*s\"",
			 SLICE_ARG(slice_first(text, 60)));
}

bool tls_policy_set_alpn(struct tls_policy *policy, struct slice text, struct arena *arena, struct error *error)
{
	char separator = list_separator(&text);
	struct buf wire;
	bool good = true;
	buf_init(&wire, 4096);
	while (good && text.len) {
		struct slice name = slice_trim(slice_cut(&text, separator));
		if (name.len > TLS_ALPN_MAX)
			good = error_set(error, ERROR_USAGE, "a protocol name has at most %d bytes", TLS_ALPN_MAX);
		else if (name.len && (!buf_append_byte(&wire, (char)name.len) || !buf_append(&wire, name)))
			good = error_set(error, ERROR_USAGE, "the list of protocols is too long");
	}
	if (good)
		policy->alpn = arena_copy(arena, buf_slice(&wire));
	buf_free(&wire);
	return good;
}

/* ---- Keys of contexts ---- */

static bool key_file(struct buf *out, const struct tls_file *file, bool versions)
{
	return buf_printf(out, "%zu:", file->name.len) && buf_append(out, file->name) &&
	       (!versions || buf_printf(out, "@%llu;", (unsigned long long)file->version));
}

static bool key_text(struct buf *out, struct slice text)
{
	return buf_printf(out, "%zu:", text.len) && buf_append(out, text);
}

bool tls_policy_key(const struct tls_policy *policy, bool versions, struct buf *out)
{
	bool good = buf_printf(out, "%d %d %llx %llx %d %d %lld %d %d %zu %zu;", policy->min_version, policy->profile_min_version,
			       (unsigned long long)policy->options, (unsigned long long)policy->cleared, policy->ciphers_given,
			       policy->no_dh, (long long)policy->dh_max_bits, policy->alpn_required, policy->resumption,
			       policy->chain_count, policy->proof_count) &&
		    key_text(out, policy->ciphers) && key_text(out, policy->suites) && key_text(out, policy->groups) &&
		    key_text(out, policy->dh_group) && key_text(out, policy->alpn) && key_file(out, &policy->dh_file, versions);
	for (size_t i = 0; good && i < policy->chain_count; i++)
		good = key_file(out, &policy->chains[i], versions);
	for (size_t i = 0; good && i < policy->proof_count; i++)
		good = key_file(out, &policy->proofs[i], versions);
	return good;
}
