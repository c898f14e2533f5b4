/// What a perdition speaks, as `--protocol` and the program's own name say it.
public enum ProtocolName: String, Sendable, CaseIterable {
    /// POP3 (RFC 1939).
    case pop3 = "POP3"
    /// IMAP4 (RFC 3501).
    case imap4 = "IMAP4"
    /// POP3 with TLS from the first byte.
    case pop3s = "POP3S"
    /// IMAP4 with TLS from the first byte.
    case imap4s = "IMAP4S"
    /// ManageSieve (RFC 5804).
    case managesieve = "MANAGESIEVE"

    /// The spelling of the log and of the start dump.
    public var logName: String { rawValue }

    /// The spelling in the names of programs and configuration files.
    public var fileName: String { rawValue.lowercased() }

    /// The port used where no option names one.
    public var defaultPort: UInt16 {
        switch self {
        case .pop3: 110
        case .pop3s: 995
        case .imap4: 143
        case .imap4s: 993
        case .managesieve: 4190
        }
    }

    /// The name of ``defaultPort`` in services(5); log lines say `host:imap`.
    public var serviceName: String {
        switch self {
        case .pop3: "pop3"
        case .pop3s: "pop3s"
        case .imap4: "imap"
        case .imap4s: "imaps"
        case .managesieve: "sieve"
        }
    }

    /// Whether it is spoken over TLS from the first byte.
    var isPrivate: Bool { self == .pop3s || self == .imap4s }

    /// What is spoken, whatever protects it.
    var spoken: ProtocolName {
        switch self {
        case .pop3, .pop3s: .pop3
        case .imap4, .imap4s: .imap4
        case .managesieve: .managesieve
        }
    }

    /// The protocol named by `--protocol`, in any case.
    public init?(option text: String) {
        guard let found = Self.allCases.first(where: { $0.rawValue == text.uppercased() }) else { return nil }
        self = found
    }

    /// The protocol a program name stands for: `perdition.imaps` is ``imap4s``, a name that says nothing is ``pop3``.
    public init(programName: String) {
        let last = programName.split(separator: ".").last.map(String.init) ?? ""
        self = last == "imaps" ? .imap4s : Self(option: last) ?? .pop3
    }
}
