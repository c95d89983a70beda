/* The provider of a benchmark: an HTTP server for all of 127.0.0.0/8 that writes down every request and answers after a
 * while, or as a broken provider would. In C, so that it costs little beside what is measured.
 *
 * Prints its port, then obeys lines on its standard input:
 *   reset           forget the requests and every fault
 *   latency MS      answer after so many milliseconds
 *   expect N        print "reached" as soon as N requests since the reset were answered with 200
 *   hang CHANNEL    never answer this channel
 *   refuse MS       answer 503 for so long, counted from the next request
 *   limit SECONDS   answer the next request of every channel with 429 and Retry-After
 *   dump            print "records N" and N records of 32 bytes
 * It speaks just enough HTTP/1.1: requests with Content-Length, keep-alive, no pipelining.
 */

#include "wire.h"

enum { FILES = 65536, CHANNELS = 65536, LARGEST = 1 << 18, DELAYED = 1 << 16 };

struct record { /* as Python reads it: "<qII16s" */
    int64_t at;
    uint32_t channel, status; /* of the answer; 0 where there is none */
    char incident[16]; /* of the mark, what follows "bench-" */
};

struct connection {
    char *data;
    uint32_t used, room, channel, generation;
    int64_t began; /* when the first byte of the request that is being read was seen; 0 between requests */
};

struct answer {
    int64_t due;
    int fd;
    uint32_t generation, status;
};

static struct connection connections[FILES];
static struct answer delayed[DELAYED]; /* a ring: the latency is the same for all, so the order of arrival is that of answers */
static unsigned first, behind;
static struct record *records;
static size_t recorded, room, succeeded, expected;
static int64_t latency, refuse_for, refuse_until;
static long hanging = -1;
static unsigned limit_seconds;
static uint8_t limited[CHANNELS];

static void answer(int fd, uint32_t status) {
    char text[160];
    int length;
    if (status == 429)
        length = snprintf(text, sizeof text, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: %u\r\nContent-Length: 0\r\n\r\n",
                          limit_seconds);
    else if (status == 503)
        length = snprintf(text, sizeof text, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    else
        length = snprintf(text, sizeof text,
                          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    if (send(fd, text, length, MSG_NOSIGNAL) != length) { /* the asker has gone: its close follows */
    }
}

static void answer_due(void) {
    for (int64_t moment = now(); first != behind && delayed[first % DELAYED].due <= moment; first++) {
        struct answer *one = &delayed[first % DELAYED];
        if (connections[one->fd].generation == one->generation)
            answer(one->fd, one->status);
    }
}

static uint32_t judged(uint32_t channel) {
    if (refuse_for && !refuse_until)
        refuse_until = now() + refuse_for;
    if (now() < refuse_until)
        return 503;
    if (limit_seconds && !limited[channel]) {
        limited[channel] = 1;
        return 429;
    }
    return 200;
}

static void note(int fd, const char *body, size_t length) {
    struct connection *from = &connections[fd];
    int silent = hanging == (long)from->channel;
    uint32_t status = silent ? 0 : judged(from->channel);
    if (recorded == room)
        must((records = realloc(records, (room = room ? 2 * room : 4096) * sizeof *records)) != NULL, "records");
    struct record *one = &records[recorded++];
    *one = (struct record){.at = from->began, .channel = from->channel, .status = status};
    const char *mark = memmem(body, length, "bench-", 6);
    if (mark && mark + MARK <= body + length)
        memcpy(one->incident, mark + 6, MARK - 6);
    if (silent)
        return;
    if (latency) {
        must(behind - first < DELAYED, "too many answers under way");
        delayed[behind++ % DELAYED] = (struct answer){now() + latency, fd, from->generation, status};
    } else
        answer(fd, status);
    if (status == 200 && ++succeeded == expected)
        puts("reached");
}

static void forget(int fd) {
    connections[fd].generation++;
    connections[fd].used = 0;
    connections[fd].began = 0;
    close(fd);
}

static void take(int fd) {
    struct connection *from = &connections[fd];
    if (from->room - from->used < 2048)
        must((from->data = realloc(from->data, from->room = from->room ? 2 * from->room : 4096)) != NULL, "request");
    ssize_t got = recv(fd, from->data + from->used, from->room - from->used - 1, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0 || from->used + got > LARGEST) {
        forget(fd);
        return;
    }
    if (!from->began)
        from->began = now();
    from->used += got;
    from->data[from->used] = 0;
    char *end = memmem(from->data, from->used, "\r\n\r\n", 4);
    char *length = end ? strcasestr(from->data, "\r\ncontent-length:") : NULL;
    if (!end)
        return;
    if (!length || length > end) { /* chunked or without a body: no contestant asks so, and it must be seen */
        fprintf(stderr, "recorder: a request without Content-Length\n");
        exit(1);
    }
    size_t body = strtoul(length + 17, NULL, 10);
    if (from->used < (size_t)(end + 4 - from->data) + body)
        return;
    note(fd, end + 4, body);
    from->used = 0;
    from->began = 0;
}

static void welcome(int poll, int listening) {
    for (;;) {
        int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct sockaddr_in self;
        socklen_t size = sizeof self;
        getsockname(fd, (struct sockaddr *)&self, &size);
        uint32_t address = ntohl(self.sin_addr.s_addr);
        if (address >> 24 != 127 || fd >= FILES) { /* it listens everywhere, but is there for this machine only */
            close(fd);
            continue;
        }
        connections[fd].channel = (address >> 8 & 255) * PER_SUBNET + (address & 255) - 1;
        watch(poll, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

static void dump(void) {
    printf("records %zu\n", recorded);
    fwrite(records, sizeof *records, recorded, stdout);
}

static void obey(const char *line) {
    long value = 0;
    sscanf(line, "%*s %ld", &value);
    if (!strncmp(line, "reset", 5)) {
        recorded = succeeded = expected = 0;
        refuse_for = refuse_until = limit_seconds = 0;
        hanging = -1;
    } else if (!strncmp(line, "latency", 7))
        latency = value * 1000000LL;
    else if (!strncmp(line, "expect", 6)) {
        expected = value;
        if (succeeded >= expected)
            puts("reached");
    } else if (!strncmp(line, "hang", 4))
        hanging = value;
    else if (!strncmp(line, "refuse", 6))
        refuse_for = value * 1000000LL, refuse_until = 0;
    else if (!strncmp(line, "limit", 5))
        limit_seconds = value, memset(limited, 0, sizeof limited);
    else if (!strncmp(line, "dump", 4))
        dump();
}

static void listen_to_master(void) {
    static char text[4096];
    static size_t used;
    ssize_t got = read(0, text + used, sizeof text - used - 1);
    if (got <= 0)
        exit(0);
    text[used += got] = 0;
    for (char *end; (end = strchr(text, '\n')); used = strlen(text)) {
        *end = 0;
        obey(text);
        memmove(text, end + 1, strlen(end + 1) + 1);
    }
}

static int patience(void) { /* milliseconds until an answer is due */
    if (first == behind)
        return -1;
    int64_t left = delayed[first % DELAYED].due - now();
    return left <= 0 ? 0 : (int)(left / 1000000) + 1;
}

int main(void) {
    struct epoll_event events[512];
    struct sockaddr_in self = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t size = sizeof self;
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), poll = epoll_create1(EPOLL_CLOEXEC);
    many_files();
    must(bind(listening, (struct sockaddr *)&self, size) == 0 && listen(listening, 4096) == 0, "listen");
    getsockname(listening, (struct sockaddr *)&self, &size);
    watch(poll, EPOLL_CTL_ADD, listening, EPOLLIN);
    watch(poll, EPOLL_CTL_ADD, 0, EPOLLIN);
    printf("%d\n", ntohs(self.sin_port));
    for (;;) {
        fflush(stdout);
        int count = epoll_wait(poll, events, 512, patience());
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listening)
                welcome(poll, listening);
            else if (events[i].data.fd == 0)
                listen_to_master();
            else
                take(events[i].data.fd);
        }
        answer_due();
    }
}
