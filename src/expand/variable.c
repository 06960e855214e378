/* SPDX-License-Identifier: ISC */
#include "expand/variable.h"

#include "base/fatal.h"

#define TEXT EXPAND_TYPE_TEXT
#define NUMBER EXPAND_TYPE_NUMBER
#define LOAD EXPAND_PLACE_LOAD
#define CONNECTION EXPAND_PLACE_CONNECTION
#define ENVELOPE EXPAND_PLACE_ENVELOPE
#define DELIVERY EXPAND_PLACE_DELIVERY

static const struct expand_variable_info table[] = {
	{ "primary_hostname", EXPAND_PRIMARY_HOSTNAME, TEXT, LOAD, false,
	  "The host name that the configuration sets or the system has.",
	  "$primary_hostname ESMTP" },
	{ "qualify_domain", EXPAND_QUALIFY_DOMAIN, TEXT, LOAD, false,
	  "The domain added to addresses without one.",
	  "postmaster@$qualify_domain" },
	{ "spool_directory", EXPAND_SPOOL_DIRECTORY, TEXT, LOAD, false,
	  "The directory of the spool.",
	  "$spool_directory/input" },
	{ "version_number", EXPAND_VERSION_NUMBER, TEXT, LOAD, false,
	  "The version of this program.",
	  "Postern $version_number" },
	{ "pid", EXPAND_PID, NUMBER, CONNECTION, false,
	  "The number of the process that expands the string.",
	  "process $pid" },
	{ "tod_full", EXPAND_TOD_FULL, TEXT, CONNECTION, false,
	  "Date and time as in a Date: header line, local time.",
	  "ready at $tod_full" },
	{ "tod_log", EXPAND_TOD_LOG, TEXT, CONNECTION, false,
	  "Date and time as in log lines, local time.",
	  "[$tod_log]" },
	{ "tod_zulu", EXPAND_TOD_ZULU, TEXT, CONNECTION, false,
	  "Date and time in UTC, as 20261121100000Z.",
	  "$tod_zulu" },
	{ "tod_epoch", EXPAND_TOD_EPOCH, NUMBER, CONNECTION, false,
	  "Seconds since the start of 1970, UTC.",
	  "$tod_epoch" },
	{ "smtp_active_hostname", EXPAND_SMTP_ACTIVE_HOSTNAME, TEXT, CONNECTION, false,
	  "The host name that this server shows to the client.",
	  "$smtp_active_hostname ESMTP" },
	{ "sender_host_address", EXPAND_SENDER_HOST_ADDRESS, TEXT, CONNECTION, true,
	  "The client's IP address.",
	  "seen from $sender_host_address" },
	{ "sender_host_port", EXPAND_SENDER_HOST_PORT, NUMBER, CONNECTION, true,
	  "The client's port.",
	  "port $sender_host_port" },
	{ "sender_host_name", EXPAND_SENDER_HOST_NAME, TEXT, CONNECTION, true,
	  "The client's verified host name; empty when it is not known.",
	  "host $sender_host_name" },
	{ "sender_helo_name", EXPAND_SENDER_HELO_NAME, TEXT, CONNECTION, true,
	  "The name that the client gave in HELO or EHLO.",
	  "helo=$sender_helo_name" },
	{ "received_ip_address", EXPAND_RECEIVED_IP_ADDRESS, TEXT, CONNECTION, false,
	  "The address of this host to which the client connected.",
	  "on $received_ip_address" },
	{ "interface_address", EXPAND_RECEIVED_IP_ADDRESS, TEXT, CONNECTION, false,
	  "Older name of received_ip_address.",
	  "on $interface_address" },
	{ "received_port", EXPAND_RECEIVED_PORT, NUMBER, CONNECTION, false,
	  "The port to which the client connected.",
	  "port $received_port" },
	{ "interface_port", EXPAND_RECEIVED_PORT, NUMBER, CONNECTION, false,
	  "Older name of received_port.",
	  "port $interface_port" },
	{ "received_protocol", EXPAND_RECEIVED_PROTOCOL, TEXT, CONNECTION, false,
	  "How the message came: smtp, esmtp, esmtps, esmtpsa and so on (RFC 3848).",
	  "with $received_protocol" },
	{ "tls_in_cipher", EXPAND_TLS_IN_CIPHER, TEXT, CONNECTION, false,
	  "The cipher suite of the client's connection; empty in clear.",
	  "($tls_in_cipher)" },
	{ "tls_cipher", EXPAND_TLS_IN_CIPHER, TEXT, CONNECTION, false,
	  "Older name of tls_in_cipher.",
	  "($tls_cipher)" },
	{ "tls_in_ver", EXPAND_TLS_IN_VER, TEXT, CONNECTION, false,
	  "The TLS version of the client's connection, as TLS1.3.",
	  "($tls_in_ver)" },
	{ "tls_in_sni", EXPAND_TLS_IN_SNI, TEXT, CONNECTION, true,
	  "The server name that the client asked for in TLS.",
	  "for $tls_in_sni" },
	{ "tls_sni", EXPAND_TLS_IN_SNI, TEXT, CONNECTION, true,
	  "Older name of tls_in_sni.",
	  "for $tls_sni" },
	{ "sender_address", EXPAND_SENDER_ADDRESS, TEXT, ENVELOPE, true,
	  "The envelope sender; empty for a bounce.",
	  "<$sender_address>" },
	{ "sender_address_local_part", EXPAND_SENDER_ADDRESS_LOCAL_PART, TEXT, ENVELOPE, true,
	  "The envelope sender's local part.",
	  "$sender_address_local_part" },
	{ "sender_address_domain", EXPAND_SENDER_ADDRESS_DOMAIN, TEXT, ENVELOPE, true,
	  "The envelope sender's domain.",
	  "$sender_address_domain" },
	{ "message_exim_id", EXPAND_MESSAGE_EXIM_ID, TEXT, ENVELOPE, false,
	  "The message's identifier in logs and queue.",
	  "id $message_exim_id" },
	{ "message_id", EXPAND_MESSAGE_EXIM_ID, TEXT, ENVELOPE, false,
	  "Older name of message_exim_id.",
	  "id $message_id" },
	{ "message_size", EXPAND_MESSAGE_SIZE, NUMBER, ENVELOPE, false,
	  "The message's size in bytes.",
	  "size $message_size" },
	{ "recipients_count", EXPAND_RECIPIENTS_COUNT, NUMBER, ENVELOPE, false,
	  "How many recipients the message has.",
	  "$recipients_count recipients" },
	{ "local_part", EXPAND_LOCAL_PART, TEXT, ENVELOPE, true,
	  "The local part of the address being checked, routed or delivered.",
	  "for $local_part" },
	{ "local_part_data", EXPAND_LOCAL_PART_DATA, TEXT, ENVELOPE, false,
	  "The local part as the configuration or the user database wrote it; safe in a path.",
	  "/var/mail/$local_part_data" },
	{ "domain", EXPAND_DOMAIN, TEXT, ENVELOPE, true,
	  "The domain of the address being checked, routed or delivered.",
	  "at $domain" },
	{ "domain_data", EXPAND_DOMAIN_DATA, TEXT, ENVELOPE, false,
	  "The domain as the matching list of the configuration wrote it; safe in a path.",
	  "/var/mail/$domain_data" },
	{ "home", EXPAND_HOME, TEXT, DELIVERY, false,
	  "The home directory of the local user that the router found.",
	  "$home/Maildir" },
};

enum { ROWS = sizeof table / sizeof *table };

const struct expand_variable_info *expand_variables(size_t *count_r)
{
	*count_r = ROWS;
	return table;
}

const struct expand_variable_info *expand_variable_find(struct slice name)
{
	for (size_t i = 0; i < ROWS; i++)
		if (slice_equal(slice_of(table[i].name), name))
			return &table[i];
	return NULL;
}

const struct expand_variable_info *expand_variable_info(enum expand_variable variable)
{
	for (size_t i = 0; i < ROWS; i++)
		if (table[i].variable == variable)
			return &table[i];
	fatal("no variable has slot %d", (int)variable);
}

const char *expand_variable_nearest(struct slice name)
{
	const char *nearest = NULL;
	size_t best = name.len / 3 + 1; /* a third of the letters wrong is still a typing error */
	for (size_t i = 0; i < ROWS; i++) {
		size_t distance = slice_edit_distance(name, slice_of(table[i].name));
		if (distance <= best && (!nearest || distance < best)) {
			best = distance;
			nearest = table[i].name;
		}
	}
	return nearest;
}

const char *expand_place_text(enum expand_place place)
{
	static const char *const texts[EXPAND_PLACES] = {
		[EXPAND_PLACE_LOAD] = "while the configuration is read",
		[EXPAND_PLACE_CONNECTION] = "while a client is connected",
		[EXPAND_PLACE_ENVELOPE] = "while an address is checked",
		[EXPAND_PLACE_DELIVERY] = "while an address is routed or delivered",
	};
	return texts[place];
}
