/* SPDX-License-Identifier: ISC */
/*
 * ${eval:}: precedence climbing over a table of the binary operators. Nothing wraps around: what does not fit into 64 bits is an
 * error, where C would leave the result undefined.
 */
#include "expand/eval.h"

struct evaluation {
	struct slice text;
	size_t at;
	bool decimal;
	unsigned depth;
	const char *problem; /* NULL as long as all is well */
};

typedef const char *apply_function(int64_t a, int64_t b, int64_t *value_r); /* the problem, or NULL */

static const char *apply_multiply(int64_t a, int64_t b, int64_t *value_r)
{
	return __builtin_mul_overflow(a, b, value_r) ? "overflow in product" : NULL;
}

static const char *apply_divide(int64_t a, int64_t b, int64_t *value_r)
{
	if (b == 0)
		return "divide by zero";
	if (a == INT64_MIN && b == -1)
		return "overflow in quotient";
	*value_r = a / b;
	return NULL;
}

static const char *apply_remainder(int64_t a, int64_t b, int64_t *value_r)
{
	if (b == 0)
		return "modulo by zero";
	*value_r = b == -1 ? 0 : a % b; /* INT64_MIN % -1 traps */
	return NULL;
}

static const char *apply_add(int64_t a, int64_t b, int64_t *value_r)
{
	return __builtin_add_overflow(a, b, value_r) ? "overflow in sum" : NULL;
}

static const char *apply_subtract(int64_t a, int64_t b, int64_t *value_r)
{
	return __builtin_sub_overflow(a, b, value_r) ? "overflow in difference" : NULL;
}

static const char *apply_left(int64_t a, int64_t b, int64_t *value_r)
{
	if (b < 0 || b > 63)
		return "shift by less than 0 or more than 63";
	*value_r = (int64_t)((uint64_t)a << b);
	return NULL;
}

static const char *apply_right(int64_t a, int64_t b, int64_t *value_r)
{
	if (b < 0 || b > 63)
		return "shift by less than 0 or more than 63";
	*value_r = a >> b;
	return NULL;
}

static const char *apply_and(int64_t a, int64_t b, int64_t *value_r)
{
	*value_r = a & b;
	return NULL;
}

static const char *apply_xor(int64_t a, int64_t b, int64_t *value_r)
{
	*value_r = a ^ b;
	return NULL;
}

static const char *apply_or(int64_t a, int64_t b, int64_t *value_r)
{
	*value_r = a | b;
	return NULL;
}

static const struct binary {
	const char *symbol;
	unsigned priority; /* larger binds tighter */
	apply_function *apply;
} binaries[] = {
	{ "*", 6, apply_multiply }, { "/", 6, apply_divide }, { "%", 6, apply_remainder }, { "+", 5, apply_add },
	{ "-", 5, apply_subtract }, { "<<", 4, apply_left },  { ">>", 4, apply_right },	   { "&", 3, apply_and },
	{ "^", 2, apply_xor },	    { "|", 1, apply_or },
};

static void skip_space(struct evaluation *e)
{
	while (e->at < e->text.len && ascii_is_space(e->text.data[e->at]))
		e->at++;
}

static bool take(struct evaluation *e, char c)
{
	if (e->at >= e->text.len || e->text.data[e->at] != c)
		return false;
	e->at++;
	return true;
}

static bool fail(struct evaluation *e, const char *problem)
{
	if (!e->problem)
		e->problem = problem;
	return false;
}

/* Octal when a zero is followed by an octal digit, hexadecimal when by "x" and a digit of it. */
static unsigned choose_base(struct evaluation *e)
{
	struct slice s = slice_from(e->text, e->at);
	if (e->decimal || s.len < 2 || s.data[0] != '0')
		return 10;
	if (s.len > 2 && ascii_lower(s.data[1]) == 'x' && ascii_digit_value(s.data[2]) < 16) {
		e->at += 2;
		return 16;
	}
	return 8;
}

static bool read_number(struct evaluation *e, int64_t *value_r)
{
	if (e->at >= e->text.len || !ascii_is_digit(e->text.data[e->at]))
		return fail(e, "expecting number or opening parenthesis");
	unsigned base = choose_base(e);
	int64_t value = 0;
	unsigned digit;
	while (e->at < e->text.len && (digit = ascii_digit_value(e->text.data[e->at])) < base) {
		if (__builtin_mul_overflow(value, (int64_t)base, &value) || __builtin_add_overflow(value, (int64_t)digit, &value))
			return fail(e, "number too large");
		e->at++;
	}
	static const char suffixes[] = "kmg";
	for (unsigned i = 0; i < 3 && e->at < e->text.len; i++) {
		if (ascii_lower(e->text.data[e->at]) != suffixes[i])
			continue;
		if (__builtin_mul_overflow(value, INT64_C(1) << (10 * (i + 1)), &value))
			return fail(e, "number too large");
		e->at++;
		break;
	}
	*value_r = value;
	return true;
}

static bool read_binary(struct evaluation *e, unsigned priority, int64_t *value_r);

static bool read_parenthesis(struct evaluation *e, int64_t *value_r)
{
	if (!read_binary(e, 1, value_r))
		return false;
	return take(e, ')') || fail(e, "expecting closing parenthesis");
}

static bool read_signed(struct evaluation *e, char sign, int64_t *value_r);

static bool read_unary(struct evaluation *e, int64_t *value_r)
{
	if (++e->depth > EXPAND_EVAL_DEPTH_MAX)
		return fail(e, "too deeply nested");
	skip_space(e);
	bool good;
	if (take(e, '-'))
		good = read_signed(e, '-', value_r);
	else if (take(e, '~'))
		good = read_signed(e, '~', value_r);
	else if (take(e, '('))
		good = read_parenthesis(e, value_r);
	else {
		/* A plus sign belongs to a number, and to nothing else. */
		if (e->at + 1 < e->text.len && e->text.data[e->at] == '+' && ascii_is_digit(e->text.data[e->at + 1]))
			e->at++;
		good = read_number(e, value_r);
	}
	e->depth--;
	skip_space(e);
	return good;
}

static bool read_signed(struct evaluation *e, char sign, int64_t *value_r)
{
	if (!read_unary(e, value_r))
		return false;
	if (sign == '~') {
		*value_r = ~*value_r;
		return true;
	}
	return !__builtin_sub_overflow((int64_t)0, *value_r, value_r) || fail(e, "overflow in negation");
}

static const struct binary *find_binary(const struct evaluation *e)
{
	struct slice rest = slice_from(e->text, e->at);
	for (size_t i = 0; i < sizeof(binaries) / sizeof(binaries[0]); i++)
		if (slice_starts(rest, slice_of(binaries[i].symbol)))
			return &binaries[i];
	return NULL;
}

/* Operands joined by operators of at least that priority, from left to right. */
static bool read_binary(struct evaluation *e, unsigned priority, int64_t *value_r)
{
	if (!read_unary(e, value_r))
		return false;
	const struct binary *binary;
	while ((binary = find_binary(e)) && binary->priority >= priority) {
		e->at += strlen(binary->symbol);
		int64_t right;
		if (!read_binary(e, binary->priority + 1, &right))
			return false;
		const char *problem = binary->apply(*value_r, right, value_r);
		if (problem)
			return fail(e, problem);
	}
	return true;
}

bool expand_eval(struct slice text, bool decimal, int64_t *value_r, struct error *error)
{
	struct evaluation e = { .text = text, .decimal = decimal };
	if (read_binary(&e, 1, value_r) && (e.at == text.len || fail(&e, "expecting operator")))
		return true;
	return error_set(error, ERROR_PERMANENT, "error in expression evaluation: %s (after processing \"%.*s\")", e.problem,
			 SLICE_ARG(slice_first(text, e.at < 200 ? e.at : 200)));
}
