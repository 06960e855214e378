/* SPDX-License-Identifier: ISC */
/* Punycode; the names of the numbers are those of RFC 3492 §5 and §6. */
#include "mail/punycode.h"

#include "mail/utf8.h"

enum { BASE = 36, TMIN = 1, TMAX = 26, SKEW = 38, DAMP = 700, INITIAL_BIAS = 72, INITIAL_N = 128 };

static uint32_t adapt(uint32_t delta, uint32_t count, bool first)
{
	delta = first ? delta / DAMP : delta / 2;
	delta += delta / count;
	uint32_t k = 0;
	for (; delta > (BASE - TMIN) * TMAX / 2; k += BASE)
		delta /= BASE - TMIN;
	return k + (BASE - TMIN + 1) * delta / (delta + SKEW);
}

static uint32_t threshold(uint32_t k, uint32_t bias)
{
	return k <= bias + TMIN ? TMIN : k >= bias + TMAX ? TMAX : k - bias;
}

static char digit(uint32_t value) { return (char)(value < 26 ? 'a' + value : '0' + value - 26); }

static uint32_t digit_value(char c)
{
	return ascii_is_alpha(c) ? (uint32_t)(ascii_lower(c) - 'a') : ascii_is_digit(c) ? (uint32_t)(c - '0') + 26 : BASE;
}

/* The characters of valid UTF-8; their number, or 0 when it is not valid. */
static size_t read_characters(struct slice text, uint32_t *out)
{
	size_t count = 0;
	while (text.len > 0) {
		size_t length = mail_utf8_char(text);
		if (length == 0)
			return 0;
		uint32_t c = (unsigned char)text.data[0] & (length == 1 ? 0x7fu : 0xffu >> (length + 1));
		for (size_t i = 1; i < length; i++)
			c = c << 6 | ((unsigned char)text.data[i] & 0x3f);
		out[count++] = c;
		text = slice_from(text, length);
	}
	return count;
}

static size_t write_character(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	size_t length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = length - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(0xf00u >> length | c);
	return length;
}

struct output {
	char data[MAIL_PUNYCODE_MAX * 8];
	size_t len;
};

static void write_delta(struct output *out, uint32_t delta, uint32_t bias)
{
	for (uint32_t k = BASE;; k += BASE) {
		uint32_t t = threshold(k, bias);
		if (delta < t)
			break;
		out->data[out->len++] = digit(t + (delta - t) % (BASE - t));
		delta = (delta - t) / (BASE - t);
	}
	out->data[out->len++] = digit(delta);
}

static uint32_t next_larger(const uint32_t *characters, size_t count, uint32_t n)
{
	uint32_t found = UINT32_MAX;
	for (size_t i = 0; i < count; i++)
		if (characters[i] >= n && characters[i] < found)
			found = characters[i];
	return found;
}

/* RFC 3492 §6.3. With at most 512 characters below 0x110000, delta stays far below 2^32. */
bool mail_punycode_encode(struct slice text, struct arena *arena, struct slice *out_r)
{
	uint32_t characters[MAIL_PUNYCODE_MAX];
	size_t count = text.len <= MAIL_PUNYCODE_MAX ? read_characters(text, characters) : 0;
	if (count == 0 && text.len > 0)
		return false;
	struct output out = { .len = 0 };
	for (size_t i = 0; i < count; i++)
		if (characters[i] < INITIAL_N)
			out.data[out.len++] = (char)characters[i];
	uint32_t basic = (uint32_t)out.len, handled = basic, n = INITIAL_N, delta = 0, bias = INITIAL_BIAS;
	if (basic > 0)
		out.data[out.len++] = '-';
	while (handled < count) {
		uint32_t m = next_larger(characters, count, n);
		delta += (m - n) * (handled + 1);
		n = m;
		for (size_t i = 0; i < count; i++) {
			if (characters[i] < n)
				delta++;
			if (characters[i] != n)
				continue;
			write_delta(&out, delta, bias);
			handled++;
			bias = adapt(delta, handled, handled == basic + 1);
			delta = 0;
		}
		delta++;
		n++;
	}
	*out_r = arena_copy(arena, slice_make(out.data, out.len));
	return true;
}

/* A number of variable length from *code; false when it ends too early or is too large. */
static bool read_delta(struct slice *code, uint32_t bias, uint32_t *delta_r)
{
	uint32_t delta = 0, weight = 1;
	for (uint32_t k = BASE;; k += BASE) {
		uint32_t value = code->len > 0 ? digit_value(*code->data) : BASE, step;
		*code = slice_from(*code, 1);
		if (value == BASE || __builtin_mul_overflow(value, weight, &step) || __builtin_add_overflow(delta, step, &delta))
			return false;
		uint32_t t = threshold(k, bias);
		if (value < t)
			break;
		if (__builtin_mul_overflow(weight, BASE - t, &weight))
			return false;
	}
	*delta_r = delta;
	return true;
}

/* RFC 3492 §6.2. */
bool mail_punycode_decode(struct slice code, struct arena *arena, struct slice *out_r)
{
	uint32_t characters[MAIL_PUNYCODE_MAX];
	if (code.len > MAIL_PUNYCODE_MAX)
		return false;
	size_t hyphen = slice_find_last(code, '-');
	size_t basic = hyphen < code.len ? hyphen : 0, count = 0;
	for (; count < basic; count++) {
		if ((unsigned char)code.data[count] >= INITIAL_N)
			return false;
		characters[count] = (unsigned char)code.data[count];
	}
	struct slice rest = slice_from(code, basic > 0 ? basic + 1 : 0);
	uint32_t n = INITIAL_N, i = 0, bias = INITIAL_BIAS;
	while (rest.len > 0) {
		uint32_t delta, size = (uint32_t)count + 1;
		if (!read_delta(&rest, bias, &delta) || __builtin_add_overflow(i, delta, &i))
			return false;
		bias = adapt(delta, size, i == delta); /* i was 0: only before the first */
		n += i / size;
		i %= size;
		if (n > 0x10ffff || n < INITIAL_N || (n >= 0xd800 && n <= 0xdfff))
			return false;
		memmove(characters + i + 1, characters + i, (count - i) * sizeof(characters[0]));
		characters[i++] = n;
		count++;
	}
	char *out = arena_alloc(arena, count * 4 + 1);
	size_t len = 0;
	for (size_t j = 0; j < count; j++)
		len += write_character(out + len, characters[j]);
	*out_r = slice_make(out, len);
	return true;
}
