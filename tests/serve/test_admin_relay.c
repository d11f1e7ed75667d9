/* The supervisor's part in an order, step by step: the processes are ends of sockets in this test's hands. */
#include "support/test.h"

#include <unistd.h>

#include "serve/admin_relay.h"
#include "serve/admin_wire.h"
#include "serve/index_board.h"

#define N        3u
#define PATIENCE 1000u

struct cast {
    struct admin_journal journal;
    struct admin_relay *relay;
    int ends[N];
    uint32_t n_restarts[N];
};

static void on_restart(void *context, uint32_t process)
{
    ((struct cast *)context)->n_restarts[process]++;
}

static void come(struct cast *cast, uint32_t process)
{
    onnxd_error err;
    assert_ok(admin_relay_before_fork(cast->relay, process, &cast->ends[process], &err), err);
    admin_relay_forked(cast->relay, process, 0);
}

static void die(struct cast *cast, uint32_t process)
{
    close(cast->ends[process]);
    cast->ends[process] = -1;
    admin_relay_gone(cast->relay, process, 0);
}

static void begin(struct cast *cast)
{
    onnxd_error err;
    memset(cast, 0, sizeof *cast);
    admin_journal_init(&cast->journal);
    struct admin_relay_options options = {
        .n_processes = N, .patience_ns = PATIENCE, .journal = &cast->journal};
    assert_ok(admin_relay_create(&options, &cast->relay, &err), err);
    admin_relay_set_restart(cast->relay, on_restart, cast);
    for (uint32_t i = 0; i < N; i++) come(cast, i);
}

static void end(struct cast *cast)
{
    for (uint32_t i = 0; i < N; i++)
        if (cast->ends[i] >= 0) close(cast->ends[i]);
    admin_relay_free(cast->relay);
    admin_journal_done(&cast->journal);
}

static void say(struct cast *cast, uint32_t process, enum admin_kind kind, uint64_t id, onnxd_status status,
                const char *text)
{
    struct admin_message message = {.kind = kind, .id = id, .status = status, .has_files = 1};
    snprintf(message.text, sizeof message.text, "%s", text);
    assert_true(admin_wire_send(cast->ends[process], &message, -1));
    admin_relay_read(cast->relay, process, 0);
}

static void order(struct cast *cast, uint32_t process, uint64_t id, enum admin_verb verb, const char *name)
{
    onnxd_error err;
    struct admin_order *order = NULL;
    struct admin_message message = {.kind = ADMIN_ASK, .id = id};
    static const struct admin_file file = {3, "content", 7};
    int fd = -1;
    assert_ok(admin_order_create(verb, name, NULL, 0, &file, verb == ADMIN_LOAD, &order, &err), err);
    assert_ok(admin_order_to_fd(order, &fd, &err), err);
    admin_order_unref(order);
    assert_true(admin_wire_send(cast->ends[process], &message, fd));
    close(fd);
    admin_relay_read(cast->relay, process, 0);
}

/* The next message is of this kind; returns its number. */
static uint64_t hear(struct cast *cast, uint32_t process, enum admin_kind kind)
{
    struct admin_message message;
    int fd;
    assert_int_equal(admin_wire_receive(cast->ends[process], &message, &fd), ADMIN_RECEIVED);
    assert_int_equal(message.kind, kind);
    bool wants_fd = kind == ADMIN_PREPARE || kind == ADMIN_PERFORM;
    assert_int_equal(fd >= 0, wants_fd);
    if (fd >= 0) close(fd);
    return message.id;
}

static void hear_answer(struct cast *cast, uint32_t process, uint64_t id, onnxd_status status,
                        const char *text)
{
    struct admin_message message;
    int fd;
    assert_int_equal(admin_wire_receive(cast->ends[process], &message, &fd), ADMIN_RECEIVED);
    assert_int_equal(message.kind, ADMIN_ANSWER);
    assert_int_equal(message.id, id);
    if (message.status != status || strstr(message.text, text) == NULL)
        fail_msg("expected %d with \"%s\", got %u with \"%s\"", status, text, message.status, message.text);
}

static void hear_nothing(struct cast *cast, uint32_t process)
{
    struct admin_message message;
    int fd;
    assert_int_equal(admin_wire_receive(cast->ends[process], &message, &fd), ADMIN_NOTHING_YET);
}

static uint64_t all_hear(struct cast *cast, enum admin_kind kind)
{
    uint64_t number = 0;
    for (uint32_t i = 0; i < N; i++) number = hear(cast, i, kind);
    return number;
}

static void all_say(struct cast *cast, enum admin_kind kind, uint64_t id)
{
    for (uint32_t i = 0; i < N; i++) say(cast, i, kind, id, ONNXD_OK, "");
}

/* An order that all are told to prepare; returns its number. */
static uint64_t begin_order(struct cast *cast, uint32_t process, uint64_t id, enum admin_verb verb,
                            const char *name)
{
    order(cast, process, id, verb, name);
    return all_hear(cast, ADMIN_PREPARE);
}

/* All can, and all do. */
static void put_in_force(struct cast *cast, uint64_t number)
{
    all_say(cast, ADMIN_PREPARED, number);
    all_hear(cast, ADMIN_COMMIT);
    all_say(cast, ADMIN_COMMITTED, number);
}

static void an_order_is_put_in_force_when_all_could_prepare_it(void **state)
{
    (void)state;
    struct cast cast;
    begin(&cast);
    uint64_t number = begin_order(&cast, 1, 42, ADMIN_LOAD, "m");
    say(&cast, 2, ADMIN_PREPARED, number, ONNXD_OK, "");
    say(&cast, 0, ADMIN_PREPARED, number, ONNXD_OK, "");
    say(&cast, 0, ADMIN_PREPARED, number, ONNXD_OK, ""); /* twice counts once */
    hear_nothing(&cast, 0);
    assert_int_equal(cast.journal.n, 0);
    say(&cast, 1, ADMIN_PREPARED, number, ONNXD_OK, "");
    all_hear(&cast, ADMIN_COMMIT);
    assert_int_equal(cast.journal.n, 1);
    hear_nothing(&cast, 1);
    all_say(&cast, ADMIN_COMMITTED, number);
    hear_answer(&cast, 1, 42, ONNXD_OK, "");
    end(&cast);
}

static void one_failure_leaves_all_as_they_were(void **state)
{
    (void)state;
    struct cast cast;
    begin(&cast);
    uint64_t number = begin_order(&cast, 0, 1, ADMIN_LOAD, "m");
    say(&cast, 0, ADMIN_PREPARED, number, ONNXD_OK, "");
    say(&cast, 1, ADMIN_PREPARED, number, ONNXD_ERR_NOMEM, "model 'm' version 3: out of memory");
    say(&cast, 2, ADMIN_PREPARED, number, ONNXD_OK, "");
    all_hear(&cast, ADMIN_ABORT);
    hear_answer(&cast, 0, 1, ONNXD_ERR_NOMEM,
                "process 1: model 'm' version 3: out of memory; nothing was changed");
    assert_int_equal(cast.journal.n, 0);
    number = begin_order(&cast, 0, 2, ADMIN_LOAD, "m"); /* a failure of all is the order's own fault */
    for (uint32_t i = 0; i < N; i++) say(&cast, i, ADMIN_PREPARED, number, ONNXD_ERR_FORMAT, "bad file");
    all_hear(&cast, ADMIN_ABORT);
    hear_answer(&cast, 0, 2, ONNXD_ERR_FORMAT, "bad file");
    end(&cast);
}

static void orders_are_carried_out_one_after_the_other(void **state)
{
    (void)state;
    struct cast cast;
    begin(&cast);
    uint64_t first = begin_order(&cast, 0, 1, ADMIN_LOAD, "a");
    order(&cast, 1, 1, ADMIN_LOAD, "b");
    order(&cast, 1, 2, ADMIN_UNLOAD, "a");
    for (uint32_t i = 0; i < N; i++) hear_nothing(&cast, i);
    put_in_force(&cast, first);
    hear_answer(&cast, 0, 1, ONNXD_OK, "");
    uint64_t second = all_hear(&cast, ADMIN_PREPARE);
    assert_true(second != first);
    all_say(&cast, ADMIN_PREPARED, first); /* too late to mean anything */
    for (uint32_t i = 0; i < N; i++) hear_nothing(&cast, i);
    put_in_force(&cast, second);
    hear_answer(&cast, 1, 1, ONNXD_OK, "");
    uint64_t third = all_hear(&cast, ADMIN_PREPARE);
    say(&cast, 0, ADMIN_PREPARED, third, ONNXD_OK, "");
    say(&cast, 1, ADMIN_PREPARED, third, ONNXD_ERR_NOT_FOUND, "not served"); /* nothing to do there */
    say(&cast, 2, ADMIN_PREPARED, third, ONNXD_OK, "");
    hear(&cast, 0, ADMIN_COMMIT);
    hear(&cast, 2, ADMIN_COMMIT);
    hear_nothing(&cast, 1);
    say(&cast, 0, ADMIN_COMMITTED, third, ONNXD_OK, "");
    say(&cast, 2, ADMIN_COMMITTED, third, ONNXD_OK, "");
    hear_answer(&cast, 1, 2, ONNXD_OK, "");
    end(&cast);
}

static void too_many_orders_are_refused_at_once(void **state)
{
    (void)state;
    struct cast cast;
    begin(&cast);
    for (uint64_t i = 1; i <= 65; i++) order(&cast, 0, i, ADMIN_LOAD, "m");
    all_hear(&cast, ADMIN_PREPARE);
    hear_answer(&cast, 0, 65, ONNXD_ERR_BUSY, "wait already");
    admin_relay_stop(cast.relay); /* what waits is answered, whatever was prepared is dropped */
    hear(&cast, 0, ADMIN_ABORT);
    for (uint64_t i = 1; i <= 64; i++) hear_answer(&cast, 0, i, ONNXD_ERR_CANCELLED, "stopping");
    assert_int_equal(cast.journal.n, 0);
    end(&cast);
}

static void processes_that_die_take_no_part(void **state)
{
    (void)state;
    struct cast cast;
    begin(&cast);
    uint64_t number = begin_order(&cast, 0, 1, ADMIN_LOAD, "m");
    say(&cast, 0, ADMIN_PREPARED, number, ONNXD_OK, "");
    say(&cast, 1, ADMIN_PREPARED, number, ONNXD_OK, "");
    die(&cast, 1); /* it had prepared it */
    come(&cast, 1);
    hear_nothing(&cast, 1);
    die(&cast, 2); /* the last that was waited for */
    hear(&cast, 0, ADMIN_COMMIT);
    hear(&cast, 1, ADMIN_PERFORM); /* it knows nothing of what was prepared */
    say(&cast, 0, ADMIN_COMMITTED, number, ONNXD_OK, "");
    hear_nothing(&cast, 0);
    die(&cast, 1);
    hear_answer(&cast, 0, 1, ONNXD_OK, "");
    come(&cast, 1); /* the order is in the journal that it was forked with */
    hear_nothing(&cast, 1);
    assert_int_equal(cast.journal.n, 1);
    end(&cast);
}

static void who_asked_may_die_and_its_number_be_another(void **state)
{
    (void)state;
    struct cast cast;
    begin(&cast);
    uint64_t number = begin_order(&cast, 1, 1, ADMIN_LOAD, "m");
    die(&cast, 1);
    come(&cast, 1);
    say(&cast, 0, ADMIN_PREPARED, number, ONNXD_OK, "");
    say(&cast, 2, ADMIN_PREPARED, number, ONNXD_OK, "");
    hear(&cast, 1, ADMIN_PERFORM);
    all_say(&cast, ADMIN_COMMITTED, number);
    hear_nothing(&cast, 1); /* the answer was for the one before */
    end(&cast);
}

static void slow_processes_are_not_waited_for_without_end(void **state)
{
    (void)state;
    struct cast cast;
    begin(&cast);
    uint64_t number = begin_order(&cast, 0, 1, ADMIN_LOAD, "m");
    say(&cast, 0, ADMIN_PREPARED, number, ONNXD_OK, "");
    say(&cast, 1, ADMIN_PREPARED, number, ONNXD_OK, "");
    assert_int_equal(admin_relay_look(cast.relay, PATIENCE - 1), PATIENCE);
    assert_true(admin_relay_look(cast.relay, PATIENCE) == UINT64_MAX);
    all_hear(&cast, ADMIN_ABORT);
    hear_answer(&cast, 0, 1, ONNXD_ERR_TIMEOUT, "process 2: it was not ready in time");
    assert_int_equal(cast.n_restarts[2], 0);
    number = begin_order(&cast, 0, 2, ADMIN_LOAD, "m"); /* once decided, the slow one is started again */
    all_say(&cast, ADMIN_PREPARED, number);
    all_hear(&cast, ADMIN_COMMIT);
    say(&cast, 0, ADMIN_COMMITTED, number, ONNXD_OK, "");
    say(&cast, 1, ADMIN_COMMITTED, number, ONNXD_ERR_NOMEM, "out of memory");
    assert_int_equal(cast.n_restarts[1], 1);
    assert_true(admin_relay_look(cast.relay, PATIENCE) == UINT64_MAX);
    assert_int_equal(cast.n_restarts[2], 1);
    hear_answer(&cast, 0, 2, ONNXD_OK, "");
    end(&cast);
}

static void no_order_is_lost_in_an_upgrade(void **state)
{
    (void)state;
    struct cast cast;
    onnxd_error err;
    int fd = -1;
    begin(&cast);
    uint64_t number = begin_order(&cast, 0, 1, ADMIN_LOAD, "m");
    assert_ok(admin_journal_hand_over(&cast.journal, 5, &fd, &err), err); /* the new program is on its way */
    all_say(&cast, ADMIN_PREPARED, number);
    all_hear(&cast, ADMIN_ABORT);
    hear_answer(&cast, 0, 1, ONNXD_ERR_BUSY, "being replaced");
    order(&cast, 0, 2, ADMIN_LOAD, "m");
    hear_answer(&cast, 0, 2, ONNXD_ERR_BUSY, "being replaced");
    end(&cast);
}

static struct repository_entry entry(const char *name, enum repository_state state, const char *reason)
{
    struct repository_entry entry = {.version = 1, .state = state};
    snprintf(entry.name, sizeof entry.name, "%s", name);
    snprintf(entry.reason, sizeof entry.reason, "%s", reason);
    return entry;
}

static void the_index_is_what_holds_of_all_processes(void **state)
{
    (void)state;
    onnxd_error err;
    struct index_board *board = NULL;
    struct repository_entry got[INDEX_MAX_ENTRIES], a = entry("a", REPOSITORY_READY, ""),
                                                    b = entry("b", REPOSITORY_READY, ""),
                                                    out = entry("out", REPOSITORY_UNAVAILABLE, "unloaded"),
                                                    bad = entry("b", REPOSITORY_UNAVAILABLE, "no memory");
    assert_ok(index_board_create(3, &board, &err), err);
    for (uint32_t p = 0; p < 3; p++) {
        index_board_show(board, p, 0, 1, p == 1 ? &b : &a);
        index_board_show(board, p, 1, 2, p == 1 ? &a : &b);
        index_board_show(board, p, 2, 3, &out);
        if (p < 2) index_board_present(board, p, true);
    }
    index_board_show(board, 2, 0, 1, &a); /* it has not loaded its models yet */
    assert_int_equal(index_board_read(board, got, INDEX_MAX_ENTRIES), 3);
    assert_int_equal(got[0].state, REPOSITORY_READY);
    assert_int_equal(got[1].state, REPOSITORY_READY);
    assert_string_equal(got[2].reason, "unloaded");
    index_board_present(board, 2, true);
    assert_int_equal(index_board_read(board, got, INDEX_MAX_ENTRIES), 3);
    assert_int_equal(got[0].state, REPOSITORY_READY);
    assert_int_equal(got[1].state, REPOSITORY_UNAVAILABLE);
    assert_string_equal(got[1].reason, "2 of 3 processes have it");
    index_board_show(board, 2, 1, 2, &bad);
    index_board_read(board, got, INDEX_MAX_ENTRIES);
    assert_int_equal(got[1].state, REPOSITORY_UNAVAILABLE);
    assert_string_equal(got[1].reason, "process 2: no memory");
    index_board_present(board, 2, false); /* it died */
    index_board_read(board, got, INDEX_MAX_ENTRIES);
    assert_int_equal(got[1].state, REPOSITORY_READY);
    index_board_cut(board, 0, 0);
    index_board_cut(board, 1, 1);
    assert_int_equal(index_board_read(board, got, INDEX_MAX_ENTRIES), 1);
    assert_string_equal(got[0].name, "b");
    index_board_free(board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_is_put_in_force_when_all_could_prepare_it),
        cmocka_unit_test(one_failure_leaves_all_as_they_were),
        cmocka_unit_test(orders_are_carried_out_one_after_the_other),
        cmocka_unit_test(too_many_orders_are_refused_at_once),
        cmocka_unit_test(processes_that_die_take_no_part),
        cmocka_unit_test(who_asked_may_die_and_its_number_be_another),
        cmocka_unit_test(slow_processes_are_not_waited_for_without_end),
        cmocka_unit_test(no_order_is_lost_in_an_upgrade),
        cmocka_unit_test(the_index_is_what_holds_of_all_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
