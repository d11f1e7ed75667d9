#include "cli_progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum { BAR_WIDTH = 24, LINE_BYTES = 240 };

#define UPDATE_NS ((uint64_t)100 * NS_PER_MS)

struct cli_progress cli_progress_start(const char *unit, bool own_output)
{
    uint64_t now = monotonic_ns();
    return (struct cli_progress){.unit = unit,
                                 .shown = isatty(STDERR_FILENO) && (own_output || !isatty(STDOUT_FILENO)),
                                 .start_ns = now,
                                 .next_ns = now + UPDATE_NS};
}

void cli_progress_text(const struct cli_progress *progress, uint64_t n, uint64_t at, uint64_t total,
                       uint64_t elapsed_ns, char *out, unsigned n_out)
{
    double seconds = (double)elapsed_ns / NS_PER_S;
    double rate = seconds > 0 ? (double)n / seconds : 0;
    unsigned long long shown_n = n;
    const char *note = progress->note != NULL ? progress->note : "", *comma = *note != 0 ? ", " : "";
    if (total == 0 || at == 0) {
        unsigned long long s = (unsigned long long)seconds;
        snprintf(out, n_out, "%llu %s, %.0f %s/s, %llu:%02llu%s%s", shown_n, progress->unit, rate,
                 progress->unit, s / 60, s % 60, comma, note);
        return;
    }
    double share = at < total ? (double)at / (double)total : 1;
    unsigned long long left = (unsigned long long)(seconds * (1 - share) / share + 0.5);
    char bar[BAR_WIDTH + 1];
    for (int i = 0; i < BAR_WIDTH; i++) bar[i] = i < (int)(share * BAR_WIDTH) ? '#' : '.';
    bar[BAR_WIDTH] = 0;
    snprintf(out, n_out, "%3.0f%% [%s] %llu %s, %.0f %s/s, %llu:%02llu left%s%s", share * 100, bar, shown_n,
             progress->unit, rate, progress->unit, left / 60, left % 60, comma, note);
}

void cli_progress_update(struct cli_progress *progress, uint64_t n, uint64_t at, uint64_t total)
{
    if (!progress->shown) return;
    uint64_t now = monotonic_ns();
    if (now < progress->next_ns) return;
    progress->next_ns = now + UPDATE_NS;
    char text[LINE_BYTES];
    cli_progress_text(progress, n, at, total, now - progress->start_ns, text, sizeof text);
    fprintf(stderr, "\r%s\x1b[K", text);
    fflush(stderr);
}

void cli_progress_end(struct cli_progress *progress)
{
    if (progress->shown) fprintf(stderr, "\r\x1b[K");
    progress->shown = false;
}
