extension OptionKind {
    /// One value at one place, read by `read` and written by `show`.
    private static func value<Value: Sendable>(
        _ valueName: String, _ path: Path<Value>, isNumber: Bool = false, action: Action = .set,
        words: [String] = [], show: @escaping @Sendable (Value) -> String,
        read: @escaping @Sendable (String, OptionDeclaration) throws(Problem) -> Value
    ) -> OptionKind {
        OptionKind(
            valueName, action: action, isNumber: isNumber, words: words,
            take: { (options, text, declaration) throws(Problem) in
                options[keyPath: path] = try read(text, declaration)
            },
            show: { show($0[keyPath: path]) }, reset: { $0[keyPath: path] = Options()[keyPath: path] })
    }

    /// An option without a value.
    static func flag(_ path: Path<Bool>) -> OptionKind {
        OptionKind(
            nil, take: { (options, _, _) throws(Problem) in options[keyPath: path] = true },
            show: { $0[keyPath: path] ? "on" : "off" }, reset: { $0[keyPath: path] = false })
    }

    /// Any text.
    static func text(_ name: String, _ path: Path<String>) -> OptionKind {
        value(name, path, show: { $0 }, read: { (text, _) throws(Problem) in text })
    }

    /// Any text, never printed as it is; further mentions add to the first.
    static func secrets(_ name: String, _ path: Path<[String]>) -> OptionKind {
        OptionKind(
            name, isSecret: true, accumulates: true,
            take: { (options, text, _) throws(Problem) in options[keyPath: path].append(text) },
            show: { $0[keyPath: path].joined(separator: " ") }, reset: { $0[keyPath: path] = [] })
    }

    /// Any text; without it something else decides.
    static func text(_ name: String, _ path: Path<String?>) -> OptionKind {
        value(name, path, show: { $0 ?? "" }, read: { (text, _) throws(Problem) in text })
    }

    /// Any text; the empty one counts as none.
    static func filledText(_ name: String, _ path: Path<String?>) -> OptionKind {
        value(name, path, show: { $0 ?? "" }, read: { (text, _) throws(Problem) in text.isEmpty ? nil : text })
    }

    /// Text sent to clients on one line: a line end in it would forge a second reply.
    static func line(_ name: String, _ path: Path<String>) -> OptionKind {
        value(name, path, show: { $0 }) { (text, declaration) throws(Problem) in
            guard !text.utf8.contains(where: { ($0 < 32 && $0 != 9) || $0 == 127 }) else {
                throw Problem(
                    original: "Parameter to \(declaration.names) must not hold control characters",
                    wrong: "the value holds control characters", instead: "write it on one line")
            }
            return text
        }
    }

    /// A decimal number; nothing counts as 0, as it always did.
    static func number(_ name: String, _ path: Path<Int>, _ range: ClosedRange<Int>) -> OptionKind {
        value(name, path, isNumber: true, show: { String($0) }) { (text, declaration) throws(Problem) in
            guard text.utf8.allSatisfy({ (48...57).contains($0) }) else {
                throw Problem(
                    original: "Parameter to \(declaration.names) must be a positive integer",
                    wrong: "\"\(text)\" is not a number", instead: "write digits only, as in 60")
            }
            guard let number = text.isEmpty ? 0 : Int(text), range.contains(number) else {
                let bounds = "from \(range.lowerBound) to \(range.upperBound)"
                throw Problem(
                    original: "Parameter to \(declaration.names) must be a number \(bounds)",
                    wrong: "\"\(text)\" is out of bounds", instead: "write a number \(bounds)")
            }
            return number
        }
    }

    /// Texts between commas; empty ones do not count.
    static func list(_ name: String, _ path: Path<[String]>) -> OptionKind {
        value(name, path, show: { $0.joined(separator: ",") }) { (text, _) throws(Problem) in
            text.split(separator: ",").map(String.init)
        }
    }

    /// Hosts with or without ports, between commas.
    static func servers(_ name: String, _ path: Path<[ServerAddress]>) -> OptionKind {
        value(name, path, show: { $0.map(\.description).joined(separator: ",") }) {
            (text, declaration) throws(Problem) in
            var servers: [ServerAddress] = []
            for element in text.split(separator: ",") {
                let word = element.split(separator: " ", omittingEmptySubsequences: true)
                guard let first = word.first else { continue }
                guard word.count == 1, let server = ServerAddress(first) else {
                    throw Problem(
                        original: "Parameter to \(declaration.names) is not a server: \"\(element)\"",
                        wrong: "\"\(element)\" is not a server",
                        instead: "write host, host:port or [address]:port, several with commas between")
                }
                servers.append(server)
            }
            return servers
        }
    }

    /// Listeners, between blanks; further mentions add to them.
    static func listeners(_ path: Path<[Listener]>) -> OptionKind {
        OptionKind(
            "PROTOCOL://ADDRESS[:PORT][?NAME=VALUE...]", accumulates: true,
            take: { (options, text, declaration) throws(Problem) in
                for word in text.split(separator: " ") {
                    do throws(Listener.Fault) {
                        options[keyPath: path].append(try Listener(String(word)))
                    } catch {
                        throw Problem(
                            original:
                                "--\(declaration.name) \(Printable.text(word.utf8)): \(error.wrong): \(error.instead)",
                            wrong: "\"\(Printable.text(word.utf8))\": \(error.wrong)", instead: error.instead)
                    }
                }
            },
            show: { $0[keyPath: path].map(\.description).joined(separator: " ") },
            reset: { $0[keyPath: path] = [] })
    }

    /// Networks between commas.
    static func networks(_ name: String, _ path: Path<[Network]>) -> OptionKind {
        value(name, path, show: { $0.map(\.description).joined(separator: ",") }) {
            (text, declaration) throws(Problem) in
            var networks: [Network] = []
            for element in text.split(whereSeparator: { $0 == "," || $0 == " " }) {
                guard let network = Network(element) else {
                    throw Problem(
                        original: "Parameter to \(declaration.names) is not a network: \"\(element)\"",
                        wrong: "\"\(element)\" is not a network",
                        instead: "write 192.0.2.0/24, 2001:db8::/32 or an address, several with commas between")
                }
                networks.append(network)
            }
            return networks
        }
    }

    /// A version of the PROXY protocol, or nothing.
    static func proxyVersion(_ path: Path<ProxyHeader.Version?>) -> OptionKind {
        choice(
            "VERSION", path, of: "v1, v2", original: { text, name in "Unknown \(name): \"\(text)\"" },
            show: { $0?.rawValue ?? "" },
            read: { $0.isEmpty ? .some(nil) : ProxyHeader.Version(rawValue: $0.lowercased()).map(Optional.some) })
    }

    /// Mechanisms of SASL between commas or blanks.
    static func mechanisms(_ path: Path<[Mechanism]>) -> OptionKind {
        value("MECHANISM[,MECHANISM...]", path, show: { $0.map(\.rawValue).joined(separator: ",") }) {
            (text, declaration) throws(Problem) in
            var mechanisms: [Mechanism] = []
            for word in text.split(whereSeparator: { $0 == "," || $0 == " " }) {
                guard let mechanism = Mechanism(word.utf8) else {
                    let all = Mechanism.allCases.map(\.rawValue).joined(separator: ", ")
                    throw Problem(
                        original: "unknown mechanism for \(declaration.name): \(word)",
                        wrong: "there is no mechanism \"\(word)\"", instead: "write \(all)")
                }
                if !mechanisms.contains(mechanism) { mechanisms.append(mechanism) }
            }
            return mechanisms
        }
    }

    /// One value of a few.
    static func choice<Value: Sendable>(
        _ name: String, _ path: Path<Value>, of choices: String,
        original: @escaping @Sendable (String, String) -> String,
        show: @escaping @Sendable (Value) -> String, read: @escaping @Sendable (String) -> Value?
    ) -> OptionKind {
        let words = choices.split(whereSeparator: { $0 == "," || $0 == " " }).map(String.init)
        return value(name, path, words: words, show: show) { (text, declaration) throws(Problem) in
            guard let value = read(text) else {
                throw Problem(
                    original: original(text, declaration.name), wrong: "there is no \"\(text)\"",
                    instead: "write one of \(choices)")
            }
            return value
        }
    }

    /// A version of TLS.
    static func version(_ path: Path<TLSVersion>) -> OptionKind {
        choice(
            "VERSION", path, of: TLSVersion.names, original: { _, name in "Unknown \(name)" }, show: { $0.rawValue },
            read: { TLSVersion(option: $0) })
    }

    /// A version of TLS, or nothing.
    static func version(_ path: Path<TLSVersion?>) -> OptionKind {
        choice(
            "VERSION", path, of: TLSVersion.names, original: { _, name in "Unknown \(name)" },
            show: { $0?.rawValue ?? "" }, read: { $0.isEmpty ? .some(nil) : TLSVersion(option: $0).map(Optional.some) })
    }

    /// Stages between commas; further mentions add to them. With a `depth`, numbers among them set it.
    static func stages(_ path: Path<Stages>, depth: Path<Int>? = nil) -> OptionKind {
        OptionKind(
            depth == nil ? "STATE[,STATE...]" : "STATE[,STATE...][,DEPTH]", accumulates: true,
            words: Stages.names.map(\.1) + ["all"],
            take: { (options, text, declaration) throws(Problem) in
                if depth != nil, text.isEmpty { return }
                for word in text.split(separator: ",", omittingEmptySubsequences: false) {
                    if let depth, !word.isEmpty, word.utf8.allSatisfy({ (48...57).contains($0) }),
                        let number = Int(word), number <= 127
                    {
                        options[keyPath: depth] = number
                    } else if let stage = Stages(option: word) {
                        options[keyPath: path].formUnion(stage)
                    } else {
                        throw Problem(
                            original: "unknown state for \(declaration.name): \(word)",
                            wrong: "there is no state \"\(word)\"",
                            instead: "write servername_lookup, local_authentication, remote_login or all")
                    }
                }
            },
            show: { options in
                let stages = options[keyPath: path].optionText
                guard let depth, !stages.isEmpty else { return stages }
                return "\(stages),\(options[keyPath: depth])"
            },
            reset: { options in
                options[keyPath: path] = []
                if let depth { options[keyPath: depth] = Options()[keyPath: depth] }
            })
    }

    /// Modes of encryption between commas; further mentions add to them.
    static func sslMode(_ path: Path<SSLMode>) -> OptionKind {
        OptionKind(
            "MODE[,MODE...]", accumulates: true, words: SSLMode.names.map(\.1),
            take: { (options, text, _) throws(Problem) in
                for word in text.split(separator: ",", omittingEmptySubsequences: false) {
                    guard let mode = SSLMode(option: word) else {
                        throw Problem(
                            original: "unknown ssl_mode: \(word)", wrong: "there is no mode \"\(word)\"",
                            instead: "write " + SSLMode.names.map(\.1).joined(separator: ", "))
                    }
                    options[keyPath: path].formUnion(mode)
                }
            },
            show: { $0[keyPath: path].optionText }, reset: { $0[keyPath: path] = [] })
    }

    /// One text for the capability strings of all protocols.
    static let capability = OptionKind(
        "STRING",
        take: { (options, text, declaration) throws(Problem) in
            for path in [\Options.imapCapability, \.popCapability, \.managesieveCapability] as [Path<String>] {
                try line("STRING", path).take(&options, text, declaration)
            }
        },
        show: { _ in "" }, reset: { _ in })

    /// The file that is read before the rest of the command line counts.
    static func configFile(_ path: Path<String?>) -> OptionKind {
        value("FILENAME", path, action: .configFile, show: { $0 ?? "" }, read: { (text, _) throws(Problem) in text })
    }

    /// An option whose value says what to look at.
    static func order(_ name: String, _ action: Action) -> OptionKind {
        OptionKind(
            name, action: action, take: { (_, _, _) throws(Problem) in }, show: { _ in "" }, reset: { _ in })
    }

    /// The shell to print completions for.
    static let completion = OptionKind(
        "SHELL", action: .completion, words: ShellCompletion.Shell.allCases.map(\.rawValue),
        take: { (_, text, _) throws(Problem) in
            guard ShellCompletion.Shell(rawValue: text) == nil else { return }
            let shells = ShellCompletion.Shell.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem(
                original: "There are no completions for \"\(text)\": --completion takes one of \(shells)",
                wrong: "there is no \"\(text)\"", instead: "write one of \(shells)")
        },
        show: { _ in "" }, reset: { _ in })

    /// An option that prints and ends.
    static func print(_ action: Action) -> OptionKind {
        OptionKind(nil, action: action, take: { (_, _, _) throws(Problem) in }, show: { _ in "off" }, reset: { _ in })
    }
}
