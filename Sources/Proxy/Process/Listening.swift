import CLinux
import Glibc
import Loop

/// Sockets that wait for connections.
enum Listening {
    /// Connections that may wait to be taken; the kernel's own limit (net.core.somaxconn) cuts it.
    static let backlog: Int32 = 4096

    /// Bytes that the system takes ahead of what a client has room for: more than a relay writes at once, and little
    /// enough that ten thousand clients that do not read leave the system memory for others.
    static let unsent: Int32 = 65_536

    /// Why an address cannot be listened on; a sentence that names the option.
    struct Failure: Error, Equatable, CustomStringConvertible {
        let description: String
        /// The system's reason, where it is one.
        var code: Errno?
    }

    /// Most sockets.
    static let limit = 250

    /// Sockets that wait for connections.
    struct Sockets {
        /// The sockets.
        var descriptors: [Int32] = []
        /// Which of ``Options/perListener`` each belongs to.
        var places: [Int] = []
    }

    /// Opens every socket the options ask for (`--listen`, or `--bind_address` and `--listen_port`), or none at all.
    /// - Parameters:
    ///   - present: sockets that are taken rather than opened where their address is asked for.
    ///   - inherited: those of them that a service manager holds as well. Where no option asks for an address, they say
    ///     where to listen; else each of them must be asked for, as nobody would serve who connects to it.
    static func open(
        _ options: Options, keeping present: [Int32] = [], inherited: [Int32] = []
    ) throws(Failure) -> Sockets {
        var doors = Doors(present)
        do throws(Failure) {
            let asks = !options.listen.isEmpty || !options.bindAddress.isEmpty || options.listenPort != nil
            if asks || inherited.isEmpty {
                try open(options, &doors)
            } else {
                for socket in inherited { try doors.keep(socket) }
            }
            if let other = inherited.first(where: { !doors.taken.contains($0) }) { throw unwanted(other) }
            return Sockets(descriptors: doors.taken, places: doors.places)
        } catch {
            for socket in doors.taken where !present.contains(socket) { close(socket) }
            throw error
        }
    }

    /// Sockets that are there, and those that are wanted of them and beside them.
    private struct Doors {
        let present: [Int32]
        var taken: [Int32] = []
        /// What each of them is for.
        var places: [Int] = []
        /// What is opened now.
        var place = 0

        init(_ present: [Int32]) {
            self.present = present
        }

        /// Takes what a service manager has opened.
        mutating func keep(_ socket: Int32) throws(Failure) {
            guard SocketAddress.of(socket, peer: false).kind != .none else {
                throw Failure(description: "descriptor \(socket), named by LISTEN_FDS, is not a socket of TCP")
            }
            taken.append(socket)
            places.append(place)
        }

        mutating func take(_ address: SocketAddress, option: String) throws(Failure) {
            guard taken.count < Listening.limit else {
                throw Failure(description: "\(option): more than \(Listening.limit) addresses to listen on")
            }
            let kept = present.first {
                !taken.contains($0) && SocketAddress.of($0, peer: false) == address
                    && isForBoth($0) == (address.host == "::")
            }
            if let kept {
                taken.append(kept)
            } else {
                taken.append(try listen(address, option: option))
            }
            places.append(place)
        }
    }

    /// What is to be listened on, as the options say it.
    private struct Wish {
        /// For error messages.
        let option: String
        /// Which of ``Options/perListener`` it is for.
        let place: Int
        /// Nil for every address.
        let host: String?
        let port: String
    }

    private static func wishes(_ options: Options) -> [Wish] {
        if !options.listen.isEmpty {
            return options.listen.enumerated().map { number, listener in
                Wish(
                    option: "--listen \(listener)", place: number, host: listener.host,
                    port: listener.port ?? String(listener.protocolName.defaultPort))
            }
        }
        let port = options.listenPort ?? String(options.protocolName.defaultPort)
        if options.bindAddress.isEmpty {
            return [Wish(option: "--listen_port \(port)", place: 0, host: nil, port: port)]
        }
        return options.bindAddress.map { address in
            Wish(
                option: "--bind_address \(address)" + (address.port == nil ? ", --listen_port \(port)" : ""), place: 0,
                host: address.host, port: address.port ?? port)
        }
    }

    private static func unwanted(_ socket: Int32) -> Failure {
        Failure(
            description: """
                LISTEN_FDS: no option asks for the inherited socket \(SocketAddress.of(socket, peer: false)), and nobody \
                would serve who connects to it: name it with --bind_address or --listen, or take it out of \
                the socket unit
                """)
    }

    private static func open(_ options: Options, _ doors: inout Doors) throws(Failure) {
        for wish in wishes(options) {
            doors.place = wish.place
            guard let host = wish.host else {
                try everywhere(wish.port, option: wish.option, &doors)
                continue
            }
            for address in try resolve(host, wish.port, option: wish.option) {
                let other = doors.taken.firstIndex { SocketAddress.of($0, peer: false) == address }
                if let other, !options.listen.isEmpty {
                    throw clash(wish.option, address, options.listen[doors.places[other]])
                }
                try doors.take(address, option: wish.option)
            }
        }
    }

    private static func clash(_ option: String, _ address: SocketAddress, _ other: Listener) -> Failure {
        Failure(
            description:
                "\(option): \(address) belongs to --listen \(other) already: give each an address and port of its own")
    }

    /// Whether a socket takes connections of IPv6 and IPv4.
    private static func isForBoth(_ socket: Int32) -> Bool {
        var only: Int32 = 1
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(socket, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &only, &size) == 0 && only == 0
    }

    /// All addresses: one socket for IPv6 and IPv4 where the system has both, else for IPv4.
    private static func everywhere(_ port: String, option: String, _ doors: inout Doors) throws(Failure) {
        let (six, four) = try wildcards(port, option: option)
        do throws(Failure) {
            try doors.take(six, option: option)
        } catch {
            try doors.take(four, option: option)
        }
    }

    private static func wildcards(
        _ port: String, option: String
    ) throws(Failure) -> (six: SocketAddress, four: SocketAddress) {
        guard let number = try resolve("0.0.0.0", port, option: option).first?.port,
            let six = SocketAddress(host: "::", port: number), let four = SocketAddress(host: "0.0.0.0", port: number)
        else { throw Failure(description: "\(option): no such port") }
        return (six, four)
    }

    private static func resolve(_ host: String, _ port: String, option: String) throws(Failure) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(linux_STREAM)
        hints.ai_flags = AI_PASSIVE
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(host, port, &hints, &list)
        guard code == 0 else { throw Failure(description: "\(option): \(String(cString: gai_strerror(code)))") }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next {
            if let raw = unsafe entry.pointee.ai_addr {
                let address = SocketAddress(raw, length: unsafe entry.pointee.ai_addrlen)
                if address.kind != .none, !addresses.contains(address) { addresses.append(address) }
            }
            next = unsafe entry.pointee.ai_next
        }
        return addresses
    }

    /// Opens one.
    /// - Parameters:
    ///   - option: which asks for it, for a message.
    ///   - waits: whether clients may connect: without that nobody notices.
    static func listen(
        _ address: SocketAddress, option: String, waits: Bool = true
    ) throws(Failure) -> Int32 {
        let descriptor = linux_socket(Int32(address.family), Int32(linux_STREAM), 0)
        guard descriptor >= 0 else {
            let error = Errno.last
            throw Failure(description: "\(option): \(error)", code: error)
        }
        var on: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, size)
        if address.kind == .v6 {
            var only: Int32 = address.host == "::" ? 0 : 1
            setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &only, size)
        }
        guard address.withSocketAddress({ bind(descriptor, $0, $1) }) == 0,
            !waits || Glibc.listen(descriptor, backlog) == 0
        else {
            let error = Errno.last
            close(descriptor)
            throw Failure(description: "\(option): cannot listen on \(address): \(error)", code: error)
        }
        return descriptor
    }

    // MARK: Trying

    /// One address that was tried.
    struct Trial {
        /// As the option has it.
        let option: String
        /// Which of ``Options/perListener`` it is for.
        let place: Int
        /// Nil where there is none.
        let address: SocketAddress?
        /// Why it cannot be listened on; nil where it can.
        let fault: Failure?
    }

    /// Tries every address the options ask for, without a moment in which a client could connect.
    static func trials(_ options: Options) -> [Trial] {
        var trials: [Trial] = []
        for wish in wishes(options) {
            do throws(Failure) {
                guard let host = wish.host else {
                    let (six, four) = try wildcards(wish.port, option: wish.option)
                    let trial = trial(of: six, wish)
                    // Without IPv6 that of IPv4 is all there is.
                    let isForGood = trial.fault == nil || trial.fault?.code == Errno(EADDRINUSE)
                    trials.append(isForGood ? trial : self.trial(of: four, wish))
                    continue
                }
                for address in try resolve(host, wish.port, option: wish.option) {
                    let other = trials.first { $0.address == address && $0.place != wish.place }
                    if let other {
                        let fault = clash(wish.option, address, options.listen[other.place])
                        trials.append(Trial(option: wish.option, place: wish.place, address: address, fault: fault))
                    } else {
                        trials.append(trial(of: address, wish))
                    }
                }
            } catch {
                trials.append(Trial(option: wish.option, place: wish.place, address: nil, fault: error))
            }
        }
        return trials
    }

    private static func trial(of address: SocketAddress, _ wish: Wish) -> Trial {
        var fault: Failure?
        do throws(Failure) {
            close(try listen(address, option: wish.option, waits: false))
        } catch {
            fault = error
        }
        return Trial(option: wish.option, place: wish.place, address: address, fault: fault)
    }

    /// A Unix socket that lookups arrive on, made by the master so that they wait there while a provider restarts.
    static func openUnix(_ path: String) throws(Failure) -> Int32 {
        guard let address = SocketAddress(path: path) else {
            throw Failure(description: "\(path): too long for a socket")
        }
        let descriptor = linux_socket(AF_UNIX, Int32(linux_STREAM), 0)
        guard descriptor >= 0, address.withSocketAddress({ bind(descriptor, $0, $1) }) == 0,
            Glibc.listen(descriptor, backlog) == 0
        else {
            let error = Errno.last
            if descriptor >= 0 { close(descriptor) }
            throw Failure(description: "\(path): \(error)")
        }
        return descriptor
    }
}
