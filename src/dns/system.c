/* SPDX-License-Identifier: ISC */
/* The system's own settings of the DNS. */
#include "dns/dns.h"

#include "base/cleanup.h"
#include "base/files.h"

#include <fcntl.h>
#include <sys/stat.h>

const char *dns_system_path(enum dns_system_file file)
{
	static const char *const paths[DNS_SYSTEM_FILES] = {
		[DNS_RESOLV_CONF] = "/etc/resolv.conf",
		[DNS_HOSTS] = "/etc/hosts",
		[DNS_ROOT_ANCHOR] = "/usr/share/dns/root.key", /* of Debian's dns-root-data */
	};
	return paths[file];
}

struct slice *dns_settings_slot(struct dns_settings *settings, enum dns_system_file file)
{
	return file == DNS_RESOLV_CONF ? &settings->resolv_conf : file == DNS_HOSTS ? &settings->hosts : &settings->root_anchor;
}

struct slice dns_system_read(int fd, struct arena *arena)
{
	struct stat status;
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size > DNS_SYSTEM_FILE_MAX)
		return (struct slice){ 0 };
	char *bytes = arena_alloc(arena, (size_t)status.st_size + 1);
	ssize_t n = files_read_full(&files_real, fd, bytes, (size_t)status.st_size, 0);
	return slice_make(bytes, n > 0 ? (size_t)n : 0);
}

void dns_settings_read(struct dns_settings *settings, struct arena *arena)
{
	for (int file = 0; file < DNS_SYSTEM_FILES; file++) {
		_cleanup_fd_ int fd = open(dns_system_path((enum dns_system_file)file), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0)
			*dns_settings_slot(settings, (enum dns_system_file)file) = dns_system_read(fd, arena);
	}
}
