import COpenSSL

/// The names a certificate was made out for: every common name, every DNS name and address of subjectAltName.
struct CertificateNames {
    private(set) var names: [[UInt8]] = []
    private(set) var addresses: [[UInt8]] = []

    init(names: [String] = [], addresses: [[UInt8]] = []) {
        self.names = names.map { Array($0.utf8) }
        self.addresses = addresses
    }

    init(_ certificate: OpaquePointer) {
        readAlternatives(certificate)
        readCommonNames(certificate)
    }

    /// Whether one of them is the name looked for: letter for letter but for case, or `*.` in place of its first label.
    /// An address must stand there as it is.
    func match(_ wanted: PeerName) -> Bool {
        if let address = wanted.address, addresses.contains(address) { return true }
        let name = Array(wanted.name.utf8)
        return names.contains { Self.match($0, name, allowsWildcard: wanted.address == nil) }
    }

    private static func match(_ pattern: [UInt8], _ name: [UInt8], allowsWildcard: Bool) -> Bool {
        // A NUL ends the name for whoever signed it by looking at it in C, and not for us.
        guard !pattern.isEmpty, !pattern.contains(0), !name.contains(0) else { return false }
        let pattern = pattern.map(lowered)
        if pattern == name { return true }
        let star: [UInt8] = [UInt8(ascii: "*"), UInt8(ascii: ".")]
        guard allowsWildcard, pattern.starts(with: star), let dot = name.firstIndex(of: star[1]), dot > 0 else {
            return false
        }
        return pattern.count > 2 && pattern.dropFirst() == name[dot...]
    }

    private static func lowered(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    private mutating func readAlternatives(_ certificate: OpaquePointer) {
        guard let found = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return }
        let list = OpaquePointer(found)
        defer { GENERAL_NAMES_free(list) }
        for index in 0..<max(openssl_names_count(list), 0) {
            var type: Int32 = -1
            guard let value = openssl_names_value(list, index, &type) else { continue }
            switch type {
            case GEN_DNS: names.append(Self.bytes(value))
            case GEN_IPADD: addresses.append(Self.bytes(value))
            default: break
            }
        }
    }

    private mutating func readCommonNames(_ certificate: OpaquePointer) {
        guard let subject = X509_get_subject_name(certificate) else { return }
        var index: Int32 = -1
        while true {
            index = X509_NAME_get_index_by_NID(subject, NID_commonName, index)
            guard index >= 0, let entry = X509_NAME_get_entry(subject, index) else { return }
            var text: UnsafeMutablePointer<UInt8>?
            let count = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry))
            guard count >= 0, let text else { continue }
            names.append(Array(UnsafeBufferPointer(start: text, count: Int(count))))
            CRYPTO_free(text, nil, 0)
        }
    }

    private static func bytes(_ value: UnsafePointer<ASN1_STRING>) -> [UInt8] {
        Array(UnsafeBufferPointer(start: ASN1_STRING_get0_data(value), count: Int(max(ASN1_STRING_length(value), 0))))
    }
}
