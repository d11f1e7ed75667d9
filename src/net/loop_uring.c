#include "net/loop_uring.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/error.h"

#define SQ_ENTRIES 512u
#define CQ_ENTRIES 4096u

/* Since Linux 6.15, later than the headers of Debian 12: a processor that idles until the next request counts
 * as idle, not as waiting for input and output. */
#define ENTER_NO_IOWAIT (1u << 7)
#define FEAT_NO_IOWAIT  (1u << 17)

#define SIGNAL_SET_BYTES 8u /* of the kernel's */

#define EVENTS_KEEP (CQ_ENTRIES * sizeof(struct uring_event))
#define END_WAIT_NS                                                                         \
    (UINT64_C(10) * NS_PER_MS) /* loop_free, for what it cancelled; a hundred times at most \
                                */

/* ---- submitting ------------------------------------------------------------------------------------- */

bool uring_is_here(const struct loop_uring *uring)
{
    return !uring->is_enabled || pthread_equal(uring->thread, pthread_self());
}

struct io_uring_sqe *uring_sqe(struct loop_uring *uring)
{
    if (!uring_is_here(uring)) return NULL;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
    if (sqe != NULL || !uring->is_enabled) return sqe;
    uring_submit(uring);
    return io_uring_get_sqe(&uring->ring);
}

void uring_cancel(struct loop_uring *uring, uint64_t tagged)
{
    struct io_uring_sqe *sqe = uring_sqe(uring);
    if (sqe == NULL) return;
    io_uring_prep_cancel64(sqe, tagged, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = URING_NOTHING;
}

bool uring_set_file(struct loop_uring *uring, int32_t file, int *descriptor)
{
    struct io_uring_sqe *sqe = uring_sqe(uring);
    if (sqe == NULL) return false;
    io_uring_prep_files_update(sqe, descriptor, 1, file);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = URING_NOTHING;
    return true;
}

void uring_push_event(struct loop_uring *uring, uint64_t tagged, int32_t result, uint32_t flags)
{
    struct uring_event event = {tagged, result, flags};
    buf_append(&uring->events, &event, sizeof event);
}

static struct uring_side *side_of(uint64_t tagged)
{
    return (struct uring_side *)(uintptr_t)(tagged & ~(uint64_t)URING_OP_MASK);
}

/* Takes the completions out of the ring. Those of sends are worked off here, before their bytes go. */
static void harvest(struct loop_uring *uring)
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;
    io_uring_for_each_cqe(&uring->ring, head, cqe)
    {
        if (!buf_reserve(&uring->events, sizeof(struct uring_event))) break; /* they wait in the ring */
        n++;
        enum uring_op op = cqe->user_data & URING_OP_MASK;
        if (op == URING_SEND)
            uring_send_fell_short(uring, side_of(cqe->user_data), cqe->res);
        else if (op != URING_NOTHING)
            uring_push_event(uring, cqe->user_data, cqe->res, cqe->flags);
    }
    io_uring_cq_advance(&uring->ring, n);
}

/* What was queued has been submitted. */
static void begin_epoch(struct loop_uring *uring)
{
    harvest(uring);
    while (io_uring_cq_has_overflow(&uring->ring) && io_uring_get_events(&uring->ring) >= 0) {
        size_t n_before = uring->events.n;
        harvest(uring);
        if (uring->events.n == n_before) break;
    }
    uring->epoch++;
    uring->n_sends = 0;
    uring->is_closing = false;
}

static bool is_worth_retrying(int result)
{
    return result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY;
}

void uring_submit(struct loop_uring *uring)
{
    if (!uring->is_enabled || !uring_is_here(uring)) return;
    int result = 0;
    while (io_uring_sq_ready(&uring->ring) > 0 && is_worth_retrying(result)) {
        result = io_uring_submit(&uring->ring);
        if (result < 0) harvest(uring); /* room for completions may be what it lacks */
    }
    begin_epoch(uring);
}

/* One system call submits and waits. liburing's functions for that cannot say that the wait is for work, not
 * for a disk. */
void uring_enter(struct loop_uring *uring, uint64_t timeout_ns)
{
    struct io_uring *ring = &uring->ring;
    struct __kernel_timespec timeout = {(long long)(timeout_ns / NS_PER_S),
                                        (long long)(timeout_ns % NS_PER_S)};
    struct io_uring_getevents_arg arg = {
        .sigmask_sz = SIGNAL_SET_BYTES,
        .ts = timeout_ns == LOOP_FOREVER ? 0 : (uint64_t)(uintptr_t)&timeout,
    };
    unsigned n_submit = io_uring_sq_ready(ring);
    ring->sq.sqe_head = ring->sq.sqe_tail;
    io_uring_smp_store_release(ring->sq.ktail, ring->sq.sqe_tail);
    io_uring_enter2((unsigned)ring->enter_ring_fd, n_submit, timeout_ns == 0 ? 0 : 1, uring->enter_flags,
                    (sigset_t *)(void *)&arg, sizeof arg);
    uring_submit(uring); /* usually nothing is left to submit */
}

/* ---- events ----------------------------------------------------------------------------------------- */

static void watch_wake(struct loop_uring *uring)
{
    struct io_uring_sqe *sqe = uring_sqe(uring);
    if (sqe == NULL) return;
    io_uring_prep_poll_multishot(sqe, uring->loop.wake_fd, POLLIN);
    sqe->user_data = URING_WAKE;
}

void uring_make_due(struct loop_uring *uring, struct uring_side *side)
{
    if (side->is_due) return;
    side->is_due = true;
    side->next_due = uring->due;
    uring->due = side;
}

static void handle(struct loop_uring *uring, const struct uring_event *event)
{
    struct uring_side *side = side_of(event->tagged);
    switch ((enum uring_op)(event->tagged & URING_OP_MASK)) {
    case URING_RECEIVE: uring_received(uring, side, event); break;
    case URING_ROOM: uring_has_room(uring, side); break;
    case URING_ACCEPT: uring_accepted(uring, side, event); break;
    case URING_SEND: uring_send_failed(uring, side, event->result); break;
    case URING_WAKE:
        if (!(event->flags & IORING_CQE_F_MORE)) watch_wake(uring);
        loop_run_tasks(&uring->loop);
        break;
    case URING_NOTHING: break;
    }
}

static void handle_events(struct loop_uring *uring)
{
    while (uring->next_event < uring->events.n) {
        struct uring_event event;
        memcpy(&event, uring->events.data + uring->next_event, sizeof event);
        uring->next_event += sizeof event;
        handle(uring, &event);
    }
    uring->next_event = 0;
    buf_reset(&uring->events);
    buf_shrink(&uring->events, EVENTS_KEEP);
}

static bool serve_due(struct loop_uring *uring)
{
    struct uring_side *side = uring->due;
    bool told = false;
    uring->due = NULL;
    while (side != NULL) {
        struct uring_side *next = side->next_due;
        side->is_due = false; /* it may become due again, for the next step */
        told |= uring_serve_due(uring, side);
        side = next;
    }
    return told;
}

/* Frees the sides whose owners and operations have all gone. Only when no event is left that names one. */
static void free_gone(struct loop_uring *uring)
{
    struct uring_side **at = &uring->gone;
    while (*at != NULL) {
        struct uring_side *side = *at;
        if (side->n_pending > 0 || side->is_due || side->send_epoch == uring->epoch) {
            at = &side->next_gone;
            continue;
        }
        *at = side->next_gone;
        free(side);
    }
}

/* ---- the loop --------------------------------------------------------------------------------------- */

static bool enable(struct loop_uring *uring)
{
    if (io_uring_enable_rings(&uring->ring) != 0) return false;
    uring->thread = pthread_self();
    uring->is_enabled = true;
    if (io_uring_register_ring_fd(&uring->ring) == 1) /* saves looking it up; works without */
        uring->enter_flags |= IORING_ENTER_REGISTERED_RING;
    return true;
}

static void uring_step(struct loop *loop, uint64_t timeout_ns)
{
    struct loop_uring *uring = uring_of(loop);
    if (!uring->is_enabled && !enable(uring)) return;
    if (uring->due != NULL && serve_due(uring)) timeout_ns = 0;
    if (uring->due != NULL || uring->events.n > 0) timeout_ns = 0;
    if (uring->resting != NULL && timeout_ns > LOOP_ACCEPT_REST_NS) timeout_ns = LOOP_ACCEPT_REST_NS;
    uring_enter(uring, timeout_ns);
    if (uring->resting != NULL) uring_end_rest(uring);
    handle_events(uring);
    if (uring->gone != NULL) free_gone(uring);
}

static void lend(struct loop_uring *uring, uint32_t id, int offset)
{
    io_uring_buf_ring_add(uring->buffer_ring, uring->buffers + (size_t)id * URING_STRIDE, URING_BUFFER_BYTES,
                          (uint16_t)id, io_uring_buf_ring_mask(URING_BUFFERS), offset);
}

/* n more buffers, as far as there are any. */
static void give_buffers(struct loop_uring *uring, uint32_t n)
{
    if (n > URING_BUFFERS - uring->n_buffers) n = URING_BUFFERS - uring->n_buffers;
    for (uint32_t i = 0; i < n; i++) lend(uring, uring->n_buffers + i, (int)i);
    io_uring_buf_ring_advance(uring->buffer_ring, (int)n);
    uring->n_buffers += n;
}

static void uring_release(struct loop *loop)
{
    struct loop_uring *uring = uring_of(loop);
    for (uint32_t i = 0; i < uring->n_lent; i++) lend(uring, uring->lent[i], (int)i);
    io_uring_buf_ring_advance(uring->buffer_ring, (int)uring->n_lent);
    uring->n_lent = 0;
    if (uring->is_short_of_them) give_buffers(uring, uring->n_buffers);
    uring->is_short_of_them = false;
    while (uring->spent != NULL) {
        struct held_block *block = uring->spent;
        uring->spent = block->next;
        free(block);
    }
    if (uring->is_closing)
        uring_submit(uring); /* who waits for the last connection's end makes no more steps */
}

/* ---- life ------------------------------------------------------------------------------------------- */

static void end_operations(struct loop_uring *uring)
{
    for (int i = 0; uring->gone != NULL && i < 100; i++) {
        uring_enter(uring, i == 0 ? 0 : END_WAIT_NS);
        handle_events(uring);
        free_gone(uring);
    }
}

static void uring_free(struct loop *loop)
{
    struct loop_uring *uring = uring_of(loop);
    serve_due(uring);
    for (struct uring_side *side = uring->resting; side != NULL; side = side->next_due) side->is_due = false;
    if (uring->is_enabled && uring_is_here(uring)) end_operations(uring);
    if (uring->has_ring) io_uring_queue_exit(&uring->ring);
    while (uring->gone != NULL) {
        struct uring_side *side = uring->gone;
        uring->gone = side->next_gone;
        free(side);
    }
    if (uring->buffer_ring != NULL) munmap(uring->buffer_ring, URING_BUFFERS * sizeof(struct io_uring_buf));
    loop_done(loop);
    buf_done(&uring->events);
    free(uring->buffers);
    free(uring->sends);
    free(uring->free_files);
    free(uring);
}

static const struct loop_ops uring_ops = {
    .name = "io_uring",
    .free = uring_free,
    .listen = uring_listen,
    .unlisten = uring_unlisten,
    .add = uring_add,
    .remove = uring_remove,
    .resume = uring_resume,
    .send = uring_send,
    .shut = uring_shut,
    .step = uring_step,
    .release = uring_release,
};

static onnxd_status refused(int result, onnxd_error *err)
{
    if (result == -EINVAL || result == -ENOSYS || result == -EPERM || result == -EACCES)
        return error_set(err, ONNXD_ERR_UNSUPPORTED,
                         "event loop: the kernel does not allow io_uring here: %s%s", strerror(-result),
                         result == -EINVAL ? " (it needs Linux 6.1)" : "");
    return error_set(err, ONNXD_ERR_IO, "event loop: io_uring: %s", strerror(-result));
}

static onnxd_status create_ring(struct loop_uring *uring, onnxd_error *err)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                              IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED |
                                              IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
                                     .cq_entries = CQ_ENTRIES};
    int result = io_uring_queue_init_params(SQ_ENTRIES, &uring->ring, &params);
    if (result != 0) return refused(result, err);
    uring->has_ring = true;
    if (!(params.features & IORING_FEAT_CQE_SKIP) || !(params.features & IORING_FEAT_EXT_ARG))
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "event loop: this kernel's io_uring is too old");
    uring->enter_flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
    if (params.features & FEAT_NO_IOWAIT) uring->enter_flags |= ENTER_NO_IOWAIT;
    for (unsigned i = 0; i < uring->ring.sq.ring_entries; i++)
        uring->ring.sq.array[i] = i; /* in order, always */
    /* Filters of system calls are written call by call. On a ring that is not enabled this one does nothing.
     */
    result = io_uring_enter((unsigned)uring->ring.ring_fd, 0, 0, 0, NULL);
    return result == -EBADFD || result >= 0 ? ONNXD_OK : refused(result, err);
}

static onnxd_status create_buffers(struct loop_uring *uring, onnxd_error *err)
{
    size_t n = URING_BUFFERS * sizeof(struct io_uring_buf);
    void *memory = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED) uring->buffer_ring = memory;
    uring->buffers = malloc((size_t)URING_BUFFERS * URING_STRIDE);
    uring->sends = malloc(URING_SEND_BYTES);
    if (uring->buffer_ring == NULL || uring->buffers == NULL || uring->sends == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "event loop: out of memory");
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)memory, .ring_entries = URING_BUFFERS, .bgid = 0};
    int result = io_uring_register_buf_ring(&uring->ring, &registration, 0);
    if (result != 0) return refused(result, err);
    give_buffers(uring, URING_BUFFERS_LEAST);
    return ONNXD_OK;
}

/* A table of files is a help, not a need. RLIMIT_NOFILE bounds it; liburing's own function would raise that
 * limit for the whole program. */
static void create_files(struct loop_uring *uring)
{
    struct io_uring_rsrc_register table = {.nr = URING_FILES, .flags = IORING_RSRC_REGISTER_SPARSE};
    uring->free_files = malloc(URING_FILES * sizeof *uring->free_files);
    if (uring->free_files == NULL) return;
    int fd = uring->ring.ring_fd;
    while (table.nr > 0 && io_uring_register((unsigned)fd, IORING_REGISTER_FILES2, &table, sizeof table) != 0)
        table.nr /= 2;
    for (uint32_t n = table.nr; n > 0;) uring->free_files[uring->n_free_files++] = (uint16_t)--n;
}

onnxd_status loop_uring_create(const struct loop_callbacks *callbacks, struct loop **ret_loop,
                               onnxd_error *err)
{
    struct loop_uring *uring = calloc(1, sizeof *uring);
    if (uring == NULL) return error_set(err, ONNXD_ERR_NOMEM, "event loop: out of memory");
    buf_init(&uring->events, SIZE_MAX / 4);
    onnxd_status status = loop_init(&uring->loop, &uring_ops, callbacks, err);
    if (status == ONNXD_OK) status = create_ring(uring, err);
    if (status == ONNXD_OK) status = create_buffers(uring, err);
    if (status != ONNXD_OK) {
        uring_free(&uring->loop);
        return status;
    }
    create_files(uring);
    watch_wake(uring);
    *ret_loop = &uring->loop;
    return ONNXD_OK;
}
