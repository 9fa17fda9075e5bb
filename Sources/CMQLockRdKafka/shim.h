// What Swift cannot import from librdkafka: variadic functions and macros. No logic here.
#ifndef MQLOCK_CRDKAFKA_SHIM_H
#define MQLOCK_CRDKAFKA_SHIM_H

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#endif
