#include "serve/service.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "net/net_socket.h"
#include "serve/admin_link.h"
#include "serve/catalog.h"
#include "serve/compute.h"
#include "serve/repository.h"

#define DRAIN_GRACE_NS \
    (UINT64_C(250) * NS_PER_MS) /* for clients of idle connections to send a last request */

struct worker_thread {
    struct worker worker;
    struct http_server *server;
    struct service *service;
    pthread_t thread;
    bool started;
    struct loop_task wake; /* brings about a wake-up */
    _Atomic bool wake_posted;
};

struct service {
    struct worker_config config;
    struct service_options options;
    const struct model_backend *backend;
    struct telemetry telemetry;
    struct repository *repository;
    struct admin_link *link; /* NULL: orders are for this process alone */
    struct compute *compute;
    _Atomic bool draining;
    struct worker_thread *threads;
    uint32_t n_threads;
};

/* ---- listening -------------------------------------------------------------------------------------- */

/* Sockets that share a port would share it with another server of the same user too, silently. */
static onnxd_status check_port_is_free(const struct net_address *address, onnxd_error *err)
{
    int fd;
    onnxd_status status = net_listen(address, false, &fd, NULL, err);
    if (status == ONNXD_OK) close(fd);
    return status;
}

onnxd_status service_listen(const char *host, uint16_t port, uint32_t n_workers, int *ret_fds,
                            uint16_t *ret_port, onnxd_error *err)
{
    struct net_address address;
    uint32_t n = 0;
    uint16_t bound = port;
    onnxd_status status = net_address_tcp(host, port, &address, err);
    if (status == ONNXD_OK && port != 0) status = check_port_is_free(&address, err);
    while (status == ONNXD_OK && n < n_workers) {
        status = net_listen(&address, true, &ret_fds[n], &bound, err);
        if (status != ONNXD_OK) break;
        if (n++ == 0) status = net_address_tcp(host, bound, &address, err);
    }
    if (status != ONNXD_OK)
        while (n > 0) close(ret_fds[--n]);
    else
        *ret_port = bound;
    return status;
}

/* ---- models ----------------------------------------------------------------------------------------- */

static void name_of_path(const char *path, char *out, size_t n_out)
{
    const char *base = strrchr(path, '/');
    base = base != NULL ? base + 1 : path;
    size_t n = strlen(base);
    if (n > 5 && strcmp(base + n - 5, ".onnx") == 0) n -= 5;
    snprintf(out, n_out, "%.*s", (int)(n < n_out ? n : n_out - 1), base);
}

static void publish(void *context, struct catalog *catalog);

static bool is_linked(const struct service_options *options)
{
    return options->admin && options->admin_fd > 0;
}

static onnxd_status load_models(struct service *service, onnxd_error *err)
{
    const struct service_options *options = &service->options;
    struct repository_options chosen = {
        .backend = service->backend,
        .folder = options->repository,
        .settings = options->version,
        .host = {options->n_workers, options->n_compute, &service->telemetry, options->process},
        .watch_ns = options->watch_ns,
        .board = options->board,
        .journal = is_linked(options) ? NULL : options->journal, /* or the supervisor notes them */
        .context = service,
        .publish = publish};
    onnxd_status status = repository_create(&chosen, &service->repository, err);
    if (status == ONNXD_OK && options->journal != NULL)
        status = repository_recall_files(service->repository, options->journal, err);
    for (uint32_t i = 0; status == ONNXD_OK && i < options->n_models; i++) {
        char name[VERSION_NAME_BYTES];
        const struct service_model *model = &options->models[i];
        if (model->name != NULL)
            snprintf(name, sizeof name, "%s", model->name);
        else
            name_of_path(model->path, name, sizeof name);
        status = repository_add_file(service->repository, name, model->path, err);
    }
    if (status == ONNXD_OK && options->repository != NULL)
        status = repository_first_sync(service->repository, err);
    if (status == ONNXD_OK && options->journal != NULL)
        repository_recall_content(service->repository, options->journal);
    return status;
}

/* ---- threads ---------------------------------------------------------------------------------------- */

static void on_wake(struct loop_task *task)
{
    struct worker_thread *thread = (struct worker_thread *)(void *)((char *)task -
                                                                    offsetof(struct worker_thread, wake));
    atomic_store(&thread->wake_posted, false); /* the turn that follows sees what was changed before */
}

static void wake_thread(struct worker_thread *thread)
{
    if (!atomic_exchange(&thread->wake_posted, true)) http_server_post(thread->server, &thread->wake);
}

/* Returns when every worker has taken the catalog up, so that who asked for the change sees it everywhere. */
static void publish(void *context, struct catalog *catalog)
{
    struct service *service = context;
    for (uint32_t i = 0; i < service->n_threads; i++) {
        worker_offer_catalog(&service->threads[i].worker, catalog);
        wake_thread(&service->threads[i]);
    }
    for (uint32_t i = 0; i < service->n_threads; i++)
        while (atomic_load(&service->threads[i].worker.offered) != NULL && !atomic_load(&service->draining)) {
            struct timespec pause = {.tv_nsec = 100 * NS_PER_US};
            nanosleep(&pause, NULL);
        }
}

static void wake_worker(void *context)
{
    wake_thread(context);
}

static void post_to_thread(void *context, struct loop_task *task)
{
    struct worker_thread *thread = context;
    http_server_post(thread->server, task);
}

static void *run_worker(void *context)
{
    struct worker_thread *thread = context;
    struct service *service = thread->service;
    uint64_t cut_off_ns = UINT64_MAX;
    for (;;) {
        uint64_t wait_ns = LOOP_FOREVER;
        if (atomic_load(&service->draining)) {
            uint64_t now_ns = monotonic_ns();
            if (cut_off_ns == UINT64_MAX) {
                cut_off_ns = now_ns + service->options.drain_timeout_ns;
                http_server_drain(thread->server, DRAIN_GRACE_NS);
            }
            bool done = http_server_is_drained(thread->server) && atomic_load(&thread->worker.n_jobs) == 0;
            if (done || now_ns >= cut_off_ns) break;
            wait_ns = cut_off_ns - now_ns;
        }
        http_server_step(thread->server, wait_ns);
    }
    worker_cancel(&thread->worker);
    return NULL;
}

static onnxd_status start_worker(struct service *service, uint32_t index, int fd, onnxd_error *err)
{
    struct worker_thread *thread = &service->threads[index];
    struct clock clock = clock_real();
    thread->service = service;
    thread->wake.run = on_wake;
    struct catalog *catalog = repository_catalog(service->repository);
    onnxd_status status = worker_init(&thread->worker, &service->config, service->options.process, index,
                                      catalog, &clock, err);
    catalog_unref(catalog);
    thread->worker.post = post_to_thread;
    thread->worker.post_context = thread;
    thread->worker.wake = wake_worker;
    struct http_server_options options = {
        .limits = service->options.limits, .loop = service->options.loop, .cors = service->options.cors};
    struct http_handler handler = worker_handler(&thread->worker);
    if (status == ONNXD_OK) status = http_server_create(&options, &handler, &thread->server, err);
    if (status == ONNXD_OK) {
        worker_attach(&thread->worker, http_server_host(thread->server));
        status = http_server_listen_tls(thread->server, fd, service->options.tls, err);
    }
    if (status != ONNXD_OK) {
        close(fd);
        return status;
    }
    if (service->options.unix_fd >= 0) { /* every worker takes from the one queue of the unix socket */
        int copy = fcntl(service->options.unix_fd, F_DUPFD_CLOEXEC, 3);
        status = copy < 0 ? error_set(err, ONNXD_ERR_IO, "cannot copy the unix socket: %s", strerror(errno))
                          : http_server_listen(thread->server, copy, err);
        if (status != ONNXD_OK) {
            if (copy >= 0) close(copy);
            return status;
        }
    }
    if (pthread_create(&thread->thread, NULL, run_worker, thread) != 0)
        return error_set(err, ONNXD_ERR_NOMEM, "cannot start worker thread %u", index);
    thread->started = true;
    return ONNXD_OK;
}

/* ---- life ------------------------------------------------------------------------------------------- */

onnxd_status service_start(const struct service_options *options, const struct model_backend *backend,
                           const struct telemetry *telemetry, const int *fds, struct service **ret_service,
                           onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    uint32_t next_fd = 0;
    struct service *service = calloc(1, sizeof *service);
    if (service != NULL) service->threads = calloc(options->n_workers, sizeof *service->threads);
    if (service == NULL || service->threads == NULL) {
        status = error_set(err, ONNXD_ERR_NOMEM, "server: out of memory");
        goto out;
    }
    service->options = *options;
    service->backend = backend;
    service->telemetry = *telemetry;
    telemetry_process_began(telemetry, options->process);
    service->config = (struct worker_config){.telemetry = &service->telemetry,
                                             .request_timeout_ns = options->request_timeout_ns,
                                             .max_answer_bytes = options->version.max_answer_bytes,
                                             .api_keys = options->api_keys,
                                             .max_body_bytes = options->limits.max_body_bytes,
                                             .access_log = options->access_log,
                                             .log_json = options->log_json};
    struct clock clock = clock_real();
    status = compute_create(options->n_compute, &service->telemetry, options->process, &clock,
                            &service->compute, err);
    if (status == ONNXD_OK) status = load_models(service, err);
    if (status != ONNXD_OK) goto out;
    service->config.compute = service->compute;
    service->config.repository = service->repository;
    service->config.admin = options->admin;
    atomic_store(&service->config.ready, true);
    if (is_linked(options)) {
        status = admin_link_create(options->admin_fd, service->repository, &service->link, err);
        service->config.link = service->link;
    }
    service->n_threads = status == ONNXD_OK ? options->n_workers : 0;
    while (status == ONNXD_OK && next_fd < options->n_workers) {
        status = start_worker(service, next_fd, fds[next_fd], err);
        next_fd++;
    }
    if (status == ONNXD_OK) status = repository_start(service->repository, err);
out:
    if (status != ONNXD_OK) {
        while (next_fd < options->n_workers) close(fds[next_fd++]);
        service_stop(service);
    } else {
        *ret_service = service;
    }
    return status;
}

static void tell_reloaded(struct service *service)
{
    if (service->options.reloaded != NULL) service->options.reloaded(service->options.reloaded_context);
}

static void on_reloaded(struct repository_job *job)
{
    struct service *service = job->context;
    repository_job_free(job);
    tell_reloaded(service);
}

void service_reload(struct service *service)
{
    onnxd_error err = {.message = "out of memory"};
    struct repository_job *job = calloc(1, sizeof *job);
    if (job != NULL) {
        job->verb = REPOSITORY_SYNC;
        job->done = on_reloaded;
        job->context = service;
        if (repository_submit(service->repository, job, &err) == ONNXD_OK) return;
        repository_job_free(job);
    }
    log_warn("reload: %s", err.message);
    tell_reloaded(service); /* or who asked would wait for ever */
}

bool service_turns(struct service *service)
{
    bool all = true;
    for (uint32_t i = 0; i < service->n_threads; i++) {
        if (atomic_load(&service->threads[i].wake_posted))
            all = false;
        else
            wake_thread(&service->threads[i]);
    }
    return all;
}

void service_drain(struct service *service)
{
    atomic_store(&service->config.ready, false);
    if (atomic_exchange(&service->draining, true)) return;
    for (uint32_t i = 0; i < service->n_threads; i++)
        if (service->threads[i].started) wake_thread(&service->threads[i]);
}

void service_stop(struct service *service)
{
    if (service == NULL) return;
    if (service->threads != NULL) service_drain(service);
    for (uint32_t i = 0; i < service->n_threads; i++)
        if (service->threads[i].started) pthread_join(service->threads[i].thread, NULL);
    admin_link_stop(service->link);       /* it gives work to the repository */
    compute_free(service->compute);       /* what it still has is given back to the workers */
    repository_free(service->repository); /* while the servers it may post to are still there */
    admin_link_free(service->link);       /* to which the repository reports */
    for (uint32_t i = 0; i < service->n_threads; i++) {
        struct worker_thread *thread = &service->threads[i];
        http_server_free(thread->server);
        worker_done(&thread->worker);
    }
    free(service->threads);
    free(service);
}
