// librdkafka, which a program loads when it first uses Kafka: on a machine without it, all that does not use Kafka works.
//
// On Linux the functions in calls.h are called through load.c. Swift and C name them as rdkafka.h does; only the linker
// sees other names. Elsewhere programs are linked with the library, and loading it does nothing.
#ifndef MQLOCK_CRDKAFKA_SHIM_H
#define MQLOCK_CRDKAFKA_SHIM_H

#if !__has_include(<librdkafka/rdkafka.h>)
#error "librdkafka's headers are missing: install librdkafka-dev (Debian, Ubuntu) or librdkafka (Homebrew)"
#endif

#if defined(__linux__)
#define MQLOCK_PRAGMA(text) _Pragma(#text)
#define CALL(result, name, parameters, arguments) MQLOCK_PRAGMA(redefine_extname name mqlock_##name)
#include "calls.h"
#undef CALL
#undef MQLOCK_PRAGMA
#endif

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#if defined(__linux__)
/// Loads the library at the first call, and gives the same answer from then on: NULL when it is loaded, or else the reason in
/// the words of dlerror(3).
const char *mqlock_rd_kafka_load(void);
#else
static inline const char *mqlock_rd_kafka_load(void) {
    return NULL;
}
#endif

#endif
