import CLinux
import Glibc

@testable import PopmapTable

/// A popmap's table: read as it was made; and with bytes changed, whatever it says, from nowhere else.
@Sendable func table(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let identity = FileIdentity(device: 1, inode: 2, size: 256, modified: 3, changed: 4)
    guard var maker = PopmapTableMaker(path: "/a/map", identity: identity) else { return }
    var model: [[UInt8]: PopmapTable.Finding] = [:]
    var keys: [[UInt8]] = []
    for _ in 0..<(Int(input.byte()) & 63) {
        let (key, hasValue) = (input.piece(), input.byte() & 7 > 0)
        let value = hasValue ? input.piece() : nil
        maker.add(key, value)
        if model[key] == nil { model[key] = value.map { .value($0) } ?? .unknown }
        keys.append(key)
    }
    guard let file = maker.finish(), let good = PopmapTable(descriptor: file.descriptor) else {
        fatalError("property broken: a table is read as it was made")
    }
    check(good.count == keys.count && good.identity == identity && good.path == "/a/map", "a table says what it is of")
    for (key, finding) in model { check(good.find(key) == finding, "a table has what went in") }
    let stranger = input.piece()
    check(model[stranger] != nil || good.find(stranger) == .absent, "a table has nothing else")

    var status = stat()
    guard fstat(file.descriptor, &status) == 0 else { return }
    let size = Int(status.st_size)
    var memory: UnsafeMutableRawPointer?
    let copy = linux_open_memory("changed", size, &memory)
    defer { close(copy) }
    guard copy >= 0, let memory else { return }
    defer { munmap(memory, size) }
    guard pread(file.descriptor, memory, size, 0) == size else { return }
    let room = UnsafeMutableRawBufferPointer(start: memory, count: size)
    while !input.isEmpty {
        // Now and then in the head, where most of the numbers are.
        let place = Int(input.byte()) | Int(input.byte()) << 8
        room[place & 0x8000 != 0 ? place % 96 : place % size] = input.byte()
    }
    guard linux_seal_memory(copy, size) == 0, let changed = PopmapTable(descriptor: copy) else { return }
    for key in keys + [stranger, []] { _ = changed.find(key) }
    _ = changed.isCurrent
}
