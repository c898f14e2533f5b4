import CLDAP
import CLinux
import Glibc

/// A connection to a server, logged in or about to be. It belongs to one thread; closed when it is let go.
final class LDAPSession {
    /// Bytes of one message of the server. A popmap's entry has three short values.
    private static let messageLimit: ber_len_t = 1 << 20
    /// Entries asked for: one is used, and a second tells that the filter is ambiguous.
    private static let entryLimit: Int32 = 2

    /// The server, for the log.
    let server: LDAPServer
    private let handle: OpaquePointer
    /// Whom the connection is logged in as; nil where it is not.
    private var boundAs: [UInt8]?

    /// Takes a connected socket over.
    /// - Throws: `LDAPFault` where the library refuses it; the socket is closed then.
    private init(_ descriptor: Int32, to server: LDAPServer, version: Int32) throws(LDAPFault) {
        var made: OpaquePointer?
        let transport = server.scheme == .ldapi ? LDAP_PROTO_IPC : LDAP_PROTO_TCP
        let code = ldap_init_fd(descriptor, transport, server.url, &made)
        guard code == LDAP_SUCCESS, let made else {
            close(descriptor)
            throw LDAPFault(code, during: "preparing the connection")
        }
        handle = made
        self.server = server
        var version = version
        ldap_set_option(handle, LDAP_OPT_PROTOCOL_VERSION, &version)
        ldap_chase_no_referrals(handle)
        ldap_limit_message(handle, Self.messageLimit)
    }

    deinit {
        ldap_unbind_ext(handle, nil, nil)
    }

    /// Has the library read ldap.conf(5) and find out the name of this machine, which asks the DNS and knows no limit:
    /// better at the start than in a lookup.
    static func prepare() {
        var version: Int32 = 0
        ldap_get_option(nil, LDAP_OPT_PROTOCOL_VERSION, &version)
    }

    /// Connects, and turns to TLS where the URL says so. Nothing is sent in the clear where that fails.
    static func open(
        _ server: LDAPServer, of location: LDAPLocation, with dialer: Dialer, by deadline: Deadline
    ) throws(LDAPFault) -> LDAPSession {
        do {
            let descriptor = try dialer.connect(to: server, by: deadline)
            let session = try LDAPSession(descriptor, to: server, version: location.version)
            if server.scheme == .ldaps || location.extensions.startTLS {
                try session.secure(location.extensions, descriptor, by: deadline)
                // The library has made the socket a blocking one, on which half a message would hold up the lookup.
                _ = linux_fcntl(descriptor, F_SETFL, O_NONBLOCK)
            }
            return session
        } catch {
            throw error.at(server)
        }
    }

    private func secure(
        _ extensions: LDAPExtensions, _ descriptor: Int32, by deadline: Deadline
    ) throws(LDAPFault) {
        if extensions.startTLS {
            var message: Int32 = 0
            let code = ldap_start_tls(handle, nil, nil, &message)
            guard code == LDAP_SUCCESS else { throw LDAPFault(code, during: "StartTLS") }
            let (result, detail) = try wait(for: message, "StartTLS", by: deadline).result
            guard result == LDAP_SUCCESS else {
                throw LDAPFault(.unreachable, "StartTLS: \(Self.text(result, detail))")
            }
        }
        inheritTLSOptions()
        for (option, path) in [
            (LDAP_OPT_X_TLS_CACERTFILE, extensions.authorities), (LDAP_OPT_X_TLS_CERTFILE, extensions.certificate),
            (LDAP_OPT_X_TLS_KEYFILE, extensions.key),
        ] {
            if let path { ldap_set_option(handle, option, path) }
        }
        // A context of this connection's own, so that files that have been renewed are read again.
        var isServer: Int32 = 0
        guard ldap_set_option(handle, LDAP_OPT_X_TLS_NEWCTX, &isServer) == LDAP_OPT_SUCCESS else {
            throw LDAPFault(.unreachable, "TLS: the files of certificates or keys cannot be used")
        }
        var handshake = Handshake(descriptor: descriptor, deadline: deadline)
        let code = ldap_install_tls_waiting(
            handle,
            { context, writing in
                guard let handshake = context?.assumingMemoryBound(to: Handshake.self).pointee else { return 0 }
                return handshake.wait(writing: writing != 0) ? 1 : 0
            }, &handshake)
        guard code != LDAP_SUCCESS else { return }
        guard deadline.remaining > 0 else { throw LDAPFault(.unreachable, "TLS: no answer in time") }
        // With GnuTLS the library does not tell these apart.
        let why = "the handshake failed, or the certificate is not of a known authority, or is for another name"
        throw LDAPFault(.unreachable, "TLS: \(code == LDAP_CONNECT_ERROR ? why : Self.text(code, ""))")
    }

    /// A handle has the numbers of ldap.conf(5) from the beginning, but not its file names.
    private func inheritTLSOptions() {
        for option in [
            LDAP_OPT_X_TLS_CACERTFILE, LDAP_OPT_X_TLS_CACERTDIR, LDAP_OPT_X_TLS_CERTFILE, LDAP_OPT_X_TLS_KEYFILE,
            LDAP_OPT_X_TLS_CRLFILE, LDAP_OPT_X_TLS_CIPHER_SUITE,
        ] {
            var value: UnsafeMutablePointer<CChar>?
            guard ldap_get_option(nil, option, &value) == LDAP_OPT_SUCCESS, let value else { continue }
            ldap_set_option(handle, option, value)
            ldap_memfree(value)
        }
    }

    /// Logs in, unless the connection is by that name already.
    func bind(as name: [UInt8], _ password: BindPassword?, by deadline: Deadline) throws(LDAPFault) {
        if boundAs == name { return }
        boundAs = nil
        var message: Int32 = 0
        let dn = name.map { CChar(bitPattern: $0) } + [0]
        func send(_ bytes: UnsafeMutableBufferPointer<UInt8>?) -> Int32 {
            // What an empty password is without an address, the library takes for a mechanism that has none.
            var nothing: CChar = 0
            return withUnsafeMutablePointer(to: &nothing) { spare in
                let address = bytes?.baseAddress.map { UnsafeMutableRawPointer($0).assumingMemoryBound(to: CChar.self) }
                var credentials = berval(bv_len: ber_len_t(bytes?.count ?? 0), bv_val: address ?? spare)
                return ldap_sasl_bind(handle, dn, nil, &credentials, nil, nil, &message)
            }
        }
        let code = password.map { $0.withBytes { send($0) } } ?? send(nil)
        guard code == LDAP_SUCCESS else { throw LDAPFault(code, during: "bind") }
        let (result, detail) = try wait(for: message, "bind", by: deadline).result
        // What one server refuses, another may not.
        guard result == LDAP_SUCCESS else { throw LDAPFault(.unreachable, "bind: \(Self.text(result, detail))") }
        boundAs = name
    }

    /// Asks for the entries of one key.
    /// - Returns: the first of them, if any, and whether there are more.
    func search(
        _ location: LDAPLocation, for key: [UInt8], by deadline: Deadline
    ) throws(LDAPFault) -> (entry: LDAPEntry?, more: Bool) {
        var message: Int32 = 0
        var limit = deadline.interval
        // On the wire are whole seconds, of which 0 would mean no limit; the time that counts is kept below.
        limit.tv_sec = max(1, limit.tv_sec)
        let base = location.base.expand(key).map { CChar(bitPattern: $0) } + [0]
        let filter = location.filter.expand(key).map { CChar(bitPattern: $0) } + [0]
        let code = location.attributes.withNames { names in
            ldap_search_ext(
                handle, base, location.scope.rawValue, filter, names, 0, nil, nil, &limit, Self.entryLimit, &message)
        }
        guard code == LDAP_SUCCESS else { throw LDAPFault(code, during: "search") }
        let reply = try wait(for: message, "search", by: deadline)
        let (result, detail) = try reply.result
        let count = reply.count
        // LDAP_PARTIAL_RESULTS: version 2's way to say that there are referrals, too.
        guard [LDAP_SUCCESS, LDAP_PARTIAL_RESULTS].contains(result) || result == LDAP_SIZELIMIT_EXCEEDED && count > 0
        else {
            throw LDAPFault(result, during: "search", detail)
        }
        return (reply.first(location.attributes), count > 1)
    }

    private func wait(for message: Int32, _ step: String, by deadline: Deadline) throws(LDAPFault) -> LDAPReply {
        var limit = deadline.interval
        var found: OpaquePointer?
        let kind = ldap_result(handle, message, LDAP_MSG_ALL, &limit, &found)
        if let found { return LDAPReply(handle, found) }
        guard kind != 0 else { throw LDAPFault(.unreachable, "\(step): no answer in time") }
        var code: Int32 = 0
        ldap_get_option(handle, LDAP_OPT_RESULT_CODE, &code)
        throw LDAPFault(code < 0 ? code : LDAP_SERVER_DOWN, during: step)
    }

    private static func text(_ code: Int32, _ detail: String) -> String {
        String(cString: ldap_err2string(code)) + (detail.isEmpty ? "" : " (\(detail))")
    }
}

/// What is needed to wait within a handshake.
private struct Handshake {
    let descriptor: Int32
    let deadline: Deadline

    /// Whether the socket can be read, or written, before the time is over.
    func wait(writing: Bool) -> Bool {
        var socket = pollfd(fd: descriptor, events: Int16(writing ? POLLOUT : POLLIN), revents: 0)
        let left = deadline.remaining
        // An interrupted one is tried again by the caller.
        return left > 0 && poll(&socket, 1, left) != 0
    }
}
