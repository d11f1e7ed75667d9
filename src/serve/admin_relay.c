#include "serve/admin_relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "serve/admin_wire.h"

#define MAX_ASKED 64u

struct asked { /* an order */
    struct asked *next;
    uint32_t process; /* that asked */
    uint64_t life;    /* of that process: another has its number later */
    uint64_t id;      /* its own number of the question */
    struct admin_order *order;
    int fd;
};

struct peer {
    uint64_t life; /* counts forks */
    bool awaited;  /* its word on the step is yet to come */
    bool prepared;
    bool has_none;  /* nothing to unload there */
    bool came_late; /* it was forked while the order was being prepared */
};

enum step { STEP_NONE, STEP_PREPARE, STEP_COMMIT };

struct admin_relay {
    struct admin_relay_options options;
    int *fds;           /* [n_processes] */
    struct peer *peers; /* [n_processes] */
    struct asked *first, **end;
    uint32_t n_asked;
    bool stopping;
    /* the order under way, the first asked */
    enum step step;
    uint64_t number, until_ns;
    bool has_files;
    uint32_t n_prepared, n_failed, n_absent; /* n_absent: an unloading found nothing there */
    onnxd_status status;                     /* of the first failure */
    char text[ONNXD_ERROR_MESSAGE_BYTES];    /* the same */
    uint32_t failed_process;
    bool failures_differ;
};

/* ---- sending ---------------------------------------------------------------------------------------- */

static bool send_to(struct admin_relay *relay, uint32_t process, enum admin_kind kind, int passed)
{
    struct admin_message message = {.kind = kind, .id = relay->number};
    return relay->fds[process] >= 0 && admin_wire_send(relay->fds[process], &message, passed);
}

static void answer(struct admin_relay *relay, const struct asked *asked, onnxd_status status,
                   const char *text)
{
    if (asked->life != relay->peers[asked->process].life || relay->fds[asked->process] < 0) return;
    struct admin_message message = {.kind = ADMIN_ANSWER, .status = status, .id = asked->id};
    snprintf(message.text, sizeof message.text, "%s", text);
    (void)admin_wire_send(relay->fds[asked->process], &message, -1); /* it may have died just now */
}

static void free_asked(struct asked *asked)
{
    if (asked->fd >= 0) close(asked->fd);
    admin_order_unref(asked->order);
    free(asked);
}

static void drop_first(struct admin_relay *relay)
{
    struct asked *asked = relay->first;
    relay->first = asked->next;
    if (relay->first == NULL) relay->end = &relay->first;
    relay->n_asked--;
    free_asked(asked);
}

static void restart(struct admin_relay *relay, uint32_t process, const char *why)
{
    log_error("process %u: %s; it is started again", process, why);
    if (relay->options.restart != NULL) relay->options.restart(relay->options.context, process);
}

/* ---- the order under way ---------------------------------------------------------------------------- */

static void begin_next(struct admin_relay *relay, uint64_t now_ns);

static void end_order(struct admin_relay *relay, onnxd_status status, const char *text, uint64_t now_ns)
{
    answer(relay, relay->first, status, text);
    drop_first(relay);
    relay->step = STEP_NONE;
    begin_next(relay, now_ns);
}

static void note_failure(struct admin_relay *relay, uint32_t process, onnxd_status status, const char *text)
{
    if (relay->n_failed > 0 && strcmp(text, relay->text) != 0) relay->failures_differ = true;
    if (relay->n_failed++ > 0) return;
    relay->status = status;
    relay->failed_process = process;
    snprintf(relay->text, sizeof relay->text, "%s", text);
}

static uint32_t count_awaited(const struct admin_relay *relay)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < relay->options.n_processes; i++) n += relay->peers[i].awaited;
    return n;
}

/* Forgets the order everywhere and says whose fault it was. */
static void give_up(struct admin_relay *relay, uint64_t now_ns)
{
    char text[ONNXD_ERROR_MESSAGE_BYTES + 64];
    for (uint32_t i = 0; i < relay->options.n_processes; i++)
        if (!relay->peers[i].came_late) (void)send_to(relay, i, ADMIN_ABORT, -1);
    bool is_everybodys = relay->n_prepared == 0 && !relay->failures_differ;
    if (is_everybodys)
        snprintf(text, sizeof text, "%s", relay->text);
    else
        snprintf(text, sizeof text, "process %u: %s; nothing was changed in any process",
                 relay->failed_process, relay->text);
    end_order(relay, relay->status, text, now_ns);
}

/* All have prepared it. */
static void commit(struct admin_relay *relay, uint64_t now_ns)
{
    onnxd_error err;
    struct asked *asked = relay->first;
    onnxd_status status = admin_journal_add(relay->options.journal, asked->order, relay->has_files, now_ns,
                                            &err);
    if (status != ONNXD_OK) {
        note_failure(relay, asked->process, status, err.message);
        give_up(relay, now_ns);
        return;
    }
    relay->step = STEP_COMMIT;
    relay->until_ns = now_ns + relay->options.patience_ns;
    for (uint32_t i = 0; i < relay->options.n_processes; i++) {
        struct peer *peer = &relay->peers[i];
        if (relay->fds[i] < 0 || peer->has_none) continue;
        peer->awaited = peer->prepared ? send_to(relay, i, ADMIN_COMMIT, -1)
                                       : send_to(relay, i, ADMIN_PERFORM, asked->fd);
        if (!peer->awaited) restart(relay, i, "it does not take orders");
    }
}

/* Goes on when nobody's word is missing. */
static void go_on(struct admin_relay *relay, uint64_t now_ns)
{
    if (relay->step == STEP_NONE || count_awaited(relay) > 0) return;
    if (relay->step == STEP_COMMIT) {
        end_order(relay, ONNXD_OK, "", now_ns);
        return;
    }
    if (relay->n_failed == 0 && relay->n_prepared == 0 && relay->n_absent == 0)
        note_failure(relay, relay->first->process, ONNXD_ERR_BUSY, "no process is there to carry it out");
    if (relay->n_failed > 0 || relay->n_prepared == 0)
        give_up(relay, now_ns);
    else
        commit(relay, now_ns);
    go_on(relay, now_ns); /* when nobody is left to be waited for */
}

/* False: it was answered. */
static bool is_allowed(struct admin_relay *relay, uint64_t now_ns)
{
    onnxd_error err;
    onnxd_status status = admin_journal_allows(relay->options.journal, relay->first->order, now_ns, &err);
    if (relay->stopping) status = error_set(&err, ONNXD_ERR_CANCELLED, "the server is stopping");
    if (status == ONNXD_OK) return true;
    answer(relay, relay->first, status, err.message);
    drop_first(relay);
    return false;
}

static void begin_next(struct admin_relay *relay, uint64_t now_ns)
{
    while (relay->first != NULL && !is_allowed(relay, now_ns)) {
    }
    if (relay->first == NULL) return;
    relay->step = STEP_PREPARE;
    relay->number++;
    relay->until_ns = now_ns + relay->options.patience_ns;
    relay->n_prepared = relay->n_failed = relay->n_absent = 0;
    relay->has_files = relay->failures_differ = false;
    relay->text[0] = 0;
    for (uint32_t i = 0; i < relay->options.n_processes; i++) {
        struct peer *peer = &relay->peers[i];
        peer->prepared = peer->came_late = peer->has_none = false;
        peer->awaited = send_to(relay, i, ADMIN_PREPARE, relay->first->fd);
        if (!peer->awaited && relay->fds[i] >= 0)
            note_failure(relay, i, ONNXD_ERR_TIMEOUT, "it does not take orders");
    }
}

/* ---- what processes say ----------------------------------------------------------------------------- */

static void take_prepared(struct admin_relay *relay, uint32_t process, const struct admin_message *message)
{
    struct peer *peer = &relay->peers[process];
    if (relay->step != STEP_PREPARE || message->id != relay->number || !peer->awaited) return;
    peer->awaited = false;
    relay->has_files |= message->has_files != 0;
    if (message->status == ONNXD_OK) {
        peer->prepared = true;
        relay->n_prepared++;
    } else if (message->status == ONNXD_ERR_NOT_FOUND && relay->first->order->verb == ADMIN_UNLOAD) {
        peer->has_none = true;
        if (relay->n_absent++ == 0 && relay->n_failed == 0) { /* counts when it holds of all */
            relay->status = ONNXD_ERR_NOT_FOUND;
            snprintf(relay->text, sizeof relay->text, "%s", message->text);
        }
    } else {
        note_failure(relay, process, (onnxd_status)message->status, message->text);
    }
}

static void take_committed(struct admin_relay *relay, uint32_t process, const struct admin_message *message)
{
    struct peer *peer = &relay->peers[process];
    if (relay->step != STEP_COMMIT || message->id != relay->number || !peer->awaited) return;
    peer->awaited = false;
    if (message->status != ONNXD_OK) restart(relay, process, message->text);
}

/* Takes `fd` over. */
static void take_question(struct admin_relay *relay, uint32_t process, uint64_t id, int fd)
{
    onnxd_error err = {.message = "out of memory"};
    struct asked *asked = calloc(1, sizeof *asked);
    struct asked refused = {.process = process, .life = relay->peers[process].life, .id = id};
    onnxd_status status = asked == NULL ? ONNXD_ERR_NOMEM : ONNXD_OK;
    if (status == ONNXD_OK && relay->n_asked >= MAX_ASKED)
        status = error_set(&err, ONNXD_ERR_BUSY, "%u requests to the repository wait already", MAX_ASKED);
    if (status == ONNXD_OK) {
        *asked = refused;
        asked->fd = fd;
        status = admin_order_from_fd(fd, &asked->order, &err);
    }
    if (status != ONNXD_OK) {
        answer(relay, &refused, status, err.message);
        if (fd >= 0) close(fd);
        free(asked);
        return;
    }
    *relay->end = asked;
    relay->end = &asked->next;
    relay->n_asked++;
}

void admin_relay_read(struct admin_relay *relay, uint32_t process, uint64_t now_ns)
{
    struct admin_message message;
    enum admin_received received = ADMIN_GONE;
    int fd;
    while (relay->fds[process] >= 0 &&
           (received = admin_wire_receive(relay->fds[process], &message, &fd)) == ADMIN_RECEIVED) {
        if (message.kind == ADMIN_ASK)
            take_question(relay, process, message.id, fd);
        else if (fd >= 0)
            close(fd);
        if (message.kind == ADMIN_PREPARED) take_prepared(relay, process, &message);
        if (message.kind == ADMIN_COMMITTED) take_committed(relay, process, &message);
    }
    if (received == ADMIN_GONE) admin_relay_gone(relay, process, now_ns);
    if (relay->step == STEP_NONE) begin_next(relay, now_ns);
    go_on(relay, now_ns);
}

void admin_relay_gone(struct admin_relay *relay, uint32_t process, uint64_t now_ns)
{
    struct peer *peer = &relay->peers[process];
    if (relay->fds[process] < 0) return;
    close(relay->fds[process]);
    relay->fds[process] = -1;
    if (relay->step == STEP_PREPARE && peer->prepared) relay->n_prepared--;
    peer->awaited = peer->prepared = peer->came_late = peer->has_none = false;
    peer->life++;
    go_on(relay, now_ns);
}

uint64_t admin_relay_look(struct admin_relay *relay, uint64_t now_ns)
{
    if (relay->step == STEP_NONE) return UINT64_MAX;
    if (now_ns < relay->until_ns) return relay->until_ns;
    for (uint32_t i = 0; i < relay->options.n_processes; i++) {
        struct peer *peer = &relay->peers[i];
        if (!peer->awaited) continue;
        peer->awaited = false;
        if (relay->step == STEP_PREPARE)
            note_failure(relay, i, ONNXD_ERR_TIMEOUT, "it was not ready in time");
        else
            restart(relay, i, "it has not put an order in force in time");
    }
    go_on(relay, now_ns);
    return relay->step == STEP_NONE ? UINT64_MAX : relay->until_ns;
}

void admin_relay_stop(struct admin_relay *relay)
{
    relay->stopping = true;
    if (relay->step == STEP_PREPARE) {
        for (uint32_t i = 0; i < relay->options.n_processes; i++) relay->peers[i].awaited = false;
        relay->n_prepared = relay->n_failed = 0;
        note_failure(relay, 0, ONNXD_ERR_CANCELLED, "the server is stopping");
        relay->failures_differ = false;
        give_up(relay, 0);
    }
}

/* ---- life ------------------------------------------------------------------------------------------- */

onnxd_status admin_relay_create(const struct admin_relay_options *options, struct admin_relay **ret_relay,
                                onnxd_error *err)
{
    struct admin_relay *relay = calloc(1, sizeof *relay);
    if (relay != NULL) {
        relay->options = *options;
        relay->end = &relay->first;
        relay->fds = calloc(options->n_processes, sizeof *relay->fds);
        relay->peers = calloc(options->n_processes, sizeof *relay->peers);
    }
    if (relay == NULL || relay->fds == NULL || relay->peers == NULL) {
        admin_relay_free(relay);
        return error_set(err, ONNXD_ERR_NOMEM, "processes: out of memory");
    }
    for (uint32_t i = 0; i < options->n_processes; i++) relay->fds[i] = -1;
    *ret_relay = relay;
    return ONNXD_OK;
}

void admin_relay_set_restart(struct admin_relay *relay, void (*restart_one)(void *context, uint32_t process),
                             void *context)
{
    relay->options.restart = restart_one;
    relay->options.context = context;
}

onnxd_status admin_relay_before_fork(struct admin_relay *relay, uint32_t process, int *ret_child_fd,
                                     onnxd_error *err)
{
    int fds[2];
    onnxd_status status = admin_wire_pair(fds, err);
    if (status != ONNXD_OK) return status;
    relay->fds[process] = fds[0];
    *ret_child_fd = fds[1];
    return ONNXD_OK;
}

static void close_all(struct admin_relay *relay)
{
    while (relay->first != NULL) drop_first(relay);
    for (uint32_t i = 0; relay->fds != NULL && i < relay->options.n_processes; i++) {
        if (relay->fds[i] >= 0) close(relay->fds[i]);
        relay->fds[i] = -1;
    }
}

void admin_relay_leave(struct admin_relay *relay)
{
    close_all(relay);
}

void admin_relay_forked(struct admin_relay *relay, uint32_t process, uint64_t now_ns)
{
    relay->peers[process].came_late = relay->step == STEP_PREPARE;
    if (relay->step == STEP_NONE) begin_next(relay, now_ns); /* what waited for somebody to carry it out */
    go_on(relay, now_ns);
}

void admin_relay_free(struct admin_relay *relay)
{
    if (relay == NULL) return;
    close_all(relay);
    free(relay->fds);
    free(relay->peers);
    free(relay);
}

const int *admin_relay_fds(const struct admin_relay *relay)
{
    return relay->fds;
}
