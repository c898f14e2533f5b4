internal import CLinux
internal import Glibc

/// A daemon on its way into the background. Whoever started it waits until it says ``ready()``, and hears of errors
/// until then: on its standard error, and in the exit status.
public struct Background: ~Copyable {
    private let report: Int32

    /// Forks. The call returns in the daemon only, which has a session of its own; the starter stays until the daemon
    /// is ready (exit 0) or has ended (the daemon's exit status).
    ///
    /// To be called before there are threads.
    /// - Throws: when the system has no room for another process.
    public static func enter() throws(DaemonError) -> Background {
        var ends: [Int32] = [-1, -1]
        guard linux_pipe(&ends) == 0 else { throw DaemonError("Could not detach: pipe", code: linux_errno()) }
        // What is still buffered must be written once, not by both.
        fflush(nil)
        let pid = linux_fork()
        guard pid >= 0 else {
            let code = linux_errno()
            ends.forEach { close($0) }
            throw DaemonError("Could not detach: fork", code: code)
        }
        if pid > 0 {
            close(ends[1])
            _exit(wait(for: pid, report: ends[0]))
        }
        close(ends[0])
        setsid()
        return Background(report: ends[1])
    }

    /// Lets the starter go, and with it the terminal and the directory the daemon was started in.
    public consuming func ready() {
        Self.releaseTerminal()
        _ = chdir("/")
        var byte = Self.isReady
        while write(report, &byte, 1) < 0, linux_errno() == EINTR {}
    }

    /// Puts /dev/null in the place of standard input, output and error. Processes that a daemon started before it was
    /// ready call it, too: whoever waits for the end of the starter's output would else wait for theirs.
    public static func releaseTerminal() {
        let null = linux_open("/dev/null", O_RDWR | O_CLOEXEC, 0)
        if null >= 0 {
            for descriptor: Int32 in 0...2 { dup2(null, descriptor) }
            if null > 2 { close(null) }
        }
    }

    /// Opens /dev/null wherever standard input, output or error is closed. Else the next socket takes its number, and
    /// the log's lines, or falls to ``releaseTerminal()``. The first thing a program does.
    public static func fillStandardStreams() {
        // The lowest free number is given, so the first one above 2 says that all are taken.
        var opened = linux_open("/dev/null", O_RDWR, 0)
        while opened >= 0, opened <= 2 { opened = linux_open("/dev/null", O_RDWR, 0) }
        if opened > 2 { close(opened) }
    }

    private static let isReady: UInt8 = 1

    private init(report: Int32) { self.report = report }

    deinit { close(report) }

    /// The exit status for the starter.
    private static func wait(for pid: pid_t, report: Int32) -> Int32 {
        var byte: UInt8 = 0
        var count: Int
        repeat { count = read(report, &byte, 1) } while count < 0 && linux_errno() == EINTR
        if count == 1, byte == isReady { return 0 }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 {
            guard linux_errno() == EINTR else { return 255 }
        }
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : 128 + signal
    }
}
