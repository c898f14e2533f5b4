import CLinux
import Glibc

extension Channel {
    /// Looks at what waits, and leaves it there.
    /// - Parameters:
    ///   - room: where to; it must not be empty.
    ///   - known: how much has been looked at already: no more than that is as if nothing were there.
    public func peek(into room: UnsafeMutableRawBufferPointer, beyond known: Int) -> IOResult {
        guard readable else { return .wouldBlock }
        guard fault == 0 else { return .failed(Errno(fault)) }
        while true {
            let count = unsafe recv(number, room.baseAddress, room.count, Int32(MSG_PEEK))
            if count > known { return .moved(count) }
            if count < 0, linux_errno() == EINTR { continue }
            if count < 0, linux_errno() != EAGAIN { return .failed(Errno(linux_errno())) }
            guard count != 0, !isEnding else { return .closed }
            wouldBlockReading()
            return .wouldBlock
        }
    }
}
