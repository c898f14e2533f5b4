@testable import Authentication
@testable import Daemon
@testable import Lookup
@testable import Proxy

/// Netstrings, in pieces and in one.
@Sendable func netstring(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let limit = Int(input.byte()) * 8
    let step = Int(input.byte()) % 32 + 1
    let stream = input.rest
    let whole = read([stream], limit: limit)
    check(read(stream.chunks(of: step), limit: limit) == whole, "netstrings are the same however their bytes arrive")
    var written: [UInt8] = []
    for payload in whole.payloads {
        check(payload.count <= limit, "no payload over the limit")
        Netstring.open(payload.count, in: &written)
        written += payload + [UInt8(ascii: ",")]
    }
    check(stream.starts(with: written), "netstrings are written as they were read")
}

private struct Read: Equatable {
    var payloads: [[UInt8]] = []
    var error: WireError?
    var pending = 0
}

private func read(_ pieces: [[UInt8]], limit: Int) -> Read {
    var reader = Netstring(limit: limit)
    var result = Read()
    for piece in pieces {
        piece.withUnsafeBytes { reader.append($0) }
        do throws(WireError) {
            while let payload = try reader.next() { result.payloads.append(Array(payload)) }
        } catch {
            result.error = error
            return result
        }
        check(reader.pending <= limit + 8, "no more is kept than one payload")
    }
    result.pending = reader.pending
    return result
}

/// Requests and replies of the lookup protocol.
@Sendable func lookup(_ bytes: [UInt8]) {
    if let request = Wire.request(bytes[...]) {
        check(request.map.count + 1 + request.key.count == bytes.count, "a request is all of its payload")
        check(request.key.count <= Limits.key && !request.map.contains(32), "a bounded key behind a word")
        var written: [UInt8] = []
        Wire.append(map: Array(request.map), key: Array(request.key), to: &written)
        var reader = Netstring(limit: Limits.request + bytes.count)
        written.withUnsafeBytes { reader.append($0) }
        check((try? reader.next()) == bytes[...] && reader.pending == 0, "a request is written as it was read")
    }
    let answer = Wire.answer(bytes[...])
    check(!answer.description.utf8.hasControls, "an answer fits the log")
    if case .found(let value) = answer {
        check(value.count == max(bytes.count - 3, 0), "a value is all behind its status")
    }
    check(again(answer) == answer || bytes.count > Limits.reply, "an answer is read as it was written")
    for made: Answer in [.found(bytes), .temporary(String(decoding: bytes, as: UTF8.self))] {
        let once = again(made)
        check(again(once) == once, "an answer is read as it was written")
    }
}

/// The last answers of a map, against a dictionary that forgets nothing.
@Sendable func answers(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let capacity = Int(input.byte()) & 15
    var table = AnswerTable(capacity: capacity)
    var model: [[UInt8]: AnswerTable.Kept] = [:]
    var time: UInt64 = 0
    while !input.isEmpty {
        let operation = input.byte()
        let key = [operation >> 3]
        switch operation & 7 {
        case 0...3:
            time += 1
            let kept = AnswerTable.Kept(value: operation & 1 == 0 ? key : nil, time: time)
            table.keep(kept, for: key)
            model[key] = kept
            check(capacity == 0 || table.find(key) == kept, "what came last is there")
        case 4:
            table.remove(key)
            model[key] = nil
            check(table.find(key) == nil, "what was forgotten is not")
        case 5 where operation >> 3 == 31:
            table.removeAll()
            model = [:]
        default:
            if let kept = table.find(key) { check(model[key] == kept, "an answer is the last one") }
        }
        check(table.count <= min(capacity, model.count), "no more answers than there is room")
    }
}

/// What one process hands on to another.
@Sendable func parcel(_ bytes: [UInt8]) {
    if let read = Parcel(bytes) {
        check(read.bytes.count <= bytes.count * 3, "a parcel is what was given")
        check(Parcel(read.bytes) == read, "a parcel is read as it was written")
        for name in ["a", "file", "path"] {
            check(read.parcels(name).count <= read.texts(name).count, "a parcel in a parcel is a value")
            check(read.numbers(name, as: Int32.self).count <= read.texts(name).count, "a number is a value")
        }
    }
    var input = Input(bytes)
    var made = Parcel()
    var values: [[UInt8]] = []
    while !input.isEmpty {
        values.append(input.piece())
        made.add("value", values[values.count - 1])
    }
    check(made.texts("value") == values.map { String(decoding: $0, as: UTF8.self) }, "values in their order")
    check(Parcel(made.bytes) == made, "a parcel is read as it was written")
}

private func again(_ answer: Answer) -> Answer {
    var written: [UInt8] = []
    Wire.append(answer, to: &written)
    var reader = Netstring(limit: Limits.reply)
    written.withUnsafeBytes { reader.append($0) }
    guard let payload = try? reader.next(), reader.pending == 0 else {
        fatalError("property broken: an answer is one netstring within the limit")
    }
    return Wire.answer(payload)
}

/// What goes to the authentication helper, and what comes back.
@Sendable func authentication(_ bytes: [UInt8]) {
    let state = bytes.withUnsafeBytes { AuthenticationRequest.parse($0) }
    if case .complete(let fields) = state {
        check(fields.password.upperBound + 1 == bytes.count, "a request is all there is")
        check(bytes.count <= AuthenticationRequest.limit, "a bounded request")
        let client = String(decoding: bytes[fields.client], as: UTF8.self)
        let written = bytes[fields.password].withUnsafeBytes {
            AuthenticationRequest.encode(user: Array(bytes[fields.user]), client: client, password: $0)
        }
        if client.utf8.elementsEqual(bytes[fields.client]) {
            check(written == bytes, "a request is written as it was read")
        }
        let short = bytes.dropLast(1 + bytes.count / 3)
        check(
            Array(short).withUnsafeBytes { AuthenticationRequest.parse($0) } == .incomplete, "a part is not malformed")
    }
    if state == .malformed {
        check((bytes + [0x30]).withUnsafeBytes { AuthenticationRequest.parse($0) } == .malformed, "malformed for ever")
    }
    var input = Input(bytes)
    let (user, client, password) = (input.piece(), input.text(), input.rest)
    if let written = password.withUnsafeBytes({
        AuthenticationRequest.encode(user: user, client: client, password: $0)
    }) {
        guard case .complete(let fields) = written.withUnsafeBytes({ AuthenticationRequest.parse($0) }) else {
            fatalError("property broken: a request can be read")
        }
        check(
            written[fields.user].elementsEqual(user) && written[fields.client].elementsEqual(client.utf8)
                && written[fields.password].elementsEqual(password), "a request is read as it was written")
    }

    let verdict = AuthenticationVerdict(payload: bytes[...])
    if verdict == .accepted { check(bytes == Array("OK".utf8), "yes is said in one way") }
    var reader = Netstring(limit: AuthenticationVerdict.limit)
    verdict.encoded.withUnsafeBytes { reader.append($0) }
    guard let payload = try? reader.next(), reader.pending == 0 else {
        fatalError("property broken: a verdict is one netstring within the limit")
    }
    let again = AuthenticationVerdict(payload: payload)
    switch (verdict, again) {
    case (.unavailable, .unavailable): break
    default: check(verdict == again, "a verdict is read as it was written")
    }
}
