/// What this program calls itself.
enum Version {
    /// As in CHANGELOG; the last of the original's was 2.2.
    static var text: String { "\(words)" }
    /// The same for the report of a crash, which is written when nothing can be made any more.
    static var pointer: UnsafePointer<CChar> {
        UnsafeRawPointer(words.utf8Start).assumingMemoryBound(to: CChar.self)
    }
    private static let words: StaticString = "3.0.0"
}
