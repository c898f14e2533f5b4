import CLinux
import Glibc
import Loop
import Synchronization

@testable import Proxy

/// Where dialogues take place: one loop on a thread of its own.
private let loop: Loop = {
    guard let thread = try? LoopThread(), (try? thread.start(name: "dialogue")) != nil else { fatalError("no loop") }
    return Loop(thread)
}()

private final class Outcome<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)

    func put(_ new: Value) { value.withLock { $0 = new } }

    func wait() -> Value {
        for _ in 0..<(Int(patience) * 10) {
            if let value = value.withLock({ $0 }) { return value }
            usleep(100)
        }
        fatalError("property broken: a dialogue comes to an end")
    }
}

/// Milliseconds without a byte after which a dialogue hangs.
private let patience: Int32 = 20_000

/// Plays the far end of a dialogue: sends the pieces one after the other, each when the one ahead of it is read, then
/// nothing more.
/// - Returns: what `body` came to, and all that the far end heard.
func talk<Value: Sendable>(
    _ pieces: [[UInt8]], _ body: @escaping @Sendable (Proxy.Stream) async -> Value
) -> (value: Value, heard: [UInt8]) {
    var ends: [Int32] = [-1, -1]
    guard linux_socketpair(&ends) == 0 else { fatalError("no socket pair") }
    let (near, far) = (ends[0], ends[1])
    defer { close(far) }
    let outcome = Outcome<Value>()
    var heard: [UInt8] = []
    var ended = false
    // What fits is there before the dialogue begins: a turn of the loop less.
    var waiting = pieces[...]
    var sent = 0
    send(&waiting, &sent, to: far, isFirst: true)
    loop.start { loop in
        guard let channel = try? Channel(near, on: loop.thread) else { fatalError("no channel") }
        let stream = Stream(channel, patience: UInt64(patience))
        outcome.put(await body(stream))
        stream.close()
    }
    while !ended {
        var state = pollfd(fd: far, events: Int16(POLLIN), revents: 0)
        // The next piece goes when the last is gone from the socket, which nothing reports.
        // libFuzzer's alarm may interrupt it.
        let count = poll(&state, 1, waiting.isEmpty ? 2 * patience : 0)
        check(count != 0 || !waiting.isEmpty, "a dialogue comes to an end")
        if count > 0 { ended = receive(&heard, from: far) }
        send(&waiting, &sent, to: far, isFirst: false)
    }
    // A dialogue that hangs up waits for the far end to do the same.
    shutdown(far, Int32(SHUT_WR))
    let value = outcome.wait()
    return (value, heard)
}

private func send(_ pieces: inout ArraySlice<[UInt8]>, _ sent: inout Int, to far: Int32, isFirst: Bool) {
    guard let piece = pieces.first else { return }
    var queued: Int32 = 0
    if !isFirst, sent == 0, ioctl(far, UInt(TIOCOUTQ), &queued) == 0, queued > 0 {
        sched_yield()
        return
    }
    let count = piece[sent...].withUnsafeBytes { linux_send(far, $0.baseAddress, $0.count) }
    if count < 0, errno != EAGAIN {
        // The dialogue ended early.
        pieces = []
        return
    }
    sent += max(count, 0)
    guard sent == piece.count else { return }
    sent = 0
    pieces = pieces.dropFirst()
    if pieces.isEmpty { shutdown(far, Int32(SHUT_WR)) }
}

private func receive(_ heard: inout [UInt8], from far: Int32) -> Bool {
    let room = 65536
    var count = 0
    heard += [UInt8](unsafeUninitializedCapacity: room) { buffer, size in
        count = recv(far, buffer.baseAddress, room, Int32(MSG_DONTWAIT))
        size = max(count, 0)
    }
    return count == 0 || count < 0 && errno != EAGAIN
}

/// The pieces an input is sent in: all at once, and torn in two where it says so.
func tellings(_ bytes: [UInt8], tornAt place: UInt8) -> [[[UInt8]]] {
    guard place != 0, bytes.count > 1 else { return [[bytes]] }
    let cut = 1 + Int(place) * 7 % (bytes.count - 1)
    return [[bytes], [Array(bytes[..<cut]), Array(bytes[cut...])]]
}
