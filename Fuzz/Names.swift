import Loop

@testable import Proxy
@testable import TLS

/// Answers of popmaps, and servers that options and users name.
@Sendable func destination(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let delimiter = input.piece()
    let value = input.rest
    for alone in [false, true] {
        guard let place = Destination(value: value, delimiter: delimiter, alone: alone) else { continue }
        let servers = [ServerAddress(host: place.host, port: place.port)] + place.others
        check(servers.count <= (alone ? 1 : Destination.serverLimit), "a bounded list")
        var size = place.user?.count ?? 0
        for server in servers {
            let (host, port) = (Array(server.host.utf8), server.port.map { Array($0.utf8) })
            check(!host.isEmpty && host.allSatisfy { $0 > 0x20 && $0 < 0x7f }, "a host is printable")
            check(port?.isEmpty != true && port?.allSatisfy { $0 > 0x20 && $0 < 0x7f } != false, "a port is printable")
            size += host.count + (port?.count ?? 0)
            checkAgain(server)
        }
        check(size <= value.count, "servers are a part of the value")
        check(delimiter.isEmpty == false || place.user == nil, "no name without a delimiter")
        var visited = 1
        var next = place
        while next.advance() { visited += 1 }
        check(visited == servers.count, "each server has its turn")
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

/// Ranges of addresses, beside one address.
@Sendable func network(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let text = input.text()
    let isV6 = input.byte() & 1 != 0
    let number = (input.rest + [UInt8](repeating: 0, count: 16)).prefix(isV6 ? 16 : 4)
    let host = isV6 ? groups(Array(number)) : number.map { String($0) }.joined(separator: ".")
    guard let address = SocketAddress(host: host, port: 143) else { fatalError("property broken: an address is one") }
    guard let alone = Network(address.host) else { fatalError("property broken: an address is a network") }
    check(alone.contains(address), "an address is in its own network")
    guard let network = Network(text) else { return }
    check(Network(network.description) == network, "a network is read as it is written")
    let parts = text.split(separator: "/")
    guard let start = SocketAddress(host: String(parts[0]), port: 0) else {
        fatalError("property broken: a network begins with an address")
    }
    check(network.contains(start), "a network has its first address")
    let length = parts.count == 2 ? Int(parts[1]) ?? -1 : start.kind == .v6 ? 128 : 32
    guard start.kind == address.kind else { return check(!network.contains(address), "another family is elsewhere") }
    let (mine, first) = (bits(address), bits(start))
    check(network.contains(address) == (mine.prefix(length) == first.prefix(length)), "as many bits as it says")
    check(!first.dropFirst(length).contains(true), "no bits beyond")
}

/// An IPv6 address, uncompressed.
private func groups(_ number: [UInt8]) -> String {
    let groups: [String] = stride(from: 0, to: 16, by: 2).map { index in
        String(Int(number[index]) << 8 | Int(number[index + 1]), radix: 16)
    }
    return groups.joined(separator: ":")
}

/// The bits of an address, the first one first.
private func bits(_ address: SocketAddress) -> [Bool] {
    var all: [Bool] = []
    for half in [address.number.high, address.number.low] {
        for place: UInt64 in 0..<64 { all.append((half >> (63 - place)) & 1 == 1) }
    }
    return address.kind == .v6 ? all : Array(all.dropFirst(96))
}
