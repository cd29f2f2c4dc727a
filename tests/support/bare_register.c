/*
 * What registering services costs at least: libcurl alone, so many requests in parallel, no event loop of ours. Usage:
 * bare_register URL PARALLEL < BODIES, a registration a line. Each is registered, then its TTL check passed. Prints the
 * seconds that took.
 */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PARALLEL_MAX = 64, PATH_BYTES = 512 };

struct slot {
    CURL *easy;
    char *body; /* of the service in the making; NULL: idle */
    int registered;
    char url[PATH_BYTES], update[PATH_BYTES];
};

static size_t ignore(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    (void)context;
    return size * count;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void send_step(CURLM *multi, struct slot *s, const char *base)
{
    if (s->registered) {
        const char *id = strstr(s->body, "\"ID\":\"") + 6;
        snprintf(s->url, sizeof s->url, "%s/v1/agent/check/update/%.*s:ttl", base, (int)strcspn(id, "\""), id);
        snprintf(s->update, sizeof s->update, "{\"Status\":\"passing\",\"Output\":\"healthy\"}");
    } else {
        snprintf(s->url, sizeof s->url, "%s/v1/agent/service/register", base);
    }
    curl_easy_setopt(s->easy, CURLOPT_URL, s->url);
    curl_easy_setopt(s->easy, CURLOPT_COPYPOSTFIELDS, s->registered ? s->update : s->body);
    curl_easy_setopt(s->easy, CURLOPT_CUSTOMREQUEST, "PUT");
    curl_multi_add_handle(multi, s->easy);
}

static int next_line(struct slot *s)
{
    size_t room = 0;
    free(s->body);
    s->body = NULL;
    s->registered = 0;
    ssize_t n = getline(&s->body, &room, stdin);
    if (n <= 0) {
        free(s->body);
        s->body = NULL;
        return 0;
    }
    s->body[n - (s->body[n - 1] == '\n')] = '\0';
    return 1;
}

int main(int argc, char **argv)
{
    static struct slot slots[PARALLEL_MAX];
    int parallel = argc == 3 ? atoi(argv[2]) : 0, left = 0, running;
    if (parallel < 1 || parallel > PARALLEL_MAX) {
        return 64;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLM *multi = curl_multi_init();
    double begin = seconds();
    for (int i = 0; i < parallel; i++) {
        slots[i].easy = curl_easy_init();
        curl_easy_setopt(slots[i].easy, CURLOPT_PRIVATE, &slots[i]);
        curl_easy_setopt(slots[i].easy, CURLOPT_WRITEFUNCTION, ignore);
        if (next_line(&slots[i])) {
            send_step(multi, &slots[i], argv[1]);
            left++;
        }
    }
    while (left) {
        curl_multi_perform(multi, &running);
        CURLMsg *m;
        int queued;
        while ((m = curl_multi_info_read(multi, &queued))) {
            struct slot *s = NULL;
            long status = 0;
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&s);
            curl_easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE, &status);
            if (m->data.result != CURLE_OK || status != 200) {
                fprintf(stderr, "%s: %s, %ld\n", s->url, curl_easy_strerror(m->data.result), status);
                return 1;
            }
            curl_multi_remove_handle(multi, s->easy);
            s->registered = !s->registered;
            if (s->registered || next_line(s)) {
                send_step(multi, s, argv[1]);
            } else {
                left--;
            }
        }
        curl_multi_poll(multi, NULL, 0, 100, NULL);
    }
    printf("%.3f\n", seconds() - begin);
    return 0;
}
