import CLinux
import COpenSSL
import Glibc

/// What OpenSSL's error queue of this thread says.
enum OpenSSLFault {
    /// The newest reason, in OpenSSL's words; the queue is empty afterwards.
    static func text() -> String {
        let code = ERR_peek_last_error()
        defer { ERR_clear_error() }
        guard code != 0 else { return "no reason given" }
        guard let reason = ERR_reason_error_string(code) else { return "OpenSSL error \(code)" }
        return printable(String(cString: reason))
    }

    /// The reason number of the newest error, which stays in the queue.
    static func lastReason() -> Int32 {
        ERR_GET_REASON(ERR_peek_last_error())
    }
}

/// The system's words for an error number.
func systemText(_ code: Int32) -> String {
    guard let text = strerror(code) else { return "error \(code)" }
    return String(cString: text)
}
