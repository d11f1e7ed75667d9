/* neat_train replay: one match of the arena as a page. */
#include <stdio.h>
#include <string.h>

#include "cli_options.h"
#include "neat_train.h"

struct replay_options {
    const char *out;
    uint64_t seed;
    struct arena_options arena;
};

static const struct cli_option options[] = {
    {"out", CLI_TEXT, CLI_AT(struct replay_options, out), "FILE", "the page"},
    {"seed", CLI_U64, CLI_AT(struct replay_options, seed), "N", "of the match"},
    {"teams", CLI_U32, CLI_AT(struct replay_options, arena.n_teams), "N", "the first against the others",
     .min = 2, .max = ARENA_MAX_TEAMS},
    {"ships", CLI_U32, CLI_AT(struct replay_options, arena.ships_a_team), "N", "ships of a team", .min = 1,
     .max = ARENA_MAX_SHIPS_A_TEAM},
    {"ticks", CLI_U32, CLI_AT(struct replay_options, arena.max_ticks), "N", "length of the match", .min = 1,
     .max = ARENA_MAX_TICKS},
};

static const struct cli_command command = {
    "neat_train replay",
    "Plays one match of the arena into a page for the browser.",
    CLI_TABLE(options),
    .positionals = "CHAMPION.json [OPPONENT.json]",
    .min_positionals = 1,
    .max_positionals = 2,
    .notes = "Without an opponent the hand-written chaser plays.",
};

static bool is_for_arena(const struct policy *policy, const char *path)
{
    bool fits = policy->shape.n_inputs == ARENA_N_INPUTS && policy->shape.n_outputs == ARENA_N_OUTPUTS;
    if (!fits) fprintf(stderr, "%s: not a policy for the arena\n", path);
    return fits;
}

int neat_train_replay_main(int argc, char **argv)
{
    struct replay_options o = {.out = "replay.html", .seed = 1, .arena = {2, 1, 600}};
    uint32_t n = 0;
    int result = cli_parse(&command, argc, argv, &o, &n);
    if (result != CLI_GO_ON) return result;
    struct policy policies[2] = {0};
    onnxd_error err;
    onnxd_status status = ONNXD_OK;
    bool fits = true;
    for (uint32_t i = 0; i < n && status == ONNXD_OK && fits; i++) {
        status = policy_read(argv[i + 1], &policies[i], &err);
        if (status == ONNXD_OK) fits = is_for_arena(&policies[i], argv[i + 1]);
    }
    if (status == ONNXD_OK && fits)
        status = write_replay(o.out, &o.arena, &policies[0], argv[1], n == 2 ? &policies[1] : NULL,
                              n == 2 ? argv[2] : "chaser", o.seed, &err);
    policy_done(&policies[0]);
    policy_done(&policies[1]);
    if (!fits) return CLI_EXIT_USAGE;
    return status == ONNXD_OK ? CLI_EXIT_OK : cli_fail(command.name, &err);
}
