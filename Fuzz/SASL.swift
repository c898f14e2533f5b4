@testable import Proxy

/// Base64, the message of PLAIN, and what SASLprep does to names.
@Sendable func sasl(_ bytes: [UInt8]) {
    if let decoded = Base64.decode(bytes) {
        var again: [UInt8] = []
        Base64.append(decoded, to: &again)
        check(again == bytes, "bytes have one form in Base64")
    }
    var text: [UInt8] = []
    Base64.append(bytes, to: &text)
    check(text.count == Base64.encodedSize(bytes.count), "the size is known beforehand")
    check(Base64.decode(text) == bytes, "Base64 is read as it was written")

    for message in [bytes, text] {
        guard let credentials = try? PlainMessage.decode(message) else { continue }
        let login = Login(credentials)
        check(!login.name.isEmpty && login.authorization?.isEmpty != true, "no empty names")
        check(!(login.name + (login.authorization ?? [])).hasControls, "no controls in names")
        check(!login.password.contains(0), "no NUL in a password")
        guard let written = PlainMessage.encode(credentials) else {
            fatalError("property broken: what was read can be written")
        }
        check((try? PlainMessage.decode(written)).map { Login($0) } == login, "PLAIN is read as it was written")
    }

    for message in [bytes, text] {
        for mechanism in [Mechanism.xoauth2, .oauthbearer] {
            guard let credentials = try? TokenMessage.decode(message, mechanism) else { continue }
            let login = Login(credentials)
            check(!login.name.isEmpty && !login.name.hasControls, "a name without controls")
            guard let written = TokenMessage.encode(credentials) else {
                fatalError("property broken: what was read can be written")
            }
            let again = try? TokenMessage.decode(written, mechanism)
            check(again.map { Login($0) } == login, "a token is read as it was written")
        }
    }
    for mechanism in Mechanism.allCases { checkExchange(mechanism, bytes) }

    if let prepared = SASLprep.prepare(bytes) {
        check(prepared.count <= bytes.count, "a prepared name is no longer")
        check(SASLprep.prepare(prepared) == prepared, "a prepared name stays as it is")
        check(!prepared.hasControls && String(validating: prepared, as: UTF8.self) != nil, "text without controls")
    }
}

/// Responses are the lines of the input, the first of them an initial one where the input is odd in length.
private func checkExchange(_ mechanism: Mechanism, _ bytes: [UInt8]) {
    var responses = bytes.split(separator: 10, omittingEmptySubsequences: false).map { [UInt8]($0) }[...]
    var exchange = SASLExchange(mechanism)
    var step = exchange.begin(bytes.count & 1 == 0 ? nil : responses.popFirst())
    for turn in 0... {
        guard case .challenge(let text) = step else { break }
        check(turn < 2, "no mechanism asks more than twice")
        let challenge = text.withUTF8Buffer { Array($0) }
        check(challenge.isEmpty || Base64.decode(challenge) != nil, "a challenge is Base64")
        guard let response = responses.popFirst() else { return }
        step = exchange.take(response)
    }
    if case .done(let credentials) = step {
        check(!credentials.authenticationID.isEmpty && !credentials.authenticationID.hasControls, "a fit name")
        check((credentials.token != nil) == mechanism.isToken, "a token where it is one")
    }
}
