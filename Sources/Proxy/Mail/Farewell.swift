/// The last words to a client that is sent away, in the words of its protocol; short enough for any socket's buffer.
enum Farewell {
    /// Bytes that end a session of this protocol.
    /// - Parameter text: printable ASCII without quotes.
    static func bytes(_ text: StaticString, _ protocolName: ProtocolName) -> [UInt8] {
        switch protocolName {
        case .imap4, .imap4s: Array("* BYE \(text)\r\n".utf8)
        case .pop3, .pop3s: Array("-ERR [SYS/TEMP] \(text)\r\n".utf8)
        case .managesieve: Array("BYE \"\(text)\"\r\n".utf8)
        }
    }
}
