/* SPDX-License-Identifier: ISC */
/*
 * A certificate taken apart for a person or an expansion: the fields of ${certextract} (Exim's manual, chapter 11 §5), with their
 * modifiers, as an Exim with OpenSSL writes them. What differs: the version counts from 1, as people do; alternative names
 * stand in the order of the certificate; in a part of a name that is chosen by its label only control
 * characters and backslashes are escaped.
 *
 * A certificate is its DER, as it came from a peer: nothing in it is trusted. No text that is given holds a NUL or another control
 * character, but for the separator of a list, the line ends of a signature, and what stands escaped; an alternative name
 * or an address with one is left out, for whoever reads it would take it for another.
 */
#ifndef POSTERN_TLS_CERTIFICATE_H
#define POSTERN_TLS_CERTIFICATE_H

#include "base/arena.h"
#include "base/error.h"

#include <openssl/x509.h>

enum {
	CERTIFICATE_DER_MAX = 128 * 1024, /* what is longer is not looked at */
	CERTIFICATE_NAME_MAX = 256,       /* of certificate_name, with its NUL */
};

enum certificate_answer {
	CERTIFICATE_HAS,   /* the text is set */
	CERTIFICATE_LACKS, /* the certificate has no such thing */
	CERTIFICATE_BAD,   /* *error: there is no such field or modifier, or it is no certificate */
};

/*
 * `field`: a name with modifiers after commas, "subject,CN", "notafter,int", "subj_altname,dns,>:". The text lies in `arena`.
 */
enum certificate_answer certificate_field(struct slice der, struct slice field, struct arena *arena, struct slice *text_r,
					  struct error *error);

/* Its subject in one line, "/C=XX/CN=mail.example.org", cut at CERTIFICATE_NAME_MAX; as $tls_in_peerdn has it. */
void certificate_name(const X509 *certificate, char out[CERTIFICATE_NAME_MAX]);
/*
 * Whether one of its names (common names, and alternative names that are DNS names, URIs or addresses) holds a NUL, which makes it
 * another name for whoever reads it as a C string.
 */
bool certificate_has_nul(const X509 *certificate);
/* The DER, in `arena`; empty when it cannot be written. */
struct slice certificate_der(const X509 *certificate, struct arena *arena);

#endif
