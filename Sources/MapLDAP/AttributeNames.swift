import Glibc

/// Up to three names of attributes, for user, server and port in this order, as the client library takes them.
final class AttributeNames: Sendable {
    /// How many names count; others are passed over.
    static let limit = 3

    /// The names as text.
    let names: [String]
    // Written before anybody else can see it, and read only from then on.
    private nonisolated(unsafe) let pointers: UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>?>

    /// Copies the names.
    init(_ names: some Sequence<String>) {
        self.names = Array(names.prefix(Self.limit))
        pointers = .allocate(capacity: Self.limit + 1)
        pointers.initialize(repeating: nil)
        for (index, name) in self.names.enumerated() { pointers[index] = strdup(name) }
    }

    deinit {
        for pointer in pointers { free(pointer) }
        pointers.deallocate()
    }

    /// A name; nil where there is none at that place, or the same one ahead of it: an attribute is for one thing, the
    /// first.
    subscript(_ index: Int) -> UnsafePointer<CChar>? {
        guard names.indices.contains(index) else { return nil }
        let name = names[index].lowercased()
        guard !names[..<index].contains(where: { $0.lowercased() == name }) else { return nil }
        return UnsafePointer(pointers[index])
    }

    /// Lends the list, which a null pointer ends.
    func withNames<Result>(_ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> Result) -> Result {
        body(pointers.baseAddress)
    }
}
