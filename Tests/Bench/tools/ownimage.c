/* Loaded with LD_PRELOAD into a program that valgrind runs: there, /proc/self/exe is valgrind's own tool, and a program
 * that starts itself again by that name would start it. The file's name is in $OWN_IMAGE. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

int execve(const char *path, char *const arguments[], char *const environment[]) {
    static int (*next)(const char *, char *const[], char *const[]);
    if (!next) next = (int (*)(const char *, char *const[], char *const[]))dlsym(RTLD_NEXT, "execve");
    const char *image = getenv("OWN_IMAGE");
    return next(image && strcmp(path, "/proc/self/exe") == 0 ? image : path, arguments, environment);
}
