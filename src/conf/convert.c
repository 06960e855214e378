/* SPDX-License-Identifier: ISC */
#include "conf/parse.h"

#include "base/clock.h"
#include "base/escape.h"
#include "base/interval.h"

/* What a conversion works with. On failure it fills `error`. */
struct conversion {
	struct conf_parser *parser;
	struct arena *arena;
	const struct conf_option *option;
	struct slice text;
	bool instance; /* of a driver; otherwise of the main section */
	size_t column; /* of an error, the byte of the value, from 1; 0: not known */
	struct error error;
};

/* The services whose ports a mail server needs, so that a system without /etc/services does (RFC 6335, RFC 8314 §7). */
static const struct { const char *name; uint16_t port; } services[] = {
	{ "smtp", 25 }, { "smtps", 465 }, { "ssmtp", 465 }, { "submissions", 465 }, { "submission", 587 },
};

static bool in_range(struct conversion *conversion, int64_t value)
{
	const struct conf_option *option = conversion->option;
	char low[40], high[40];
	bool time = option->type == CONF_TIME;
	bool bounded = option->min || option->max;
	if (value >= option->min && (!bounded || value <= option->max))
		return true;
	(time ? interval_format : conf_format_integer)(option->min, low, sizeof low);
	(time ? interval_format : conf_format_integer)(option->max, high, sizeof high);
	if (bounded)
		return error_set(&conversion->error, ERROR_USAGE, "the value is out of range; expected %s to %s", low, high);
	return error_set(&conversion->error, ERROR_USAGE, "the value must not be negative");
}

static bool to_bool(struct conversion *conversion, void *field)
{
	return conf_value_bool(conversion->text, field, &conversion->error);
}

static bool to_integer(struct conversion *conversion, void *field)
{
	int64_t value;
	if (!conf_value_integer(conversion->text, &value, &conversion->error) || !in_range(conversion, value))
		return false;
	*(int64_t *)field = value;
	return true;
}

static bool number_in_range(int64_t value, int64_t min, int64_t max, struct error *error)
{
	char low[40], high[40];
	if (value >= min && ((min == 0 && max == 0) || value <= max))
		return true;
	conf_format_integer(min, low, sizeof low);
	conf_format_integer(max, high, sizeof high);
	return error_set(error, ERROR_USAGE, "the value %lld is out of range; expected %s to %s", (long long)value, low,
			 max ? high : "any number");
}

bool conf_number_value(const struct conf_number *number, const struct expand_context *context, struct arena *arena, int64_t *value_r,
		       struct error *error)
{
	struct expand_value text;
	*value_r = number->value;
	if (!number->program)
		return true;
	switch (expand_run(number->program, context, arena, &text, error)) {
	case EXPAND_OK: break;
	case EXPAND_FORCED_FAIL: return true;
	default: return false;
	}
	return (conf_value_integer(slice_trim(text.text), value_r, error) && number_in_range(*value_r, number->min, number->max, error)) ||
	       error_context(error, "the expansion gives \"%.*s\"", SLICE_ARG(slice_first(text.text, 100)));
}

static bool to_octal(struct conversion *conversion, void *field)
{
	unsigned value;
	if (!conf_value_octal(conversion->text, &value, &conversion->error) || !in_range(conversion, value))
		return false;
	*(unsigned *)field = value;
	return true;
}

static bool to_time(struct conversion *conversion, void *field)
{
	int64_t seconds;
	if (!conf_value_time(conversion->text, &seconds, &conversion->error) || !in_range(conversion, seconds))
		return false;
	*(int64_t *)field = seconds * CLOCK_SECOND;
	return true;
}

static bool to_fixed(struct conversion *conversion, void *field)
{
	return conf_value_fixed(conversion->text, field, &conversion->error);
}

static bool to_delays(struct conversion *conversion, void *field)
{
	return conf_value_delays(conversion->text, field, &conversion->error);
}

static bool to_string(struct conversion *conversion, void *field)
{
	*(struct slice *)field = conversion->text;
	return true;
}

static bool to_path(struct conversion *conversion, void *field)
{
	struct slice text = conversion->text;
	if (slice_find(text, '$') != text.len)
		return error_set(&conversion->error, ERROR_USAGE,
				 "expected a constant path: \"$\" is not expanded in this option in this "
				 "version of Postern");
	if (text.len && text.data[0] != '/')
		return error_set(&conversion->error, ERROR_USAGE,
				 "expected an absolute path, one that begins with \"/\"; found \"%.*s\"",
				 SLICE_ARG(slice_first(text, 100)));
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] < 32)
			return error_set(&conversion->error, ERROR_USAGE, "there is a control character in the path");
	if (text.len > 4000)
		return error_set(&conversion->error, ERROR_USAGE, "the path is too long");
	*(struct slice *)field = text;
	return true;
}

static bool to_choice(struct conversion *conversion, void *field)
{
	struct slice rest = slice_of(conversion->option->choices);
	while (rest.len) {
		struct slice choice = slice_cut(&rest, ' ');
		if (slice_equal_nocase(choice, conversion->text)) {
			*(struct slice *)field = choice;
			return true;
		}
	}
	return error_set(&conversion->error, ERROR_USAGE, "expected one of: %s", conversion->option->choices);
}

static bool to_strings(struct conversion *conversion, void *field)
{
	*(struct conf_strings *)field = conf_value_strings(conversion->arena, conversion->text);
	return true;
}

static bool port_number(struct conversion *conversion, struct slice item, uint16_t *port_r)
{
	uint64_t value = 0;
	struct slice fact;
	struct error why;
	bool numeric = slice_parse_u64(item, UINT16_MAX, &value);
	for (size_t i = 0; !numeric && i < sizeof services / sizeof *services; i++)
		if (slice_equal(item, slice_of(services[i].name)))
			value = services[i].port;
	if (!numeric && !value && item.len && item.len < 64 && !ascii_is_digit(item.data[0]) && item.data[0] != '-' &&
	    conf_source_fact(conversion->parser->source, CONF_FACT_SERVICE, item, &fact, &why) &&
	    !slice_parse_u64(fact, UINT16_MAX, &value))
		value = 0;
	if (!value)
		return error_set(&conversion->error, ERROR_USAGE,
				 "expected a port from 1 to 65535, or the name of a TCP service such as "
				 "smtp or submission; found \"%.*s\"",
				 SLICE_ARG(slice_first(item, 60)));
	*port_r = (uint16_t)value;
	return true;
}

static bool to_ports(struct conversion *conversion, void *field)
{
	struct conf_strings items = conf_value_strings(conversion->arena, conversion->text);
	uint16_t *ports = arena_array(conversion->arena, items.count + 1, sizeof *ports);
	if (items.count > 256)
		return error_set(&conversion->error, ERROR_USAGE, "more than 256 ports");
	for (size_t i = 0; i < items.count; i++)
		if (!port_number(conversion, items.items[i], &ports[i]))
			return false;
	*(struct conf_ports *)field = (struct conf_ports){ ports, items.count };
	return true;
}

static bool to_interfaces(struct conversion *conversion, void *field)
{
	struct conf_strings items = conf_value_strings(conversion->arena, conversion->text);
	struct net_address *addresses = arena_array(conversion->arena, items.count + 1, sizeof *addresses);
	if (items.count > 256)
		return error_set(&conversion->error, ERROR_USAGE, "more than 256 addresses");
	for (size_t i = 0; i < items.count; i++)
		if (!net_interface_parse(items.items[i], &addresses[i]))
			return error_set(&conversion->error, ERROR_USAGE,
					 "expected an IP address, alone or with a port as 127.0.0.1.2525 or "
					 "[::1]:2525; found \"%.*s\" (colons in a list are doubled, or the list begins with "
					 "\"<;\")",
					 SLICE_ARG(slice_first(items.items[i], 60)));
	*(struct conf_interfaces *)field = (struct conf_interfaces){ addresses, items.count };
	return true;
}

static bool to_expanded(struct conversion *conversion, void *field)
{
	return expand_compile(conversion->arena, conversion->text, conversion->option->place, &conversion->parser->conf->language,
			      field, &conversion->error, &conversion->column);
}

static bool to_expanded_integer(struct conversion *conversion, void *field)
{
	struct conf_number *number = field;
	*number = (struct conf_number){ .min = conversion->option->min, .max = conversion->option->max };
	if (slice_find(conversion->text, '$') == conversion->text.len)
		return to_integer(conversion, &number->value);
	return to_expanded(conversion, &number->program);
}

/* Found or compiled when all ACLs are known by their names (acls.c). */
static bool to_acl(struct conversion *conversion, void *field)
{
	return conf_acl_option(conversion->parser, conversion->text, field, &conversion->error);
}

static bool to_list(struct conversion *conversion, void *field)
{
	static const enum list_kind kinds[CONF_TYPES] = {
		[CONF_HOSTS] = LIST_HOST, [CONF_DOMAINS] = LIST_DOMAIN, [CONF_ADDRESSES] = LIST_ADDRESS,
		[CONF_LOCAL_PARTS] = LIST_LOCAL_PART,
	};
	struct list_scope scope = conversion->parser->scope;
	scope.place = conversion->instance ? EXPAND_PLACE_DELIVERY : EXPAND_PLACE_CONNECTION;
	if (conversion->option->place)
		scope.place = conversion->option->place;
	return list_compile(conversion->arena, kinds[conversion->option->type], conversion->text, &scope, field,
			    &conversion->error);
}

/* Names of drivers and transports have no field: they are resolved when all is read. */
static bool to_nothing(struct conversion *conversion, void *field)
{
	(void)conversion;
	(void)field;
	return true;
}

static const struct {
	bool (*convert)(struct conversion *conversion, void *field);
	bool scoped;
} conversions[CONF_TYPES] = {
	[CONF_BOOL] = { to_bool, false },
	[CONF_INTEGER] = { to_integer, false },
	[CONF_OCTAL] = { to_octal, false },
	[CONF_TIME] = { to_time, false },
	[CONF_FIXED] = { to_fixed, false },
	[CONF_DELAYS] = { to_delays, false },
	[CONF_STRING] = { to_string, false },
	[CONF_PATH] = { to_path, false },
	[CONF_CHOICE] = { to_choice, false },
	[CONF_STRINGS] = { to_strings, false },
	[CONF_PORTS] = { to_ports, false },
	[CONF_INTERFACES] = { to_interfaces, false },
	[CONF_EXPANDED] = { to_expanded, true },
	[CONF_EXPANDED_INTEGER] = { to_expanded_integer, true },
	[CONF_ACL] = { to_acl, true },
	[CONF_HOSTS] = { to_list, true },
	[CONF_DOMAINS] = { to_list, true },
	[CONF_ADDRESSES] = { to_list, true },
	[CONF_LOCAL_PARTS] = { to_list, true },
	[CONF_NAME] = { to_nothing, false },
	[CONF_USER] = { to_string, false },
	[CONF_GROUP] = { to_string, false },
};

bool conf_type_needs_scope(enum conf_type type)
{
	return conversions[type].scoped;
}

/* At the very column, where it is known; a macro in the line leaves only the count within the value. */
static void value_error(struct conf_parser *parser, const struct conf_setting *setting, struct slice label,
			const struct conversion *conversion)
{
	struct conf_place place = setting->place;
	if (conversion->column && setting->source && setting->raw.data) {
		size_t offset = (size_t)(setting->raw.data - setting->source->text.data);
		place = conf_source_spot(parser->source, setting->source,
					 offset + escape_offset(setting->raw, conversion->column - 1));
	}
	if (conversion->column && !place.column)
		conf_error(parser->problems, place, label, "at character %zu of the value: %s", conversion->column,
			   conversion->error.text);
	else
		conf_error(parser->problems, place, label, "%s", conversion->error.text);
}

bool conf_convert(struct conf_parser *parser, const struct conf_block *block, const struct conf_setting *setting, void *field)
{
	struct conversion conversion = {
		.parser = parser, .arena = &parser->conf->arena, .option = setting->option, .text = setting->text,
		.instance = block->name.len > 0,
	};
	if (conversions[setting->option->type].convert(&conversion, field))
		return true;
	value_error(parser, setting, conf_block_label(parser, block, slice_of(setting->option->name)), &conversion);
	return false;
}

void conf_convert_block(struct conf_parser *parser, const struct conf_block *block, void *object, bool scoped)
{
	for (size_t i = 0; i < block->setting_count; i++) {
		const struct conf_setting *setting = &block->settings[i];
		if (setting->text.data && conf_type_needs_scope(setting->option->type) == scoped)
			conf_convert(parser, block, setting, (char *)object + setting->option->offset);
	}
}
