/* sd_notify(3) without libsystemd; see notify.h. */
#define _GNU_SOURCE
#include "notify.h"

#include "log.h"
#include "writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { STATUS_BYTES = 512, USEC_PER_MS = 1000 };

static struct {
    struct loop *loop;
    int fd; /* -1: nobody wants to know */
    struct sockaddr_un to;
    socklen_t to_length;
    struct loop_timer watchdog;
    int64_t watchdog_ms;
    char status[STATUS_BYTES];
} notify = {.fd = -1};

/* A manager that does not read must not hold us, and one that has gone is no reason to end. */
static void tell(const char *text)
{
    if (notify.fd != -1) {
        sendto(notify.fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&notify.to,
            notify.to_length);
    }
}

static void on_watchdog(struct loop_timer *timer)
{
    tell("WATCHDOG=1");
    loop_set(notify.loop, timer, notify.loop->now_ms + notify.watchdog_ms);
}

/* A path, or a name in the abstract namespace, which begins with '@'. */
static bool take_address(const char *name)
{
    size_t length = strlen(name);
    notify.to = (struct sockaddr_un){.sun_family = AF_UNIX};
    if ((name[0] != '/' && name[0] != '@') || length >= sizeof notify.to.sun_path) {
        return false;
    }
    memcpy(notify.to.sun_path, name, length);
    notify.to.sun_path[0] = name[0] == '@' ? '\0' : '/';
    notify.to_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return true;
}

/* Half of the time that the manager allows, when it is us whom it watches. */
static int64_t watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    bool ours = !pid || strtol(pid, NULL, 10) == getpid();
    return usec && ours ? strtoll(usec, NULL, 10) / USEC_PER_MS / 2 : 0;
}

void notify_init(struct loop *loop)
{
    const char *name = getenv("NOTIFY_SOCKET");
    notify.loop = loop;
    if (name && take_address(name)) {
        notify.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    }
    if (name && notify.fd == -1) {
        log_warning("NOTIFY_SOCKET %s can't be used, the service manager is told nothing", name);
    }
    notify.watchdog_ms = watchdog_ms();
    if (notify.fd != -1 && notify.watchdog_ms > 0) {
        notify.watchdog.fire = on_watchdog;
        loop_set(loop, &notify.watchdog, loop->now_ms);
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_fini(void)
{
    if (notify.fd != -1) {
        loop_clear(notify.loop, &notify.watchdog);
        close(notify.fd);
        notify.fd = -1;
    }
}

void notify_ready(void)
{
    tell("READY=1");
}

void notify_reloading(void)
{
    char text[80];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)loop_clock_ms() * USEC_PER_MS);
    tell(text);
}

void notify_stopping(void)
{
    tell("STOPPING=1");
}

void notify_status(const struct instance *in)
{
    static const char *const consul[] = {"off", "connecting", "connected", "failing"};
    char text[STATUS_BYTES];
    struct writer w = {text, sizeof text - 1, 0};
    size_t counts[BOARD_STATES] = {0};
    if (notify.fd == -1) {
        return;
    }
    for (size_t i = 0; i < in->pool_count; i++) {
        counts[in->pools[i]->verdict.state]++;
    }
    writer_format(&w, "STATUS=%zu pool%s", in->pool_count, in->pool_count == 1 ? "" : "s");
    for (int state = 0, said = 0; state < BOARD_STATES; state++) {
        if (counts[state]) {
            writer_format(
                &w, "%s%zu %s", said++ ? ", " : ": ", counts[state], board_state_name((enum board_state)state));
        }
    }
    writer_format(&w, "; Consul %s", consul[in->consul_state]);
    if (in->error[0]) {
        writer_format(&w, "; %s", in->error);
    }
    text[writer_cut(&w) ? w.room : w.length] = '\0';
    if (strcmp(text, notify.status) != 0) {
        memcpy(notify.status, text, sizeof text);
        tell(text);
    }
}
