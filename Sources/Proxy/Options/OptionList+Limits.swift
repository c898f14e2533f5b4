extension OptionList {
    /// What one client may have of the whole.
    static let limits: [OptionDeclaration] = [
        .init(
            "connections_per_address", .number("COUNT", \.connectionsPerAddress, 0...10_000_000), .limits,
            "Most connections of one client address, or one /64 of IPv6; 0 for no limit."),
        .init(
            "logins_per_address", .number("COUNT", \.loginsPerAddress, 0...10_000_000), .limits,
            "Most of them that have not logged in; 0 for no limit."),
        .init(
            "sessions_per_user", .number("COUNT", \.sessionsPerUser, 0...10_000_000), .limits,
            "Most sessions of one user; 0 for no limit."),
        .init(
            "failures_per_connection", .number("COUNT", \.failuresPerConnection, 0...1_000_000), .limits,
            "Logins that may fail until the connection is closed; 0 for no limit."),
        .init(
            "failure_delay_limit", .number("SECONDS", \.failureDelayLimit, 0...3600), .limits,
            "Most seconds a client waits after a failed login: 3, and twice that with each fifth failure of its address. "
                + "0 for always 3."),
        .init(
            "trusted_networks", .networks("NETWORK[,NETWORK...]", \.trustedNetworks), .limits,
            "Clients that are not counted and not slowed down, as 192.0.2.0/24 or 2001:db8::/32. Empty for none."),
    ]
}
