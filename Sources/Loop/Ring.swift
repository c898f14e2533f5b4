import CLinux

/// The io_uring(7) of one loop: what many connections do in a turn goes to the kernel with one system call.
///
/// Not for what waits: each operation is done at once or tells that it cannot be, except for a watch and a connect.
/// What goes well is not told, so that a loop wakes up for news only.
struct Ring {
    /// What an operation of a channel is, in the lower bits of its data.
    enum Kind: UInt64 {
        /// A watch for what can be read, and for the peer's end.
        case read
        /// A watch for room to write.
        case write
        case send
        case connect
        /// Nobody wants to know.
        case ignored
    }

    /// What an operation is told by: its channel, by descriptor and generation, and what it is.
    struct Token {
        private static let kindBits: UInt64 = 4
        /// Descriptors that fit between the two: 268 million.
        static let descriptors: Int32 = 1 << 28

        let data: UInt64

        init(_ kind: Kind, _ descriptor: Int32, _ generation: UInt32) {
            let number = UInt64(UInt32(bitPattern: descriptor)) << Self.kindBits & 0xffff_ffff
            data = UInt64(generation) << 32 | number | kind.rawValue
        }

        init(_ data: UInt64) { self.data = data }

        static let nobody = Token(.ignored, 0, 0)

        var kind: Kind { Kind(rawValue: data & 0xf) ?? .ignored }
        var descriptor: Int { Int(data & 0xffff_ffff) >> Int(Self.kindBits) }
        var generation: UInt32 { UInt32(truncatingIfNeeded: data >> 32) }
    }

    /// Bytes of one turn that wait to be sent.
    static let roomSize = 256 * 1024
    /// Bytes of the longest that waits; what is longer gains nothing by it, and would be copied.
    static let longest = 4096
    /// Operations that wait to be handed over.
    private static let entries: UInt32 = 512

    private let handle: OpaquePointer
    private let room: UnsafeMutableRawBufferPointer
    private var used = 0
    /// Whose bytes are in the room, and where.
    private var sent: [(data: UInt64, place: Int32, count: Int32)] = []
    /// Counts how often the room has been emptied: what was put into it since then is still there. Never 0.
    private(set) var batch: UInt32 = 1

    /// Nil where the system has no io_uring for this program, or one older than Linux 6.1. It belongs to this thread.
    /// - Parameter polls: whether it waits as with a system older than Linux 6.15.
    init?(polls: Bool = false) {
        guard let handle = linux_ring_open(Self.entries, polls ? 1 : 0) else { return nil }
        self.handle = handle
        room = .allocate(byteCount: Self.roomSize, alignment: 4096)
    }

    /// The end of it, and of all that it watches.
    func close() {
        linux_ring_close(handle)
        room.deallocate()
    }

    // MARK: Adding

    /// Tells of events; once, or whenever there are new ones. False where the system takes nothing more.
    func watch(_ descriptor: Int32, for events: UInt32, repeatedly: Bool, as token: Token) -> Bool {
        linux_ring_watch(handle, descriptor, events, repeatedly ? 1 : 0, token.data) == 0
    }

    /// Ends a watch or a connect.
    func cancel(_ token: Token) {
        _ = linux_ring_cancel(handle, token.data, Token.nobody.data)
    }

    /// False where the system takes nothing more.
    func closeDescriptor(_ descriptor: Int32) -> Bool {
        linux_ring_close_descriptor(handle, descriptor, Token.nobody.data) == 0
    }

    /// Takes a copy of bytes that leave at the end of the turn. False where there is no room.
    mutating func send(_ bytes: UnsafeRawBufferPointer, more: Bool, to descriptor: Int32, as token: Token) -> Bool {
        guard let place = put(bytes) else { return false }
        guard
            linux_ring_send(
                handle, descriptor, room.baseAddress.map { $0 + place }, UInt32(clamping: bytes.count), more ? 1 : 0,
                token.data) == 0
        else { return false }
        sent.append((token.data, Int32(clamping: place), Int32(clamping: bytes.count)))
        return true
    }

    /// False where there is no room.
    mutating func connect(_ descriptor: Int32, to address: SocketAddress, as token: Token) -> Bool {
        address.withSocketAddress { pointer, length in
            guard let place = put(UnsafeRawBufferPointer(start: pointer, count: Int(length))) else { return false }
            return linux_ring_connect(handle, descriptor, room.baseAddress.map { $0 + place }, length, token.data) == 0
        }
    }

    private mutating func put(_ bytes: UnsafeRawBufferPointer) -> Int? {
        // Where an address can begin.
        let place = (used + 7) & ~7
        guard room.count - place >= bytes.count else { return nil }
        UnsafeMutableRawBufferPointer(rebasing: room[place...]).copyMemory(from: bytes)
        used = place + bytes.count
        return place
    }

    /// What is left of the last bytes of this batch that were sent under that name.
    func rest(of token: Token, behind taken: Int) -> UnsafeRawBufferPointer {
        guard let bytes = sent.last(where: { $0.data == token.data }) else {
            return UnsafeRawBufferPointer(rebasing: room[..<0])
        }
        let start = min(max(0, Int(bytes.place) + max(0, taken)), room.count)
        let end = min(max(start, Int(bytes.place) + Int(bytes.count)), room.count)
        return UnsafeRawBufferPointer(rebasing: room[start..<end])
    }

    // MARK: Handing over

    /// Hands over what was added.
    func submit() {
        linux_ring_submit(handle)
    }

    /// Hands over what was added, and waits for news; -1 for as long as it takes.
    func wait(milliseconds: Int32) {
        linux_ring_wait(handle, milliseconds)
    }

    /// The next news.
    func next() -> linux_completion? {
        var completion = linux_completion()
        return linux_ring_next(handle, &completion) != 0 ? completion : nil
    }

    /// What came of one operation, where it is known and no news yet.
    func take(_ token: Token) -> Int32? {
        var result: Int32 = 0
        return linux_ring_take(handle, token.data, Token.nobody.data, &result) != 0 ? result : nil
    }

    /// Whether bytes wait to be sent, or have been and are still here.
    var holds: Bool { used > 0 }

    /// Begins the next batch: all of this one was handed over, and what did not go well is known. It may have been a password.
    mutating func empty() {
        if used > 0 { linux_wipe(room.baseAddress, used) }
        used = 0
        sent.removeAll(keepingCapacity: true)
        batch &+= 1
        if batch == 0 { batch = 1 }
    }
}
