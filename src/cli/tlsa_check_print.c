/* SPDX-License-Identifier: ISC */
#include "cli/tlsa_check.h"

#include "cli/json.h"

enum { OUTPUT_MAX = 16 * 1024 * 1024, SHORT_DATA = 64 };

static const char *const outcomes[] = {
	[TLSA_MATCHES] = "matches", [TLSA_DIFFERS] = "does not match", [TLSA_UNTRUSTED] = "matches, but cannot be trusted",
	[TLSA_OUTRANKED] = "not looked at, there is a stronger digest", [TLSA_UNUSABLE] = "passed over",
};
static const char *const outcome_words[] = {
	[TLSA_MATCHES] = "matches", [TLSA_DIFFERS] = "differs", [TLSA_UNTRUSTED] = "untrusted", [TLSA_OUTRANKED] = "outranked",
	[TLSA_UNUSABLE] = "unusable",
};
static const char *const fit_words[] = {
	[TLSA_FIT_NOT_ASKED] = "not-asked", [TLSA_FITS] = "fits", [TLSA_FIT_BROKEN] = "broken", [TLSA_FIT_UNKNOWN] = "unknown",
};
static const char *const verdict_words[] = {
	[TLSA_CHECK_GOOD] = "good", [TLSA_CHECK_BROKEN] = "broken", [TLSA_CHECK_NEXT_BREAKS] = "next-breaks",
	[TLSA_CHECK_UNUSED] = "unused", [TLSA_CHECK_UNKNOWN] = "unknown",
};

static const struct tlsa_checked *next_of(const struct tlsa_check *check)
{
	return check->command->next && check->count ? &check->checked[check->count - 1] : NULL;
}

/* "3 1 1 …" of a certificate that no record is for. */
static struct slice missing_text(struct tlsa_check *check, const struct tlsa_checked *one)
{
	struct tlsa_record record = { TLSA_DANE_EE, TLSA_PUBLIC_KEY, TLSA_SHA256,
				      tlsa_data(sk_X509_value(one->chain, 0), TLSA_PUBLIC_KEY, TLSA_SHA256, &check->arena) };
	return tlsa_text(&record, &check->arena);
}

/* Whether only the certificates of today match this record. */
static bool outdated(const struct tlsa_check *check, size_t record)
{
	const struct tlsa_checked *next = next_of(check);
	if (!next || next->verdicts[record].outcome == TLSA_MATCHES)
		return false;
	for (size_t i = 0; i + 1 < check->count; i++)
		if (check->checked[i].verdicts[record].outcome == TLSA_MATCHES)
			return true;
	return false;
}

static struct slice moment_text(struct tlsa_check *check, int64_t seconds)
{
	struct tm tm;
	time_t when = (time_t)seconds;
	if (!gmtime_r(&when, &tm))
		return (struct slice){ 0 };
	return arena_printf(&check->arena, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
			    tm.tm_min, tm.tm_sec);
}

/* ---- As text ---- */

static void print_record(struct tlsa_check *check, size_t index, struct buf *out)
{
	const struct tlsa_record *record = &check->set.records[index];
	struct slice text = tlsa_text(record, &check->arena);
	bool cut = text.len > 6 + 2 * SHORT_DATA;
	buf_printf(out, "  %.*s%s (%.*s)\n", SLICE_ARG(slice_first(text, 6 + 2 * SHORT_DATA)), cut ? "..." : "",
		   SLICE_ARG(tlsa_names(record, &check->arena)));
	for (size_t i = 0; i < check->count; i++) {
		const struct tlsa_verdict *verdict = &check->checked[i].verdicts[index];
		buf_printf(out, "      %s: %s", check->checked[i].what, outcomes[verdict->outcome]);
		buf_printf(out, verdict->why[0] ? ": %s\n" : "%s\n", verdict->why);
	}
}

static void print_set(struct tlsa_check *check, struct buf *out)
{
	const struct tlsa_set *set = &check->set;
	if (set->published != TLSA_PUBLISHED) {
		buf_printf(out, "%.*s: %.*s\n", SLICE_ARG(set->owner), SLICE_ARG(set->why));
		return;
	}
	buf_printf(out, "%.*s: %zu TLSA record%s, signed, for %lld seconds\n", SLICE_ARG(set->owner), set->count, set->count == 1 ? "" : "s",
		   (long long)set->ttl);
	for (size_t i = 0; i < set->count; i++)
		print_record(check, i, out);
}

static void print_roll_over(struct tlsa_check *check, const struct tlsa_checked *next, struct buf *out)
{
	const struct tlsa_set *set = &check->set;
	struct slice when = moment_text(check, check->now + set->ttl);
	size_t old = 0;
	if (next->fit == TLSA_FITS)
		buf_printf(out, "The next certificate fits. It is safe to take it into use when its record has been published for %lld seconds,\n"
				"the time for which caches may still have the records of before: at the latest from %.*s on.\n",
			   (long long)set->ttl, SLICE_ARG(when));
	else
		buf_printf(out, "The next certificate would break DANE. Publish beside the others, and keep them:\n  %.*s. %lld IN TLSA %.*s\n"
				"and take it into use %lld seconds after all name servers have that: if they have it now, from %.*s on.\n",
			   SLICE_ARG(set->owner), (long long)set->ttl, SLICE_ARG(missing_text(check, next)), (long long)set->ttl,
			   SLICE_ARG(when));
	for (size_t i = 0; i < set->count; i++)
		if (outdated(check, i))
			buf_printf(out, "%s  %.*s\n", old++ ? "" : "After the change these match nothing and can go:\n",
				   SLICE_ARG(tlsa_text(&set->records[i], &check->arena)));
}

static void print_verdict(struct tlsa_check *check, struct buf *out)
{
	const struct tlsa_checked *next = next_of(check);
	size_t served = check->count - (next ? 1 : 0);
	if (check->verdict == TLSA_CHECK_UNKNOWN) {
		buf_printf(out, "Nothing can be said: the records could not be looked up.\n");
		return;
	}
	if (check->unsigned_address)
		buf_printf(out, "The addresses of %s are not signed by DNSSEC: mail servers do not use DANE with it (RFC 7672, section 2.2.1).\n",
			   check->command->target.host);
	for (size_t i = 0; i < served; i++) {
		const struct tlsa_checked *one = &check->checked[i];
		if (one->fit == TLSA_FITS)
			buf_printf(out, "The certificate %s fits.\n", one->what);
		else if (one->fit == TLSA_FIT_BROKEN)
			buf_printf(out, "The certificate %s matches no record: DANE is broken, mail servers that use it refuse to deliver. Missing:\n"
					"  %.*s. IN TLSA %.*s\n",
				   one->what, SLICE_ARG(check->set.owner), SLICE_ARG(missing_text(check, one)));
	}
	if (next && next->fit != TLSA_FIT_NOT_ASKED)
		print_roll_over(check, next, out);
	else if (check->verdict == TLSA_CHECK_UNUSED)
		buf_printf(out, "DANE is not in use for this server%s\n", next ? "; the next certificate cannot break it." : ".");
}

static void print_text(struct tlsa_check *check, struct buf *out)
{
	buf_printf(out, "%s port %u: %.*s, %.*s%s\n", check->command->target.host, check->command->target.port, SLICE_ARG(check->address),
		   SLICE_ARG(check->version), probe_starts_with_smtp(&check->command->target) ? ", STARTTLS" : "");
	for (size_t i = 0; i < check->count; i++)
		buf_printf(out, "  %s: %.*s, key SHA-256 %.*s\n", check->checked[i].what, SLICE_ARG(check->checked[i].title),
			   SLICE_ARG(check->checked[i].key_sha256));
	print_set(check, out);
	print_verdict(check, out);
}

/* ---- As JSON ---- */

static void member(struct buf *out, const char *name, struct slice value, const char *end)
{
	json_name(out, name);
	json_string(out, value);
	buf_printf(out, "%s", end);
}

static void print_json_record(struct tlsa_check *check, size_t index, struct buf *out)
{
	const struct tlsa_record *record = &check->set.records[index];
	buf_append_byte(out, '{');
	member(out, "record", tlsa_text(record, &check->arena), ",");
	member(out, "names", tlsa_names(record, &check->arena), ",");
	buf_printf(out, "\"outdated_after_change\":%s,\"certificates\":[", outdated(check, index) ? "true" : "false");
	for (size_t i = 0; i < check->count; i++) {
		const struct tlsa_verdict *verdict = &check->checked[i].verdicts[index];
		buf_printf(out, "%s{\"certificate\":\"%s\",\"outcome\":\"%s\",", i ? "," : "", check->checked[i].what,
			   outcome_words[verdict->outcome]);
		member(out, "why", slice_of(verdict->why), "}");
	}
	buf_append(out, SLICE("]}"));
}

static void print_json_checked(struct tlsa_check *check, struct buf *out)
{
	for (size_t i = 0; i < check->count; i++) {
		const struct tlsa_checked *one = &check->checked[i];
		buf_printf(out, "%s{\"certificate\":\"%s\",", i ? "," : "", one->what);
		member(out, "title", one->title, ",");
		member(out, "key_sha256", one->key_sha256, ",");
		if (one->fit == TLSA_FIT_BROKEN)
			member(out, "missing", missing_text(check, one), ",");
		buf_printf(out, "\"fit\":\"%s\"}", fit_words[one->fit]);
	}
}

static void print_json(struct tlsa_check *check, struct buf *out)
{
	static const char *const published[] = { [TLSA_PUBLISHED] = "signed", [TLSA_ABSENT] = "absent", [TLSA_UNKNOWN] = "unknown" };
	const struct tlsa_set *set = &check->set;
	buf_append_byte(out, '{');
	member(out, "host", slice_of(check->command->target.host), ",");
	buf_printf(out, "\"port\":%u,", check->command->target.port);
	member(out, "address", check->address, ",");
	member(out, "version", check->version, ",");
	member(out, "owner", set->owner, ",");
	buf_printf(out, "\"published\":\"%s\",\"ttl\":%lld,\"addresses_signed\":%s,", published[set->published], (long long)set->ttl,
		   check->unsigned_address ? "false" : "true");
	member(out, "why", set->why, ",\"certificates\":[");
	print_json_checked(check, out);
	buf_append(out, SLICE("],\"records\":["));
	for (size_t i = 0; i < set->count; i++) {
		buf_append(out, i ? SLICE(",") : SLICE(""));
		print_json_record(check, i, out);
	}
	buf_append(out, SLICE("],"));
	if (next_of(check) && set->published == TLSA_PUBLISHED)
		member(out, "safe_from", moment_text(check, check->now + set->ttl), ",");
	buf_printf(out, "\"verdict\":\"%s\"}\n", verdict_words[check->verdict]);
}

void tlsa_check_print(struct tlsa_check *check)
{
	struct buf out;
	buf_init(&out, OUTPUT_MAX);
	if (check->command->json)
		print_json(check, &out);
	else
		print_text(check, &out);
	fwrite(out.data + out.start, 1, buf_len(&out), stdout);
	buf_free(&out);
}
