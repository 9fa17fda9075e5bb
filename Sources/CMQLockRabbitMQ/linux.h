// Linux functions that Swift's Glibc module leaves out, because it is built without _GNU_SOURCE. No logic here.
#ifndef MQLOCK_LINUX_H
#define MQLOCK_LINUX_H

#if defined(__linux__)
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

extern int ppoll(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
extern int pipe2(int[2], int);
extern int pthread_setname_np(pthread_t, const char *);

static inline int mqlock_ppoll(struct pollfd *descriptors, nfds_t count, const struct timespec *timeout) {
    return ppoll(descriptors, count, timeout, NULL);
}

static inline int mqlock_pipe2(int ends[2], int flags) {
    return pipe2(ends, flags);
}

static inline int mqlock_pthread_setname(const char *name) {
    return pthread_setname_np(pthread_self(), name);
}
#endif

#endif
