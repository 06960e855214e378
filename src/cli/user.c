/* SPDX-License-Identifier: ISC */
/* `postern user`: the only writer of the user database (users/database.h). */
#include "cli/user_command.h"

#include "base/cleanup.h"
#include "base/fatal.h"
#include "cli/command.h"
#include "role/master.h"
#include "users/names.h"

#include <getopt.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

enum { APP_NAME_MAX = 64 };

/* A command with all that was said on its line. */
struct order {
	struct command_configuration configuration;
	const char *file; /* --database */
	struct user_storing storing;
	struct slice service;
	bool json;
	struct slice user, app; /* arguments, checked; the second empty where the command has none */
	struct arena arena;
	struct error error;
};

/* ---- The actions: each does one thing to an open database ---- */

static bool set_password(struct order *order, struct users_database *database, bool fresh)
{
	struct users_proof proof;
	bool good = user_read_proof(order->user, &order->storing, &order->arena, &proof, &order->error) &&
		    users_set_proof(database, order->user, &proof, fresh, &order->error);
	OPENSSL_cleanse(&proof, sizeof proof);
	return good;
}

/* Asks for a password only where there is use for one. */
static bool find_user(struct order *order, struct users_database *database, bool wanted)
{
	struct users_user user;
	bool found = false;
	if (!users_find(database, order->user, &order->arena, &user, &found, &order->error))
		return false;
	if (found == wanted)
		return true;
	return error_set(&order->error, ERROR_USAGE, wanted ? "there is no user %.*s" :
			 "there is a user %.*s already; `postern user passwd` changes the password", SLICE_ARG(order->user));
}

static bool add(struct order *order, struct users_database *database)
{
	return find_user(order, database, false) && set_password(order, database, true);
}

static bool change_password(struct order *order, struct users_database *database)
{
	return find_user(order, database, true) && set_password(order, database, false);
}

static bool list(struct order *order, struct users_database *database)
{
	return user_list(database, order->json, &order->error);
}

static bool disable(struct order *order, struct users_database *database)
{
	return users_set_disabled(database, order->user, true, &order->error);
}

static bool enable(struct order *order, struct users_database *database)
{
	return users_set_disabled(database, order->user, false, &order->error);
}

static bool remove_user(struct order *order, struct users_database *database)
{
	return users_remove(database, order->user, &order->error);
}

static bool add_app_password(struct order *order, struct users_database *database)
{
	char password[PASSWORD_RANDOM_MAX];
	struct users_app_password item = { .name = order->app, .service = order->service };
	if (RAND_bytes(item.salt, sizeof item.salt) != 1)
		fatal("no random bytes can be had");
	password_random(password);
	password_digest(slice_of(password), item.salt, item.digest);
	bool good = users_add_app_password(database, order->user, &item, &order->error);
	if (good && (puts(password) < 0 || fflush(stdout) != 0)) {
		struct error ignored;
		users_remove_app_password(database, order->user, order->app, &ignored);
		good = error_set(&order->error, ERROR_TEMPORARY, "the password cannot be written to standard output; it was not kept");
	}
	OPENSSL_cleanse(password, sizeof password);
	return good;
}

static bool list_app_passwords(struct order *order, struct users_database *database)
{
	return user_list_app_passwords(database, order->user, order->json, &order->arena, &order->error);
}

static bool remove_app_password(struct order *order, struct users_database *database)
{
	return users_remove_app_password(database, order->user, order->app, &order->error);
}

struct action {
	const char *group, *name; /* "app-password add" */
	unsigned arguments;       /* USER, and the name of an application password */
	bool makes;               /* the database, where there is none */
	bool (*run)(struct order *order, struct users_database *database);
};

static const struct action actions[] = {
	{ NULL, "add", 1, true, add },
	{ NULL, "passwd", 1, false, change_password },
	{ NULL, "list", 0, false, list },
	{ NULL, "disable", 1, false, disable },
	{ NULL, "enable", 1, false, enable },
	{ NULL, "remove", 1, false, remove_user },
	{ "app-password", "add", 2, false, add_app_password },
	{ "app-password", "list", 1, false, list_app_passwords },
	{ "app-password", "remove", 2, false, remove_app_password },
};

/* Takes the words of the action off the arguments. NULL: it is none. */
static const struct action *find_action(int *argc, char ***argv)
{
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
		const struct action *action = &actions[i];
		int words = action->group ? 2 : 1;
		if (*argc <= words || (action->group && strcmp((*argv)[1], action->group) != 0) ||
		    strcmp((*argv)[words], action->name) != 0)
			continue;
		*argc -= words;
		*argv += words;
		return action;
	}
	return NULL;
}

/* ---- The database ---- */

/* The file, and who may read it besides its owner. */
struct place {
	char path[PATH_MAX];
	unsigned mode;
	gid_t group;
};

static bool find_place(struct order *order, struct place *place)
{
	struct conf_problems problems;
	conf_problems_init(&problems);
	struct conf *conf = command_read_configuration(&order->configuration, &problems, NULL);
	bool good = conf != NULL;
	*place = (struct place){ .mode = 0600, .group = (gid_t)-1 };
	if (!good) {
		command_print_problems(&problems);
		error_set(&order->error, ERROR_USAGE, "the configuration has errors");
	}
	struct slice path = order->file ? slice_of(order->file) : good ? conf->main.user_database : (struct slice){ 0 };
	if (good && path.len == 0)
		good = error_set(&order->error, ERROR_USAGE, "%s sets no user_database", command_configuration_file(&order->configuration));
	if (good && !slice_to_cstr(path, place->path, sizeof place->path))
		good = error_set(&order->error, ERROR_USAGE, "the path of the user database is too long");
	if (good && geteuid() == 0) {
		place->mode = 0640;
		place->group = identity_of(conf, ROLE_LOOKUP).gid;
	}
	conf_unref(&conf);
	conf_problems_free(&problems);
	return good;
}

static bool act(const struct action *action, struct order *order)
{
	struct place place;
	if (!find_place(order, &place))
		return false;
	if (!action->makes && access(place.path, F_OK) < 0)
		return error_set_errno(&order->error, errno, "the user database %s", place.path);
	struct users_database *database = users_open_to_write(place.path, place.mode, place.group, &order->error);
	bool good = database && action->run(order, database);
	users_close(&database);
	return good;
}

/* ---- The line ---- */

/* The name of an application password, or of a service: what can be typed and read. */
static bool take_word(const char *text, const char *what, struct slice *word_r, struct error *error)
{
	struct slice word = slice_of(text);
	bool good = word.len && word.len <= APP_NAME_MAX;
	for (size_t i = 0; good && i < word.len; i++)
		good = ascii_is_alnum(word.data[i]) || slice_find(SLICE(" ._-@+"), word.data[i]) < 6;
	*word_r = word;
	return good || error_set(error, ERROR_USAGE, "%s: expected up to %d letters, digits, spaces and . _ - @ +", what, APP_NAME_MAX);
}

static bool take_option(int option, struct order *order)
{
	switch (option) {
	case 'c': order->configuration.file = optarg; return true;
	case 'D': return command_add_macro(&order->configuration, optarg, &order->error);
	case 'f': order->file = optarg; return true;
	case 'j': order->json = true; return true;
	case 'a': order->storing.scheme = PASSWORD_ARGON2ID; return true;
	case 'h': order->storing.hashed = true; return true;
	case 's': return take_word(optarg, "--service", &order->service, &order->error);
	default: return error_set(&order->error, ERROR_USAGE, "unknown option or missing value");
	}
}

static bool take_line(const struct action *action, int argc, char **argv, struct order *order)
{
	static const struct option names[] = {
		{ "database", required_argument, NULL, 'f' }, { "json", no_argument, NULL, 'j' }, { "argon2id", no_argument, NULL, 'a' },
		{ "hashed", no_argument, NULL, 'h' }, { "service", required_argument, NULL, 's' }, { 0 },
	};
	int option;
	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "c:D:", names, NULL)) != -1)
		if (!take_option(option, order))
			return false;
	if (argc - optind != (int)action->arguments)
		return error_set(&order->error, ERROR_USAGE, "%s: expected %s", action->name,
				 action->arguments == 2 ? "a user and the name of an application password" :
				 action->arguments == 1 ? "a user" : "no argument");
	if (action->arguments && !users_name(slice_of(argv[optind]), &order->arena, &order->user, &order->error))
		return false;
	return action->arguments < 2 || take_word(argv[optind + 1], "the application password's name", &order->app, &order->error);
}

static int run(int argc, char **argv)
{
	const struct action *action = find_action(&argc, &argv);
	struct order order = { 0 };
	int status = COMMAND_DONE;
	if (!action)
		return command_usage_error(&command_user, "expected add, passwd, list, disable, enable, remove or app-password");
	arena_init(&order.arena, 0);
	if (!take_line(action, argc, argv, &order)) {
		status = command_usage_error(&command_user, "%s", order.error.text);
	} else if (!act(action, &order)) {
		fprintf(stderr, "postern user: %s\n", order.error.text);
		status = order.error.kind == ERROR_TEMPORARY ? COMMAND_TEMPORARY : order.error.kind == ERROR_USAGE ? COMMAND_USAGE : COMMAND_NO;
	}
	arena_free(&order.arena);
	return status;
}

const struct command command_user = {
	.name = "user",
	.run = run,
	.summary = "add, change, list and remove the users of the built-in database",
	.usage = "add|passwd|disable|enable|remove|list|app-password add|list|remove [OPTIONS] [USER [NAME]]",
	.help = "add USER         a new user, usually a mail address; the password is asked for twice, or is the line on standard input\n"
		"passwd USER      another password; application passwords stay\n"
		"disable USER     no password of the user is good any more, until enable\n"
		"remove USER      the user with all passwords; mail is not touched\n"
		"list             all users\n"
		"app-password add USER NAME     a random password for one application, printed once\n"
		"app-password list USER         their names\n"
		"app-password remove USER NAME  that one is not good any more\n"
		"  -c FILE        the configuration, whose user_database it is; otherwise $POSTERN_CONF, or /etc/postern/postern.conf\n"
		"  -D NAME=text   define a macro, whatever the file defines\n"
		"  --database FILE  that database instead\n"
		"  --argon2id     (add, passwd) hash with argon2id instead of yescrypt\n"
		"  --hashed       (add, passwd) the line is a hash that another system made; SCRAM needs a password set here\n"
		"  --service NAME (app-password add) good for that service only, such as smtp\n"
		"  --json         (list) as JSON\n",
};
