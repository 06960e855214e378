/* SPDX-License-Identifier: ISC */
/*
 * ${if pam}: PAM's word on a user and the answers to its questions. PAM and its modules block, change signal handlers, start programs and leak
 * what they allocate, so each check is a process of its own, forked from one that has no other threads, and killed at the deadline with
 * its group (a program that a module starts in a session of its own is that module's matter). It has no descriptors but the pipe on which it says what came out.
 */
#ifndef POSTERN_LOOKUP_PAM_H
#define POSTERN_LOOKUP_PAM_H

#include "expand/service.h"

/*
 * `service`: a name, as of a file in /etc/pam.d, or the path of such a file. Answers EXPAND_SERVICE_PAM on a task: EXPAND_OK with `found`
 * when PAM accepts the user and the account; EXPAND_DEFER where PAM cannot tell.
 */
enum expand_result lookup_check_pam(struct slice service, const struct expand_request *request, struct arena *arena,
				    struct expand_answer *answer_r, struct error *error);

#endif
