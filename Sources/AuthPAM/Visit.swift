import Authentication
import CLinux
import Daemon
import Glibc
import Logging

/// One request, in a process of its own.
struct Visit {
    /// Seconds the process may take in all: as long as the proxy waits. A module that hangs is not waited for.
    static let patience: UInt32 = 60

    /// The connection of the proxy.
    let connection: Int32
    /// The service of PAM.
    let stack: PAMStack
    /// Where the process says what it found.
    let sink: LogSink
    /// Whether it says so for what is in order, too.
    let debug: Bool

    /// Reads the request, answers it and ends the process.
    func serve() -> Never {
        // Modules wait for processes of their own and expect signals as every program has them. And what Swift prints of
        // a crash, registers and the memory they point to, could hold a password.
        for number in 1..<Int32(SIGSYS + 1) { signal(number, SIG_DFL) }
        var none = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, nil)
        alarm(Self.patience)
        _ = linux_fcntl(connection, F_SETFL, linux_fcntl(connection, F_GETFL, 0) & ~O_NONBLOCK)
        if let verdict = verdict() {
            let answer = verdict.encoded
            answer.withUnsafeBytes { _ = linux_send(connection, $0.baseAddress, $0.count) }
        }
        _exit(0)
    }

    /// The answer; nil where there is no request.
    private func verdict() -> AuthenticationVerdict? {
        let room = SecretRoom(size: AuthenticationRequest.limit)
        while true {
            switch AuthenticationRequest.parse(room.bytes) {
            case .incomplete: guard room.read(from: connection) > 0 else { return nil }
            case .malformed:
                sink.write(.error, "a request cannot be understood")
                return .unavailable("the request cannot be understood")
            case .complete(let fields): return proxyHasGone ? nil : judge(room, fields)
            }
        }
    }

    /// A request that waited too long in the queue needs no answer any more.
    private var proxyHasGone: Bool {
        var byte: UInt8 = 0
        return recv(connection, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT)) == 0
    }

    private func judge(_ room: SecretRoom, _ fields: AuthenticationRequest.Fields) -> AuthenticationVerdict {
        for field in [fields.user, fields.client, fields.password] { room.endText(at: field.upperBound) }
        let user = room.text(at: fields.user.lowerBound)
        let outcome = stack.check(
            user: user, client: room.text(at: fields.client.lowerBound),
            password: room.text(at: fields.password.lowerBound))
        switch outcome.verdict {
        case .accepted: if debug { sink.write(.debug, "\"\(String(cString: user))\" accepted") }
        case .refused: if debug { sink.write(.debug, "\"\(String(cString: user))\" refused: \(outcome.reason)") }
        case .unavailable(let reason): sink.write(.error, reason)
        }
        return outcome.verdict
    }
}
