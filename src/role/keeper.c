/* SPDX-License-Identifier: ISC */
/*
 * The keeper: holds the private keys, and answers requests for signatures from the fronts. It has no network and no files;
 * the master hands it each key file as a descriptor, which is read, wiped from memory, and closed. RSA signatures, which
 * take fifty times as long as the others, are made on threads; ECDSA and Ed25519 are made at once.
 */
#include "base/cleanup.h"
#include "base/fatal.h"
#include "base/sanitize.h"
#include "role/process.h"
#include "task/offload.h"
#include "tls/former_keys.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

enum { KEY_FILE_MAX = 64 * 1024, SECURE_HEAP = 16 * 1024 * 1024 /* for KEYSTORE_MAX keys, three times */, RSA_AT_ONCE = 256 };

struct keeper {
	struct keystore *keys, *next;
	struct former_keys *former;
	bool forgetting;
	struct error problem; /* of a key of the next configuration */
	bool has_problem;
	unsigned rsa_under_way;
};

static bool keeper_start(struct role_process *role, struct error *error)
{
	(void)role;
	(void)error;
	/*
	 * Where memory may not be locked, keys are on the ordinary heap: still wiped, but not kept from swap. A leak check does not
	 * look for pointers in the secure heap, and OpenSSL has some there.
	 */
	if (!SANITIZED)
		CRYPTO_secure_malloc_init(SECURE_HEAP, 64);
	return true;
}

static bool read_key_file(int fd, const char *path, char *text, size_t *len_r, struct error *error)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(error, ERROR_USAGE, "%s is not a file", path);
	if (st.st_size > KEY_FILE_MAX)
		return error_set(error, ERROR_USAGE, "%s is too large for a private key", path);
	size_t len = 0;
	for (;;) {
		ssize_t n = pread(fd, text + len, KEY_FILE_MAX - len, (off_t)len);
		if (n < 0)
			return error_set_errno(error, errno, "reading %s", path);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*len_r = len;
	return true;
}

/* Reads the key into the store. False with *error. */
static bool read_key(struct keystore *store, const struct ipc_key *message, int fd, struct error *error)
{
	char path[1024];
	struct key_id id;
	size_t len = 0;
	if (!slice_to_cstr(message->path, path, sizeof path))
		return error_set(error, ERROR_USAGE, "the path of a private key is too long");
	char *text = OPENSSL_secure_zalloc(KEY_FILE_MAX);
	bool secure = text != NULL;
	if (!text)
		text = xcalloc(1, KEY_FILE_MAX);
	bool good = read_key_file(fd, path, text, &len, error) &&
		    keystore_add_pem(store, slice_make(text, len), path, &id, error);
	if (good && message->expected.len && !slice_equal(message->expected, slice_make(id.bytes, KEY_ID_LEN)))
		good = error_set(error, ERROR_USAGE, "the private key in %s does not belong to the certificate in %.*s", path,
				 SLICE_ARG(message->certificate_path));
	OPENSSL_cleanse(text, len);
	if (secure)
		OPENSSL_secure_free(text);
	else
		free(text);
	return good;
}

/* ---- Keys that have been replaced ---- */

static void forget_task(void *arg)
{
	struct keeper *keeper = arg;
	for (int64_t due; (due = former_keys_forget(&keeper->former, clock_now())) != CLOCK_NEVER;)
		task_sleep_until(due);
	keeper->forgetting = false;
}

/* `keys`: a reference that is taken; NULL: none were replaced. */
static void keep_former(struct role_process *role, struct keystore *keys)
{
	struct keeper *keeper = role->state;
	former_keys_add(&keeper->former, keys, clock_now());
	if (keeper->former && !keeper->forgetting) {
		keeper->forgetting = true;
		task_spawn(role->loop, forget_task, keeper, "former keys");
	}
}

/* The store with this key: the one in use, unless only a former one has it. */
static struct keystore *store_with(struct keeper *keeper, const struct key_id *id)
{
	struct keystore *former = keystore_has(keeper->keys, id) ? NULL : former_keys_with(keeper->former, id);
	return former ? former : keeper->keys;
}

/* While the server runs, a certificate has got another key, and no other has this one. */
static void take_replaced(struct role_process *role, struct slice body)
{
	struct keeper *keeper = role->state;
	struct ipc_key_replaced message;
	struct key_id id;
	if (!ipc_unpack_key_replaced(body, &message) || message.key.len != KEY_ID_LEN)
		fatal("the master's message about a replaced key is malformed");
	memcpy(id.bytes, message.key.data, KEY_ID_LEN);
	struct keystore *gone = keeper->keys ? keystore_only(keeper->keys, &id) : NULL;
	if (!gone)
		return;
	struct keystore *rest = keystore_without(keeper->keys, gone);
	keystore_free(keeper->keys);
	keeper->keys = rest ? rest : keystore_new();
	keep_former(role, gone);
}

/* A key for a certificate that is asked for, or has changed, while the server runs. */
static bool take_key_now(struct keeper *keeper, const struct ipc_key *message, int fd, struct error *error)
{
	struct keystore *keys = keystore_copy(keeper->keys);
	if (!read_key(keys, message, fd, error)) {
		keystore_free(keys);
		return false;
	}
	keystore_free(keeper->keys);
	keeper->keys = keys;
	return true;
}

static void take_key(struct role_process *role, struct ipc_incoming *incoming)
{
	struct keeper *keeper = role->state;
	struct ipc_key message;
	struct error error = { 0 };
	bool good;
	if (!ipc_unpack_key(incoming->body, &message) || incoming->fd_count != 1)
		fatal("the master's message about a key is malformed");
	if (incoming->call && keeper->keys) {
		good = take_key_now(keeper, &message, incoming->fds[0], &error);
	} else {
		if (!keeper->next)
			keeper->next = keystore_new();
		good = read_key(keeper->next, &message, incoming->fds[0], &error);
		if (!good && !keeper->has_problem)
			keeper->problem = error;
		keeper->has_problem = keeper->has_problem || !good;
		/* At the start a bad key must not keep mail in clear from coming in: its certificate is not used. */
		if (!good && !keeper->keys)
			log_line(&role->log, LOG_KIND_PANIC, "TLS error: %s; its certificate is not used, and without another one STARTTLS is refused with 454",
				 error.text);
	}
	struct ipc_key_taken answer = {
		.path = message.path, .certificate_path = message.certificate_path, .problem = good ? (struct slice){ 0 } : slice_of(error.text),
	};
	ipc_send(role->master, key_taken, KEY_TAKEN, incoming->call, &answer, NULL, 0);
}

static void keeper_material(struct role_process *role, struct ipc_incoming *incoming)
{
	if (incoming->type == IPC_KEY_MESSAGE)
		take_key(role, incoming);
	else if (incoming->type == IPC_KEY_REPLACED_MESSAGE)
		take_replaced(role, incoming->body);
}

static bool keeper_apply(struct role_process *role, struct error *error)
{
	struct keeper *keeper = role->state;
	struct keystore *next = keeper->next ? keeper->next : keystore_new();
	bool problem = keeper->has_problem;
	keeper->next = NULL;
	keeper->has_problem = false;
	/* A reload with a bad key is refused; at the start what can be used is used. */
	if (problem && keeper->keys) {
		keystore_free(next);
		*error = keeper->problem;
		return false;
	}
	keep_former(role, keeper->keys ? keystore_without(keeper->keys, next) : NULL);
	keystore_free(keeper->keys);
	keeper->keys = next;
	return true;
}

/* ---- Signing ---- */

struct signing {
	struct keeper *keeper;
	struct keystore *keys; /* a reference: a reload may come between */
	struct ipc_peer *peer;
	uint64_t call;
	struct sign_request request;
	char input[EVP_MAX_MD_SIZE];
	unsigned char signature[SIGNATURE_MAX];
	size_t length;
	struct error error;
};

static void answer(struct ipc_peer *peer, uint64_t call, const unsigned char *signature, size_t length, const struct error *error)
{
	struct ipc_signed message = {
		.signature = slice_make(signature, length),
		.problem = length ? (struct slice){ 0 } : slice_of(error->text),
	};
	ipc_send(peer, signed, SIGNED, call, &message, NULL, 0);
}

static void sign_on_thread(void *arg)
{
	struct signing *signing = arg;
	signing->length = keystore_sign(signing->keys, &signing->request, signing->signature, &signing->error);
}

static void sign_task(void *arg)
{
	struct signing *signing = arg;
	offload(sign_on_thread, signing);
	signing->keeper->rsa_under_way--;
	keystore_free(signing->keys);
	ipc_release(signing->peer);
	answer(signing->peer, signing->call, signing->signature, signing->length, &signing->error);
	free(signing);
}

static void from_front(void *owner, struct ipc_peer *peer, struct ipc_incoming *incoming)
{
	struct role_process *role = owner;
	struct keeper *keeper = role->state;
	struct ipc_sign message;
	struct error error = { .text = "malformed request" };
	unsigned char signature[SIGNATURE_MAX];
	if (!ipc_unpack_sign(incoming->body, &message) || message.key.len != KEY_ID_LEN || message.scheme > SCHEME_EDDSA ||
	    message.digest > INT32_MAX) {
		answer(peer, incoming->call, signature, 0, &error);
		return;
	}
	struct sign_request request = {
		.scheme = (enum signature_scheme)message.scheme, .digest = (int)message.digest, .input = message.input,
	};
	memcpy(request.key.bytes, message.key.data, KEY_ID_LEN);
	struct keystore *keys = store_with(keeper, &request.key);
	bool slow = request.scheme == SCHEME_RSA_PKCS1 || request.scheme == SCHEME_RSA_PSS;
	if (!slow || message.input.len > EVP_MAX_MD_SIZE || keeper->rsa_under_way >= RSA_AT_ONCE) {
		size_t length = keystore_sign(keys, &request, signature, &error);
		answer(peer, incoming->call, signature, length, &error);
		return;
	}
	struct signing *signing = xcalloc(1, sizeof *signing);
	*signing = (struct signing){ .keeper = keeper, .keys = keystore_ref(keys), .peer = peer, .request = request };
	signing->call = incoming->call;
	memcpy(signing->input, message.input.data, message.input.len);
	signing->request.input.data = signing->input;
	keeper->rsa_under_way++;
	ipc_hold(peer);
	task_spawn(role->loop, sign_task, signing, "rsa signature");
}

static void front_lost(void *owner, struct ipc_peer *peer)
{
	(void)owner;
	ipc_close_later(peer);
}

static const struct ipc_handler front_handler = { from_front, front_lost };

static void keeper_connected(struct role_process *role, int fd, enum role other, unsigned index, uid_t uid)
{
	(void)index;
	(void)uid;
	if (other != ROLE_FRONT)
		fatal("the keeper talks to fronts only");
	ipc_open(role->loop, fd, ROLE_KEEPER, ROLE_FRONT, &front_handler, role);
}

const struct role_ops keeper_ops = {
	.state_size = sizeof(struct keeper),
	.start = keeper_start,
	.material = keeper_material,
	.apply = keeper_apply,
	.connected = keeper_connected,
};
