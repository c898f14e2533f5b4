/// What this program calls itself.
enum Version {
    /// As in CHANGELOG; the last of the original's was 2.2.
    static let text = "3.0.0"
}
