extension Worker.Orders {
    /// What a worker is told for `perditionctl`: which descriptors there are for it, behind all others.
    struct Control: Equatable {
        /// Whether there is memory to count in.
        var hasLedger = false
        /// Whether other workers may ask.
        var hasTalk = false
        /// Whether it is the one who is asked from outside.
        var hasListener = false
        /// How many workers of before there are.
        var elders = 0
        /// How many sockets for metrics there are.
        var metrics = 0
        /// Where to count.
        var block = 0

        init() {}

        /// Reads what ``text`` made; nil where it is not that.
        init?(_ text: some StringProtocol) {
            let numbers = text.split(separator: ",").compactMap { Int($0) }
            guard numbers.count == 6, (0...1000).contains(numbers[3]), (0...100).contains(numbers[4]),
                (0..<Ledger.blockCount).contains(numbers[5])
            else { return nil }
            hasLedger = numbers[0] == 1
            hasTalk = numbers[1] == 1
            hasListener = numbers[2] == 1
            elders = numbers[3]
            metrics = numbers[4]
            block = numbers[5]
        }

        /// As a word.
        var text: String {
            "\(hasLedger ? 1 : 0),\(hasTalk ? 1 : 0),\(hasListener ? 1 : 0),\(elders),\(metrics),\(block)"
        }

        /// The descriptors.
        /// - Parameter first: the number of the first.
        func desk(from first: Int32) -> Desk {
            var next = first
            func take(_ isThere: Bool) -> Int32? {
                guard isThere else { return nil }
                defer { next += 1 }
                return next
            }
            let (ledger, talk, listener) = (take(hasLedger), take(hasTalk), take(hasListener))
            return Desk(
                ledger: ledger, talk: talk, listener: listener, elders: (0..<elders).compactMap { _ in take(true) },
                metrics: (0..<metrics).compactMap { _ in take(true) }, block: block)
        }
    }

    /// The descriptors for it.
    struct Desk {
        /// Memory to count in; nil for none.
        var ledger: Int32?
        /// Where other workers ask; nil for nowhere.
        var talk: Int32?
        /// Where `perditionctl` asks; nil for nowhere.
        var listener: Int32?
        /// Where the workers of before can be asked.
        var elders: [Int32]
        /// Where metrics are served.
        var metrics: [Int32]
        /// Where to count.
        var block: Int

        /// All of them, in the order of the worker's numbers.
        var descriptors: [Int32] { [ledger, talk, listener].compactMap(\.self) + elders + metrics }

        /// What the worker is told.
        var orders: Control {
            var control = Control()
            control.hasLedger = ledger != nil
            control.hasTalk = talk != nil
            control.hasListener = listener != nil
            control.elders = elders.count
            control.metrics = metrics.count
            control.block = block
            return control
        }
    }
}
