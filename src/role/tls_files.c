/* SPDX-License-Identifier: ISC */
#include "role/tls_files.h"

#include "tls/ocsp.h"
#include "tls/policy.h"

bool tls_chains_of(struct slice certificates, struct slice keys, struct arena *arena, struct tls_want *wants, size_t size,
		   size_t *count_r, struct error *error)
{
	struct conf_strings chains = conf_value_strings(arena, certificates), pairs = conf_value_strings(arena, keys);
	*count_r = 0;
	if (chains.count > size)
		return error_set(error, ERROR_USAGE, "tls_certificate: more than %zu files", size);
	if (pairs.count && pairs.count != chains.count)
		return error_set(error, ERROR_USAGE, "tls_privatekey: %zu keys for %zu certificates", pairs.count, chains.count);
	for (size_t i = 0; i < chains.count; i++)
		wants[i] = (struct tls_want){ TLS_FILE_CHAIN, chains.items[i], pairs.count ? pairs.items[i] : chains.items[i] };
	*count_r = chains.count;
	return true;
}

bool tls_names_directory(struct slice path)
{
	return path.len && path.data[path.len - 1] == '/';
}

static size_t add_constant(struct tls_want *wants, size_t count, struct tls_want want)
{
	bool system = want.kind == TLS_FILE_TRUST && slice_equal(want.path, SLICE("system"));
	if (count < TLS_WANTS_MAX && want.path.len && (want.path.data[0] == '/' || system))
		wants[count++] = want;
	return count;
}

size_t tls_wants_of(const struct conf *conf, struct arena *arena, struct tls_want wants[TLS_WANTS_MAX])
{
	const struct conf_main *main = &conf->main;
	struct tls_want chains[TLS_CHAINS_MAX];
	struct error error;
	size_t chain_count = 0, count = 0;
	struct slice keys = conf_constant(main->tls_privatekey);
	if (!main->tls_certificate)
		return 0;
	/* Where only the keys are computed, nothing is known. */
	if (!main->tls_privatekey || keys.len)
		tls_chains_of(conf_constant(main->tls_certificate), keys, arena, chains, TLS_CHAINS_MAX, &chain_count, &error);
	for (size_t i = 0; i < chain_count; i++) {
		if (tls_names_directory(chains[i].path))
			wants[count] = (struct tls_want){ .kind = TLS_FILE_NAMES, .path = chains[i].path };
		else
			wants[count] = chains[i];
		wants[count++].option = "tls_certificate";
	}
	count = add_constant(wants, count, (struct tls_want){ .kind = TLS_FILE_PARAMETERS, .path = conf_constant(main->tls_dhparam), .option = "tls_dhparam" });
	if (main->tls_verify_hosts || main->tls_try_verify_hosts) {
		struct slice trust = main->tls_verify_certificates ? conf_constant(main->tls_verify_certificates) : SLICE("system");
		count = add_constant(wants, count, (struct tls_want){ .kind = TLS_FILE_TRUST, .path = trust, .option = "tls_verify_certificates" });
		count = add_constant(wants, count, (struct tls_want){ .kind = TLS_FILE_CRLS, .path = conf_constant(main->tls_crl), .option = "tls_crl" });
	}
	struct conf_strings proofs = conf_value_strings(arena, conf_constant(main->tls_ocsp_file));
	for (size_t i = 0; i < proofs.count && i < TLS_CHAINS_MAX; i++) {
		struct slice path = ocsp_file_path(proofs.items[i]);
		count = add_constant(wants, count, (struct tls_want){ .kind = TLS_FILE_PROOFS, .path = path, .option = "tls_ocsp_file", .spared = true });
	}
	return count;
}

bool tls_is_constant(const struct conf *conf, struct arena *arena)
{
	const struct conf_main *main = &conf->main;
	const struct expand_program *const programs[] = {
		main->tls_certificate, main->tls_privatekey, main->tls_profile, main->tls_min_version, main->tls_require_ciphers,
		main->tls_eccurve, main->tls_dhparam, main->openssl_options, main->tls_alpn, main->tls_ocsp_file,
	};
	for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++)
		if (programs[i] && !expand_constant(programs[i], NULL))
			return false;
	struct conf_strings certificates = conf_value_strings(arena, conf_constant(main->tls_certificate));
	for (size_t i = 0; i < certificates.count; i++)
		if (tls_names_directory(certificates.items[i]))
			return false; /* what is served depends on the name asked for */
	return true;
}
