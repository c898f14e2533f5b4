import Glibc
public import Loop
public import TLS

/// Records leave with whatever else the loop sends in its turn.
extension Channel: TLSOutlet {
    /// Takes records, or their parts.
    public func put(_ bytes: UnsafeRawBufferPointer, more: Bool) -> Int {
        switch send(bytes, more: more) {
        case .moved(let count): return count
        case .wouldBlock: errno = EAGAIN
        case .closed: errno = EPIPE
        case .failed(let error): errno = error.code
        }
        return -1
    }
}

extension Front {
    /// Whether bytes wait that were sent in clear text behind STARTTLS: they are not to be taken for the client's own
    /// once TLS is up, so the connection ends (RFC 9051 section 11.1).
    var hasInjectedText: Bool { stream.waiting > 0 }

    /// The handshake, after the client was told to begin it.
    func startTLS(as security: Security = .starttls) async throws(SessionEnd) {
        guard let context = listenTLS else { throw .client(.failed("there is no certificate for clients")) }
        do {
            let connection = try TLSConnection(
                context, descriptor: stream.channel.descriptor, outlet: stream.channel, staysOnThread: true)
            try await stream.startTLS(connection, as: security)
        } catch let error as StreamError {
            throw .handshake(security, error)
        } catch {
            throw .handshake(security, .failed("\(error)"))
        }
    }
}

extension Back {
    /// The handshake, after the server agreed to it.
    func startTLS(as security: Security = .starttls) async throws(ServerError) {
        guard let context = outgoingTLS else { throw .broken("cannot be spoken to over TLS: there is no context") }
        do {
            let connection = try TLSConnection(
                context, descriptor: stream.channel.descriptor, serverName: host, sessions: sessions,
                port: address.port, outlet: stream.channel, staysOnThread: true)
            try await stream.startTLS(connection, as: security)
        } catch let error as StreamError {
            throw Self.explain(error, "TLS handshake")
        } catch {
            throw .broken("\(error) (TLS handshake)")
        }
    }
}
