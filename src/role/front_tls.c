/* SPDX-License-Identifier: ISC */
#include "role/front_tls.h"

#include "base/fatal.h"
#include "conf/option.h"
#include "role/session.h"
#include "role/front_files.h"
#include "tls/hello.h"

#include <string.h>

/* What one connection's options come to. Texts lie in the arena. */
struct wish {
	struct front *front;
	const struct conf *conf;
	struct session *session;         /* NULL: nothing but the port is known, and nobody can wait */
	uint16_t port;
	bool tls_on_connect;
	bool strict;                     /* a context of earlier files will not do: the keeper is about to forget their keys */
	const struct tls_host_name *name; /* that the client asks for; NULL: none, or no host's */
	struct arena arena;
	struct tls_policy policy;
	struct tls_want chains[TLS_CHAINS_MAX], proofs[TLS_CHAINS_MAX];
	size_t chain_count, proof_count;
};

/* All fronts find the same: the master logs it once. */
static void complain(struct front *front, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void complain(struct front *front, const char *format, ...)
{
	char text[1200];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	struct ipc_complaint message = { .text = slice_of(text) };
	ipc_send(front->role->master, complaint, COMPLAINT, 0, &message, NULL, 0);
}

/* ---- Expanding ---- */

/* What the option is when it is not set, which is what forced failure makes of it (Exim's manual, chapter 43): data NULL for nothing. */
static struct slice unset_value(const char *option)
{
	return slice_of(conf_option_find(conf_table(CONF_TABLE_MAIN), slice_of(option))->fallback);
}

/* The option's value: data NULL when it is unset or was forced to fail, and has no default. False with *error. */
static bool expand(struct wish *wish, const char *option, const struct expand_program *program, struct slice *text_r, struct error *error)
{
	struct expand_value value;
	*text_r = (struct slice){ 0 };
	if (!program || expand_constant(program, text_r))
		return true;
	if (!wish->session)
		return error_set(error, ERROR_TEMPORARY, "%s depends on the connection", option);
	switch (expand_run(program, &wish->session->expansions, &wish->arena, &value, error)) {
	case EXPAND_OK: break;
	case EXPAND_FORCED_FAIL: *text_r = unset_value(option); return true;
	default: return error_context(error, "%s", option);
	}
	/* A peer's text is neither a path nor a policy; the name that it asks for chooses among files that are there. */
	if (value.tainted)
		return error_set(error, ERROR_USAGE,
				 "%s: its value comes from the client; let it choose among what is there, with a lookup such as dsearch%s", option,
				 program == wish->conf->main.tls_certificate ? ", or name a directory of certificates" : "");
	*text_r = value.text.data ? value.text : SLICE("");
	return true;
}

static bool is_submission(const struct wish *wish)
{
	return wish->tls_on_connect || conf_ports_have(&wish->conf->main.submission_ports, wish->port);
}

static bool set_profile(struct wish *wish, struct error *error)
{
	const struct conf_main *main = &wish->conf->main;
	struct slice profiles, versions;
	return expand(wish, "tls_profile", main->tls_profile, &profiles, error) &&
	       expand(wish, "tls_min_version", main->tls_min_version, &versions, error) &&
	       tls_policy_init_for_port(&wish->policy, profiles, versions, wish->port, is_submission(wish), error);
}

static bool set_values(struct wish *wish, struct error *error)
{
	const struct conf_main *main = &wish->conf->main;
	struct tls_policy *policy = &wish->policy;
	struct arena *arena = &wish->arena;
	struct slice text;
	policy->dh_max_bits = main->tls_dh_max_bits;
	if (!expand(wish, "openssl_options", main->openssl_options, &text, error))
		return false;
	if (!tls_policy_set_options(policy, text, NULL, error))
		return error_context(error, "openssl_options");
	if (!expand(wish, "tls_require_ciphers", main->tls_require_ciphers, &text, error))
		return false;
	if (!tls_policy_set_ciphers(policy, tls_ciphers_for_port(text, wish->port), arena, error))
		return error_context(error, "tls_require_ciphers");
	if (!expand(wish, "tls_eccurve", main->tls_eccurve, &text, error))
		return false;
	if (text.data && !tls_policy_set_groups(policy, text, arena, error))
		return error_context(error, "tls_eccurve");
	if (!expand(wish, "tls_dhparam", main->tls_dhparam, &text, error))
		return false;
	if (!tls_policy_set_dh(policy, text, arena, error))
		return error_context(error, "tls_dhparam");
	if (!expand(wish, "tls_alpn", main->tls_alpn, &text, error))
		return false;
	return tls_policy_set_alpn(policy, text, arena, error) || error_context(error, "tls_alpn");
}

/* ---- Certificates by name ---- */

/* Whether the listing of a directory has this line. */
static bool has_line(struct slice names, const char *line)
{
	size_t length = strlen(line);
	for (const char *at = names.data, *end = names.data + names.len; at && at < end;) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t have = (size_t)((stop ? stop : end) - at);
		if (have == length && memcmp(at, line, length) == 0)
			return true;
		at = stop ? stop + 1 : NULL;
	}
	return false;
}

/* NAME.pem, with NAME.key where that is there; or NAME/fullchain.pem and NAME/privkey.pem. */
static bool chain_of_name(struct wish *wish, struct slice directory, struct slice names, const char *name, struct tls_want *want_r)
{
	char line[HOST_NAME_MAX_LENGTH + 16];
	struct arena *arena = &wish->arena;
	snprintf(line, sizeof line, "%s.pem", name);
	if (has_line(names, line)) {
		snprintf(line, sizeof line, "%s.key", name);
		bool apart = has_line(names, line);
		want_r->path = arena_printf(arena, "%.*s%s.pem", SLICE_ARG(directory), name);
		want_r->key_path = arena_printf(arena, "%.*s%s.%s", SLICE_ARG(directory), name, apart ? "key" : "pem");
		return true;
	}
	snprintf(line, sizeof line, "%s/", name);
	if (!has_line(names, line))
		return false;
	want_r->path = arena_printf(arena, "%.*s%s/fullchain.pem", SLICE_ARG(directory), name);
	want_r->key_path = arena_printf(arena, "%.*s%s/privkey.pem", SLICE_ARG(directory), name);
	return true;
}

/* A directory in the place of a file: the certificate for the name, for its wildcard, or the default. */
static bool choose_in_directory(struct wish *wish, struct tls_want *want, struct error *error)
{
	const struct tls_want listing = { .kind = TLS_FILE_NAMES, .path = want->path };
	const struct front_file *file = front_files_get(wish->front, &listing, wish->session != NULL, error);
	struct tls_host_name parent;
	char wildcard[HOST_NAME_MAX_LENGTH + 4], own[HOST_NAME_MAX_LENGTH + 1];
	if (!file)
		return false;
	struct slice directory = want->path, names = buf_slice(&file->text);
	if (wish->name && chain_of_name(wish, directory, names, wish->name->text, want))
		return true;
	if (wish->name && tls_host_name_parent(wish->name, &parent)) {
		snprintf(wildcard, sizeof wildcard, "*.%s", parent.text);
		if (chain_of_name(wish, directory, names, wildcard, want))
			return true;
	}
	if (chain_of_name(wish, directory, names, "default", want))
		return true;
	if (slice_to_cstr(wish->conf->main.primary_hostname, own, sizeof own) && chain_of_name(wish, directory, names, own, want))
		return true;
	return error_set(error, ERROR_USAGE, "tls_certificate: %.*s has neither default.pem nor a certificate for %s",
			 SLICE_ARG(slice_first(directory, 200)), own);
}

static bool set_certificates(struct wish *wish, struct error *error)
{
	const struct conf_main *main = &wish->conf->main;
	struct slice certificates, keys;
	if (!expand(wish, "tls_certificate", main->tls_certificate, &certificates, error) ||
	    !expand(wish, "tls_privatekey", main->tls_privatekey, &keys, error) ||
	    !tls_chains_of(certificates, keys, &wish->arena, wish->chains, TLS_CHAINS_MAX, &wish->chain_count, error))
		return false;
	if (!wish->chain_count)
		return error_set(error, ERROR_USAGE, "tls_certificate is not set, or names no file for this connection");
	for (size_t i = 0; i < wish->chain_count; i++) {
		bool directory = tls_names_directory(wish->chains[i].path);
		if (directory || !expand_constant(main->tls_certificate, NULL))
			wish->chains[i].option = "tls_certificate";
		if (directory && !choose_in_directory(wish, &wish->chains[i], error))
			return false;
	}
	return true;
}

static bool set_proofs(struct wish *wish, struct error *error)
{
	const struct expand_program *program = wish->conf->main.tls_ocsp_file;
	const char *option = program && !expand_constant(program, NULL) ? "tls_ocsp_file" : NULL;
	struct slice proofs;
	if (!expand(wish, "tls_ocsp_file", program, &proofs, error))
		return false;
	struct conf_strings items = conf_value_strings(&wish->arena, proofs);
	for (size_t i = 0; i < items.count && i < TLS_CHAINS_MAX; i++)
		if (items.items[i].len)
			wish->proofs[wish->proof_count++] =
				(struct tls_want){ .kind = TLS_FILE_PROOFS, .path = ocsp_file_path(items.items[i]), .option = option };
	if (items.count > TLS_CHAINS_MAX)
		complain(wish->front, "TLS error: tls_ocsp_file: more than %d files; the others are not used", TLS_CHAINS_MAX);
	return true;
}

/* ---- Files and contexts ---- */

static struct tls_file text_of(const struct front_file *file)
{
	return (struct tls_file){ slice_of(file->path), buf_slice(&file->text), file->version };
}

/* A file without which it works all the same; what constant options name is told of by the master. */
static void tell_missing(const struct wish *wish, const struct tls_want *want, const struct error *error)
{
	if (want->option)
		complain(wish->front, "TLS error: %s: %s", want->option, error->text);
}

/* One pass over all files. In the first the task may wait; in the second nothing can change, so their texts stay. */
static bool take_files(struct wish *wish, bool may_ask, struct error *error)
{
	struct tls_policy *policy = &wish->policy;
	const struct front_file *file;
	struct error missing[TLS_CHAINS_MAX] = { { 0 } };
	policy->chain_count = policy->proof_count = 0;
	for (size_t i = 0; i < wish->chain_count; i++) {
		/* One of several that cannot be used leaves the others. */
		file = front_files_get(wish->front, &wish->chains[i], may_ask, &missing[i]);
		if (file)
			policy->chains[policy->chain_count++] = text_of(file);
	}
	if (!policy->chain_count) {
		*error = missing[0];
		return false;
	}
	for (size_t i = 0; i < wish->chain_count; i++)
		if (missing[i].kind != ERROR_NONE)
			tell_missing(wish, &wish->chains[i], &missing[i]);
	if (policy->dh_file.name.len) {
		const struct tls_want want = { .kind = TLS_FILE_PARAMETERS, .path = policy->dh_file.name };
		file = front_files_get(wish->front, &want, may_ask, error);
		if (!file)
			return error_context(error, "tls_dhparam");
		policy->dh_file = text_of(file);
	}
	/* Without a proof the certificate is still good. */
	for (size_t i = 0; i < wish->proof_count; i++) {
		file = front_files_get(wish->front, &wish->proofs[i], may_ask, &missing[0]);
		if (!file)
			tell_missing(wish, &wish->proofs[i], &missing[0]);
		else
			policy->proofs[policy->proof_count++] = text_of(file);
	}
	return true;
}

static struct tls_server *grant(struct wish *wish, struct error *error)
{
	struct front *front = wish->front;
	struct tls_server *server = NULL;
	bool good = set_profile(wish, error) && set_values(wish, error);
	if (good && wish->session) {
		wish->policy.resumption = session_host_in(wish->session, wish->conf->main.tls_resumption_hosts);
		wish->policy.alpn_required = session_host_in(wish->session, wish->conf->main.hosts_require_alpn);
	}
	if (good && set_certificates(wish, error) && set_proofs(wish, error) && (!wish->session || take_files(wish, true, error)) && take_files(wish, false, error))
		server = tls_contexts_get(front->tls.contexts, &wish->policy, error);
	if (server && wish->strict && tls_contexts_refuse(front->tls.contexts, &wish->policy, error)) {
		tls_server_unref(server);
		return NULL;
	}
	if (server && error->kind != ERROR_NONE)
		log_line(&front->role->log, LOG_KIND_PANIC, "TLS error: a changed file is not used: %s; what was in use before stays", error->text);
	return server;
}

static struct tls_server *for_port(struct front *front, const struct conf *conf, uint16_t port, bool tls_on_connect, bool strict,
				   struct error *error)
{
	struct wish wish = { .front = front, .conf = conf, .port = port, .tls_on_connect = tls_on_connect, .strict = strict };
	if (!conf->main.tls_certificate || !front->tls.constant)
		return NULL;
	error->kind = ERROR_NONE;
	arena_init(&wish.arena, 0);
	struct tls_server *server = grant(&wish, error);
	arena_free(&wish.arena);
	return server;
}

struct tls_server *front_tls_for_port(struct front *front, const struct conf *conf, uint16_t port, bool tls_on_connect,
				      struct error *error)
{
	return for_port(front, conf, port, tls_on_connect, false, error);
}

/*
 * TLS is that of the configuration in use when it begins, not of the one that the session began with: of that one the master opens no files, and
 * the keeper may have forgotten the keys.
 */
static const struct conf *take_conf(struct session *session)
{
	if (session->tls_conf != session->front->role->conf) {
		conf_unref(&session->tls_conf);
		session->tls_conf = conf_ref(session->front->role->conf);
	}
	return session->tls_conf;
}

static struct tls_server *server_for(struct session *session, const struct tls_host_name *name, struct error *error)
{
	struct wish wish = {
		.front = session->front, .conf = take_conf(session), .session = session, .name = name, .port = session->interface.port,
		.tls_on_connect = session->tls_on_connect,
	};
	*error = (struct error){ 0 };
	arena_init(&wish.arena, 0);
	struct tls_server *server = grant(&wish, error);
	arena_free(&wish.arena);
	return server;
}

/* ---- Sessions ---- */

bool front_tls_configured(struct session *session)
{
	const struct expand_program *program = session->conf->main.tls_certificate;
	struct expand_value value;
	struct error error;
	if (!program || expand_constant(program, NULL))
		return program != NULL;
	return expand_run(program, &session->expansions, &session->message.arena, &value, &error) != EXPAND_FORCED_FAIL;
}

/* The client has asked for a name. What is no host's name gets the default. */
static struct tls_server *choose(void *owner, struct slice server_name, struct error *error)
{
	struct session *session = owner;
	struct tls_host_name name;
	bool good = tls_host_name_of(server_name, &name);
	snprintf(session->server_name, sizeof session->server_name, "%s", good ? name.text : "");
	struct tls_server *server = server_for(session, good ? &name : NULL, error);
	if (!server)
		error_context(error, "choosing the certificate for %s", good ? name.text : "a name that is none");
	return server;
}

/* The trust of these files, made once for each of their versions. */
static struct tls_trust *trust_of(struct front *front, const struct front_file *certificates, const struct front_file *crls,
				  struct error *error)
{
	struct front_trust *place = &front->tls.trusts[0];
	uint64_t crl_version = crls ? crls->version : 0;
	for (size_t i = 0; i < FRONT_TRUSTS_MAX; i++) {
		struct front_trust *trust = &front->tls.trusts[i];
		if (trust->trust && trust->certificates == certificates->version && trust->crls == crl_version) {
			trust->used = ++front->tls.clock;
			return tls_trust_ref(trust->trust);
		}
		if (trust->used < place->used)
			place = trust;
	}
	const struct tls_trust_source source = {
		.certificates = buf_slice(&certificates->text), .certificates_name = certificates->path,
		.crls = crls ? buf_slice(&crls->text) : (struct slice){ 0 }, .crls_name = crls ? crls->path : NULL,
		.announce = !certificates->directory,
	};
	struct tls_trust *trust = tls_trust_new(&source, error);
	if (!trust)
		return NULL;
	tls_trust_unref(place->trust);
	*place = (struct front_trust){ certificates->version, crl_version, trust, ++front->tls.clock };
	return tls_trust_ref(trust);
}

static struct tls_trust *find_trust(struct wish *wish, struct error *error)
{
	const struct conf_main *main = &wish->conf->main;
	struct tls_want wants[2] = { { .kind = TLS_FILE_TRUST }, { .kind = TLS_FILE_CRLS } };
	const struct front_file *files[2] = { NULL };
	if (!expand(wish, "tls_verify_certificates", main->tls_verify_certificates, &wants[0].path, error) ||
	    !expand(wish, "tls_crl", main->tls_crl, &wants[1].path, error))
		return NULL;
	if (!wants[0].path.data)
		wants[0].path = SLICE("system");
	if (!wants[0].path.len) {
		error_set(error, ERROR_USAGE, "clients are to be verified, but tls_verify_certificates is empty");
		return NULL;
	}
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < 2; i++) {
			files[i] = wants[i].path.len ? front_files_get(wish->front, &wants[i], pass == 0, error) : NULL;
			if (wants[i].path.len && !files[i])
				return NULL;
		}
	return trust_of(wish->front, files[0], files[1], error);
}

/* Exim's manual, chapter 43 §7: who must show a certificate, and who is asked for one. */
static bool prepare(void *owner, SSL *ssl, struct error *error)
{
	struct session *session = owner;
	const struct conf_main *main = &session->tls_conf->main;
	bool must = session_host_matches(session, main->tls_verify_hosts, true);
	bool try = !must && session_host_in(session, main->tls_try_verify_hosts);
	struct wish wish = { .front = session->front, .conf = session->tls_conf, .session = session };
	struct slice ciphers = { 0 };
	if (!must && !try)
		return true;
	arena_init(&wish.arena, 0);
	struct tls_trust *trust = find_trust(&wish, error);
	/* Again where the name has changed what is trusted. */
	if (!session->verify_report)
		session->verify_report = arena_new(&session->host_names.arena, struct tls_verify_report);
	bool good = trust && (!must || expand(&wish, "tls_verify_ciphers", main->tls_verify_ciphers, &ciphers, error)) &&
		    tls_verify_use(ssl, trust, must ? TLS_VERIFY_REQUIRE : TLS_VERIFY_TRY, ciphers, session->verify_report, error);
	tls_trust_unref(trust);
	arena_free(&wish.arena);
	return good;
}

/*
 * Whether clients can be verified as it is configured: found out before the handshake, while STARTTLS can still be refused with 454
 * (Exim 3's manual, chapter 38.1). What depends on the name that the client will ask for shows only then.
 */
static bool can_verify(struct session *session, struct tls_server *server, struct error *error)
{
	const struct conf_main *main = &session->tls_conf->main;
	const struct expand_program *const programs[] = { main->tls_verify_certificates, main->tls_crl, main->tls_verify_ciphers };
	if (!main->tls_verify_hosts && !main->tls_try_verify_hosts)
		return true;
	for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++)
		if (programs[i] && expand_uses(programs[i], EXPAND_TLS_IN_SNI))
			return true;
	SSL *ssl = tls_server_connection(server);
	bool good = ssl ? prepare(session, ssl, error) : error_set(error, ERROR_TEMPORARY, "no memory for a TLS connection");
	SSL_free(ssl);
	return good;
}

static struct tls_server *find_server(struct session *session, struct error *error)
{
	const struct conf_main *main = &take_conf(session)->main;
	if (session->front->tls.constant && session_host_in(session, main->tls_resumption_hosts) &&
	    !session_host_in(session, main->hosts_require_alpn)) {
		struct front_listener *listener = front_find_listener(session->front, &session->interface);
		if (listener && listener->tls)
			return tls_server_ref(listener->tls);
	}
	return server_for(session, NULL, error);
}

struct tls_server *front_tls_server(struct session *session, struct error *error)
{
	if (session->front->watch) {
		error_set(error, ERROR_USAGE, "in a pretended session TLS is there from the start (--tls), or not at all");
		return NULL;
	}
	struct tls_server *server = find_server(session, error);
	if (!server || can_verify(session, server, error))
		return server;
	tls_server_unref(server);
	return NULL;
}

void front_tls_choice(struct session *session, struct tls_choice *choice_r)
{
	const struct conf_main *main = &session->tls_conf->main;
	*choice_r = (struct tls_choice){ .owner = session };
	if (session->tls_conf->tls_by_name)
		choice_r->choose = choose;
	if (main->tls_verify_hosts || main->tls_try_verify_hosts)
		choice_r->prepare = prepare;
}

/* ---- Life ---- */

static void complain_of_proof(void *owner, const char *text)
{
	complain(owner, "OCSP: %s", text);
}

void front_tls_start(struct front *front)
{
	front->tls.complaints = (struct ocsp_complaints){ complain_of_proof, front };
	front->tls.maker = (struct tls_maker){
		.library = front->library, .signer = &front->signer, .tickets = &front->tickets, .proofs = front->proofs,
		.complaints = &front->tls.complaints,
	};
	front->tls.contexts = tls_contexts_new(&front->tls.maker);
}

/* The listeners' contexts, from the files as they are now. */
static void renew_listeners(struct front *front, const struct conf *conf)
{
	for (size_t i = 0; i < front->listener_count; i++) {
		struct front_listener *listener = front->listeners[i];
		struct error error = { 0 };
		struct tls_server *tls = front_tls_for_port(front, conf, listener->address.port, listener->tls_on_connect, &error);
		if (!tls)
			continue;
		tls_server_unref(listener->tls);
		listener->tls = tls;
	}
}

void front_tls_take_file(struct front *front, struct ipc_incoming *incoming)
{
	if (front->role->next || !front->role->conf) {
		front_files_take(&front->tls.next, &front->tls.next_count, false, incoming);
		return;
	}
	front_files_take(&front->tls.files, &front->tls.file_count, true, incoming);
	renew_listeners(front, front->role->conf);
}

/* Whether the files of tls_ocsp_file are for all the certificates of which each connection gets some. */
static bool proofs_are_shared(const struct conf *conf, struct arena *arena)
{
	const struct conf_main *main = &conf->main;
	if (!main->tls_certificate || !main->tls_ocsp_file || !expand_constant(main->tls_ocsp_file, NULL))
		return false;
	struct conf_strings certificates = conf_value_strings(arena, conf_constant(main->tls_certificate));
	bool directory = false;
	for (size_t i = 0; i < certificates.count; i++)
		directory = directory || tls_names_directory(certificates.items[i]);
	return directory || !expand_constant(main->tls_certificate, NULL);
}

bool front_tls_apply(struct front *front, const struct conf *conf, bool first, struct error *error)
{
	struct front_file **files = front->tls.files;
	size_t count = front->tls.file_count;
	bool constant = front->tls.constant, shared = front->tls.complaints.shared, good = true;
	struct arena arena;
	arena_init(&arena, 0);
	front->tls.files = front->tls.next;
	front->tls.file_count = front->tls.next_count;
	front->tls.next = NULL;
	front->tls.next_count = 0;
	front->tls.constant = tls_is_constant(conf, &arena);
	front->tls.complaints.shared = proofs_are_shared(conf, &arena);
	arena_free(&arena);
	for (size_t i = 0; conf->main.tls_certificate && front->tls.constant && good && i < conf->listener_count; i++) {
		struct tls_server *tls = for_port(front, conf, conf->listeners[i].address.port, conf->listeners[i].tls_on_connect, !first, error);
		good = tls != NULL;
		tls_server_unref(tls);
	}
	if (good || first) {
		front_files_free(&files, &count);
		/* Mail comes in all the same, in clear: STARTTLS gets 454 (Exim's manual, chapter 43). */
		if (!good)
			log_line(&front->role->log, LOG_KIND_PANIC, "TLS error: %s; STARTTLS is refused with 454", error->text);
		return true;
	}
	front_files_free(&front->tls.files, &front->tls.file_count);
	front->tls.files = files;
	front->tls.file_count = count;
	front->tls.constant = constant;
	front->tls.complaints.shared = shared;
	return false;
}
