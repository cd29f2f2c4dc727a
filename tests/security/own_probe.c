/* Gives what stands at a path to a user, as the helper does with control.sock. */
#include "user.h"

int main(int argc, char **argv)
{
    if (argc == 3) {
        user_own_socket(argv[1], argv[2]);
    }
    return 0;
}
