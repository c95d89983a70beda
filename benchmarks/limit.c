/* The limit of this machine: an event in over MQTT, one prebuilt HTTP request to each of N hosts out, and nothing else.
 *
 * limit BROKER-PORT USER PASSWORD TOPIC PROVIDER-PORT N prints "ready" when it is subscribed. It speaks MQTT 3.1.1 with
 * QoS 1 on a bare socket, keeps its connections, opens another where all of a channel's are busy, and reads from each
 * answer only that it ended.
 */

#include "wire.h"

enum { FILES = 65536, LARGEST = 1 << 20 };

struct connection {
    int channel, waiting; /* whether the request could not leave yet */
    int next;             /* the channel's next idle connection, 0 for none */
    char mark[MARK];      /* of the incident it is to tell of */
};

static struct connection connections[FILES];
static int *idle; /* of each channel, the first idle connection; 0 for none, for 0 is standard input */
static char request[2048];
static size_t length, mark_at;
static int poll, provider, channels;

static size_t text(uint8_t *to, const char *from) {
    size_t size = strlen(from);
    to[0] = size >> 8, to[1] = size;
    memcpy(to + 2, from, size);
    return size + 2;
}

static void packet(int fd, uint8_t kind, const uint8_t *body, size_t size) {
    uint8_t whole[512] = {kind, size};
    must(size < 128, "a packet of one length byte");
    memcpy(whole + 2, body, size);
    must(send(fd, whole, size + 2, MSG_NOSIGNAL) == (ssize_t)size + 2, "MQTT");
}

static void put(int fd) {
    memcpy(request + mark_at, connections[fd].mark, MARK);
    ssize_t sent = send(fd, request, length, MSG_NOSIGNAL);
    connections[fd].waiting = sent < 0;
    must(sent == (ssize_t)length || (sent < 0 && (errno == EAGAIN || errno == ENOTCONN)), "send");
    if (sent < 0)
        watch(poll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT);
}

static int opened(int channel) {
    struct sockaddr_in host = {.sin_family = AF_INET, .sin_port = htons(provider)};
    host.sin_addr.s_addr = htonl(127u << 24 | 1 << 16 | channel / PER_SUBNET << 8 | (channel % PER_SUBNET + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    must(fd > 0 && fd < FILES, "socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    must(connect(fd, (struct sockaddr *)&host, sizeof host) == 0 || errno == EINPROGRESS, "connect");
    watch(poll, EPOLL_CTL_ADD, fd, EPOLLIN);
    connections[fd].channel = channel;
    return fd;
}

static void alarm_all(const uint8_t *payload, size_t size) {
    const uint8_t *mark = memmem(payload, size, "bench-", 6);
    must(mark && mark + MARK <= payload + size, "an event without its mark");
    for (int channel = 0; channel < channels; channel++) {
        int fd = idle[channel];
        if (fd)
            idle[channel] = connections[fd].next;
        else
            fd = opened(channel);
        memcpy(connections[fd].mark, mark, MARK);
        put(fd);
    }
}

static void published(int broker, const uint8_t *body, size_t size) {
    size_t topic = body[0] << 8 | body[1];
    packet(broker, 0x40, body + 2 + topic, 2);
    alarm_all(body + 4 + topic, size - 4 - topic);
}

/* Bytes of a packet's head, and in `size` those of its body; 0 where the packet is not complete. */
static size_t head(const uint8_t *data, size_t used, size_t *size) {
    size_t at = 1;
    *size = 0;
    for (int shift = 0; at < used && shift < 28; shift += 7) {
        *size |= (size_t)(data[at] & 127) << shift;
        if (data[at++] < 128)
            return at + *size <= used ? at : 0;
    }
    return 0;
}

static void listen_to_broker(int broker) {
    static uint8_t data[LARGEST];
    static size_t used;
    ssize_t got = recv(broker, data + used, sizeof data - used, 0);
    if (got <= 0)
        exit(0);
    used += got;
    size_t begin = 0, size;
    for (size_t at; (at = head(data + begin, used - begin, &size)); begin += at + size) {
        if (data[begin] >> 4 == 3)
            published(broker, data + begin + at, size);
        else if (data[begin] == 0x90)
            puts("ready"), fflush(stdout);
    }
    memmove(data, data + begin, used -= begin);
}

static void answered(int fd) {
    char answer[4096];
    ssize_t got = recv(fd, answer, sizeof answer, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    must(got > 0, "an answer");
    if (got < 2 || memcmp(answer + got - 2, "{}", 2)) /* its end is still to come */
        return;
    connections[fd].next = idle[connections[fd].channel];
    idle[connections[fd].channel] = fd;
}

static int subscribed(int port, const char *user, const char *password, const char *topic) {
    struct sockaddr_in host = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint8_t body[256] = {0, 4, 'M', 'Q', 'T', 'T', 4, 0xC2, 0, 0}, greeting[4];
    int broker = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    must(connect(broker, (struct sockaddr *)&host, sizeof host) == 0, "broker");
    setsockopt(broker, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    size_t size = 10 + text(body + 10, "limit");
    size += text(body + size, user);
    size += text(body + size, password);
    packet(broker, 0x10, body, size);
    must(recv(broker, greeting, 4, MSG_WAITALL) == 4 && greeting[3] == 0, "the broker's welcome");
    size = 2 + text(body + 2, topic);
    body[0] = 0, body[1] = 1, body[size] = 1;
    packet(broker, 0x82, body, size + 1);
    return broker;
}

static void prebuild(void) {
    char body[1024];
    int size = snprintf(body, sizeof body, "{\"incident\":\"bench-000000000000\",\"text\":\"");
    for (int i = 0; i < 8; i++)
        size += snprintf(body + size, sizeof body - size, "Polizeieinsatz in Lingen (Ems). ");
    size += snprintf(body + size, sizeof body - size, "\"}");
    length = snprintf(request, sizeof request,
                      "POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                      provider, size, body);
    mark_at = (char *)memmem(request, length, "bench-", 6) - request;
}

int main(int count, char **arguments) {
    struct epoll_event events[512];
    must(count == 7, "six arguments");
    provider = atoi(arguments[5]), channels = atoi(arguments[6]);
    must((idle = calloc(channels, sizeof *idle)) != NULL, "channels");
    many_files();
    prebuild();
    poll = epoll_create1(0);
    int broker = subscribed(atoi(arguments[1]), arguments[2], arguments[3], arguments[4]);
    watch(poll, EPOLL_CTL_ADD, broker, EPOLLIN);
    for (;;) {
        int ready = epoll_wait(poll, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == broker) {
                listen_to_broker(broker);
                continue;
            }
            if (events[i].events & EPOLLOUT && connections[fd].waiting) {
                watch(poll, EPOLL_CTL_MOD, fd, EPOLLIN);
                put(fd);
            }
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                answered(fd);
        }
    }
}
