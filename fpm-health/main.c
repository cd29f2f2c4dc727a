/* fpm-health: helper of svcreg.so, stand-alone daemon, and command line in one binary. */
#include "cli.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const char usage[] =
    "fpm-health - health, readiness and registration of PHP-FPM pools\n"
    "\n"
    "  serve --config FILE                  serve what FILE says\n"
    "  serve --pool NAME=ADDRESS...         serve without a file; --http ADDRESS, --agent ADDRESS,\n"
    "        [options]                      --consul URL, --node NAME, --instance NAME, --run-dir DIR,\n"
    "                                       --max-children N, --status-path PATH (for the pool before it)\n"
    "  check [POOL]                         one line and exit code for Nagios: 0, 1, 2, 3\n"
    "  check --live                         0, or 1 where a restart would help\n"
    "  status [--json]\n"
    "  top [--interval T] [--count N]       live view; into a file or pipe: N times as plain text, once by default\n"
    "  drain [POOL] [--wait] [--timeout T]  take out of service; with --wait until nobody comes any more\n"
    "  undrain [POOL]\n"
    "  maint on|off [POOL] [--reason R]\n"
    "  check-config FILE\n"
    "  token-check --config FILE            may the ACL token do what is needed\n"
    "  --version, --help\n"
    "\n"
    "Commands that speak to a running helper find it below /run/svcreg; --run-dir DIR and --instance NAME choose.\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"serve", cli_serve},
    {"check", cli_check},
    {"status", cli_status},
    {"top", cli_top},
    {"drain", cli_drain},
    {"undrain", cli_undrain},
    {"maint", cli_maint},
    {"check-config", cli_check_config},
    {"token-check", cli_token_check},
};

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--version") == 0) {
        puts("fpm-health " SVCREG_VERSION);
        return 0;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(word, commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    fputs(usage, stderr);
    return EX_USAGE;
}
