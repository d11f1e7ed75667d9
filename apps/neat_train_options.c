#include "neat_train_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(const char *usage, const struct option_spec *specs, size_t n_specs)
{
    printf("usage: %s\n", usage);
    for (size_t i = 0; i < n_specs; i++) printf("  %-18s %s\n", specs[i].name, specs[i].help);
}

static bool read_number(const char *text, uint64_t max, uint64_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != 0 || text[0] == '-' || errno != 0 || value > max) return false;
    *ret = value;
    return true;
}

static bool append(struct option_list *list, const char *item)
{
    if (list == NULL || list->n == OPTION_LIST_MAX) return false;
    list->items[list->n++] = item;
    return true;
}

static bool store(const struct option_spec *spec, const char *text)
{
    uint64_t number = 0;
    switch (spec->kind) {
    case OPTION_TEXT: *(const char **)spec->value = text; return true;
    case OPTION_U64: return read_number(text, UINT64_MAX, spec->value);
    case OPTION_LIST: return append(spec->value, text);
    case OPTION_U32:
        if (!read_number(text, UINT32_MAX, &number)) return false;
        *(uint32_t *)spec->value = (uint32_t)number;
        return true;
    case OPTION_FLAG: break;
    }
    *(bool *)spec->value = true;
    return true;
}

int options_read(const char *usage, const struct option_spec *specs, size_t n_specs, int argc, char **argv,
                 struct option_list *rest)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help(usage, specs, n_specs);
            return 0;
        }
        size_t s = 0;
        while (s < n_specs && strcmp(specs[s].name, argv[i]) != 0) s++;
        bool is_option = strncmp(argv[i], "--", 2) == 0;
        if (s == n_specs) {
            if (!is_option && append(rest, argv[i])) continue;
            fprintf(stderr, "neat_train: unknown argument '%s'; --help lists the options\n", argv[i]);
            return 2;
        }
        const char *value = "";
        if (specs[s].kind != OPTION_FLAG && (value = ++i < argc ? argv[i] : NULL) == NULL) {
            fprintf(stderr, "neat_train: %s needs a value\n", specs[s].name);
            return 2;
        }
        if (!store(&specs[s], value)) {
            fprintf(stderr, "neat_train: %s: '%s' is not a value for it\n", specs[s].name, value);
            return 2;
        }
    }
    return -1;
}
