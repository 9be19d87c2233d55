/* SPDX-License-Identifier: MIT
 *
 * The migrations, carried inside the program: each is a file under migrations/, taken in by the assembler.
 *
 * The tables are written in assembly as well, because the length of an embedded file is known there and not
 * to C. A row is laid out as struct migration; the assertions below hold the two together. Adding a migration
 * is adding one line to a table and one file per backend; a line is never changed or taken away.
 */
#include "store/store_int.h"

_Static_assert(sizeof(struct migration) == 32 && offsetof(struct migration, name) == 8 &&
                   offsetof(struct migration, sql) == 16 && offsetof(struct str, n) == 8,
               "struct migration is not laid out as the rows below");

#define TABLE(symbol)                                                                          \
    ".balign 8\n.globl " #symbol "\n.type " #symbol ", %object\n" #symbol ":\n"

#define MIGRATION(number, name, kind)                                                          \
    ".pushsection .rodata\n"                                                                   \
    "migration_" kind "_" #number "_name: .asciz \"" name "\"\n"                               \
    "migration_" kind "_" #number "_sql: .incbin \"src/store/migrations/" name "." kind        \
    ".sql\"\n"                                                                                 \
    "migration_" kind "_" #number "_end: .byte 0\n"                                            \
    ".popsection\n"                                                                            \
    ".4byte " #number ", 0\n"                                                                  \
    ".8byte migration_" kind "_" #number "_name, migration_" kind "_" #number "_sql\n"         \
    ".8byte migration_" kind "_" #number "_end - migration_" kind "_" #number "_sql\n"

#define END ".8byte 0, 0, 0, 0\n"

/* clang-format off */
__asm__(".pushsection .data.rel.ro,\"aw\"\n"
        TABLE(sqlite_migrations)
        MIGRATION(1, "0001_first", "sqlite")
        MIGRATION(2, "0002_lists_and_agents", "sqlite")
        MIGRATION(3, "0003_streams", "sqlite")
        MIGRATION(4, "0004_webhooks", "sqlite")
        END
        TABLE(postgres_migrations)
        MIGRATION(1, "0001_first", "postgres")
        MIGRATION(2, "0002_lists_and_agents", "postgres")
        MIGRATION(3, "0003_streams", "postgres")
        MIGRATION(4, "0004_webhooks", "postgres")
        END
        ".popsection\n");
