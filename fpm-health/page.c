/* See page.h. */
#include "page.h"

/* The file at compile time, byte by byte; PAGE_HTML is its path. */
__asm__(".pushsection .rodata\n"
        ".global page_html, page_html_end\n"
        "page_html: .incbin \"" PAGE_HTML "\"\n"
        "page_html_end: .byte 0\n"
        ".popsection\n");

/* The style and the script of page.html run, known by their hashes, and nothing that a name could smuggle in. */
const char page_headers[] = "Content-Security-Policy: default-src 'none'; img-src data:; connect-src 'self'; base-uri "
                            "'none'; form-action 'none'; "
                            "frame-ancestors 'none'; "
                            "style-src 'sha256-jQoU82SAtWj56UZ38tHBiZX50hr0/n0aM5ykfqmpa9w='; "
                            "script-src 'sha256-Rr2iQVq1RfwxNcAGA5ZHyDeFgzn9Cy1A1Fb10WeSTu0='\r\n"
                            "X-Content-Type-Options: nosniff\r\n"
                            "Referrer-Policy: no-referrer\r\n";
