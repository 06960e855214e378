/* SPDX-License-Identifier: ISC */
/* The options of routers and transports: generic ones, and those of each driver. */
#include "conf/conf.h"
#include "conf/tables.h"

#define OPTION(type, field) .name = #field, .offset = offsetof(struct type, field), .since = "0.1"
#define REFERENCE(text) .name = text, .type = CONF_NAME, .since = "0.1"

static const struct conf_option router_options[] = {
	{ REFERENCE("driver"), .help = "What the router does: accept.", .example = "accept" },
	{ OPTION(router, domains), .type = CONF_DOMAINS,
	  .help = "The router is for addresses of these domains. The item that matched is $domain_data later.",
	  .example = "+local_domains" },
	{ OPTION(router, local_parts), .type = CONF_LOCAL_PARTS,
	  .help = "The router is for these local parts. The item that matched is $local_part_data later; an item that "
		  "is an absolute path stands for the lines of that file.",
	  .example = "postmaster : abuse" },
	{ OPTION(router, check_local_user), .type = CONF_BOOL, .fallback = "false",
	  .help = "The router is for local parts that are users of this machine. Delivery then runs as that user, and "
		  "$home is the user's home directory.",
	  .example = "true" },
	{ REFERENCE("transport"), .help = "The transport that delivers what the router accepts.",
	  .example = "local_delivery" },
	{ OPTION(router, retry_use_local_part), .type = CONF_BOOL, .computed = "true where check_local_user is, otherwise false",
	  .help = "Whether a failure to route an address is remembered, and its retry rule chosen, for the whole "
		  "address rather than for its domain.",
	  .example = "true" },
	{ OPTION(router, more), .type = CONF_BOOL, .fallback = "true",
	  .help = "Whether an address that has the right domain but is not for this router is handed on to the next "
		  "one.",
	  .example = "false" },
};

const struct conf_table conf_table_router = {
	.title = "Generic options of routers",
	.options = router_options,
	.count = sizeof router_options / sizeof *router_options,
};

/* All that it does is in the generic options. */
const struct conf_table conf_table_router_accept = { .title = "Options of the accept router", .driver = "accept" };

static const struct conf_option transport_options[] = {
	{ REFERENCE("driver"), .help = "How the transport delivers: appendfile.", .example = "appendfile" },
	{ OPTION(transport, user), .type = CONF_USER,
	  .help = "The user that a delivery runs as, by name or number; never root. Needed when the server is started "
		  "as root, unless the router has check_local_user.",
	  .example = "1000" },
	{ OPTION(transport, group), .type = CONF_GROUP, .computed = "the user's group",
	  .help = "The group that a delivery runs as, by name or number.", .example = "1000" },
	{ OPTION(transport, return_path_add), .type = CONF_BOOL, .fallback = "false",
	  .help = "Put a Return-path: line with the envelope sender at the top of the delivered message (RFC 5321 "
		  "§4.4).",
	  .example = "true" },
	{ OPTION(transport, delivery_date_add), .type = CONF_BOOL, .fallback = "false",
	  .help = "Put a Delivery-date: line at the top of the delivered message.", .example = "true" },
	{ OPTION(transport, retry_use_local_part), .type = CONF_BOOL, .fallback = "true",
	  .help = "Whether a failure to deliver is remembered, and its retry rule chosen, for the whole address rather "
		  "than for its domain.",
	  .example = "false" },
	{ OPTION(transport, envelope_to_add), .type = CONF_BOOL, .fallback = "false",
	  .help = "Put an Envelope-to: line with the recipient at the top of the delivered message.", .example = "true" },
};

const struct conf_table conf_table_transport = {
	.title = "Generic options of transports", .options = transport_options,
	.count = sizeof transport_options / sizeof *transport_options,
};

static const struct conf_option appendfile_options[] = {
	{ OPTION(transport, directory), .type = CONF_EXPANDED, .place = EXPAND_PLACE_DELIVERY,
	  .help = "The Maildir to deliver into. Variables that a client chooses, such as $local_part, cannot be in "
		  "it: use $local_part_data and $domain_data, which come from the router's lists.",
	  .example = "/var/mail/$domain_data/$local_part_data" },
	{ OPTION(transport, maildir_format), .type = CONF_BOOL, .fallback = "false",
	  .help = "Deliver each message as a file of a Maildir. It must be set: this version has no other format.",
	  .example = "true" },
	{ OPTION(transport, create_directory), .type = CONF_BOOL, .fallback = "true",
	  .help = "Make the directory, and those above it, where they do not exist.", .example = "false" },
	{ OPTION(transport, directory_mode), .type = CONF_OCTAL, .fallback = "0700", .max = 07777,
	  .help = "The mode of directories that are made.", .example = "0750" },
	{ OPTION(transport, mode), .type = CONF_OCTAL, .fallback = "0600", .max = 07777,
	  .help = "The mode of files that are made.", .example = "0640" },
};

const struct conf_table conf_table_transport_appendfile = {
	.title = "Options of the appendfile transport", .driver = "appendfile", .options = appendfile_options,
	.count = sizeof appendfile_options / sizeof *appendfile_options,
};
