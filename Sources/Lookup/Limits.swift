/// The sizes both ends of the lookup protocol keep to, checked before anything is buffered.
public enum Limits {
    /// Bytes of a key. Longer than any mail address (RFC 5321 allows 320), short enough to hold thousands of them.
    public static let key = 1024
    /// Bytes of the name of a map.
    public static let mapName = 64
    /// Bytes of a request: the name, with what may stand ahead of it, a blank, the key.
    public static let request = Wire.tablePrefix.utf8.count + mapName + 1 + key
    /// Bytes of a reply, status included. The protocol allows 100,000; a popmap's value is a name, a host and a port.
    public static let reply = 8192
    /// Bytes of a value: a reply without its `OK`.
    public static let value = reply - 3
    /// Bytes of the reason of a failure; what is beyond is left out.
    public static let reason = 512
}
