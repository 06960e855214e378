/* SPDX-License-Identifier: ISC */
/*
 * Parts of texts (length, substr, tr, listquote), and Exim's two old textual digests (hash, nhash), which spread keys over
 * directories and are no cryptography: their results must stay what they have always been, for directories are named after them.
 */
#include "expand/functions.h"

#include "base/cleanup.h"
#include "expand/items.h"

enum expand_result function_length(struct expand_call *call)
{
	int64_t count, unused;
	if (!expand_call_numbers(call, false, &count, &unused))
		return EXPAND_FAIL;
	return expand_call_give(call, slice_first(expand_call_text(call), (size_t)count));
}

/*
 * From `start`, which counts from the end when negative, `count` bytes; -1: to the end, or, with a negative start, all that
 * stands before it. What lies outside of the text is cut off.
 */
static struct slice substring(struct slice text, int64_t start, int64_t count)
{
	int64_t size = (int64_t)text.len;
	int64_t from = start >= 0 ? start : size + start;
	int64_t end = size;
	if (count >= 0)
		end = count < size - from ? from + count : size;
	else if (start < 0)
		end = from, from = 0;
	if (from < 0)
		from = 0;
	if (from >= size || end <= from)
		return SLICE("");
	return slice_first(slice_from(text, (size_t)from), (size_t)(end - from));
}

enum expand_result function_substr(struct expand_call *call)
{
	int64_t start, count;
	if (!expand_call_numbers(call, true, &start, &count))
		return EXPAND_FAIL;
	return expand_call_give(call, substring(expand_call_text(call), start, count));
}

/* In Exim's order, in which t stands before s. */
static const char hash_letters[] = "abcdefghijklmnopqrtsuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/*
 * The first `size` bytes, into which the rest is mixed byte by byte, round and round, each rotated by a number of bits that
 * depends on it and its place; then each becomes one of the first `letters` letters.
 */
static struct slice hash_text(struct arena *arena, struct slice text, size_t size, size_t letters)
{
	unsigned char *out = arena_alloc(arena, size + 1);
	memcpy(out, text.data, size);
	for (size_t i = size; i < text.len; i++) {
		/* Sums and shifts are those of a signed or unsigned char alike: only the low bits count. */
		unsigned byte = (unsigned char)text.data[i];
		unsigned shift = (byte + (unsigned)i) & 7;
		out[(i - size) % size] ^= (unsigned char)((byte << shift) | (byte >> (8 - shift)));
	}
	for (size_t i = 0; i < size; i++)
		out[i] = (unsigned char)hash_letters[out[i] % letters];
	return slice_make(out, size);
}

enum expand_result function_hash(struct expand_call *call)
{
	int64_t size, letters;
	if (!expand_call_numbers(call, false, &size, &letters))
		return EXPAND_FAIL;
	if (letters < 0)
		letters = 26;
	if (letters == 0 || letters > (int64_t)sizeof(hash_letters) - 1)
		return expand_fail(call, "hash count \"%jd\" too %s: it must be 1 to %zu", (intmax_t)letters,
				   letters == 0 ? "small" : "big", sizeof(hash_letters) - 1);
	struct slice text = expand_call_text(call);
	if (size >= (int64_t)text.len)
		return expand_call_give(call, text);
	if (size == 0)
		return expand_call_give_clear(call, SLICE(""));
	/* Letters and digits, but a peer who knows the method can choose which: the taint stays. */
	return expand_call_give(call, hash_text(call->arena, text, (size_t)size, (size_t)letters));
}

/* The sum of the bytes, each times one of the primes from 113 down to 3, round and round. */
static uint64_t hash_sum(struct slice text)
{
	static const unsigned char primes[] = { 113, 109, 107, 103, 101, 97, 89, 83, 79, 73, 71, 67, 61, 59, 53,
						47,  43,  41,  37,  31,	 29, 23, 19, 17, 13, 11, 7,  5,	 3 };
	uint64_t sum = 0;
	for (size_t i = 0; i < text.len; i++)
		sum += (uint64_t)primes[i % sizeof(primes)] * (unsigned char)text.data[i];
	return sum;
}

enum expand_result function_nhash(struct expand_call *call)
{
	int64_t first, second;
	if (!expand_call_numbers(call, false, &first, &second))
		return EXPAND_FAIL;
	if (first < 1 || first > INT32_MAX || second == 0 || second > INT32_MAX)
		return expand_fail(call, "the limits of nhash must be from 1 to %d", INT32_MAX);
	uint64_t sum = hash_sum(expand_call_text(call));
	if (second < 0)
		return expand_call_give_number(call, (int64_t)(sum % (uint64_t)first));
	sum %= (uint64_t)first * (uint64_t)second;
	return expand_call_give_clear(call, arena_printf(call->arena, "%ju/%ju", (uintmax_t)(sum / (uint64_t)second),
							 (uintmax_t)(sum % (uint64_t)second)));
}

enum expand_result item_tr(struct expand_call *call)
{
	struct slice text = call->arguments[0].text, from = call->arguments[1].text, to = call->arguments[2].text;
	if (to.len == 0 || from.len == 0)
		return expand_call_give(call, text);
	unsigned char map[256];
	for (size_t i = 0; i < sizeof(map); i++)
		map[i] = (unsigned char)i;
	for (size_t i = 0; i < from.len; i++)
		map[(unsigned char)from.data[i]] = (unsigned char)to.data[i < to.len ? i : to.len - 1];
	unsigned char *out = arena_alloc(call->arena, text.len + 1);
	for (size_t i = 0; i < text.len; i++)
		out[i] = map[(unsigned char)text.data[i]];
	return expand_call_give(call, slice_make(out, text.len));
}

enum expand_result item_listquote(struct expand_call *call)
{
	struct slice separator = call->arguments[0].text, text = call->arguments[1].text;
	if (text.len == 0)
		return expand_call_give(call, SLICE(" "));
	if (separator.len == 0)
		return expand_call_give(call, text);
	struct buf out _cleanup_(buf_free);
	buf_init(&out, text.len * 2);
	expand_list_append(&out, separator.data[0], true, text);
	return expand_call_give(call, arena_copy(call->arena, buf_slice(&out)));
}
