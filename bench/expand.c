/* SPDX-License-Identifier: ISC */
/*
 * How many expansions a second one core does: each string below is compiled once and evaluated for about a second, with an arena
 * that is emptied after each as a session does. The first is the one that has a target: a million a second.
 *
 *   meson configure build -Dbenchmarks=true && ninja -C build expand && build/expand [STRING...]
 *
 * For Exim beside it, give it a file of the same string many times and take the time: exim -be < file.
 */
#include "base/clock.h"
#include "expand/expand.h"
#include "expand/regex.h"

#include <stdio.h>

enum { ROUND = 10000 };

static struct expand_value variable(void *owner, enum expand_variable variable)
{
	(void)owner;
	switch (variable) {
	case EXPAND_SENDER_ADDRESS: return (struct expand_value){ SLICE("Firstname.Lastname@Mail.Example.COM"), true };
	case EXPAND_PRIMARY_HOSTNAME: return (struct expand_value){ SLICE("mx.example"), false };
	default: return (struct expand_value){ 0 };
	}
}

static bool measure(const char *text, const struct expand_language *language)
{
	struct arena program_arena, arena;
	const struct expand_program *program;
	struct expand_context context = { .variable = variable, .language = language };
	struct expand_value value = { 0 };
	struct error error;
	size_t column, count = 0;
	enum expand_result result = EXPAND_FAIL;
	arena_init(&program_arena, 0);
	arena_init(&arena, 0);
	bool compiled = expand_compile(&program_arena, slice_of(text), EXPAND_PLACE_DELIVERY, language, &program, &error, &column);
	int64_t start = clock_now(), now = start;
	while (compiled && now - start < CLOCK_SECOND) {
		for (int i = 0; i < ROUND; i++) {
			arena_reset(&arena);
			result = expand_run(program, &context, &arena, &value, &error);
		}
		count += ROUND;
		now = clock_now();
	}
	if (result == EXPAND_OK)
		printf("%10.0f a second  %s -> \"%.*s\"\n", (double)count * 1e9 / (double)(now - start), text, SLICE_ARG(value.text));
	else
		fprintf(stderr, "%s: %s\n", text, error.text);
	arena_free(&arena);
	arena_free(&program_arena);
	return result == EXPAND_OK;
}

int main(int argc, char **argv)
{
	static const char *const usual[] = {
		"${if match{$sender_address}{^([^@]+)@(.*)\\$}{${lc:$2}}{none}}",
		"$primary_hostname",
		"/var/mail/$sender_address_domain/$sender_address",
		"${if eq{$sender_address}{}{bounce}{mail}}",
		"${if inlist{c}{a:b:c:d:e}{$value}}",
		"${map{a:b:c:d:e}{[$item]}}",
		"${extract{2}{@}{$sender_address}}",
		"${sg{$sender_address}{[A-Z]}{x}}",
	};
	struct expand_language language = { .scratch = regex_scratch_new() };
	bool good = true;
	for (int i = 1; i < argc; i++)
		good &= measure(argv[i], &language);
	for (size_t i = 0; argc < 2 && i < sizeof usual / sizeof *usual; i++)
		good &= measure(usual[i], &language);
	regex_scratch_free(&language.scratch);
	return good ? 0 : 1;
}
