import Loop

@testable import Proxy
@testable import TLS

/// Answers of popmaps, and servers that options and users name.
@Sendable func destination(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let delimiter = input.piece()
    let value = input.rest
    if let place = Destination(value: value, delimiter: delimiter) {
        let (host, port) = (Array(place.host.utf8), place.port.map { Array($0.utf8) })
        check(!host.isEmpty && host.allSatisfy { $0 > 0x20 && $0 < 0x7f }, "a host is printable")
        check(port?.isEmpty != true && port?.allSatisfy { $0 > 0x20 && $0 < 0x7f } != false, "a port is printable")
        check(host.count + (port?.count ?? 0) + (place.user?.count ?? 0) <= value.count, "a part of the value")
        check(delimiter.isEmpty == false || place.user == nil, "no name without a delimiter")
        checkAgain(ServerAddress(host: place.host, port: place.port))
    }
    if let address = ServerAddress(bytes: value) { checkAgain(address) }
}

private func checkAgain(_ address: ServerAddress) {
    // Brackets and a single colon in a host are no host's; they are for the resolver to refuse.
    guard !address.host.contains(where: { "[]".contains($0) }), address.host.utf8.count(where: { $0 == 0x3a }) != 1,
        address.port?.utf8.contains(0x3a) != true
    else { return }
    check(ServerAddress(address.description) == address, "an address is read as it is written: \(address)")
}

/// The forms of a name, and the keys that are looked up.
@Sendable func names(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let stages = input.byte()
    var options = Options()
    options.domainDelimiter = input.text()
    options.stripDomain = stages & 1 == 0 ? [] : .serverLookup
    options.addDomain = stages & 2 == 0 ? [] : .serverLookup
    options.lowerCase = stages & 4 == 0 ? [] : .serverLookup
    let domain = UserName.domain(of: input.text(), depth: Int(stages >> 4))
    let format = input.text()
    let name = input.rest
    let delimiter = Array(options.domainDelimiter.utf8)

    let form = UserName(options, domain: domain).form(of: name, for: .serverLookup)
    check(form.count <= name.count + delimiter.count + (domain?.count ?? 0), "a form is no longer than its parts")
    if stages & 4 != 0 { check(form == form.map(ASCII.lower), "in lower case") }
    check(UserName(options, domain: domain).form(of: name, for: .remoteLogin) == name, "other stages keep the name")
    if let halves = Delimiter.split(name, at: delimiter) {
        check(halves.head + delimiter + halves.tail == name, "halves make the whole")
        if !delimiter.isEmpty { check(Delimiter.last(delimiter, in: halves.tail) == nil, "the last delimiter") }
    }
    guard let query = QueryKey(format), let address = SocketAddress(host: "127.0.0.1", port: 143) else { return }
    let key = query.key(for: name, delimiter: delimiter, source: address, destination: address)
    check(key.count <= format.utf8.count * (name.count + delimiter.count + 16), "a bounded key")
}

/// Names in certificates, beside the name that is looked for.
@Sendable func certificate(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let wanted = input.text()
    let pattern = input.text()
    let peer = PeerName(wanted)
    let matches = CertificateNames(names: [pattern]).match(peer)
    let (name, mask) = (Array(peer.name.utf8), Array(pattern.utf8))
    if matches {
        check(!mask.isEmpty && !mask.contains(0) && !name.contains(0), "no NUL hides a part of a name")
        let lower = mask.map(ASCII.lower)
        let isSame = lower == name
        let isBelow =
            lower.count > 2 && lower.starts(with: "*.".utf8) && peer.address == nil
            && name.count > lower.count - 1 && name.suffix(lower.count - 1) == lower[1...]
            && !name.prefix(name.count - lower.count + 1).contains(UInt8(ascii: "."))
        check(isSame || isBelow, "a wildcard stands for one label")
    }
    if let shown = peer.indication { check(shown.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }, "a name for the hello") }
    check(!CertificateNames(names: []).match(peer), "no name matches nothing")
}
