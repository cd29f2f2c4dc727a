/* The page at `/`: page.html as it is, which asks /status and /trend/POOL for what it shows. */
#ifndef FPM_HEALTH_PAGE_H
#define FPM_HEALTH_PAGE_H

extern const char page_html[], page_html_end[];

/* Header lines, each ended by CRLF. */
extern const char page_headers[];

#endif
