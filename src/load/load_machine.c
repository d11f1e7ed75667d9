#include "load/load_machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

bool load_machine_parse(const char *line, double hz, double *ret_busy_s, double *ret_steal_s)
{
    unsigned long long user, nice, system, idle, wait, irq, softirq, steal;
    if (sscanf(line, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait, &irq,
               &softirq, &steal) != 8)
        return false;
    *ret_busy_s = (double)(user + nice + system + irq + softirq) / hz; /* guests are counted in user */
    *ret_steal_s = (double)steal / hz;
    return true;
}

struct load_machine load_machine_read(void)
{
    struct load_machine m = {.n_cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN)};
    char line[512] = "";
    int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, line, sizeof line - 1);
        close(fd);
        if (n > 0) line[n] = 0;
    }
    m.known = load_machine_parse(line, (double)sysconf(_SC_CLK_TCK), &m.busy_s, &m.steal_s);
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        m.own_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                  (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    return m;
}
