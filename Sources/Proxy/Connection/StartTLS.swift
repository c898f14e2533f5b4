extension Front {
    /// Begins the TLS handshake after the client was told to.
    func startTLS() async throws(SessionEnd) {
        throw .client(.failed("TLS is not available"))
    }
}

extension Back {
    /// Begins the TLS handshake after the server agreed.
    func startTLS() async throws(ServerError) {
        throw .refused(.tlsMissing)
    }
}
