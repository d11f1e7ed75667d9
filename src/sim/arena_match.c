#include "sim/arena_match.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/rng.h"

static const float TOP_SPEED = ARENA_THRUST / (1 - ARENA_DRAG);

const char *const ARENA_INPUT_NAMES[ARENA_N_INPUTS] = {
    "enemy near",  "enemy sin",   "enemy cos", "enemy closing", "enemy health", "enemy 2 near",
    "enemy 2 sin", "enemy 2 cos", "ally near", "ally sin",      "ally cos",     "forward",
    "sideways",    "health",      "shield",    "ready"};
const char *const ARENA_OUTPUT_NAMES[ARENA_N_OUTPUTS] = {"turn", "thrust", "fire"};

onnxd_status arena_options_check(struct arena_options *options, onnxd_error *err)
{
    struct arena_options o = *options;
    if (o.n_teams == 0) o.n_teams = 2;
    if (o.ships_a_team == 0) o.ships_a_team = 1;
    if (o.max_ticks == 0) o.max_ticks = 600;
    if (o.n_teams < 2 || o.n_teams > ARENA_MAX_TEAMS)
        return error_set(err, ONNXD_ERR_RANGE, "arena: expected 2..%d teams, got %u", ARENA_MAX_TEAMS,
                         o.n_teams);
    if (o.ships_a_team > ARENA_MAX_SHIPS_A_TEAM)
        return error_set(err, ONNXD_ERR_RANGE, "arena: expected 1..%d ships a team, got %u",
                         ARENA_MAX_SHIPS_A_TEAM, o.ships_a_team);
    if (o.max_ticks > ARENA_MAX_TICKS)
        return error_set(err, ONNXD_ERR_RANGE, "arena: expected 1..%d ticks, got %u", ARENA_MAX_TICKS,
                         o.max_ticks);
    *options = o;
    return ONNXD_OK;
}

/* The shortest way round the torus. */
static float across(float d)
{
    if (d > ARENA_SIZE / 2) return d - ARENA_SIZE;
    if (d < -ARENA_SIZE / 2) return d + ARENA_SIZE;
    return d;
}

static void random_direction(struct rng *rng, float *ret_x, float *ret_y)
{
    for (;;) {
        float x = rng_f32(rng) * 2 - 1, y = rng_f32(rng) * 2 - 1, square = x * x + y * y;
        if (square > 1 || square < 0.01f) continue;
        float length = sqrtf(square);
        *ret_x = x / length;
        *ret_y = y / length;
        return;
    }
}

static void visit_cell(struct arena_ship *ship)
{
    uint32_t column = (uint32_t)(ship->x * (ARENA_CELLS / ARENA_SIZE)) % ARENA_CELLS;
    uint32_t row = (uint32_t)(ship->y * (ARENA_CELLS / ARENA_SIZE)) % ARENA_CELLS;
    ship->cells |= 1ull << (row * ARENA_CELLS + column);
}

void arena_match_start(struct arena_match *match, const struct arena_options *options, uint64_t seed)
{
    struct rng rng = rng_seed(seed);
    memset(match, 0, sizeof *match);
    match->options = *options;
    match->n_ships = options->n_teams * options->ships_a_team;
    match->winner = -1;
    for (uint32_t i = 0; i < match->n_ships; i++) {
        struct arena_ship *ship = &match->ships[i];
        ship->x = rng_f32(&rng) * ARENA_SIZE;
        ship->y = rng_f32(&rng) * ARENA_SIZE;
        random_direction(&rng, &ship->nose_x, &ship->nose_y);
        ship->health = ARENA_HEALTH;
        ship->shield = ARENA_SHIELD;
        ship->unhurt = ARENA_SHIELD_DELAY;
        ship->team = (uint8_t)(i / options->ships_a_team);
        visit_cell(ship);
    }
}

/* What lies between two ships. */
struct sight {
    const struct arena_ship *other; /* NULL: nobody */
    float square, dx, dy;
};

static void look(const struct arena_match *match, const struct arena_ship *self, struct sight *enemy1,
                 struct sight *enemy2, struct sight *ally)
{
    const struct sight nobody = {.square = INFINITY};
    *enemy1 = *enemy2 = *ally = nobody;
    for (uint32_t i = 0; i < match->n_ships; i++) {
        const struct arena_ship *other = &match->ships[i];
        if (other == self || other->health <= 0) continue;
        struct sight sight = {
            .other = other, .dx = across(other->x - self->x), .dy = across(other->y - self->y)};
        sight.square = sight.dx * sight.dx + sight.dy * sight.dy;
        if (other->team == self->team) {
            if (sight.square < ally->square) *ally = sight;
        } else if (sight.square < enemy1->square) {
            *enemy2 = *enemy1;
            *enemy1 = sight;
        } else if (sight.square < enemy2->square) {
            *enemy2 = sight;
        }
    }
}

/* near, sine, cosine into out[0..3); returns the distance, 0 for nobody. */
static float sense_other(const struct arena_ship *self, const struct sight *sight, float *out)
{
    out[0] = out[1] = out[2] = 0;
    if (sight->other == NULL) return 0;
    float distance = sqrtf(sight->square);
    float scale = distance > 0 ? 1 / distance : 0;
    out[0] = distance < ARENA_SIZE / 2 ? 1 - distance / (ARENA_SIZE / 2) : 0;
    out[1] = (self->nose_x * sight->dy - self->nose_y * sight->dx) * scale;
    out[2] = (self->nose_x * sight->dx + self->nose_y * sight->dy) * scale;
    return distance;
}

void arena_match_sense(const struct arena_match *match, uint32_t index, float *inputs)
{
    const struct arena_ship *self = &match->ships[index];
    struct sight enemy1, enemy2, ally;
    look(match, self, &enemy1, &enemy2, &ally);
    float distance = sense_other(self, &enemy1, inputs + ARENA_IN_ENEMY1_NEAR);
    sense_other(self, &enemy2, inputs + ARENA_IN_ENEMY2_NEAR);
    sense_other(self, &ally, inputs + ARENA_IN_ALLY_NEAR);
    inputs[ARENA_IN_ENEMY1_CLOSING] = inputs[ARENA_IN_ENEMY1_HEALTH] = 0;
    if (distance > 0) {
        const struct arena_ship *other = enemy1.other;
        float along = (self->vx - other->vx) * enemy1.dx + (self->vy - other->vy) * enemy1.dy;
        inputs[ARENA_IN_ENEMY1_CLOSING] = along / (distance * TOP_SPEED);
        inputs[ARENA_IN_ENEMY1_HEALTH] = (other->health + other->shield) / (ARENA_HEALTH + ARENA_SHIELD);
    }
    inputs[ARENA_IN_FORWARD] = (self->vx * self->nose_x + self->vy * self->nose_y) / TOP_SPEED;
    inputs[ARENA_IN_SIDEWAYS] = (self->nose_x * self->vy - self->nose_y * self->vx) / TOP_SPEED;
    inputs[ARENA_IN_HEALTH] = self->health / ARENA_HEALTH;
    inputs[ARENA_IN_SHIELD] = self->shield / ARENA_SHIELD;
    inputs[ARENA_IN_READY] = self->cooldown == 0;
}

/* An action cut to 0..1; what is no number counts as 0. */
static float cut(float action)
{
    return action > 0 ? (action < 1 ? action : 1) : 0;
}

static float wrap(float x)
{
    if (x >= ARENA_SIZE) x -= ARENA_SIZE;
    if (x < 0) x += ARENA_SIZE;
    return x < ARENA_SIZE ? x : 0; /* -1e-9 + 800 rounds to 800 */
}

/* Turns the nose by a small angle (series to the 4th power) and brings its length back to 1. */
static void turn(struct arena_ship *ship, float angle)
{
    float square = angle * angle;
    float sine = angle * (1 - square * (1.0f / 6)), cosine = 1 - square * (0.5f - square * (1.0f / 24));
    float x = ship->nose_x * cosine - ship->nose_y * sine, y = ship->nose_x * sine + ship->nose_y * cosine;
    float scale = 1.5f - 0.5f * (x * x + y * y);
    ship->nose_x = x * scale;
    ship->nose_y = y * scale;
}

static void move(struct arena_ship *ship, const float *actions)
{
    turn(ship, (cut(actions[ARENA_OUT_TURN]) * 2 - 1) * ARENA_TURN);
    float thrust = cut(actions[ARENA_OUT_THRUST]) * ARENA_THRUST;
    ship->vx = (ship->vx + thrust * ship->nose_x) * ARENA_DRAG;
    ship->vy = (ship->vy + thrust * ship->nose_y) * ARENA_DRAG;
    ship->x = wrap(ship->x + ship->vx);
    ship->y = wrap(ship->y + ship->vy);
    visit_cell(ship);
}

/* The nearest ship on the beam, and how far along it lies. */
static struct arena_ship *find_target(struct arena_match *match, const struct arena_ship *self,
                                      float *ret_length)
{
    struct arena_ship *target = NULL;
    float nearest = ARENA_LASER_RANGE;
    for (uint32_t i = 0; i < match->n_ships; i++) {
        struct arena_ship *other = &match->ships[i];
        if (other == self || other->health <= 0) continue;
        float dx = across(other->x - self->x), dy = across(other->y - self->y);
        float along = dx * self->nose_x + dy * self->nose_y, off = dx * self->nose_y - dy * self->nose_x;
        if (along <= 0 || along >= nearest || fabsf(off) > ARENA_LASER_WIDTH) continue;
        nearest = along;
        target = other;
    }
    *ret_length = nearest;
    return target;
}

struct hit { /* damage is dealt after all have fired, so that no ship gains from its place in the list */
    struct arena_ship *from, *to;
};

static void deal(const struct hit *hit)
{
    struct arena_ship *to = hit->to;
    float left = ARENA_LASER_DAMAGE;
    bool lived = to->health > 0;
    float absorbed = to->shield < left ? to->shield : left;
    to->shield -= absorbed;
    left -= absorbed;
    float hurt = to->health < left ? to->health : left;
    to->health -= hurt;
    to->unhurt = 0;
    to->hit = true;
    hit->from->damage += absorbed + hurt;
    if (lived && to->health <= 0) hit->from->kills++;
}

static float team_health(const struct arena_match *match, uint32_t team)
{
    float sum = 0;
    for (uint32_t i = 0; i < match->n_ships; i++)
        if (match->ships[i].team == team) sum += match->ships[i].health;
    return sum;
}

static void judge(struct arena_match *match)
{
    uint32_t n_alive = 0;
    float best = -1, second = -1;
    int32_t winner = -1;
    for (uint32_t team = 0; team < match->options.n_teams; team++) {
        float health = team_health(match, team);
        n_alive += health > 0;
        if (health > best) {
            second = best;
            best = health;
            winner = (int32_t)team;
        } else if (health > second) {
            second = health;
        }
    }
    if (n_alive > 1 && match->tick < match->options.max_ticks) return;
    match->finished = true;
    match->winner = best - second > 0.5f ? winner : -1;
}

void arena_match_step(struct arena_match *match, const float *actions)
{
    if (match->finished) return;
    struct hit hits[ARENA_MAX_SHIPS];
    uint32_t n_hits = 0;
    for (uint32_t i = 0; i < match->n_ships; i++) {
        struct arena_ship *ship = &match->ships[i];
        ship->beam = 0;
        ship->hit = false;
        if (ship->health > 0) move(ship, actions + (uint64_t)i * ARENA_N_OUTPUTS);
    }
    for (uint32_t i = 0; i < match->n_ships; i++) {
        struct arena_ship *ship = &match->ships[i];
        if (ship->health <= 0) continue;
        if (ship->cooldown > 0) {
            ship->cooldown--;
            continue;
        }
        if (!(actions[(uint64_t)i * ARENA_N_OUTPUTS + ARENA_OUT_FIRE] > 0.5f)) continue;
        struct arena_ship *target = find_target(match, ship, &ship->beam);
        ship->cooldown = ARENA_LASER_COOLDOWN;
        if (target != NULL && target->team != ship->team) hits[n_hits++] = (struct hit){ship, target};
    }
    for (uint32_t i = 0; i < match->n_ships; i++) {
        struct arena_ship *ship = &match->ships[i];
        if (ship->health <= 0) continue;
        if (ship->unhurt < ARENA_SHIELD_DELAY)
            ship->unhurt++;
        else
            ship->shield = fminf(ship->shield + ARENA_SHIELD_REGROWTH, ARENA_SHIELD);
    }
    for (uint32_t i = 0; i < n_hits; i++) deal(&hits[i]);
    match->tick++;
    judge(match);
}

void arena_match_score(const struct arena_match *match, uint32_t team, struct arena_score *ret_score)
{
    float own = (float)match->options.ships_a_team, others = (float)match->n_ships - own;
    uint64_t cells = 0;
    struct arena_score score = {.health = team_health(match, team) / (own * ARENA_HEALTH)};
    for (uint32_t i = 0; i < match->n_ships; i++) {
        const struct arena_ship *ship = &match->ships[i];
        if (ship->team != team) continue;
        score.damage += ship->damage / (others * (ARENA_HEALTH + ARENA_SHIELD));
        score.kills += (float)ship->kills / others;
        cells |= ship->cells;
    }
    if (score.damage > 1) score.damage = 1; /* shields that regrew can be shot twice */
    score.explored = (float)__builtin_popcountll(cells) / (ARENA_CELLS * ARENA_CELLS);
    score.result = match->winner == (int32_t)team ? 1.0f : match->finished && match->winner < 0 ? 0.5f : 0.0f;
    if (match->winner == (int32_t)team)
        score.speed = 1 - (float)match->tick / (float)match->options.max_ticks;
    *ret_score = score;
}

void arena_chaser(const float *inputs, float *outputs)
{
    float sine = inputs[ARENA_IN_ENEMY1_SIN], cosine = inputs[ARENA_IN_ENEMY1_COS];
    bool ahead = cosine > 0;
    outputs[ARENA_OUT_TURN] = ahead ? 0.5f + 4 * sine : sine > 0 ? 1.0f : 0.0f;
    outputs[ARENA_OUT_THRUST] = inputs[ARENA_IN_ENEMY1_NEAR] < 0.7f && ahead ? 1.0f : 0.0f;
    outputs[ARENA_OUT_FIRE] = ahead && fabsf(sine) < 0.15f && inputs[ARENA_IN_ENEMY1_NEAR] > 0.45f ? 1.0f
                                                                                                   : 0.0f;
}
