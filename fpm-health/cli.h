/* The command line: one function a command, each returns the exit code. argv[0] is the command's own name. */
#ifndef FPM_HEALTH_CLI_H
#define FPM_HEALTH_CLI_H

int cli_serve(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_top(int argc, char **argv);
int cli_drain(int argc, char **argv);
int cli_undrain(int argc, char **argv);
int cli_maint(int argc, char **argv);
int cli_check_config(int argc, char **argv);
int cli_token_check(int argc, char **argv);

#endif
