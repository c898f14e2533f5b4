internal import Glibc

/// Where log lines go: the value of `--log_facility`.
public enum LogDestination: Sendable, Equatable {
    /// `-`
    case standardOutput
    /// `+`
    case standardError
    /// A path from the root on.
    case file(String)
    /// A facility of syslog(3), such as `LOG_MAIL`.
    case syslog(Int32)

    /// Reads the value of the option: `-`, `+`, a path that begins with `/`, or the name of a facility.
    /// Throws for names that syslog does not have.
    public init(_ text: String) throws(DaemonError) {
        switch text {
        case "-": self = .standardOutput
        case "+": self = .standardError
        case _ where text.hasPrefix("/"): self = .file(text)
        default:
            guard let facility = Self.facilities[text.lowercased()] else {
                let names = Self.facilityNames.joined(separator: ", ")
                throw DaemonError(
                    "log_facility \"\(text)\" not found: it can be -, +, a path from / on, or one of \(names)")
            }
            self = .syslog(facility << 3)
        }
    }

    /// The names of facilities that ``init(_:)`` knows.
    public static var facilityNames: [String] { facilities.keys.sorted() }

    /// The numbers of syslog.h, which Swift cannot read there.
    private static let facilities: [String: Int32] = [
        "kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "security": 4, "syslog": 5, "lpr": 6, "news": 7,
        "uucp": 8, "cron": 9, "authpriv": 10, "ftp": 11, "local0": 16, "local1": 17, "local2": 18, "local3": 19,
        "local4": 20, "local5": 21, "local6": 22, "local7": 23,
    ]
}
