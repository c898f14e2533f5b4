public import PopmapFile

/// A GDBM file that may be rebuilt at any time.
public typealias GDBMSource = PopmapSource<GDBMHandle>
/// One thread's view of a GDBM file.
public typealias GDBMReader = PopmapReader<GDBMHandle>
