/* What a process writes below $POWER_ROOT, in which order, and what it flushes, goes to $POWER_LOG (see log.py).

   gcc -shared -fPIC -O1 recorder.c -o recorder.so -ldl;  LD_PRELOAD=recorder.so POWER_ROOT=... POWER_LOG=... edge-run ...

   Calls are made under one lock, so that the log has their order. Memory that is mapped is not seen: of SQLite that is
   store.db-shm alone, which is no part of what a power cut must leave. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST 65536
#define REAL(name) ((typeof(&name))real(#name))

struct __attribute__((packed)) entry {
    uint32_t process, handle;
    uint64_t place;
    uint32_t length;
    char what;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t handles[MOST]; /* of file descriptors; 0: not recorded */
static uint32_t last_handle;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static void note(char what, uint32_t handle, uint64_t place, const void *data, size_t length) {
    static int descriptor = -1;
    if (descriptor < 0) {
        const char *path = getenv("POWER_LOG");
        descriptor = path ? REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    }
    if (descriptor < 0) return;
    struct entry entry = {(uint32_t)getpid(), handle, place, (uint32_t)length, what};
    struct iovec parts[2] = {{&entry, sizeof entry}, {(void *)data, length}};
    if (REAL(writev)(descriptor, parts, 2) != (ssize_t)(sizeof entry + length)) abort();
}

/* The absolute path, if it lies below the root (or is it). */
static const char *below(int folder, const char *path, char *whole) {
    const char *root = getenv("POWER_ROOT");
    if (root == NULL || path == NULL) return NULL;
    if (path[0] == '/') {
        snprintf(whole, PATH_MAX, "%s", path);
    } else {
        char place[PATH_MAX], link[64];
        ssize_t length;
        if (folder == AT_FDCWD) {
            if (getcwd(place, sizeof place) == NULL) return NULL;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            if ((length = readlink(link, place, sizeof place - 1)) < 0) return NULL;
            place[length] = 0;
        }
        if (snprintf(whole, PATH_MAX, "%s/%s", place, path) >= PATH_MAX) return NULL;
    }
    size_t length = strlen(root);
    return strncmp(whole, root, length) == 0 && (whole[length] == '/' || whole[length] == 0) ? whole : NULL;
}

static int opened(int folder, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    const char *found = below(folder, path, whole);
    pthread_mutex_lock(&lock);
    int descriptor = REAL(openat)(folder, path, flags, mode), error = errno;
    if (descriptor >= 0 && descriptor < MOST) {
        handles[descriptor] = 0;
        if (found) {
            handles[descriptor] = ++last_handle;
            note('o', last_handle, (flags & O_TRUNC) != 0, whole, strlen(whole));
        }
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return descriptor;
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

static uint32_t handle_of(int descriptor) {
    return descriptor >= 0 && descriptor < MOST ? handles[descriptor] : 0;
}

int close(int descriptor) {
    pthread_mutex_lock(&lock);
    if (handle_of(descriptor)) handles[descriptor] = 0;
    int done = REAL(close)(descriptor), error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

ssize_t write(int descriptor, const void *data, size_t length) {
    if (!handle_of(descriptor)) return REAL(write)(descriptor, data, length);
    pthread_mutex_lock(&lock);
    ssize_t done = REAL(write)(descriptor, data, length);
    int error = errno;
    if (done > 0) note('w', handle_of(descriptor), (uint64_t)(lseek(descriptor, 0, SEEK_CUR) - done), data, (size_t)done);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

static ssize_t written(int descriptor, const void *data, size_t length, off_t place) {
    if (!handle_of(descriptor)) return REAL(pwrite)(descriptor, data, length, place);
    pthread_mutex_lock(&lock);
    ssize_t done = REAL(pwrite)(descriptor, data, length, place);
    int error = errno;
    if (done > 0) note('w', handle_of(descriptor), (uint64_t)place, data, (size_t)done);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

ssize_t pwrite(int descriptor, const void *data, size_t length, off_t place) { return written(descriptor, data, length, place); }
ssize_t pwrite64(int descriptor, const void *data, size_t length, off_t place) { return written(descriptor, data, length, place); }

static int done_to(int descriptor, char what, off_t place, int done, int error) {
    if (done == 0) note(what, handle_of(descriptor), (uint64_t)place, "", 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

#define ON_DESCRIPTOR(what, place, call) \
    if (!handle_of(descriptor)) return call; \
    pthread_mutex_lock(&lock); \
    int done = call; \
    return done_to(descriptor, what, place, done, errno);

int ftruncate(int descriptor, off_t size) { ON_DESCRIPTOR('t', size, REAL(ftruncate)(descriptor, size)) }
int ftruncate64(int descriptor, off_t size) { ON_DESCRIPTOR('t', size, REAL(ftruncate)(descriptor, size)) }
int fsync(int descriptor) { ON_DESCRIPTOR('s', 0, REAL(fsync)(descriptor)) }
int fdatasync(int descriptor) { ON_DESCRIPTOR('s', 0, REAL(fdatasync)(descriptor)) }

static int renamed(int from_folder, const char *from, int to_folder, const char *to) {
    char names[2 * PATH_MAX], other[PATH_MAX];
    int seen = below(from_folder, from, names) != NULL && below(to_folder, to, other) != NULL;
    pthread_mutex_lock(&lock);
    int done = REAL(renameat)(from_folder, from, to_folder, to), error = errno;
    if (done == 0 && seen) {
        size_t length = strlen(names) + 1;
        strcpy(names + length, other);
        note('r', 0, 0, names, length + strlen(other));
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int rename(const char *from, const char *to) { return renamed(AT_FDCWD, from, AT_FDCWD, to); }
int renameat(int from_folder, const char *from, int to_folder, const char *to) { return renamed(from_folder, from, to_folder, to); }

static int linked(const char *target, int folder, const char *path) {
    char names[2 * PATH_MAX];
    int seen = below(folder, path, names) != NULL && strlen(target) < PATH_MAX;
    pthread_mutex_lock(&lock);
    int done = REAL(symlinkat)(target, folder, path), error = errno;
    if (done == 0 && seen) {
        size_t length = strlen(names) + 1;
        strcpy(names + length, target);
        note('l', 0, 0, names, length + strlen(target));
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int symlink(const char *target, const char *path) { return linked(target, AT_FDCWD, path); }
int symlinkat(const char *target, int folder, const char *path) { return linked(target, folder, path); }

#define ON_PATH(folder, what, call) \
    char whole[PATH_MAX]; \
    const char *found = below(folder, path, whole); \
    pthread_mutex_lock(&lock); \
    int done = call, error = errno; \
    if (done == 0 && found) note(what, 0, 0, whole, strlen(whole)); \
    pthread_mutex_unlock(&lock); \
    errno = error; \
    return done;

int unlink(const char *path) { ON_PATH(AT_FDCWD, 'u', REAL(unlink)(path)) }
int unlinkat(int folder, const char *path, int flags) { ON_PATH(folder, 'u', REAL(unlinkat)(folder, path, flags)) }
int rmdir(const char *path) { ON_PATH(AT_FDCWD, 'u', REAL(rmdir)(path)) }
int mkdir(const char *path, mode_t mode) { ON_PATH(AT_FDCWD, 'm', REAL(mkdir)(path, mode)) }
int mkdirat(int folder, const char *path, mode_t mode) { ON_PATH(folder, 'm', REAL(mkdirat)(folder, path, mode)) }
