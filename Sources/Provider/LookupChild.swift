import CLinux
import Glibc
public import Lookup

/// The other end of a `LookupProcess`: the same program, which asks nobody but answers its worker.
public enum LookupChild {
    /// Where the worker is.
    private static let descriptor: Int32 = 3
    /// Bytes of private memory: a lookup that wants more fails.
    private static let memoryLimit: UInt = 512 << 20

    /// Whether this is such a process: to be asked before the arguments are taken for options.
    public static var isWanted: Bool { CommandLine.arguments.dropFirst().elementsEqual([LookupProcess.argument]) }

    /// Answers keys until the worker is gone.
    /// - Parameter open: makes, of what the worker says at the start, the function that answers keys.
    public static func serve(_ open: ([UInt8]) -> ([UInt8]) -> Answer) -> Never {
        var limit = rlimit(rlim_cur: memoryLimit, rlim_max: memoryLimit)
        setrlimit(__rlimit_resource_t(RLIMIT_DATA.rawValue), &limit)
        // A key that crashes it may crash the next as well: cores would fill the disk.
        limit = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
        _ = linux_fcntl(descriptor, F_SETFL, 0)

        var input = Netstring(limit: LookupProcess.setupLimit)
        guard let setup = receive(&input) else { exit(0) }
        let answer = open(setup)
        while let key = receive(&input) {
            var output: [UInt8] = []
            Wire.append(answer(key), to: &output)
            guard linux_send(descriptor, output, output.count) == output.count else { exit(0) }
        }
        exit(0)
    }

    private static func receive(_ input: inout Netstring) -> [UInt8]? {
        while true {
            guard let payload = try? input.next() else {
                guard more(&input) else { return nil }
                continue
            }
            return Array(payload)
        }
    }

    private static func more(_ input: inout Netstring) -> Bool {
        unsafe withUnsafeTemporaryAllocation(byteCount: 64 * 1024, alignment: 16) { room in
            let count = unsafe recv(descriptor, room.baseAddress, room.count, 0)
            if count > 0 { unsafe input.append(UnsafeRawBufferPointer(rebasing: room[..<count])) }
            return count > 0
        }
    }
}
