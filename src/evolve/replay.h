/* evolve/replay.h - one arena match as a page that plays it.
 *
 * The page is one HTML file without references to anything else: a canvas, play and pause, a slider to scrub,
 * speeds from a quarter to eightfold, health and shield bars, beams and trails. Keys: space plays or pauses,
 * arrows step.
 *
 * Ownership: replay_done frees. Threads: one at a time. */
#ifndef EVOLVE_REPLAY_H
#define EVOLVE_REPLAY_H

#include "base/buf.h"
#include "sim/arena_match.h"

#define REPLAY_MAX_NAME 64

struct replay {
    struct arena_options options;
    char names[ARENA_MAX_TEAMS][REPLAY_MAX_NAME];
    struct buf frames; /* JSON text of the frames so far */
    uint32_t n_frames;
    int32_t winner;
};

/* names: [n_teams], shown as they are, whatever they hold. */
void replay_init(struct replay *replay, const struct arena_options *options, const char *const *names);
void replay_done(struct replay *replay);

/* Records the match as it stands. */
void replay_add(struct replay *replay, const struct arena_match *match);

/* Appends the page. ONNXD_ERR_LIMIT. */
ONNXD_MUST_USE onnxd_status replay_page(const struct replay *replay, struct buf *out, onnxd_error *err);

#endif
