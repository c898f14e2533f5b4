import CLinux
import Glibc
import Testing

@testable import Loop

/// Descriptors on a loop: edges, waits, ends and reused numbers.
@Suite(.timeLimit(.minutes(2))) struct ChannelTests {
    // MARK: Edges

    @Test func anEdgeWhileNobodyWaitsIsKept() async throws {
        try await onLoop { loop in
            let (a, b) = try socketPair()
            defer { close(b) }
            let channel = try Channel(a, on: loop.thread)
            await loop.turn()
            put("early", into: b)
            await loop.turn()
            #expect(channel.readable)
            #expect(await channel.waitReadable(within: 10_000) == .ready)
            #expect(channel.receiveText().1 == "early")
            channel.close()
        }
    }

    @Test func anEmptyDescriptorIsWaitedForAgain() async throws {
        try await onLoop { loop in
            let (a, b) = try socketPair()
            defer { close(b) }
            let channel = try Channel(a, on: loop.thread)
            put("1", into: b)
            #expect(await channel.waitReadable(within: 10_000) == .ready)
            #expect(channel.receiveText().1 == "1")
            #expect(!channel.readable)
            #expect(channel.receiveText().0 == .wouldBlock)
            loop.start { _ in put("2", into: b) }
            #expect(await channel.waitReadable(within: 10_000) == .ready)
            #expect(channel.receiveText().1 == "2")
            channel.close()
        }
    }

    @Test func aReadThatFillsItsRoomLeavesTheChannelReadable() async throws {
        try await onLoop { loop in
            let (a, b) = try socketPair()
            defer { close(b) }
            let channel = try Channel(a, on: loop.thread)
            put("abcd", into: b)
            #expect(await channel.waitReadable(within: 10_000) == .ready)
            var room: [UInt8] = [0, 0]
            #expect(room.withUnsafeMutableBytes { channel.receive(into: $0) } == .moved(2))
            #expect(channel.readable)
            #expect(await channel.waitReadable(within: 10_000) == .ready)
            #expect(channel.receiveText().1 == "cd")
            channel.close()
        }
    }

    @Test func aFullDescriptorIsWrittenOnceThereIsRoom() async throws {
        try await onLoop { loop in
            let (a, b) = try socketPair()
            let (writer, reader) = (try Channel(a, on: loop.thread), try Channel(b, on: loop.thread))
            let total = writer.fill()
            #expect(total > 0)
            #expect(!writer.writable)
            loop.start { loop in
                // Another channel of the loop for the same descriptor is not needed: this one is read by hand.
                var room = [UInt8](repeating: 0, count: 64 * 1024)
                var got = 0
                while got < total { got += max(0, recv(b, &room, room.count, Int32(MSG_DONTWAIT))) }
            }
            #expect(await writer.waitWritable(within: 10_000) == .ready)
            #expect(writer.send("more") == .moved(4))
            writer.close()
            reader.close()
        }
    }

    @Test func aHandlerHearsEachEdge() async throws {
        try await onLoop { loop in
            let (a, b) = try socketPair()
            defer { close(b) }
            let channel = try Channel(a, on: loop.thread)
            await loop.turn()
            var heard = ""
            let handler = Callback { heard += channel.receiveText().1 }
            channel.handler = handler
            for piece in ["a", "b", "c"] {
                put(piece, into: b)
                await loop.turn()
            }
            #expect(heard == "abc")
            #expect(handler.calls == 3)
            channel.close()
        }
    }

    // MARK: Ends

    @Test func halfCloseLeavesTheOtherDirectionOpen() async throws {
        try await onLoop { loop in
            let (a, b) = try socketPair()
            let (near, far) = (try Channel(a, on: loop.thread), try Channel(b, on: loop.thread))
            #expect(near.send("question") == .moved(8))
            near.endOutput()
            #expect(await far.waitReadable(within: 10_000) == .ready)
            #expect(far.receiveText().1 == "question")
            #expect(await far.waitReadable(within: 10_000) == .ready)
            #expect(far.receiveText().0 == .closed)
            #expect(far.send("answer") == .moved(6))
            #expect(await near.waitReadable(within: 10_000) == .ready)
            #expect(near.receiveText().1 == "answer")
            near.close()
            far.close()
        }
    }

    /// The end may come with the last bytes in one event, and there is no further edge for it.
    @Test func theEndBehindTheLastBytesIsSeen() async throws {
        try await onLoop { loop in
            let (a, b) = try socketPair()
            let channel = try Channel(a, on: loop.thread)
            await loop.turn()
            put("last", into: b)
            close(b)
            await loop.turn()
            #expect(channel.receiveText().1 == "last")
            #expect(await channel.waitReadable(within: 10_000) == .ready)
            #expect(channel.receiveText().0 == .closed)
            channel.close()
        }
    }

    @Test func aBrokenConnectionWakesReaders() async throws {
        try await onLoop { loop in
            let (a, b) = try socketPair()
            let channel = try Channel(a, on: loop.thread)
            await loop.turn()
            loop.start { _ in close(b) }
            #expect(await channel.waitReadable(within: 10_000) == .ready)
            #expect(channel.receiveText().0 == .closed)
            guard case .failed(let error) = channel.send("x") else {
                Issue.record("writing to nobody went well")
                return
            }
            #expect(error == Errno(EPIPE))
            channel.close()
        }
    }

    @Test func closingWakesWhoWaits() async throws {
        try await onLoop { loop in
            let (a, b) = try socketPair()
            defer { close(b) }
            let channel = try Channel(a, on: loop.thread)
            await loop.turn()
            _ = loop.thread.setTimer(Callback { channel.close() }, after: 20)
            #expect(await channel.waitReadable(within: nil) == .closed)
            #expect(channel.isClosed)
            #expect(await channel.waitReadable(within: nil) == .closed)
            channel.close()
        }
    }

    @Test func closingTwiceDoesNotCloseAStranger() async throws {
        try await onLoop { loop in
            let (a, b) = try socketPair()
            defer { close(b) }
            let channel = try Channel(a, on: loop.thread)
            channel.close()
            let (c, d) = try socketPair()
            defer {
                close(c)
                close(d)
            }
            channel.close()
            #expect(linux_fcntl(c, F_GETFD, 0) >= 0)
            #expect(linux_fcntl(d, F_GETFD, 0) >= 0)
        }
    }

    @Test func aChannelMayBeClosedInItsOwnCallback() async throws {
        try await onLoop { loop in
            let (a, b) = try socketPair()
            defer { close(b) }
            let channel = try Channel(a, on: loop.thread)
            await loop.turn()
            let handler = Callback { channel.close() }
            channel.handler = handler
            put("x", into: b)
            await loop.turn()
            #expect(handler.calls == 1)
            #expect(channel.isClosed)
        }
    }

    // MARK: Reused numbers

    /// Two descriptors become readable in one turn. The first callback closes both and opens others, which get the same
    /// numbers: the second event belongs to a channel that is gone.
    ///
    /// With io_uring a number is free at the end of the turn, when the kernel may have told of an event already.
    @Test func aStaleEventDoesNotHitTheNewOwnerOfItsNumber() async throws {
        try await onLoop(usesRing: false) { loop in
            let thread = loop.thread
            // Numbers so high that no other thread's descriptors get them in between.
            let pairs = try (0..<4).map { _ in
                let (here, there) = try socketPair()
                defer { close(here) }
                return (linux_fcntl(here, F_DUPFD_CLOEXEC, highNumber()), there)
            }
            defer { for pair in pairs { close(pair.1) } }
            let (one, two) = (try Channel(pairs[0].0, on: thread), try Channel(pairs[1].0, on: thread))
            await loop.turn()
            var fresh: [Channel] = []
            let surprised = Callback()
            let replace = Callback {
                guard fresh.isEmpty else { return }
                let numbers = [one.descriptor, two.descriptor]
                one.close()
                two.close()
                #expect(throws: Never.self) {
                    for (number, pair) in zip(numbers, pairs[2...]) {
                        #expect(dup2(pair.0, number) == number)
                        close(pair.0)
                        let channel = try Channel(number, on: thread)
                        channel.handler = surprised
                        fresh.append(channel)
                    }
                }
            }
            one.handler = replace
            two.handler = replace
            put("x", into: pairs[0].1)
            put("x", into: pairs[1].1)
            await loop.turn(1)
            #expect(fresh.count == 2)
            // The new channels hear that they can be written, and nothing of being readable.
            await loop.turn()
            #expect(fresh.allSatisfy { !$0.readable })
            for channel in fresh { channel.close() }
        }
    }

    @Test func numbersUsedOverAndOverServeTheirPresentOwner() async throws {
        try await onLoop { loop in
            for round in 0..<200 {
                let (a, b) = try socketPair()
                let channel = try Channel(a, on: loop.thread)
                put("\(round)", into: b)
                #expect(await channel.waitReadable(within: 10_000) == .ready)
                #expect(channel.receiveText().1 == "\(round)")
                channel.close()
                close(b)
            }
        }
    }

    @Test func aDescriptorThatCannotBeWatchedIsClosed() async throws {
        try await onLoop(usesRing: false) { loop in
            // epoll takes no regular files.
            let low = linux_open("/etc/passwd", O_RDONLY, 0)
            defer { close(low) }
            // So high a number that no other thread gets it as soon as it is free.
            let file = linux_fcntl(low, F_DUPFD_CLOEXEC, highNumber())
            #expect(throws: Errno(EPERM)) { _ = try Channel(file, on: loop.thread) }
            #expect(linux_fcntl(file, F_GETFD, 0) == -1)
        }
    }

    // MARK: Time

    @Test func aWaitEndsWithItsTime() async throws {
        try await onLoop { loop in
            let (a, b) = try socketPair()
            defer { close(b) }
            let channel = try Channel(a, on: loop.thread)
            await loop.turn()
            let before = LoopThread.clock()
            #expect(await channel.waitReadable(within: 50) == .timedOut)
            #expect(LoopThread.clock() - before >= 50)
            #expect(!channel.isClosed)
            put("late", into: b)
            #expect(await channel.waitReadable(within: 10_000) == .ready)
            channel.close()
        }
    }

    @Test func aWriterThatNobodyReadsTimesOut() async throws {
        try await onLoop { loop in
            let (a, b) = try socketPair()
            defer { close(b) }
            let channel = try Channel(a, on: loop.thread)
            _ = channel.fill()
            #expect(await channel.waitWritable(within: 50) == .timedOut)
            channel.close()
        }
    }

    @Test func theTimeOfAWaitThatIsOverDoesNotCutTheNext() async throws {
        try await onLoop { loop in
            let (a, b) = try socketPair()
            defer { close(b) }
            let channel = try Channel(a, on: loop.thread)
            await loop.turn()
            loop.start { _ in put("1", into: b) }
            #expect(await channel.waitReadable(within: 60) == .ready)
            #expect(channel.receiveText().1 == "1")
            _ = loop.thread.setTimer(Callback { put("2", into: b) }, after: 150)
            #expect(await channel.waitReadable(within: 10_000) == .ready)
            channel.close()
        }
    }

    @Test(arguments: [nil, 0, .max] as [UInt64?]) func noLimitMeansNone(limit: UInt64?) async throws {
        try await onLoop { loop in
            let (a, b) = try socketPair()
            defer { close(b) }
            let channel = try Channel(a, on: loop.thread)
            await loop.turn()
            _ = loop.thread.setTimer(Callback { put("x", into: b) }, after: 60)
            #expect(await channel.waitReadable(within: limit) == .ready)
            channel.close()
        }
    }
}
