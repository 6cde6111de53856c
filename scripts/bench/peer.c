// The least that can be called an SMTP server: what remains of ours if everything is left out. scripts/bench.sh
// compiles it and measures it beside ours. Like ours, it has a thread for each connection and blocking reads.
//
// It parses nothing: it knows a command by its first letter, and a message by the dot at its end. It checks nothing,
// keeps nothing, shows nothing, and waits for ever. Its listening socket is standard input.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { COMMANDS = 1024, DATA = 65536, REPLIES = 4096 };

struct session {
    int client;
    size_t waiting; // octets of replies that wait to be sent
    char replies[REPLIES];
    char input[DATA];
};

static int flush(struct session *session) {
    ssize_t sent = session->waiting ? write(session->client, session->replies, session->waiting) : 0;
    int whole = sent == (ssize_t)session->waiting;
    session->waiting = 0;
    return whole;
}

static int reply(struct session *session, const char *text) {
    size_t length = strlen(text);
    if (session->waiting + length > REPLIES && !flush(session))
        return 0;
    memcpy(session->replies + session->waiting, text, length);
    session->waiting += length;
    return 1;
}

// Returns what follows the end of the message, or null.
static char *end_of_data(char *from, char *end) {
    for (char *dot = from; (dot = memchr(dot, '.', end - dot)); dot++)
        if (dot - from >= 2 && end - dot >= 3 && !memcmp(dot - 2, "\r\n.\r\n", 5))
            return dot + 3;
    return 0;
}

static void *converse(void *argument) {
    struct session session;
    session.client = (int)(long)argument;
    session.waiting = 0;
    int is_open = 1, in_data = 0, one = 1;
    size_t have = 0;
    setsockopt(session.client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    reply(&session, "220 peer\r\n");
    while (is_open && flush(&session)) {
        ssize_t length = read(session.client, session.input + have, (in_data ? DATA : COMMANDS) - have);
        if (length <= 0)
            break;
        char *at = session.input, *end = at + have + length, *line;
        for (;;) {
            if (in_data) {
                char *after = end_of_data(at, end);
                if (!after) {
                    if (end - at > 4)
                        at = end - 4;
                    break;
                }
                at = after;
                in_data = 0;
                is_open = reply(&session, "250 OK\r\n");
            } else if ((line = memchr(at, '\n', end - at))) {
                char letter = *at;
                at = line + 1;
                if (letter == 'D') {
                    at -= 2; // A dot alone on the first line ends the message, too.
                    in_data = 1;
                }
                is_open = reply(&session, letter == 'D'   ? "354 go on\r\n"
                                          : letter == 'Q' ? "221 bye\r\n"
                                                          : "250 OK\r\n")
                          && letter != 'Q';
            } else
                break;
        }
        have = end - at;
        memmove(session.input, at, have);
        if (!in_data && have == COMMANDS)
            break;
    }
    flush(&session);
    close(session.client);
    return 0;
}

int main(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 * 1024);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (;;) {
        int client = accept(0, 0, 0);
        pthread_t thread;
        if (client >= 0 && pthread_create(&thread, &attributes, converse, (void *)(long)client))
            close(client);
    }
}
