/* SPDX-License-Identifier: ISC */
/* The chapter on lists. The examples are conditions, so that a test can run them. */
#include "conf/reference.h"

struct list_entry {
	const char *item;  /* how it is written */
	const char *kinds; /* of lists */
	const char *help;
	const char *example, *result;
};

static const struct list_entry entries[] = {
	{ "name", "domain, host, address, local part",
	  "The item itself, whatever the size of letters. In a host list a name stands for its addresses.",
	  "${if match_domain{EXAMPLE.org}{example.org}{yes}{no}}", "yes" },
	{ "*text", "domain, local part, address, host", "Whatever ends in that text. In a host list the name of the host is looked up.",
	  "${if match_domain{mail.example.org}{*.example.org}{$value}{no}}", "*.example.org" },
	{ "*", "all", "Everything.", "${if match_local_part{anyone}{*}{yes}{no}}", "yes" },
	{ "^expression", "domain, local part, address, host",
	  "What the regular expression (PCRE2) matches, whatever the size of letters unless it begins with (?-i). \\N on both sides keeps it "
	  "from being expanded.",
	  "${if match_domain{web12.example.org}{\\N^web(\\d+)\\.example\\.org$\\N}{$1}{no}}", "12" },
	{ "!item", "all", "Not that item: when it matches, the answer is no. A list that ends with such an item says yes at its end.",
	  "${if match_domain{a.example.org}{!a.example.org : *.example.org}{yes}{no}}", "no" },
	{ "+name", "all", "A named list of the same kind: `domainlist`, `hostlist`, `addresslist` or `localpartlist` in the main section.",
	  NULL, NULL },
	{ "/path", "all",
	  "The lines of that file as items; `#` begins a comment (after white space only in address and local part lists). The file is read "
	  "again when it has changed.",
	  NULL, NULL },
	{ "@", "domain, host", "The name of this host, primary_hostname.", "${if match_domain{$primary_hostname}{@}{yes}{no}}", "yes" },
	{ "@[]", "domain, host", "An address of this host; in a domain list in brackets, as a domain literal.",
	  "${if match_ip{127.0.0.1}{@[]}{yes}{no}}", "yes" },
	{ "@mx_any", "domain",
	  "A domain one of whose MX records points to this host; @mx_primary: one of the best does, @mx_secondary: another does. "
	  "/ignore= and a list of addresses may follow.",
	  NULL, NULL },
	{ "192.0.2.0/24", "host, match_ip", "A network, IPv4 or IPv6. Colons of IPv6 are doubled, or the separator is changed.",
	  "${if match_ip{2001:db8::7}{<; 192.0.2.0/24 ; 2001:db8::/32}{yes}{no}}", "yes" },
	{ "type;file", "all", "A lookup of the domain, address, local part or host name; it matches when the key is found.", NULL, NULL },
	{ "net-type;file", "host", "A lookup of the host's IP address; with `net24-` of its network, as in 192.0.2.0/24.", NULL, NULL },
	{ "type;query", "all", "A lookup with a query, which says itself what it looks for; it matches when there is a result.", NULL, NULL },
	{ "user@domain", "address", "Both parts; each may be a pattern as in the other lists, the domain a named list as well.",
	  "${if match_address{jane@example.org}{*@example.org}{yes}{no}}", "yes" },
	{ "@@type;file", "address", "The domain is looked up; what is found is a list of local parts.", NULL, NULL },
	{ "(empty)", "address, host", "The null sender; in a host list: no host at all, as for a message that came from a local program.",
	  "${if match_address{}{:}{yes}{no}}", "yes" },
	{ "+caseful", "address, local part", "From here on the size of letters in local parts matters.",
	  "${if match_local_part{Jane}{+caseful : jane}{yes}{no}}", "no" },
	{ "+ignore_unknown", "host", "From here on a host whose name, or a name whose address, cannot be found does not match.", NULL, NULL },
	{ "+include_unknown", "host", "From here on such a host matches.", NULL, NULL },
	{ "+ignore_defer", "host", "From here on a lookup that fails for now counts as no match.", NULL, NULL },
	{ "+include_defer", "host", "From here on a lookup that fails for now counts as a match.", NULL, NULL },
};

void reference_lists(struct manual *manual)
{
	char heading[64];
	manual_heading(manual, 2, "Lists");
	manual_paragraph(manual,
			 "A list is expanded, then split at colons; white space around items is dropped. A doubled colon stands for one in an "
			 "item, and a `<` with another character at the start makes that character the separator: `<; ::1 ; 192.0.2.1`. The "
			 "items are tried from left to right, and the first that matches decides.");
	manual_paragraph(manual, "`domainlist NAME = ITEMS`, and likewise `hostlist`, `addresslist` and `localpartlist`, give a list a name "
				 "in the main section; `+NAME` refers to it.");
	for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
		const struct list_entry *entry = &entries[i];
		snprintf(heading, sizeof heading, "`%s`", entry->item);
		manual_heading(manual, 3, heading);
		manual_paragraph(manual, "Lists: %s.", entry->kinds);
		manual_paragraph(manual, "%s", entry->help);
		if (entry->example)
			manual_example(manual, "%s\ngives: %s", entry->example, entry->result);
	}
}
