import COpenSSL
import Glibc

/// What a certificate says about itself.
public struct CertificateFacts: Sendable, Equatable {
    /// Whom it is for, in printable ASCII.
    public let subject: String
    /// Who signed it, likewise.
    public let issuer: String
    /// From when it is valid, in seconds since 1970.
    public let notBefore: Int
    /// Until when it is valid, in seconds since 1970.
    public let notAfter: Int

    init(_ certificate: OpaquePointer) {
        subject = Self.text(of: X509_get_subject_name(certificate))
        issuer = Self.text(of: X509_get_issuer_name(certificate))
        notBefore = Self.seconds(X509_get0_notBefore(certificate))
        notAfter = Self.seconds(X509_get0_notAfter(certificate))
    }

    /// A name, bounded and printable.
    static func text(of name: OpaquePointer?) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            guard let name, let start = buffer.baseAddress,
                X509_NAME_oneline(name, start, Int32(buffer.count)) != nil
            else { return "without a subject" }
            return printable(String(cString: start))
        }
    }

    private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int {
        var parts = tm()
        guard let time, ASN1_TIME_to_tm(time, &parts) == 1 else { return 0 }
        return timegm(&parts)
    }
}

extension TLSContext {
    /// Our own certificate and those above it that are shown with it; none towards real servers.
    public var certificates: [CertificateFacts] {
        guard let own = SSL_CTX_get0_certificate(handle) else { return [] }
        var facts = [CertificateFacts(own)]
        while let next = openssl_chain_certificate(handle, Int32(facts.count - 1)) {
            facts.append(CertificateFacts(next))
        }
        return facts
    }
}

extension TLSConnection {
    /// The peer's certificate; nil where it has shown none.
    public var peerCertificate: CertificateFacts? { SSL_get0_peer_certificate(ssl).map { CertificateFacts($0) } }
}
