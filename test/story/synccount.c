/* SPDX-License-Identifier: MIT
 *
 * LD_PRELOAD library of a story: counts fsync() and fdatasync() calls made by the thread named SYNCCOUNT_THREAD, in the
 * first eight bytes of the file that SYNCCOUNT_FILE names, so that the count survives the process.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint64_t *count;

__attribute__((constructor)) static void open_counter(void)
{
    const char *path = getenv("SYNCCOUNT_FILE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *p = fd >= 0 ? mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

    count = p == MAP_FAILED ? NULL : p;
}

static int call(const char *function, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, function);
    char name[16] = "";
    const char *wanted = getenv("SYNCCOUNT_THREAD");

    pthread_getname_np(pthread_self(), name, sizeof name);
    if (count && wanted && strcmp(name, wanted) == 0)
        atomic_fetch_add(count, 1);
    return real(fd);
}

int fsync(int fd)
{
    return call("fsync", fd);
}

int fdatasync(int fd)
{
    return call("fdatasync", fd);
}
