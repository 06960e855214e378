/* SPDX-License-Identifier: ISC */
#include "conf/print.h"

#include "base/interval.h"

static bool append_text(struct buf *out, struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		bool fits = c == '\n' ? buf_append(out, SLICE("\\n")) : c == '\t' ? buf_append(out, SLICE("\\t")) :
			    c < 32 || c == 127 ? buf_printf(out, "\\%03o", c) : buf_append_byte(out, (char)c);
		if (!fits)
			return false;
	}
	return true;
}

/* The value in the form in which Exim prints it, whatever the form in which it was written. */
bool conf_setting_value(const struct conf_setting *setting, bool privileged, struct buf *out)
{
	char text[64];
	struct error error;
	int64_t number;
	unsigned mode;
	if (setting->hidden && !privileged)
		return buf_append(out, SLICE("<value not displayable>"));
	if (!setting->text.data)
		return true;
	bool integer = setting->option->type == CONF_INTEGER || setting->option->type == CONF_EXPANDED_INTEGER;
	if (integer && conf_value_integer(setting->text, &number, &error))
		return buf_append(out, slice_make(text, conf_format_integer(number, text, sizeof text)));
	if (setting->option->type == CONF_TIME && conf_value_time(setting->text, &number, &error))
		return buf_append(out, slice_make(text, interval_format(number, text, sizeof text)));
	if (setting->option->type == CONF_OCTAL && conf_value_octal(setting->text, &mode, &error))
		return buf_printf(out, "%#o", mode);
	return append_text(out, setting->text);
}

static bool print_setting(const struct conf_setting *setting, unsigned flags, struct buf *out)
{
	const char *name = setting->option->name;
	bool privileged = flags & CONF_PRINT_PRIVILEGED;
	if (setting->option->type == CONF_BOOL && (!setting->hidden || privileged))
		return buf_printf(out, "%s%s\n", slice_equal(setting->text, SLICE("true")) ? "" : "no_", name);
	return (flags & CONF_PRINT_BARE || buf_printf(out, "%s = ", name)) && conf_setting_value(setting, privileged, out) && buf_append_byte(out, '\n');
}

static bool print_block(const struct conf_block *block, unsigned flags, struct buf *out)
{
	bool fits = true;
	for (size_t i = 0; fits && i < block->setting_count; i++)
		fits = print_setting(&block->settings[i], flags, out);
	return fits;
}

static bool print_main_option(const struct conf *conf, struct slice name, unsigned flags, struct buf *out,
			      struct error *error)
{
	for (size_t i = 0; i < conf->main_block.setting_count; i++) {
		const struct conf_setting *setting = &conf->main_block.settings[i];
		if (slice_equal(slice_of(setting->option->name), name))
			return print_setting(setting, flags, out) ||
			       error_set(error, ERROR_PERMANENT, "the value is too long");
	}
	const char *near = conf_option_nearest(name);
	if (conf_exim_has_main(name))
		return error_set(error, ERROR_USAGE, "Exim's option %.*s is not available in this version of Postern",
				 SLICE_ARG(name));
	return error_set(error, ERROR_USAGE, "%.*s is not a known option of the main section%s%s%s",
			 SLICE_ARG(slice_first(name, 64)), near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static bool print_list(const struct conf *conf, struct slice name, unsigned flags, struct buf *out, struct error *error)
{
	static const char *const words[LIST_KINDS] = {
		[LIST_HOST] = "hostlist", [LIST_DOMAIN] = "domainlist", [LIST_ADDRESS] = "addresslist",
		[LIST_LOCAL_PART] = "localpartlist", [LIST_STRING] = "list",
	};
	bool found = false, fits = true;
	for (size_t i = 0; i < conf->list_count; i++) {
		const struct conf_named_list *list = &conf->lists[i];
		if (!slice_equal(list->name, name))
			continue;
		found = true;
		fits = fits && (flags & CONF_PRINT_BARE || buf_printf(out, "%s %.*s = ", words[list->kind], SLICE_ARG(list->name))) &&
		       append_text(out, list->hidden && !(flags & CONF_PRINT_PRIVILEGED) ? SLICE("<value not displayable>") : list->text) &&
		       buf_append_byte(out, '\n');
	}
	if (!found)
		return error_set(error, ERROR_USAGE, "there is no named list %.*s", SLICE_ARG(slice_first(name, 64)));
	return fits || error_set(error, ERROR_PERMANENT, "the value is too long");
}

struct instances {
	const char *kind;
	const struct conf_block *blocks;
	size_t count;
};

static bool print_instances(struct instances instances, struct slice instance, unsigned flags, struct buf *out,
			    struct error *error)
{
	bool found = !instance.len, fits = true;
	for (size_t i = 0; i < instances.count; i++) {
		const struct conf_block *block = &instances.blocks[i];
		if (instance.len && !slice_equal(block->name, instance))
			continue;
		found = true;
		if (!instance.len)
			fits = fits && buf_printf(out, "\n%.*s %s:\n", SLICE_ARG(block->name), instances.kind);
		fits = fits && print_block(block, flags, out);
	}
	if (!found)
		return error_set(error, ERROR_USAGE, "there is no %s %.*s", instances.kind,
				 SLICE_ARG(slice_first(instance, 64)));
	return fits || error_set(error, ERROR_PERMANENT, "the text is too long");
}

static bool print_names(struct instances instances, struct buf *out, struct error *error)
{
	bool fits = true;
	for (size_t i = 0; i < instances.count; i++)
		fits = fits && buf_printf(out, "%.*s\n", SLICE_ARG(instances.blocks[i].name));
	return fits || error_set(error, ERROR_PERMANENT, "the text is too long");
}

bool conf_print(const struct conf *conf, struct slice name, struct slice instance, unsigned flags, struct buf *out,
		struct error *error)
{
	const struct instances all[] = {
		{ "router", conf->router_blocks, conf->router_count },
		{ "transport", conf->transport_blocks, conf->transport_count },
		{ "authenticator", conf->authenticator_blocks, conf->authenticator_count },
	};
	bool done;
	if (!name.len || slice_equal(name, SLICE("all")))
		return print_block(&conf->main_block, flags, out) ||
		       error_set(error, ERROR_PERMANENT, "the text is too long");
	if (name.data[0] == '+')
		return print_list(conf, slice_from(name, 1), flags, out, error);
	if (slice_equal(name, SLICE("macro")) && instance.len)
		return conf_print_macro(conf, instance, flags, out, error);
	if (conf_print_word(conf, name, flags, out, &done, error))
		return done;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct slice kind = slice_of(all[i].kind), rest = slice_from(name, kind.len);
		if (!slice_starts(name, kind))
			continue;
		if (slice_equal(rest, SLICE("s")))
			return print_instances(all[i], (struct slice){ 0 }, flags, out, error);
		if (slice_equal(rest, SLICE("_list")))
			return print_names(all[i], out, error);
		if (!rest.len)
			return print_instances(all[i], instance, flags, out, error);
	}
	return print_main_option(conf, name, flags, out, error);
}
