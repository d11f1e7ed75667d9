/* sim/arena_match.h - teams of ships that fight on a torus.
 *
 * Up to four teams of up to four ships start at random places. In each tick a ship turns, thrusts and may
 * fire its laser straight ahead: the nearest ship within range and close to the line is hit, and hurt unless
 * it is a friend. Damage eats the shield, then health; a shield regrows once nothing hit it for a while. A
 * match ends when one team is left or the ticks are over; then the team with most health left wins, unless
 * two are equal to within half a point.
 *
 * A match depends on its options, its seed and the actions alone, bit for bit on every machine (single
 * precision, plain arithmetic and square roots).
 *
 * Units: lengths in points, time in ticks, health in points of 100. Threads: pure functions of the match. */
#ifndef SIM_ARENA_MATCH_H
#define SIM_ARENA_MATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "onnxd/status.h"

#define ARENA_MAX_TEAMS        4
#define ARENA_MAX_SHIPS_A_TEAM 4
#define ARENA_MAX_SHIPS        16
#define ARENA_MAX_TICKS        100000
#define ARENA_SIZE             800.0f /* side of the torus */
#define ARENA_LASER_RANGE      220.0f
#define ARENA_LASER_WIDTH      14.0f /* how far from the line a ship's middle is still hit */
#define ARENA_LASER_DAMAGE     12.0f
#define ARENA_LASER_COOLDOWN   12
#define ARENA_HEALTH           100.0f
#define ARENA_SHIELD           40.0f
#define ARENA_SHIELD_REGROWTH  0.25f /* a tick */
#define ARENA_SHIELD_DELAY     60    /* ticks without a hit before it regrows */
#define ARENA_TURN             0.08f /* rad a tick at most */
#define ARENA_THRUST           0.15f /* speed gained a tick at most */
#define ARENA_DRAG             0.98f /* share of the speed kept each tick */
#define ARENA_CELLS            8     /* exploration counts the cells of an 8 x 8 grid */

/* What a ship senses. Bearings are the sine and cosine of the angle from its nose, near is 1 at no distance
 * and 0 at half the side or more; what does not exist is 0. */
enum arena_input {
    ARENA_IN_ENEMY1_NEAR,
    ARENA_IN_ENEMY1_SIN,
    ARENA_IN_ENEMY1_COS,
    ARENA_IN_ENEMY1_CLOSING, /* speed towards it, 1 is about top speed */
    ARENA_IN_ENEMY1_HEALTH,
    ARENA_IN_ENEMY2_NEAR,
    ARENA_IN_ENEMY2_SIN,
    ARENA_IN_ENEMY2_COS,
    ARENA_IN_ALLY_NEAR,
    ARENA_IN_ALLY_SIN,
    ARENA_IN_ALLY_COS,
    ARENA_IN_FORWARD,  /* own speed along the nose */
    ARENA_IN_SIDEWAYS, /* and across it */
    ARENA_IN_HEALTH,
    ARENA_IN_SHIELD,
    ARENA_IN_READY, /* 1: the laser may fire */
    ARENA_N_INPUTS
};

/* What it does: each in 0..1. */
enum arena_output {
    ARENA_OUT_TURN,   /* 0 full left, 0.5 straight, 1 full right */
    ARENA_OUT_THRUST, /* 0 none, 1 full */
    ARENA_OUT_FIRE,   /* above 0.5 fires if ready */
    ARENA_N_OUTPUTS
};

extern const char *const ARENA_INPUT_NAMES[ARENA_N_INPUTS];
extern const char *const ARENA_OUTPUT_NAMES[ARENA_N_OUTPUTS];

struct arena_options { /* {0}: one against one for 600 ticks */
    uint32_t n_teams;
    uint32_t ships_a_team;
    uint32_t max_ticks;
};

struct arena_ship {
    float x, y, vx, vy;
    float nose_x, nose_y; /* unit vector */
    float health, shield;
    float beam;   /* length of this tick's beam, 0 when it did not fire */
    float damage; /* dealt so far */
    uint64_t cells;
    uint32_t kills;
    uint16_t cooldown, unhurt; /* ticks */
    uint8_t team;
    bool hit; /* in this tick */
};

struct arena_match {
    struct arena_options options;
    struct arena_ship ships[ARENA_MAX_SHIPS]; /* by team */
    uint32_t n_ships;
    uint32_t tick;
    bool finished;
    int32_t winner; /* team, or -1 for a draw or while it goes on */
};

/* Fills in defaults. ONNXD_ERR_RANGE: 2..4 teams, 1..4 ships, 1..100000 ticks. */
ONNXD_MUST_USE onnxd_status arena_options_check(struct arena_options *options, onnxd_error *err);

/* options must be checked. */
void arena_match_start(struct arena_match *match, const struct arena_options *options, uint64_t seed);

/* inputs: [ARENA_N_INPUTS] of a living ship. */
void arena_match_sense(const struct arena_match *match, uint32_t ship, float *inputs);

/* One tick. actions: [n_ships, ARENA_N_OUTPUTS]; those of dead ships are not read, what is no number counts
 * as 0. Nothing happens once the match is finished. */
void arena_match_step(struct arena_match *match, const float *actions);

/* What a team did, for fitness. */
struct arena_score {
    float health;   /* left, share of all it began with */
    float damage;   /* dealt, share of the enemies' health and shields */
    float kills;    /* share of the enemies */
    float explored; /* share of the grid */
    float speed;    /* share of the ticks left when it won, else 0 */
    float result;   /* 1 won, 0.5 drawn, 0 lost */
};
void arena_match_score(const struct arena_match *match, uint32_t team, struct arena_score *ret_score);

/* A hand-written opponent: turns to the nearest enemy, thrusts while it is far, fires when it is ahead. */
void arena_chaser(const float *inputs, float *outputs);

#endif
