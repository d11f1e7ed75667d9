/* What the subcommands of neat_train write. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "evolve/local_inference.h"
#include "evolve/replay.h"
#include "neat_train.h"

enum { MAX_FILE_BYTES = 512 << 20, MAX_PATH = 4096 };

static const char *const XOR_INS[] = {"a", "b"}, *const XOR_OUTS[] = {"a xor b"};
static const char *const POLE_INS[] = {"position", "velocity", "angle", "rate", "angle 2", "rate 2"};
static const char *const BLIND_INS[] = {"position", "angle", "angle 2"}, *const POLE_OUTS[] = {"force"};

const char *const *task_input_names(const char *task)
{
    if (strcmp(task, "arena") == 0) return ARENA_INPUT_NAMES;
    if (strcmp(task, "xor") == 0) return XOR_INS;
    if (strcmp(task, "pole2-novel") == 0) return BLIND_INS;
    return strcmp(task, "pole") == 0 || strcmp(task, "pole2") == 0 ? POLE_INS : NULL;
}

const char *const *task_output_names(const char *task)
{
    if (strcmp(task, "arena") == 0) return ARENA_OUTPUT_NAMES;
    if (strcmp(task, "xor") == 0) return XOR_OUTS;
    return strncmp(task, "pole", 4) == 0 ? POLE_OUTS : NULL;
}

/* folder/name, or an error for a path too long. */
static onnxd_status write_in(const char *folder, const char *name, const struct buf *bytes, onnxd_error *err)
{
    char path[MAX_PATH];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path)
        return error_set(err, ONNXD_ERR_ARGUMENT, "%.200s: the path is too long", folder);
    return file_replace(path, bytes->data, bytes->n, err);
}

/* A policy that says it is of a task with another shape gets numbers for names. */
static bool has_task_shape(const struct policy *policy)
{
    const struct task *task = task_find(policy->task);
    return task != NULL && task->shape.n_inputs == policy->shape.n_inputs &&
           task->shape.n_outputs == policy->shape.n_outputs;
}

onnxd_status write_policy_files(const struct policy *policy, const char *folder, struct buf *ret_svg,
                                onnxd_error *err)
{
    bool known = has_task_shape(policy);
    const char *const *ins = known ? task_input_names(policy->task) : NULL;
    const char *const *outs = known ? task_output_names(policy->task) : NULL;
    struct buf bytes;
    buf_init(&bytes, MAX_FILE_BYTES);
    onnxd_status status = policy_to_json(policy, &bytes, err);
    if (status == ONNXD_OK) status = write_in(folder, "champion.json", &bytes, err);
    buf_reset(&bytes);
    if (status == ONNXD_OK) status = policy_to_onnx(policy, &bytes, err);
    if (status == ONNXD_OK) status = write_in(folder, "champion.onnx", &bytes, err);
    buf_reset(&bytes);
    if (status == ONNXD_OK) status = policy_to_dot(policy, ins, outs, &bytes, err);
    if (status == ONNXD_OK) status = write_in(folder, "champion.dot", &bytes, err);
    buf_reset(&bytes);
    if (status == ONNXD_OK) status = policy_to_svg(policy, ins, outs, &bytes, err);
    if (status == ONNXD_OK) status = write_in(folder, "champion.svg", &bytes, err);
    if (status == ONNXD_OK && ret_svg != NULL) buf_append(ret_svg, bytes.data, bytes.n);
    buf_done(&bytes);
    return status;
}

/* The match of a page, played to its end. */
static onnxd_status record(struct replay *replay, const struct arena_options *options,
                           const struct policy *policy, const struct policy *opponent, uint64_t seed,
                           onnxd_error *err)
{
    struct match_plan plan = {.seed = seed};
    const struct genome *genomes[2] = {&policy->genome, opponent == NULL ? NULL : &opponent->genome};
    struct local_inference local;
    struct match_set set;
    for (uint32_t t = 1; t < options->n_teams; t++) plan.players[t] = opponent == NULL ? MATCH_CHASER : 1;
    onnxd_status status = match_set_init(&set, options, &plan, 1, opponent == NULL ? 1 : 2, err);
    if (status != ONNXD_OK) return status;
    local_inference_init(&local);
    status = local_inference_begin(&local, &set, genomes, &policy->shape, err);
    struct inference inference = local_inference_view(&local);
    replay_add(replay, &set.matches[0]);
    for (bool running = true; running && status == ONNXD_OK;) {
        status = match_set_tick(&set, &inference, NULL, &running, err);
        replay_add(replay, &set.matches[0]);
    }
    local_inference_done(&local);
    match_set_done(&set);
    return status;
}

onnxd_status write_replay(const char *path, const struct arena_options *options, const struct policy *policy,
                          const char *name, const struct policy *opponent, const char *opponent_name,
                          uint64_t seed, onnxd_error *err)
{
    struct arena_options checked = *options;
    const char *names[ARENA_MAX_TEAMS] = {name, opponent_name, opponent_name, opponent_name};
    onnxd_status status = arena_options_check(&checked, err);
    if (status != ONNXD_OK) return status;
    struct replay replay;
    struct buf page;
    replay_init(&replay, &checked, names);
    buf_init(&page, MAX_FILE_BYTES);
    status = record(&replay, &checked, policy, opponent, seed, err);
    if (status == ONNXD_OK) status = replay_page(&replay, &page, err);
    if (status == ONNXD_OK) status = file_replace(path, page.data, page.n, err);
    replay_done(&replay);
    buf_done(&page);
    return status;
}
