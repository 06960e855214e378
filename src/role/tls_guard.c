/* SPDX-License-Identifier: ISC */
#include "role/tls_guard.h"

#include "role/master.h"
#include "tls/tlsa_guard.h"

#define GUARD_TIMEOUT (30 * CLOCK_SECOND)

static enum tlsa_fit ask(struct master *master, int fd, struct error *error)
{
	struct child *lookup = child_find(master, ROLE_LOOKUP, 0);
	struct ipc_tlsa_check message = { .deadline = (uint64_t)clock_after(GUARD_TIMEOUT - CLOCK_SECOND) };
	struct ipc_reply reply = { 0 };
	struct ipc_tlsa_checked answer;
	enum tlsa_fit fit = TLSA_FIT_UNKNOWN;
	error_set(error, ERROR_TEMPORARY, "DANE: the lookup role gave no answer");
	if (!lookup || !lookup->ready || !lookup->peer)
		return fit;
	if (ipc_call(lookup->peer, tlsa_check, TLSA_CHECK, &message, &fd, 1, clock_after(GUARD_TIMEOUT), &reply) == 0 &&
	    reply.type == IPC_TLSA_CHECKED_MESSAGE && ipc_unpack_tlsa_checked(reply.body, &answer) && answer.fit <= TLSA_FIT_UNKNOWN) {
		fit = (enum tlsa_fit)answer.fit;
		error_set(error, fit == TLSA_FIT_UNKNOWN ? ERROR_TEMPORARY : ERROR_PERMANENT, "%.*s", SLICE_ARG(answer.problem));
	}
	ipc_reply_free(&reply);
	return fit;
}

enum tls_guard_answer tls_guard_ask(struct master *master, const struct conf *conf, const char *path, int fd, struct error *error)
{
	bool force = slice_equal(conf->main.tls_tlsa_guard, SLICE("force"));
	if (!force && !slice_equal(conf->main.tls_tlsa_guard, SLICE("true")))
		return TLS_GUARD_USE;
	enum tlsa_fit fit = ask(master, fd, error);
	if (fit == TLSA_FITS || fit == TLSA_FIT_NOT_ASKED)
		return TLS_GUARD_USE;
	if (!force)
		return fit == TLSA_FIT_BROKEN ? TLS_GUARD_REFUSE : TLS_GUARD_LATER;
	log_line(&master->log, LOG_KIND_PANIC, "TLS: %s is used all the same (tls_tlsa_guard = force): %s", path, error->text);
	return TLS_GUARD_USE;
}
