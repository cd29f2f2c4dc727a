/* Replies of NETLINK_SOCK_DIAG, right ones and ones that lie about their lengths. */
#include "unit.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "diag.h"

struct seen {
    int count;
    struct diag_socket last;
    char path[64];
};

static void see(void *context, const struct diag_socket *socket)
{
    struct seen *seen = context;
    seen->count++;
    seen->last = *socket;
    if (socket->path) {
        memcpy(seen->path, socket->path, socket->path_length);
        seen->path[socket->path_length] = '\0';
    }
}

/* A listening unix socket "/s" with a queue of 3 of 511, and the end of the dump. */
static size_t unix_reply(char *out)
{
    struct nlmsghdr head = {.nlmsg_type = 20};
    struct unix_diag_msg m = {.udiag_family = AF_UNIX, .udiag_state = TCP_LISTEN};
    struct rtattr name = {.rta_len = sizeof name + 2, .rta_type = UNIX_DIAG_NAME};
    struct unix_diag_rqlen queue = {3, 511};
    struct rtattr rqlen = {.rta_len = sizeof rqlen + sizeof queue, .rta_type = UNIX_DIAG_RQLEN};
    size_t at = NLMSG_HDRLEN;
    memset(out, 0, 256);
    memcpy(out + at, &m, sizeof m);
    at += NLMSG_ALIGN(sizeof m);
    memcpy(out + at, &name, sizeof name);
    memcpy(out + at + sizeof name, "/s", 2);
    at += RTA_ALIGN(name.rta_len);
    memcpy(out + at, &rqlen, sizeof rqlen);
    memcpy(out + at + sizeof rqlen, &queue, sizeof queue);
    at += rqlen.rta_len;
    head.nlmsg_len = (uint32_t)at;
    memcpy(out, &head, sizeof head);
    head = (struct nlmsghdr){.nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = NLMSG_DONE};
    memcpy(out + NLMSG_ALIGN(at), &head, sizeof head);
    return NLMSG_ALIGN(at) + NLMSG_HDRLEN;
}

static void a_unix_listener_is_read_with_its_queue(void **state)
{
    char reply[256];
    struct seen seen = {0};
    (void)state;
    size_t n = unix_reply(reply);
    assert_int_equal(diag_parse(guarded(reply, n), n, AF_UNIX, see, &seen), 1);
    assert_int_equal(seen.count, 1);
    assert_true(seen.last.listening);
    assert_string_equal(seen.path, "/s");
    assert_int_equal(seen.last.queue, 3);
    assert_int_equal(seen.last.queue_max, 511);
}

static void a_reply_cut_anywhere_is_survived(void **state)
{
    char reply[256];
    (void)state;
    size_t whole = unix_reply(reply);
    for (size_t n = 0; n < whole; n++) {
        struct seen seen = {0};
        assert_int_not_equal(diag_parse(guarded(reply, n), n, AF_UNIX, see, &seen), 1);
    }
}

static void every_byte_may_lie(void **state)
{
    char reply[256];
    (void)state;
    size_t n = unix_reply(reply);
    for (size_t i = 0; i < n; i++) {
        static const char lies[] = {0, 1, 3, 0x7f, (char)0xff};
        for (size_t l = 0; l < sizeof lies; l++) {
            char kept = reply[i];
            struct seen seen = {0};
            reply[i] = lies[l];
            diag_parse(guarded(reply, n), n, i % 2 ? AF_UNIX : AF_INET, see, &seen);
            reply[i] = kept;
        }
    }
}

static void a_tcp_listener_is_read(void **state)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_msg m;
    } reply = {.head = {.nlmsg_len = sizeof reply, .nlmsg_type = 20},
        .m = {.idiag_family = AF_INET,
            .idiag_state = TCP_LISTEN,
            .idiag_rqueue = 2,
            .idiag_wqueue = 128,
            .id.idiag_sport = htons(9000),
            .id.idiag_src = {htonl(0x7f000001)}}};
    struct seen seen = {0};
    (void)state;
    assert_int_equal(diag_parse(guarded(&reply, sizeof reply), sizeof reply, AF_INET, see, &seen), 0);
    assert_int_equal(seen.last.port, 9000);
    assert_int_equal(seen.last.queue, 2);
    assert_int_equal(seen.last.ip[0], 127);
}

static void a_family_that_was_not_asked_for_is_no_socket(void **state)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_msg m;
    } reply = {.head = {.nlmsg_len = sizeof reply, .nlmsg_type = 20},
        .m = {.idiag_family = AF_UNIX, .idiag_state = TCP_LISTEN}};
    struct seen seen = {0};
    (void)state;
    assert_int_equal(diag_parse(guarded(&reply, sizeof reply), sizeof reply, AF_INET, see, &seen), 0);
    assert_int_equal(seen.count, 0); /* it would be a unix socket without a path */
}

static void an_error_in_the_dump_is_one(void **state)
{
    struct nlmsghdr head = {.nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = NLMSG_ERROR};
    struct seen seen = {0};
    (void)state;
    assert_int_equal(diag_parse(guarded(&head, sizeof head), sizeof head, AF_UNIX, see, &seen), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unix_listener_is_read_with_its_queue),
        cmocka_unit_test(a_reply_cut_anywhere_is_survived),
        cmocka_unit_test(every_byte_may_lie),
        cmocka_unit_test(a_tcp_listener_is_read),
        cmocka_unit_test(a_family_that_was_not_asked_for_is_no_socket),
        cmocka_unit_test(an_error_in_the_dump_is_one),
    };
    return cmocka_run_group_tests_name("diag", tests, NULL, NULL);
}
