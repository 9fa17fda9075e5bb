// Loads librdkafka when it is first used; see shim.h.
#if defined(__linux__)

#include "shim.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

// One pointer for each function, with the type that rdkafka.h gives it.
static struct {
#define CALL(result, name, parameters, arguments) __typeof__(name) *name;
#include "calls.h"
#undef CALL
} library;

static const struct {
    const char *name;
    size_t offset;
} symbols[] = {
#define CALL(result, name, parameters, arguments) {#name, offsetof(__typeof__(library), name)},
#include "calls.h"
#undef CALL
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_bool is_loaded;
static char failure[512] = "";

static void load(void) {
    // The name is that of the interface, which all versions since 0.8 share. A process keeps it: its threads may run.
    void *handle = dlopen("librdkafka.so.1", RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; handle != NULL && i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(handle, symbols[i].name);
        if (symbol == NULL) handle = NULL;
        *(void **)((char *)&library + symbols[i].offset) = symbol;
    }
    if (handle == NULL) {
        const char *reason = dlerror();
        snprintf(failure, sizeof failure, "%s", reason != NULL ? reason : "unknown reason");
    }
    atomic_store_explicit(&is_loaded, handle != NULL, memory_order_release);
}

const char *mqlock_rd_kafka_load(void) {
    pthread_once(&once, load);
    return atomic_load_explicit(&is_loaded, memory_order_acquire) ? NULL : failure;
}

// MQLockKafka makes no client before it has loaded the library, so this is for others: tests and tools.
__attribute__((cold, noinline)) static void load_or_abort(void) {
    const char *reason = mqlock_rd_kafka_load();
    if (reason == NULL) return;
    fprintf(stderr, "librdkafka cannot be loaded: %s\n", reason);
    abort();
}

#define CALL(result, name, parameters, arguments) \
    result name parameters { \
        if (!atomic_load_explicit(&is_loaded, memory_order_acquire)) load_or_abort(); \
        return library.name arguments; \
    }
#include "calls.h"
#undef CALL

#endif
