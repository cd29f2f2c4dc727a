/* The board: its layout, what a reload keeps, and that nothing in it can lead a reader outside of it. */
#define _GNU_SOURCE
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "board.h"

struct fixture {
    int fd;
    struct board board;
};

static int set_up(void **state)
{
    static struct fixture f;
    static const struct board_spec specs[] = {{"web", 4}, {"api", 100}};
    f = (struct fixture){.fd = board_create()};
    assert_int_not_equal(f.fd, -1);
    assert_int_equal(board_layout(&f.board, f.fd, specs, COUNT(specs)), 0);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    board_close(&f->board);
    close(f->fd);
    return 0;
}

/* A pid that was alive a moment ago. */
static pid_t dead_pid(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return pid;
}

static void every_pool_begins_on_a_page_of_its_own(void **state)
{
    struct fixture *f = *state;
    uint32_t slots;
    assert_int_equal(board_pool_count(&f->board), 2);
    for (size_t i = 0; i < 2; i++) {
        unsigned char *pool = (unsigned char *)board_pool(&f->board, i, &slots);
        assert_non_null(pool);
        assert_int_equal((pool - f->board.map) % BOARD_PAGE_BYTES, 0);
        assert_int_equal(slots, i ? 100 : 4);
        assert_true((unsigned char *)(board_slots((struct board_pool *)(void *)pool) + slots) <=
            f->board.map + f->board.map_bytes);
    }
    assert_null(board_info(&f->board, 2));
    assert_null(board_pool(&f->board, 2, &slots));
}

static void the_file_can_neither_be_shrunk_nor_sealed_further(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ftruncate(f->fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(fcntl(f->fd, F_ADD_SEALS, F_SEAL_GROW), -1);
    assert_int_equal(errno, EPERM);
}

static void a_reload_keeps_by_name_what_people_and_php_said_and_a_stop(void **state)
{
    struct fixture *f = *state;
    static const struct board_spec specs[] = {{"new", 1}, {"api", 3}, {"web", 4}};
    uint32_t slots;
    char text[BOARD_TEXT_BYTES];
    struct board_pool *api = board_pool(&f->board, 1, &slots);
    api->hold = BOARD_HOLD_UNREADY;
    board_text_set(&api->hold_reason, "cold");
    board_info(&f->board, 0)->maintenance = 1;
    board_text_set(&board_info(&f->board, 0)->control_reason, "disk");
    board_header(&f->board)->generation = 7;
    board_header(&f->board)->stop = BOARD_DRAIN;
    assert_int_equal(board_layout(&f->board, f->fd, specs, COUNT(specs)), 0);

    assert_int_equal(board_pool(&f->board, 0, &slots)->hold, BOARD_HOLD_NONE);
    assert_int_equal(board_pool(&f->board, 1, &slots)->hold, BOARD_HOLD_UNREADY);
    board_text_get(&board_pool(&f->board, 1, &slots)->hold_reason, text);
    assert_string_equal(text, "cold");
    assert_int_equal(board_info(&f->board, 2)->maintenance, 1);
    board_text_get(&board_info(&f->board, 2)->control_reason, text);
    assert_string_equal(text, "disk");
    assert_int_equal(board_header(&f->board)->generation, 7 | BOARD_LAYING_OUT);
    assert_int_equal(board_next_generation(&f->board), 8);
    assert_int_equal(board_header(&f->board)->stop, BOARD_DRAIN);
}

static void what_is_no_board_is_not_opened(void **state)
{
    struct fixture *f = *state;
    struct board b = {0};
    int plain = memfd_create("plain", MFD_CLOEXEC);
    assert_int_equal(ftruncate(plain, BOARD_PAGE_BYTES), 0);
    assert_int_equal(board_open(&b, plain), -1); /* it could shrink under us */
    assert_int_equal(errno, EPROTO);
    close(plain);

    int empty = board_create();
    assert_int_equal(board_open(&b, empty), -1);
    assert_int_equal(errno, EPROTO);
    close(empty);

    board_header(&f->board)->version++;
    assert_int_equal(board_open(&b, f->fd), -1);
    assert_int_equal(errno, EPROTONOSUPPORT);
    board_header(&f->board)->magic++;
    assert_int_equal(board_open(&b, f->fd), -1);
    assert_int_equal(errno, EPROTO);
}

static void hostile_offsets_and_counts_lead_nowhere(void **state)
{
    struct fixture *f = *state;
    static const uint64_t offsets[] = {0, 1, BOARD_PAGE_BYTES, BOARD_PAGE_BYTES + 64, UINT64_MAX,
        UINT64_MAX - BOARD_PAGE_BYTES + 1, INT64_MAX, UINT64_C(1) << 40};
    static const uint32_t counts[] = {BOARD_MAX_SLOTS + 1, UINT32_MAX, BOARD_MAX_SLOTS};
    struct board_pool_info *info = board_info(&f->board, 0);
    uint64_t right = info->pool_offset_bytes;
    uint32_t slots;
    for (size_t i = 0; i < COUNT(offsets); i++) {
        info->pool_offset_bytes = offsets[i];
        assert_null(board_pool(&f->board, 0, &slots));
        assert_int_equal(slots, 0);
    }
    info->pool_offset_bytes = right;
    for (size_t i = 0; i < COUNT(counts); i++) {
        info->slots = counts[i];
        assert_null(board_pool(&f->board, 0, &slots));
    }
    board_header(&f->board)->pool_count = UINT32_MAX;
    size_t count = board_pool_count(&f->board);
    assert_true(BOARD_PAGE_BYTES + count * sizeof(struct board_pool_info) <= f->board.map_bytes);
    for (size_t i = 0; i < count; i++) {
        struct board_pool *pool = board_pool(&f->board, i, &slots);
        assert_true(!pool || (unsigned char *)(board_slots(pool) + slots) <= f->board.map + f->board.map_bytes);
    }
}

static void a_layout_too_large_is_refused_and_the_old_one_stays(void **state)
{
    struct fixture *f = *state;
    static const struct board_spec specs[] = {{"web", BOARD_MAX_SLOTS + 1}};
    assert_int_equal(board_layout(&f->board, f->fd, specs, 1), -1);
    assert_int_equal(errno, E2BIG);
    assert_int_equal(board_pool_count(&f->board), 2);
}

static void slots_are_claimed_and_taken_from_the_dead(void **state)
{
    struct fixture *f = *state;
    uint32_t slots;
    uint64_t requests;
    struct board_pool *pool = board_pool(&f->board, 0, &slots);
    pid_t dead = dead_pid();
    struct board_slot *first = board_slot_claim(pool, slots, dead);
    assert_non_null(first);
    first->busy = 1;
    first->requests = 5;
    for (uint32_t i = 1; i < slots; i++) {
        assert_non_null(board_slot_claim(pool, slots, getpid()));
    }
    struct board_slot *taken = board_slot_claim(pool, slots, getpid());
    assert_ptr_equal(taken, first);
    assert_int_equal(taken->busy, 0);
    assert_null(board_slot_claim(pool, slots, getppid()));
    taken->busy = 1;
    assert_int_equal(board_pool_active(pool, slots, &requests), 1);
    assert_int_equal(requests, 5); /* counters go on from owner to owner */
}

static void a_busy_slot_of_the_dead_is_reaped(void **state)
{
    struct fixture *f = *state;
    uint32_t slots;
    uint64_t requests;
    struct board_pool *pool = board_pool(&f->board, 0, &slots);
    struct board_slot *slot = board_slot_claim(pool, slots, dead_pid());
    slot->busy = 1;
    assert_int_equal(board_pool_active(pool, slots, &requests), 0);
    assert_int_equal(slot->pid, 0);
}

static void a_worker_keeps_its_own_pages_alone(void **state)
{
    struct fixture *f = *state;
    uint32_t slots;
    unsigned char *other = (unsigned char *)board_pool(&f->board, 0, &slots);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        struct board_pool *own = board_pool(&f->board, 1, &slots);
        board_keep_only(&f->board, own, slots);
        own->hold = BOARD_HOLD_READY;
        int fds[2];
        bool gone = pipe(fds) == 0 && write(fds[1], other, 1) == -1 && errno == EFAULT;
        bool read_only = write(fds[1], "x", 1) == 1 && read(fds[0], f->board.map, 1) == -1 && errno == EFAULT;
        _exit(gone && read_only ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(board_pool(&f->board, 1, &slots)->hold, BOARD_HOLD_READY);
}

static void a_worker_outlives_a_count_that_somebody_changes(void **state)
{
    static const uint32_t counts[] = {0, 1, BOARD_MAX_POOLS};
    struct fixture *f = *state;
    struct board hostile = {0};
    assert_int_equal(board_open(&hostile, f->fd), 0);
    for (size_t c = 0; c < COUNT(counts); c++) {
        board_header(&hostile)->pool_count = 2;
        pid_t pid = fork();
        if (pid == 0) {
            uint32_t slots, sum = 0;
            signal(SIGSEGV, SIG_DFL);
            struct board_pool *own = board_pool(&f->board, 0, &slots);
            board_header(&hostile)->pool_count = counts[c];
            board_keep_only(&f->board, own, slots);
            board_header(&hostile)->pool_count = BOARD_MAX_POOLS;
            for (size_t i = 0; i < BOARD_MAX_POOLS; i++) {
                struct board_pool_info *info = board_info(&f->board, i);
                sum += info ? info->state : 0;
            }
            own->hold = BOARD_HOLD_READY;
            _exit(sum ? 1 : 0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    board_close(&hostile);
}

static void texts_are_cut_ended_and_never_half_written(void **state)
{
    struct board_text text = {0};
    char out[BOARD_TEXT_BYTES], longest[2 * BOARD_TEXT_BYTES];
    (void)state;
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    board_text_set(&text, longest);
    board_text_get(&text, out);
    assert_int_equal(strlen(out), BOARD_TEXT_BYTES - 1);
    text.seq++; /* a writer died in the middle */
    board_text_get(&text, out);
    assert_string_equal(out, "");
    board_text_set(&text, "new");
    board_text_get(&text, out);
    assert_string_equal(out, "new");
    memset(text.bytes, 'b', sizeof text.bytes); /* no NUL in it */
    board_text_get(&text, out);
    assert_int_equal(strlen(out), BOARD_TEXT_BYTES - 1);
}

static void ringing_wakes_and_harms_nobody(void **state)
{
    (void)state;
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    uint64_t rings;
    errno = 77;
    board_ring(-1);
    board_ring(fd);
    board_ring(fd);
    assert_int_equal(errno, 77);
    assert_int_equal(read(fd, &rings, sizeof rings), sizeof rings);
    assert_int_equal(rings, 2);
    close(fd);
}

#define WITH_BOARD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BOARD(every_pool_begins_on_a_page_of_its_own),
        WITH_BOARD(the_file_can_neither_be_shrunk_nor_sealed_further),
        WITH_BOARD(a_reload_keeps_by_name_what_people_and_php_said_and_a_stop),
        WITH_BOARD(what_is_no_board_is_not_opened),
        WITH_BOARD(hostile_offsets_and_counts_lead_nowhere),
        WITH_BOARD(a_layout_too_large_is_refused_and_the_old_one_stays),
        WITH_BOARD(slots_are_claimed_and_taken_from_the_dead),
        WITH_BOARD(a_busy_slot_of_the_dead_is_reaped),
        WITH_BOARD(a_worker_keeps_its_own_pages_alone),
        WITH_BOARD(a_worker_outlives_a_count_that_somebody_changes),
        cmocka_unit_test(texts_are_cut_ended_and_never_half_written),
        cmocka_unit_test(ringing_wakes_and_harms_nobody),
    };
    return cmocka_run_group_tests_name("board", tests, NULL, NULL);
}
