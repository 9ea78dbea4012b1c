/* A wall clock that is set, and a disk that becomes read-only, while a process runs (see shim.py).

   gcc -shared -fPIC -O1 shim.c -o shim.so -ldl;  LD_PRELOAD=shim.so TROUBLE=FILE TROUBLE_ROOT=FOLDER edge-run ...

   The file holds two int64, which may change at any time. By the first, seconds, CLOCK_REALTIME, time() and gettimeofday()
   are ahead; CLOCK_MONOTONIC is as it is, and what waits until a time of the wall clock waits for as long as was left. While
   the second is not 0 nothing below the folder can be opened to be written, changed, made or removed, nor can what is open
   already: EROFS, as of a file system that the kernel has made read-only for its errors. What is mapped stays so. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

struct trouble {
    int64_t ahead, read_only;
};

static volatile struct trouble *told;
static const char *root;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("TROUBLE");
    int file = path ? REAL(open)(path, O_RDONLY | O_CLOEXEC) : -1;
    void *mapped = mmap(0, sizeof *told, PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) told = mapped;
    root = getenv("TROUBLE_ROOT");
}

/* The clock. */

static int64_t ahead(void) { return told ? told->ahead : 0; }

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += ahead();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec found;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &found);
    now->tv_sec = found.tv_sec;
    now->tv_usec = found.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *into) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (into) *into = found.tv_sec;
    return found.tv_sec;
}

int sem_timedwait(sem_t *semaphore, const struct timespec *until) {
    static int (*real)(sem_t *, const struct timespec *);
    struct timespec real_until = *until;
    if (!real) real = dlsym(RTLD_NEXT, "sem_timedwait");
    real_until.tv_sec -= ahead();
    return real(semaphore, &real_until);
}

/* The disk. */

static int lies_below(const char *path) {
    size_t length = strlen(root);
    return strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int is_refused(int folder, const char *path) {
    if (!told || !told->read_only || !root || !path) return 0;
    if (path[0] == '/') return lies_below(path);
    char whole[2 * PATH_MAX], link[64];
    ssize_t length;
    snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    if ((length = readlink(link, whole, PATH_MAX - 1)) < 0) return 0;
    snprintf(whole + length, sizeof whole - (size_t)length, "/%s", path);
    return lies_below(whole);
}

static int is_refused_open(int descriptor) {
    if (!told || !told->read_only || !root) return 0;
    char path[PATH_MAX], link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return lies_below(path);
}

#define REFUSE(refused) \
    if (refused) { \
        errno = EROFS; \
        return -1; \
    }

static int opened(int folder, const char *path, int flags, mode_t mode) {
    int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
    /* A file that is there already is opened to be read, whatever else is asked for it. */
    if ((flags & O_CREAT) && !writes) writes = faccessat(folder, path, F_OK, 0) != 0;
    REFUSE(writes && is_refused(folder, path))
    return REAL(openat)(folder, path, flags, mode);
}

#define MODE(flags, last) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, last); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) { MODE(flags, flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags, flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags, flags) return opened(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags, flags) return opened(folder, path, flags, mode); }

#define ON_DESCRIPTOR(call) \
    REFUSE(is_refused_open(descriptor)) \
    return call;

ssize_t write(int descriptor, const void *data, size_t length) { ON_DESCRIPTOR(REAL(write)(descriptor, data, length)) }
ssize_t pwrite(int descriptor, const void *data, size_t length, off_t place) { ON_DESCRIPTOR(REAL(pwrite)(descriptor, data, length, place)) }
ssize_t pwrite64(int descriptor, const void *data, size_t length, off_t place) { ON_DESCRIPTOR(REAL(pwrite)(descriptor, data, length, place)) }
int ftruncate(int descriptor, off_t size) { ON_DESCRIPTOR(REAL(ftruncate)(descriptor, size)) }
int ftruncate64(int descriptor, off_t size) { ON_DESCRIPTOR(REAL(ftruncate)(descriptor, size)) }

int rename(const char *from, const char *to) {
    REFUSE(is_refused(AT_FDCWD, from) || is_refused(AT_FDCWD, to))
    return REAL(rename)(from, to);
}

#define ON_PATH(folder, call) \
    REFUSE(is_refused(folder, path)) \
    return call;

int unlink(const char *path) { ON_PATH(AT_FDCWD, REAL(unlink)(path)) }
int unlinkat(int folder, const char *path, int flags) { ON_PATH(folder, REAL(unlinkat)(folder, path, flags)) }
int rmdir(const char *path) { ON_PATH(AT_FDCWD, REAL(rmdir)(path)) }
int mkdir(const char *path, mode_t mode) { ON_PATH(AT_FDCWD, REAL(mkdir)(path, mode)) }
int mkdirat(int folder, const char *path, mode_t mode) { ON_PATH(folder, REAL(mkdirat)(folder, path, mode)) }
