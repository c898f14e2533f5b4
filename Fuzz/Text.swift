@testable import Daemon
@testable import Proxy

/// The buffer of a direction, against one that has no limit and forgets nothing.
@Sendable func lines(_ bytes: [UInt8]) {
    var input = Input(bytes)
    var reader = LineReader()
    var model: [UInt8] = []
    while !input.isEmpty {
        let operation = input.byte()
        switch operation & 7 {
        case 0, 1, 2, 3:
            var piece = input.piece()
            if operation & 8 != 0 { piece = Array(repeatElement(piece, count: 32).joined()) }
            piece = Array(piece.prefix(reader.room))
            piece.withUnsafeBytes { reader.append($0) }
            model += piece
        case 4, 5:
            let end = model.firstIndex(of: 10)
            let peeked = reader.peekLine()
            check(peeked == end.map { Array(model[...$0]) } ?? [], "a line is seen as it came")
            switch reader.nextLine() {
            case .line(let line):
                guard let end else { fatalError("property broken: no line without an end") }
                check(line == model[..<end].filter { $0 != 13 }, "a line without CR")
                model.removeSubrange(...end)
            case .incomplete: check(end == nil && model.count < LineReader.lineLimit, "no end yet")
            case .tooLong: check(end == nil && model.count == LineReader.lineLimit, "no end within the limit")
            }
        case 6:
            let taken = reader.take(atMost: Int(input.byte()) * 16)
            check(model.starts(with: taken), "bytes in their order")
            model.removeFirst(taken.count)
        default:
            check(operation & 8 == 0 ? reader.discard() == model.count : reader.takeAll() == model, "all that waits")
            model = []
        }
        check(reader.count == model.count && reader.room == LineReader.lineLimit - model.count, "what waits is counted")
        check(reader.memory.count <= 2 * LineReader.lineLimit, "a bounded buffer")
        check(reader.memory.count { $0 != 0 } == model.count { $0 != 0 }, "nothing stays of what was used")
    }
    check(reader.takeAll() == model && reader.memory.isEmpty, "the rest is handed over")
}

/// Text from outside on its way to the log.
@Sendable func log(_ bytes: [UInt8]) {
    let shown = Array(Printable.text(bytes).utf8)
    check(!shown.hasControls && shown.count <= Printable.limit * 4 + 3, "one bounded line")
    let escaped = Array(Printable.escaped(bytes).utf8)
    check(escaped.count <= bytes.count * 4 && !escaped.hasControls, "no control characters")
    var isEscaped = false
    for byte in escaped {
        check(isEscaped || byte != UInt8(ascii: "\""), "no quote ends what is quoted")
        isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
    }
    check(!isEscaped, "no backslash at the end")
    check(unescaped(escaped, isText: String(validating: bytes, as: UTF8.self) != nil) == bytes, "nothing is lost")

    for text in [String(decoding: bytes, as: UTF8.self), String(decoding: escaped, as: UTF8.self)] {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: LogLine.maximumLength + 1) { room in
            var line = LogLine(room)
            line.append(trusted: Array("head: ".utf8))
            line.append(text)
            line.append(text)
            check(line.count < LogLine.maximumLength, "a bounded line")
            check(!line.bytes.hasControls, "no control characters in the log")
            check(String(validating: line.bytes, as: UTF8.self) != nil, "no character is cut in two")
        }
    }
}

/// What a reader of the log makes of it.
private func unescaped(_ shown: [UInt8], isText: Bool) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = shown[...]
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "\\"), let next = rest.popFirst() else {
            bytes.append(byte)
            continue
        }
        guard next >= UInt8(ascii: "0"), next <= UInt8(ascii: "3"), rest.count >= 2 else {
            bytes.append(next)
            continue
        }
        let digits = [next, rest.removeFirst(), rest.removeFirst()].map { $0 & 7 }
        bytes.append(digits[0] << 6 | digits[1] << 3 | digits[2])
    }
    return bytes
}

/// Capability lists, of options and of the connection's state.
@Sendable func capabilities(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let state = Capabilities.State.all[Int(input.byte()) & 7]
    let option = String(decoding: input.rest, as: UTF8.self)
    let words = Capabilities.imap4(option, state).utf8.split(separator: 32, omittingEmptySubsequences: false)
    let all = Set(words.map { $0.text.uppercased() })
    check(all.contains("STARTTLS") == state.offersTLS, "STARTTLS where it is on offer")
    if state.loginDisabled { check(all.contains("LOGINDISABLED"), "LOGINDISABLED where it is so") }
    if state.managesLogin, !state.loginDisabled { check(!all.contains("LOGINDISABLED"), "LOGINDISABLED is taken away") }
    for item in Capabilities.pop3(option, state) {
        check(!item.isEmpty, "no empty items")
        if option.contains(".") { check(!item.utf8.contains(0x2e), "items between dots") }
    }
    check(
        Capabilities.pop3(option, state).contains { $0.uppercased() == "STLS" } == state.offersTLS,
        "STLS where it is on offer")
    check(
        Capabilities.manageSieve(option, state).contains { $0.uppercased() == "\"STARTTLS\"" } == state.offersTLS,
        "STARTTLS where it is on offer")
}
