/* What the two C programs of the benchmark share: the clock, the channels' addresses, and the mark of an incident. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PER_SUBNET = 250, MARK = 18 }; /* channel n is 127.1.(n / 250).(n % 250 + 1); a mark is "bench-" and 12 digits */

static inline int64_t now(void) { /* nanoseconds, on the clock of Python's time.monotonic() */
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static inline void must(int good, const char *what) {
    if (!good) {
        perror(what);
        exit(1);
    }
}

static inline void watch(int poll, int how, int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    must(epoll_ctl(poll, how, fd, &event) == 0, "epoll_ctl");
}

static inline void many_files(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}
