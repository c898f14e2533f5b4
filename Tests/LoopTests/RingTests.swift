import CLinux
import Glibc
import Synchronization
import Testing

@testable import Loop

/// What a loop sends at the end of its turn, by io_uring.
@Suite(.timeLimit(.minutes(2))) struct RingTests {
    /// Else the rest of this suite would be about epoll.
    @Test func isUsedWhereTheSystemHasIt() async throws {
        let isThere = await withCheckedContinuation { continuation in
            do throws(Errno) {
                // A thread of its own, as that of a ring has to stay the same.
                try startThread(name: "probe") {
                    let ring = Ring()
                    ring?.close()
                    continuation.resume(returning: ring != nil)
                }
            } catch {
                continuation.resume(returning: false)
            }
        }
        #expect(try await onLoop(usesRing: true) { $0.thread.hasRing } == isThere)
        #expect(try await onLoop(usesRing: false) { $0.thread.hasRing } == false)
    }

    @Test func sendsAtTheEndOfTheTurn() async throws {
        try await onLoop(usesRing: true) { loop in
            let (a, b) = try socketPair()
            defer { close(b) }
            let channel = try Channel(a, on: loop.thread)
            #expect(channel.send("hello") == .moved(5))
            if loop.thread.hasRing { #expect(heard(b) == "") }
            await loop.turn()
            #expect(heard(b) == "hello")
            // The second in a turn comes behind the first.
            for word in ["one ", "two ", "three"] { #expect(channel.send(word) == .moved(word.utf8.count)) }
            channel.close()
            #expect(channel.descriptor == -1)
            await loop.turn()
            #expect(heard(b) == "one two three")
            #expect(hasEnded(b))
        }
    }

    @Test func settlesWhenAsked() async throws {
        try await onLoop(usesRing: true) { loop in
            let (a, b) = try socketPair()
            defer { close(b) }
            let channel = try Channel(a, on: loop.thread)
            #expect(channel.send("hello") == .moved(5))
            #expect(channel.settle())
            #expect(heard(b) == "hello")
            // Long ones are not copied, and come behind.
            let long = String(repeating: "x", count: Ring.longest + 1)
            #expect(channel.send("short ") == .moved(6))
            #expect(channel.send(long) == .moved(long.utf8.count))
            #expect(heard(b) == "short \(long)")
            #expect(channel.send("last") == .moved(4))
            channel.endOutput()
            #expect(heard(b) == "last")
            #expect(hasEnded(b))
            channel.close()
        }
    }

    /// The system takes nothing, or a part: the rest leaves when it can, ahead of what comes later.
    @Test(arguments: [0, 1, 700, 4095], ["unix", "tcp"]) func losesNothing(room: Int, kind: String) async throws {
        try await onLoop(usesRing: true) { loop in
            let (a, b) = kind == "tcp" ? try Listener("127.0.0.1").pair() : try socketPair()
            defer { close(b) }
            let channel = try Channel(a, on: loop.thread)
            let before = fill(a, leaving: room)
            let text = String(repeating: "y", count: 4090) + "+last"
            guard case .moved(let count) = channel.send(text), count == 4095 else {
                Issue.record("it is taken for sent")
                return
            }
            await loop.turn()
            guard !channel.settle() else {
                // So much fitted after all.
                channel.close()
                await loop.turn()
                #expect(try drained(b).hasSuffix(text))
                return
            }
            #expect(channel.send("too early") == .wouldBlock)
            let after = Gathered()
            try gather(b, into: after)
            #expect(await channel.waitWritable(within: 10_000) == .ready)
            #expect(channel.send(", then this") == .moved(11))
            channel.close()
            while !after.isComplete { await loop.thread.sleep(10) }
            #expect(after.text.utf8.count == before + 4095 + 11)
            #expect(after.text.hasSuffix("\(text), then this"))
        }
    }

    /// Closed, or our direction ended, with bytes that the system has not taken.
    @Test(arguments: [false, true]) func theLastWordsArrive(halfClosing: Bool) async throws {
        try await onLoop(usesRing: true) { loop in
            let (a, b) = try socketPair()
            defer { close(b) }
            let channel = try Channel(a, on: loop.thread)
            let before = fill(a, leaving: 0)
            #expect(channel.send("the last words") == .moved(14))
            if halfClosing { channel.endOutput() } else { channel.close() }
            await loop.turn(4)
            if !halfClosing { #expect(loop.thread.isLeaving == loop.thread.hasRing) }
            let after = Gathered()
            try gather(b, into: after)
            while !after.isComplete { await loop.thread.sleep(10) }
            #expect(after.text.utf8.count == before + 14)
            #expect(after.text.hasSuffix("the last words"))
            channel.close()
            await loop.turn()
            #expect(!loop.thread.isLeaving)
        }
    }

    /// An event is on its way when the channel is closed: it ends nevertheless.
    @Test func aCloseDoesNotWaitForEvents() async throws {
        try await onLoop(usesRing: true) { loop in
            let (a, b) = try socketPair()
            defer { close(b) }
            let channel = try Channel(a, on: loop.thread)
            await loop.turn(4)
            #expect(shutdown(b, Int32(SHUT_WR)) == 0)
            channel.close()
            await loop.turn(200)
            #expect(hasEnded(b))
        }
    }

    /// The peer goes before it has taken all.
    @Test func aPeerThatIsGoneEndsIt() async throws {
        try await onLoop(usesRing: true) { loop in
            let (a, b) = try socketPair()
            let channel = try Channel(a, on: loop.thread)
            _ = fill(a, leaving: 0)
            #expect(channel.send("the last words") == .moved(14))
            channel.close()
            await loop.turn(4)
            close(b)
            while loop.thread.isLeaving { await loop.thread.sleep(10) }
        }
    }

    /// What counted as sent cannot be: whoever reads or sends next hears of it.
    @Test func saysThatTheConnectionIsBroken() async throws {
        try await onLoop(usesRing: true) { loop in
            let (a, b) = try socketPair()
            let channel = try Channel(a, on: loop.thread)
            await loop.turn()
            // Nobody tells the loop of an end of its own making.
            #expect(shutdown(a, Int32(SHUT_WR)) == 0)
            let handler = Callback()
            channel.handler = handler
            #expect(channel.send("lost") == (loop.thread.hasRing ? .moved(4) : .failed(Errno(EPIPE))))
            guard loop.thread.hasRing else { return }
            await loop.turn(4)
            #expect(handler.calls > 0)
            #expect(channel.send("more") == .failed(Errno(EPIPE)))
            #expect(channel.receiveText().0 == .failed(Errno(EPIPE)))
            channel.close()
            close(b)
        }
    }

    /// More than fits into the room for a turn's bytes, and into the queue for its operations.
    @Test func aTurnMayBeLong() async throws {
        try await onLoop(usesRing: true) { loop in
            let text = String(repeating: "z", count: 3000)
            for round in 0..<8 {
                let pairs = try (0..<300).map { _ in try socketPair() }
                defer { for pair in pairs { close(pair.1) } }
                let channels = try pairs.map { try Channel($0.0, on: loop.thread) }
                for channel in channels { #expect(channel.send(text) == .moved(3000)) }
                if round % 2 == 0 { await loop.turn() }
                for channel in channels { channel.close() }
                for pair in pairs {
                    while heardBytes(pair.1) < 3000 { await loop.turn() }
                }
                // The kernel ends a few in each turn.
                for pair in pairs {
                    while !hasEnded(pair.1) { await loop.turn() }
                }
            }
        }
    }

    /// Bytes may be passwords.
    @Test func forgetsWhatItHasSent() async throws {
        let isForgotten = await withCheckedContinuation { continuation in
            do throws(Errno) {
                try startThread(name: "probe") {
                    guard var ring = Ring() else { return continuation.resume(returning: true) }
                    let isSent = Array("secret".utf8).withUnsafeBytes {
                        ring.send($0, more: false, to: -1, as: .nobody)
                    }
                    let room = ring.rest(of: .nobody, behind: 2)
                    let before = isSent ? Array(room) : []
                    let batch = ring.batch
                    ring.empty()
                    let after = Array(room)
                    ring.close()
                    continuation.resume(
                        returning: before == Array("cret".utf8) && after == [UInt8](repeating: 0, count: 4)
                            && ring.batch != batch && !ring.holds)
                }
            } catch {
                continuation.resume(returning: false)
            }
        }
        #expect(isForgotten)
    }

    @Test func namesItsOperations() {
        let token = Ring.Token(.connect, Ring.Token.descriptors - 1, .max - 1)
        #expect(token.kind == .connect)
        #expect(token.descriptor == Int(Ring.Token.descriptors - 1))
        #expect(token.generation == UInt32.max - 1)
        #expect(Ring.Token(.max).kind == .ignored)
    }

    /// What was closed, or sent, when a loop ends.
    @Test func endsWithNothingLeft() async throws {
        let (a, b) = try socketPair()
        defer { close(b) }
        try await onLoop(usesRing: true) { loop in
            let channel = try Channel(a, on: loop.thread)
            #expect(channel.send("goodbye") == .moved(7))
            channel.close()
        }
        var wait = pollfd(fd: b, events: Int16(POLLIN), revents: 0)
        #expect(poll(&wait, 1, 10_000) == 1)
        #expect(heard(b) == "goodbye")
    }
}

/// What waits to be read.
private func heard(_ descriptor: Int32) -> String {
    var text = ""
    var room = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = recv(descriptor, &room, room.count, Int32(MSG_DONTWAIT))
        guard count > 0 else { return text }
        text += String(decoding: room[..<count], as: UTF8.self)
    }
}

/// How many bytes wait to be read; they stay there.
private func heardBytes(_ descriptor: Int32) -> Int {
    var room = [UInt8](repeating: 0, count: 65536)
    return recv(descriptor, &room, room.count, Int32(MSG_DONTWAIT | MSG_PEEK))
}

private func hasEnded(_ descriptor: Int32) -> Bool {
    var room = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = recv(descriptor, &room, room.count, Int32(MSG_DONTWAIT))
        if count <= 0 { return count == 0 }
    }
}

/// Everything up to the end, which has been sent.
private func drained(_ descriptor: Int32) throws -> String {
    #expect(linux_fcntl(descriptor, F_SETFL, 0) == 0)
    var text = ""
    var room = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = recv(descriptor, &room, room.count, 0)
        guard count > 0 else { return text }
        text += String(decoding: room[..<count], as: UTF8.self)
    }
}

/// Writes until the system takes nothing more, and makes so much room again where that can be done.
private func fill(_ descriptor: Int32, leaving room: Int) -> Int {
    let piece = [UInt8](repeating: UInt8(ascii: "f"), count: 4096)
    var total = 0
    while true {
        let count = linux_send(descriptor, piece, room > 0 ? max(1, 4096 - room) : 4096)
        guard count > 0 else { break }
        total += count
    }
    while room == 0, linux_send(descriptor, piece, 1) == 1 { total += 1 }
    return total
}

/// What another thread has read from the far end.
private final class Gathered: Sendable {
    private let state = Mutex((text: "", isComplete: false))

    var text: String { state.withLock { $0.text } }
    var isComplete: Bool { state.withLock { $0.isComplete } }

    func put(_ text: String) { state.withLock { $0 = (text, true) } }
}

private func gather(_ descriptor: Int32, into gathered: Gathered) throws {
    try startThread(name: "far end") { gathered.put((try? drained(descriptor)) ?? "") }
}
