import COpenSSL
import Glibc

/// TLS as a mail program speaks it, with OpenSSL and nothing of the program under test.
final class TLSLayer {
    let context: OpaquePointer
    let ssl: OpaquePointer

    /// Prepares a client's side on a descriptor, which no longer blocks afterwards.
    init(_ descriptor: Int32) throws {
        guard let context = SSL_CTX_new(TLS_client_method()), let ssl = SSL_new(context) else {
            throw Failure("OpenSSL does not start")
        }
        self.context = context
        self.ssl = ssl
        SSL_set_fd(ssl, descriptor)
        SSL_set_connect_state(ssl)
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    deinit {
        SSL_free(ssl)
        SSL_CTX_free(context)
    }

    var version: String { String(cString: SSL_get_version(ssl)) }
}

extension Connection {
    /// Does the handshake; from here on everything goes through TLS.
    ///
    /// - Throws: `Failure` when it does not succeed.
    func startTLS(within seconds: Double = 20) throws {
        let layer = try TLSLayer(descriptor)
        let deadline = Deadline(seconds: seconds)
        while true {
            let code = SSL_do_handshake(layer.ssl)
            if code == 1 { break }
            guard try wants(layer, code, until: deadline, what: "the TLS handshake") else {
                throw Failure("closed in the middle of the TLS handshake")
            }
        }
        tls = layer
    }

    /// Sends and reads once through TLS; false when the other side has closed.
    func receive(_ layer: TLSLayer, into chunk: inout [UInt8], until deadline: Deadline, what: String) throws -> Int {
        while true {
            let count = SSL_read(layer.ssl, &chunk, Int32(chunk.count))
            if count > 0 { return Int(count) }
            guard try wants(layer, count, until: deadline, what: what) else { return 0 }
        }
    }

    func transmit(_ layer: TLSLayer, _ bytes: [UInt8], until deadline: Deadline) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                SSL_write(layer.ssl, $0.baseAddress?.advanced(by: sent), Int32($0.count - sent))
            }
            if count > 0 {
                sent += Int(count)
            } else if try !wants(layer, count, until: deadline, what: "sending") {
                throw Failure("closed while sending")
            }
        }
    }

    /// Waits for what OpenSSL waits for; false when the other side has closed.
    private func wants(_ layer: TLSLayer, _ code: Int32, until deadline: Deadline, what: String) throws -> Bool {
        let error = SSL_get_error(layer.ssl, code)
        defer { ERR_clear_error() }
        switch error {
        case SSL_ERROR_WANT_READ: try wait(for: POLLIN, until: deadline, what: what)
        case SSL_ERROR_WANT_WRITE: try wait(for: POLLOUT, until: deadline, what: what)
        case SSL_ERROR_ZERO_RETURN, SSL_ERROR_SYSCALL: return false
        default:
            let reason = ERR_reason_error_string(ERR_peek_last_error()).map { String(cString: $0) } ?? "no reason"
            if reason.contains("unexpected eof") { return false }
            throw Failure("TLS: \(reason) (\(what))")
        }
        return true
    }
}
