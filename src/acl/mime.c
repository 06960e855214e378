/* SPDX-License-Identifier: ISC */
/*
 * The ACL for MIME parts (Exim's manual, chapter 45 §4 and §5): its conditions `decode` and `mime_regex`, and the variables of the part at
 * hand. Nothing is written to files: decode finds the size, and what is wrong with the encoding.
 */
#include "acl/content.h"

#include "mail/mime.h"

enum { DECODED_LOOKED_AT = 32 * 1024 };

void acl_session_mime(struct acl_session *session, const struct mime_part *part)
{
	struct acl_content *content = acl_content_of(session);
	content->mime = (struct acl_mime){ .part = part, .count = part ? part->count : content->mime.count, .seen = true };
}

static enum acl_step no_part(struct acl_run *run, const char *condition)
{
	return acl_broken(run, "%s: no MIME part is being checked", condition);
}

enum acl_step acl_decode_run(struct acl_run *run, const struct acl_item *item, struct expand_value value)
{
	struct acl_mime *mime = &acl_content_of(run->session)->mime;
	struct slice text = slice_trim(value.text);
	(void)item;
	if (!mime->part)
		return no_part(run, "decode");
	if (acl_content_is_off(text))
		return ACL_NO;
	if (text.data[0] == '/')
		return acl_broken(run, "decode: parts are decoded in memory, and not written to \"%.*s\"", SLICE_ARG(slice_first(text, 100)));
	mime->size = mime_decode(mime->part, mime->part->body.len, run->arena, &mime->anomaly).len;
	mime->decoded = true;
	return ACL_YES;
}

bool acl_mime_raw(const struct acl_run *run, struct slice *text_r)
{
	const struct acl_content *content = run->session->content_found;
	if (!content || !content->mime.part)
		return false;
	*text_r = content->mime.part->raw;
	return true;
}

bool acl_mime_decoded(struct acl_run *run, struct slice *text_r)
{
	const struct acl_content *content = run->session->content_found;
	const char *anomaly;
	if (!content || !content->mime.part)
		return false;
	*text_r = mime_decode(content->mime.part, DECODED_LOOKED_AT, run->arena, &anomaly);
	return true;
}

static struct slice flag(bool yes)
{
	return yes ? SLICE("1") : SLICE("0");
}

static struct slice number(struct acl_content *content, uint64_t value)
{
	return arena_printf(&content->arena, "%llu", (unsigned long long)value);
}

/* Of a part: false for other variables. */
static bool part_variable(struct acl_content *content, const struct mime_part *part, enum expand_variable variable, struct slice *text_r)
{
	const struct acl_mime *mime = &content->mime;
	const char *anomaly = part->anomaly ? part->anomaly : mime->anomaly;
	switch (variable) {
	case EXPAND_MIME_ANOMALY_LEVEL: *text_r = anomaly ? SLICE("1") : SLICE("0"); return true;
	case EXPAND_MIME_ANOMALY_TEXT: *text_r = anomaly ? slice_of(anomaly) : SLICE(""); return true;
	case EXPAND_MIME_BOUNDARY: *text_r = part->boundary; return true;
	case EXPAND_MIME_CHARSET: *text_r = part->charset; return true;
	case EXPAND_MIME_CONTENT_DESCRIPTION: *text_r = part->description; return true;
	case EXPAND_MIME_CONTENT_DISPOSITION: *text_r = part->disposition; return true;
	case EXPAND_MIME_CONTENT_ID: *text_r = part->id; return true;
	case EXPAND_MIME_CONTENT_SIZE: *text_r = mime->decoded ? number(content, (mime->size + 1023) / 1024) : SLICE(""); return true;
	case EXPAND_MIME_CONTENT_TRANSFER_ENCODING: *text_r = part->encoding; return true;
	case EXPAND_MIME_CONTENT_TYPE: *text_r = part->type; return true;
	case EXPAND_MIME_FILENAME: *text_r = part->filename; return true;
	case EXPAND_MIME_IS_COVERLETTER: *text_r = flag(part->coverletter); return true;
	case EXPAND_MIME_IS_MULTIPART: *text_r = flag(part->multipart); return true;
	case EXPAND_MIME_IS_RFC822: *text_r = flag(part->rfc822); return true;
	default: return false;
	}
}

bool acl_mime_variable(const struct acl_session *session, enum expand_variable variable, struct expand_value *value_r)
{
	struct acl_content *content = session->content_found;
	*value_r = (struct expand_value){ .tainted = true };
	if (variable == EXPAND_MIME_PART_COUNT) {
		*value_r = acl_text(content && content->mime.seen ? number(content, content->mime.count) : SLICE("-1"));
		return true;
	}
	if (content && content->mime.part)
		return part_variable(content, content->mime.part, variable, &value_r->text);
	return variable >= EXPAND_MIME_ANOMALY_LEVEL && variable <= EXPAND_MIME_IS_RFC822;
}
