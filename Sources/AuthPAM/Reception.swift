import CLinux
import Daemon
import Glibc
import Logging

/// The process that stays: it accepts connections, and has each served by a process of its own. It reads nothing that
/// comes from them, and a module that crashes, hangs or leaks does so elsewhere.
struct Reception {
    /// Milliseconds to wait where no connection can be accepted or no process started.
    private static let pause: Int32 = 100

    private let listener: Int32
    private let workers: Int
    private let stack: PAMStack
    private let sink: LogSink
    private let debug: Bool
    private var processes: Set<pid_t> = []
    private var resting = false

    /// A reception for one listening socket.
    init(listener: Int32, workers: Int, service: String, sink: LogSink, debug: Bool) {
        self.listener = listener
        self.workers = workers
        stack = PAMStack(service: service)
        self.sink = sink
        self.debug = debug
    }

    /// Serves until it is told to end, or whoever started it has ended.
    mutating func run(_ signals: SignalDescriptor) {
        let parent = linux_pidfd(getppid())
        while true {
            var waits = [
                pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: parent, events: Int16(POLLIN), revents: 0),
                pollfd(fd: processes.count < workers && !resting ? listener : -1, events: Int16(POLLIN), revents: 0),
            ]
            let found = poll(&waits, nfds_t(waits.count), resting ? Self.pause : -1)
            resting = false
            guard found > 0 else { continue }
            while let signal = signals.next() {
                switch signal {
                case SIGHUP: reopenLog()
                case SIGCHLD: reap()
                default: return end()
                }
            }
            if waits[1].revents != 0 { return end() }
            if waits[2].revents != 0 { accept(signals) }
        }
    }

    private mutating func accept(_ signals: SignalDescriptor) {
        let connection = linux_accept(listener, nil, nil)
        guard connection >= 0 else {
            let code = linux_errno()
            guard code != EAGAIN, code != ECONNABORTED, code != EINTR else { return }
            return rest("cannot accept a connection", code)
        }
        let process = linux_fork()
        if process == 0 {
            close(listener)
            close(signals.descriptor)
            Visit(connection: connection, stack: stack, sink: sink, debug: debug).serve()
        }
        let code = linux_errno()
        close(connection)
        guard process > 0 else { return rest("cannot start a process", code) }
        processes.insert(process)
    }

    /// Nothing gets better by trying at once.
    private mutating func rest(_ what: String, _ code: Int32) {
        sink.write(.error, "\(what): \(String(cString: strerror(code)))")
        resting = true
    }

    private mutating func reap() {
        var status: Int32 = 0
        while true {
            let process = waitpid(-1, &status, WNOHANG)
            guard process > 0 else { return }
            processes.remove(process)
            switch status & 0x7f {
            case 0: continue
            case SIGALRM: sink.write(.error, "an authentication took longer than \(Visit.patience) s and was given up")
            case let signal: sink.write(.error, "a module of PAM crashed: process \(process) ended by signal \(signal)")
            }
        }
    }

    private func end() {
        for process in processes { kill(process, SIGTERM) }
    }

    private func reopenLog() {
        do throws(DaemonError) {
            try sink.reopen()
        } catch {
            sink.write(.error, "\(error)")
        }
    }
}
