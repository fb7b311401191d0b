/* Counts the calls that change files below one folder, and strikes at one of them: SIGKILL, or an errno.
 *
 * Loaded with LD_PRELOAD, set up by environment variables (tests/torture/shim.py writes them), armed when the
 * process starts or by torture_arm(). One lock makes every counted call and its entry in the log one step, so that
 * the log has the order in which things happened, over all threads.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The names in shim.py are in this order. */
enum kind { OPEN, WRITE, FSYNC, RENAME, LINK, UNLINK, TRUNCATE, ALLOCATE, MKDIR, CHMOD };
enum how { COUNT, BEFORE, AFTER, HALF, FAIL };

/* A page that a file holds too: it outlives the process. */
struct tally {
  int64_t calls;  /* counted so far */
  int64_t struck; /* how many of them were struck */
  char last[1024];
};

/* An entry of the log; the paths (relative to the folder) and the written bytes follow it. */
struct entry {
  int32_t kind, first_length, second_length, flags;
  int64_t offset, length;
};

static struct {
  int armed;
  char folder[PATH_MAX];
  size_t folder_length;
  char pattern[256];
  unsigned kinds;
  int64_t at;
  enum how how;
  int error, lasting;
  int log;
  struct tally *tally;
} shim = {.log = -1};

static struct tally nowhere;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const char *setting(const char *name, const char *otherwise) {
  const char *value = getenv(name);
  return value && *value ? value : otherwise;
}

void torture_arm(void) {
  const char *tally = setting("TORTURE_TALLY", "");
  const char *log = setting("TORTURE_LOG", "");
  snprintf(shim.folder, sizeof shim.folder, "%s", setting("TORTURE_FOLDER", ""));
  snprintf(shim.pattern, sizeof shim.pattern, "%s", setting("TORTURE_PATH", "*"));
  shim.folder_length = strlen(shim.folder);
  shim.kinds = (unsigned)strtoul(setting("TORTURE_KINDS", "4294967295"), NULL, 10);
  shim.at = strtoll(setting("TORTURE_AT", "0"), NULL, 10);
  shim.how = (enum how)atoi(setting("TORTURE_HOW", "0"));
  shim.error = atoi(setting("TORTURE_ERROR", "0"));
  shim.lasting = atoi(setting("TORTURE_LASTING", "0"));
  shim.tally = &nowhere;
  if (*tally) {
    int descriptor = (int)syscall(SYS_openat, AT_FDCWD, tally, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    void *page = MAP_FAILED;
    if (descriptor >= 0 && syscall(SYS_ftruncate, descriptor, sizeof(struct tally)) == 0)
      page = mmap(NULL, sizeof(struct tally), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (page == MAP_FAILED) abort();
    shim.tally = page;
    close(descriptor);
  }
  if (*log) {
    shim.log = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (shim.log < 0) abort();
  }
  shim.armed = shim.folder_length > 0;
}

__attribute__((constructor)) static void begin(void) {
  if (getenv("TORTURE_FOLDER")) torture_arm();
}

/* The path of a name or of an open file, relative to the folder; 0 when it is elsewhere. */
static int inside(const char *path, char *relative) {
  if (strncmp(path, shim.folder, shim.folder_length) != 0) return 0;
  char next = path[shim.folder_length];
  if (next != '/' && next != '\0') return 0;
  const char *rest = path + shim.folder_length + (next == '/');
  size_t length = strlen(rest);
  if (length >= PATH_MAX) return 0;
  memcpy(relative, rest, length + 1);
  return 1;
}

static int of_descriptor(int descriptor, char *relative) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0 || path[0] != '/') return 0;
  path[length] = '\0';
  return inside(path, relative);
}

static int of_name(int directory, const char *name, char *relative) {
  char path[2 * PATH_MAX];
  if (name == NULL) return 0;
  if (name[0] == '/') {
    snprintf(path, sizeof path, "%s", name);
  } else {
    char base[PATH_MAX];
    if (directory == AT_FDCWD) {
      if (getcwd(base, sizeof base) == NULL) return 0;
    } else {
      char link[64];
      snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
      ssize_t length = readlink(link, base, sizeof base - 1);
      if (length <= 0) return 0;
      base[length] = '\0';
    }
    snprintf(path, sizeof path, "%s/%s", base, name);
  }
  return inside(path, relative);
}

/* What to do with a call; the lock is held from here to leave(). */
struct call {
  enum kind kind;
  int counted, strikes, error;
  char first[PATH_MAX], second[PATH_MAX];
};

static const char *const words[] = {"open", "write", "fsync", "rename", "link", "unlink", "truncate", "allocate", "mkdir", "chmod"};

static void die(void) {
  syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
  for (;;) pause();
}

static void enter(struct call *call) {
  pthread_mutex_lock(&lock);
  int wanted = (shim.kinds >> call->kind) & 1;
  if (wanted && fnmatch(shim.pattern, call->first, 0) != 0)
    wanted = call->second[0] && fnmatch(shim.pattern, call->second, 0) == 0;
  if (!wanted) return;
  int64_t number = ++shim.tally->calls;
  call->counted = 1;
  if (shim.how == COUNT || shim.at == 0) return;
  call->strikes = number == shim.at || (shim.how == FAIL && shim.lasting && number > shim.at);
  if (!call->strikes) return;
  shim.tally->struck++;
  snprintf(shim.tally->last, sizeof shim.tally->last, "%s %.500s%s%.500s", words[call->kind],
           call->first, call->second[0] ? " -> " : "", call->second);
  if (shim.how == BEFORE) die();
  if (shim.how == FAIL) call->error = shim.error;
}

static void note(const struct call *call, int flags, int64_t offset, const void *data, int64_t length) {
  if (shim.log < 0) return;
  struct entry entry = {call->kind, (int32_t)strlen(call->first), (int32_t)strlen(call->second), flags, offset, length};
  struct iovec parts[] = {
      {&entry, sizeof entry},
      {(void *)call->first, (size_t)entry.first_length},
      {(void *)call->second, (size_t)entry.second_length},
      {(void *)data, data ? (size_t)length : 0},
  };
  if (syscall(SYS_writev, shim.log, parts, 4) < 0) abort();
}

static void leave(const struct call *call) {
  if (call->strikes && (shim.how == AFTER || shim.how == HALF)) die();
  pthread_mutex_unlock(&lock);
}

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}

/* One interposed call: `known` says whether it is ours and fills `call`; `body` is made, and noted if it worked. */
#define STRUCK(failed)                \
  if (call.error) {                   \
    int error = call.error;           \
    leave(&call);                     \
    errno = error;                    \
    return failed;                    \
  }
#define FINISH(result, worked, ...)   \
  do {                                \
    int kept = errno;                 \
    if (worked) note(&call, __VA_ARGS__); \
    leave(&call);                     \
    errno = kept;                     \
    return result;                    \
  } while (0)

static mode_t mode_of(int flags, va_list rest) {
  return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}

#define OPENS(name)                                                                    \
  int name(const char *path, int flags, ...) {                                         \
    va_list rest;                                                                      \
    va_start(rest, flags);                                                             \
    mode_t mode = mode_of(flags, rest);                                                \
    va_end(rest);                                                                      \
    struct call call = {.kind = OPEN};                                                 \
    if (!shim.armed || !(flags & (O_CREAT | O_TRUNC)) || !of_name(AT_FDCWD, path, call.first)) \
      return REAL(name)(path, flags, mode);                                            \
    enter(&call);                                                                      \
    STRUCK(-1);                                                                        \
    int result = REAL(name)(path, flags, mode);                                        \
    FINISH(result, result >= 0, flags, 0, NULL, 0);                                    \
  }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name)                                                                 \
  int name(int directory, const char *path, int flags, ...) {                          \
    va_list rest;                                                                      \
    va_start(rest, flags);                                                             \
    mode_t mode = mode_of(flags, rest);                                                \
    va_end(rest);                                                                      \
    struct call call = {.kind = OPEN};                                                 \
    if (!shim.armed || !(flags & (O_CREAT | O_TRUNC)) || !of_name(directory, path, call.first)) \
      return REAL(name)(directory, path, flags, mode);                                 \
    enter(&call);                                                                      \
    STRUCK(-1);                                                                        \
    int result = REAL(name)(directory, path, flags, mode);                             \
    FINISH(result, result >= 0, flags, 0, NULL, 0);                                    \
  }
OPENS_AT(openat)
OPENS_AT(openat64)

static size_t share(const struct call *call, size_t length) {
  return call->strikes && shim.how == HALF ? length / 2 : length;
}

ssize_t write(int descriptor, const void *data, size_t length) {
  struct call call = {.kind = WRITE};
  if (!shim.armed || !of_descriptor(descriptor, call.first)) return REAL(write)(descriptor, data, length);
  enter(&call);
  STRUCK(-1);
  ssize_t result = REAL(write)(descriptor, data, share(&call, length));
  /* Also right for O_APPEND: the offset stands behind what was written. */
  int64_t ends = lseek(descriptor, 0, SEEK_CUR);
  FINISH(result, result > 0, 0, ends - result, data, result);
}

#define PWRITES(name, offset_type)                                                     \
  ssize_t name(int descriptor, const void *data, size_t length, offset_type offset) {  \
    struct call call = {.kind = WRITE};                                                \
    if (!shim.armed || !of_descriptor(descriptor, call.first))                         \
      return REAL(name)(descriptor, data, length, offset);                             \
    enter(&call);                                                                      \
    STRUCK(-1);                                                                        \
    ssize_t result = REAL(name)(descriptor, data, share(&call, length), offset);       \
    FINISH(result, result > 0, 0, offset, data, result);                               \
  }
PWRITES(pwrite, off_t)
PWRITES(pwrite64, off64_t)

/* Gathered writes become one write of the first part: a short write is legal, and callers go on behind it. */
ssize_t writev(int descriptor, const struct iovec *parts, int count) {
  char relative[PATH_MAX];
  if (!shim.armed || count < 1 || !of_descriptor(descriptor, relative)) return REAL(writev)(descriptor, parts, count);
  return write(descriptor, parts[0].iov_base, parts[0].iov_len);
}
#define PWRITEVS(name, offset_type)                                                    \
  ssize_t name(int descriptor, const struct iovec *parts, int count, offset_type offset) { \
    char relative[PATH_MAX];                                                           \
    if (!shim.armed || count < 1 || !of_descriptor(descriptor, relative))              \
      return REAL(name)(descriptor, parts, count, offset);                             \
    return pwrite64(descriptor, parts[0].iov_base, parts[0].iov_len, offset);          \
  }
PWRITEVS(pwritev, off_t)
PWRITEVS(pwritev64, off64_t)

/* Copies inside the kernel cannot be seen here: callers fall back to reading and writing. */
ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t length, unsigned flags) {
  char relative[PATH_MAX];
  if (shim.armed && of_descriptor(to, relative)) {
    errno = EXDEV;
    return -1;
  }
  return REAL(copy_file_range)(from, from_offset, to, to_offset, length, flags);
}

#define ON_DESCRIPTOR(name, the_kind, failed, worked, flags, offset, length, values, ...) \
  int name(int descriptor, ##__VA_ARGS__) {                                            \
    struct call call = {.kind = the_kind};                                             \
    if (!shim.armed || !of_descriptor(descriptor, call.first)) return REAL(name) values; \
    enter(&call);                                                                      \
    STRUCK(failed);                                                                    \
    int result = REAL(name) values;                                                    \
    FINISH(result, worked, flags, offset, NULL, length);                               \
  }
ON_DESCRIPTOR(fsync, FSYNC, -1, result == 0, 0, 0, 0, (descriptor))
ON_DESCRIPTOR(fdatasync, FSYNC, -1, result == 0, 0, 0, 0, (descriptor))
ON_DESCRIPTOR(ftruncate, TRUNCATE, -1, result == 0, 0, 0, size, (descriptor, size), off_t size)
ON_DESCRIPTOR(ftruncate64, TRUNCATE, -1, result == 0, 0, 0, size, (descriptor, size), off64_t size)
ON_DESCRIPTOR(posix_fallocate, ALLOCATE, error, result == 0, 0, offset, size, (descriptor, offset, size), off_t offset, off_t size)
ON_DESCRIPTOR(posix_fallocate64, ALLOCATE, error, result == 0, 0, offset, size, (descriptor, offset, size), off64_t offset, off64_t size)
ON_DESCRIPTOR(fallocate, ALLOCATE, -1, result == 0, mode, offset, size, (descriptor, mode, offset, size), int mode, off_t offset, off_t size)
ON_DESCRIPTOR(fallocate64, ALLOCATE, -1, result == 0, mode, offset, size, (descriptor, mode, offset, size), int mode, off64_t offset, off64_t size)
ON_DESCRIPTOR(fchmod, CHMOD, -1, result == 0, 0, 0, 0, (descriptor, mode), mode_t mode)

/* Its own promise is weak (no metadata): it is counted, and never taken for durable. */
int sync_file_range(int descriptor, off64_t offset, off64_t size, unsigned flags) {
  struct call call = {.kind = FSYNC};
  if (!shim.armed || !of_descriptor(descriptor, call.first)) return REAL(sync_file_range)(descriptor, offset, size, flags);
  enter(&call);
  STRUCK(-1);
  int result = REAL(sync_file_range)(descriptor, offset, size, flags);
  FINISH(result, 0, 0, 0, NULL, 0);
}

#define ON_NAME(name, the_kind, directory, path, flags, values, ...)                   \
  int name(__VA_ARGS__) {                                                              \
    struct call call = {.kind = the_kind};                                             \
    if (!shim.armed || !of_name(directory, path, call.first)) return REAL(name) values; \
    enter(&call);                                                                      \
    STRUCK(-1);                                                                        \
    int result = REAL(name) values;                                                    \
    FINISH(result, result == 0, flags, 0, NULL, 0);                                    \
  }
ON_NAME(unlink, UNLINK, AT_FDCWD, path, 0, (path), const char *path)
ON_NAME(rmdir, UNLINK, AT_FDCWD, path, 0, (path), const char *path)
ON_NAME(unlinkat, UNLINK, directory, path, flags, (directory, path, flags), int directory, const char *path, int flags)
ON_NAME(mkdir, MKDIR, AT_FDCWD, path, 0, (path, mode), const char *path, mode_t mode)
ON_NAME(mkdirat, MKDIR, directory, path, 0, (directory, path, mode), int directory, const char *path, mode_t mode)
ON_NAME(chmod, CHMOD, AT_FDCWD, path, 0, (path, mode), const char *path, mode_t mode)
ON_NAME(fchmodat, CHMOD, directory, path, 0, (directory, path, mode, flags), int directory, const char *path, mode_t mode, int flags)

#define ON_NAMES(name, the_kind, from_directory, from, to_directory, to, flags, values, ...) \
  int name(__VA_ARGS__) {                                                              \
    struct call call = {.kind = the_kind};                                             \
    int ours = shim.armed && of_name(to_directory, to, call.second);                   \
    if (shim.armed) ours |= of_name(from_directory, from, call.first);                 \
    if (!ours) return REAL(name) values;                                               \
    enter(&call);                                                                      \
    STRUCK(-1);                                                                        \
    int result = REAL(name) values;                                                    \
    FINISH(result, result == 0, flags, 0, NULL, 0);                                    \
  }
ON_NAMES(rename, RENAME, AT_FDCWD, from, AT_FDCWD, to, 0, (from, to), const char *from, const char *to)
ON_NAMES(renameat, RENAME, from_directory, from, to_directory, to, 0, (from_directory, from, to_directory, to),
         int from_directory, const char *from, int to_directory, const char *to)
ON_NAMES(renameat2, RENAME, from_directory, from, to_directory, to, (int)flags, (from_directory, from, to_directory, to, flags),
         int from_directory, const char *from, int to_directory, const char *to, unsigned flags)
ON_NAMES(link, LINK, AT_FDCWD, from, AT_FDCWD, to, 0, (from, to), const char *from, const char *to)
ON_NAMES(linkat, LINK, from_directory, from, to_directory, to, flags, (from_directory, from, to_directory, to, flags),
         int from_directory, const char *from, int to_directory, const char *to, int flags)
