/* SPDX-License-Identifier: ISC */
#include "spool/envelope.h"

#include "base/crc32c.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const char hex_digits[] = "0123456789ABCDEF";

static bool needs_escape(char c)
{
	return (unsigned char)c < 32 || c == 127 || c == '%';
}

bool spool_value_encode(struct slice value, struct buf *out)
{
	size_t start = 0;
	for (size_t i = 0; i < value.len; i++) {
		if (!needs_escape(value.data[i]))
			continue;
		unsigned char byte = (unsigned char)value.data[i];
		char escape[3] = { '%', hex_digits[byte >> 4], hex_digits[byte & 15] };
		if (!buf_append(out, slice_make(value.data + start, i - start)) || !buf_append(out, slice_make(escape, 3)))
			return false;
		start = i + 1;
	}
	return buf_append(out, slice_from(value, start));
}

static int hex_value(char c)
{
	const char *at = c ? strchr(hex_digits, c) : NULL;
	return at ? (int)(at - hex_digits) : -1;
}

static bool decode(struct slice text, size_t max, struct arena *arena, struct slice *value_r)
{
	if (text.len > 3 * max)
		return false;
	char *out = arena_alloc(arena, text.len + 1);
	size_t len = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		if (c == '%') {
			int high = i + 2 < text.len ? hex_value(text.data[i + 1]) : -1;
			int low = i + 2 < text.len ? hex_value(text.data[i + 2]) : -1;
			if (high < 0 || low < 0)
				return false;
			c = (char)(high * 16 + low);
			if (!needs_escape(c))
				return false;
			i += 2;
		} else if (needs_escape(c)) {
			return false;
		}
		out[len++] = c;
	}
	if (len > max)
		return false;
	*value_r = slice_make(out, len);
	return true;
}

bool spool_value_decode(struct slice text, struct arena *arena, struct slice *value_r)
{
	return decode(text, SPOOL_VALUE_MAX, arena, value_r);
}

/* The kinds of value: `write` appends the encoded value, nothing when the field is to be left out. */
struct kind {
	bool (*write)(const void *value, struct buf *out);
	bool (*read)(struct slice text, struct arena *arena, void *value_r);
};

static bool write_text(const void *value, struct buf *out)
{
	const struct slice *text = value;
	return text->len <= SPOOL_VALUE_MAX && spool_value_encode(*text, out);
}

static bool read_text(struct slice text, struct arena *arena, void *value_r)
{
	return spool_value_decode(text, arena, value_r);
}

static bool write_id(const void *value, struct buf *out)
{
	const struct message_id *id = value;
	struct slice text = slice_make(id->text, strnlen(id->text, sizeof id->text));
	return message_id_valid(text) && buf_append(out, text);
}

static bool read_id(struct slice text, struct arena *arena, void *value_r)
{
	struct message_id *id = value_r;
	(void)arena;
	return message_id_valid(text) && slice_to_cstr(text, id->text, sizeof id->text);
}

static bool write_number(uint64_t number, struct buf *out)
{
	char digits[24];
	int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
	return buf_append(out, slice_make(digits, (size_t)len));
}

static bool read_number(struct slice text, uint64_t max, uint64_t *number_r)
{
	/* One form for each number: no leading zeros. */
	return text.len && (text.len == 1 || text.data[0] != '0') && slice_parse_u64(text, max, number_r);
}

static bool write_time(const void *value, struct buf *out)
{
	int64_t ns = *(const int64_t *)value;
	return ns >= 0 && write_number((uint64_t)ns, out);
}

static bool read_time(struct slice text, struct arena *arena, void *value_r)
{
	uint64_t number;
	(void)arena;
	if (!read_number(text, INT64_MAX, &number))
		return false;
	*(int64_t *)value_r = (int64_t)number;
	return true;
}

static bool write_port(const void *value, struct buf *out)
{
	uint16_t port = *(const uint16_t *)value;
	return port == 0 || write_number(port, out);
}

static bool read_port(struct slice text, struct arena *arena, void *value_r)
{
	uint64_t number;
	(void)arena;
	if (!read_number(text, UINT16_MAX, &number) || number == 0)
		return false;
	*(uint16_t *)value_r = (uint16_t)number;
	return true;
}

static bool write_flag(const void *value, struct buf *out)
{
	return !*(const bool *)value || buf_append(out, SLICE("yes"));
}

static bool read_flag(struct slice text, struct arena *arena, void *value_r)
{
	(void)arena;
	*(bool *)value_r = true;
	return slice_equal(text, SLICE("yes"));
}

static bool write_queue(const void *value, struct buf *out)
{
	const struct slice *name = value;
	return name->len == 0 || (queue_name_valid(*name) && buf_append(out, *name));
}

static bool read_queue(struct slice text, struct arena *arena, void *value_r)
{
	*(struct slice *)value_r = arena_copy(arena, text);
	return queue_name_valid(text);
}

static const struct kind id_kind = { write_id, read_id }, time_kind = { write_time, read_time },
	text_kind = { write_text, read_text }, queue_kind = { write_queue, read_queue }, port_kind = { write_port, read_port }, flag_kind = { write_flag, read_flag };

/* The fields in the order in which they are written; variables and recipients follow. */
static const struct field {
	struct slice name;
	size_t offset;
	const struct kind *kind;
	bool required;
} fields[] = {
	{ { "Id", 2 }, offsetof(struct spool_envelope, id), &id_kind, true },
	{ { "Received", 8 }, offsetof(struct spool_envelope, received_ns), &time_kind, true },
	{ { "Sender", 6 }, offsetof(struct spool_envelope, sender), &text_kind, true },
	{ { "Helo", 4 }, offsetof(struct spool_envelope, helo), &text_kind, false },
	{ { "Host-Name", 9 }, offsetof(struct spool_envelope, host_name), &text_kind, false },
	{ { "Host-Address", 12 }, offsetof(struct spool_envelope, host_address), &text_kind, false },
	{ { "Port", 4 }, offsetof(struct spool_envelope, port), &port_kind, false },
	{ { "Protocol", 8 }, offsetof(struct spool_envelope, protocol), &text_kind, false },
	{ { "Cipher", 6 }, offsetof(struct spool_envelope, cipher), &text_kind, false },
	{ { "Cipher-Standard", 15 }, offsetof(struct spool_envelope, cipher_standard), &text_kind, false },
	{ { "Peer-Name", 9 }, offsetof(struct spool_envelope, peer_name), &text_kind, false },
	{ { "Server-Name", 11 }, offsetof(struct spool_envelope, server_name), &text_kind, false },
	{ { "Authenticated", 13 }, offsetof(struct spool_envelope, authenticated), &text_kind, false },
	{ { "Authenticated-Id", 16 }, offsetof(struct spool_envelope, authenticated_id), &text_kind, false },
	{ { "Authenticated-Sender", 20 }, offsetof(struct spool_envelope, authenticated_sender), &text_kind, false },
	{ { "Verified", 8 }, offsetof(struct spool_envelope, verified), &flag_kind, false },
	{ { "Resumption", 10 }, offsetof(struct spool_envelope, tls_resumption), &port_kind, false },
	{ { "OCSP", 4 }, offsetof(struct spool_envelope, tls_ocsp), &port_kind, false },
	{ { "8BITMIME", 8 }, offsetof(struct spool_envelope, eight_bit_mime), &flag_kind, false },
	{ { "SMTPUTF8", 8 }, offsetof(struct spool_envelope, smtputf8), &flag_kind, false },
	{ { "Queue", 5 }, offsetof(struct spool_envelope, queue_name), &queue_kind, false },
	{ { "Queue-Only", 10 }, offsetof(struct spool_envelope, queue_only), &flag_kind, false },
	{ { "Frozen", 6 }, offsetof(struct spool_envelope, frozen), &flag_kind, false },
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

static bool format_field(const struct field *field, const struct spool_envelope *envelope, struct buf *out)
{
	if (!buf_append(out, field->name) || !buf_append(out, SLICE(": ")))
		return false;
	size_t before = buf_len(out);
	if (!field->kind->write((const char *)envelope + field->offset, out))
		return false;
	if (buf_len(out) == before && !field->required) {
		out->end -= field->name.len + 2;
		return true;
	}
	return buf_append_byte(out, '\n');
}

static bool is_variable_name(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.data[i]) && name.data[i] != '_')
			return false;
	return name.len > 0 && name.len <= SPOOL_VARIABLE_NAME_MAX;
}

/* "Acl: m_x=value", or "Acl-Tainted: ..." */
static bool format_variable(const struct spool_variable *variable, struct buf *out)
{
	return is_variable_name(variable->name) && variable->value.len <= SPOOL_VARIABLE_MAX &&
	       buf_append(out, variable->tainted ? SLICE("Acl-Tainted: ") : SLICE("Acl: ")) && buf_append(out, variable->name) &&
	       buf_append_byte(out, '=') && spool_value_encode(variable->value, out) && buf_append_byte(out, '\n');
}

static bool parse_variable(struct slice text, bool tainted, struct arena *arena, struct spool_envelope *envelope)
{
	struct spool_variable *variable = &envelope->variables[envelope->variable_count++];
	size_t equals = slice_find(text, '=');
	variable->tainted = tainted;
	variable->name = arena_copy(arena, slice_first(text, equals));
	return equals < text.len && is_variable_name(variable->name) &&
	       decode(slice_from(text, equals + 1), SPOOL_VARIABLE_MAX, arena, &variable->value);
}

bool spool_envelope_format(const struct spool_envelope *envelope, struct buf *out, struct error *error)
{
	size_t start = buf_len(out);
	if (envelope->recipient_count == 0 || envelope->recipient_count > SPOOL_RECIPIENTS_MAX)
		return error_set(error, ERROR_PERMANENT, "a message needs between 1 and %d recipients, this one has %zu",
				 SPOOL_RECIPIENTS_MAX, envelope->recipient_count);
	for (size_t i = 0; i < FIELDS; i++)
		if (!format_field(&fields[i], envelope, out))
			return error_set(error, ERROR_PERMANENT, "the envelope's %s cannot be stored", fields[i].name.data);
	if (envelope->variable_count > SPOOL_VARIABLES_MAX)
		return error_set(error, ERROR_PERMANENT, "the envelope has more than %d variables of ACLs", SPOOL_VARIABLES_MAX);
	for (size_t i = 0; i < envelope->variable_count; i++)
		if (!format_variable(&envelope->variables[i], out))
			return error_set(error, ERROR_PERMANENT, "the variable $acl_%.*s cannot be stored",
					 SLICE_ARG(slice_first(envelope->variables[i].name, SPOOL_VARIABLE_NAME_MAX)));
	for (size_t i = 0; i < envelope->recipient_count; i++) {
		struct slice address = envelope->recipients[i].address;
		if (address.len == 0 || address.len > SPOOL_VALUE_MAX || !buf_append(out, SLICE("To: ")) ||
		    !spool_value_encode(address, out) || !buf_append_byte(out, '\n'))
			return error_set(error, ERROR_PERMANENT, "recipient %zu of the envelope cannot be stored", i + 1);
	}
	if (buf_len(out) - start > SPOOL_ENVELOPE_MAX)
		return error_set(error, ERROR_PERMANENT, "the envelope is longer than %d bytes", SPOOL_ENVELOPE_MAX);
	return true;
}

static const struct field *find_field(struct slice name)
{
	for (size_t i = 0; i < FIELDS; i++)
		if (slice_equal(fields[i].name, name))
			return &fields[i];
	return NULL;
}

/* A name that came from the disk, made fit for an error text. */
static bool bad_field(struct error *error, const char *what, struct slice name)
{
	char shown[41];
	size_t len = name.len < sizeof shown - 1 ? name.len : sizeof shown - 1;
	for (size_t i = 0; i < len; i++)
		shown[i] = ascii_is_print(name.data[i]) ? name.data[i] : '?';
	shown[len] = '\0';
	return error_set(error, ERROR_PERMANENT, "%s \"%s\"", what, shown);
}

static bool parse_line(struct slice line, struct arena *arena, struct spool_envelope *envelope, unsigned *seen,
		       struct error *error)
{
	size_t colon = slice_find(line, ':');
	struct slice name = slice_first(line, colon), value = slice_from(line, colon + 2);
	if (colon + 1 >= line.len || line.data[colon + 1] != ' ')
		return bad_field(error, "no \"Name: value\" in the envelope's line", line);
	if (slice_equal(name, SLICE("To"))) {
		struct spool_recipient *recipient = &envelope->recipients[envelope->recipient_count++];
		if (!spool_value_decode(value, arena, &recipient->address) || recipient->address.len == 0)
			return bad_field(error, "bad value in the envelope's field", name);
		return true;
	}
	bool tainted = slice_equal(name, SLICE("Acl-Tainted"));
	if (tainted || slice_equal(name, SLICE("Acl")))
		return parse_variable(value, tainted, arena, envelope) || bad_field(error, "bad value in the envelope's field", name);
	const struct field *field = find_field(name);
	if (!field)
		return bad_field(error, "unknown field in the envelope:", name);
	unsigned bit = 1u << (field - fields);
	if (*seen & bit)
		return bad_field(error, "the envelope has twice the field", name);
	*seen |= bit;
	if ((value.len == 0 && !field->required) || !field->kind->read(value, arena, (char *)envelope + field->offset))
		return bad_field(error, "bad value in the envelope's field", name);
	return true;
}

/* Lines that begin so: the arrays of recipients and variables are made once, of the right size. */
static size_t count_lines(struct slice text, struct slice start)
{
	size_t count = 0;
	while (text.len)
		count += slice_starts(slice_cut(&text, '\n'), start);
	return count;
}

bool spool_envelope_parse(struct slice text, struct arena *arena, struct spool_envelope *envelope_r, struct error *error)
{
	struct spool_envelope envelope = { 0 };
	unsigned seen = 0;
	if (text.len > SPOOL_ENVELOPE_MAX || text.len == 0 || text.data[text.len - 1] != '\n')
		return error_set(error, ERROR_PERMANENT, "the envelope is empty, too long or cut off");
	size_t recipients = count_lines(text, SLICE("To: ")), variables = count_lines(text, SLICE("Acl"));
	if (recipients == 0 || recipients > SPOOL_RECIPIENTS_MAX)
		return error_set(error, ERROR_PERMANENT, "the envelope has %zu recipients, not 1 to %d", recipients,
				 SPOOL_RECIPIENTS_MAX);
	if (variables > SPOOL_VARIABLES_MAX)
		return error_set(error, ERROR_PERMANENT, "the envelope has more than %d variables of ACLs", SPOOL_VARIABLES_MAX);
	envelope.recipients = arena_array(arena, recipients, sizeof *envelope.recipients);
	envelope.variables = variables ? arena_array(arena, variables, sizeof *envelope.variables) : NULL;
	while (text.len)
		if (!parse_line(slice_cut(&text, '\n'), arena, &envelope, &seen, error))
			return false;
	for (size_t i = 0; i < FIELDS; i++)
		if (fields[i].required && !(seen & 1u << i))
			return bad_field(error, "the envelope lacks the field", fields[i].name);
	*envelope_r = envelope;
	return true;
}

void spool_header_format(const struct spool_header *header, char out[SPOOL_HEADER_LEN + 1])
{
	snprintf(out, SPOOL_HEADER_LEN + 1, "Postern-Message: 1 size=%020llu crc=%08x envelope=%08u\n",
		 (unsigned long long)header->body_size, header->crc, header->envelope_size);
}

bool spool_header_parse(struct slice line, struct spool_header *header_r)
{
	char again[SPOOL_HEADER_LEN + 1];
	uint64_t size, crc, envelope;
	if (line.len != SPOOL_HEADER_LEN || !slice_parse_u64(slice_make(line.data + 24, 20), INT64_MAX, &size) ||
	    !slice_parse_hex(slice_make(line.data + 49, 8), UINT32_MAX, &crc) ||
	    !slice_parse_u64(slice_make(line.data + 67, 8), SPOOL_ENVELOPE_MAX, &envelope))
		return false;
	*header_r = (struct spool_header){ size, (uint32_t)crc, (uint32_t)envelope };
	spool_header_format(header_r, again);
	return slice_equal(line, slice_make(again, SPOOL_HEADER_LEN));
}

uint32_t spool_header_crc(uint32_t crc, uint64_t body_size, uint32_t envelope_size)
{
	char line[SPOOL_HEADER_LEN + 1];
	spool_header_format(&(struct spool_header){ body_size, 0, envelope_size }, line);
	return crc32c(crc, line, SPOOL_HEADER_LEN);
}
