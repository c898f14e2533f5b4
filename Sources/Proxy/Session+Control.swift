import Loop

/// What the administrator sees of a session, and does to it.
extension Session {
    /// What there is to see.
    var entry: SessionEntry? {
        guard !client.channel.isClosed else { return nil }
        var entry = SessionEntry(isWaiting ? .waiting : .loggingIn, options.protocolName, route: route)
        if let user { entry.user = Printable.escaped(user) }
        if let realServer { entry.server = realServer }
        entry.clientTLS = Tally.versions[client.grade]
        entry.age = client.channel.thread.now &- since
        return entry
    }

    /// Ends it where somebody logs in with this name.
    func kick(_ names: [String]) -> Bool {
        guard !isWaiting, !isKicked, let user, names.contains(Printable.escaped(user)) else { return false }
        isKicked = true
        sendAway("Your session was ended by the administrator")
        return true
    }
}
