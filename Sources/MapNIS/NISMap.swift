import CLinux
import CNIS
import Glibc
import Lookup

/// A map of NIS in the domain of this machine, as the client library has it. It blocks.
struct NISMap {
    private let name: String

    /// What the process does that a worker starts: it asks.
    /// - Parameter name: the map.
    static func answers(_ name: [UInt8]) -> ([UInt8]) -> Answer {
        // The library prints what goes wrong; here it is said once, by who asked.
        let nothing = linux_open("/dev/null", O_WRONLY, 0)
        if nothing >= 0 { dup2(nothing, STDERR_FILENO) }
        let map = NISMap(name: String(decoding: name, as: UTF8.self))
        return { map.lookup($0) }
    }

    /// Whether a key is one of those that servers keep for themselves in every map, such as `YP_MASTER_NAME`.
    static func isReserved(_ key: [UInt8]) -> Bool { key.starts(with: "YP_".utf8) }

    /// Answers one key: not there is only what the server says is not there. A map that is missing may be on its way.
    func lookup(_ key: [UInt8]) -> Answer {
        var domain: UnsafeMutablePointer<CChar>?
        let code = unsafe yp_get_default_domain(&domain)
        guard code == YPERR_SUCCESS, let domain = unsafe domain else {
            return .temporary("this machine has no NIS domain: domainname(1) sets it")
        }
        let answer = unsafe ask(domain, key)
        guard case .temporary = answer else { return answer }
        // The server may be another by now.
        unsafe yp_unbind(domain)
        return unsafe ask(domain, key)
    }

    private func ask(_ domain: UnsafeMutablePointer<CChar>, _ key: [UInt8]) -> Answer {
        var value: UnsafeMutablePointer<CChar>?
        var length: Int32 = 0
        let code = unsafe key.withUnsafeBytes { bytes in
            unsafe yp_match(
                domain, name, bytes.assumingMemoryBound(to: CChar.self).baseAddress, Int32(bytes.count), &value, &length
            )
        }
        defer { unsafe free(value) }
        switch code {
        case YPERR_SUCCESS:
            let bytes = unsafe UnsafeRawBufferPointer(start: value, count: value == nil ? 0 : Int(max(0, length)))
            return .found(unsafe Array(bytes))
        case YPERR_KEY: return .notFound
        case YPERR_MAP:
            return .temporary("there is no map \(name) in the NIS domain \(unsafe String(cString: domain))")
        default:
            return .temporary("NIS: \(unsafe String(cString: yperr_string(code)))")
        }
    }
}
