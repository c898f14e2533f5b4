import CLinux
import Foundation
import Glibc

@testable import TLS

/// A server of one connection after the other on a loopback port, that sends back what it hears, in capitals.
final class TinyServer {
    /// What became of a connection.
    struct Session {
        var handshake: TLSResult
        var verification = PeerVerification.notAsked
        var isResumed = false
        var version = ""
        var heard = ""
        var end = TLSResult.wantRead
    }

    struct TimedOut: Error {}

    let port: UInt16
    private let context: TLSContext
    private let listener: Int32

    init(_ context: TLSContext) throws {
        signal(SIGPIPE, SIG_IGN)
        self.context = context
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = self.listener
        let code = withUnsafeMutableBytes(of: &address) { bytes in
            bytes.withMemoryRebound(to: sockaddr.self) { bound -> Int32 in
                guard bind(listener, bound.baseAddress, length) == 0, listen(listener, 5) == 0 else { return -1 }
                return getsockname(listener, bound.baseAddress, &length)
            }
        }
        guard code == 0 else { throw SocketFault(code: linux_errno()) }
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit {
        close(listener)
    }

    /// Serves one connection until its end, or to the first answer.
    func serveOne(andHangUp hangsUp: Bool = false) throws -> Session {
        try wait(listener, POLLIN)
        let descriptor = accept(listener, nil, nil)
        guard descriptor >= 0 else { throw SocketFault(code: linux_errno()) }
        defer { close(descriptor) }
        _ = linux_fcntl(descriptor, F_SETFL, O_NONBLOCK)
        let connection = try TLSConnection(context, descriptor: descriptor)
        var session = Session(handshake: try finish(descriptor) { connection.handshake() })
        guard session.handshake == .done(0) else { return session }
        session.verification = connection.peerVerification
        session.isResumed = connection.isResumed
        session.version = connection.version
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            session.end = try finish(descriptor) { buffer.withUnsafeMutableBytes { connection.read(into: $0) } }
            guard case .done(let count) = session.end else { break }
            let text = String(decoding: buffer.prefix(count), as: UTF8.self)
            session.heard += text
            let answer = Array(text.uppercased().utf8)
            _ = try finish(descriptor) { answer.withUnsafeBytes { connection.write($0) } }
            if hangsUp { break }
        }
        _ = connection.shutdown()
        return session
    }

    /// Repeats a call until it is through with it.
    private func finish(_ descriptor: Int32, _ call: () -> TLSResult) throws -> TLSResult {
        while true {
            let result = call()
            switch result {
            case .wantRead: try wait(descriptor, POLLIN)
            case .wantWrite: try wait(descriptor, POLLOUT)
            case .done, .closed, .failed: return result
            }
        }
    }

    /// Generous, as it only ends a test that has failed.
    private func wait(_ descriptor: Int32, _ events: Int32) throws {
        var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        guard poll(&entry, 1, 60_000) == 1 else { throw TimedOut() }
    }
}

/// `openssl s_client` on a loopback port, ended with this object.
final class CommandLineClient {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    init(port: UInt16, _ arguments: [String]) throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = ["s_client", "-connect", "127.0.0.1:\(port)"] + arguments
        process.standardInput = input
        process.standardOutput = output
        process.standardError = output
        try process.run()
    }

    deinit {
        end()
    }

    func type(_ text: String) {
        input.fileHandleForWriting.write(Data(text.utf8))
    }

    /// No more will be typed.
    func endInput() {
        try? input.fileHandleForWriting.close()
    }

    /// All it prints until it ends.
    func readAll() -> String {
        String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    }

    /// Ends the program if it still runs.
    func end() {
        endInput()
        guard process.isRunning else { return }
        process.terminate()
        process.waitUntilExit()
    }
}
