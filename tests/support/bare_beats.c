/*
 * What keeping TTL checks alive costs at least: libcurl alone, no event loop of ours. Usage: bare_beats URL PARALLEL BEAT_MS
 * BEATS GROUPS < IDS, a check's ID a line. In each beat every check is told once that all is well; the groups take turns,
 * evenly over the beat, and in each so many requests are in flight as are allowed.
 */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PARALLEL_MAX = 192, CHECKS_MAX = 4096, URL_BYTES = 512 };

static CURL *idle[PARALLEL_MAX];
static int idle_count;

static size_t ignore(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    (void)context;
    return size * count;
}

static long long clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void tell(CURLM *multi, const char *base, const char *id)
{
    char url[URL_BYTES];
    CURL *easy = idle[--idle_count];
    snprintf(url, sizeof url, "%s/v1/agent/check/update/%s", base, id);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_multi_add_handle(multi, easy);
}

/* Takes back what has been answered; returns how many, or -1 where one was not well. */
static int collect(CURLM *multi)
{
    int running, queued, done = 0;
    curl_multi_perform(multi, &running);
    for (CURLMsg *m; (m = curl_multi_info_read(multi, &queued)); done++) {
        CURL *easy = m->easy_handle;
        CURLcode code = m->data.result;
        long status = 0;
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        if (code != CURLE_OK || status != 200) {
            fprintf(stderr, "%s, %ld\n", curl_easy_strerror(code), status);
            return -1;
        }
        curl_multi_remove_handle(multi, easy);
        idle[idle_count++] = easy;
    }
    return done;
}

static int tell_group(CURLM *multi, const char *base, char *const *ids, int count)
{
    int sent = 0, done = 0, n;
    while (done < count) {
        for (; sent < count && idle_count; sent++) {
            tell(multi, base, ids[sent]);
        }
        if ((n = collect(multi)) == -1) {
            return -1;
        }
        done += n;
        if (n == 0) {
            curl_multi_poll(multi, NULL, 0, 100, NULL);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    static char *ids[CHECKS_MAX], line[URL_BYTES];
    int count = 0, numbers[4] = {0};
    for (int i = 0; argc == 6 && i < 4; i++) {
        numbers[i] = atoi(argv[i + 2]);
    }
    int parallel = numbers[0], beat_ms = numbers[1], beats = numbers[2], groups = numbers[3];
    if (parallel < 1 || parallel > PARALLEL_MAX || beat_ms < 1 || beats < 1 || groups < 1) {
        return 64;
    }
    while (count < CHECKS_MAX && fgets(line, sizeof line, stdin)) {
        ids[count++] = strndup(line, strcspn(line, "\n"));
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLM *multi = curl_multi_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    for (; idle_count < parallel; idle_count++) {
        CURL *easy = idle[idle_count] = curl_easy_init();
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "{\"Status\":\"passing\",\"Output\":\"healthy\"}");
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PUT");
    }
    long long begin_ms = clock_ms();
    for (int turn = 0; turn < beats * groups; turn++) {
        int group = turn % groups, from = count * group / groups, to = count * (group + 1) / groups;
        long long left_ms = begin_ms + (long long)turn * beat_ms / groups - clock_ms();
        if (left_ms > 0) {
            nanosleep(&(struct timespec){left_ms / 1000, left_ms % 1000 * 1000000}, NULL);
        }
        if (tell_group(multi, argv[1], ids + from, to - from) == -1) {
            return 1;
        }
    }
    return 0;
}
