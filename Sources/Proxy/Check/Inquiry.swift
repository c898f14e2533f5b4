import Daemon
import Glibc
import Lookup
import Loop
import Synchronization

/// Something short on a loop of its own, on the calling thread.
enum Errand {
    /// Runs it to its end.
    /// - Throws: `Errno` where there is no loop to be had.
    static func run(_ work: @escaping @Sendable (isolated Loop) async -> Void) throws(Errno) {
        let loop = Loop(try LoopThread())
        loop.start { loop in
            await work(loop)
            loop.thread.stop()
        }
        loop.thread.run()
    }
}

/// What one loop leaves for who has started it.
final class Outcome<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    init(_ value: Value) { self.value = Mutex(value) }

    /// What has become of it.
    var result: Value { value.withLock { $0 } }

    /// Changes it.
    func change(_ body: (inout Value) -> Void) { value.withLock { body(&$0) } }
}

/// A question to a map, to see whether it answers.
enum MapInquiry {
    /// A key that no map has.
    static let key = Array("perdition-check.invalid".utf8)

    /// Asks, with a provider that is started for that where the map has one of its own.
    /// - Throws: what describes itself in a sentence.
    static func ask(
        _ map: MapList.Entry, _ options: Options, directory: String, identity: Identity?
    ) throws -> Answer {
        var options = options
        // The provider's own words belong neither into the log of who serves nor between these lines.
        options.logFacility = "/dev/null"
        options.debug = false
        var providers = OwnProviders()
        defer { providers.end() }
        try providers.add(map, options, directory: directory, identity: identity)
        guard let path = providers.sockets.first else { return .notFound }
        let deadline = UInt64(max(options.mapTimeout, 1)) &* 1000
        let outcome = Outcome(Answer.temporary("no answer"))
        try Errand.run { loop in
            let client = Client(path: path, deadline: deadline, on: loop.thread)
            let answer = await client.lookUp(key)
            outcome.change { $0 = answer }
            client.close()
        }
        return outcome.result
    }
}

/// Questions about names of hosts.
enum NameInquiry {
    /// Those servers that have no address, and why.
    static func faults(
        of servers: [ServerAddress], _ options: Options
    ) throws(Errno) -> [(server: ServerAddress, reason: String)] {
        let outcome = Outcome([(server: ServerAddress, reason: String)]())
        let resolver = Resolver(threads: options.resolverThreads)
        try Errand.run { _ in
            for server in servers {
                let port = server.port ?? "143"
                do throws(Resolver.Failure) {
                    _ = try await resolver.resolve(host: server.host, port: port)
                } catch {
                    outcome.change { $0.append((server, error.reason)) }
                }
            }
        }
        return outcome.result
    }
}
