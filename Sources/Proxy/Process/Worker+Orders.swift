import Daemon
import Glibc
import TLS

extension Worker {
    /// How far a worker is, for its master.
    enum Report: UInt8 {
        /// It accepts.
        case ready = 1
        /// It accepts nobody any more.
        case closed = 2
        /// Every loop of it has gone round since it said so last.
        case alive = 3
        /// Somebody asks for a reload.
        case reload = 4
        /// Somebody asks for an end with the last session.
        case drain = 5
    }

    /// For the allocator (tunables of the GNU C library). Its caches are made for seven objects of a size; a loop frees
    /// those of dozens of logins in one turn, and takes them again in the next.
    private static let allocator = "GLIBC_TUNABLES=glibc.malloc.tcache_count=64"

    /// What the master tells a worker beside the command line. Descriptors stand in the order of the members, from 3 on.
    struct Orders: Equatable {
        /// The listening sockets: which of the options' listeners each belongs to.
        var places: [Int]
        /// Whether a descriptor wants to hear how far the worker is.
        var reports = false
        /// Whether a descriptor holds the passphrase of the key.
        var hasPassphrase = false
        /// Whether a descriptor wants to hear of providers that are stuck.
        var watchesMaps = false
        /// Whether a descriptor holds a ``Brief``.
        var hasBrief = false
        /// Whether a descriptor takes what would go to standard error.
        var hasErrors = false
        /// Whether the program is in the background, so that the worker is to let go of the terminal when ready.
        var detached = false
        /// Whether the program is only just starting, and somebody reads its standard error.
        var isFirst = false
        /// What is for `perditionctl`.
        var control = Control()
        /// The Unix sockets of the maps, in the order of `--map_library`; no path has a line end in it.
        var mapSockets: [String] = []
        /// The Unix socket of the helper of `--authenticate_in`, a path without blanks; nil for none.
        var authSocket: String?

        private var flags: [Bool] {
            [reports, hasPassphrase, watchesMaps, hasBrief, hasErrors, detached, isFirst]
        }

        /// As environment variables.
        var environment: [String] {
            let flags = flags.map { $0 ? "1" : "0" }.joined()
            let maps = mapSockets.joined(separator: "\n")
            let places = places.map { String($0) }.joined(separator: ",")
            let words = "\(places) \(flags) \(control.text) \(authSocket ?? "") \(maps)"
            let orders = "\(Worker.roleVariable)=\(words)"
            return getenv("GLIBC_TUNABLES") == nil ? [orders, Worker.allocator] : [orders]
        }

        init(places: [Int]) {
            self.places = places
        }

        /// Reads what `environment` wrote; nil where it is not that.
        init?(_ text: String) {
            let parts = text.split(separator: " ", maxSplits: 4, omittingEmptySubsequences: false)
            guard parts.count == 5 else { return nil }
            let words = parts[0].isEmpty ? [] : parts[0].split(separator: ",", omittingEmptySubsequences: false)
            places = words.compactMap { UInt16($0).map { Int($0) } }
            guard places.count == words.count, places.count <= Listening.limit else { return nil }
            let flags = parts[1].map { $0 == "1" }
            guard flags.count == self.flags.count else { return nil }
            reports = flags[0]
            hasPassphrase = flags[1]
            watchesMaps = flags[2]
            hasBrief = flags[3]
            hasErrors = flags[4]
            detached = flags[5]
            isFirst = flags[6]
            guard let control = Control(parts[2]) else { return nil }
            self.control = control
            authSocket = parts[3].isEmpty ? nil : String(parts[3])
            mapSockets = parts[4].split(separator: "\n").map(String.init)
        }

        /// The listening sockets.
        var sockets: [Int32] { places.indices.map { 3 + Int32($0) } }
        /// The descriptor that wants to hear how far the worker is.
        var report: Int32? { descriptor(0) }
        /// The descriptor that holds the passphrase of the key.
        var passphrase: Int32? { descriptor(1) }
        /// The descriptor that wants to hear of stuck providers.
        var watch: Int32? { descriptor(2) }
        /// The descriptor that holds a ``Brief``.
        var brief: Int32? { descriptor(3) }
        /// The descriptor that takes what would go to standard error.
        var errors: Int32? { descriptor(4) }

        /// What is for `perditionctl`, with the numbers of its descriptors: behind those that flags speak of.
        var desk: Desk { control.desk(from: 3 + Int32(places.count) + Int32(flags.prefix(5).count { $0 })) }

        /// One of those behind the sockets, where it is there.
        private func descriptor(_ flag: Int) -> Int32? {
            guard flags[flag] else { return nil }
            return 3 + Int32(places.count) + Int32(flags[..<flag].count { $0 })
        }
    }

    /// What a worker is told that nobody else may read.
    struct Brief {
        /// The configuration file that was checked; nil for that on the disk.
        var configuration: ConfigurationSnapshot?
        /// What clients' sessions are sealed with.
        var tickets: TicketKeys?
        /// Milliseconds between two reports that it is alive; nil for none.
        var pulse: UInt64?

        /// What there is without one.
        init() {}

        /// What the master knows.
        init(_ configuration: ConfigurationSnapshot, _ tickets: TicketKeys, pulse: UInt64?) {
            self.configuration = configuration
            self.tickets = tickets
            self.pulse = pulse
        }

        /// Reads what `packed` made.
        init(_ parcel: Parcel) {
            configuration = parcel.parcels("configuration").first.map { ConfigurationSnapshot($0) }
            tickets = parcel.bytes("tickets").flatMap { TicketKeys($0) }
            pulse = parcel.number("pulse")
        }

        /// For the worker.
        var packed: Parcel {
            var parcel = Parcel()
            if let configuration { parcel.add("configuration", configuration.packed) }
            if let tickets { parcel.add("tickets", tickets.packed) }
            if let pulse { parcel.add("pulse", pulse) }
            return parcel
        }
    }
}
