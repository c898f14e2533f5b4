/// An option's list of ciphers, as ciphers(1) has it, with the names of TLS 1.3 suites taken apart: OpenSSL keeps the
/// two in different places.
struct CipherList: Equatable {
    /// The elements for TLS 1.2 and below.
    private(set) var older: [String] = []
    /// The suites of TLS 1.3.
    private(set) var suites: [String] = []

    init(_ text: String) {
        for element in text.split(whereSeparator: { $0 == ":" || $0 == "," || $0 == " " || $0 == ";" }) {
            if element.hasPrefix("TLS_") {
                suites.append(String(element))
            } else {
                older.append(String(element))
            }
        }
    }

    /// Elements that name something, as opposed to those that remove, move or set a level.
    var names: [String] {
        older.filter { element in !["!", "-", "+", "@"].contains { element.hasPrefix($0) } }
    }
}
