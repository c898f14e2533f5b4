public import Logging

/// swift-log on a ``LogSink``: the message as it is, metadata behind it as ` key=value`.
public struct LineLogHandler: LogHandler {
    /// What every line of this logger carries.
    public var metadata: Logger.Metadata = [:]
    /// Lines below are not written.
    public var logLevel: Logger.Level
    private let sink: LogSink

    /// Makes a handler that writes to `sink`.
    public init(sink: LogSink, logLevel: Logger.Level) {
        self.sink = sink
        self.logLevel = logLevel
    }

    /// Reads or writes one value that every line carries.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes one event as one line.
    public func log(event: LogEvent) {
        guard event.error != nil || event.metadata != nil || !metadata.isEmpty else {
            return sink.write(event.level, event.message.description)
        }
        var text = event.message.description
        let all = event.metadata.map { metadata.merging($0) { $1 } } ?? metadata
        for (key, value) in all.sorted(by: { $0.key < $1.key }) { text += " \(key)=\(value)" }
        if let error = event.error { text += ": \(error)" }
        sink.write(event.level, text)
    }
}
