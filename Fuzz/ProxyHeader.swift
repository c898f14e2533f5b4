import Loop

@testable import Proxy

/// The header of a load balancer.
@Sendable func proxyHeader(_ bytes: [UInt8]) {
    switch ProxyHeader.read(bytes) {
    case .invalid(let reason): check(!reason.isEmpty, "a reason")
    case .incomplete:
        check(bytes.count < ProxyHeader.limit, "a header has an end")
    case .header(let header, let length):
        check(length <= bytes.count && length <= ProxyHeader.limit, "a header is within its bytes")
        for shorter in [0, 1, length / 2, length - 1] {
            check(ProxyHeader.read(Array(bytes[..<shorter])) == .incomplete, "the beginning of a header is one")
        }
        check(
            ProxyHeader.read(Array(bytes[..<length])) == .header(header, length: length), "what follows does not matter"
        )
        for address in [header.source, header.destination] {
            check(address.map { $0.kind == .v4 || $0.kind == .v6 } ?? true, "an address, or none")
        }
        for version in ProxyHeader.Version.allCases {
            let written = header.bytes(version)
            check(version == .v2 || written.count <= ProxyHeader.lineLimit, "a short line")
            guard case .header(let again, written.count) = ProxyHeader.read(written) else {
                fatalError("property broken: what is written can be read")
            }
            guard header.source?.kind == header.destination?.kind else { continue }
            check(again == header, "a header is read as it was written")
        }
    }
}
