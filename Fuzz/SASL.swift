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

    if let prepared = SASLprep.prepare(bytes) {
        check(prepared.count <= bytes.count, "a prepared name is no longer")
        check(SASLprep.prepare(prepared) == prepared, "a prepared name stays as it is")
        check(!prepared.hasControls && String(validating: prepared, as: UTF8.self) != nil, "text without controls")
    }
}
