/* serve/supervisor.h - several processes that serve together.
 *
 * The supervising process opens the listening sockets, forks, and starts again what dies, at once the
 * first time and with growing pauses when it keeps dying. The sockets stay open in it, so connections
 * made while a process is being replaced wait instead of being refused; when that would take more than
 * half a second, the program is told (is_away) to close them, so that other processes take what comes.
 *
 * An upgrade starts the program anew with the listening sockets in its hands; once it serves, it asks the
 * old one to stop, which answers what is under way and ends. Both take connections from the same queues
 * meanwhile, so none is lost (serve/handover.h).
 *
 * Threads: none may run in the supervising process when it forks. */
#ifndef SERVE_SUPERVISOR_H
#define SERVE_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct admin_relay;

struct supervisor_options {
    uint32_t n_processes;
    void *context;
    /* The work of process `process`: serves until SIGTERM and returns the exit status. It calls
     * supervisor_told once when requests can be served, and after each reload. */
    int (*run)(void *context, uint32_t process);
    void (*all_ready)(void *context); /* every process serves */
    void (*died)(void *context, uint32_t process);
    void (*restarted)(void *context, uint32_t process); /* before a dead one is started again */
    /* One died and will not serve again at once: nobody should wait for it meanwhile. */
    void (*is_away)(void *context, uint32_t process);
    void (*upgrade)(void *context);   /* on SIGUSR2 */
    void (*reloading)(void *context); /* on SIGHUP, which all processes are sent */
    void (*reloaded)(void *context);  /* each of them is done with it */
    /* On SIGTERM and SIGINT. `successor`: the program that takes over, or 0. */
    void (*stopping)(void *context, pid_t successor);
    /* Every watch_ns (0: never) each process that serves is asked about; when all answer well, all_turn is
     * called. */
    uint64_t watch_ns;
    bool (*turns)(void *context,
                  uint32_t process); /* something moved in it since it was asked about before */
    void (*all_turn)(void *context);
    struct admin_relay *relay; /* of orders to all processes, borrowed; NULL: they take none */
};

/* Runs until SIGTERM or SIGINT, or until a process fails before it served; SIGHUP is passed on to all.
 * Returns the exit status: 0, or that of the process that failed. Blocks the signals it takes in its process.
 */
int supervisor_run(const struct supervisor_options *options);

/* In a child: tells the supervisor that it serves, and later that a reload is done. Any thread. */
void supervisor_told(void);

/* In a child: where its orders go to and come from (serve/admin_link.h); 0: nowhere. */
int supervisor_admin_fd(void);

#endif
