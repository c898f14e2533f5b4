import CLinux
import Glibc
import Loop
import Synchronization

/// Where everybody counts: memory that the master and all its workers share, so that no number goes back when a worker
/// is replaced, leaves or crashes.
///
/// It has one block for each worker at work, in it a row for each loop (``Tally``). A worker that comes takes over the
/// block of one that has ended, and goes on with its numbers: so the sum over all rows only ever grows. Beside them the
/// master writes what it alone knows (``Ledger/Fact``), of its programs, and what came of the last reload. Its file is
/// sealed: a worker that is somebody else's can write nonsense into it, and nothing worse.
final class Ledger: Sendable {
    /// What the master counts or knows.
    enum Fact: Int, CaseIterable {
        /// Tells this layout from others.
        case layout
        /// When the program was started, in seconds since 1970.
        case started
        /// Workers that were started.
        case workerStarts
        /// Workers that ended without having been told to.
        case workerCrashes
        /// Reloads that were done.
        case reloads
        /// Reloads that were refused.
        case refusals
        /// When the configuration in force was taken, in seconds since 1970.
        case configured
        /// Counts the reports.
        case reports
        /// Whether the last report is of a reload that was done.
        case reportIsGood
        /// Whether the program ends with its last session.
        case draining
    }

    /// What a block is of.
    enum State: UInt64 {
        case free, serving, leaving
    }

    /// Blocks, each for a worker; with more workers at the same time some are not counted.
    static let blockCount = 32
    /// Loops of a worker, as many as `--threads` may ask for.
    static let rowCount = 1024
    /// Programs beside the workers that there is room for.
    static let programCount = 16

    private static let factCount = 16
    private static let reportSize = 2048
    private static let programSize = 96
    private static let nameSize = 64
    private static let programsStart = factCount + reportSize / 8
    private static let blocksStart = programsStart + programCount * programSize / 8
    private static let blockHead = 8
    private static let blockSize = blockHead + rowCount * Tally.size
    private static let wordCount = blocksStart + blockCount * blockSize
    private static let layoutNumber = UInt64(1) << 32 | UInt64(wordCount)

    /// The memory behind it, for the next process.
    let descriptor: Int32
    /// Where it is. A number, as any thread may use what is there: every access is atomic.
    private let address: UInt

    /// New memory, all zero; nil where the system has none.
    convenience init?() {
        let file = linux_sealed_file("perdition counters", Self.wordCount * 8)
        guard file >= 0 else { return nil }
        self.init(descriptor: file, isNew: true)
    }

    /// The memory another process has made; nil where that is something else.
    convenience init?(descriptor: Int32) {
        self.init(descriptor: descriptor, isNew: false)
    }

    private init?(descriptor: Int32, isNew: Bool) {
        var status = stat()
        guard fstat(descriptor, &status) == 0, Int(status.st_size) == Self.wordCount * 8,
            let memory = linux_map_shared(descriptor, Self.wordCount * 8)
        else { return nil }
        self.descriptor = descriptor
        address = UInt(bitPattern: memory)
        if isNew { self[.layout] = Self.layoutNumber }
        guard self[.layout] == Self.layoutNumber else { return nil }
    }

    deinit {
        if let memory = UnsafeMutableRawPointer(bitPattern: address) { munmap(memory, Self.wordCount * 8) }
    }

    /// Nobody asks for a place outside: every caller's numbers are bounded.
    private func word(_ place: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        precondition((0..<Self.wordCount).contains(place), "a place in the ledger")
        guard let memory = UnsafeMutablePointer<Atomic<UInt64>>(bitPattern: address) else { preconditionFailure() }
        return memory + place
    }

    private func read(_ place: Int) -> UInt64 { word(place).pointee.load(ordering: .relaxed) }

    private func write(_ value: UInt64, _ place: Int) { word(place).pointee.store(value, ordering: .relaxed) }

    /// What the master knows.
    subscript(fact: Fact) -> UInt64 {
        get { read(fact.rawValue) }
        set { write(newValue, fact.rawValue) }
    }

    // MARK: Texts

    /// The last report, of a reload.
    var report: String { text(Self.factCount, size: Self.reportSize) }

    /// Says what came of a reload.
    func post(_ text: String, isGood: Bool) {
        write(text, Self.factCount, size: Self.reportSize)
        self[.reportIsGood] = isGood ? 1 : 0
        word(Fact.reports.rawValue).pointee.store(self[.reports] &+ 1, ordering: .releasing)
    }

    private func write(_ text: String, _ place: Int, size: Int) {
        var bytes = Array(text.utf8.prefix(size - 1))
        bytes += [UInt8](repeating: 0, count: size - bytes.count)
        for number in 0..<size / 8 {
            write(bytes[(number * 8)..<(number * 8 + 8)].reduce(0) { $0 << 8 | UInt64($1) }, place + number)
        }
    }

    private func text(_ place: Int, size: Int) -> String {
        var bytes: [UInt8] = []
        for number in 0..<size / 8 {
            let word = read(place + number)
            for shift in stride(from: UInt64(56), through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
        return Printable.text(bytes.prefix { $0 != 0 })
    }

    // MARK: Programs

    /// A map provider or helper.
    struct Program: Equatable {
        /// Its name in the log.
        var name: String
        /// Whether it runs.
        var isUp: Bool
        /// How often it was started again.
        var restarts: UInt64
    }

    /// The programs beside the workers, as the master sees them.
    var programs: [Program] {
        get {
            (0..<Self.programCount).compactMap { number in
                let place = Self.programsStart + number * Self.programSize / 8
                let name = text(place, size: Self.nameSize)
                let end = place + Self.nameSize / 8
                return name.isEmpty ? nil : Program(name: name, isUp: read(end) == 1, restarts: read(end + 1))
            }
        }
        set {
            for number in 0..<Self.programCount {
                let place = Self.programsStart + number * Self.programSize / 8
                let program = newValue.indices.contains(number) ? newValue[number] : nil
                write(program?.name ?? "", place, size: Self.nameSize)
                write(program?.isUp == true ? 1 : 0, place + Self.nameSize / 8)
                write(program?.restarts ?? 0, place + Self.nameSize / 8 + 1)
            }
        }
    }

    // MARK: Blocks

    private func head(_ block: Int) -> Int { Self.blocksStart + block * Self.blockSize }

    /// A worker that counts.
    struct Worker: Equatable {
        /// Its block.
        var block: Int
        /// Whether it accepts.
        var state: State
        /// Its process.
        var pid: UInt64
        /// When it was started, in seconds since 1970.
        var since: UInt64
    }

    /// The workers at work.
    var workers: [Worker] {
        (0..<Self.blockCount).compactMap { block in
            guard let state = State(rawValue: read(head(block))), state != .free else { return nil }
            return Worker(block: block, state: state, pid: read(head(block) + 1), since: read(head(block) + 2))
        }
    }

    /// Finds a block for a worker to come; nil where all are in use.
    /// - Parameter taken: those that are in use.
    static func freeBlock(besides taken: [Int]) -> Int? {
        (0..<blockCount).first { !taken.contains($0) }
    }

    /// Takes note of a worker.
    func set(_ state: State, pid: Int32 = 0, of block: Int) {
        guard (0..<Self.blockCount).contains(block) else { return }
        if pid != 0 {
            write(UInt64(UInt32(bitPattern: pid)), head(block) + 1)
            write(UInt64(clamping: time(nil)), head(block) + 2)
        }
        write(state.rawValue, head(block))
    }

    /// A worker has ended: what it had open is so no more.
    func clear(_ block: Int) {
        guard (0..<Self.blockCount).contains(block) else { return }
        write(State.free.rawValue, head(block))
        for row in 0..<rows(of: block) {
            for place in Tally.states { write(0, head(block) + Self.blockHead + row * Tally.size + place) }
        }
    }

    /// Says how many loops a worker has, before they count.
    func set(rows: Int, of block: Int) {
        guard (0..<Self.blockCount).contains(block), rows > self.rows(of: block) else { return }
        write(UInt64(clamping: rows), head(block) + 3)
    }

    private func rows(of block: Int) -> Int { Int(min(read(head(block) + 3), UInt64(Self.rowCount))) }

    /// The counters of one loop of a worker.
    func tally(block: Int, row: Int) -> Tally {
        guard (0..<Self.blockCount).contains(block), (0..<Self.rowCount).contains(row) else { return .unread() }
        return Tally(word(head(block) + Self.blockHead + row * Tally.size))
    }

    /// The sums over all loops of all workers there have been; states only of those there are.
    /// - Parameter block: of one worker only.
    func sums(of block: Int? = nil) -> [UInt64] {
        var sums = [UInt64](repeating: 0, count: Tally.size)
        for block in block.map({ $0..<($0 + 1) }) ?? 0..<Self.blockCount {
            for row in 0..<rows(of: block) {
                let start = head(block) + Self.blockHead + row * Tally.size
                for place in sums.indices { sums[place] &+= read(start + place) }
            }
        }
        return sums
    }
}
