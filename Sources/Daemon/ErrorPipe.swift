internal import CLinux
internal import Glibc
public import Logging

/// The standard error of a child, read by its master, who logs it: the last words of the Swift runtime, the report of a
/// crash. Neither side waits for the other, and what is too much is left out.
public final class ErrorPipe {
    /// Bytes of a line that are logged.
    static let lineLimit = 1000
    /// Lines in a row that are logged; one more each second after.
    static let burst: UInt64 = 200

    /// Our end.
    public let reading: Int32
    /// The child's end.
    public let writing: Int32
    private var line: [UInt8] = []
    private var credit = burst
    private var lastLine: UInt64 = 0
    private var isSilent = false

    /// A new pipe.
    /// - Throws: where the system has no descriptor left.
    public init() throws(DaemonError) {
        var ends: [Int32] = [-1, -1]
        guard linux_pipe(&ends) == 0 else { throw DaemonError("No pipe", code: linux_errno()) }
        for end in ends { _ = linux_fcntl(end, F_SETFL, linux_fcntl(end, F_GETFL, 0) | O_NONBLOCK) }
        reading = ends[0]
        writing = ends[1]
    }

    /// One that was open before.
    public init(reading: Int32, writing: Int32) {
        self.reading = reading
        self.writing = writing
    }

    /// Closes both ends.
    public func close() {
        Glibc.close(reading)
        Glibc.close(writing)
    }

    /// Logs what has come.
    /// - Parameters:
    ///   - name: whose words they are.
    ///   - now: milliseconds on any clock.
    /// - Returns: whether anything had come.
    @discardableResult
    public func take(from name: String, log: Logger, now: UInt64) -> Bool {
        let chunk = [UInt8](unsafeUninitializedCapacity: 65_536) { room, count in
            count = max(0, read(reading, room.baseAddress, room.count))
        }
        for byte in chunk {
            if byte == UInt8(ascii: "\n") {
                end(name, log, now)
            } else if line.count < Self.lineLimit {
                line.append(byte)
            }
        }
        return !chunk.isEmpty
    }

    /// Logs everything there is, a line without an end as well: nothing more will come for now.
    public func drain(from name: String, log: Logger, now: UInt64) {
        while take(from: name, log: log, now: now) {}
        end(name, log, now)
    }

    private func end(_ name: String, _ log: Logger, _ now: UInt64) {
        defer { line.removeAll(keepingCapacity: true) }
        guard !line.isEmpty else { return }
        credit = min(Self.burst, credit + (now - min(now, lastLine)) / 1000)
        guard credit > 0 else {
            if !isSilent { log.error("\(name) says more than is logged") }
            isSilent = true
            return
        }
        isSilent = false
        credit -= 1
        lastLine = now
        log.error("\(name): \(String(decoding: line, as: UTF8.self))")
    }
}
