import CLinux
import COpenSSL
import Glibc

/// Where a connection's records go instead of its socket: to whoever gathers what leaves together.
public protocol TLSOutlet: AnyObject {
    /// Takes what it can of bytes of which there are some.
    /// - Parameter more: whether more, or the end, follows at once and may share a segment.
    /// - Returns: how many; -1 with `errno` set where it takes none, with `EAGAIN` for now.
    func put(_ bytes: UnsafeRawBufferPointer, more: Bool) -> Int
}

/// What OpenSSL reads and writes a connection's bytes with, in place of its own: it knows of `MSG_MORE`, and many records
/// can leave with one call.
///
/// While a batch is open, records go into memory that the caller lends; what the socket does not take of it waits in
/// memory of its own, ahead of everything else.
struct TLSTransport {
    /// Non-blocking; the caller's.
    let descriptor: Int32
    /// Nil for the socket itself.
    private let outlet: (any TLSOutlet)?
    /// Whether more, or the end, follows at once and may share a segment.
    var hasMore = false
    /// Whether nothing is there to be read until the system says so: an attempt is not made.
    private(set) var isDrained = false
    /// Whether a read that brings less than there was room for means that.
    private var trustsShortReads = false
    /// Whether the peer has closed its direction.
    fileprivate(set) var sawEnd = false
    /// The batch that is open, where its caller has it; nil for none.
    private var batch: UnsafeMutablePointer<Batch>?
    /// Records, or what is left of them, that wait to be taken.
    private var unsent: [UInt8] = []

    /// A transport of an open descriptor.
    init(_ descriptor: Int32, outlet: (any TLSOutlet)?) {
        self.descriptor = descriptor
        self.outlet = outlet
    }

    /// Whether anything waits to be taken.
    var isWaiting: Bool { !unsent.isEmpty }

    /// Records that are to leave together.
    struct Batch {
        /// Most writes that can go into one.
        static let longest = 16

        /// Memory for them.
        let room: UnsafeMutableRawBufferPointer
        /// Bytes of it that are used.
        var used = 0
        /// For each write, the bytes of the caller's up to its end, and those here.
        private var marks = InlineArray<16, (written: Int32, used: Int32)>(repeating: (0, 0))
        private var count = 0

        /// An empty one.
        init(room: UnsafeMutableRawBufferPointer) { self.room = room }

        /// Whether there is room for one write more, of so many bytes.
        func hasRoom(for size: Int) -> Bool { count < Self.longest && room.count - used >= size }

        /// Takes note of the end of a write.
        /// - Parameter written: bytes of the caller's up to here.
        mutating func mark(_ written: Int) {
            guard count < Self.longest else { return }
            marks[count] = (Int32(clamping: written), Int32(clamping: used))
            count += 1
        }

        /// Bytes of the caller's that are in the first so many bytes as a whole.
        func written(in taken: Int) -> Int {
            var written: Int32 = 0
            for index in 0..<count where Int(marks[index].used) <= taken { written = marks[index].written }
            return Int(written)
        }
    }

    /// From now on records are gathered.
    /// - Parameter batch: stays where it is until ``close()``.
    mutating func open(_ batch: UnsafeMutablePointer<Batch>) { self.batch = batch }

    /// Sends the batch.
    /// - Returns: how much of it was taken; the rest waits, unless the connection is broken.
    mutating func close() -> Int {
        guard let batch = batch.take() else { return 0 }
        let records = UnsafeRawBufferPointer(rebasing: batch.pointee.room.prefix(batch.pointee.used))
        let taken = max(0, send(records))
        if taken < records.count { unsent = Array(records[taken...]) }
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
        if let outlet { return outlet.put(bytes, more: hasMore) }
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
        if let batch {
            guard batch.pointee.room.count - batch.pointee.used >= record.count else { return (-1, true) }
            UnsafeMutableRawBufferPointer(rebasing: batch.pointee.room[batch.pointee.used...]).copyMemory(from: record)
            batch.pointee.used += record.count
            return (record.count, false)
        }
        let count = send(record)
        return (count, count < 0 && linux_errno() == EAGAIN)
    }

    /// Reads what there is.
    /// - Returns: how much; 0 at the end, -1 with `errno` set where there is nothing now, or the connection is broken.
    fileprivate mutating func take(_ memory: UnsafeMutableRawBufferPointer) -> Int {
        guard !isDrained else {
            errno = EAGAIN
            return -1
        }
        while true {
            let count = recv(descriptor, memory.baseAddress, memory.count, 0)
            if count == 0 {
                sawEnd = true
                // Or an older fault would be taken for the reason.
                errno = 0
            }
            if count > 0, count < memory.count { isDrained = trustsShortReads }
            if count >= 0 || linux_errno() != EINTR { return count }
        }
    }

    /// Says what the loop knows of the descriptor, which it watches edge-triggered.
    /// - Parameters:
    ///   - readable: whether there was an edge since the last attempt that brought less than there was room for.
    ///   - isEnding: whether the peer has closed its direction, behind which comes no edge any more.
    mutating func expect(readable: Bool, isEnding: Bool) {
        isDrained = !readable && !isEnding
        trustsShortReads = !isEnding
    }
}

extension TLSConnection {
    /// Gives an SSL its end of a transport.
    /// - Returns: false where memory is short.
    static func connect(_ ssl: OpaquePointer) -> Bool {
        guard let method = TransportMethod.pointer, let bio = BIO_new(method) else { return false }
        SSL_set_bio(ssl, bio, bio)
        return true
    }

    /// Tells OpenSSL's end of the transport whose it is; before every call that may read or write.
    func attach() {
        // The connection outlives the call.
        BIO_set_data(SSL_get_rbio(ssl), Unmanaged.passUnretained(self).toOpaque())
    }

    /// From now on shares OpenSSL's end of the transport with the others of this thread: it is little more than a name for
    /// the call that is under way, and has 200 bytes. A handshake needs its own, as OpenSSL puts a buffer ahead of it.
    func shareTransport() {
        var bio = pthread_getspecific(ThreadsTransport.key).map { OpaquePointer($0) }
        if bio == nil, let method = TransportMethod.pointer, let new = BIO_new(method) {
            pthread_setspecific(ThreadsTransport.key, UnsafeRawPointer(new))
            bio = new
        }
        // One for the SSL.
        guard let bio, BIO_up_ref(bio) == 1 else { return }
        SSL_set_bio(ssl, bio, bio)
    }
}

/// One end for all connections of a thread.
private enum ThreadsTransport {
    static let key: pthread_key_t = {
        var key = pthread_key_t()
        pthread_key_create(&key) { BIO_free($0.map { OpaquePointer($0) }) }
        return key
    }()
}

/// Why a call came to nothing.
private let retryFlags = BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY

/// The functions of the transport, for all connections.
private enum TransportMethod {
    /// nil where memory is short.
    static var pointer: OpaquePointer? { OpaquePointer(bitPattern: address) }

    /// Where it is. A number, as every thread has OpenSSL read what is there.
    private static let address: UInt = {
        guard let pointer = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket of perdition") else {
            return 0
        }
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
        return UInt(bitPattern: pointer)
    }()
}

/// Calls with the transport that a BIO stands for.
private func with(_ bio: OpaquePointer?, _ body: (inout TLSTransport) -> Int32) -> Int32 {
    guard let data = BIO_get_data(bio) else { return -1 }
    return Unmanaged<TLSConnection>.fromOpaque(data)._withUnsafeGuaranteedRef { body(&$0.transport) }
}
