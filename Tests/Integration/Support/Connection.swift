import Glibc

/// One end of a TCP connection, read by lines or bytes. Every wait has an end.
class Connection {
    let descriptor: Int32
    private var buffer: [UInt8] = []
    private var taken = 0
    /// TLS, once it is up.
    var tls: TLSLayer?

    /// Takes over a connected socket, and closes it at the end.
    init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit {
        Glibc.close(descriptor)
    }

    /// `127.0.0.1:40000->127.0.0.1:143` seen from the end that connected.
    func path() throws -> String {
        try "\(SocketAddress(of: descriptor).text)->\(SocketAddress(of: descriptor, peer: true).text)"
    }

    // MARK: Sending

    func send(_ text: String) throws {
        try send(Array(text.utf8))
    }

    func send(_ bytes: [UInt8], within seconds: Double = 30) throws {
        let deadline = Deadline(seconds: seconds)
        if let tls { return try transmit(tls, bytes, until: deadline) }
        var sent = 0
        while sent < bytes.count {
            try wait(for: POLLOUT, until: deadline, what: "sending")
            let count = bytes.withUnsafeBytes { raw in
                Glibc.send(
                    descriptor, raw.baseAddress?.advanced(by: sent), raw.count - sent,
                    Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count > 0 {
                sent += count
            } else if errno != EAGAIN && errno != EINTR {
                throw Failure.system("send")
            }
        }
    }

    /// Says that nothing more will come from here; the other direction stays open.
    func shutdownWriting() {
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Ends the connection with a reset, as a machine that crashed would.
    func reset() {
        var nobody = sockaddr()
        nobody.sa_family = sa_family_t(AF_UNSPEC)
        connect(descriptor, &nobody, socklen_t(MemoryLayout<sockaddr>.size))
    }

    /// Ends both directions now; the descriptor itself lives as long as the object.
    func hangUp() {
        shutdown(descriptor, Int32(SHUT_RDWR))
    }

    // MARK: Receiving

    /// The next line without its line end.
    func line(within seconds: Double = 20) throws -> String {
        guard let line = try lineOrEnd(within: seconds) else {
            throw Failure("the other side closed instead of sending a line")
        }
        return line
    }

    /// The next line without its line end, or nil if the other side closed.
    func lineOrEnd(within seconds: Double = 20) throws -> String? {
        let deadline = Deadline(seconds: seconds)
        forgetTaken()
        var searched = taken
        while true {
            if let end = buffer[searched...].firstIndex(of: 10) {
                defer { taken = end + 1 }
                let content = buffer[taken..<end]
                return String(decoding: content.last == 13 ? content.dropLast() : content, as: UTF8.self)
            }
            searched = buffer.count
            guard try fill(until: deadline, what: "a line") else {
                guard taken < buffer.count else { return nil }
                throw Failure("closed in the middle of a line: \(String(decoding: buffer[taken...], as: UTF8.self))")
            }
        }
    }

    /// Lines up to and including the first that `isLast` accepts.
    func lines(within seconds: Double = 20, through isLast: (String) -> Bool) throws -> [String] {
        var lines: [String] = []
        while true {
            let line = try line(within: seconds)
            lines.append(line)
            if isLast(line) { return lines }
        }
    }

    /// Exactly so many bytes.
    func bytes(_ count: Int, within seconds: Double = 60) throws -> [UInt8] {
        let deadline = Deadline(seconds: seconds)
        forgetTaken()
        while buffer.count - taken < count {
            guard try fill(until: deadline, what: "\(count) bytes") else { throw Failure("closed too early") }
        }
        defer { taken += count }
        return Array(buffer[taken..<taken + count])
    }

    /// Everything until the other side closes; a reset counts as the end.
    func rest(within seconds: Double = 30) throws -> [UInt8] {
        let deadline = Deadline(seconds: seconds)
        while try fill(until: deadline, what: "the end of the connection") {}
        defer { taken = buffer.count }
        return Array(buffer[taken...])
    }

    /// Everything until the other side closes, as text.
    func restText(within seconds: Double = 30) throws -> String {
        try String(decoding: rest(within: seconds), as: UTF8.self)
    }

    /// Whether anything, or the end, has arrived that nobody has read yet.
    func hasNews(within seconds: Double) -> Bool {
        if taken < buffer.count { return true }
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, Int32(seconds * 1000)) > 0
    }

    private func forgetTaken() {
        guard taken == buffer.count || taken > 1_000_000 else { return }
        buffer.removeFirst(taken)
        taken = 0
    }

    /// Reads once; false when the other side has closed.
    private func fill(until deadline: Deadline, what: String) throws -> Bool {
        var chunk = [UInt8](repeating: 0, count: 65536)
        if let tls {
            let count = try receive(tls, into: &chunk, until: deadline, what: what)
            buffer.append(contentsOf: chunk[..<count])
            return count > 0
        }
        while true {
            try wait(for: POLLIN, until: deadline, what: what)
            let count = recv(descriptor, &chunk, chunk.count, Int32(MSG_DONTWAIT))
            if count > 0 {
                buffer.append(contentsOf: chunk[..<count])
                return true
            }
            if count == 0 || errno == ECONNRESET { return false }
            guard errno == EAGAIN || errno == EINTR else { throw Failure.system("recv") }
        }
    }

    func wait(for events: Int32, until deadline: Deadline, what: String) throws {
        var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        while poll(&entry, 1, deadline.milliseconds) <= 0 {
            guard !deadline.hasPassed else {
                let left = String(decoding: buffer[taken...].prefix(200), as: UTF8.self)
                throw Failure("waited too long for \(what); unread so far: \(left.debugDescription)")
            }
        }
    }
}
