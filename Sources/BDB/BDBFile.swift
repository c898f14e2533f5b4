public import PopmapFile

/// A Berkeley DB file that may be rebuilt at any time.
public typealias BDBSource = PopmapSource<BDBHandle>
/// One thread's view of a Berkeley DB file.
public typealias BDBReader = PopmapReader<BDBHandle>
