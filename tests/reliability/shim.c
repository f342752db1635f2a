/* Kills, fails or halves the n-th storage call of a process below one path, and shifts its clock.

   Loaded with LD_PRELOAD it stands between libc and whoever stores: Python, SQLite and delta-rs alike. It does nothing
   until ffe_arm names a path. What is counted changes something on disk: opening for writing, write, rename, link,
   unlink, mkdir, rmdir, fsync, ftruncate. SQLite's shared memory (-shm) is left out: it is never on disk for good. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { COUNT, KILL, KILL_AFTER, FAIL, FAIL_FROM, SHORT, TORN, SIGNAL, JUMP };
enum { OPEN, WRITE, NAME, SYNC, SIZE };     /* kinds of call */
enum { GO_ON, HALF, HALF_THEN_DIE, DIE_AFTER, HALF_THEN_FAIL, FAILED };

static char below[PATH_MAX];
static size_t below_length;
static int place, action, error, trace = -1;
static atomic_int armed, calls;
static _Atomic long clock_offset;

/* From now on act at the n-th call (from 0) on a path that begins with `path`; each call is a line in `log`, if any. */
void ffe_arm(const char *path, int n, int act, int code, const char *log) {
    strncpy(below, path, PATH_MAX - 1);
    below_length = strlen(below);
    place = n, action = act, error = code;
    if (log && *log) trace = syscall(SYS_openat, AT_FDCWD, log, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
    armed = 1;
}

/* The wall clock shows so many seconds more from now on. */
void ffe_clock(long seconds) { clock_offset = seconds; }

static void die(void) {
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    for (;;) pause();
}

static int ends_with(const char *text, const char *end) {
    size_t all = strlen(text), part = strlen(end);
    return all >= part && !strcmp(text + all - part, end);
}

static int is_ours(const char *path) {
    return armed && path && !strncmp(path, below, below_length) && !ends_with(path, "-shm");
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
    return length > 0;
}

static int fd_is_ours(int fd, char *path) { return armed && path_of(fd, path) && is_ours(path); }

static int at_is_ours(int folder, const char *name, char *path) {
    if (!armed || !name) return 0;
    if (name[0] == '/' || folder == AT_FDCWD) return snprintf(path, PATH_MAX, "%s", name), is_ours(path);
    if (!path_of(folder, path)) return 0;
    size_t length = strlen(path);
    snprintf(path + length, PATH_MAX - length, "/%s", name);
    return is_ours(path);
}

/* Whether an error that lasts meets this kind of call: a full disk still renames, and rights are asked at the door. */
static int is_met(int kind, int makes_room) {
    if (error == ENOSPC) return makes_room;
    return error != EACCES || kind == OPEN || kind == NAME;
}

static int judge(const char *what, const char *path, int kind, int makes_room) {
    int n = atomic_fetch_add(&calls, 1);
    if (trace >= 0) {
        char line[PATH_MAX + 64];
        int length = snprintf(line, sizeof line, "%d %s %s\n", n, what, path);
        syscall(SYS_write, trace, line, length);
    }
    if (action == FAIL_FROM) return n >= place && is_met(kind, makes_room) ? FAILED : GO_ON;
    if (n != place || action == COUNT) return GO_ON;
    switch (action) {
    case KILL: die();
    case KILL_AFTER: return kind == WRITE ? HALF_THEN_DIE : DIE_AFTER;
    case SHORT: return kind == WRITE ? HALF : GO_ON;
    case TORN: return kind == WRITE ? HALF_THEN_FAIL : FAILED;
    case SIGNAL: return syscall(SYS_kill, syscall(SYS_getpid), error), GO_ON;
    case JUMP: return clock_offset += error, GO_ON;
    default: return FAILED;
    }
}

#define REAL(name) ({ static typeof(&name) real_; if (!real_) real_ = (typeof(&name))dlsym(RTLD_NEXT, #name); real_; })

#define CALL(ours, what, path, kind, room, call)                      \
    do {                                                              \
        if (!(ours)) return call;                                     \
        int verdict = judge(what, path, kind, room);                  \
        if (verdict == FAILED) return errno = error, -1;              \
        int result = call, kept = errno;                              \
        if (verdict == DIE_AFTER) die();                              \
        return errno = kept, result;                                  \
    } while (0)

#define CALL_WRITE(what, fd, whole, half)                             \
    do {                                                              \
        char path[PATH_MAX];                                          \
        if (!fd_is_ours(fd, path)) return whole;                      \
        int verdict = judge(what, path, WRITE, 1);                    \
        if (verdict == GO_ON) return whole;                           \
        if (verdict == FAILED) return errno = error, -1;              \
        ssize_t written = half;                                       \
        if (verdict == HALF_THEN_DIE) die();                          \
        if (verdict == HALF_THEN_FAIL) return errno = error, -1;      \
        return written;                                               \
    } while (0)

#define MODE_OF(flags)                                                \
    mode_t mode = 0;                                                  \
    if (flags & (O_CREAT | O_TMPFILE)) {                              \
        va_list rest;                                                 \
        va_start(rest, flags);                                        \
        mode = va_arg(rest, mode_t);                                  \
        va_end(rest);                                                 \
    }
#define CHANGES(flags) (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC))
#define MAKES(flags, path) ((flags & O_CREAT) && syscall(SYS_faccessat, AT_FDCWD, path, F_OK))

int open(const char *path, int flags, ...) {
    MODE_OF(flags)
    CALL(CHANGES(flags) && is_ours(path), "open", path, OPEN, MAKES(flags, path), REAL(open)(path, flags, mode));
}
int open64(const char *path, int flags, ...) {
    MODE_OF(flags)
    CALL(CHANGES(flags) && is_ours(path), "open", path, OPEN, MAKES(flags, path), REAL(open64)(path, flags, mode));
}
int openat(int folder, const char *name, int flags, ...) {
    MODE_OF(flags)
    char path[PATH_MAX];
    CALL(CHANGES(flags) && at_is_ours(folder, name, path), "open", path, OPEN, MAKES(flags, path),
         REAL(openat)(folder, name, flags, mode));
}
int openat64(int folder, const char *name, int flags, ...) {
    MODE_OF(flags)
    char path[PATH_MAX];
    CALL(CHANGES(flags) && at_is_ours(folder, name, path), "open", path, OPEN, MAKES(flags, path),
         REAL(openat64)(folder, name, flags, mode));
}

ssize_t write(int fd, const void *bytes, size_t size) {
    CALL_WRITE("write", fd, REAL(write)(fd, bytes, size), REAL(write)(fd, bytes, (size + 1) / 2));
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
    CALL_WRITE("write", fd, REAL(pwrite)(fd, bytes, size, at), REAL(pwrite)(fd, bytes, (size + 1) / 2, at));
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
    CALL_WRITE("write", fd, REAL(pwrite64)(fd, bytes, size, at), REAL(pwrite64)(fd, bytes, (size + 1) / 2, at));
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    CALL_WRITE("write", fd, REAL(writev)(fd, parts, count), REAL(writev)(fd, parts, (count + 1) / 2));
}

int rename(const char *from, const char *to) {
    CALL(is_ours(to) || is_ours(from), "rename", to, NAME, 0, REAL(rename)(from, to));
}
int renameat(int from_folder, const char *from, int folder, const char *name) {
    char path[PATH_MAX];
    CALL(at_is_ours(folder, name, path), "rename", path, NAME, 0, REAL(renameat)(from_folder, from, folder, name));
}
int renameat2(int from_folder, const char *from, int folder, const char *name, unsigned flags) {
    char path[PATH_MAX];
    CALL(at_is_ours(folder, name, path), "rename", path, NAME, 0,
         REAL(renameat2)(from_folder, from, folder, name, flags));
}
int link(const char *from, const char *to) { CALL(is_ours(to), "link", to, NAME, 1, REAL(link)(from, to)); }
int linkat(int from_folder, const char *from, int folder, const char *name, int flags) {
    char path[PATH_MAX];
    CALL(at_is_ours(folder, name, path), "link", path, NAME, 1, REAL(linkat)(from_folder, from, folder, name, flags));
}
int unlink(const char *path) { CALL(is_ours(path), "unlink", path, NAME, 0, REAL(unlink)(path)); }
int unlinkat(int folder, const char *name, int flags) {
    char path[PATH_MAX];
    CALL(at_is_ours(folder, name, path), "unlink", path, NAME, 0, REAL(unlinkat)(folder, name, flags));
}
int mkdir(const char *path, mode_t mode) { CALL(is_ours(path), "mkdir", path, NAME, 1, REAL(mkdir)(path, mode)); }
int mkdirat(int folder, const char *name, mode_t mode) {
    char path[PATH_MAX];
    CALL(at_is_ours(folder, name, path), "mkdir", path, NAME, 1, REAL(mkdirat)(folder, name, mode));
}
int rmdir(const char *path) { CALL(is_ours(path), "rmdir", path, NAME, 0, REAL(rmdir)(path)); }

int fsync(int fd) {
    char path[PATH_MAX];
    CALL(fd_is_ours(fd, path), "fsync", path, SYNC, 1, REAL(fsync)(fd));
}
int fdatasync(int fd) {
    char path[PATH_MAX];
    CALL(fd_is_ours(fd, path), "fsync", path, SYNC, 1, REAL(fdatasync)(fd));
}
int ftruncate(int fd, off_t size) {
    char path[PATH_MAX];
    CALL(fd_is_ours(fd, path), "ftruncate", path, SIZE, 0, REAL(ftruncate)(fd, size));
}
int ftruncate64(int fd, off64_t size) {
    char path[PATH_MAX];
    CALL(fd_is_ours(fd, path), "ftruncate", path, SIZE, 0, REAL(ftruncate64)(fd, size));
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = REAL(clock_gettime)(clock, now);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += clock_offset;
    return result;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int result = REAL(gettimeofday)(now, zone);
    if (!result) now->tv_sec += clock_offset;
    return result;
}
time_t time(time_t *into) {
    time_t now = REAL(time)(NULL) + clock_offset;
    if (into) *into = now;
    return now;
}
