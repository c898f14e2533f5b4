import Loop

extension Front {
    /// One less than the lines a client may send until others have their turn, whatever more it has sent: a power of two.
    /// It is one line, while connections wait to be taken.
    static let linesPerTurn = 3
    /// Most lines of a client that does not log in; no mail program comes near.
    static let lineLimit = 1000

    /// Lets others have their turn, and ends a conversation that comes to nothing.
    func rest(after lines: Int) async throws(SessionEnd) {
        await stream.channel.thread.queueUp()
        guard lines >= Self.lineLimit else { return }
        try await dismiss("Too many commands, mate")
    }

    /// Sends the client away for good.
    func dismiss(_ text: StaticString) async throws(SessionEnd) -> Never {
        switch options.protocolName {
        // There is no response without a command.
        case .pop3 where stream.waiting == 0, .pop3s where stream.waiting == 0: break
        default: try await send(Farewell.bytes(text, options.protocolName))
        }
        await stream.drain()
        throw .dismissed("\(text)")
    }
}
