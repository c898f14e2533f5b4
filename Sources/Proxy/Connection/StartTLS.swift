import Loop
import TLS

extension Front {
    /// Whether bytes wait that were sent in clear text behind STARTTLS: they are not to be taken for the client's own
    /// once TLS is up, so the connection ends (RFC 9051 section 11.1).
    var hasInjectedText: Bool { stream.waiting > 0 }

    /// The handshake, after the client was told to begin it.
    func startTLS(as security: Security = .starttls) async throws(SessionEnd) {
        guard let context = listenTLS else { throw .client(.failed("there is no certificate for clients")) }
        do {
            let connection = try TLSConnection(
                context, descriptor: stream.channel.descriptor, staysOnThread: true)
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
                port: address.port, staysOnThread: true)
            try await stream.startTLS(connection, as: security)
        } catch let error as StreamError {
            throw Self.explain(error, "TLS handshake")
        } catch {
            throw .broken("\(error) (TLS handshake)")
        }
    }
}
