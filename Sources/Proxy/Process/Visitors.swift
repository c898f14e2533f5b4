/// Something with a client that can be ended from outside.
protocol Visitor: AnyObject {
    /// Where it stands among the ``Visitors``; theirs to change.
    var place: Int32 { get set }
    /// Ends it now.
    func stop()
    /// What the administrator may see of it; nil where it is over.
    var entry: SessionEntry? { get }
    /// Ends it, as the administrator wants, where it is of this user.
    /// - Parameter names: the forms of the name, one of them as ``SessionEntry`` shows it.
    /// - Returns: whether it was.
    func kick(_ names: [String]) -> Bool
}

/// All visitors of a loop, in no order: each knows its place, so that coming and going is a step or two.
struct Visitors {
    /// Those who are here.
    private(set) var all: [any Visitor] = []

    /// Takes one in, who is in no other place.
    mutating func add(_ visitor: any Visitor) {
        visitor.place = Int32(clamping: all.count)
        all.append(visitor)
    }

    /// Lets one go; nothing happens where it is not here.
    mutating func remove(_ visitor: any Visitor) {
        let place = Int(visitor.place)
        guard place < all.count, all[place] === visitor else { return }
        let last = all.removeLast()
        guard last !== visitor else { return }
        last.place = Int32(clamping: place)
        all[place] = last
    }
}
