/* SPDX-License-Identifier: ISC */
#include "lookup/pam.h"

#include "base/cleanup.h"
#include "base/fatal.h"
#include "lookup/private.h"

#include <errno.h>
#include <fcntl.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_FREE = 3, TEXT_MAX = 1024, NAME_MAX_ = 256 };

/* What the process says. */
struct outcome {
	int code; /* of PAM */
	char text[200];
};

/* The answers that are left. */
struct answers {
	const struct expand_piece *pieces;
	size_t count;
	bool ran_out;
};

/* ---- In the new process ---- */

static bool add_answer(struct answers *answers, struct pam_response *response)
{
	if (answers->count == 0) {
		answers->ran_out = true;
		return false;
	}
	struct slice text = answers->pieces->text;
	answers->pieces++;
	answers->count--;
	response->resp = strndup(text.data ? text.data : "", text.len); /* PAM frees it */
	return response->resp != NULL;
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses_r, void *owner)
{
	struct answers *answers = owner;
	if (count <= 0 || count > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	struct pam_response *responses = calloc((size_t)count, sizeof *responses);
	bool good = responses != NULL;
	for (int i = 0; good && i < count; i++)
		if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF || messages[i]->msg_style == PAM_PROMPT_ECHO_ON)
			good = add_answer(answers, &responses[i]);
	for (int i = 0; !good && responses && i < count; i++)
		free(responses[i].resp);
	if (good)
		*responses_r = responses;
	else
		free(responses);
	return good ? PAM_SUCCESS : PAM_CONV_ERR;
}

/* The session that asked delays its failures itself. */
static void no_delay(int result, unsigned microseconds, void *owner)
{
	(void)result, (void)microseconds, (void)owner;
}

static int start(const char *service, const char *user, const struct pam_conv *conversation, pam_handle_t **handle_r)
{
	char directory[TEXT_MAX];
	const char *slash = strrchr(service, '/');
	if (!slash)
		return pam_start(service, user, conversation, handle_r);
	slice_to_cstr(slice_make(service, (size_t)(slash - service)), directory, sizeof directory);
	return pam_start_confdir(slash + 1, user, conversation, directory, handle_r);
}

static void check(const char *service, const char *user, struct answers *answers, struct outcome *outcome)
{
	const struct pam_conv conversation = { converse, answers };
	/* The item is a pointer to a function, which PAM takes as one to an object. */
	union {
		void (*function)(int, unsigned, void *);
		const void *object;
	} delay = { no_delay };
	pam_handle_t *handle = NULL;
	int code = start(service, user, &conversation, &handle);
	if (code == PAM_SUCCESS)
		code = pam_set_item(handle, PAM_FAIL_DELAY, delay.object);
	if (code == PAM_SUCCESS)
		code = pam_authenticate(handle, PAM_SILENT);
	if (code == PAM_SUCCESS)
		code = pam_acct_mgmt(handle, PAM_SILENT);
	/* Too few answers is a wrong password of sorts. */
	outcome->code = code == PAM_CONV_ERR && answers->ran_out ? PAM_AUTH_ERR : code;
	snprintf(outcome->text, sizeof outcome->text, "%s", handle ? pam_strerror(handle, code) : "PAM cannot be started");
	if (handle)
		pam_end(handle, code);
}

_Noreturn static void become(const char *service, const char *user, struct answers *answers, pid_t parent, int report)
{
	struct outcome outcome = { 0 };
	struct rlimit processor = { 60, 60 };
	sigset_t none;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	setsid();
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setrlimit(RLIMIT_CPU, &processor);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	report = dup3(report, FIRST_FREE, O_CLOEXEC) < 0 ? report : FIRST_FREE;
	if (null >= 0 && report == FIRST_FREE && dup2(null, 0) == 0 && dup2(null, 1) == 1 && dup2(null, 2) == 2) {
		close_range(FIRST_FREE + 1, ~0u, 0);
		check(service, user, answers, &outcome);
		if (write(report, &outcome, sizeof outcome) == (ssize_t)sizeof outcome)
			_exit(0);
	}
	_exit(1);
}

/* ---- In ours ---- */

static bool await_outcome(int report, int64_t deadline, struct outcome *outcome_r)
{
	for (;;) {
		ssize_t n = read(report, outcome_r, sizeof *outcome_r);
		if (n == (ssize_t)sizeof *outcome_r)
			return true;
		if (n >= 0 || (errno != EAGAIN && errno != EINTR) || (errno == EAGAIN && io_wait(report, IO_READ, deadline) < 0))
			return false;
	}
}

/* With its group: its number is the group's until it is waited for. */
static void end_process(pid_t pid)
{
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	int fd = (int)syscall(SYS_pidfd_open, pid, 0U);
	while (waitpid(pid, NULL, WNOHANG) == 0)
		if (fd < 0 || io_wait(fd, IO_READ, clock_after(CLOCK_SECOND)) == -ECANCELED)
			task_yield();
	if (fd >= 0)
		io_close(&fd);
}

static enum expand_result judge(const struct outcome *outcome, struct expand_answer *answer_r, struct error *error)
{
	switch (outcome->code) {
	case PAM_SUCCESS:
		answer_r->found = true;
		return EXPAND_OK;
	case PAM_AUTH_ERR: case PAM_USER_UNKNOWN: case PAM_MAXTRIES: case PAM_PERM_DENIED: case PAM_ACCT_EXPIRED: case PAM_CRED_EXPIRED:
	case PAM_CRED_INSUFFICIENT: case PAM_NEW_AUTHTOK_REQD: case PAM_AUTHTOK_EXPIRED:
		return EXPAND_OK;
	default:
		return lookup_defer(error, "pam: %.*s", (int)sizeof outcome->text, outcome->text);
	}
}

enum expand_result lookup_check_pam(struct slice service, const struct expand_request *request, struct arena *arena,
				    struct expand_answer *answer_r, struct error *error)
{
	char name[TEXT_MAX], user[NAME_MAX_];
	int report[2];
	pid_t parent = getpid();
	struct outcome outcome;
	(void)arena;
	for (size_t i = 0; i < request->piece_count; i++) /* PAM's texts end in NUL: what lies behind one must not be ignored */
		if (slice_find(request->pieces[i].text, '\0') < request->pieces[i].text.len || request->pieces[i].text.len >= PAM_MAX_RESP_SIZE)
			return EXPAND_OK;
	if (request->piece_count == 0 || !slice_to_cstr(request->pieces[0].text, user, sizeof user) || !*user)
		return EXPAND_OK; /* nobody is called so */
	if (!slice_to_cstr(service, name, sizeof name))
		return lookup_fail(error, "pam: the name of the service is too long");
	if (pipe2(report, O_CLOEXEC) < 0)
		return lookup_defer(error, "pam: making a pipe: %s", strerror(errno));
	fcntl(report[0], F_SETFL, O_NONBLOCK);
	struct answers answers = { request->pieces + 1, request->piece_count - 1, false };
	pid_t pid = fork();
	if (pid == 0)
		become(name, user, &answers, parent, report[1]);
	int failed = errno;
	close(report[1]);
	bool told = pid > 0 && await_outcome(report[0], request->deadline, &outcome);
	io_close(&report[0]);
	if (pid < 0)
		return lookup_defer(error, "pam: making a process: %s", strerror(failed));
	end_process(pid);
	return told ? judge(&outcome, answer_r, error) : lookup_defer(error, "pam: the check of the password did not end in time, or broke off");
}

enum expand_result lookup_pam(struct lookup_world *world, const struct expand_request *request, struct arena *arena,
			      struct expand_answer *answer_r, struct error *error)
{
	if (world->settings.pam_service.len == 0)
		return lookup_fail(error, "pam: passwords are not checked here");
	return lookup_check_pam(world->settings.pam_service, request, arena, answer_r, error);
}
