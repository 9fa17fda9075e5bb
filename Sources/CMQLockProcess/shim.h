// What the guard needs of the C library that Swift does not import: fork(2) and the variadic prctl(2). No logic here.
#ifndef MQLOCK_CMQLOCKPROCESS_SHIM_H
#define MQLOCK_CMQLOCKPROCESS_SHIM_H

#include <sys/types.h>
#include <unistd.h>

static inline pid_t mqlock_fork(void) {
    return fork();
}

#if defined(__linux__)
#include <sys/prctl.h>

static inline int mqlock_become_subreaper(void) {
    return prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL);
}

static inline int mqlock_set_parent_death_signal(int signal) {
    return prctl(PR_SET_PDEATHSIG, (unsigned long)signal, 0UL, 0UL, 0UL);
}
#endif

#endif
