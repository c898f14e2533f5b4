import Glibc
import Loop
import TLS

extension Explanation {
    /// What a listener's users have of a real server.
    /// - Returns: false where it was to be talked to and could not.
    func explain(
        _ place: Destination, _ origin: String, _ options: Options, _ tls: TLSContext?, on thread: LoopThread
    ) async -> Bool {
        var place = place
        if !options.listen.isEmpty {
            table.change { $0.addGap() }
            add(options.protocolName.logName, "", "--listen")
        }
        let settings = Settings(options)
        var isReached = !connects
        repeat {
            let port = place.port ?? options.outgoingPort ?? String(options.protocolName.defaultPort)
            add(
                "real server", ServerAddress(host: place.host, port: port).description,
                "\(origin); \(portSource(place, options))")
            let addresses: [SocketAddress]
            do throws(Resolver.Failure) {
                addresses = try await resolver.resolve(host: place.host, port: port)
            } catch {
                add("  address", "none: \(Printable.text(error.reason.utf8))")
                continue
            }
            for address in addresses { add("  address", "\(address)") }
            guard connects, !isReached else { continue }
            for address in addresses where await connect(to: address, host: place.host, settings, tls, on: thread) {
                isReached = true
                break
            }
        } while place.advance()
        add("  TLS to it", Self.words(options.sslMode), options.sslMode.isEmpty ? "no --ssl_mode" : modeSource(options))
        return isReached
    }

    private func portSource(_ place: Destination, _ options: Options) -> String {
        if place.port != nil { return "port as there" }
        guard options.outgoingPort != nil else { return "port of \(options.protocolName.logName)" }
        return options.outgoingPort == self.options.outgoingPort ? "--outgoing_port" : "outgoing_port= of --listen"
    }

    private func modeSource(_ options: Options) -> String {
        let side = options.sslMode.intersection(.outgoingSide)
        if side == self.options.sslMode.intersection(.outgoingSide), !self.options.sslMode.isEmpty {
            return "--ssl_mode"
        }
        return side == .sslOutgoing && options.protocolName.isPrivate
            ? "\(options.protocolName.logName) has it" : "ssl= of --listen"
    }

    /// How real servers are talked to.
    static func words(_ mode: SSLMode) -> String {
        if mode.contains(.sslOutgoing) { return "from the first byte" }
        if mode.contains(.tlsOutgoingForce) { return "on request, and no login without" }
        return mode.contains(.tlsOutgoing) ? "on request, where it is offered" : "none"
    }

    // MARK: Talking

    /// Connects, reads the greeting, starts TLS where that is asked for, asks for capabilities, and leaves.
    /// - Returns: whether all of that went well.
    private func connect(
        to address: SocketAddress, host: String, _ settings: Settings, _ tls: TLSContext?, on thread: LoopThread
    ) async -> Bool {
        let options = settings.options
        let patience = UInt64(max(options.serverTimeout, 1)) &* 1000
        let stream: Stream
        do throws(ConnectError) {
            let limit = options.connectTimeout > 0 ? UInt64(options.connectTimeout) &* 1000 : nil
            stream = Stream(try await Channel.connect(to: address, on: thread, within: limit), patience: patience)
        } catch {
            let reason =
                switch error {
                case .refused(let reason): "\(reason)"
                case .timedOut: "no answer within \(options.connectTimeout) s (--connect_timeout)"
                }
            add("  connection", "\(address): \(reason)")
            return false
        }
        defer { stream.close() }
        add("  connection", "\(address): made")
        let table = table
        stream.transcript = { sent, bytes in
            for line in bytes.split(separator: UInt8(ascii: "\n")) {
                // Whole, and with the quotes of ManageSieve as they are.
                let text = Printable.escaped(line.last == UInt8(ascii: "\r") ? line.dropLast() : line)
                    .replacing(#"\""#, with: "\"")
                table.change { $0.add(sent ? "  we say" : "  it says", text) }
            }
        }
        let back = Back(
            stream: stream, settings: settings, identity: "ready on nobody", host: host, address: address,
            outgoingTLS: tls)
        var fault: ServerError?
        do throws(ServerError) {
            if options.sslMode.contains(.sslOutgoing) { try await back.startTLS(as: .ssl) }
            let dialogue = back.makeDialogue()
            try await dialogue.open()
            try await dialogue.listCapabilities()
            await dialogue.quit()
        } catch {
            fault = error
        }
        stream.transcript = nil
        add(stream)
        guard let fault else { return true }
        let reason =
            switch fault {
            case .broken(let reason): reason
            case .refused(let refusal): refusal.reason
            }
        add("  fault", reason)
        return false
    }

    /// What TLS has come to.
    private func add(_ stream: Stream) {
        guard let connection = stream.secured else { return add("  TLS", "none") }
        add("  TLS", "\(connection.version), \(connection.cipher ?? "no cipher")", "\(stream.security.rawValue)")
        guard let certificate = connection.peerCertificate else { return add("  certificate", "none") }
        let verification =
            switch connection.peerVerification {
            case .verified: "verified"
            case .excused: "not good, and excused by an --ssl_..._accept_ option"
            case .notAsked: "not verified: --ssl_no_cert_verify"
            case .noCertificate: "none"
            }
        add("  certificate", certificate.subject, verification)
        add("    signed by", certificate.issuer)
        let left = certificate.notAfter - time(nil)
        add(
            "    valid until", Calendar.text(certificate.notAfter),
            left < 0 ? "expired" : "\(left / Calendar.day) days more")
    }
}
