/* SPDX-License-Identifier: ISC */
/*
 * The pam role: ${if pam} for fronts and queue (role/ask.h). It runs while the configuration has one. A role of its own, because it alone needs
 * what PAM's modules read: its user is the one to give that to (for passwords of the system: the group shadow). It holds nothing else: no
 * client connection, no spool, no key. Each check is a process (lookup/pam.h).
 *
 * Its walls are those of programs (program_paths.h), without a place to write: no new privileges, so that helpers with a set-user-ID bit run as the
 * role's user.
 */
#include "base/fatal.h"
#include "lookup/pam.h"
#include "role/answering.h"
#include "role/process.h"
#include "role/program_paths.h"

enum { CHECKS_AT_ONCE = 16, QUESTIONS_MAX = 256 };

struct pam_role {
	struct answering_desk desk;
	unsigned running;
	struct wait_list turns;
};

static void pam_material(struct role_process *role, struct ipc_incoming *incoming)
{
	(void)role;
	(void)incoming; /* there is none */
}

/* A reload that changes the service's directory starts another process (master.c). */
static bool pam_apply(struct role_process *role, struct error *error)
{
	(void)role;
	(void)error;
	return true;
}

static size_t pam_paths(struct role_process *role, struct sandbox_path *paths, size_t size)
{
	struct slice service = role->conf->main.pam_service;
	size_t slash = slice_find_last(service, '/');
	struct slice directory = slash < service.len ? slice_first(service, slash) : (struct slice){ 0 };
	return program_paths(role->conf, &directory, directory.len ? 1 : 0, SANDBOX_READ, false, paths, size);
}

static enum expand_result pam_answer(struct role_process *role, void *held, const struct expand_request *request, struct arena *arena,
				     struct expand_answer *answer_r, struct error *error)
{
	struct pam_role *pam = role->state;
	(void)held;
	if (request->service != EXPAND_SERVICE_PAM) {
		error_set(error, ERROR_PERMANENT, "pam: this process checks passwords and does nothing else");
		return EXPAND_FAIL;
	}
	while (pam->running >= CHECKS_AT_ONCE)
		if (wait_list_wait(&pam->turns, request->deadline) < 0) {
			error_set(error, ERROR_TEMPORARY, "pam: too many passwords are being checked");
			return EXPAND_DEFER;
		}
	pam->running++;
	enum expand_result result = lookup_check_pam(role->conf->main.pam_service, request, arena, answer_r, error);
	pam->running--;
	wait_list_wake_one(&pam->turns);
	return result;
}

static const struct answering pam_answering = {
	.most = QUESTIONS_MAX, .crowded = "pam: too many passwords are being checked", .answer = pam_answer,
};

static void pam_connected(struct role_process *role, int fd, enum role other, unsigned index, uid_t uid)
{
	struct pam_role *pam = role->state;
	(void)index;
	(void)uid;
	answering_connected(&pam->desk, role, &pam_answering, fd, other);
}

static void pam_drain(struct role_process *role)
{
	struct pam_role *pam = role->state;
	answering_drain(&pam->desk, role);
}

const struct role_ops pam_ops = {
	.state_size = sizeof(struct pam_role),
	.material = pam_material,
	.apply = pam_apply,
	.paths = pam_paths,
	.connected = pam_connected,
	.drain = pam_drain,
};
