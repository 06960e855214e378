/* SPDX-License-Identifier: ISC */
#include "users/database.h"

#include "base/fatal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* In the head of the file, so that another database is not taken for this one. */
enum { APPLICATION_ID = 0x50737475, VERSION = 1 };

static const char schema[] =
	"PRAGMA application_id = 1349743733;"
	"PRAGMA user_version = 1;"
	"CREATE TABLE user (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, hash TEXT NOT NULL,"
	" disabled INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL, changed INTEGER NOT NULL) STRICT;"
	"CREATE TABLE verifier (user INTEGER NOT NULL REFERENCES user ON DELETE CASCADE, mechanism TEXT NOT NULL, salt BLOB NOT NULL,"
	" iterations INTEGER NOT NULL, stored_key BLOB NOT NULL, server_key BLOB NOT NULL, PRIMARY KEY (user, mechanism)) STRICT;"
	"CREATE TABLE app_password (user INTEGER NOT NULL REFERENCES user ON DELETE CASCADE, name TEXT NOT NULL, service TEXT NOT NULL,"
	" salt BLOB NOT NULL, digest BLOB NOT NULL, created INTEGER NOT NULL, PRIMARY KEY (user, name)) STRICT;"
	"CREATE TABLE secret (value BLOB NOT NULL) STRICT;";

_Static_assert(APPLICATION_ID == 1349743733 && VERSION == 1, "the schema has these numbers");

/* As the column `mechanism` has them. */
static const char *const mechanisms[2] = { [AUTH_SHA1] = "SCRAM-SHA-1", [AUTH_SHA256] = "SCRAM-SHA-256" };

enum query {
	FIND, APP_PASSWORDS, VERIFIER, SECRET, EACH, ADD, CHANGE, FORGET_VERIFIERS, ADD_VERIFIER, DISABLE, REMOVE, ADD_APP, REMOVE_APP,
	ADD_SECRET, QUERIES
};

#define USER_COLUMNS                                                                                                                  \
	"name, hash, disabled, created, changed,"                                                                                     \
	" EXISTS (SELECT 1 FROM verifier WHERE verifier.user = id AND mechanism = 'SCRAM-SHA-1'),"                                    \
	" EXISTS (SELECT 1 FROM verifier WHERE verifier.user = id AND mechanism = 'SCRAM-SHA-256'),"                                  \
	" (SELECT count(*) FROM app_password WHERE app_password.user = id)"
#define USER_ID "(SELECT id FROM user WHERE name = ?1)"

static const char *const queries[QUERIES] = {
	[FIND] = "SELECT " USER_COLUMNS " FROM user WHERE name = ?1",
	[APP_PASSWORDS] = "SELECT name, service, created, salt, digest FROM app_password WHERE user = " USER_ID " ORDER BY name",
	[VERIFIER] = "SELECT salt, iterations, stored_key, server_key FROM verifier WHERE user = " USER_ID " AND mechanism = ?2",
	[SECRET] = "SELECT value FROM secret",
	[EACH] = "SELECT " USER_COLUMNS " FROM user ORDER BY name",
	[ADD] = "INSERT INTO user (name, hash, created, changed) VALUES (?1, ?2, unixepoch(), unixepoch())",
	[CHANGE] = "UPDATE user SET hash = ?2, changed = unixepoch() WHERE name = ?1",
	[FORGET_VERIFIERS] = "DELETE FROM verifier WHERE user = " USER_ID,
	[ADD_VERIFIER] = "INSERT INTO verifier VALUES (" USER_ID ", ?2, ?3, ?4, ?5, ?6)",
	[DISABLE] = "UPDATE user SET disabled = ?2 WHERE name = ?1",
	[REMOVE] = "DELETE FROM user WHERE name = ?1",
	[ADD_APP] = "INSERT INTO app_password VALUES (" USER_ID ", ?2, ?3, ?4, ?5, unixepoch())",
	[ADD_SECRET] = "INSERT INTO secret VALUES (?1)",
	[REMOVE_APP] = "DELETE FROM app_password WHERE user = " USER_ID " AND name = ?2",
};

struct users_database {
	sqlite3 *sqlite;
	char *path;
	dev_t device;
	ino_t inode;
	sqlite3_stmt *prepared[QUERIES];
};

/* ---- Errors ---- */

static bool fail(const struct users_database *database, const char *what, int code, struct error *error)
{
	int kind = code & 0xff;
	bool temporary = kind == SQLITE_BUSY || kind == SQLITE_LOCKED || kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN || kind == SQLITE_FULL;
	const char *why = database->sqlite ? sqlite3_errmsg(database->sqlite) : sqlite3_errstr(code);
	if (kind == SQLITE_BUSY)
		why = "it is locked; is another command writing?";
	if (code == SQLITE_READONLY_ROLLBACK || code == SQLITE_READONLY_RECOVERY) {
		temporary = true;
		why = "a command that wrote to it was interrupted; `postern user list` repairs it";
	}
	return error_set(error, temporary ? ERROR_TEMPORARY : ERROR_PERMANENT, "the user database %s: %s: %s", database->path, what, why);
}

static bool no_user(struct slice name, struct error *error)
{
	return error_set(error, ERROR_USAGE, "there is no user %.*s", SLICE_ARG(name));
}

/* ---- Opening ---- */

static bool read_number(struct users_database *database, const char *query, int64_t *value_r, struct error *error)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(database->sqlite, query, -1, &statement, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*value_r = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return code == SQLITE_ROW || fail(database, "it cannot be read", code, error);
}

static bool execute(struct users_database *database, const char *text, struct error *error)
{
	int code = sqlite3_exec(database->sqlite, text, NULL, NULL, NULL);
	return code == SQLITE_OK || fail(database, "it cannot be written", sqlite3_extended_errcode(database->sqlite), error);
}

static struct users_database *open_file(const char *path, int flags, struct error *error)
{
	struct stat status;
	if (stat(path, &status) < 0) {
		error_set_errno(error, errno, "opening the user database %s", path);
		error->kind = ERROR_TEMPORARY; /* it may be being replaced */
		return NULL;
	}
	struct users_database *database = xcalloc(1, sizeof *database);
	*database = (struct users_database){ .path = xstrdup(path), .device = status.st_dev, .inode = status.st_ino };
	int code = sqlite3_open_v2(path, &database->sqlite, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (code == SQLITE_OK) {
		sqlite3_busy_timeout(database->sqlite, USERS_LOCK_WAIT);
		return database;
	}
	fail(database, "it cannot be opened", code, error);
	users_close(&database);
	return NULL;
}

static bool check_kind(struct users_database *database, struct error *error)
{
	int64_t id = 0, version = 0;
	if (!read_number(database, "PRAGMA application_id", &id, error) || !read_number(database, "PRAGMA user_version", &version, error))
		return false;
	if (id != APPLICATION_ID)
		return error_set(error, ERROR_PERMANENT, "%s is not a user database of Postern", database->path);
	return version == VERSION || error_set(error, ERROR_PERMANENT, "the user database %s is of another version of Postern", database->path);
}

struct users_database *users_open(const char *path, struct error *error)
{
	struct users_database *database = open_file(path, SQLITE_OPEN_READONLY, error);
	if (database && !check_kind(database, error))
		users_close(&database);
	return database;
}

/* An empty file of that mode and group, so that SQLite gives the same to its journals. */
static bool make_file(const char *path, unsigned mode, gid_t group, struct error *error)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0 && errno == EEXIST)
		return true;
	if (fd < 0)
		return error_set_errno(error, errno, "making the user database %s", path);
	bool good = (group == (gid_t)-1 || fchown(fd, (uid_t)-1, group) == 0) && fchmod(fd, mode) == 0;
	if (!good)
		error_set_errno(error, errno, "setting group and mode of the user database %s", path);
	close(fd);
	return good;
}

void users_close(struct users_database **database)
{
	if (!*database)
		return;
	for (size_t i = 0; i < QUERIES; i++)
		sqlite3_finalize((*database)->prepared[i]);
	sqlite3_close((*database)->sqlite);
	free((*database)->path);
	free(*database);
	*database = NULL;
}

bool users_was_replaced(const struct users_database *database)
{
	struct stat status;
	return stat(database->path, &status) < 0 || status.st_dev != database->device || status.st_ino != database->inode;
}

/* ---- Statements ---- */

static bool prepare(struct users_database *database, enum query query, sqlite3_stmt **statement_r, struct error *error)
{
	sqlite3_stmt **kept = &database->prepared[query];
	if (!*kept) {
		int code = sqlite3_prepare_v3(database->sqlite, queries[query], -1, SQLITE_PREPARE_PERSISTENT, kept, NULL);
		if (code != SQLITE_OK)
			return fail(database, "it cannot be asked", code, error);
	}
	*statement_r = *kept;
	return true;
}

static void bind_text(sqlite3_stmt *statement, int index, struct slice text)
{
	sqlite3_bind_text64(statement, index, text.data ? text.data : "", text.len, SQLITE_STATIC, SQLITE_UTF8);
}

static void bind_bytes(sqlite3_stmt *statement, int index, const void *bytes, size_t size)
{
	sqlite3_bind_blob64(statement, index, bytes, size, SQLITE_STATIC);
}

static bool finish(struct users_database *database, sqlite3_stmt *statement, int code, struct error *error)
{
	bool good = code == SQLITE_DONE || code == SQLITE_ROW ||
		    fail(database, "it cannot be used", sqlite3_extended_errcode(database->sqlite), error);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return good;
}

/* Runs what gives no rows. *changed_r (may be NULL): how many rows it changed. */
static bool run(struct users_database *database, sqlite3_stmt *statement, int *changed_r, struct error *error)
{
	int code = sqlite3_step(statement);
	if (changed_r)
		*changed_r = sqlite3_changes(database->sqlite);
	return finish(database, statement, code, error);
}

static struct slice column(sqlite3_stmt *statement, int index)
{
	const void *bytes = sqlite3_column_blob(statement, index);
	return slice_make(bytes, (size_t)sqlite3_column_bytes(statement, index));
}

/* A column of just that size: false when somebody put something else there. */
static bool column_bytes(sqlite3_stmt *statement, int index, void *out, size_t size)
{
	struct slice bytes = column(statement, index);
	if (bytes.len != size)
		return false;
	memcpy(out, bytes.data, size);
	return true;
}

static bool malformed(const struct users_database *database, struct error *error)
{
	return error_set(error, ERROR_PERMANENT, "the user database %s has an entry that Postern did not make", database->path);
}

/* ---- Reading ---- */

static struct users_user user_of(sqlite3_stmt *statement)
{
	return (struct users_user){
		.name = column(statement, 0), .hash = column(statement, 1), .disabled = sqlite3_column_int64(statement, 2) != 0,
		.created = sqlite3_column_int64(statement, 3), .changed = sqlite3_column_int64(statement, 4),
		.verifier = { [AUTH_SHA1] = sqlite3_column_int(statement, 5), [AUTH_SHA256] = sqlite3_column_int(statement, 6) },
		.app_password_count = (size_t)sqlite3_column_int64(statement, 7),
	};
}

bool users_find(struct users_database *database, struct slice name, struct arena *arena, struct users_user *user_r, bool *found_r,
		struct error *error)
{
	sqlite3_stmt *statement;
	if (!prepare(database, FIND, &statement, error))
		return false;
	bind_text(statement, 1, name);
	int code = sqlite3_step(statement);
	*found_r = code == SQLITE_ROW;
	if (*found_r) {
		*user_r = user_of(statement);
		user_r->name = arena_copy(arena, user_r->name);
		user_r->hash = arena_copy(arena, user_r->hash);
	}
	return finish(database, statement, code, error);
}

bool users_app_passwords(struct users_database *database, struct slice name, struct arena *arena, struct users_app_password **items_r,
			 size_t *count_r, struct error *error)
{
	sqlite3_stmt *statement;
	struct users_app_password *items = arena_array(arena, USERS_APP_PASSWORDS_MAX, sizeof *items);
	size_t count = 0;
	bool good = true;
	int code;
	if (!prepare(database, APP_PASSWORDS, &statement, error))
		return false;
	bind_text(statement, 1, name);
	while (good && (code = sqlite3_step(statement)) == SQLITE_ROW && count < USERS_APP_PASSWORDS_MAX) {
		struct users_app_password *item = &items[count++];
		item->name = arena_copy(arena, column(statement, 0));
		item->service = arena_copy(arena, column(statement, 1));
		item->created = sqlite3_column_int64(statement, 2);
		good = column_bytes(statement, 3, item->salt, sizeof item->salt) &&
		       column_bytes(statement, 4, item->digest, sizeof item->digest);
	}
	*items_r = items;
	*count_r = count;
	if (!finish(database, statement, good ? code : SQLITE_ROW, error))
		return false;
	return good || malformed(database, error);
}

static bool read_verifier(sqlite3_stmt *statement, enum auth_hash hash, struct arena *arena, struct auth_verifier *verifier)
{
	struct slice salt = column(statement, 0);
	int64_t iterations = sqlite3_column_int64(statement, 1);
	if (salt.len == 0 || salt.len > AUTH_SALT_MAX || iterations < 1 || iterations > INT32_MAX)
		return false;
	*verifier = (struct auth_verifier){ .salt = arena_copy(arena, salt), .iterations = (uint32_t)iterations };
	return column_bytes(statement, 2, verifier->stored_key, password_key_size(hash)) &&
	       column_bytes(statement, 3, verifier->server_key, password_key_size(hash));
}

bool users_find_verifier(struct users_database *database, struct slice name, enum auth_hash hash, struct arena *arena,
			 struct auth_verifier *verifier_r, bool *found_r, struct error *error)
{
	sqlite3_stmt *statement;
	if (!prepare(database, VERIFIER, &statement, error))
		return false;
	bind_text(statement, 1, name);
	bind_text(statement, 2, slice_of(mechanisms[hash]));
	int code = sqlite3_step(statement);
	*found_r = code == SQLITE_ROW;
	bool good = !*found_r || read_verifier(statement, hash, arena, verifier_r);
	if (!finish(database, statement, code, error))
		return false;
	return good || malformed(database, error);
}

bool users_secret(struct users_database *database, unsigned char secret_r[USERS_SECRET], struct error *error)
{
	sqlite3_stmt *statement;
	if (!prepare(database, SECRET, &statement, error))
		return false;
	int code = sqlite3_step(statement);
	bool good = code == SQLITE_ROW && column_bytes(statement, 0, secret_r, USERS_SECRET);
	if (!finish(database, statement, code, error))
		return false;
	return good || malformed(database, error);
}

bool users_each(struct users_database *database, bool (*each)(void *owner, const struct users_user *user), void *owner,
		struct error *error)
{
	sqlite3_stmt *statement;
	int code;
	if (!prepare(database, EACH, &statement, error))
		return false;
	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		struct users_user user = user_of(statement);
		if (!each(owner, &user))
			break;
	}
	return finish(database, statement, code, error);
}

/* ---- Writing ---- */

static bool make_tables(struct users_database *database, struct error *error)
{
	unsigned char secret[USERS_SECRET];
	sqlite3_stmt *statement;
	if (RAND_bytes(secret, sizeof secret) != 1)
		fatal("no random bytes can be had");
	if (!execute(database, schema, error) || !prepare(database, ADD_SECRET, &statement, error))
		return false;
	bind_bytes(statement, 1, secret, sizeof secret);
	return run(database, statement, NULL, error);
}

struct users_database *users_open_to_write(const char *path, unsigned mode, gid_t group, struct error *error)
{
	static const char settings[] = "PRAGMA journal_mode = DELETE; PRAGMA synchronous = EXTRA; PRAGMA foreign_keys = ON;"
				       "PRAGMA secure_delete = ON;";
	int64_t tables = 0;
	if (!make_file(path, mode, group, error))
		return NULL;
	struct users_database *database = open_file(path, SQLITE_OPEN_READWRITE, error);
	/* Whether it is new is known once nobody else can be making it. */
	bool good = database && execute(database, settings, error) && execute(database, "BEGIN IMMEDIATE", error) &&
		    read_number(database, "SELECT count(*) FROM sqlite_schema", &tables, error) &&
		    (tables || make_tables(database, error)) && execute(database, "COMMIT", error) && check_kind(database, error);
	if (!good)
		users_close(&database);
	return database;
}

/* Ends the transaction; what failed leaves nothing behind. */
static bool end(struct users_database *database, bool good, struct error *error)
{
	if (good && execute(database, "COMMIT", error))
		return true;
	sqlite3_exec(database->sqlite, "ROLLBACK", NULL, NULL, NULL);
	return false;
}

static bool begin(struct users_database *database, struct error *error)
{
	return execute(database, "BEGIN IMMEDIATE", error);
}

/* A statement that changes the user's row, which must be there. */
static bool change_user(struct users_database *database, sqlite3_stmt *statement, struct slice name, struct error *error)
{
	int changed = 0;
	return run(database, statement, &changed, error) && (changed || no_user(name, error));
}

static bool exists(struct users_database *database, struct slice name, bool *exists_r, struct error *error)
{
	struct arena arena;
	struct users_user user;
	arena_init(&arena, 0);
	bool good = users_find(database, name, &arena, &user, exists_r, error);
	arena_free(&arena);
	return good;
}

static bool set_user(struct users_database *database, struct slice name, struct slice hash, bool fresh, struct error *error)
{
	sqlite3_stmt *statement;
	bool there;
	if (!exists(database, name, &there, error))
		return false;
	if (fresh && there)
		return error_set(error, ERROR_USAGE, "there is a user %.*s already; `postern user passwd` changes the password",
				 SLICE_ARG(name));
	if (!prepare(database, fresh ? ADD : CHANGE, &statement, error))
		return false;
	bind_text(statement, 1, name);
	bind_text(statement, 2, hash);
	return change_user(database, statement, name, error);
}

static bool set_verifier(struct users_database *database, struct slice name, enum auth_hash hash, const struct auth_verifier *verifier,
			 struct error *error)
{
	sqlite3_stmt *statement;
	size_t size = password_key_size(hash);
	if (verifier->salt.len == 0)
		return true;
	if (!prepare(database, ADD_VERIFIER, &statement, error))
		return false;
	bind_text(statement, 1, name);
	bind_text(statement, 2, slice_of(mechanisms[hash]));
	bind_bytes(statement, 3, verifier->salt.data, verifier->salt.len);
	sqlite3_bind_int64(statement, 4, verifier->iterations);
	bind_bytes(statement, 5, verifier->stored_key, size);
	bind_bytes(statement, 6, verifier->server_key, size);
	return run(database, statement, NULL, error);
}

static bool forget_verifiers(struct users_database *database, struct slice name, struct error *error)
{
	sqlite3_stmt *statement;
	if (!prepare(database, FORGET_VERIFIERS, &statement, error))
		return false;
	bind_text(statement, 1, name);
	return run(database, statement, NULL, error);
}

bool users_set_proof(struct users_database *database, struct slice name, const struct users_proof *proof, bool fresh, struct error *error)
{
	if (!begin(database, error))
		return false;
	bool good = set_user(database, name, proof->hash, fresh, error) && forget_verifiers(database, name, error) &&
		    set_verifier(database, name, AUTH_SHA1, &proof->verifiers[AUTH_SHA1], error) &&
		    set_verifier(database, name, AUTH_SHA256, &proof->verifiers[AUTH_SHA256], error);
	return end(database, good, error);
}

bool users_set_disabled(struct users_database *database, struct slice name, bool disabled, struct error *error)
{
	sqlite3_stmt *statement;
	if (!prepare(database, DISABLE, &statement, error))
		return false;
	bind_text(statement, 1, name);
	sqlite3_bind_int(statement, 2, disabled);
	return change_user(database, statement, name, error);
}

bool users_remove(struct users_database *database, struct slice name, struct error *error)
{
	sqlite3_stmt *statement;
	if (!prepare(database, REMOVE, &statement, error))
		return false;
	bind_text(statement, 1, name);
	return change_user(database, statement, name, error);
}

/* Within the transaction: the user is there, has room, and none of that name. */
static bool may_add(struct users_database *database, struct slice name, struct slice item, struct error *error)
{
	struct arena arena;
	struct users_app_password *items;
	size_t count = 0;
	bool there = false;
	arena_init(&arena, 0);
	bool good = exists(database, name, &there, error) && users_app_passwords(database, name, &arena, &items, &count, error);
	if (good && !there)
		good = no_user(name, error);
	if (good && count == USERS_APP_PASSWORDS_MAX)
		good = error_set(error, ERROR_USAGE, "%.*s has %d application passwords already", SLICE_ARG(name), USERS_APP_PASSWORDS_MAX);
	for (size_t i = 0; good && i < count; i++)
		if (slice_equal(items[i].name, item))
			good = error_set(error, ERROR_USAGE, "%.*s has an application password \"%.*s\" already", SLICE_ARG(name),
					 SLICE_ARG(item));
	arena_free(&arena);
	return good;
}

bool users_add_app_password(struct users_database *database, struct slice name, const struct users_app_password *item,
			    struct error *error)
{
	sqlite3_stmt *statement;
	if (!begin(database, error))
		return false;
	bool good = may_add(database, name, item->name, error) && prepare(database, ADD_APP, &statement, error);
	if (good) {
		bind_text(statement, 1, name);
		bind_text(statement, 2, item->name);
		bind_text(statement, 3, item->service);
		bind_bytes(statement, 4, item->salt, sizeof item->salt);
		bind_bytes(statement, 5, item->digest, sizeof item->digest);
		good = run(database, statement, NULL, error);
	}
	return end(database, good, error);
}

bool users_remove_app_password(struct users_database *database, struct slice name, struct slice item, struct error *error)
{
	sqlite3_stmt *statement;
	int changed = 0;
	if (!prepare(database, REMOVE_APP, &statement, error))
		return false;
	bind_text(statement, 1, name);
	bind_text(statement, 2, item);
	return run(database, statement, &changed, error) &&
	       (changed || error_set(error, ERROR_USAGE, "%.*s has no application password \"%.*s\"", SLICE_ARG(name), SLICE_ARG(item)));
}
