/// Something that wants to be told when its time has come.
public protocol TimerTarget: AnyObject {
    /// Called on the loop's thread, once for each time the timer was set. The timer is free again.
    func timerFired()
}

/// Names one timer that has been set; worthless after it fired or was cancelled.
public struct TimerID: Equatable, Sendable {
    fileprivate let index: Int32
    fileprivate let generation: UInt32
}

/// All timers of one loop, in a hierarchical wheel: setting, cancelling and firing cost the same however many there are.
///
/// Three rings of 256 slots; a slot of the first is one tick, a slot of the next a whole turn of the one before it.
/// Times further away than the last ring reaches wait there and are placed again. Entries live in one array and are
/// linked by index, so a timer costs 40 bytes and no allocation of its own.
public struct TimerWheel {
    /// Length of a tick in milliseconds: the precision of every timeout.
    public static let millisecondsPerTick: UInt64 = 10

    private static let slotBits = 8
    private static let slots = 256
    private static let rings = 3
    private static let nobody: Int32 = -1
    /// Stands for a slot where an entry's time has come and nobody has taken it yet.
    private static let isDue: Int32 = -2

    private struct Entry {
        var next = TimerWheel.nobody
        var previous = TimerWheel.nobody
        /// Slot the entry stands in, counted over all rings; -1 while it is free.
        var slot = TimerWheel.nobody
        var generation: UInt32 = 0
        var expires: UInt64 = 0
        var target: (any TimerTarget)?
    }

    private var entries: [Entry] = []
    private var free: [Int32] = []
    private var heads = [Int32](repeating: nobody, count: rings * slots)
    /// One bit per slot that holds a timer, 4 words per ring.
    private var occupied = [UInt64](repeating: 0, count: rings * slots / 64)
    /// Those whose time has come, in order; what is cancelled meanwhile is passed over.
    private var due: [TimerID] = []
    private var nextOfDue = 0
    private var tick: UInt64 = 0
    /// How many timers are set.
    public private(set) var count = 0

    /// An empty wheel whose clock stands at the given time.
    public init(now milliseconds: UInt64) {
        tick = milliseconds / Self.millisecondsPerTick
    }

    /// Sets a timer.
    /// - Parameters:
    ///   - target: who is called; held until then.
    ///   - milliseconds: the time, on the clock of `advance(to:)`, not before which it is called.
    public mutating func set(_ target: any TimerTarget, at milliseconds: UInt64) -> TimerID {
        let index: Int32
        if let reused = free.popLast() {
            index = reused
        } else {
            index = Int32(truncatingIfNeeded: entries.count)
            entries.append(Entry())
        }
        let whole = milliseconds / Self.millisecondsPerTick
        let expires = milliseconds % Self.millisecondsPerTick == 0 ? whole : whole + 1
        entries[Int(index)].expires = max(expires, tick &+ 1)
        entries[Int(index)].target = target
        place(index)
        count += 1
        return TimerID(index: index, generation: entries[Int(index)].generation)
    }

    /// Takes a timer back; nothing happens where it has fired or was cancelled before.
    public mutating func cancel(_ timer: TimerID) {
        let index = Int(timer.index)
        guard entries.indices.contains(index), entries[index].generation == timer.generation,
            entries[index].slot != Self.nobody
        else { return }
        if entries[index].slot != Self.isDue { unlink(timer.index) }
        _ = release(timer.index)
    }

    /// Moves the clock; whose time has come stands ready for `nextDue()`, in order of their ticks.
    public mutating func advance(to milliseconds: UInt64) {
        let now = milliseconds / Self.millisecondsPerTick
        guard now > tick else { return }
        if count == 0 {
            tick = now
            return
        }
        while tick < now {
            // Empty stretches are jumped over, so a loop that slept for an hour does not count its ticks.
            let next = nextBusyTick() ?? now
            tick = min(max(next, tick &+ 1), now)
            cascade()
            let slot = Int(tick & 255)
            while heads[slot] != Self.nobody {
                let index = heads[slot]
                unlink(index)
                if entries[Int(index)].expires > tick {
                    place(index)
                } else {
                    entries[Int(index)].slot = Self.isDue
                    due.append(TimerID(index: index, generation: entries[Int(index)].generation))
                }
            }
        }
    }

    /// Takes the next timer whose time has come. Until then it can be cancelled, by one taken before it for one; what is
    /// set meanwhile is due only after another `advance(to:)`.
    public mutating func nextDue() -> (any TimerTarget)? {
        while nextOfDue < due.count {
            let timer = due[nextOfDue]
            nextOfDue += 1
            guard entries[Int(timer.index)].generation == timer.generation else { continue }
            return release(timer.index)
        }
        due.removeAll(keepingCapacity: true)
        nextOfDue = 0
        return nil
    }

    /// Milliseconds from `now` to the next moment at which `advance` has something to do; nil where no timer is set.
    public func delay(from now: UInt64) -> UInt64? {
        guard let next = nextBusyTick() else { return nil }
        let at = next &* Self.millisecondsPerTick
        return at > now ? at - now : 0
    }

    private mutating func cascade() {
        for ring in 1..<Self.rings {
            let shift = UInt64(ring * Self.slotBits)
            guard tick & ((1 << shift) - 1) == 0 else { return }
            let slot = ring * Self.slots + Int((tick >> shift) & 255)
            var index = heads[slot]
            heads[slot] = Self.nobody
            occupied[slot / 64] &= ~(1 << UInt64(slot % 64))
            while index != Self.nobody {
                let next = entries[Int(index)].next
                place(index)
                index = next
            }
        }
    }

    private mutating func place(_ index: Int32) {
        let expires = entries[Int(index)].expires
        let distance = expires > tick ? expires - tick : 0
        var ring = 0
        while ring < Self.rings - 1, distance >> UInt64((ring + 1) * Self.slotBits) != 0 { ring += 1 }
        let shift = UInt64(ring * Self.slotBits)
        let reach = (tick >> shift) &+ 255
        let slot = ring * Self.slots + Int(min(expires >> shift, reach) & 255)
        let head = heads[slot]
        entries[Int(index)].next = head
        entries[Int(index)].previous = Self.nobody
        entries[Int(index)].slot = Int32(truncatingIfNeeded: slot)
        if head != Self.nobody { entries[Int(head)].previous = index }
        heads[slot] = index
        occupied[slot / 64] |= 1 << UInt64(slot % 64)
    }

    private mutating func unlink(_ index: Int32) {
        let entry = entries[Int(index)]
        let slot = Int(entry.slot)
        if entry.previous != Self.nobody {
            entries[Int(entry.previous)].next = entry.next
        } else {
            heads[slot] = entry.next
            if entry.next == Self.nobody { occupied[slot / 64] &= ~(1 << UInt64(slot % 64)) }
        }
        if entry.next != Self.nobody { entries[Int(entry.next)].previous = entry.previous }
        entries[Int(index)].slot = Self.nobody
    }

    private mutating func release(_ index: Int32) -> (any TimerTarget)? {
        let target = entries[Int(index)].target
        entries[Int(index)].target = nil
        entries[Int(index)].generation &+= 1
        entries[Int(index)].slot = Self.nobody
        free.append(index)
        count -= 1
        return target
    }

    /// The next tick at which a slot must be looked at, over all rings.
    private func nextBusyTick() -> UInt64? {
        guard count > 0 else { return nil }
        var best: UInt64?
        for ring in 0..<Self.rings {
            let shift = UInt64(ring * Self.slotBits)
            let position = tick >> shift
            guard let ahead = firstOccupied(ring: ring, after: Int(position & 255)) else { continue }
            let candidate = (position &+ UInt64(ahead)) << shift
            best = min(best ?? candidate, candidate)
        }
        return best
    }

    /// How many slots ahead of `position` the first occupied one of a ring stands, 1 to 256.
    private func firstOccupied(ring: Int, after position: Int) -> Int? {
        var offset = 1
        while offset <= 256 {
            let slot = (position + offset) & 255
            let word = occupied[ring * 4 + slot / 64] >> UInt64(slot % 64)
            if word != 0 {
                let found = offset + word.trailingZeroBitCount
                return found <= 256 ? found : nil
            }
            offset += 64 - slot % 64
        }
        return nil
    }
}
