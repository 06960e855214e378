/* SPDX-License-Identifier: ISC */
#include "ipc/message.h"

#include <string.h>

const struct ipc_rule ipc_rules[IPC_TYPES] = {
#define M(name, NAME, from, to, fds, fields) { #name, from, to, fds },
	IPC_MESSAGES(M)
#undef M
};

const char *role_name(enum role role)
{
	static const char *const names[ROLE_COUNT] = { "master", "keeper", "front", "queue", "store", "lookup", "fetch", "run", "pam" };
	return role < ROLE_COUNT ? names[role] : "unknown";
}

bool ipc_is_secret(enum ipc_type type)
{
	/* A question of an expansion may be one about a password: ${if crypteq}, ${if pam}. */
	return type == IPC_CHECK_PASSWORD_MESSAGE || type == IPC_DERIVE_KEYS_MESSAGE || type == IPC_TRIED_MESSAGE ||
	       type == IPC_ASK_MESSAGE || type == IPC_DOVECOT_BEGIN_MESSAGE || type == IPC_DOVECOT_RESPONSE_MESSAGE;
}

static bool pack_number(struct buf *buf, uint64_t value)
{
	return buf_append(buf, slice_make(&value, sizeof value));
}

static bool pack_bytes(struct buf *buf, struct slice value)
{
	uint32_t len = (uint32_t)value.len;
	return value.len < IPC_MESSAGE_MAX && buf_append(buf, slice_make(&len, sizeof len)) && buf_append(buf, value);
}

static bool unpack_number(struct slice *body, uint64_t *value_r)
{
	if (body->len < sizeof *value_r)
		return false;
	memcpy(value_r, body->data, sizeof *value_r);
	*body = slice_from(*body, sizeof *value_r);
	return true;
}

static bool unpack_bytes(struct slice *body, struct slice *value_r)
{
	uint32_t len;
	if (body->len < sizeof len)
		return false;
	memcpy(&len, body->data, sizeof len);
	if (body->len - sizeof len < len)
		return false;
	*value_r = slice_first(slice_from(*body, sizeof len), len);
	*body = slice_from(*body, sizeof len + len);
	return true;
}

bool ipc_list_add(struct buf *buf, struct slice text)
{
	return pack_bytes(buf, text);
}

bool ipc_list_next(struct slice *list, struct slice *text_r)
{
	return unpack_bytes(list, text_r);
}

#define PACK(type, name) &&pack_##type(buf, message->name)
#define UNPACK(type, name) &&unpack_##type(&body, &message->name)
#define M(name, NAME, from, to, fds, fields)                                          \
	bool ipc_pack_##name(struct buf *buf, const void *fields_)                    \
	{                                                                             \
		const struct ipc_##name *message = fields_;                           \
		(void)buf;                                                            \
		(void)message;                                                        \
		return true fields(PACK);                                             \
	}                                                                             \
	bool ipc_unpack_##name(struct slice body, struct ipc_##name *message)         \
	{                                                                             \
		(void)message;                                                        \
		return true fields(UNPACK) && body.len == 0;                          \
	}
IPC_MESSAGES(M)
#undef M
