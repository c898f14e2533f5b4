import Daemon
import Logging

/// The log as sessions write it, several lines each: they are put together where they are to be written.
struct LineLog: Sendable {
    private let log: Logger
    private let level: Logger.Level
    private let sink: LogSink?

    /// The lines of a logger.
    /// - Parameter sink: where that logger writes; nil where nobody is to get around it.
    init(_ log: Logger, sink: LogSink?) {
        self.log = log
        level = log.logLevel
        self.sink = sink
    }

    /// Writes a line.
    /// - Parameters:
    ///   - capacity: its length at most.
    ///   - body: appends its pieces.
    func write(_ level: Logger.Level, capacity: Int, _ body: (inout LineText) -> Void) {
        guard level >= self.level else { return }
        if let sink {
            sink.write(level, filling: { LineText.fill($0, body) })
        } else {
            log.log(level: level, Logger.Message(stringLiteral: LineText.make(capacity: capacity, body)))
        }
    }
}
