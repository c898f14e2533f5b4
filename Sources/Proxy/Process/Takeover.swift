import CLinux
import Daemon
import Glibc

/// How a master becomes the program that is on the disk now: the same process with the same children goes on in another
/// image (`execve`), which gets in a ``Parcel`` what it cannot find out.
enum Takeover {
    /// The environment variable that says so: `check` or `take`, and the number of the parcel's descriptor.
    static let variable = "PERDITION_MASTER"

    /// What a process is to do with the parcel.
    enum Order: Equatable {
        /// Say whether it could be taken over, and change nothing.
        case check(Int32)
        /// Take over.
        case take(Int32)

        init?(_ text: String) {
            let words = text.split(separator: " ")
            guard words.count == 2, let descriptor = Int32(words[1]), descriptor > 2 else { return nil }
            switch words[0] {
            case "check": self = .check(descriptor)
            case "take": self = .take(descriptor)
            default: return nil
            }
        }

        /// As an environment variable.
        var environment: String {
            switch self {
            case .check(let descriptor): "\(variable)=check \(descriptor)"
            case .take(let descriptor): "\(variable)=take \(descriptor)"
            }
        }

        /// Where the parcel is.
        var descriptor: Int32 {
            switch self {
            case .check(let descriptor), .take(let descriptor): descriptor
            }
        }
    }

    /// The order this process was started with; it is given once.
    static func order() -> Order? {
        guard let text = getenv(variable) else { return nil }
        let order = Order(String(cString: text))
        unsetenv(variable)
        return order
    }

    /// Becomes another program. Comes back only where that fails, with everything as it was.
    /// - Parameters:
    ///   - path: its file.
    ///   - descriptors: what it finds open beside the parcel.
    /// - Returns: why it failed.
    static func become(
        _ path: String, arguments: [String], parcel: Parcel, keeping descriptors: [Int32]
    ) -> String {
        let file: Int32
        do throws(DaemonError) {
            file = try parcel.descriptor()
        } catch {
            return error.description
        }
        let handed = descriptors + [file]
        for descriptor in handed { _ = linux_fcntl(descriptor, F_SETFD, 0) }
        let names: Set = [variable, Worker.roleVariable]
        let environment = ChildProcess.environment(without: names) + [Order.take(file).environment]
        var argumentVector = arguments.map { unsafe strdup($0) } + [nil]
        var environmentVector = environment.map { unsafe strdup($0) } + [nil]
        execve(path, &argumentVector, &environmentVector)
        let code = linux_errno()
        for text in argumentVector + environmentVector { free(text) }
        for descriptor in handed { _ = linux_fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        close(file)
        return "\(path): \(String(cString: strerror(code)))"
    }
}
