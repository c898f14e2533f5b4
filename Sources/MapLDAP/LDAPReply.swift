import CLDAP

/// What came back for one request; freed when it is let go.
final class LDAPReply {
    private let handle: OpaquePointer
    private let messages: OpaquePointer

    /// Takes a chain of messages over.
    init(_ handle: OpaquePointer, _ messages: OpaquePointer) {
        self.handle = handle
        self.messages = messages
    }

    deinit {
        ldap_msgfree(messages)
    }

    /// The server's result code, and its own words about it.
    var result: (code: Int32, detail: String) {
        get throws(LDAPFault) {
            var code: Int32 = 0
            var text: UnsafeMutablePointer<CChar>?
            let parsed = ldap_parse_result(handle, messages, &code, nil, &text, nil, nil, 0)
            defer { ldap_memfree(text) }
            guard parsed == LDAP_SUCCESS else { throw LDAPFault(parsed, during: "reading the answer") }
            return (code, text.map { String(cString: $0) } ?? "")
        }
    }

    /// How many entries there are.
    var count: Int {
        Int(ldap_count_entries(handle, messages))
    }

    /// The first entry's value of each attribute, in their order.
    func first(_ attributes: AttributeNames) -> LDAPEntry? {
        guard let entry = ldap_first_entry(handle, messages) else { return nil }
        func value(_ index: Int) -> [UInt8]? {
            guard let name = attributes[index] else { return nil }
            guard let values = ldap_get_values_len(handle, entry, name) else { return nil }
            defer { ldap_value_free_len(values) }
            guard let first = values.pointee?.pointee, first.bv_len > 0, let bytes = first.bv_val else { return nil }
            return Array(UnsafeRawBufferPointer(start: bytes, count: Int(first.bv_len)))
        }
        return LDAPEntry(user: value(0), host: value(1), port: value(2))
    }
}
