/* neat_train tournament: ranks saved champions of the arena. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "cli_options.h"
#include "evolve/tournament.h"
#include "neat_train.h"

enum { MAX_ENTRANTS = 1000, MAX_PATH = 4096 };

struct tournament_options {
    uint32_t matches;
    uint64_t seed;
    struct arena_options arena;
};

static const struct cli_option options[] = {
    {"matches", CLI_U32, CLI_AT(struct tournament_options, matches), "N", "matches of each pair", .min = 1,
     .max = 10000},
    {"seed", CLI_U64, CLI_AT(struct tournament_options, seed), "N", "of the matches"},
    {"ships", CLI_U32, CLI_AT(struct tournament_options, arena.ships_a_team), "N", "ships of a team",
     .min = 1, .max = ARENA_MAX_SHIPS_A_TEAM},
    {"ticks", CLI_U32, CLI_AT(struct tournament_options, arena.max_ticks), "N", "length of a match", .min = 1,
     .max = ARENA_MAX_TICKS},
};

static const struct cli_command command = {
    "neat_train tournament",
    "Ranks saved champions of the arena: each plays each.",
    CLI_TABLE(options),
    .positionals = "DIR...",
    .min_positionals = 1,
    .max_positionals = MAX_ENTRANTS,
    .notes = "A DIR is a champion.json, a folder that holds one, or a folder of such folders.",
};

struct entrants {
    struct policy policies[MAX_ENTRANTS];
    char *names[MAX_ENTRANTS];
    uint32_t n;
};

static onnxd_status enter(struct entrants *e, const char *path, onnxd_error *err)
{
    if (e->n == MAX_ENTRANTS)
        return error_set(err, ONNXD_ERR_LIMIT, "tournament: more than %d champions", MAX_ENTRANTS);
    char *name = strdup(path);
    if (name == NULL) return error_set(err, ONNXD_ERR_NOMEM, "tournament: no memory");
    onnxd_status status = policy_read(path, &e->policies[e->n], err);
    if (status == ONNXD_OK)
        e->names[e->n++] = name;
    else
        free(name);
    return status;
}

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static onnxd_status enter_subfolders(struct entrants *e, const char *folder, onnxd_error *err)
{
    struct dirent **list = NULL;
    int n = scandir(folder, &list, NULL,
                    alphasort); /* in order of name: the ranking must not depend on the disk */
    if (n < 0) return error_set(err, ONNXD_ERR_NOT_FOUND, "%s: no champion and no folder", folder);
    uint32_t before = e->n;
    onnxd_status status = ONNXD_OK;
    for (int i = 0; i < n; i++) {
        char path[MAX_PATH];
        bool fits = (size_t)snprintf(path, sizeof path, "%s/%s/champion.json", folder, list[i]->d_name) <
                    sizeof path;
        if (status == ONNXD_OK && list[i]->d_name[0] != '.' && fits && is_file(path))
            status = enter(e, path, err);
        free(list[i]);
    }
    free(list);
    if (status == ONNXD_OK && e->n == before)
        return error_set(err, ONNXD_ERR_NOT_FOUND, "%s: holds no champion.json", folder);
    return status;
}

static onnxd_status enter_all(struct entrants *e, char **paths, uint32_t n, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < n && status == ONNXD_OK; i++) {
        char path[MAX_PATH];
        bool fits = (size_t)snprintf(path, sizeof path, "%s/champion.json", paths[i]) < sizeof path;
        if (is_file(paths[i]))
            status = enter(e, paths[i], err);
        else if (fits && is_file(path))
            status = enter(e, path, err);
        else
            status = enter_subfolders(e, paths[i], err);
    }
    return status;
}

int neat_train_tournament_main(int argc, char **argv)
{
    struct tournament_options o = {.matches = 20, .seed = 1, .arena = {2, 1, 600}};
    uint32_t n = 0;
    int result = cli_parse(&command, argc, argv, &o, &n);
    if (result != CLI_GO_ON) return result;
    struct entrants *entrants = calloc(1, sizeof *entrants);
    struct tournament_row *rows = calloc(MAX_ENTRANTS, sizeof *rows);
    onnxd_error err;
    onnxd_status status = ONNXD_OK;
    if (entrants == NULL || rows == NULL)
        status = error_set(&err, ONNXD_ERR_NOMEM, "tournament: no memory");
    else
        status = enter_all(entrants, argv + 1, n, &err);
    if (status == ONNXD_OK)
        status = tournament_play(entrants->policies, entrants->n, &o.arena, o.matches, o.seed, NULL, rows,
                                 &err);
    if (status == ONNXD_OK) {
        printf("%4s %8s %5s %5s %5s %6s  %s\n", "rank", "points", "won", "drawn", "lost", "Elo", "champion");
        for (uint32_t i = 0; i < entrants->n; i++)
            printf("%4u %8.1f %5u %5u %5u %6.0f  %s\n", i + 1, rows[i].points, rows[i].n_won, rows[i].n_drawn,
                   rows[i].n_lost, rows[i].elo, entrants->names[rows[i].policy]);
    }
    for (uint32_t i = 0; entrants != NULL && i < entrants->n; i++) {
        policy_done(&entrants->policies[i]);
        free(entrants->names[i]);
    }
    free(entrants);
    free(rows);
    return status == ONNXD_OK ? CLI_EXIT_OK : cli_fail(command.name, &err);
}
