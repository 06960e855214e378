/* SPDX-License-Identifier: ISC */
#include "role/sandbox.h"

#include "base/cleanup.h"
#include "base/fatal.h"
#include "base/sanitize.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- System calls ---- */

#define CALL(name) SCMP_SYS(name)

/* Every role: memory, time, its loop, its messages, its logs, its end. */
static const int calls_of_all[] = {
	CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(pread64), CALL(lseek), CALL(close), CALL(fstat), CALL(fcntl),
	CALL(newfstatat), CALL(munmap), CALL(madvise), CALL(mremap), CALL(brk), CALL(rt_sigaction), CALL(rt_sigprocmask),
	CALL(rt_sigreturn), CALL(sigaltstack), CALL(futex), CALL(clock_gettime), CALL(clock_nanosleep), CALL(gettimeofday),
	CALL(getpid), CALL(gettid), CALL(tgkill), CALL(exit), CALL(exit_group), CALL(epoll_ctl), CALL(epoll_wait),
	CALL(epoll_pwait), CALL(eventfd2), CALL(recvmsg), CALL(recvmmsg), CALL(sendmsg), CALL(sendmmsg), CALL(getrandom), CALL(uname),
	CALL(sched_yield), CALL(restart_syscall), CALL(membarrier), CALL(rseq), CALL(set_robust_list), CALL(mlock),
	CALL(sched_getaffinity), CALL(getrusage), CALL(sysinfo),
};

static const int calls_of_front[] = {
	CALL(accept4), CALL(getsockopt), CALL(setsockopt), CALL(getsockname), CALL(getpeername), CALL(shutdown), CALL(recvfrom),
	CALL(sendto), CALL(memfd_create), CALL(ftruncate), CALL(pwrite64), CALL(ioctl),
};

/* The spool and the mailboxes: files below directories that the master opened. */
#define CALLS_OF_FILES                                                                                                      \
	CALL(openat), CALL(openat2), CALL(linkat), CALL(unlinkat), CALL(renameat), CALL(renameat2), CALL(mkdirat), CALL(fsync), \
	CALL(fdatasync), CALL(sync_file_range), CALL(pwrite64), CALL(preadv), CALL(pwritev), CALL(preadv2), CALL(pwritev2), \
	CALL(getdents64), CALL(ftruncate), CALL(fallocate), CALL(flock), CALL(fstatfs), CALL(copy_file_range), CALL(sendfile), \
	CALL(fchmod), CALL(faccessat), CALL(faccessat2), CALL(umask), CALL(statx), CALL(utimensat)

/* The queue looks local users up, by whatever /etc/nsswitch.conf names. A message of the spool's log is handed on in a memory file. */
static const int calls_of_queue[] = {
	CALLS_OF_FILES, CALL(memfd_create), CALL(socket), CALL(connect), CALL(poll), CALL(ppoll), CALL(recvfrom), CALL(sendto), CALL(getsockopt),
	CALL(setsockopt), CALL(access), CALL(readlink), CALL(readlinkat), CALL(geteuid), CALL(getuid), CALL(getegid), CALL(getgid),
};

static const int calls_of_store[] = { CALLS_OF_FILES };

/*
 * The lookup role asks name servers and databases, reads files, and writes two that it has opened before. It may also make pipes and memory files and copy descriptors: a
 * reload makes another resolver.
 */
static const int calls_of_lookup[] = {
	CALL(connect), CALL(bind), CALL(poll), CALL(ppoll), CALL(select), CALL(pselect6), CALL(recvfrom), CALL(sendto), CALL(getsockopt),
	CALL(setsockopt), CALL(getsockname), CALL(getpeername), CALL(shutdown), CALL(epoll_create1), CALL(pipe2), CALL(socketpair),
	CALL(memfd_create), CALL(ftruncate), CALL(pwrite64), CALL(fdatasync), CALL(dup2), CALL(dup3), CALL(access), CALL(faccessat), CALL(faccessat2),
	CALL(readlink), CALL(readlinkat), CALL(getdents64), CALL(statx), CALL(flock), CALL(fstatfs), CALL(fadvise64),
	CALL(inotify_init1), CALL(inotify_add_watch), CALL(inotify_rm_watch), CALL(geteuid), CALL(getuid), CALL(getegid), CALL(getgid),
};

/* The fetch role connects to responders, and keeps proofs in its directory. */
static const int calls_of_fetch[] = {
	CALLS_OF_FILES, CALL(connect), CALL(poll), CALL(ppoll), CALL(recvfrom), CALL(sendto), CALL(getsockopt), CALL(setsockopt),
	CALL(getsockname), CALL(getpeername), CALL(shutdown), CALL(socketpair), CALL(pipe2), CALL(geteuid), CALL(getuid), CALL(getegid),
	CALL(getgid),
};

/* What AddressSanitizer and LeakSanitizer need to report; in no other build. */
static const int calls_of_sanitizers[] = {
	CALL(openat), CALL(open), CALL(readlink), CALL(readlinkat), CALL(prctl), CALL(clone), CALL(wait4), CALL(ptrace),
	CALL(process_vm_readv), CALL(getdents), CALL(getdents64), CALL(mmap), CALL(mprotect), CALL(prlimit64), CALL(getppid), CALL(kill),
	CALL(sched_getparam), CALL(sched_getscheduler), CALL(arch_prctl), CALL(pipe2), CALL(ioctl), CALL(access), CALL(stat),
	CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid), CALL(getcwd), CALL(mkdir), CALL(personality), CALL(dup), CALL(dup2),
};

static const struct {
	const int *calls;
	size_t count;
} calls_of[ROLE_COUNT] = {
#define LIST(array) { (array), sizeof(array) / sizeof(array)[0] }
	[ROLE_FRONT] = LIST(calls_of_front),
	[ROLE_QUEUE] = LIST(calls_of_queue),
	[ROLE_STORE] = LIST(calls_of_store),
	[ROLE_LOOKUP] = LIST(calls_of_lookup),
	[ROLE_FETCH] = LIST(calls_of_fetch),
};

static int allow(scmp_filter_ctx filter, const int *calls, size_t count)
{
	int result = 0;
	for (size_t i = 0; result == 0 && i < count; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return result;
}

/* Memory is never made executable, threads are made but no processes, and only Unix sockets by who may open sockets. */
static int allow_with_conditions(scmp_filter_ctx filter)
{
	int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
					  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM));
	/* Its flags are in memory, where a filter cannot look: the C library falls back to clone. */
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return result;
}

/* dlopen of a name service's library maps code: only the queue, which Landlock keeps to the system's library directories. */
static int allow_for_queue(scmp_filter_ctx filter)
{
	int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				      SCMP_A2(SCMP_CMP_EQ, PROT_READ | PROT_EXEC));
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 0);
	/* systemd's name service, asked for a user that does not exist, inspects the process: that fails, and it goes on. */
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 0);
	return result;
}

/* Sockets of the Internet, and no other. */
static int allow_for_fetch(scmp_filter_ctx filter)
{
	int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_INET));
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_INET6));
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	return result;
}

/* Sockets of the Internet and to local servers, and no other; files for reading. */
static int allow_for_lookup(scmp_filter_ctx filter)
{
	static const unsigned families[] = { AF_UNIX, AF_INET, AF_INET6 }, writing[] = { O_WRONLY, O_RDWR };
	static const int niceness[] = { CALL(getpriority), CALL(setpriority) };
	bool files = !SANITIZED; /* a sanitizer opens what it likes */
	int result = 0;
	for (size_t i = 0; result == 0 && i < 3; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, families[i]));
	/* How the C library finds this machine's addresses before it sorts those of others: it does without. */
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK));
	/* Threads that compute make themselves nice, which concerns nobody else. */
	for (size_t i = 0; result == 0 && i < 2; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, niceness[i], 2, SCMP_A0(SCMP_CMP_EQ, PRIO_PROCESS), SCMP_A1(SCMP_CMP_EQ, 0));
	/* The resolver's scanner asks whether its configuration is a terminal. */
	if (result == 0 && files)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, TCGETS));
	if (result == 0 && files)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, FIONREAD));
	if (result == 0 && files)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, FIONBIO));
	if (result == 0 && files)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
					  SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
	for (size_t i = 0; result == 0 && files && i < 2; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EROFS), SCMP_SYS(openat), 1,
					  SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE, writing[i]));
	return result;
}

/*
 * Commands are any programs, so this is a list of what none of them needs: it refuses what reaches into other processes, mounts, loads code
 * into the kernel, makes namespaces (with their own privileges over kernel interfaces), or changes the machine. Most of it needs
 * privileges that nobody here has; the list holds where the kernel has a fault.
 */
static const int calls_refused_to_commands[] = {
	CALL(process_vm_writev), CALL(kcmp), CALL(pidfd_getfd), CALL(perf_event_open), CALL(bpf), CALL(userfaultfd), CALL(keyctl),
	CALL(add_key), CALL(request_key), CALL(mount), CALL(umount2), CALL(pivot_root), CALL(chroot), CALL(open_tree), CALL(move_mount),
	CALL(fsopen), CALL(fsconfig), CALL(fsmount), CALL(fspick), CALL(mount_setattr), CALL(unshare), CALL(setns),
	CALL(open_by_handle_at), CALL(name_to_handle_at), CALL(fanotify_init), CALL(io_uring_setup), CALL(io_uring_enter),
	CALL(io_uring_register), CALL(kexec_load), CALL(kexec_file_load), CALL(init_module), CALL(finit_module), CALL(delete_module),
	CALL(reboot), CALL(swapon), CALL(swapoff), CALL(acct), CALL(quotactl), CALL(syslog), CALL(settimeofday), CALL(clock_settime),
	CALL(adjtimex), CALL(clock_adjtime), CALL(sethostname), CALL(setdomainname), CALL(vhangup), CALL(personality),
};

static int refuse_to_commands(scmp_filter_ctx filter)
{
	static const unsigned namespaces[] = {
		CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP,
	};
	static const unsigned terminal[] = { TIOCSTI, TIOCLINUX };
	static const int tracing[] = { CALL(ptrace), CALL(process_vm_readv) };
	int result = 0;
	for (size_t i = 0; result == 0 && i < sizeof calls_refused_to_commands / sizeof calls_refused_to_commands[0]; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls_refused_to_commands[i], 0);
	/* LeakSanitizer traces its own process. */
	for (size_t i = 0; result == 0 && !SANITIZED && i < sizeof tracing / sizeof tracing[0]; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), tracing[i], 0);
	for (size_t i = 0; result == 0 && i < sizeof namespaces / sizeof namespaces[0]; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
					  SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
	/* Its flags are in memory, where a filter cannot look: the C library falls back to clone. */
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	for (size_t i = 0; result == 0 && i < sizeof terminal / sizeof terminal[0]; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
					  SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, terminal[i]));
	return result;
}

static bool enter_seccomp_of_commands(struct error *error)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter)
		return error_set(error, ERROR_PERMANENT, "libseccomp cannot make a filter");
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	int result = refuse_to_commands(filter);
	if (result == 0)
		result = seccomp_load(filter);
	seccomp_release(filter);
	return result == 0 || error_set_errno(error, -result, "entering the seccomp filter");
}

static bool enter_seccomp(enum role role, struct error *error)
{
	if (role == ROLE_RUN || role == ROLE_PAM)
		return enter_seccomp_of_commands(error);
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter)
		return error_set(error, ERROR_PERMANENT, "libseccomp cannot make a filter");
	/* A balanced tree of comparisons instead of a list: a dozen steps for the most frequent calls. */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	int result = allow(filter, calls_of_all, sizeof calls_of_all / sizeof calls_of_all[0]);
	if (result == 0)
		result = allow(filter, calls_of[role].calls, calls_of[role].count);
	if (result == 0 && SANITIZED)
		result = allow(filter, calls_of_sanitizers, sizeof calls_of_sanitizers / sizeof calls_of_sanitizers[0]);
	if (result == 0 && !SANITIZED)
		result = allow_with_conditions(filter);
	if (result == 0 && SANITIZED)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (result == 0 && role == ROLE_QUEUE && !SANITIZED)
		result = allow_for_queue(filter);
	if (result == 0 && role == ROLE_LOOKUP)
		result = allow_for_lookup(filter);
	if (result == 0 && role == ROLE_FETCH)
		result = allow_for_fetch(filter);
	if (result == 0)
		result = seccomp_load(filter);
	seccomp_release(filter);
	return result == 0 || error_set_errno(error, -result, "entering the seccomp filter");
}

/* ---- Files ---- */

/* The kernel's struct as of ABI 6; shorter for older ones. Debian 12's header has only its first field. */
struct ruleset {
	uint64_t fs, net, scoped;
};

enum { NET_BIND_TCP = 1, NET_CONNECT_TCP = 2, SCOPE_ABSTRACT_SOCKET = 1, SCOPE_SIGNAL = 2 };

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE                                                                                                   \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |          \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG)
#define FS_ABI1                                                                                                    \
	(FS_READ | FS_WRITE | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK | \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define FS_REFER (UINT64_C(1) << 13)
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)

static int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return abi < 0 ? 0 : (int)abi;
}

/* ABI 1 forbids moving a file between directories altogether, which Maildir and the spool's damaged/ need. */
enum { LANDLOCK_ABI_LEAST = 2 };

static size_t ruleset_for(enum role role, int abi, struct ruleset *rules)
{
	*rules = (struct ruleset){ .fs = FS_ABI1 | FS_REFER };
	if (abi >= 3)
		rules->fs |= FS_TRUNCATE;
	if (abi >= 5)
		rules->fs |= FS_IOCTL_DEV;
	if (abi >= 4 && role != ROLE_RUN && role != ROLE_PAM) /* these may use the network, as other programs do */
		rules->net = NET_BIND_TCP | (role == ROLE_LOOKUP || role == ROLE_FETCH ? 0 : NET_CONNECT_TCP);
	if (abi >= 6)
		rules->scoped = SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL;
	return abi >= 6 ? sizeof *rules : abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

static uint64_t rights_of(const struct sandbox_path *path, uint64_t handled)
{
	uint64_t rights = 0;
	struct stat st;
	if (path->rights & SANDBOX_READ)
		rights |= FS_READ;
	if (path->rights & SANDBOX_WRITE)
		rights |= FS_WRITE | FS_REFER | FS_TRUNCATE;
	if (path->rights & SANDBOX_EXECUTE)
		rights |= LANDLOCK_ACCESS_FS_EXECUTE;
	if (fstat(path->fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rights &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE | FS_TRUNCATE;
	return rights & handled;
}

static bool enter_landlock(enum role role, const struct sandbox_path *paths, size_t count, int abi, struct error *error)
{
	struct ruleset rules;
	size_t size = ruleset_for(role, abi, &rules);
	_cleanup_fd_ int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
	if (ruleset < 0)
		return error_set_errno(error, errno, "making a Landlock rule set");
	for (size_t i = 0; i < count; i++) {
		struct landlock_path_beneath_attr rule = { .allowed_access = rights_of(&paths[i], rules.fs), .parent_fd = paths[i].fd };
		if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
			return error_set_errno(error, errno, "adding a directory to the Landlock rule set");
	}
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return error_set_errno(error, errno, "entering the Landlock rule set");
	return true;
}

/* ---- All of it ---- */

bool sandbox_enter(enum role role, const struct sandbox_path *paths, size_t count, char *description, size_t size,
		   struct error *error)
{
	int abi = landlock_abi();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_set_errno(error, errno, "giving up new privileges");
	/* A tracer or a core file would see keys and mail. LeakSanitizer traces its own process, and must be able to. */
	if (prctl(PR_SET_DUMPABLE, SANITIZED, 0, 0, 0) < 0)
		return error_set_errno(error, errno, "forbidding core files");
	/* The sanitizers' runtime opens its reports and /proc when it likes. */
	if (!SANITIZED && abi >= LANDLOCK_ABI_LEAST && !enter_landlock(role, paths, count, abi, error))
		return false;
	if (!enter_seccomp(role, error))
		return false;
	if (abi >= LANDLOCK_ABI_LEAST && !SANITIZED)
		snprintf(description, size, "no_new_privs, seccomp, Landlock ABI %d", abi);
	else
		snprintf(description, size, "no_new_privs, seccomp, no Landlock (%s)",
			 SANITIZED ? "sanitizer build" : abi ? "kernel older than 5.19" : "not in this kernel");
	return true;
}

void sandbox_describe(char *out, size_t size)
{
	int abi = landlock_abi();
	const char *landlock = SANITIZED ? " not used in a sanitizer build:" : abi >= LANDLOCK_ABI_LEAST ? "" : abi ? " too old, not used:" : " absent:";
	bool seccomp = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
	snprintf(out, size, "no_new_privs, seccomp%s, Landlock%s ABI %d", seccomp ? "" : " absent", landlock, abi);
}
