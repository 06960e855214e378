/* SPDX-License-Identifier: ISC */
/*
 * What is read from a ClientHello, and the choice by its name. The input is built into a ClientHello that is well formed outside, so that
 * OpenSSL gets as far as the callback: a byte of flags, one for how it is cut into pieces, the suites (a byte of length before
 * them), and extensions: a byte for the type, two of length, the body.
 *
 * A connection that begins with one context and is restarted with another must end as one that began with the other.
 */
#include "tls/hello.h"
#include "tls/mini_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum choice { CHOOSE = 1, CHOOSE_OTHER = 2, CHOOSE_NONE = 4, BEGIN_STRICT = 8 };

enum { HELLO_BYTES_MAX = 70000, EXTENSIONS_MAX = 65535 };

struct attempt {
	struct slice bytes;
	unsigned choice, step, asked;
	struct mini_world *world;
	unsigned char first[6]; /* of what the server sent */
};

static void check_name(struct slice name)
{
	struct tls_host_name host, parent;
	ensure(name.len > 0 && name.len <= HELLO_NAME_MAX);
	if (!tls_host_name_of(name, &host))
		return;
	struct slice text = slice_of(host.text);
	ensure(text.len && text.len <= name.len && text.data[0] != '.' && slice_find(text, '/') == text.len && !strstr(host.text, ".."));
	ensure(!tls_host_name_parent(&host, &parent) || strchr(parent.text, '.'));
}

static struct tls_server *choose(void *owner, struct slice name, struct error *error)
{
	struct attempt *attempt = owner;
	ensure(attempt->asked++ == 0);
	check_name(name);
	task_yield();
	if (attempt->choice & CHOOSE_NONE) {
		error_set(error, ERROR_USAGE, "no certificate");
		return NULL;
	}
	bool strict = attempt->choice & CHOOSE_OTHER ? !(attempt->choice & BEGIN_STRICT) : attempt->choice & BEGIN_STRICT;
	return tls_server_ref(attempt->world->servers[strict ? MINI_STRICT : MINI_USUAL]);
}

static void send_hello(struct mini_connection *connection)
{
	struct attempt *attempt = connection->owner;
	char waste[4096];
	size_t seen = 0, n;
	if (!mini_send(connection, attempt->bytes, attempt->step))
		return;
	shutdown(connection->client_fd, SHUT_WR);
	while ((n = mini_receive(connection, waste, sizeof waste))) {
		for (size_t i = 0; i < n && seen < sizeof attempt->first; i++)
			attempt->first[seen++] = (unsigned char)waste[i];
	}
}

static void try(struct attempt *attempt, struct mini_connection *connection)
{
	const struct tls_choice choice = { .choose = choose, .owner = attempt };
	attempt->world = mini_world();
	*connection = (struct mini_connection){
		.world = attempt->world, .server = attempt->world->servers[attempt->choice & BEGIN_STRICT ? MINI_STRICT : MINI_USUAL],
		.choice = attempt->choice & CHOOSE ? &choice : NULL, .client = send_hello, .owner = attempt,
	};
	mini_meet(connection);
	/* Nobody gets to the end of a handshake with a ClientHello alone. */
	ensure(!connection->done);
	mini_check_line(connection->error.text);
}

static void put(struct buf *out, size_t value, int bytes)
{
	while (bytes--) {
		char byte = (char)(value >> 8 * bytes);
		ensure(buf_append(out, slice_make(&byte, 1)));
	}
}

/* RFC 8446 §4.1.2, in records of 16 KiB. */
static void build(struct slice input, struct buf *out)
{
	static const unsigned short types[] = { 0, 10, 43, 16, 51, 13, 41, 45, 42, 21, 5, 11, 22, 23, 35, 0xff01, 50, 47, 49, 0x7a7a };
	static const char random[32] = "random";
	struct buf extensions, message;
	buf_init(&extensions, EXTENSIONS_MAX);
	buf_init(&message, HELLO_BYTES_MAX);
	size_t length = input.len ? (unsigned char)input.data[0] & 0xfeu : 0;
	struct slice suites = slice_first(slice_from(input, 1), length);
	input = slice_from(input, 1 + suites.len);
	suites.len &= ~(size_t)1;
	while (input.len >= 3) {
		const unsigned char *head = (const unsigned char *)input.data;
		struct slice body = slice_first(slice_from(input, 3), (size_t)head[1] << 8 | head[2]);
		input = slice_from(input, 3 + body.len);
		if (buf_len(&extensions) + 4 + body.len > EXTENSIONS_MAX)
			break;
		put(&extensions, types[head[0] % (sizeof types / sizeof types[0])], 2);
		put(&extensions, body.len, 2);
		ensure(buf_append(&extensions, body));
	}
	put(&message, 0x0303, 2);
	ensure(buf_append(&message, slice_make(random, sizeof random)));
	put(&message, 0, 1);
	put(&message, suites.len, 2);
	ensure(buf_append(&message, suites));
	put(&message, 0x0100, 2);
	put(&message, buf_len(&extensions), 2);
	ensure(buf_append(&message, buf_slice(&extensions)));
	struct buf whole;
	buf_init(&whole, HELLO_BYTES_MAX);
	put(&whole, 1, 1);
	put(&whole, buf_len(&message), 3);
	ensure(buf_append(&whole, buf_slice(&message)));
	for (struct slice rest = buf_slice(&whole); rest.len; rest = slice_from(rest, 16384)) {
		put(out, 0x160301, 3);
		put(out, rest.len < 16384 ? rest.len : 16384, 2);
		ensure(buf_append(out, slice_first(rest, 16384)));
	}
	buf_free(&extensions);
	buf_free(&message);
	buf_free(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mini_connection first, second;
	struct buf bytes;
	if (size < 3 || size > 66000)
		return 0;
	buf_init(&bytes, HELLO_BYTES_MAX + 64);
	build(slice_make(data + 2, size - 2), &bytes);
	struct attempt attempt = { .bytes = buf_slice(&bytes), .choice = data[0], .step = data[1] };
	try(&attempt, &first);
	if (attempt.asked && !(attempt.choice & CHOOSE_NONE)) {
		unsigned other = attempt.choice & CHOOSE_OTHER ? BEGIN_STRICT : 0;
		struct attempt again = { .bytes = attempt.bytes, .choice = (attempt.choice ^ other) & BEGIN_STRICT };
		try(&again, &second);
		ensure(strcmp(first.error.text, second.error.text) == 0);
		ensure(memcmp(attempt.first, again.first, 3) == 0);
	}
	buf_free(&bytes);
	return 0;
}
