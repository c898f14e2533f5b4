import CLinux
import COpenSSL
import Glibc

/// What OpenSSL reads and writes a connection's bytes with, in place of its own: it knows of `MSG_MORE`, and many records
/// can leave with one call.
///
/// While a batch is open, records go into memory that the caller lends; what the socket does not take of it waits in
/// memory of its own, ahead of everything else.
struct TLSTransport {
    /// Non-blocking; the caller's.
    let descriptor: Int32
    /// Whether more, or the end, follows at once and may share a segment.
    var hasMore = false
    /// Whether the peer has closed its direction.
    fileprivate(set) var sawEnd = false
    /// The batch that is open.
    private var room = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    /// Bytes in it.
    private(set) var used = 0
    /// Records, or what is left of them, that wait to be taken.
    private var unsent: [UInt8] = []

    /// A transport of an open descriptor.
    init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// Whether anything waits to be taken.
    var isWaiting: Bool { !unsent.isEmpty }

    /// From now on records are gathered.
    mutating func open(_ room: UnsafeMutableRawBufferPointer) {
        self.room = room
        used = 0
    }

    /// Whether the batch has room for so many bytes more.
    func hasRoom(for size: Int) -> Bool { room.count - used >= size }

    /// Sends the batch.
    /// - Returns: how much of it was taken; the rest waits, unless the connection is broken.
    mutating func close() -> Int {
        defer {
            room = UnsafeMutableRawBufferPointer(start: nil, count: 0)
            used = 0
        }
        let batch = UnsafeRawBufferPointer(rebasing: room.prefix(used))
        let taken = max(0, send(batch))
        if taken < batch.count { unsent = Array(batch[taken...]) }
        return taken
    }

    /// Sends what waits.
    /// - Returns: whether all of it was taken; nil, with `errno` set, where the connection is broken.
    mutating func flush() -> Bool? {
        let taken = unsent.withUnsafeBytes { send($0) }
        if taken == unsent.count {
            unsent = []
            return true
        }
        if taken > 0 { unsent.removeFirst(taken) }
        return taken >= 0 || linux_errno() == EAGAIN ? false : nil
    }

    private func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        while true {
            let count =
                hasMore
                ? linux_send_more(descriptor, bytes.baseAddress, bytes.count)
                : linux_send(descriptor, bytes.baseAddress, bytes.count)
            if count >= 0 || linux_errno() != EINTR { return count }
        }
    }

    /// Takes a record.
    /// - Returns: how much of it; -1 where there is no room now, or, with `errno` set, the connection is broken.
    fileprivate mutating func put(_ record: UnsafeRawBufferPointer) -> (count: Int, isFull: Bool) {
        if isWaiting { return (-1, true) }
        if room.baseAddress != nil {
            guard hasRoom(for: record.count) else { return (-1, true) }
            UnsafeMutableRawBufferPointer(rebasing: room[used...]).copyMemory(from: record)
            used += record.count
            return (record.count, false)
        }
        let count = send(record)
        return (count, count < 0 && linux_errno() == EAGAIN)
    }

    /// Reads what there is.
    /// - Returns: how much; 0 at the end, -1 with `errno` set where there is nothing now, or the connection is broken.
    fileprivate mutating func take(_ memory: UnsafeMutableRawBufferPointer) -> Int {
        while true {
            let count = recv(descriptor, memory.baseAddress, memory.count, 0)
            if count == 0 { sawEnd = true }
            if count >= 0 || linux_errno() != EINTR { return count }
        }
    }
}

extension TLSConnection {
    /// OpenSSL's end of the transport; the connection owns it by its SSL.
    /// - Returns: false where memory is short.
    static func connect(_ ssl: OpaquePointer, to connection: TLSConnection) -> Bool {
        guard let method = transportMethod.pointer, let bio = BIO_new(method) else { return false }
        // It lives as long as its SSL does, which the connection frees.
        BIO_set_data(bio, Unmanaged.passUnretained(connection).toOpaque())
        SSL_set_bio(ssl, bio, bio)
        return true
    }
}

/// Why a call came to nothing.
private let retryFlags = BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY

/// The functions of the transport, for all connections.
private let transportMethod = TransportMethod()

private struct TransportMethod: @unchecked Sendable {
    // OpenSSL only reads it.
    let pointer: OpaquePointer?

    init() {
        pointer = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket of perdition")
        guard let pointer else { return }
        BIO_meth_set_write(pointer) { bio, bytes, count in
            with(bio) { transport in
                let record = UnsafeRawBufferPointer(start: bytes, count: Int(max(0, count)))
                let (taken, isFull) = transport.put(record)
                BIO_clear_flags(bio, retryFlags)
                if isFull { BIO_set_flags(bio, BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY) }
                return Int32(clamping: taken)
            }
        }
        BIO_meth_set_read(pointer) { bio, bytes, count in
            with(bio) { transport in
                let taken = transport.take(UnsafeMutableRawBufferPointer(start: bytes, count: Int(max(0, count))))
                let isEmpty = taken < 0 && linux_errno() == EAGAIN
                BIO_clear_flags(bio, retryFlags)
                if isEmpty { BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY) }
                return Int32(clamping: taken)
            }
        }
        BIO_meth_set_ctrl(pointer) { bio, command, _, _ in
            switch command {
            case BIO_CTRL_FLUSH, BIO_CTRL_DUP: 1
            case BIO_CTRL_EOF: Int(with(bio) { $0.sawEnd ? 1 : 0 })
            default: 0
            }
        }
    }
}

/// Calls with the transport that a BIO stands for.
private func with(_ bio: OpaquePointer?, _ body: (inout TLSTransport) -> Int32) -> Int32 {
    guard let data = BIO_get_data(bio) else { return -1 }
    return Unmanaged<TLSConnection>.fromOpaque(data)._withUnsafeGuaranteedRef { body(&$0.transport) }
}
