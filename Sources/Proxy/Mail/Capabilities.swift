/// Capability lists: the option's text, with the words added and removed that depend on the state of the connection.
enum Capabilities {
    /// What the state of a connection says about its capabilities.
    struct State: Equatable {
        /// TLS can be started, and is not up.
        var offersTLS = false
        /// A login would be refused now, whatever the name.
        var loginDisabled = false
        /// LOGINDISABLED in the option's text is ours to take away.
        var managesLogin = false

        /// Every state there is, in the order of their numbers.
        static let all = (0..<8).map {
            State(offersTLS: $0 & 1 != 0, loginDisabled: $0 & 2 != 0, managesLogin: $0 & 4 != 0)
        }
        /// The place in `all`.
        var number: Int { (offersTLS ? 1 : 0) | (loginDisabled ? 2 : 0) | (managesLogin ? 4 : 0) }
    }

    /// `--imap_capability`, words between single blanks.
    /// - Parameter mechanisms: `--sasl_mechanisms`; they are on offer as long as logins are.
    static func imap4(_ option: String, _ state: State, _ mechanisms: [Mechanism] = []) -> String {
        var words = split(option, at: " ")
        if state.offersTLS {
            if !words.contains(where: { $0.uppercased() == "STARTTLS" }) { words.append("STARTTLS") }
        } else {
            words.removeAll { $0.uppercased() == "STARTTLS" }
        }
        if state.loginDisabled {
            if !words.contains(where: { $0.uppercased() == "LOGINDISABLED" }) { words.append("LOGINDISABLED") }
        } else if state.managesLogin {
            words.removeAll { $0.uppercased() == "LOGINDISABLED" }
        }
        if !mechanisms.isEmpty {
            words.removeAll { $0.uppercased() == "SASL-IR" || $0.uppercased().hasPrefix("AUTH=") }
            if !state.loginDisabled { words += ["SASL-IR"] + mechanisms.map { "AUTH=\($0.rawValue)" } }
        }
        return words.joined(separator: " ")
    }

    /// `--pop_capability`, items between dots or, where there is none, pairs of blanks.
    /// - Parameter mechanisms: `--sasl_mechanisms`; they are on offer as long as logins are.
    static func pop3(_ option: String, _ state: State, _ mechanisms: [Mechanism] = []) -> [String] {
        var items = items(option, delimiter: option.contains(".") ? "." : "  ", word: "STLS", present: state.offersTLS)
        guard !mechanisms.isEmpty else { return items }
        items.removeAll { $0.uppercased() == "SASL" || $0.uppercased().hasPrefix("SASL ") }
        if !state.loginDisabled { items.append("SASL \(names(mechanisms))") }
        return items
    }

    /// `--managesieve_capability`, items between pairs of blanks, each with its quotes.
    /// - Parameter mechanisms: `--sasl_mechanisms`; in place of those in the option's text, and none where nobody may
    ///   log in (RFC 5804 section 1.7).
    static func manageSieve(_ option: String, _ state: State, _ mechanisms: [Mechanism] = []) -> [String] {
        let items = items(option, delimiter: "  ", word: "\"STARTTLS\"", present: state.offersTLS)
        guard !mechanisms.isEmpty else { return items }
        let offer = "\"SASL\" \"\(state.loginDisabled ? "" : names(mechanisms))\""
        guard let place = items.firstIndex(where: isSASL) else { return items + [offer] }
        return items[..<place] + [offer] + items[(place + 1)...].filter { !isSASL($0) }
    }

    private static func isSASL(_ item: String) -> Bool {
        item.uppercased() == "\"SASL\"" || item.uppercased().hasPrefix("\"SASL\" ")
    }

    private static func names(_ mechanisms: [Mechanism]) -> String {
        mechanisms.map(\.rawValue).joined(separator: " ")
    }

    private static func items(_ option: String, delimiter: String, word: String, present: Bool) -> [String] {
        var items = split(option, at: delimiter).filter { !$0.isEmpty }
        if present {
            if !items.contains(where: { $0.uppercased() == word }) { items.append(word) }
        } else {
            items.removeAll { $0.uppercased() == word }
        }
        return items
    }

    /// By bytes, as clients do: to a String, a blank and the accent behind it are one character and no blank.
    private static func split(_ text: String, at delimiter: String) -> [String] {
        let bytes = Array(text.utf8)
        let mark = Array(delimiter.utf8)
        var parts: [String] = []
        var start = 0
        var index = 0
        while index + mark.count <= bytes.count {
            if bytes[index..<(index + mark.count)].elementsEqual(mark) {
                parts.append(bytes[start..<index].text)
                index += mark.count
                start = index
            } else {
                index += 1
            }
        }
        parts.append(bytes[start...].text)
        return parts
    }
}
