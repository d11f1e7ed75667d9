#include "support/test.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "serve/admin_journal.h"
#include "serve/sealed_file.h"

static struct admin_order *make(enum admin_verb verb, const char *name, const char *config,
                                const struct admin_file *files, uint32_t n_files)
{
    onnxd_error err;
    struct admin_order *order = NULL;
    assert_ok(admin_order_create(verb, name, config, config != NULL ? strlen(config) : 0, files, n_files,
                                 &order, &err),
              err);
    return order;
}

static int make_fd(enum admin_verb verb, const char *name, const char *config, const struct admin_file *files,
                   uint32_t n_files)
{
    onnxd_error err;
    int fd = -1;
    struct admin_order *order = make(verb, name, config, files, n_files);
    assert_ok(admin_order_to_fd(order, &fd, &err), err);
    admin_order_unref(order);
    return fd;
}

static const struct admin_file two[] = {{1, "one", 3}, {7, "seven!", 6}};

static void an_order_is_read_as_it_was_written(void **state)
{
    (void)state;
    onnxd_error err;
    struct admin_order *order = NULL;
    int fd = make_fd(ADMIN_LOAD, "m", "{\"max_batch\":3}", two, 2);
    assert_ok(admin_order_from_fd(fd, &order, &err), err);
    close(fd);
    assert_int_equal(order->verb, ADMIN_LOAD);
    assert_string_equal(order->name, "m");
    assert_string_equal(order->config, "{\"max_batch\":3}");
    assert_int_equal(order->n_files, 2);
    assert_int_equal(order->files[1].version, 7);
    assert_int_equal(order->files[1].n, 6);
    assert_memory_equal(order->files[1].bytes, "seven!", 6);
    admin_order_unref(order);
    fd = make_fd(ADMIN_UNLOAD, "other", NULL, NULL, 0);
    assert_ok(admin_order_from_fd(fd, &order, &err), err);
    close(fd);
    assert_int_equal(order->verb, ADMIN_UNLOAD);
    assert_null(order->config);
    admin_order_unref(order);
}

static void refuse(const char *name, const char *config, size_t n_config, const struct admin_file *files,
                   uint32_t n_files)
{
    onnxd_error err;
    struct admin_order *order = NULL;
    assert_int_equal(admin_order_create(ADMIN_LOAD, name, config, n_config, files, n_files, &order, &err),
                     ONNXD_ERR_ARGUMENT);
    assert_null(order);
}

static void orders_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    char name[ADMIN_ORDER_NAME_BYTES + 1];
    memset(name, 'x', sizeof name);
    name[ADMIN_ORDER_NAME_BYTES] = 0;
    static const struct admin_file twice[] = {{3, "a", 1}, {3, "b", 1}}, zero[] = {{0, "a", 1}};
    refuse(name, NULL, 0, NULL, 0);
    refuse("", NULL, 0, NULL, 0);
    refuse("m", "{\0}", 3, NULL, 0);
    refuse("m", NULL, 0, twice, 2);
    refuse("m", NULL, 0, zero, 1);
}

/* Each cut, and each bit turned: an error or an order whose views lie within. */
static void mangled_orders_are_refused(void **state)
{
    (void)state;
    onnxd_error err;
    struct admin_order *whole = make(ADMIN_LOAD, "m", "{}", two, 2), *read = NULL;
    for (size_t n = 0; n < whole->n_image; n++)
        assert_int_equal(admin_order_from_bytes(whole->image, n, &read, &err), ONNXD_ERR_FORMAT);
    char *changed = malloc(whole->n_image);
    for (size_t i = 0; i < 8 * whole->n_image; i++) {
        memcpy(changed, whole->image, whole->n_image);
        changed[i / 8] = (char)(changed[i / 8] ^ 1 << i % 8);
        if (admin_order_from_bytes(changed, whole->n_image, &read, &err) != ONNXD_OK) continue;
        size_t n = 0;
        for (uint32_t k = 0; k < read->n_files; k++)
            for (size_t at = 0; at < read->files[k].n; at++) n += read->files[k].bytes[at] != 0;
        assert_true(n <= read->n_image && strlen(read->name) < ADMIN_ORDER_NAME_BYTES);
        admin_order_unref(read);
    }
    free(changed);
    int fd = memfd_create("test", MFD_CLOEXEC); /* not sealed: it may change while it is read */
    assert_true(write(fd, whole->image, whole->n_image) == (ssize_t)whole->n_image);
    assert_int_equal(admin_order_from_fd(fd, &read, &err), ONNXD_ERR_FORMAT);
    close(fd);
    assert_int_equal(admin_order_from_fd(-1, &read, &err), ONNXD_ERR_FORMAT);
    admin_order_unref(whole);
}

static void note(struct admin_journal *journal, struct admin_order *order, bool has_files)
{
    onnxd_error err;
    assert_ok(admin_journal_add(journal, order, has_files, 0, &err), err);
    admin_order_unref(order);
}

static void a_journal_keeps_what_still_counts(void **state)
{
    (void)state;
    struct admin_journal journal;
    admin_journal_init(&journal);
    static const struct admin_file one[] = {{1, "x", 1}};
    note(&journal, make(ADMIN_LOAD, "m", NULL, two, 2), true);
    note(&journal, make(ADMIN_LOAD, "m", NULL, one, 1), true);
    assert_int_equal(journal.n, 2); /* version 7 is the first one's still */
    note(&journal, make(ADMIN_LOAD, "m", NULL, two, 2), true);
    assert_int_equal(journal.n, 1);
    note(&journal, make(ADMIN_LOAD, "n", NULL, one, 1), false);
    note(&journal, make(ADMIN_UNLOAD, "n", NULL, NULL, 0), false); /* was there by content alone */
    assert_int_equal(journal.n, 1);
    note(&journal, make(ADMIN_LOAD, "m", "{}", NULL, 0), true);
    assert_int_equal(journal.n, 1);
    assert_int_equal(journal.orders[0]->n_files, 0);
    note(&journal, make(ADMIN_UNLOAD, "m", NULL, NULL, 0), true);
    assert_int_equal(journal.n, 1);
    assert_int_equal(journal.orders[0]->verb, ADMIN_UNLOAD);
    note(&journal, make(ADMIN_LOAD, "m", NULL, NULL, 0), true); /* as the files are */
    assert_int_equal(journal.n, 0);
    admin_journal_done(&journal);
}

static void a_journal_is_bounded_and_can_be_frozen(void **state)
{
    (void)state;
    struct admin_journal journal;
    onnxd_error err;
    char name[16];
    admin_journal_init(&journal);
    for (uint32_t i = 0; i < ADMIN_JOURNAL_MAX; i++) {
        snprintf(name, sizeof name, "m%u", i);
        note(&journal, make(ADMIN_LOAD, name, NULL, two, 1), false);
    }
    struct admin_order *more = make(ADMIN_LOAD, "more", NULL, two, 1),
                       *again = make(ADMIN_LOAD, "m7", NULL, two, 1);
    assert_int_equal(admin_journal_allows(&journal, more, 0, &err), ONNXD_ERR_LIMIT);
    assert_ok(admin_journal_allows(&journal, again, 0, &err), err);
    int fd = -1;
    assert_ok(admin_journal_hand_over(&journal, 1000, &fd, &err), err);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(admin_journal_allows(&journal, again, 999, &err), ONNXD_ERR_BUSY);
    assert_int_equal(admin_journal_add(&journal, again, false, 999, &err), ONNXD_ERR_BUSY);
    assert_int_equal(journal.n, ADMIN_JOURNAL_MAX);
    assert_ok(admin_journal_allows(&journal, again, 1000, &err), err);
    admin_order_unref(more);
    admin_order_unref(again);
    admin_journal_done(&journal);
}

static void a_journal_goes_from_program_to_program(void **state)
{
    (void)state;
    struct admin_journal journal, next;
    onnxd_error err;
    int fd = -1;
    admin_journal_init(&journal);
    admin_journal_init(&next);
    assert_ok(admin_journal_hand_over(&journal, 0, &fd, &err), err);
    assert_int_equal(fd, -1); /* nothing to tell */
    note(&journal, make(ADMIN_LOAD, "m", "{}", two, 2), true);
    note(&journal, make(ADMIN_UNLOAD, "n", NULL, NULL, 0), true);
    assert_ok(admin_journal_hand_over(&journal, 0, &fd, &err), err);
    assert_ok(admin_journal_take(&next, fd, &err), err);
    assert_int_equal(next.n, 2);
    assert_memory_equal(next.orders[0]->files[1].bytes, "seven!", 6);
    assert_string_equal(next.orders[1]->name, "n");
    char *bytes;
    size_t n;
    assert_ok(sealed_file_map(fd, &bytes, &n, &err), err);
    close(fd);
    for (size_t cut = 1; cut < n; cut++) { /* all but one that ends between two orders */
        assert_ok(sealed_file_create(bytes, cut, &fd, &err), err);
        bool is_whole = cut == sizeof(uint64_t) + next.orders[0]->n_image;
        struct admin_journal read;
        admin_journal_init(&read);
        assert_int_equal(admin_journal_take(&read, fd, &err), is_whole ? ONNXD_OK : ONNXD_ERR_FORMAT);
        admin_journal_done(&read);
        close(fd);
    }
    munmap(bytes, n);
    admin_journal_done(&journal);
    admin_journal_done(&next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_is_read_as_it_was_written),
        cmocka_unit_test(orders_that_make_no_sense_are_refused),
        cmocka_unit_test(mangled_orders_are_refused),
        cmocka_unit_test(a_journal_keeps_what_still_counts),
        cmocka_unit_test(a_journal_is_bounded_and_can_be_frozen),
        cmocka_unit_test(a_journal_goes_from_program_to_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
