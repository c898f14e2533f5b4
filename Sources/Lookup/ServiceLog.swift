import Logging

/// Until the log of the daemons is here: all on standard error.
enum ServiceLog {
    static func start(_ options: ServiceOptions) {
        let level: Logger.Level = options.debug ? .debug : .info
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
    }
}
