import CLinux
import Glibc

/// The connections nobody works on at the moment, by the token that stands in their epoll data.
///
/// A worker takes a connection out, and puts it back before it is watched again: two never hold the same one.
struct ConnectionTable: Sendable {
    private struct Slot {
        var generation: UInt32 = 0
        var connection: ServiceConnection?
    }

    private var slots: [Slot] = []
    private var free: [Int] = []
    private var uses: UInt64 = 0
    /// Connections there are, the ones taken out included.
    private(set) var count = 0

    /// Reserves a place and names it.
    mutating func reserve() -> UInt64 {
        let index: Int
        if let reused = free.popLast() {
            index = reused
        } else {
            index = slots.count
            slots.append(Slot())
        }
        count += 1
        return UInt64(slots[index].generation) << 32 | UInt64(index)
    }

    /// Takes a connection out to work on it; nil where it was closed in the meantime.
    mutating func take(_ token: UInt64) -> ServiceConnection? {
        let index = Int(token & 0xffff_ffff)
        guard slots.indices.contains(index), slots[index].generation == UInt32(truncatingIfNeeded: token >> 32) else {
            return nil
        }
        return slots[index].connection.take()
    }

    /// Puts a connection into its place, as the one used last.
    mutating func put(_ connection: ServiceConnection, _ token: UInt64) {
        let index = Int(token & 0xffff_ffff)
        guard slots.indices.contains(index) else { return }
        uses &+= 1
        slots[index].connection = connection
        slots[index].connection?.lastUse = uses
    }

    /// Gives the place of a connection up that was taken out, or never put in.
    mutating func release(_ token: UInt64) {
        let index = Int(token & 0xffff_ffff)
        guard slots.indices.contains(index) else { return }
        slots[index].connection = nil
        slots[index].generation &+= 1
        free.append(index)
        count -= 1
    }

    /// Names the connection that nobody works on and that was not used for the longest time.
    func mostIdle() -> UInt64? {
        var best: (index: Int, lastUse: UInt64)?
        for (index, slot) in slots.enumerated() {
            guard let connection = slot.connection else { continue }
            if best.map({ connection.lastUse < $0.lastUse }) ?? true { best = (index, connection.lastUse) }
        }
        return best.map { UInt64(slots[$0.index].generation) << 32 | UInt64($0.index) }
    }
}
