import CMariaDB

/// Where the client library puts a column.
final class MySQLColumn {
    private let bytes: UnsafeMutableRawBufferPointer
    private let length = UnsafeMutablePointer<UInt>.allocate(capacity: 1)
    private let isNull = UnsafeMutablePointer<my_bool>.allocate(capacity: 1)

    /// A place for that many bytes; what is beyond is cut.
    init(room: Int) {
        bytes = .allocate(byteCount: room, alignment: 1)
        length.initialize(to: 0)
        isNull.initialize(to: 0)
    }

    deinit {
        bytes.deallocate()
        length.deallocate()
        isNull.deallocate()
    }

    /// The place as the library wants it described.
    func bind() -> MYSQL_BIND {
        var bind = MYSQL_BIND()
        bind.buffer_type = MYSQL_TYPE_STRING
        bind.buffer = bytes.baseAddress
        bind.buffer_length = UInt(bytes.count)
        bind.length = length
        bind.is_null = isNull
        return bind
    }

    /// What was fetched; nil for NULL. A value that was cut fills the room.
    var value: [UInt8]? {
        guard isNull.pointee == 0 else { return nil }
        return Array(bytes.prefix(min(Int(clamping: length.pointee), bytes.count)))
    }
}
