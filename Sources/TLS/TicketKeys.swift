import COpenSSL
import Glibc
import Synchronization

/// Bytes of a link, and of each key.
private let keySize = 32

/// What session tickets are sealed with, shared by every process of a program: clients resume with the one that comes
/// after a reload or a crash.
///
/// A chain: from one link follow, by HMAC, the keys of its time and the next link, and nothing leads back. So processes
/// that have one link go on to the same keys without asking each other, and what is taken from one of them opens no
/// ticket older than two lifetimes.
public final class TicketKeys: Sendable {
    /// Seconds that new tickets are sealed with the same keys; opened are also those of the keys before. It is as long as
    /// OpenSSL lets a session be resumed, so none ends early.
    public static let lifetime: UInt64 = 7200

    /// The keys of one time.
    struct Keys: Equatable {
        /// How they are known to tickets.
        fileprivate(set) var name: [UInt8] = []
        fileprivate(set) var cipher: [UInt8] = []
        fileprivate(set) var mac: [UInt8] = []

        /// What a link means.
        fileprivate init(_ link: [UInt8]) {
            name = Array(derive(link, "name").prefix(16))
            cipher = derive(link, "cipher")
            mac = derive(link, "mac")
        }

        fileprivate init?(packed bytes: ArraySlice<UInt8>) {
            guard bytes.count == 16 + 2 * keySize else { return nil }
            name = Array(bytes.prefix(16))
            cipher = Array(bytes.dropFirst(16).prefix(keySize))
            mac = Array(bytes.suffix(keySize))
        }

        fileprivate var packed: [UInt8] { name + cipher + mac }
    }

    private struct Chain {
        /// Which time the link is for, counted in lifetimes.
        var age: UInt64
        var link: [UInt8]
        var current: Keys
        /// Those of the time before.
        var previous: Keys?

        /// Goes on to where the clock is.
        mutating func advance(to now: UInt64) {
            while age < now {
                age += 1
                link = derive(link, "next")
                previous = current
                current = Keys(link)
            }
        }
    }

    private let chain: Mutex<Chain>
    private let clock: @Sendable () -> UInt64

    /// New ones.
    public convenience init() {
        self.init(clock: Self.seconds)
    }

    init(clock: @escaping @Sendable () -> UInt64) {
        var random = SystemRandomNumberGenerator()
        let link = (0..<keySize).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        chain = Mutex(Chain(age: clock() / Self.lifetime, link: link, current: Keys(link)))
        self.clock = clock
    }

    /// Those that another process has packed; nil where these are none.
    public convenience init?(_ packed: [UInt8]) {
        self.init(packed, clock: Self.seconds)
    }

    init?(_ packed: [UInt8], clock: @escaping @Sendable () -> UInt64) {
        guard packed.count >= 8 + keySize else { return nil }
        let age = packed.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let link = Array(packed.dropFirst(8).prefix(keySize))
        let rest = packed.dropFirst(8 + keySize)
        let previous = Keys(packed: rest)
        guard rest.isEmpty || previous != nil, age <= clock() / Self.lifetime else { return nil }
        chain = Mutex(Chain(age: age, link: link, current: Keys(link), previous: previous))
        self.clock = clock
    }

    /// For another process of this machine: whoever has this opens every ticket to come.
    public var packed: [UInt8] {
        let now = clock() / Self.lifetime
        return chain.withLock { chain in
            chain.advance(to: now)
            let age = (0..<8).map { UInt8(truncatingIfNeeded: chain.age >> (56 - 8 * UInt64($0))) }
            return age + chain.link + (chain.previous?.packed ?? [])
        }
    }

    /// The keys for new tickets.
    var current: Keys {
        let now = clock() / Self.lifetime
        return chain.withLock { chain in
            chain.advance(to: now)
            return chain.current
        }
    }

    /// The keys a ticket was sealed with; nil where they are gone, or somebody else's.
    func keys(named name: UnsafeBufferPointer<UInt8>) -> Keys? {
        let now = clock() / Self.lifetime
        return chain.withLock { chain in
            chain.advance(to: now)
            return [chain.current, chain.previous].compactMap(\.self).first { $0.name.elementsEqual(name) }
        }
    }

    private static func seconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(truncatingIfNeeded: time.tv_sec)
    }
}

/// What follows from a link for one purpose.
private func derive(_ link: [UInt8], _ purpose: String) -> [UInt8] {
    var result = [UInt8](repeating: 0, count: keySize)
    var count = UInt32(keySize)
    let text = Array("perdition ticket \(purpose)".utf8)
    HMAC(EVP_sha256(), link, Int32(link.count), text, text.count, &result, &count)
    return result
}

extension TLSContextBuilder {
    /// Tickets are sealed with these; the context has to hold them as long as it lives.
    func setTickets(_ keys: TicketKeys) {
        SSL_CTX_set_ex_data(handle, 0, Unmanaged.passUnretained(keys).toOpaque())
        SSL_CTX_set_tlsext_ticket_key_evp_cb(handle, ticketCallback)
    }
}

/// Seals a ticket or opens one.
/// - Returns: as SSL_CTX_set_tlsext_ticket_key_evp_cb(3) has it: 1 done, 2 opened but a new one is due, 0 not ours, -1
///   failed.
private func ticketCallback(
    _ connection: OpaquePointer?, _ name: UnsafeMutablePointer<UInt8>?, _ vector: UnsafeMutablePointer<UInt8>?,
    _ cipher: OpaquePointer?, _ mac: OpaquePointer?, _ isForSealing: Int32
) -> Int32 {
    guard let connection, let name, let vector, let context = SSL_get_SSL_CTX(connection),
        let data = SSL_CTX_get_ex_data(context, 0)
    else { return -1 }
    let tickets = Unmanaged<TicketKeys>.fromOpaque(data).takeUnretainedValue()
    guard isForSealing != 1 else {
        var keys = tickets.current
        name.update(from: keys.name, count: keys.name.count)
        guard RAND_bytes(vector, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1,
            EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nil, keys.cipher, vector) == 1,
            openssl_set_ticket_mac(mac, &keys.mac, keys.mac.count) == 1
        else { return -1 }
        return 1
    }
    guard var keys = tickets.keys(named: UnsafeBufferPointer(start: name, count: 16)) else { return 0 }
    guard openssl_set_ticket_mac(mac, &keys.mac, keys.mac.count) == 1,
        EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nil, keys.cipher, vector) == 1
    else { return -1 }
    // RFC 8446 C.4: a client should not show the same ticket twice, so it needs another.
    return keys == tickets.current && SSL_version(connection) != TLS1_3_VERSION ? 1 : 2
}
