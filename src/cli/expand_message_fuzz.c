/* SPDX-License-Identifier: ISC */
/* A message of any bytes, and what expansions make of its header lines. */
#include "base/fatal.h"
#include "cli/expand_session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const strings[] = {
		"$h_subject:|$bh_subject:|$rh_subject:|$lh_subject:", "${addresses:$h_to:}", "$message_body$message_body_end",
		"${if def:h_from:{$reply_address}}", "$message_headers$message_headers_raw$received_count$body_linecount", "${listcount:$lh_received:}", "${rfc2047d:$rh_x:}",
	};
	struct conf conf = { .main = { .primary_hostname = SLICE("mx.test"), .qualify_domain = SLICE("x.test"), .message_body_visible = 50 } };
	const struct expand_program *program;
	struct expand_session session;
	struct expand_value value;
	struct error error;
	expand_session_init(&session, &conf);
	expand_session_take_message(&session, slice_make(data, size));
	ensure(session.message.headers.len <= size + 1);
	struct expand_context context = {
		.owner = &session, .variable = expand_session_variable, .named = expand_session_named, .headers = expand_session_headers,
	};
	for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
		if (expand_compile(&session.arena, slice_of(strings[i]), EXPAND_PLACE_DELIVERY, NULL, &program, &error, NULL))
			expand_run(program, &context, &session.arena, &value, &error);
	expand_session_free(&session);
	return 0;
}
