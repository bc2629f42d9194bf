// What a Go program takes for the global object. It is made for one program, holds only what Go's runtime and the libraries in the program
// ask for, and is reachable from nowhere else: two programs on a page do not see each other, and the page sees neither.

/** Takes what the program writes: `fd` 1 is standard output, 2 standard error. */
export type Output = (fd: number, bytes: Uint8Array) => void;

/** Runs a timer's callback; the engine uses it to notice a program that dies in one. */
export type Guard = (callback: () => void) => void;

/** A program's timers that have not gone off. */
export type Timers = Set<ReturnType<typeof setTimeout>>;

/** Makes the scope around the host object. `binding` is what the program fetches through, when it fetches. */
export function makeScope(host: object, output: Output, guard: Guard, binding: object = {}, timers: Timers = new Set()): object {
  const real = globalThis;
  const scope: Record<string, unknown> = {
    Object, Array, Promise, Error, Date, Uint8Array, Uint8ClampedArray, TextEncoder, TextDecoder,
    console: real.console,
    // These work only on the object they belong to, hence the closures.
    crypto: { getRandomValues: (bytes: Uint8Array<ArrayBuffer>) => real.crypto.getRandomValues(bytes) },
    performance: { now: () => real.performance.now() },
    setTimeout: (callback: () => void, delay: number) => {
      const timer = real.setTimeout(() => {
        timers.delete(timer);
        guard(callback);
      }, delay);
      timers.add(timer);
      return timer;
    },
    clearTimeout: (timer: ReturnType<typeof setTimeout>) => {
      timers.delete(timer);
      real.clearTimeout(timer);
    },
    fs: makeFileSystem(output),
    process: makeProcess(),
    path: { resolve: (...segments: string[]) => segments.join("/") },
    // syumai/workers reads context.binding before main starts.
    context: { binding },
    knownsenderHost: host,
  };
  for (const name of ["AbortController", "Headers", "ReadableStream", "Request", "Response"] as const) {
    if (name in real) scope[name] = real[name];
  }
  return scope;
}

function notThere(): Error {
  return Object.assign(new Error("not available in this scope"), { code: "ENOSYS" });
}

/** Standard output and standard error, and an error for everything else. */
function makeFileSystem(output: Output): object {
  const fs: Record<string, unknown> = {
    constants: { O_WRONLY: -1, O_RDWR: -1, O_CREAT: -1, O_TRUNC: -1, O_APPEND: -1, O_EXCL: -1, O_DIRECTORY: -1 },
    writeSync(fd: number, bytes: Uint8Array): number {
      output(fd, bytes);
      return bytes.length;
    },
    write(fd: number, bytes: Uint8Array, offset: number, length: number, position: number | null, done: (err: Error | null, n?: number) => void): void {
      if (position !== null) return done(notThere());
      output(fd, bytes.subarray(offset, offset + length));
      done(null, length);
    },
    fsync: (_fd: number, done: (err: null) => void) => done(null),
  };
  const refused = ["chmod", "chown", "close", "fchmod", "fchown", "fstat", "ftruncate", "lchown", "link", "lstat", "mkdir", "open", "read",
    "readdir", "readlink", "rename", "rmdir", "stat", "symlink", "truncate", "unlink", "utimes"];
  for (const name of refused) {
    fs[name] = (...args: unknown[]) => {
      const done = args.at(-1);
      if (typeof done === "function") done(notThere());
    };
  }
  return fs;
}

function makeProcess(): object {
  const none = (): number => -1;
  const refuse = (): never => {
    throw notThere();
  };
  return { getuid: none, getgid: none, geteuid: none, getegid: none, getgroups: refuse, pid: -1, ppid: -1, umask: refuse, cwd: refuse, chdir: refuse };
}
