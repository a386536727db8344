/*
 * paas-init is the only program of ours that is ever executed inside a container: first as the stage that
 * makes namespaces, then as their process 1. It is C without a C library because there is one of it in every
 * container, and a container shall start in milliseconds: some 20 kB of memory, nothing to initialise.
 *
 * It knows nothing of what a container is. The daemon writes that down as a script (Go package
 * runtime/script, which has the same numbers): a list of system calls, and of the few built-ins below for
 * what needs a loop or a decision. The script comes as a memory file over the control socket.
 *
 *	daemon                          stage                       process 1                  app
 *	  | vfork, exec ----------------> |                            |                         |
 *	  | script: join, CLONE --------> | clone3 ------------------> |                         |
 *	  | <----------- READY, a pidfd   x                            |                         |
 *	  | script: mounts, pivot_root, SPAWN, SUPERVISE ------------> | fork, drop rights, exec |
 *	  | <--------------------------------------------- STARTED     |                         |
 *	  x may die                                                    | <---------- log, exit   x
 *
 * What came over the control socket is trusted: only the daemon has the other end. Nothing else is.
 */
#include <asm/unistd.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the kernel ---- */

#if !defined(__x86_64__)
#error "the system call convention below is that of x86-64"
#endif

static inline long call6(long n, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#define sys1(n, a) call6(n, (long)(a), 0, 0, 0, 0, 0)
#define sys2(n, a, b) call6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define sys3(n, a, b, c) call6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define sys4(n, a, b, c, d) call6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define sys5(n, a, b, c, d, e) call6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

enum {
	ENOENT_ = 2, EINTR_ = 4, EAGAIN_ = 11, EACCES_ = 13, ENOTDIR_ = 20, EINVAL_ = 22,
	EXDEV_ = 18, ENODEV_ = 19, ENAMETOOLONG_ = 36,
};

enum { O_WRONLY_ = 1, O_CREAT_ = 0100, O_EXCL_ = 0200, O_NOFOLLOW_ = 0400000, O_CLOEXEC_ = 02000000,
       O_PATH_ = 010000000, O_DIRECTORY_ = 0200000, O_NONBLOCK_ = 04000 };

enum { SIGHUP_ = 1, SIGKILL_ = 9, SIGTERM_ = 15, SIGCHLD_ = 17 };

struct iovec { void *base; size_t len; };
struct msghdr { void *name; uint32_t namelen; struct iovec *iov; size_t iovlen; void *control; size_t controllen; int flags; };
struct cmsghdr { size_t len; int level; int type; };
struct pollfd { int fd; short events; short revents; };
struct timespec { long sec; long nsec; };

_Noreturn static void quit(int status)
{
	for (;;)
		sys1(__NR_exit_group, status);
}

void *memcpy(void *to, const void *from, size_t n)
{
	char *t = to;
	const char *f = from;
	while (n--)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int c, size_t n)
{
	char *t = to;
	while (n--)
		*t++ = (char)c;
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	char *t = to;
	const char *f = from;
	if (t <= f)
		return memcpy(to, from, n);
	while (n--)
		t[n] = f[n];
	return to;
}

static size_t length(const char *s)
{
	size_t n = 0;
	while (s[n])
		n++;
	return n;
}

/* ---- messages to the daemon; struct message and the kinds are those of runtime/script/stage.go ---- */

enum { READY = 1, STARTED = 2, FAILED = 3, DESCRIPTOR = 4, EXITED = 5 };

#define CONTROL 3     /* the control socket */
#define MADE_MAX 4096 /* bytes of the list of mount points that were created */

struct message {
	uint32_t kind;
	int32_t a, b;
	char text[MADE_MAX];
};

static struct message outgoing;
static int channel = CONTROL; /* whom this process answers: the daemon, or who asked for a command */
static char *made = outgoing.text;

static void tell(uint32_t kind, int a, int b, int fd, size_t text)
{
	struct { struct cmsghdr h; int fd; } control = { { sizeof(struct cmsghdr) + sizeof(int), 1 /* SOL_SOCKET */, 1 /* SCM_RIGHTS */ }, fd };
	struct iovec iov = { &outgoing, offsetof(struct message, text) + text };
	struct msghdr m = { 0, 0, &iov, 1, 0, 0, 0 };
	outgoing.kind = kind;
	outgoing.a = a;
	outgoing.b = b;
	if (fd >= 0) {
		m.control = &control;
		m.controllen = sizeof control;
	}
	while (sys3(__NR_sendmsg, channel, &m, 0x4000 /* MSG_NOSIGNAL */) == -EINTR_)
		;
}

/* ---- scripts ---- */

#define SLOTS 512
#define START_BASE ((char *)0x1000000000) /* where the script of the container is mapped */
#define BESIDE_BASE ((char *)0x2000000000) /* where that of a command beside the app is */
#define MAGIC 0x317470726373636fULL

struct op {
	uint32_t call;  /* number of a system call, or BUILTIN + one of the below */
	uint16_t flags;
	uint8_t slots;  /* bit n: argument n is the number of a slot */
	uint8_t unused;
	int32_t out;    /* slot for the result, or -1 */
	uint32_t unused2;
	uint64_t args[6];
};

struct script {
	uint64_t magic;
	uint64_t ops; /* offset of the first one */
	uint32_t count;
	uint32_t rights; /* first op of the app's rights, in the script of a container */
	uint32_t rights_count;
	uint32_t unused;
	uint64_t env; /* the app's environment, char ** */
};

enum { MAY_FAIL = 1 }; /* flags: an error is no end; it is the slot's value */

enum {
	BUILTIN = 0x10000,
	OPEN = BUILTIN, /* root, path, flags, resolve: a path in that root, whatever it holds */
	OPEN_DIR,       /* root, path, resolve: likewise, making what is missing */
	OPEN_FILE,      /* root, path: likewise */
	CHECK_DEVICE,   /* fd, dev: it is that character device */
	IS_DIR,         /* fd: 1 or 0 */
	IS_FILE,        /* fd: 1 or 0 */
	UNLESS_ABSENT,  /* value: an error other than ENOENT is one */
	SKIP_IF_NEGATIVE, /* value, n */
	SKIP_IF_ZERO,     /* value, n */
	SKIP_UNLESS_NEGATIVE, /* value, n */
	SEND,           /* fd: to whoever gave the script */
	CLONE,          /* flags: go on as the child, which waits for its script */
	SPAWN,          /* n: the next n ops are the child's; its pid */
	INSIDE,         /* the working directory is below the root */
	RIGHTS,         /* the ops that gave the app its rights */
	EXEC,           /* argv, env (0: the app's), extra env or 0, search path or 0 */
	SUPERVISE,      /* struct supervision */
	TELL_STARTED,
};

static long slots[SLOTS];
static const struct script *container; /* the script this process 1 was made by */

static long open_in(int root, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { flags | O_CLOEXEC_, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve };
	/* EAGAIN: something was mounted or renamed anywhere on the machine while the kernel followed a "..", so it
	 * cannot tell whether that led out (openat2(2)). Hosts that start many containers do that a lot. */
	for (int tries = 0; tries < 10000; tries++) {
		long fd = sys4(__NR_openat2, root, path, &how, sizeof how);
		if (fd != -EAGAIN_ && fd != -EINTR_)
			return fd;
	}
	return -EAGAIN_;
}

static void note_made(const char *path)
{
	size_t n = length(path) + 1;
	if (made + n > outgoing.text + sizeof outgoing.text)
		return;
	memcpy(made, path, n);
	made += n;
}

/* cut_parent copies all but the last part of an absolute path and returns that part. */
static const char *cut_parent(const char *path, char *parent, size_t size)
{
	size_t slash = 0, n = length(path);
	if (n >= size)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (path[i] == '/')
			slash = i;
	memcpy(parent, path, slash);
	parent[slash] = 0;
	if (slash == 0)
		memcpy(parent, "/", 2);
	return path + slash + 1;
}

#define PATH_MAX_ 4096

static long open_dir(int root, const char *path, uint64_t resolve)
{
	char parent[PATH_MAX_];
	const char *name;
	long dir, err, fd = open_in(root, path, O_PATH_ | O_DIRECTORY_, resolve);
	if (fd != -ENOENT_)
		return fd;
	if (!(name = cut_parent(path, parent, sizeof parent)))
		return -ENAMETOOLONG_;
	if ((dir = open_dir(root, parent, resolve)) < 0)
		return dir;
	err = sys3(__NR_mkdirat, dir, name, 0755);
	sys1(__NR_close, dir);
	if (err < 0)
		return err;
	note_made(path);
	return open_in(root, path, O_PATH_ | O_DIRECTORY_, resolve);
}

/* A symlink that leads nowhere is replaced: images ship /etc/resolv.conf as one. */
static long open_file(int root, const char *path)
{
	char parent[PATH_MAX_];
	const char *name;
	long dir, file, fd = open_in(root, path, O_PATH_, 0);
	if (fd != -ENOENT_)
		return fd;
	if (!(name = cut_parent(path, parent, sizeof parent)))
		return -ENAMETOOLONG_;
	if ((dir = open_dir(root, parent, 0)) < 0)
		return dir;
	sys3(__NR_unlinkat, dir, name, 0);
	file = sys4(__NR_openat, dir, name, O_CREAT_ | O_EXCL_ | O_NOFOLLOW_ | O_WRONLY_ | O_CLOEXEC_, 0644);
	sys1(__NR_close, dir);
	if (file < 0)
		return file;
	sys1(__NR_close, file);
	note_made(path);
	return open_in(root, path, O_PATH_, 0);
}

/* The parts of struct stat of x86-64 that count here. */
struct stat { uint64_t dev, ino, nlink; uint32_t mode, uid, gid, pad; uint64_t rdev, rest[13]; };

static long check_device(int fd, uint64_t dev)
{
	struct stat st;
	long err = sys2(__NR_fstat, fd, &st);
	if (err < 0)
		return err;
	return (st.mode & 0170000) == 0020000 && st.rdev == dev ? 0 : -ENODEV_;
}

static long is_dir(int fd)
{
	struct stat st;
	long err = sys2(__NR_fstat, fd, &st);
	return err < 0 ? err : (st.mode & 0170000) == 0040000;
}

static long not(long v)
{
	return v < 0 ? v : !v;
}

/* The kernel says "(unreachable)…" for a directory outside of the root (getcwd(2)). Magic links of /proc
 * lead out of a container (CVE-2024-21626). */
static long inside(void)
{
	static char cwd[PATH_MAX_];
	long n = sys2(__NR_getcwd, cwd, sizeof cwd);
	if (n < 0)
		return n;
	if (cwd[0] != '/')
		return -EXDEV_;
	for (const char *p = cwd, *q = "/proc/";; p++, q++) {
		if (!*q)
			return -EXDEV_;
		if (*p != *q)
			return 0;
	}
}

/* struct clone_args (clone3(2)) up to the size of its first version. */
struct clone_args { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls; };

#define CLONE_PARENT_ 0x8000
#define CLONE_PIDFD_ 0x1000

/* The child of a stage is the daemon's child, so that the daemon gets its status and the stage can go. */
static long clone_on(uint64_t flags)
{
	int pidfd = -1;
	struct clone_args args = { flags | CLONE_PARENT_ | CLONE_PIDFD_, (uint64_t)&pidfd, 0, 0, 0, 0, 0, 0 };
	long pid = sys2(__NR_clone3, &args, sizeof args);
	if (pid > 0) {
		tell(READY, (int)pid, 0, pidfd, 0);
		quit(0);
	}
	return pid;
}

static void run(const struct script *s, uint32_t first, uint32_t count);

/* search tries a program in each directory of the path, like execvp(3), with the rights of the app. */
static long search(const char *name, char **argv, char **env, const char *path)
{
	static char full[PATH_MAX_];
	long err, worst = -ENOENT_;
	for (const char *p = name; *p; p++)
		if (*p == '/')
			return sys3(__NR_execve, name, argv, env);
	for (size_t n = length(name); path && *path; path += *path == ':') {
		size_t d = 0;
		for (; *path && *path != ':'; path++)
			if (d + n + 2 < sizeof full)
				full[d++] = *path;
		full[d++] = '/';
		memcpy(full + d, name, n + 1);
		err = sys3(__NR_execve, full, argv, env);
		if (err == -EACCES_)
			worst = err;
		else if (err != -ENOENT_ && err != -ENOTDIR_)
			return err;
	}
	return worst;
}

static int same_key(const char *a, const char *b)
{
	while (*a && *a == *b && *a != '=')
		a++, b++;
	return *a == '=' && *b == '=';
}

/* merge gives a command beside the app the app's environment with some variables replaced. */
static char **merge(char **env, char **extra)
{
	static char *merged[4096];
	size_t n = 0;
	if (!extra)
		return env;
	for (char **e = extra; *e && n < 4095; e++)
		merged[n++] = *e;
	for (char **v = env; *v && n < 4095; v++) {
		char **e = extra;
		while (*e && !same_key(*e, *v))
			e++;
		if (!*e)
			merged[n++] = *v;
	}
	merged[n] = 0;
	return merged;
}

static const char *value_of(char **env, const char *key)
{
	for (; *env; env++)
		if (same_key(*env, key))
			return *env + length(key);
	return 0;
}

static long execute(char **argv, char **env, char **extra, const char *path)
{
	uint64_t none = 0;
	sys4(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &none, 0, 8);
	env = merge(env ? env : (char **)container->env, extra);
	if (!path)
		path = value_of(env, "PATH=");
	return search(argv[0], argv, env, path);
}

/* spawn forks the app. Its error comes back through a pipe that a successful execve(2) closes. */
static long spawn(const struct script *s, uint32_t first, uint32_t count)
{
	int p[2], failed[2] = { 0, 0 };
	long pid, n, err = sys2(__NR_pipe2, p, O_CLOEXEC_);
	if (err < 0)
		return err;
	pid = sys5(__NR_clone, SIGCHLD_, 0, 0, 0, 0);
	if (pid == 0) {
		channel = -p[1];
		run(s, first, count);
		quit(127);
	}
	sys1(__NR_close, p[1]);
	do
		n = pid < 0 ? 0 : sys3(__NR_read, p[0], failed, sizeof failed);
	while (n == -EINTR_);
	sys1(__NR_close, p[0]);
	if (n == sizeof failed) {
		tell(FAILED, failed[0], failed[1], -1, 0);
		quit(1);
	}
	return pid;
}

/* fail says which op failed and why, and ends. */
_Noreturn static void fail(int op, int err)
{
	int failed[2] = { op, err };
	if (channel < 0)
		sys3(__NR_write, -channel, failed, sizeof failed);
	else
		tell(FAILED, op, err, -1, 0);
	quit(1);
}

_Noreturn static void supervise(const uint64_t *args);

static long builtin(const struct script *s, uint32_t at, const struct op *op, const long *a)
{
	switch (op->call) {
	case OPEN: return open_in((int)a[0], (char *)a[1], (uint64_t)a[2], (uint64_t)a[3]);
	case OPEN_DIR: return open_dir((int)a[0], (char *)a[1], (uint64_t)a[2]);
	case OPEN_FILE: return open_file((int)a[0], (char *)a[1]);
	case CHECK_DEVICE: return check_device((int)a[0], (uint64_t)a[1]);
	case IS_DIR: return is_dir((int)a[0]);
	case IS_FILE: return not(is_dir((int)a[0]));
	case UNLESS_ABSENT: return a[0] < 0 && a[0] != -ENOENT_ ? a[0] : 0;
	case SEND: tell(DESCRIPTOR, 0, 0, (int)a[0], 0); return 0;
	case CLONE: return clone_on((uint64_t)a[0]);
	case SPAWN: return spawn(s, at + 1, (uint32_t)a[0]);
	case INSIDE: return inside();
	case RIGHTS: run(container, container->rights, container->rights_count); return 0;
	case EXEC: return execute((char **)a[0], (char **)a[1], (char **)a[2], (char *)a[3]);
	case SUPERVISE: container = s; supervise((const uint64_t *)a);
	case TELL_STARTED: tell(STARTED, (int)a[0], 0, -1, (size_t)(made - outgoing.text)); return 0;
	}
	return -EINVAL_;
}

/* skip is how many ops are passed over after this one. */
static uint32_t skip(const struct op *op, const long *a)
{
	switch (op->call) {
	case SPAWN: return (uint32_t)a[0];
	case SKIP_IF_NEGATIVE: return a[0] < 0 ? (uint32_t)a[1] : 0;
	case SKIP_IF_ZERO: return a[0] == 0 ? (uint32_t)a[1] : 0;
	case SKIP_UNLESS_NEGATIVE: return a[0] >= 0 ? (uint32_t)a[1] : 0;
	}
	return 0;
}

static void run(const struct script *s, uint32_t first, uint32_t count)
{
	const struct op *ops = (const struct op *)((const char *)s + s->ops);
	for (uint32_t i = first; i < first + count; i++) {
		const struct op *op = &ops[i];
		long a[6], result = 0;
		for (int n = 0; n < 6; n++)
			a[n] = op->slots & (1 << n) ? slots[op->args[n] % SLOTS] : (long)op->args[n];
		if (op->call < BUILTIN)
			do
				result = call6(op->call, a[0], a[1], a[2], a[3], a[4], a[5]);
			while (result == -EINTR_);
		else if (op->call < SKIP_IF_NEGATIVE || op->call > SKIP_UNLESS_NEGATIVE)
			result = builtin(s, i, op, a);
		if (result < 0 && result > -4096 && !(op->flags & MAY_FAIL))
			fail((int)i, (int)-result);
		if (op->out >= 0)
			slots[op->out % SLOTS] = result;
		i += skip(op, a);
	}
}

/* ---- the control socket ---- */

static size_t script_size; /* of the script received last, bytes */

/* receive takes the next script, with its descriptors as the first slots, and maps it. */
static const struct script *receive(int socket, char *base)
{
	static struct { struct cmsghdr h; int fds[253]; } control; /* SCM_MAX_FD */
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { 0, 0, &iov, 1, &control, sizeof control, 0 };
	struct stat st;
	const struct script *s;
	long n, count;
	do
		n = sys3(__NR_recvmsg, socket, &m, 0x40000000 /* MSG_CMSG_CLOEXEC */);
	while (n == -EINTR_);
	if (n <= 0 || m.controllen < sizeof(struct cmsghdr) + sizeof(int))
		return 0;
	count = (long)(control.h.len - sizeof(struct cmsghdr)) / (long)sizeof(int);
	for (long i = 1; i < count; i++)
		slots[i - 1] = control.fds[i];
	if (sys2(__NR_fstat, control.fds[0], &st) < 0)
		return 0;
	script_size = st.rest[0]; /* st_size */
	s = (const struct script *)call6(__NR_mmap, (long)base, (long)script_size, 3 /* read, write */,
					 2 | 0x100000 /* private, at this address and no other */, control.fds[0], 0);
	sys1(__NR_close, control.fds[0]);
	return (const char *)s == base && s->magic == MAGIC ? s : 0;
}

/* ---- process 1 ---- */

/* The arguments of SUPERVISE: pid, signal, flag, descriptors, struct output. */
enum { APP, STOP_SIGNAL, TETHERED, STATUS, LISTENER, LOG };

/* What LOG points to: slots of the two pipes to read from and of the two segment files. */
struct output { int32_t pipe[2], segment[2]; uint64_t limit; };

/* The form of the segments is described in package runtime/ring. */
#define LINE_MAX 16384 /* bytes of one record's text */
#define HEADER 24
#define PREFIX 13

static struct {
	int file[2], at;
	uint64_t sequence, size, limit, lines; /* lines: of all segments, those that found no room included */
	size_t have;
	char buffer[2 * (PREFIX + LINE_MAX)];
} ring;

static struct { int fd; size_t have; char text[LINE_MAX]; } streams[2];

/* flush_ring writes what is buffered. What the disk does not take is dropped: an app must not hang because
 * its log has no room. A record that was cut off is written over. */
static void flush_ring(void)
{
	long n = ring.have ? sys4(__NR_pwrite64, ring.file[ring.at], ring.buffer, ring.have, ring.size) : 0;
	size_t whole = 0;
	for (uint32_t size; (long)(whole + PREFIX) <= n; whole += 4 + size) {
		memcpy(&size, ring.buffer + whole, 4);
		if ((long)(whole + 4 + size) > n)
			break;
	}
	ring.size += whole;
	ring.have = 0;
}

/* turn_ring makes the other segment the current one and empties it. */
static void turn_ring(void)
{
	char header[HEADER] = "paasrin2";
	flush_ring();
	ring.at = 1 - ring.at;
	ring.sequence++;
	memcpy(header + 8, &ring.sequence, 8);
	memcpy(header + 16, &ring.lines, 8);
	sys2(__NR_ftruncate, ring.file[ring.at], 0);
	sys4(__NR_pwrite64, ring.file[ring.at], header, HEADER, 0);
	ring.size = HEADER;
}

static void append(char stream, const char *text, size_t n, int64_t at)
{
	uint32_t size = (uint32_t)(n + 9);
	char *p;
	if (ring.size + ring.have + PREFIX + n > ring.limit)
		turn_ring();
	else if (ring.have + PREFIX + n > sizeof ring.buffer)
		flush_ring();
	p = ring.buffer + ring.have;
	memcpy(p, &size, 4);
	memcpy(p + 4, &at, 8);
	p[12] = stream;
	memcpy(p + PREFIX, text, n);
	ring.have += PREFIX + n;
	ring.lines++;
}

static int64_t now(void)
{
	struct timespec t = { 0, 0 };
	sys2(__NR_clock_gettime, 0 /* CLOCK_REALTIME */, &t);
	return t.sec * 1000000000L + t.nsec;
}

/* cut_lines turns what a stream has into records; a line without its end stays until it is full or, at
 * the end of the stream, all there is. */
static void cut_lines(int i, int all)
{
	size_t start = 0;
	int64_t at = now();
	for (size_t n = 0; n < streams[i].have; n++)
		if (streams[i].text[n] == '\n') {
			append((char)(i + 1), streams[i].text + start, n - start, at);
			start = n + 1;
		}
	streams[i].have -= start;
	memmove(streams[i].text, streams[i].text + start, streams[i].have);
	if (streams[i].have == LINE_MAX || (all && streams[i].have)) {
		append((char)(i + 1), streams[i].text, streams[i].have, at);
		streams[i].have = 0;
	}
	flush_ring();
}

/* pump moves output into the log. It returns 0 when there is none for now. */
static int pump(int i)
{
	long n = sys3(__NR_read, streams[i].fd, streams[i].text + streams[i].have, LINE_MAX - streams[i].have);
	if (n == -EINTR_)
		return 1;
	if (n == -EAGAIN_)
		return 0;
	if (n > 0)
		streams[i].have += (size_t)n;
	cut_lines(i, n <= 0);
	if (n > 0)
		return 1;
	sys1(__NR_close, streams[i].fd);
	streams[i].fd = -1;
	return 0;
}

static void open_log(const struct output *o)
{
	streams[0].fd = streams[1].fd = -1;
	if (!o)
		return;
	for (int i = 0; i < 2; i++) {
		streams[i].fd = (int)slots[o->pipe[i]];
		ring.file[i] = (int)slots[o->segment[i]];
		sys3(__NR_fcntl, streams[i].fd, 4 /* F_SETFL */, O_NONBLOCK_);
	}
	ring.limit = o->limit;
	ring.at = 1;
	turn_ring();
}

/* Commands beside the app. */
#define COMMANDS_MAX 128

static struct { int socket; int pid; } commands[COMMANDS_MAX]; /* pid 0: its script has not come yet */
static int command_count;

static void drop_command(int i)
{
	sys1(__NR_close, commands[i].socket);
	commands[i] = commands[--command_count];
}

static void accept_command(int listener)
{
	long fd = sys4(__NR_accept4, listener, 0, 0, O_CLOEXEC_);
	if (fd < 0)
		return;
	if (command_count == COMMANDS_MAX) {
		sys1(__NR_close, fd);
		return;
	}
	commands[command_count].socket = (int)fd;
	commands[command_count++].pid = 0;
}

/* start_command runs the script of a command in a child. It ends like a command that cannot start. */
static int start_command(int i)
{
	const struct script *s;
	int pid;
	for (int n = 0; n < SLOTS; n++)
		slots[n] = -1;
	if (!(s = receive(commands[i].socket, BESIDE_BASE)))
		return 0;
	pid = (int)sys5(__NR_clone, SIGCHLD_, 0, 0, 0, 0);
	if (pid == 0) {
		channel = commands[i].socket;
		run(s, 0, s->count);
		quit(127);
	}
	sys2(__NR_munmap, s, script_size);
	for (int n = 0; n < SLOTS && slots[n] >= 0; n++)
		sys1(__NR_close, slots[n]);
	commands[i].pid = pid;
	return pid > 0;
}

/* hear_command takes a script first, then signals to pass on; without its caller a command is killed. */
static void hear_command(int i)
{
	unsigned char signal;
	if (!commands[i].pid) {
		if (!start_command(i))
			drop_command(i);
		return;
	}
	if (sys3(__NR_read, commands[i].socket, &signal, 1) == 1) {
		sys2(__NR_kill, -commands[i].pid, signal);
		return;
	}
	sys2(__NR_kill, -commands[i].pid, SIGKILL_);
	drop_command(i);
}

struct ending { int pid, code, signal; };

/* wait_one reaps a child: 1, nothing to reap now: 0, no children: -1. Codes follow the shell. */
static int wait_one(struct ending *e, int options)
{
	int status = 0;
	long pid;
	do
		pid = sys4(__NR_wait4, -1, &status, options, 0);
	while (pid == -EINTR_);
	if (pid <= 0)
		return pid ? -1 : 0;
	e->pid = (int)pid;
	e->signal = status & 0x7f;
	e->code = e->signal ? 128 + e->signal : (status >> 8) & 0xff;
	return 1;
}

static void end_command(const struct ending *e)
{
	for (int i = 0; i < command_count; i++)
		if (commands[i].pid == e->pid) {
			channel = commands[i].socket;
			tell(EXITED, e->code, e->signal, -1, 0);
			drop_command(i);
			return;
		}
}

/* reap returns 1 when the app is among those that ended. */
static int reap(int app, struct ending *last)
{
	struct ending e;
	while (wait_one(&e, 1 /* WNOHANG */) > 0) {
		if (e.pid == app) {
			*last = e;
			return 1;
		}
		end_command(&e);
	}
	return 0;
}

static char *put_number(char *p, int64_t n)
{
	char digits[20];
	int i = 0;
	do
		digits[i++] = (char)('0' + n % 10);
	while (n /= 10);
	while (i)
		*p++ = digits[--i];
	return p;
}

/* write_status leaves the app's end for whoever watches then: "code signal nanoseconds". */
static void write_status(int fd, const struct ending *e, int64_t at)
{
	char text[64], *p = put_number(text, e->code);
	*p++ = ' ';
	p = put_number(p, e->signal);
	*p++ = ' ';
	p = put_number(p, at);
	*p++ = '\n';
	sys4(__NR_pwrite64, fd, text, p - text, 0);
}

/* The signals that process 1 takes; the kernel shields it from all others that come from inside. */
#define TAKEN (1UL << (SIGCHLD_ - 1) | 1UL << (SIGTERM_ - 1) | 1UL << (SIGHUP_ - 1))

static int open_signals(void)
{
	uint64_t taken = TAKEN;
	return (int)sys4(__NR_signalfd4, -1, &taken, 8, O_CLOEXEC_ | O_NONBLOCK_);
}

/* pass_on gives SIGTERM (as the stop signal) and SIGHUP to the app's process group. */
static void pass_on(int signals, int app, int stop)
{
	struct { uint32_t number; char rest[124]; } s;
	while (sys3(__NR_read, signals, &s, sizeof s) == sizeof s)
		if (s.number != SIGCHLD_)
			sys2(__NR_kill, -app, s.number == SIGTERM_ ? stop : SIGHUP_);
}

/* hear_daemon passes a signal on that the daemon sent as a byte to the app's process group; 0: the daemon is
 * gone. */
static int hear_daemon(int app)
{
	unsigned char signal;
	if (sys3(__NR_read, CONTROL, &signal, 1) != 1)
		return 0;
	sys2(__NR_kill, -app, signal);
	return 1;
}

enum { POLLIN_ = 1, SIGNALS = 0, DAEMON, NEWCOMER, OUTPUT, FIRST_COMMAND = OUTPUT + 2 };

static void watch(struct pollfd *p, int fd)
{
	p->fd = fd; /* the kernel passes over negative ones */
	p->events = POLLIN_;
	p->revents = 0;
}

/* finish ends everything else, keeps the last words and says how the app ended. Who has lost its parent is a
 * child of ours, so without children there is nobody: the kernel looks at every process of the host to find out. */
_Noreturn static void finish(int status, const struct ending *e)
{
	struct ending other;
	int64_t at = now();
	while (wait_one(&other, 1 /* WNOHANG */) >= 0) {
		sys2(__NR_kill, -1, SIGKILL_);
		wait_one(&other, 0);
	}
	for (int i = 0; i < 2; i++)
		while (streams[i].fd >= 0 && pump(i))
			;
	write_status(status, e, at);
	quit(0);
}

_Noreturn static void supervise(const uint64_t *args)
{
	struct pollfd polled[FIRST_COMMAND + COMMANDS_MAX];
	struct ending last;
	int app = (int)args[APP], signals = open_signals();
	open_log((const struct output *)args[LOG]);
	if (!args[TETHERED])
		sys1(__NR_close, CONTROL);
	for (;;) {
		int listening;
		if (reap(app, &last))
			finish((int)args[STATUS], &last);
		listening = command_count;
		watch(&polled[SIGNALS], signals);
		watch(&polled[DAEMON], args[TETHERED] ? CONTROL : -1);
		watch(&polled[NEWCOMER], (int)args[LISTENER]);
		for (int i = 0; i < 2; i++)
			watch(&polled[OUTPUT + i], streams[i].fd);
		for (int i = 0; i < listening; i++)
			watch(&polled[FIRST_COMMAND + i], commands[i].socket);
		if (sys5(__NR_ppoll, polled, FIRST_COMMAND + listening, 0, 0, 0) < 0)
			continue;
		if (polled[DAEMON].revents && !hear_daemon(app))
			quit(1);
		pass_on(signals, app, (int)args[STOP_SIGNAL]);
		for (int i = 0; i < 2; i++)
			if (polled[OUTPUT + i].revents)
				pump(i);
		for (int i = listening - 1; i >= 0; i--) /* dropping one moves the last into its place */
			if (polled[FIRST_COMMAND + i].revents)
				hear_command(i);
		if (polled[NEWCOMER].revents)
			accept_command((int)args[LISTENER]);
	}
}

/* harden comes before anything else: from here on nobody but the host's root may look at this process, and
 * nothing that was inherited by accident is open. */
static void harden(void)
{
	struct { uint64_t handler, flags, restorer, mask; } standard = { 0, 0, 0, 0 };
	uint64_t taken = TAKEN;
	sys2(__NR_prctl, 4 /* PR_SET_DUMPABLE */, 0);
	sys2(__NR_prctl, 15 /* PR_SET_NAME */, "paas-init"); /* or it had the number of a descriptor */
	sys3(__NR_close_range, CONTROL + 1, ~0U, 0);
	sys1(__NR_umask, 022);
	for (int n = 1; n < 32; n++)
		sys4(__NR_rt_sigaction, n, &standard, 0, 8);
	sys4(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &taken, 0, 8); /* what comes early waits */
}

_Noreturn __attribute__((used)) static void begin(void)
{
	const struct script *s;
	harden();
	while ((s = receive(CONTROL, START_BASE)))
		run(s, 0, s->count), sys2(__NR_munmap, s, script_size);
	quit(1); /* the daemon is gone, or somebody else executed this */
}

/* The kernel starts a program with the stack aligned to 16 bytes and without a return address. */
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tcall begin\n");
