import Control
import Loop

/// A worker from before a reload that still has sessions, as the one asks it who accepts now.
final class ElderWorker {
    /// Milliseconds it gets to answer.
    private static let patience: UInt64 = 5_000
    /// Bytes of an answer; some 250,000 sessions.
    private static let longestAnswer = 64 << 20

    private let stream: Stream
    private var isBusy = false
    private var waiting: [UnsafeContinuation<Void, Never>] = []

    /// One that is asked over this descriptor; nil where that cannot be watched.
    init?(_ descriptor: Int32, on thread: LoopThread) {
        guard let channel = try? Channel(descriptor, on: thread) else { return nil }
        stream = Stream(channel, patience: Self.patience)
    }

    /// Whether it has ended.
    var isGone: Bool { stream.channel.isClosed }

    /// Asks it; nil where no answer came. One is asked at a time.
    func ask(_ command: ControlCommand) async -> ControlAnswer? {
        while isBusy { await withUnsafeContinuation { waiting.append($0) } }
        isBusy = true
        defer {
            isBusy = false
            if !waiting.isEmpty { waiting.removeFirst().resume() }
        }
        // An answer to somebody who did not wait for it may come ahead.
        let mark = Array(String(UInt64.random(in: .min ... .max), radix: 36).utf8)
        do throws(StreamError) {
            try await stream.send(mark + Array(" \(command.line)\n".utf8))
            while try await stream.line() != mark {}
            var text: [UInt8] = []
            while text.count <= Self.longestAnswer {
                let line = try await stream.line()
                text += line
                text.append(UInt8(ascii: "\n"))
                if line.elementsEqual("END".utf8) { return try? ControlAnswer(text: text) }
            }
            stream.close()
        } catch {
            if error != .timedOut { stream.close() }
        }
        return nil
    }
}
