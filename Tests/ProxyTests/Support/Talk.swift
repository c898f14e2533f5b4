import Glibc
import Loop
import Testing

@testable import Proxy

/// Dialogues over a socket pair, on a loop of their own, without a thread that waits.
enum OnLoop {
    /// Runs `body` with a stream whose other end has sent `input` and says nothing more.
    ///
    /// - Returns: what `body` returned, and everything the other end got.
    static func talk<Result: Sendable>(
        _ input: [UInt8], _ body: @escaping @Sendable (Proxy.Stream) async -> Result
    ) async throws -> (Result, String) {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        try #require(socketpair(AF_UNIX, type, 0, &ends) == 0)
        let (here, there) = (ends[0], ends[1])
        defer { close(there) }
        try #require(send(there, input, input.count, Int32(MSG_NOSIGNAL)) == input.count)
        shutdown(there, Int32(SHUT_WR))
        let thread = try LoopThread(usesRing: false)
        try thread.start(name: "dialogue")
        defer { thread.stop() }
        let result = await withCheckedContinuation { (done: CheckedContinuation<Result?, Never>) in
            Loop(thread).start { loop in
                guard let channel = try? Channel(here, on: loop.thread) else { return done.resume(returning: nil) }
                let stream = Proxy.Stream(channel, patience: 20_000)
                let result = await body(stream)
                stream.close()
                done.resume(returning: result)
            }
        }
        return (try #require(result), String(decoding: received(there), as: UTF8.self))
    }

    private static func received(_ descriptor: Int32) -> [UInt8] {
        var all: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = recv(descriptor, &room, room.count, 0)
            guard count > 0 else { return all }
            all += room[..<count]
        }
    }
}
