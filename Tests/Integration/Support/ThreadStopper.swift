import Glibc

/// Stops one thread of a process, as a tracer does; signals can only stop all of them. Needs root.
final class ThreadStopper {
    private let process: ChildProcess
    private let directory: TemporaryDirectory

    /// PTRACE_SEIZE and PTRACE_INTERRUPT: the thread stands until the tracer ends.
    private static let script = """
        import ctypes, os, sys, time
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        thread = int(sys.argv[1])
        for request in (0x4206, 0x4207):
            if libc.ptrace(request, thread, None, None) != 0: sys.exit(os.strerror(ctypes.get_errno()))
        os.waitpid(thread, 0x40000000)
        print("stopped", flush=True)
        time.sleep(120)
        """

    init(thread: pid_t) throws {
        directory = try TemporaryDirectory()
        process = try ChildProcess(
            Programs.debian("python3"), ["-c", Self.script, "\(thread)"], log: directory.file("log"))
        _ = try process.logLine { $0 == "stopped" }
    }

    /// Lets it go on.
    func release() {
        process.signal(SIGKILL)
        process.end()
    }
}
